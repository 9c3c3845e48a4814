"""Names of jfzhang95/pytorch-deeplab-xception: ours are those of its newest version.

In the older ones the decoder had no dropout, so its layers are numbered 0, 1, 3, 4, 6 instead of 0, 1, 4, 5, 8.

Role: names.
"""

from __future__ import annotations

import re

_OLD = {"3": "4", "4": "5", "6": "8"}


def from_old_jfzhang(weights):
    """Return the arrays of a version without dropout under the new names."""
    return {
        re.sub(r"^(decoder\.last_conv)\.([346])\.", lambda m: f"{m[1]}.{_OLD[m[2]]}.", name): a
        for name, a in weights.items()
    }
