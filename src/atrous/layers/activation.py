"""Rectifiers.

    ReLU    y = max(x, 0)             dx = dy where y > 0, else 0
    ReLU6   y = min(max(x, 0), 6)     dx = dy where 0 < y < 6, else 0

The slopes depend on y alone, so the caches refer to the output, which the next layer keeps anyway; x can be freed.

Role: public functions.

References
----------
Nair and Hinton, ICML 2010 (ReLU); Sandler et al., MobileNetV2, arXiv:1801.04381, Section 4 (ReLU6).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray


class ReluCache(NamedTuple):
    """What `relu_backward` needs: a reference to the output."""

    y: FloatArray


class Relu6Cache(NamedTuple):
    """What `relu6_backward` needs: a reference to the output."""

    y: FloatArray


@public
def relu_forward(x: FloatArray) -> tuple[FloatArray, ReluCache]:
    """Return max(x, 0).

    Parameters
    ----------
    x : ndarray of any shape
        float32 or float64. Never modified.

    Returns
    -------
    y : ndarray of the shape of `x`
        dtype of `x`; NaN stays NaN.
    cache : ReluCache
        A reference to `y`.

    Raises
    ------
    DTypeError, ShapeError
        `x` is not float32 or float64, or empty.

    Notes
    -----
    Cost: one pass in each direction; the backward pass also makes a mask of one byte per element.

    Examples
    --------
    >>> relu_forward(np.array([-1.0, 0.0, 2.0]))[0]
    array([0., 0., 2.])
    """
    y = np.clip(_check.float_array("relu_forward", "x", x, batch=True), 0, None)
    return y, ReluCache(y)


@public
def relu_backward(dy: FloatArray, cache: ReluCache) -> FloatArray:
    """Return dx of `relu_forward`: dy where y > 0, else 0, so the slope at 0 is 0. Where y is NaN, dx is dy."""
    (y,) = cache
    dy = _check.upstream("relu_backward", dy, y.shape, y)
    return np.where(y <= 0, 0, dy)


@public
def relu6_forward(x: FloatArray) -> tuple[FloatArray, Relu6Cache]:
    """Return min(max(x, 0), 6).

    Parameters
    ----------
    x : ndarray of any shape
        float32 or float64. Never modified.

    Returns
    -------
    y : ndarray of the shape of `x`
        dtype of `x`; NaN stays NaN.
    cache : Relu6Cache
        A reference to `y`.

    Raises
    ------
    DTypeError, ShapeError
        As for `relu_forward`.

    Examples
    --------
    >>> relu6_forward(np.array([-1.0, 2.0, 7.0]))[0]
    array([0., 2., 6.])
    """
    y = np.clip(_check.float_array("relu6_forward", "x", x, batch=True), 0, 6)
    return y, Relu6Cache(y)


@public
def relu6_backward(dy: FloatArray, cache: Relu6Cache) -> FloatArray:
    """Return dx of `relu6_forward`: dy where 0 < y < 6, else 0. Where y is NaN, dx is dy."""
    (y,) = cache
    dy = _check.upstream("relu6_backward", dy, y.shape, y)
    return np.where((y <= 0) | (y >= 6), 0, dy)
