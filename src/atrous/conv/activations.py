"""The activations that run in one pass with the convolution before them: one formula for the CPU and the GPU.

    y = min(max(x, lowest), highest) · min(max(slope·x + offset, 0), 1)

                lowest    highest    slope    offset
    none          −∞         ∞
    relu           0         ∞
    relu6          0         6
    hard_swish    −3         ∞        1/6      1/2

Only hard swish has the second factor, its gate. NaN stays NaN.

Role: shared formulas.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from atrous.jit.lanes import add, larger, multiply, repeat_line, smaller
from atrous.jit.numba_or_not import njit


class Curve(NamedTuple):
    """The numbers of an activation, in the dtype of what it is applied to."""

    lowest: float
    highest: float
    gated: bool
    slope: float
    offset: float
    closed: float = 0
    opened: float = 1


NUMBERS = {
    None: (-np.inf, np.inf),
    "relu": (0, np.inf),
    "relu6": (0, 6),
    "hard_swish": (-3, np.inf, 1 / 6, 1 / 2),
}


@cache
def curve_of(kind, dtype):
    """Return the Curve of an activation, one of `NUMBERS`."""
    number = np.dtype(dtype).type
    lowest, highest, slope, offset = map(number, (*NUMBERS[kind], 0, 1)[:4])
    return Curve(lowest, highest, kind == "hard_swish", slope, offset, number(0), number(1))


@njit
def activated(v, curve):
    """Return the activation of a number."""
    u = curve.lowest if v < curve.lowest else v
    u = curve.highest if u > curve.highest else u
    if curve.gated:
        gate = v * curve.slope + curve.offset
        gate = curve.closed if gate < curve.closed else gate
        gate = curve.opened if gate > curve.opened else gate
        u = u * gate
    return u


@njit
def activated_line(v, curve):
    """Return the activation of a line of numbers."""
    u = smaller(repeat_line(curve.highest), larger(repeat_line(curve.lowest), v))
    if curve.gated:
        gate = add(multiply(v, repeat_line(curve.slope)), repeat_line(curve.offset))
        gate = smaller(repeat_line(curve.opened), larger(repeat_line(curve.closed), gate))
        u = multiply(u, gate)
    return u
