"""Bilinear resizing and its adjoint, for two ways to align the grids of input and output.

Along an axis of H samples resized to O, output o reads the input at

    corners aligned     p = o·(H − 1) / (O − 1), or 0 if O = 1; the first and the last samples coincide
    half-pixel centres  p = (o + ½)·H / O − ½, clipped to [0, H − 1]; the borders of the images coincide

    y[o] = (1 − t)·x[i] + t·x[i + 1]        i = ⌊p⌋, t = p − i

DeepLab's papers and Caffe's Interp layer align corners: enlarging 41 samples by 8 gives 321 = 8·(41 − 1) + 1 samples,
of which every eighth is an input sample. p is a ratio of integers, so i and t come from integer division: where the
grids coincide, t is exactly 0 and only x[i] is read.

Role: public functions. Axes are resized one at a time, each with two lists of taps.

References
----------
Chen et al., DeepLab v2, arXiv:1606.00915, Section 3.1; Interp layer of the DeepLab v2 code in Caffe.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray, PerAxis
from atrous.errors import DTypeError, ShapeError

# Rows first, then columns.
AXES = (-2, -1)


class ResizeCache(NamedTuple):
    """What `bilinear_backward` needs: sizes and the dtype, no arrays."""

    shape: tuple[int, ...]
    size: tuple[int, int]
    align_corners: bool
    dtype: np.dtype


def sample_positions(samples, outputs, align_corners):
    """Return (i, remainder, divisor) with p = i + remainder / divisor, all integers, for each output."""
    o = np.arange(outputs, dtype=np.int64)
    if align_corners:
        divisor = max(outputs - 1, 1)
        numerator = o * (samples - 1)
    else:
        divisor = 2 * outputs
        numerator = np.clip((2 * o + 1) * samples - outputs, 0, (samples - 1) * divisor)
    return *np.divmod(numerator, divisor), divisor


def first_taps(samples, outputs, align_corners, dtype):
    """Return (i, w, v): output o is w[o]·x[i[o]] + v[o]·x[i[o] + 1], and v[o] is 0 where i[o] + 1 may be outside."""
    i, remainder, divisor = sample_positions(samples, outputs, align_corners)
    t = remainder / divisor
    return i, (1 - t).astype(dtype), t.astype(dtype)


def _taps(samples, outputs, align_corners, dtype):
    """Return two lists of taps along one axis, as (outputs, inputs, weights); a list writes to each output once."""
    i, w, v = first_taps(samples, outputs, align_corners, dtype)
    between = np.flatnonzero(v)
    return (np.arange(outputs), i, w), (between, i[between] + 1, v[between])


def _at(index, axis):
    """Return the subscript that takes `index` along one of the last two axes."""
    return (..., index) if axis == -1 else (..., index, slice(None))


def _along(weights, axis):
    return weights if axis == -1 else weights[:, None]


def _spread(x, outputs, axis, align_corners):
    """Return x resized along one axis."""
    (_, i, w), (between, j, v) = _taps(x.shape[axis], outputs, align_corners, x.dtype)
    y = x[_at(i, axis)] * _along(w, axis)
    y[_at(between, axis)] += x[_at(j, axis)] * _along(v, axis)
    return y


def _gather(dy, samples, axis, align_corners):
    """Return the adjoint of `_spread`; the inputs of a list of taps are sorted, so equal ones are summed as runs."""
    dx = np.zeros((*dy.shape[:axis], samples, *dy.shape[axis:][1:]), dy.dtype)
    for o, i, w in _taps(samples, dy.shape[axis], align_corners, dy.dtype):
        if i.size:
            starts = np.flatnonzero(np.diff(i, prepend=-1))
            dx[_at(i[starts], axis)] += np.add.reduceat(dy[_at(o, axis)] * _along(w, axis), starts, axis)
    return dx


def check_planes(owner, x):
    """Refuse what has no pixels to resize."""
    if x.ndim < 2:
        raise ShapeError(f"{owner}: the array must be (..., H, W), at least two axes, got shape {x.shape}.")
    if 0 in x.shape[-2:]:
        raise ShapeError(f"{owner}: the array is empty, x has shape {x.shape}. H and W must be at least 1.")


def checked_size(owner, x, size):
    """Return the two sizes after checking them and x's axes."""
    check_planes(owner, x)
    size = _check.per_axis(owner, "size", size, 2, least=1)
    _check.small_enough(owner, "the result of this size,", (*x.shape[:-2], *size))
    return size


def bilinear(owner, x, size, align_corners):
    """Return (y, ResizeCache) of `bilinear_forward`; errors name `owner`."""
    x = _check.float_array(owner, "x", x, batch=True)
    size = checked_size(owner, x, size)
    y = x
    with np.errstate(invalid="ignore", over="ignore"):
        for axis, outputs in zip(AXES, size, strict=True):
            y = _spread(y, outputs, axis, align_corners)
    return y, ResizeCache(x.shape, size, bool(align_corners), x.dtype)


def bilinear_adjoint(owner, dy, cache):
    """Return dx of `bilinear_backward`; errors name `owner`."""
    dx = _check.upstream(owner, dy, (*cache.shape[:-2], *cache.size), cache)
    with np.errstate(invalid="ignore", over="ignore"):
        for axis, samples in zip(AXES[::-1], cache.shape[:-3:-1], strict=True):
            dx = _gather(dx, samples, axis, cache.align_corners)
    return dx


@public
def resize_bilinear(x: FloatArray, size: PerAxis, *, align_corners: bool = True) -> FloatArray:
    """Resize the last two axes bilinearly.

    Parameters
    ----------
    x : ndarray of shape (..., H, W)
        float32 or float64; images, features or scores. Never modified.
    size : int or (int, int)
        Rows and columns to return, in samples.
    align_corners : bool, default True
        True: the corner samples coincide, as in DeepLab's papers. False, PyTorch's default: the borders of the images
        coincide and samples are the centres of pixels; beyond the outermost centres the border value is repeated.

    Returns
    -------
    ndarray of shape (..., *size)
        dtype of `x`.

    Raises
    ------
    ShapeError
        Fewer than two axes, an empty array, or a result with more than 2^31 - 1 elements.
    DTypeError
        `x` is not float32 or float64.
    ParameterError
        `size` is not one or two positive integers, or `align_corners` not a bool.

    Notes
    -----
    Cost: about 4 flops per output; memory for the result and a few copies of it. Shrinking reads two neighbours
    whatever the factor; it does not average. NaN and inf reach exactly the outputs that read them.

    References
    ----------
    .. [1] Chen et al., DeepLab v2, arXiv:1606.00915, Section 3.1.

    Examples
    --------
    >>> resize_bilinear(np.array([[0.0, 4.0], [8.0, 12.0]]), (3, 5))
    array([[ 0.,  1.,  2.,  3.,  4.],
           [ 4.,  5.,  6.,  7.,  8.],
           [ 8.,  9., 10., 11., 12.]])
    """
    return bilinear("resize_bilinear", x, size, align_corners)[0]


@public
def bilinear_forward(x: FloatArray, size: PerAxis, *, align_corners: bool = True) -> tuple[FloatArray, ResizeCache]:
    """Return the result of `resize_bilinear` and the cache for `bilinear_backward`.

    Parameters
    ----------
    x, size, align_corners
        As for `resize_bilinear`.

    Returns
    -------
    y : ndarray of shape (..., *size)
        As for `resize_bilinear`.
    cache : ResizeCache
        Sizes and the dtype; no arrays.

    Examples
    --------
    >>> y, cache = bilinear_forward(np.ones((1, 21, 41, 41)), 8 * (41 - 1) + 1)
    >>> y.shape
    (1, 21, 321, 321)
    """
    return bilinear("bilinear_forward", x, size, align_corners)


@public
def bilinear_backward(dy: FloatArray, cache: ResizeCache) -> FloatArray:
    """Return dx of `bilinear_forward`, its exact adjoint: dx[i] = Σ_o A[o, i]·dy[o] where y = A x along each axis.

    Parameters
    ----------
    dy : ndarray of shape (..., *size)
        Gradient of the loss with respect to the output, dtype of x.
    cache : ResizeCache
        From `bilinear_forward`.

    Returns
    -------
    ndarray of shape (..., H, W)
        dtype of `dy`.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        `dy` does not have the shape and dtype of the output, or `cache` is not from `bilinear_forward`.

    Notes
    -----
    Cost: as for the forward pass. The order of all additions is fixed.

    Examples
    --------
    >>> y, cache = bilinear_forward(np.array([[0.0, 2.0]]), (1, 3))
    >>> bilinear_backward(np.ones_like(y), cache)
    array([[1.5, 1.5]])
    """
    owner = "bilinear_backward"
    return bilinear_adjoint(owner, dy, cache)


@public
def resize_labels(labels: Array, size: PerAxis, *, align_corners: bool = True) -> Array:
    """Resize a map of integers by nearest neighbour; of two equally near samples, the later one is taken.

    Parameters
    ----------
    labels : ndarray of shape (..., H, W)
        Integers or bools of any width. Never modified.
    size, align_corners
        As for `resize_bilinear`.

    Returns
    -------
    ndarray of shape (..., *size)
        dtype of `labels`; holds only labels of the input.

    Raises
    ------
    ShapeError, ParameterError
        As for `resize_bilinear`.
    DTypeError
        `labels` are not integers.

    Notes
    -----
    Cost: one copy per axis. Shrinking 8k + 1 samples to k + 1 gives ``labels[..., ::8, ::8]``, which is how DeepLab
    shrinks its ground truth.

    Examples
    --------
    >>> resize_labels(np.array([[0, 1], [2, 255]]), (3, 4))
    array([[  0,   0,   1,   1],
           [  2,   2, 255, 255],
           [  2,   2, 255, 255]])
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iub":
        raise DTypeError(
            f"resize_labels: labels must be integers, got {labels.dtype}. For scores use resize_bilinear; otherwise "
            "convert with labels.astype(np.int64)."
        )
    size = checked_size("resize_labels", labels, size)
    for axis, outputs in zip(AXES, size, strict=True):
        i, remainder, divisor = sample_positions(labels.shape[axis], outputs, align_corners)
        labels = labels[_at(i + (2 * remainder >= divisor), axis)]
    return labels
