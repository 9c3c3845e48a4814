"""The sigmoid and the swish of MobileNetV3, in straight lines and a parabola.

    hard sigmoid    g = min(max(x/6 + 1/2, 0), 1)    dx = dy/6 where −3 < x < 3, else 0
    hard swish      y = x·g                          dx = dy·(x/3 + 1/2) there; 0 below, dy above

They bend at −3 and at 3, where the slope is the one outside.

Role: public functions.

References
----------
Howard et al., Searching for MobileNetV3, arXiv:1905.02244, Section 5.2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray


class HardSigmoidCache(NamedTuple):
    """What `hard_sigmoid_backward` needs: a reference to the input."""

    x: FloatArray


class HardSwishCache(NamedTuple):
    """What `hard_swish_backward` needs: a reference to the input, as two inputs may give the same output."""

    x: FloatArray


def _gate(x):
    return np.clip(x / 6 + x.dtype.type(0.5), 0, 1)


@public
def hard_sigmoid_forward(x: FloatArray) -> tuple[FloatArray, HardSigmoidCache]:
    """Return min(max(x/6 + 1/2, 0), 1). Arguments and errors are those of `relu_forward`; the cache refers to x.

    Examples
    --------
    >>> hard_sigmoid_forward(np.array([-3.0, 0.0, 1.5, 4.0]))[0]
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    x = _check.float_array("hard_sigmoid_forward", "x", x, batch=True)
    return _gate(x), HardSigmoidCache(x)


@public
def hard_sigmoid_backward(dy: FloatArray, cache: HardSigmoidCache) -> FloatArray:
    """Return dx of `hard_sigmoid_forward`: dy/6 where −3 < x < 3, else 0. Where x is NaN, dx is dy/6."""
    (x,) = cache
    dy = _check.upstream("hard_sigmoid_backward", dy, x.shape, x)
    return np.where((x <= -3) | (x >= 3), 0, dy / 6)


@public
def hard_swish_forward(x: FloatArray) -> tuple[FloatArray, HardSwishCache]:
    """Return x·min(max(x/6 + 1/2, 0), 1), and 0 for −inf. Arguments and errors are those of `relu_forward`.

    Examples
    --------
    >>> hard_swish_forward(np.array([-3.0, -1.5, 0.0, 4.0]))[0]
    array([ 0.   , -0.375,  0.   ,  4.   ])
    """
    x = _check.float_array("hard_swish_forward", "x", x, batch=True)
    with np.errstate(invalid="ignore"):  # −inf · 0
        return np.where(x <= -3, 0, x * _gate(x)), HardSwishCache(x)


@public
def hard_swish_backward(dy: FloatArray, cache: HardSwishCache) -> FloatArray:
    """Return dx of `hard_swish_forward`: 0 for x ≤ −3, dy for x ≥ 3, dy·(x/3 + 1/2) between."""
    (x,) = cache
    dy = _check.upstream("hard_swish_backward", dy, x.shape, x)
    with np.errstate(invalid="ignore", over="ignore"):
        between = dy * (x / 3 + x.dtype.type(0.5))
    return np.where(x <= -3, 0, np.where(x >= 3, dy, between))
