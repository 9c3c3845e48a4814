"""What an experiment is: trainings that differ in one thing, rows of a table, and claims about pairs of rows.

Role: description.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

NOTHING: Mapping[str, Any] = MappingProxyType({})
WORLD = {"size": 97, "objects": 3, "smallest": 0.15, "largest": 0.4, "wires": 0, "noise": 8.0, "blur": 0.7}
"""Options of the scenes: 97 × 97 pixels; the largest pond is 39 pixels from its middle to its rim."""
RECIPE = {"steps": 1500, "batch": 6, "rate": 0.1, "warm_up": 50, "clip": 5.0}
SCENES, TESTED = 1000, 150
"""Scenes to train on, others for each seed, and scenes to test on, the same for all."""


class Training(NamedTuple):
    """One network trained in one way."""

    network: Mapping[str, Any]
    """Options of `networks.small`."""
    recipe: Mapping[str, Any] = NOTHING
    """Fields of `Recipe` that differ from RECIPE. Further, "crop" is the side of the crops, "sub_sampled" shrinks the
    labels to the scores as v1 and v2 do, and "frozen" leaves batch norms as they begin."""
    world: Mapping[str, Any] = NOTHING
    """Options of the scenes that differ from WORLD."""
    further: Mapping[str, Any] = NOTHING
    """A second stage: "steps" and "rate", and the "network", which takes over what the first has learned."""


class Row(NamedTuple):
    """A row of the table: which training, how it is tested, and what the paper has in this place."""

    label: str
    training: str
    paper: str = ""
    """The paper's row."""
    printed: float | None = None
    """Its mean IoU in per cent."""
    test: Mapping[str, Any] = NOTHING
    """Options of the experiment's `measure`."""


class Claim(NamedTuple):
    """What the paper found, or we: row `better` has more of `measure` than row `worse`."""

    text: str
    better: str
    worse: str
    measure: str = "mean_iou"
    ours: bool = False
    """Not in the paper: we claim it ourselves."""


class Experiment(NamedTuple):
    """A question, the paper's answer, and what it takes to ask it again."""

    title: str
    source: str
    question: str
    trainings: Mapping[str, Training]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    columns: Mapping[str, str]
    """Names of measures, and the heads of their columns."""
    measure: Callable[..., dict[str, float]] | None = None
    """Takes (network, weights, samples, **test) and returns the measures; `run.measured` if None."""
    remark: str = ""
    """What differs from the paper, in plain words."""
