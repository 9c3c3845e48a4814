"""Branches joined into one: by their sum, by their maximum, or by concatenating their channels.

DeepLab v2 sums the scores of its parallel branches and takes the maximum over scaled copies of the image; v3 and v3+
concatenate.

    sum      dx_b = dy
    max      dx_b = dy where b is the first branch that reaches the maximum, else 0
    concat   dx_b = the channels of dy that came from b

Role: public functions. Cost: one pass over every branch and memory for the result.

References
----------
Chen et al., DeepLab v2, arXiv:1606.00915, Sections 3.2 and 4.1; DeepLab v3, arXiv:1706.05587, Section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.errors import ParameterError, ShapeError


class SumCache(NamedTuple):
    """What `sum_backward` needs: the number of branches, their shape and dtype."""

    count: int
    shape: tuple[int, ...]
    dtype: np.dtype


class MaxCache(NamedTuple):
    """What `max_backward` needs: references to the branches and the output."""

    arrays: tuple[FloatArray, ...]
    y: FloatArray


class ConcatCache(NamedTuple):
    """What `concat_backward` needs: the channels of each branch, the output's shape and the dtype."""

    channels: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype


def _branches(owner, arrays, *, free_channels=False):
    """Return the branches as a tuple of arrays of one shape; with `free_channels`, the channel counts may differ."""
    if isinstance(arrays, np.ndarray):
        raise ParameterError(
            f"{owner}: arrays must be a sequence of arrays, got one array of shape {arrays.shape}. Pass [x]."
        )
    arrays = tuple(arrays)
    if not arrays:
        raise ParameterError(f"{owner}: arrays must hold at least one array, got none.")
    first = _check.float_array(owner, "arrays[0]", arrays[0], batch=True)
    arrays = (
        first,
        *(_check.float_array(owner, f"arrays[{i}]", a, like=first, batch=True) for i, a in enumerate(arrays[1:], 1)),
    )
    shapes = [a.shape for a in arrays]
    compared = {(s[0], *s[2:]) if free_channels else s for s in shapes}
    if min(map(len, shapes)) < 2 or len(compared) > 1:
        what = "the same shape (N, C, *S)" + (", except for the channels C" if free_channels else "")
        raise ShapeError(
            f"{owner}: arrays must have {what}, got {', '.join(map(str, shapes))}. Bring them to one size with "
            "resize_bilinear."
        )
    return arrays


@public
def sum_forward(arrays: Iterable[FloatArray]) -> tuple[FloatArray, SumCache]:
    """Return the sum of arrays.

    Parameters
    ----------
    arrays : sequence of ndarrays of shape (N, C, *S)
        At least one; float32 or float64, all of one dtype. Never modified.

    Returns
    -------
    y : ndarray of shape (N, C, *S)
        dtype of the arrays, which are added from left to right.
    cache : SumCache
        Number, shape and dtype; no arrays.

    Raises
    ------
    ShapeError, DTypeError
        The arrays differ in shape or dtype, or one is empty or not float32 or float64.
    ParameterError
        No arrays, or one array instead of a sequence.

    References
    ----------
    .. [1] Chen et al., DeepLab v2, arXiv:1606.00915, Section 3.2 (ASPP).

    Examples
    --------
    >>> sum_forward([np.ones((1, 2)), np.full((1, 2), 3.0)])[0]
    array([[4., 4.]])
    """
    arrays = _branches("sum_forward", arrays)
    y = arrays[0].copy()
    with np.errstate(invalid="ignore", over="ignore"):
        for a in arrays[1:]:
            y += a
    return y, SumCache(len(arrays), y.shape, y.dtype)


@public
def sum_backward(dy: FloatArray, cache: SumCache) -> tuple[FloatArray, ...]:
    """Return the gradients of `sum_forward`: dy itself for each array, not copied."""
    return (_check.upstream("sum_backward", dy, cache.shape, cache),) * cache.count


@public
def max_forward(arrays: Iterable[FloatArray]) -> tuple[FloatArray, MaxCache]:
    """Return the element-wise maximum of arrays.

    Parameters
    ----------
    arrays : sequence of ndarrays of shape (N, C, *S)
        At least one; float32 or float64, all of one dtype. Never modified.

    Returns
    -------
    y : ndarray of shape (N, C, *S)
        dtype of the arrays; NaN where one is NaN.
    cache : MaxCache
        References to the arrays and to `y`.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `sum_forward`.

    References
    ----------
    .. [1] Chen et al., DeepLab v2, arXiv:1606.00915, Section 4.1 (scaled copies of the image).

    Examples
    --------
    >>> max_forward([np.array([[1.0, 5.0]]), np.array([[2.0, 4.0]])])[0]
    array([[2., 5.]])
    """
    arrays = _branches("max_forward", arrays)
    y = arrays[0].copy()
    for a in arrays[1:]:
        np.maximum(y, a, out=y)
    return y, MaxCache(arrays, y)


@public
def max_backward(dy: FloatArray, cache: MaxCache) -> tuple[FloatArray, ...]:
    """Return the gradients of `max_forward`: each dy goes to the first array with the maximum, or with a NaN."""
    arrays, y = cache
    dy = _check.upstream("max_backward", dy, y.shape, y)
    waiting = np.ones(y.shape, bool)
    gradients = []
    for a in arrays:
        won = ((a == y) | np.isnan(a)) & waiting
        waiting ^= won
        gradients.append(np.where(won, dy, 0))
    return tuple(gradients)


@public
def concat_forward(arrays: Iterable[FloatArray]) -> tuple[FloatArray, ConcatCache]:
    """Return the arrays concatenated along the channels.

    Parameters
    ----------
    arrays : sequence of ndarrays of shape (N, C_b, *S)
        At least one; float32 or float64, all of one dtype; any number of channels each. Never modified.

    Returns
    -------
    y : ndarray of shape (N, ΣC_b, *S)
        dtype of the arrays.
    cache : ConcatCache
        Numbers of channels, shape and dtype; no arrays.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `sum_forward`.

    References
    ----------
    .. [1] Chen et al., DeepLab v3, arXiv:1706.05587, Section 3.3.

    Examples
    --------
    >>> concat_forward([np.zeros((1, 1)), np.ones((1, 2))])[0]
    array([[0., 1., 1.]])
    """
    arrays = _branches("concat_forward", arrays, free_channels=True)
    y = np.concatenate(arrays, axis=1)
    return y, ConcatCache(tuple(a.shape[1] for a in arrays), y.shape, y.dtype)


@public
def concat_backward(dy: FloatArray, cache: ConcatCache) -> tuple[FloatArray, ...]:
    """Return the gradients of `concat_forward`: views of dy, each with the channels of one array."""
    dy = _check.upstream("concat_backward", dy, cache.shape, cache)
    return tuple(np.split(dy, list(accumulate(cache.channels))[:-1], axis=1))
