"""Atrous convolution as users call it: check once, lift to three axes, hand over to a method, drop the axes again.

Role: public edge. Forward and backward stand side by side; bias, padding and the choice of a method are handled here
and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._types import FloatArray, Padding, PerAxis
from atrous.conv.geometry import ConvGeometry, conv_geometry, drop, lift
from atrous.conv.padding import effective_kernel, resolve_padding
from atrous.conv.shift import reached
from atrous.errors import ParameterError, ShapeError
from atrous.jit import gpu

METHODS = ("reference", "upsampled", "im2col", "interlace", "shift", "direct", "cuda")


class Method(NamedTuple):
    """The three maps of a method: each from arrays (N, C, D, H, W) and a ConvGeometry to an array."""

    forward: Callable[..., FloatArray]
    backward_input: Callable[..., FloatArray]
    backward_weight: Callable[..., FloatArray]


class ConvCache(NamedTuple):
    """What `conv_backward` needs: references to the caller's x and w (no copy, no columns) and how they were joined."""

    x: FloatArray
    w: FloatArray
    has_bias: bool
    geometry: ConvGeometry
    method: str


class ConvGrads(NamedTuple):
    """Gradients with respect to x, w and b, in the order of the inputs; db is None where no bias was given."""

    dx: FloatArray
    dw: FloatArray
    db: FloatArray | None


def available_methods():
    """Return the names of the methods that run on host arrays on this machine."""
    return METHODS if gpu.why_not() is None else METHODS[:-1]


def choose_method(g):
    """Return what ``method="auto"`` stands for, from the geometry alone.

    ``direct`` where every group has a single input channel (a depthwise convolution: no sum over channels for BLAS to
    speed up); ``shift`` where a product has at least 128 channels to sum over, the stride is 1, and either a tenth or
    more of the taps lie on zeros or the columns of im2col would outweigh the output (C ≥ 4 F); ``im2col`` elsewhere.
    """
    if g.c == g.groups and g.c > 1:
        return "direct"
    if g.groups == 1 and g.c >= 128 and g.stride == (1, 1, 1) and g.kernel != (1, 1, 1):
        read = math.prod(
            sum(o.stop - o.start for _, o, _ in reached(g, axis)) / (g.kernel[axis] * g.out[axis]) for axis in range(3)
        )
        if read <= 0.9 or g.c >= 4 * g.f:
            return "shift"
    return "im2col"


def method_named(owner, name, g):
    """Return the Method of that name; "interlace:direct" is interlace with direct as the inner convolution."""
    name = choose_method(g) if name == "auto" else name
    outer, colon, inner = str(name).partition(":")
    if outer not in METHODS or (colon and (outer != "interlace" or inner not in METHODS or inner == "interlace")):
        listed = ", ".join(repr(m) for m in ("auto", *METHODS))
        raise ParameterError(
            f"{owner}: method must be one of {listed}, or 'interlace:' and one of the others; got {name!r}."
        )
    if "cuda" in (outer, inner):
        gpu.require(owner)
    module = import_module(f"atrous.conv.{outer}")
    maps = [module.forward, module.backward_input, module.backward_weight]
    if inner:
        maps = [partial(a_map, inner=import_module(f"atrous.conv.{inner}")) for a_map in maps]
    return Method(*map(_quiet, maps))


def _quiet(a_map):
    """Let NaN, inf and overflow pass as compiled loops do: BLAS may raise flags for lanes that nobody reads."""

    def run(*arguments):
        with np.errstate(invalid="ignore", over="ignore"):
            return a_map(*arguments)

    return run


def _checked(owner, x, w, b, options):
    """Return x, w and b as arrays and the geometry of their convolution."""
    x = _check.float_array(owner, "x", x)
    w = _check.float_array(owner, "w", w, like=x)
    g = conv_geometry(x.shape, w.shape, owner=owner, **options)
    if b is not None:
        b = _check.float_array(owner, "b", b, like=x)
        if b.shape != (g.f,):
            raise ShapeError(f"{owner}: b must have shape ({g.f},), one number a filter, got {b.shape}.")
    return x, w, b, g


def _forward(owner, x, w, b, g, method):
    y = method_named(owner, method, g).forward(lift(x), lift(w), g)
    if b is not None:
        y = y + b[:, None, None, None]
    return np.ascontiguousarray(drop(y, x.ndim - 2))


def atrous_conv(
    x: FloatArray,
    w: FloatArray,
    b: FloatArray | None = None,
    *,
    rate: PerAxis = 1,
    stride: PerAxis = 1,
    padding: Padding = "same",
    groups: int = 1,
    method: str = "auto",
) -> FloatArray:
    """Convolve with taps `rate` samples apart.

    y[n, f, o] = b[f] + Σ_{c, k} x̃[n, c, stride·o + rate·k] · w[f, c, k], where x̃ is x with its zeros; the filter is
    not mirrored (cross-correlation, as in all of deep learning), and c runs over the channels of f's group.

    Parameters
    ----------
    x : ndarray of shape (N, C, *S)
        Input, float32 or float64, 1 to 3 spatial axes. Never modified; any memory layout.
    w : ndarray of shape (F, C/groups, *K)
        Filters, dtype of `x`.
    b : ndarray of shape (F,), optional
        Bias.
    rate : int or one int per axis, default 1
        Distance between taps, in input samples; 1 is ordinary convolution. PyTorch calls it dilation. A filter of K
        taps spans k_e = rate·(K − 1) + 1 samples.
    stride : int or one int per axis, default 1
        Distance between outputs, in input samples.
    padding : {"same", "valid"}, int, one int per axis, or one pair (before, after) per axis
        Zeros around the input. "same" adds k_e − 1 zeros in all, the odd one at the end, whatever the stride: the
        output is the stride-1 result ``[::stride]``.
    groups : int, default 1
        Channel groups convolved apart; C and F are multiples of it.
    method : str, default "auto"
        "reference", "upsampled", "im2col", "interlace" (or "interlace:direct" and so on, which names the inner
        convolution), "shift", "direct", "cuda"; see ``CONV_METHODS`` for those usable here. "auto" takes "direct" for
        depthwise convolutions, "shift" where many channels meet taps on zeros or few filters, and "im2col" otherwise.
        All agree to rounding.

    Returns
    -------
    ndarray of shape (N, F, *O)
        O = ⌊(S + zeros − k_e) / stride⌋ + 1; dtype of `x`, C-contiguous.

    Raises
    ------
    ShapeError
        Axes or channels do not fit, an array is empty or too large, the kernel exceeds the padded input.
    DTypeError
        `x` is not float32 or float64, or `w` or `b` differ from it.
    ParameterError
        An option outside its range, or an unknown method.
    BackendUnavailable
        ``method="cuda"`` without a GPU.

    Notes
    -----
    Cost: 2·N·F·(C/groups)·ΠK·ΠO flops, whatever the rate. Extra memory: see the module of each method. NaN and inf in x
    reach exactly the outputs whose taps read them, except in "upsampled"; an infinite or NaN weight also meets the
    zeros around x where a method multiplies them.

    References
    ----------
    .. [1] Chen et al., DeepLab v2, arXiv:1606.00915, Section 3.1, Equation (1).

    Examples
    --------
    >>> x = np.arange(7.0).reshape(1, 1, 7)
    >>> atrous_conv(x, np.array([[[1.0, 0.0, -1.0]]]), rate=2)
    array([[[-2., -3., -4., -4., -4.,  3.,  4.]]])
    """
    options = {"rate": rate, "stride": stride, "padding": padding, "groups": groups}
    x, w, b, g = _checked("atrous_conv", x, w, b, options)
    return _forward("atrous_conv", x, w, b, g, method)


def conv_forward(
    x: FloatArray,
    w: FloatArray,
    b: FloatArray | None = None,
    *,
    rate: PerAxis = 1,
    stride: PerAxis = 1,
    padding: Padding = "same",
    groups: int = 1,
    method: str = "auto",
) -> tuple[FloatArray, ConvCache]:
    """Return the atrous convolution and what its backward pass needs.

    Parameters
    ----------
    x, w, b, rate, stride, padding, groups, method
        As for `atrous_conv`.

    Returns
    -------
    y : ndarray of shape (N, F, *O)
        As `atrous_conv` gives it.
    cache : ConvCache
        References to `x` and `w`, the geometry and the method; no arrays of its own.

    Examples
    --------
    >>> y, cache = conv_forward(np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3)), rate=2)
    >>> y.shape
    (1, 1, 5, 5)
    """
    options = {"rate": rate, "stride": stride, "padding": padding, "groups": groups}
    x, w, b, g = _checked("conv_forward", x, w, b, options)
    return _forward("conv_forward", x, w, b, g, method), ConvCache(x, w, b is not None, g, method)


def conv_backward(dy: FloatArray, cache: ConvCache) -> ConvGrads:
    """Return the gradients of a loss with respect to x, w and b, given its gradient with respect to y.

    dx[n, c, i] = Σ_{f, o, k : s·o + r·k − p = i} dy[n, f, o] · w[f, c, k]
    dw[f, c, k] = Σ_{n, o} dy[n, f, o] · x̃[n, c, s·o + r·k]
    db[f] = Σ_{n, o} dy[n, f, o]

    Parameters
    ----------
    dy : ndarray of shape (N, F, *O)
        Gradient of the loss with respect to the output, dtype of x.
    cache : ConvCache
        From `conv_forward`; may be used again.

    Returns
    -------
    ConvGrads
        (dx, dw, db), each of the shape of its input.

    Raises
    ------
    ShapeError
        `dy` has another shape than the output.
    DTypeError
        `dy` has another dtype than the output.

    Notes
    -----
    Cost: about twice the forward pass. dx is the exact adjoint of the forward map in x, dw that of the map in w.
    In dw, a NaN or inf of dy also meets the zeros around x where a method multiplies them ("direct", "cuda" do not).
    """
    owner = "conv_backward"
    x, w, has_bias, g, method = _check.own_cache(owner, cache, ConvCache)
    rank = x.ndim - 2
    dy = _check.upstream(owner, dy, (g.n, g.f, *g.out[3 - rank :]), x)
    maps = method_named(owner, method, g)
    dx = maps.backward_input(lift(dy), lift(w), g)
    dw = maps.backward_weight(lift(dy), lift(x), g)
    db = dy.sum(axis=(0, *range(2, dy.ndim))) if has_bias else None
    return ConvGrads(np.ascontiguousarray(drop(dx, rank)), np.ascontiguousarray(drop(dw, rank)), db)


class TransposeCache(NamedTuple):
    """What `conv_transpose_backward` needs: references to y and w, and the geometry of the convolution it reverses."""

    y: FloatArray
    w: FloatArray
    geometry: ConvGeometry
    method: str


class TransposeGrads(NamedTuple):
    """Gradients with respect to y and w, in the order of the inputs."""

    dy: FloatArray
    dw: FloatArray


def _transpose_geometry(owner, y, w, rate, stride, padding, groups, size):
    """Return the geometry of the convolution from `size` samples to y, the smallest that fits if size is None."""
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
    pads = resolve_padding(owner, padding, w.shape[2:], rates)
    smallest = tuple(
        (o - 1) * s + effective_kernel(k, r) - sum(pair)
        for o, s, k, r, pair in zip(y.shape[2:], strides, w.shape[2:], rates, pads, strict=True)
    )
    sizes = smallest if size is None else _check.per_axis(owner, "size", size, rank, least=1)
    if min(low + s for low, s in zip(smallest, strides, strict=True)) <= 1:
        raise ShapeError(f"{owner}: with this padding no input gives outputs {y.shape[2:]}. Lower padding.")
    fits = all(low <= n < low + s for n, low, s in zip(sizes, smallest, strides, strict=True))
    if min(sizes) < 1 or not fits:
        ranges = ", ".join(f"{max(1, low)} to {low + s - 1}" for low, s in zip(smallest, strides, strict=True))
        raise ShapeError(
            f"{owner}: an input of size {tuple(sizes)} does not give outputs {y.shape[2:]}; along each axis it must be "
            f"{ranges}. Change size or padding."
        )
    x_shape = (y.shape[0], w.shape[1] * groups, *sizes)
    _check.small_enough(owner, "the result", x_shape)
    return conv_geometry(x_shape, w.shape, rate=rates, stride=strides, padding=pads, groups=groups, owner=owner)


def _transpose(owner, y, w, rate, stride, padding, groups, size, method):
    y = _check.float_array(owner, "y", y)
    w = _check.float_array(owner, "w", w, like=y)
    g = _transpose_geometry(owner, y, w, rate, stride, padding, groups, size)
    x = method_named(owner, method, g).backward_input(lift(y), lift(w), g)
    return np.ascontiguousarray(drop(x, y.ndim - 2)), TransposeCache(y, w, g, method)


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
        float32 or float64; what the convolution would have put out.
    w : ndarray of shape (F, C/groups, *K)
        The convolution's filters, in its own layout: F is the number of channels that go *in* here.
    rate, stride, padding, groups, method
        Those of the convolution, as for `atrous_conv`.
    size : int or one int per axis, optional
        Spatial size to return. Several inputs give the same output size when the stride exceeds 1; the smallest is
        taken if none is named.

    Returns
    -------
    ndarray of shape (N, C, *size)

    Raises
    ------
    ShapeError, DTypeError, ParameterError, BackendUnavailable
        As `atrous_conv`; also a `size` from which the convolution does not lead to y.

    Examples
    --------
    >>> atrous_conv_transpose(np.array([[[1.0, 2.0]]]), np.array([[[1.0, 1.0]]]), stride=2, padding="valid")
    array([[[1., 1., 2., 2.]]])
    """
    return _transpose("atrous_conv_transpose", y, w, rate, stride, padding, groups, size, method)[0]


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


def conv_transpose_backward(dx: FloatArray, cache: TransposeCache) -> TransposeGrads:
    """Return TransposeGrads(dy, dw) from the gradient with respect to the result (N, C, *size).

    The adjoint of an adjoint is the map itself: dy is the convolution of dx, and dw pairs y with dx as `conv_backward`
    pairs dy with x.
    """
    owner = "conv_transpose_backward"
    y, w, g, method = _check.own_cache(owner, cache, TransposeCache)
    rank = y.ndim - 2
    dx = _check.upstream(owner, dx, (g.n, g.c, *g.size[3 - rank :]), y, name="dx")
    maps = method_named(owner, method, g)
    dy = maps.forward(lift(dx), lift(w), g)
    dw = maps.backward_weight(lift(y), lift(dx), g)
    return TransposeGrads(np.ascontiguousarray(drop(dy, rank)), np.ascontiguousarray(drop(dw, rank)))
