"""Train a network and leave files: what `atrous train` does.

    log.csv          a row for each step: loss, rate, norm of the gradients, seconds
    loss.png         the same as a picture
    step_….npz       the last two checkpoints
    weights.npz      the parameters and running statistics at the end, for every other command

An interruption, a full disk or a loss that is no number leaves the last good checkpoint.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from atrous._atomic import replacing
from atrous.errors import ParameterError
from atrous.nets.network import Network
from atrous.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from atrous.train.loop import Step, training
from atrous.train.setup import Setup
from atrous.weights.errors import WeightsError
from atrous.weights.files import save_weights

COLUMNS = ("step", "loss", "rate", "norm", "seconds")
# Seconds between checkpoints, unless steps take longer.
EVERY = 60.0


def begin(network: Network, init: str | None, rng: np.random.Generator):
    """Return (params, state, which part is fresh): drawn, or loaded from a file as far as it fits."""
    if init is None:
        return *network.init(rng), "everything"
    try:
        return *network.load(init), ""
    except WeightsError as error:
        for part in ("classifier", "head"):
            try:
                return *network.load(init, fresh=part, rng=rng), part
            except WeightsError:
                continue
        raise error from None


def train_files(
    setup: Setup,
    folder: Path,
    *,
    resume: bool = False,
    every: float = EVERY,
    tell: Callable[[Step, float], None] = lambda step, seconds: None,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train as the setup says and write the files; return what was done as plain values.

    Parameters
    ----------
    setup : Setup
    folder : Path
        For the files.
    resume : bool
        Go on from the newest checkpoint of the folder, which otherwise must hold none.
    every : float
        Seconds between checkpoints.
    tell : callable
        Called with each step and the seconds it took.
    stopped : callable
        Asked after each step; training ends when it says so.
    """
    folder, started = Path(folder), list(Path(folder).glob("step_*.npz"))
    if started and not resume:
        raise ParameterError(
            f"train: {folder} holds the checkpoint {started[0].name}. Pass --resume, or another folder."
        )
    if hasattr(setup.samples, "check"):
        setup.samples.check()
    fresh, rows = "", []
    if started:
        at = load_checkpoint(folder)
        rows = [row for row in read_log(folder / "log.csv") if int(row["step"]) <= at.number]
    else:
        params, state, fresh = begin(setup.network, setup.init, np.random.default_rng(setup.recipe.seed))
        at = Checkpoint(params, state, {}, 0, folder, ())
    folder.mkdir(parents=True, exist_ok=True)
    write_log(folder / "log.csv", rows)
    step, before, saved = None, time.perf_counter(), time.perf_counter()
    steps = training(
        setup.network, at.params, at.state, setup.samples, setup.recipe, momentum=at.momentum or None, number=at.number
    )
    try:
        with (folder / "log.csv").open("a", encoding="utf-8", newline="") as log:
            for step in steps:
                now = time.perf_counter()
                row = dict(zip(COLUMNS, (step.number, step.loss, step.rate, step.norm, now - before), strict=True))
                csv.DictWriter(log, COLUMNS).writerow(row)
                log.flush()
                rows.append(row)
                tell(step, now - before)
                before = now
                if now - saved >= every:
                    save_checkpoint(folder, step)
                    saved = now
                if stopped():
                    break
    finally:
        # Whatever ended the loop, the last step that was finished is worth keeping.
        steps.close()
        if step is not None:
            save_checkpoint(folder, step)
    last = step or at
    save_weights({**last.params, **last.state}, folder / "weights.npz")
    if rows:
        draw(rows, folder / "loss.png")
    return {
        "network": setup.network.name,
        "classes": setup.network.classes,
        "steps": last.number,
        "of": setup.recipe.steps,
        "fresh": fresh,
        "skipped": [str(path) for path in at.skipped],
        "loss": float(rows[-1]["loss"]) if rows else None,
        "files": [str(folder / name) for name in ("weights.npz", "log.csv", "loss.png") if (folder / name).exists()],
    }


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a log, none if there is no log."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]


def write_log(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a log whole."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as (partial,):
        partial.write_text(text.getvalue(), encoding="utf-8", newline="")


def draw(rows, path: Path) -> None:
    """Write the picture of the loss."""
    from atrous import figures

    figures.save(figures.figure_training(rows), path)
