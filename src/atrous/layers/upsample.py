"""Upsampling by an integer factor as a transposed convolution with a bilinear filter.

    y[i] = Σ_o x[o]·w[i + p − f·o]        w[k] = 1 − |k − c| / f,  c = (2f − 1 − f mod 2) / 2,  p = ⌈(f − 1) / 2⌉

along each axis. The filter has 2f − f mod 2 taps, of which at most two reach any output. Cropping p samples turns H
into f·H. Samples are the centres of pixels, and beyond the outermost centres the result falls towards 0. FCN
initialises the filters that it learns in this way, and Caffe its Deconvolution layers.

Role: public functions, composed of `conv.operators`.

References
----------
Long et al., arXiv:1411.4038, Section 3.3; bilinear filler of Caffe.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.conv.operators import atrous_conv
from atrous.conv.transpose import conv_transpose_forward
from atrous.errors import ShapeError


class UpsampleCache(NamedTuple):
    """What `upsample_backward` needs: the input's shape and dtype, and the factor."""

    shape: tuple[int, ...]
    factor: int
    dtype: np.dtype


@public
def bilinear_filter(factor: int, dtype: type = np.float64) -> FloatArray:
    """Return the bilinear filter that enlarges by `factor`.

    Parameters
    ----------
    factor : int
        How much larger each axis becomes.
    dtype : dtype, default float64
        float32 or float64.

    Returns
    -------
    ndarray of shape (k, k)
        k = 2·factor − factor mod 2.

    Raises
    ------
    ParameterError
        `factor` is not a positive integer.

    References
    ----------
    .. [1] Long et al., arXiv:1411.4038, Section 3.3; bilinear filler of Caffe.

    Examples
    --------
    >>> bilinear_filter(2)[1] / bilinear_filter(2)[1, 1], bilinear_filter(3)[2]
    (array([0.33333333, 1.        , 1.        , 0.33333333]), array([0.33333333, 0.66666667, 1.        , 0.66666667, 0.33333333]))
    """  # noqa: E501
    factor = _check.integer("bilinear_filter", "factor", factor, least=1)
    taps = 2 * factor - factor % 2
    line = 1 - np.abs(np.arange(taps) - (taps - 1) / 2) / factor
    return np.outer(line, line).astype(dtype)


def _convolution(channels, factor, dtype):
    """Return the filters and options of the convolution whose adjoint is the upsampling."""
    w = np.tile(bilinear_filter(factor, dtype), (channels, 1, 1, 1))
    return w, {"stride": factor, "padding": factor // 2, "groups": channels}


@public
def upsample_forward(x: FloatArray, factor: int) -> tuple[FloatArray, UpsampleCache]:
    """Enlarge the last two axes by an integer factor, each channel separately.

    Parameters
    ----------
    x : ndarray of shape (N, C, H, W)
        float32 or float64. Never modified.
    factor : int
        How much larger each axis becomes.

    Returns
    -------
    y : ndarray of shape (N, C, factor·H, factor·W)
        dtype of `x`.
    cache : UpsampleCache
        Shape, factor and dtype; no arrays.

    Raises
    ------
    ShapeError
        `x` does not have four axes, is empty, or the result has more than 2^31 - 1 elements.
    DTypeError
        `x` is not float32 or float64.
    ParameterError
        `factor` is not a positive integer.

    Notes
    -----
    Cost: 8 flops per output, like a depthwise convolution with stride `factor`. `resize_bilinear` with half-pixel
    centres gives the same except near the borders, where it repeats the border value.

    References
    ----------
    .. [1] Long et al., arXiv:1411.4038, Section 3.3.

    Examples
    --------
    >>> upsample_forward(np.full((1, 1, 1, 2), 16.0), 2)[0]
    array([[[[ 9., 12., 12.,  9.],
             [ 9., 12., 12.,  9.]]]])
    """
    owner = "upsample_forward"
    x = _check.float_array(owner, "x", x, batch=True)
    if x.ndim != 4:
        raise ShapeError(f"{owner}: x must be (N, C, H, W), got shape {x.shape}. For one grey image use x[None, None].")
    factor = _check.integer(owner, "factor", factor, least=1)
    _check.small_enough(owner, "the result of this factor,", (*x.shape[:2], *(factor * n for n in x.shape[2:])))
    w, options = _convolution(x.shape[1], factor, x.dtype)
    return conv_transpose_forward(x, w, **options)[0], UpsampleCache(x.shape, factor, x.dtype)


@public
def upsample_backward(dy: FloatArray, cache: UpsampleCache) -> FloatArray:
    """Return dx of `upsample_forward`, its exact adjoint: the strided convolution."""
    shape, factor, _ = cache
    dy = _check.upstream("upsample_backward", dy, (*shape[:2], *(factor * n for n in shape[2:])), cache)
    w, options = _convolution(shape[1], factor, dy.dtype)
    return atrous_conv(dy, w, **options)
