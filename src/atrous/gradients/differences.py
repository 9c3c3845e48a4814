"""Difference quotients: slopes of φ = Σ dy·y along a direction with their rounding noise, the Jacobian, kinks.

A difference quotient divides the rounding error of y by the step. The size of this noise can be estimated, so each
slope comes with it, and a gradient only has to match the numeric slope up to the noise.

References
----------
Squire and Trapp, SIAM Review 40(1), 1998 (complex step); Ridders, Advances in Engineering Software 4(2), 1982.
"""

from typing import NamedTuple

import numpy as np

from atrous.errors import DTypeError
from atrous.gradients.pair import is_float

# Rounding error that a value of y may carry, in units of the machine epsilon.
ROUNDINGS = 8


class Slope(NamedTuple):
    """A numeric slope and the error that rounding alone can cause in it."""

    value: float
    noise: float


# Inputs near the end of the range of float64 may have an infinite norm.
_norm = np.errstate(over="ignore")(np.linalg.norm)


def slope(pair, i, direction, step, method):
    """Return dy · ∂y/∂(input i along direction) by difference quotients of the given step."""
    if method == "ridders":
        return _ridders(lambda h: slope(pair, i, direction, h, "central"), step)
    if method == "complex":
        return _complex(pair, i, direction, step)
    dy = pair.dy.astype(np.float64)
    inputs, ends = list(pair.inputs), []
    for sign in (1, -1):
        inputs[i] = (pair.inputs[i] + sign * step * direction).astype(pair.inputs[i].dtype)
        with np.errstate(all="ignore"):
            ends.append(pair.value(inputs).astype(np.float64))
    changed = ends[0] != ends[1]
    value = float(np.sum(dy * ((ends[0] - ends[1]) / (2 * step))))
    rounding = ROUNDINGS * float(np.finfo(pair.y.dtype).eps)
    all_of_it = _norm(dy * pair.y)
    moved = _norm((dy * pair.y)[changed]) if changed.any() else all_of_it
    return Slope(value, rounding * float(moved / step + all_of_it))


def _complex(pair, i, direction, step):
    """Return the slope as Im φ(x + i·h) / h, which subtracts nothing and so has no cancellation."""
    inputs = [a.astype(np.complex128) if is_float(a) else a for a in pair.inputs]
    inputs[i] = inputs[i] + 1j * step * direction
    y = pair.value(inputs)
    if y.dtype.kind != "c":
        raise DTypeError('gradcheck: method="complex" needs a forward that accepts complex numbers; use "central".')
    parts = pair.dy * (y.imag / step)
    eps = ROUNDINGS * np.finfo(np.float64).eps
    return Slope(float(np.sum(parts)), float(eps * (_norm(parts) + _norm(pair.dy * pair.y))))


def carries_complex(pair, i, direction):
    """Tell whether the complex step agrees with a central difference: abs, comparisons and conj break it silently."""
    exact, near = _complex(pair, i, direction, 1e-20), slope(pair, i, direction, 1e-5, "central")
    return abs(exact.value - near.value) <= 1e-4 * max(abs(near.value), abs(exact.value)) + 10 * near.noise


def _ridders(slope_at, step, shrink=1.4, levels=10):
    """Extrapolate slope_at(h) to h = 0 (Ridders' method) with a Neville table in h², until its error grows."""
    first = slope_at(step)
    table, best, error = [first.value], first.value, np.inf
    for level in range(1, levels):
        step /= shrink
        row, factor = [slope_at(step).value], shrink * shrink
        for previous in table:
            row.append((row[-1] * factor - previous) / (factor - 1))
            factor *= shrink * shrink
            estimate = max(abs(row[-1] - row[-2]), abs(row[-1] - previous))
            if estimate <= error:
                best, error = row[-1], estimate
        if level > 2 and abs(row[-1] - table[-1]) > 2 * error:
            break
        table = row
    return Slope(best, first.noise)


def is_kink(pair, i, direction, step, analytic, close):
    """Tell whether a disagreement comes from a corner of the function rather than from a wrong gradient.

    Either of two signs is enough. The quotients of a long and a short step differ by more than rounding explains, and
    the short one agrees with the gradient: the corner is within the long step. Or the two one-sided slopes stay apart
    however short the step is: the corner is at the point itself, and any value between them is a subgradient.
    """
    long = slope(pair, i, direction, step, "central")
    for shorter in (step / 30, step / 1000):
        near = slope(pair, i, direction, shorter, "central")
        if (
            abs(long.value - near.value) > close + long.noise + near.noise
            and abs(near.value - analytic) <= close + near.noise
        ):
            return True
    low, high, _ = _bounds(pair, i, direction, step)
    low_near, high_near, rounding = _bounds(pair, i, direction, step / 30)
    gap, gap_near = high - low, high_near - low_near
    apart = gap_near > 0.5 * gap and gap_near > 1e-3 * max(abs(low), abs(high)) + rounding
    return bool(apart and low_near - close - rounding <= analytic <= high_near + close + rounding)


def _one_sided(pair, i, direction, step):
    """Return the difference quotients of y ahead along the direction and behind."""
    inputs, quotients = list(pair.inputs), []
    for sign in (1, -1):
        inputs[i] = pair.inputs[i] + sign * step * direction
        with np.errstate(all="ignore"):
            quotients.append((pair.value(inputs) - pair.y) / (sign * step))
    return quotients


def _bounds(pair, i, direction, step):
    """Return the least and the largest slope that a subgradient may have, and what rounding may add to either.

    At its corner each output may have any slope between those on its two sides, whatever the others have.
    """
    ahead, behind = (pair.dy * q for q in _one_sided(pair, i, direction, step))
    rounding = ROUNDINGS * float(np.finfo(pair.y.dtype).eps) * float(np.abs(pair.dy * pair.y)[ahead != behind].sum())
    return float(np.minimum(ahead, behind).sum()), float(np.maximum(ahead, behind).sum()), rounding / step


def ties(pair, i, directions, step, analytic, close):
    """Return groups of kinks at which the parts of the gradient cannot all be right, as lists of positions.

    Each kink alone may have any slope between those on its two sides. But kinks of the same outputs, such as entries
    that are tied for a maximum, belong together: moved together, they give one slope, or two with less between them,
    and the sum of their parts must fit that. This holds where an output bends the same way for all of them; a group
    with a corner upwards and one downwards, as of a clip at both its ends, proves nothing.
    """
    groups = []
    for k, direction in enumerate(directions):
        ahead, behind = _one_sided(pair, i, direction, step)
        bent = np.abs(ahead - behind) > 1e-3 * np.maximum(np.abs(ahead), np.abs(behind)) + 1e-12 * np.abs(pair.y) / step
        up, down = bent & (ahead > behind), bent & (ahead < behind)
        touching = [g for g in groups if ((g[1] | g[2]) & bent).any()]
        for g in touching:
            groups.remove(g)
        members = [k, *(m for g in touching for m in g[0])]
        groups.append(
            (members, np.any([up, *(g[1] for g in touching)], 0), np.any([down, *(g[2] for g in touching)], 0))
        )
    wrong = []
    for members, up, down in groups:
        if len(members) > 1 and not (up & down).any():
            together = np.sum([directions[k] for k in members], axis=0)
            low, high, rounding = _bounds(pair, i, together, step)
            room = rounding + sum(close[k] for k in members) + 1e-4 * max(abs(low), abs(high))
            if not low - room <= sum(analytic[k] for k in members) <= high + room:
                wrong.append(sorted(members))
    return wrong


def jacobian(pair, i, inputs=None):
    """Return ∂y/∂(input i) by centred differences, shape (*input, *y); `inputs` replaces the stored ones."""
    inputs = list(pair.inputs if inputs is None else inputs)
    a, step = inputs[i], 1e-5 if inputs[i].dtype == np.float64 else 1e-2
    rows = np.empty((a.size, *pair.y.shape))
    for k in range(a.size):
        ends = []
        for sign in (1, -1):
            inputs[i] = a.copy()
            inputs[i].flat[k] += sign * step
            with np.errstate(all="ignore"):
                ends.append(pair.value(inputs).astype(np.float64))
        rows[k] = (ends[0] - ends[1]) / (2 * step)
    return rows.reshape(*a.shape, *pair.y.shape)
