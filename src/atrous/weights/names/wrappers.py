"""Prefixes that a wrapper puts before every name: module., model., _orig_mod.

Role: names.
"""

from __future__ import annotations

import numpy as np

WRAPPERS = ("module", "model", "net", "network", "_orig_mod")


def unwrapped(weights):
    """Return the weights without a prefix that all names share (``model.``, ``_orig_mod.``)."""
    first = {name.partition(".")[0] for name in weights}
    return {name.partition(".")[2]: a for name, a in weights.items()} if len(first) == 1 else weights


def without_wrappers(weights):
    """Return the weights without any number of known wrappers.

    A module that trains an smp network often keeps the mean and deviation of images beside it, as ``mean`` and ``std``.
    """
    while True:
        inner = {
            name: a for name, a in weights.items() if not (name in ("mean", "std") and np.shape(a) == (1, 3, 1, 1))
        }
        if {name.partition(".")[0] for name in inner} - set(WRAPPERS) or not inner:
            return weights
        found = unwrapped(inner)
        if found is inner:
            return weights
        weights = found
