"""Every experiment by name.

Role: description.
"""

from __future__ import annotations

import difflib
from importlib import import_module

from atrous.errors import ParameterError
from atrous.experiments.design import Experiment

# Name of the experiment, which is the name of its file.
EXPERIMENTS = (
    "field_of_view",
    "policy",
    "pyramid_rates",
    "output_stride",
    "cascade",
    "test_time",
    "decoder",
    "crf",
    "crf_layer",
    "upsampling",
    "multi_scale_features",
    "superpixels",
    "rivals",
)


def experiment_named(name: str) -> Experiment:
    """Return an experiment."""
    if name not in EXPERIMENTS:
        near = difflib.get_close_matches(str(name), EXPERIMENTS, 1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise ParameterError(f"experiment: there is no experiment {name!r}.{meant} There are {', '.join(EXPERIMENTS)}.")
    return import_module(f"atrous.experiments.{name}").EXPERIMENT
