"""Softmax and its logarithm along one axis.

    p = exp(x − max x) / Σ exp(x − max x)        dx = p·(dy − Σ dy·p)
    ℓ = x − max x − log Σ exp(x − max x)         dx = dy − exp(ℓ)·Σ dy

Subtracting the maximum does not change the result and keeps exp from overflowing. The caches refer to the output.

Role: public functions. Cost: one copy of x and about four passes in each direction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.errors import ParameterError


class SoftmaxCache(NamedTuple):
    """What `softmax_backward` needs: a reference to the output, and the axis."""

    y: FloatArray
    axis: int


class LogSoftmaxCache(NamedTuple):
    """What `log_softmax_backward` needs: a reference to the output, and the axis."""

    y: FloatArray
    axis: int


def less_maximum(x, axis):
    """Return x − max x along the axis as a new C-contiguous array; its exp neither overflows nor sums to 0."""
    return np.subtract(x, x.max(axis=axis, keepdims=True), order="C")


def _centred(owner, x, axis):
    x = _check.float_array(owner, "x", x, batch=True)
    axis = _check.integer(owner, "axis", axis, least=-x.ndim)
    if axis >= x.ndim:
        raise ParameterError(f"{owner}: axis must be below {x.ndim}, the number of axes of x {x.shape}; got {axis}.")
    return less_maximum(x, axis)


@public
def softmax_forward(x: FloatArray, *, axis: int = 1) -> tuple[FloatArray, SoftmaxCache]:
    """Return exp(x) / Σ exp(x), summed along one axis: probabilities from scores.

    Parameters
    ----------
    x : ndarray of any shape
        float32 or float64. Never modified.
    axis : int, default 1
        The axis of the classes.

    Returns
    -------
    y : ndarray of the shape of `x`
        dtype of `x`; sums to 1 along `axis`. A score of −∞ gives 0; a NaN or +∞ gives NaN all along `axis`.
    cache : SoftmaxCache
        A reference to `y`.

    Raises
    ------
    ShapeError, DTypeError
        `x` is empty, or not float32 or float64.
    ParameterError
        `axis` is not an axis of `x`.

    Examples
    --------
    >>> softmax_forward(np.array([[0.0, np.log(3.0)]]))[0]
    array([[0.25, 0.75]])
    """
    with np.errstate(invalid="ignore", over="ignore"):
        y = _centred("softmax_forward", x, axis)
        np.exp(y, out=y)
        y /= y.sum(axis=axis, keepdims=True)
    return y, SoftmaxCache(y, axis)


@public
def softmax_backward(dy: FloatArray, cache: SoftmaxCache) -> FloatArray:
    """Return dx = y·(dy − Σ dy·y) of `softmax_forward`."""
    y, axis = cache
    dy = _check.upstream("softmax_backward", dy, y.shape, y)
    with np.errstate(invalid="ignore", over="ignore"):
        dx = dy * y
        return dx - y * dx.sum(axis=axis, keepdims=True)


@public
def log_softmax_forward(x: FloatArray, *, axis: int = 1) -> tuple[FloatArray, LogSoftmaxCache]:
    """Return x − log Σ exp(x), summed along one axis: log-probabilities from scores.

    Parameters
    ----------
    x, axis
        As for `softmax_forward`.

    Returns
    -------
    y : ndarray of the shape of `x`
        dtype of `x`; at most 0, and finite where the probability itself would round to 0.
    cache : LogSoftmaxCache
        A reference to `y`.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `softmax_forward`.

    Examples
    --------
    >>> log_softmax_forward(np.array([[0.0, 1000.0]]))[0]
    array([[-1000.,     0.]])
    """
    with np.errstate(invalid="ignore", over="ignore"):
        y = _centred("log_softmax_forward", x, axis)
        y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y, LogSoftmaxCache(y, axis)


@public
def log_softmax_backward(dy: FloatArray, cache: LogSoftmaxCache) -> FloatArray:
    """Return dx = dy − exp(y)·Σ dy of `log_softmax_forward`."""
    y, axis = cache
    dy = _check.upstream("log_softmax_backward", dy, y.shape, y)
    with np.errstate(invalid="ignore", over="ignore"):
        return dy - np.exp(y) * dy.sum(axis=axis, keepdims=True)
