"""Transposed atrous convolution: the adjoint of the convolution in x, for users.

Role: public functions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray, Padding, PerAxis
from atrous.conv.effective_kernel import effective_kernel
from atrous.conv.geometry import ConvGeometry, conv_geometry, drop, lift
from atrous.conv.methods import method_named
from atrous.conv.padding import is_same_tf, resolve_padding
from atrous.errors import ShapeError


class TransposeCache(NamedTuple):
    """What `conv_transpose_backward` needs: references to y and w, and the geometry of the convolution it reverses."""

    y: FloatArray
    w: FloatArray
    geometry: ConvGeometry
    method: str


class TransposeGrads(NamedTuple):
    """Gradients with respect to y and w, in this order."""

    dy: FloatArray
    dw: FloatArray


def _transpose_geometry(owner, y, w, rate, stride, padding, groups, size):
    """Return the geometry of the convolution from `size` samples to y; None stands for the default of `size`."""
    rank = y.ndim - 2
    if rank not in (1, 2, 3) or w.ndim != y.ndim:
        raise ShapeError(
            f"{owner}: y must be (N, F, *O) and w (F, C/groups, *K) with the same 1 to 3 spatial axes; got "
            f"{y.shape} and {w.shape}."
        )
    if y.shape[1] != w.shape[0]:
        raise ShapeError(f"{owner}: w has {w.shape[0]} filters but y has {y.shape[1]} channels; {w.shape}, {y.shape}.")
    groups = _check.integer(owner, "groups", groups, least=1)
    rates = _check.per_axis(owner, "rate", rate, rank, least=1)
    strides = _check.per_axis(owner, "stride", stride, rank, least=1)
    out, kernel = y.shape[2:], w.shape[2:]
    if is_same_tf(padding):
        smallest = tuple((o - 1) * s + 1 for o, s in zip(out, strides, strict=True))
        default = tuple(o * s for o, s in zip(out, strides, strict=True))
    else:
        pads = resolve_padding(owner, padding, kernel, rates, strides, None)
        smallest = default = tuple(
            (o - 1) * s + effective_kernel(k, r) - sum(pair)
            for o, s, k, r, pair in zip(out, strides, kernel, rates, pads, strict=True)
        )
    sizes = default if size is None else _check.per_axis(owner, "size", size, rank, least=1)
    if min(low + s for low, s in zip(smallest, strides, strict=True)) <= 1:
        raise ShapeError(f"{owner}: with this padding no input gives outputs {out}. Lower padding.")
    fits = all(low <= n < low + s for n, low, s in zip(sizes, smallest, strides, strict=True))
    if min(sizes) < 1 or not fits:
        ranges = ", ".join(f"{max(1, low)} to {low + s - 1}" for low, s in zip(smallest, strides, strict=True))
        raise ShapeError(
            f"{owner}: an input of size {tuple(sizes)} does not give outputs {out}; along each axis it must be "
            f"{ranges}. Change size or padding."
        )
    x_shape = (y.shape[0], w.shape[1] * groups, *sizes)
    _check.small_enough(owner, "the result of this stride and rate,", x_shape)
    return conv_geometry(x_shape, w.shape, rate=rates, stride=strides, padding=padding, groups=groups, owner=owner)


def _transpose(owner, y, w, rate, stride, padding, groups, size, method):
    y = _check.float_array(owner, "y", y, batch=True)
    w = _check.float_array(owner, "w", w, like=y)
    g = _transpose_geometry(owner, y, w, rate, stride, padding, groups, size)
    x = method_named(owner, method, g, y.dtype).backward_input(lift(y), lift(w), g)
    return np.ascontiguousarray(drop(x, y.ndim - 2)), TransposeCache(y, w, g, method)


@public
def atrous_conv_transpose(
    y: FloatArray,
    w: FloatArray,
    *,
    rate: PerAxis = 1,
    stride: PerAxis = 1,
    padding: Padding = "same",
    groups: int = 1,
    size: PerAxis | None = None,
    method: str = "auto",
) -> FloatArray:
    """Apply the adjoint of `atrous_conv` in x: ⟨atrous_conv(x, w), y⟩ = ⟨x, atrous_conv_transpose(y, w)⟩.

    Parameters
    ----------
    y : ndarray of shape (N, F, *O)
        float32 or float64; what the convolution would return.
    w : ndarray of shape (F, C/groups, *K)
        The filters in the layout of the convolution: here F is the number of *input* channels.
    rate, stride, padding, groups, method
        Those of the convolution, as for `atrous_conv`.
    size : int or one int per axis, optional
        Spatial size of the result. With a stride above 1, inputs of several sizes give the same output size; the
        default is the smallest of them. With padding="same_tf" it is the largest, O·stride, as in Keras.

    Returns
    -------
    ndarray of shape (N, C, *size)

    Raises
    ------
    ShapeError, DTypeError, ParameterError, BackendUnavailable
        As for `atrous_conv`; also if a convolution of `size` does not give the size of y.

    Examples
    --------
    >>> atrous_conv_transpose(np.array([[[1.0, 2.0]]]), np.array([[[1.0, 1.0]]]), stride=2, padding="valid")
    array([[[1., 1., 2., 2.]]])
    """
    return _transpose("atrous_conv_transpose", y, w, rate, stride, padding, groups, size, method)[0]


@public
def conv_transpose_forward(
    y: FloatArray,
    w: FloatArray,
    *,
    rate: PerAxis = 1,
    stride: PerAxis = 1,
    padding: Padding = "same",
    groups: int = 1,
    size: PerAxis | None = None,
    method: str = "auto",
) -> tuple[FloatArray, TransposeCache]:
    """Return `atrous_conv_transpose` of the same arguments and what its backward pass needs (no bulk)."""
    return _transpose("conv_transpose_forward", y, w, rate, stride, padding, groups, size, method)


@public
def conv_transpose_backward(dx: FloatArray, cache: TransposeCache) -> TransposeGrads:
    """Return TransposeGrads(dy, dw) from the gradient with respect to the result (N, C, *size).

    The adjoint of an adjoint is the map itself: dy is the convolution of dx, and dw pairs y with dx as `conv_backward`
    pairs dy with x.
    """
    owner = "conv_transpose_backward"
    y, w, g, method = cache
    rank = y.ndim - 2
    dx = _check.upstream(owner, dx, (g.n, g.c, *g.size[3 - rank :]), y, name="dx")
    maps = method_named(owner, method, g, dx.dtype)
    dy = maps.forward(lift(dx), lift(w), g)
    dw = maps.backward_weight(lift(y), lift(dx), g)
    return TransposeGrads(np.ascontiguousarray(drop(dy, rank)), np.ascontiguousarray(drop(dw, rank)))
