"""Checkpoints: everything that training needs to go on with the same bits, in one file written whole or not at all.

A checkpoint is an .npz file, step_00001234.npz, with the arrays params/…, state/… and momentum/… and the number of
steps done. The last two are kept, so that whatever happens while one is written, the one before it is there.

Role: public functions.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray, PathLike
from atrous.errors import ParameterError
from atrous.train.loop import Step
from atrous.weights.errors import WeightsError
from atrous.weights.files import load_weights, save_weights

PARTS = ("params", "state", "momentum")
NAME = re.compile(r"step_(\d{8,})\.npz")


class Checkpoint(NamedTuple):
    """What `load_checkpoint` returns; `training` goes on from it."""

    params: dict[str, FloatArray]
    state: dict[str, FloatArray]
    momentum: dict[str, FloatArray]
    number: int
    path: Path
    skipped: tuple[Path, ...]
    """Newer files that could not be read."""


def _found(folder):
    """Return the checkpoints of a folder, the newest first."""
    numbers = {path: NAME.fullmatch(path.name) for path in Path(folder).glob("step_*.npz")}
    return sorted((path for path, match in numbers.items() if match), key=lambda path: -int(numbers[path][1]))


@public
def save_checkpoint(folder: PathLike, step: Step, *, keep: int = 2) -> Path:
    """Write a step of `training` to a folder, then delete all but the newest checkpoints.

    Parameters
    ----------
    folder : path
        It is made if it does not exist.
    step : Step
    keep : int, default 2
        How many checkpoints stay; at least 1.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    WeightsError
        The file cannot be written; older checkpoints stay. It is also a ValueError.
    ParameterError
        `keep` is below 1.
    """
    keep, folder = _check.integer("save_checkpoint", "keep", keep, least=1), Path(folder)
    arrays = {f"{part}/{name}": array for part in PARTS for name, array in getattr(step, part).items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"save_checkpoint: cannot make {folder}: {error.strerror or error}.") from error
    path = folder / f"step_{step.number:08}.npz"
    save_weights({**arrays, "number": np.array(step.number)}, path)
    for old in _found(folder)[keep:]:
        old.unlink(missing_ok=True)
    return path


@public
def load_checkpoint(source: PathLike) -> Checkpoint:
    """Read a checkpoint, or of a folder the newest that can be read.

    Parameters
    ----------
    source : path
        A file or a folder that `save_checkpoint` wrote.

    Returns
    -------
    Checkpoint
        To go on: ``training(network, c.params, c.state, samples, recipe, momentum=c.momentum, number=c.number)``.

    Raises
    ------
    ParameterError
        The folder holds no checkpoint, or the file is none.
    WeightsError
        No file can be read. It is also a ValueError.
    """
    owner, source = "load_checkpoint", Path(source)
    paths = _found(source) if source.is_dir() else [source]
    if not paths:
        raise ParameterError(f"{owner}: {source} holds no checkpoint (step_….npz).")
    for path in paths:
        try:
            arrays = load_weights(path)
            break
        except WeightsError:
            if path == paths[-1]:
                raise
    if "number" not in arrays:
        raise ParameterError(f"{owner}: {path} holds weights, but is no checkpoint. Pass them to Network.load.")
    parts = (
        {name.removeprefix(f"{part}/"): array for name, array in arrays.items() if name.startswith(f"{part}/")}
        for part in PARTS
    )
    return Checkpoint(*parts, int(arrays["number"]), path, tuple(paths[: paths.index(path)]))
