"""Names of segmentation_models.pytorch: ours are those of its newest versions.

In older ones the decoder of DeepLabV3 was a numbered sequence.

Role: names.
"""

from __future__ import annotations

import re

_OLD = {"0": "aspp", "1": "conv", "2": "bn"}


def from_old_smp(weights):
    """Return the arrays of an older DeepLabV3 under the new names."""
    return {re.sub(r"^decoder\.([012])\.", lambda m: f"decoder.{_OLD[m[1]]}.", name): a for name, a in weights.items()}
