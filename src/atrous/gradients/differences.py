"""Difference quotients: slopes of φ = Σ dy·y along a direction, the Jacobian, and the test for kinks.

References
----------
Squire and Trapp, SIAM Review 40(1), 1998 (complex step); Ridders, Advances in Engineering Software 4(2), 1982.
"""

import numpy as np

from atrous.errors import DTypeError
from atrous.gradients.pair import is_float


def slope(pair, i, direction, step, method):
    """Return dy · ∂y/∂(input i along direction) by difference quotients of the given step."""
    dy = pair.dy.astype(np.float64)
    if method == "ridders":
        return _ridders(lambda h: slope(pair, i, direction, h, "central"), step)
    inputs = list(pair.inputs)
    if method == "complex":
        inputs = [a.astype(np.complex128) if is_float(a) else a for a in inputs]
        inputs[i] = inputs[i] + 1j * step * direction
        y = pair.value(inputs)
        if y.dtype.kind != "c":
            raise DTypeError('gradcheck: method="complex" needs a forward that carries complex numbers; use "central".')
        return float(np.sum(dy * (y.imag / step)))
    ends = []
    for sign in (1, -1):
        inputs[i] = (pair.inputs[i] + sign * step * direction).astype(pair.inputs[i].dtype)
        ends.append(pair.value(inputs).astype(np.float64))
    return float(np.sum(dy * ((ends[0] - ends[1]) / (2 * step))))


def _one_sided(pair, i, direction, step):
    """Return the forward and the backward difference quotient."""
    inputs, slopes = list(pair.inputs), []
    for sign in (1, -1):
        inputs[i] = pair.inputs[i] + sign * step * direction
        slopes.append(float(np.sum(pair.dy * ((pair.value(inputs) - pair.y) / (sign * step)))))
    return slopes


def _ridders(slope_at, step, shrink=1.4, levels=10):
    """Extrapolate slope_at(h) to h = 0 (Ridders' method): a Neville table in h², stopped where its error grows."""
    table, best, error = [slope_at(step)], None, np.inf
    for level in range(1, levels):
        step /= shrink
        row, factor = [slope_at(step)], shrink * shrink
        for previous in table:
            row.append((row[-1] * factor - previous) / (factor - 1))
            factor *= shrink * shrink
            estimate = max(abs(row[-1] - row[-2]), abs(row[-1] - previous))
            if estimate <= error:
                best, error = row[-1], estimate
        if level > 2 and abs(row[-1] - table[-1]) > 2 * error:
            break
        table = row
    return best


def is_kink(pair, i, direction, step, analytic, close):
    """Tell whether a disagreement comes from a corner of the function rather than from a wrong gradient.

    Either the corner lies within the step and a shorter step agrees with the gradient, or it lies at the point itself:
    the two one-sided slopes then stay apart however short the step, and any value between them is a subgradient.
    """
    for shorter in (step / 30, step / 1000):
        nearer = slope(pair, i, direction, shorter, "central")
        # Rounding grows as the step shrinks, and is allowed for.
        if abs(nearer - analytic) <= close + 1e-15 * np.abs(pair.y).max(initial=1) / shorter:
            return True
    gaps = []
    for h in (step, step / 30):
        low, high = sorted(_one_sided(pair, i, direction, h))
        gaps.append(high - low)
    apart = gaps[1] > 0.5 * gaps[0] and gaps[1] > 1e-4 * max(1.0, abs(low), abs(high))
    return apart and low - close <= analytic <= high + close


def jacobian(pair, i):
    """Return ∂y/∂(input i) by centred differences, shape (*input, *y)."""
    a, step = pair.inputs[i], 1e-5 if pair.inputs[i].dtype == np.float64 else 1e-2
    rows = np.empty((a.size, *pair.y.shape))
    inputs = list(pair.inputs)
    for k in range(a.size):
        ends = []
        for sign in (1, -1):
            inputs[i] = a.copy()
            inputs[i].flat[k] += sign * step
            ends.append(pair.value(inputs).astype(np.float64))
        rows[k] = (ends[0] - ends[1]) / (2 * step)
    return rows.reshape(*a.shape, *pair.y.shape)
