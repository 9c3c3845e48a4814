"""Inputs without effect: a gradient that is zero everywhere agrees with its differences, and is a mistake all the same.

A branch that is computed and never returned, a unit that is dead on every sample, a comparison in place of a product:
forward and backward agree about all of them. What tells them apart is a step much longer than a difference quotient's.
"""

import numpy as np

TRIES = 3
FAR = 10.0
MOST_SLICES = 8
LEAST = 3  # entries of a slice; a few zeros in a row are no surprise


def notes(pair, i, indices, zero):
    """Return notes on input i, of which the entries at `indices` were checked and have zero gradients where `zero`.

    `indices` is None if directions were checked.
    """
    name = pair.names[i]
    if zero.all():
        if not _moves(pair, i, np.ones(pair.inputs[i].shape, bool)):
            return [f"the output does not depend on {name}: its gradient is zero at every entry checked."]
        return [
            f"the gradient of {name} is zero at every entry checked, though the output changes where {name} moves far: "
            "it only enters through a comparison, or behind units that are dead on every sample."
        ]
    if indices is None or len(indices) < pair.inputs[i].size:
        return []
    dead = _dead(pair, i, zero.reshape(pair.inputs[i].shape))
    if not dead:
        return []
    more = ", …" if len(dead) > MOST_SLICES else ""
    return [
        f"the gradient of {', '.join(dead[:MOST_SLICES])}{more} is zero, though the output changes where "
        f"{'it moves' if len(dead) == 1 else 'they move'} far: units that are dead on every sample?"
    ]


def _dead(pair, i, zero):
    """Return the slices along one axis, as text, whose gradient is zero though the output depends on them."""
    found = []
    for axis in range(zero.ndim):
        others = tuple(k for k in range(zero.ndim) if k != axis)
        if zero.size // zero.shape[axis] < LEAST:
            continue
        for place in np.flatnonzero(zero.all(axis=others)):
            where = np.zeros(zero.shape, bool)
            where[(slice(None),) * axis + (place,)] = True
            if len(found) <= MOST_SLICES and _moves(pair, i, where):
                marks = [":"] * axis + [str(place)] + [":"] * (zero.ndim - axis - 1)
                found.append(f"{pair.names[i]}[{', '.join(marks)}]")
    return found


def _moves(pair, i, where):
    """Tell whether y changes if the entries of input i in `where` move far, each by itself."""
    a, rng = pair.inputs[i], np.random.default_rng(0)
    reach = FAR * max(1.0, float(np.abs(a).max()))
    for _ in range(TRIES):
        moved = a + np.where(where, reach * rng.standard_normal(a.shape), 0).astype(a.dtype)
        with np.errstate(all="ignore"):
            y = pair.value([moved if k == i else other for k, other in enumerate(pair.inputs)])
        if y.shape != pair.y.shape or not np.array_equal(y, pair.y):
            return True
    return False
