"""The arrays given, compared with the arrays expected: what differs, in one message.

Role: check.
"""

import numpy as np

from atrous import _check
from atrous.errors import DTypeError, ShapeError

SHOWN = 8


def _listed(names):
    names = list(names)
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(_check.shown, names[:SHOWN])) + rest


def fitting(owner, x, shape, given, *names):
    """Return the arrays of these names, which must have this shape and the dtype of x."""
    found = [np.asarray(given[name]) for name in names]
    for name, array in zip(names, found, strict=True):
        if array.shape != shape:
            raise ShapeError(f"{owner}: {name} must be {shape}, got {array.shape}.")
        if array.dtype != x.dtype:
            raise DTypeError(f"{owner}: {name} must have the dtype of x, {x.dtype}, got {array.dtype}.")
    return found


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
