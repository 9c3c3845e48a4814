"""Caffe's Interp layer: crop, then resize once, bilinearly with corners aligned, to a size given by factors.

Role: public functions. The resize and its adjoint are those of `resize`.

References
----------
Interp layer of the DeepLab v2 code in Caffe.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray, PerAxis
from atrous.errors import ParameterError, ShapeError
from atrous.layers.resize import ResizeCache, bilinear, bilinear_adjoint, check_planes


class InterpCache(NamedTuple):
    """What `interp_backward` needs: the input's shape, the cropped slices and how they were resized; no arrays."""

    shape: tuple[int, ...]
    inner: tuple[slice, slice]
    resized: ResizeCache


def _interp(owner, size, zoom, shrink, crop):
    """Return Interp's output size and the slices that its crop keeps."""
    size = _check.per_axis(owner, "size", size, 2, least=1)
    zoom, shrink = (_check.integer(owner, n, v, least=1) for n, v in (("zoom", zoom), ("shrink", shrink)))
    if np.shape(crop) != (2,):
        raise ParameterError(f"{owner}: crop must be (begin, end), two integers, got {crop!r}.")
    begin, end = _check.per_axis(owner, "crop", crop, 2, least=0)
    if begin + end >= min(size):
        raise ShapeError(f"{owner}: crop ({begin}, {end}) leaves nothing of {size} samples. Crop less.")
    shrunk = ((n - begin - end - 1) // shrink for n in size)
    return tuple(n * zoom + 1 for n in shrunk), tuple(slice(begin, n - end) for n in size)


def interp_size(size: PerAxis, *, zoom: int = 1, shrink: int = 1, crop: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """Return the output size of `interp_forward`.

    Along each axis, H ← H − begin − end, then H ← ⌊(H − 1) / shrink⌋ + 1, then H ← (H − 1)·zoom + 1.

    Parameters
    ----------
    size : int or (int, int)
        Rows and columns of the input.
    zoom, shrink, crop
        As for `interp_forward`.

    Returns
    -------
    (int, int)

    Raises
    ------
    ShapeError, ParameterError
        As for `interp_forward`.

    Examples
    --------
    >>> interp_size(65, zoom=8), interp_size(321, shrink=8), interp_size(306, shrink=8, crop=(1, 0))
    ((513, 513), (41, 41), (39, 39))
    """
    return _interp("interp_size", size, zoom, shrink, crop)[0]


@public
def interp_forward(
    x: FloatArray, *, zoom: int = 1, shrink: int = 1, crop: tuple[int, int] = (0, 0)
) -> tuple[FloatArray, InterpCache]:
    """Crop the last two axes, then resize them once, with corners aligned, to the size of `interp_size`.

    Parameters
    ----------
    x : ndarray of shape (..., H, W)
        float32 or float64. Never modified.
    zoom : int, default 1
        Spacing of the input's samples in the result: 8 turns H samples into 8·(H − 1) + 1.
    shrink : int, default 1
        Spacing of the samples that are kept: 8 turns H samples into ⌊(H − 1) / 8⌋ + 1.
    crop : (int, int), default (0, 0)
        Samples to cut off the beginning and the end of each axis first. Caffe's pad_beg and pad_end are the same
        numbers with a minus sign.

    Returns
    -------
    y : ndarray of shape (..., *interp_size(...))
        dtype of `x`.
    cache : InterpCache
        Sizes and the dtype; no arrays.

    Raises
    ------
    ShapeError
        Fewer than two axes, an empty array, a crop that leaves nothing, or a result that is too large.
    DTypeError
        `x` is not float32 or float64.
    ParameterError
        An option is not an integer in its range.

    Notes
    -----
    Cost: as for `resize_bilinear`. If shrink does not divide H − 1, the result is interpolated between samples.

    References
    ----------
    .. [1] Interp layer of the DeepLab v2 code in Caffe.

    Examples
    --------
    >>> interp_forward(np.arange(18.0).reshape(2, 9), shrink=4, zoom=2)[0]
    array([[0., 2., 4., 6., 8.]])
    """
    owner = "interp_forward"
    x = _check.float_array(owner, "x", x, batch=True)
    check_planes(owner, x)
    size, inner = _interp(owner, x.shape[-2:], zoom, shrink, crop)
    y, resized = bilinear(owner, x[(..., *inner)], size, True)
    return y, InterpCache(x.shape, inner, resized)


@public
def interp_backward(dy: FloatArray, cache: InterpCache) -> FloatArray:
    """Return dx of `interp_forward`, its exact adjoint: 0 where x was cropped."""
    dx = np.zeros(cache.shape, cache.resized.dtype)
    dx[(..., *cache.inner)] = bilinear_adjoint("interp_backward", dy, cache.resized)
    return dx
