"""Names of kazuto1011/deeplab-pytorch, which are ours, with or without their prefix.

Role: names.
"""

from __future__ import annotations


def with_base(weights):
    """Return kazuto1011's arrays with the prefix ``base.``, which some of its files lack."""
    renamed = {name if name.startswith("base.") else f"base.{name}": array for name, array in weights.items()}
    return renamed if len(renamed) == len(weights) else weights
