"""The logistic sigmoid, as the gate of Lite R-ASPP and the probability of a network with one class.

    y = 1 / (1 + e^−x)        dx = dy·y·(1 − y)

With t = e^−|x|, which cannot overflow, y is 1 / (1 + t) for x ≥ 0 and t / (1 + t) below. The slope depends on y alone,
so the cache refers to the output.

Role: public functions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray


class SigmoidCache(NamedTuple):
    """What `sigmoid_backward` needs: a reference to the output."""

    y: FloatArray


@public
def sigmoid_forward(x: FloatArray) -> tuple[FloatArray, SigmoidCache]:
    """Return 1 / (1 + e^−x). Arguments and errors are those of `relu_forward`; NaN stays NaN.

    Examples
    --------
    >>> sigmoid_forward(np.array([-1000.0, 0.0, 1000.0]))[0]
    array([0. , 0.5, 1. ])
    """
    x = _check.float_array("sigmoid_forward", "x", x, batch=True)
    with np.errstate(under="ignore"):
        t = np.exp(-np.abs(x))
        y = np.where(x < 0, t, 1) / (1 + t)
    return y, SigmoidCache(y)


@public
def sigmoid_backward(dy: FloatArray, cache: SigmoidCache) -> FloatArray:
    """Return dx of `sigmoid_forward`: dy·y·(1 − y)."""
    (y,) = cache
    return _check.upstream("sigmoid_backward", dy, y.shape, y) * y * (1 - y)
