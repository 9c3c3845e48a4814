"""The arrays given, compared with the arrays expected: one message that lists every difference.

Role: check.
"""

import numpy as np

SHOWN = 8


def _listed(names):
    names = list(names)
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest


def mismatch(wanted, given):
    """Return a text that lists what is missing, unexpected or of another shape in `given`, or None.

    `wanted` maps names to Variables (or anything with a shape), `given` names to arrays.
    """
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    shapes = [
        f"{name} must be {tuple(v.shape)}, got {np.shape(given[name])}"
        for name, v in wanted.items()
        if name in given and np.shape(given[name]) != tuple(v.shape)
    ]
    found = [
        f"{len(some)} {word}: {_listed(some)}"
        for some, word in ((missing, "missing"), (unexpected, "unexpected"), (shapes, "of another shape"))
        if some
    ]
    return "; ".join(found) if found else None
