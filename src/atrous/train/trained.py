"""Networks that `atrous train` made and that come with the package: weights, recipe, log, and how they were made.

For each name there are four files. `presets/NAME.toml` is the recipe. In the folder `trained`, NAME.npz has the
weights, in float16, NAME.csv the loss and the rate over the steps, and NAME.json the commit, the versions, the machine,
the parameters of the CRF, and what was measured on held-out scenes.

Role: public functions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.crf.params import CRFParams
from atrous.nets.network import Network
from atrous.train.setup import read_setup

FOLDER = Path(__file__).parent / "trained"


class Trained(NamedTuple):
    """What `trained` returns."""

    network: Network
    params: dict[str, FloatArray]
    state: dict[str, FloatArray]
    crf: CRFParams
    """Chosen on scenes of the training, for `segment` and `dense_crf`."""
    held_out: Sequence[Any]
    """Scenes that the network has not seen."""
    made: dict[str, Any]
    """The commit, the versions, the machine, and the measures on held-out scenes."""


@public
def trained(name: str = "shapes", dtype: type = np.float32) -> Trained:
    """Return a network that comes with the package, trained.

    Parameters
    ----------
    name : {"shapes"}
        "shapes": DeepLab v2 with atrous spatial pyramid pooling on a small ResNet, for the scenes of `make_scene`.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    Trained

    Raises
    ------
    ParameterError, DTypeError
        There is no such network; the dtype is neither of the two.

    Examples
    --------
    >>> shapes = trained("shapes")
    >>> image, labels = shapes.held_out[0]
    >>> found = segment(image, shapes.network, (shapes.params, shapes.state), shapes.crf)
    >>> bool((found.labels == labels)[labels != 255].mean() > 0.9)
    True
    """
    names = sorted(path.stem for path in FOLDER.glob("*.json"))
    name = _check.one_of("trained", "name", name, tuple(names))
    setup = read_setup(name)
    params, state = setup.network.load(FOLDER / f"{name}.npz", dtype)
    made = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return Trained(setup.network, params, state, CRFParams(**made["crf"]), setup.held_out, made)
