"""Atrous convolution for users: check the arguments, view them with three spatial axes, call a method.

The cache of the forward pass refers to x and w and has no columns. The columns of a layer are K² times its input: for
512 channels of 41² and 3×3 taps, 31 MB in float32 beside an input of 3.4 MB, for every layer of a network until its
backward pass. Making them again costs a copy, a small part of the matrix product that follows.

Role: public functions. Bias and padding are handled here and nowhere else.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray, Padding, PerAxis
from atrous.conv.filters import Filter, options_of
from atrous.conv.geometry import ConvGeometry, conv_geometry, drop, lift
from atrous.conv.methods import method_named
from atrous.errors import ShapeError


class ConvCache(NamedTuple):
    """What `conv_backward` needs: references to the caller's x and w, the geometry and the method."""

    x: FloatArray
    w: FloatArray | Filter
    has_bias: bool
    geometry: ConvGeometry
    method: str


class ConvGrads(NamedTuple):
    """Gradients with respect to x, w and b, in this order; db is None without a bias, dx if it is not wanted."""

    dx: FloatArray | None
    dw: FloatArray
    db: FloatArray | None


def _checked(owner, x, w, b, options):
    """Return x, w (an array or a Filter) and b, the geometry of their convolution, and its method."""
    x = _check.float_array(owner, "x", x, batch=True)
    options = dict(options_of(owner, w, options))
    method = options.pop("method")
    filters = _check.float_array(owner, "w", w.w if isinstance(w, Filter) else w, like=x)
    g = conv_geometry(x.shape, filters.shape, owner=owner, **options)
    if b is not None:
        b = _check.float_array(owner, "b", b, like=x)
        if b.shape != (g.f,):
            raise ShapeError(f"{owner}: b must have shape ({g.f},), one number per filter, got {b.shape}.")
    return x, w if isinstance(w, Filter) else filters, b, g, method


def _lifted(w, method):
    """Return filters as a method takes them: with three axes of taps, or as a Filter."""
    if not isinstance(w, Filter):
        return lift(w)
    return w if method.prepares else w.lifted


def _forward(owner, x, w, b, g, method):
    found = method_named(owner, method, g, x.dtype)
    if found.prepares:
        from atrous.conv.epilogue import make_epilogue

        after = None if b is None else make_epilogue(g.f, x.dtype, shift=b)
        y = found.forward(lift(x), _lifted(w, found), g, after)
    else:
        y = found.forward(lift(x), _lifted(w, found), g)
        y = y if b is None else y + b[:, None, None, None]
    return np.ascontiguousarray(drop(y, x.ndim - 2))


def conv_in_training(x, w, b, g):
    """Return (y, cache) as `conv_forward` does, of arrays of one dtype that fit this geometry."""
    return _forward("conv_forward", x, w, b, g, "auto"), ConvCache(x, w, b is not None, g, "auto")


def conv_in_inference(x, w, g, *, method="auto", scale=None, shift=None, add=None, activation=None, empty=None):
    """Return f(scale·conv(x, w) + shift + add), in the memory layout of the fastest method.

    That is with the channels last wherever the method can; such an x is not copied. x and w have one dtype and fit the
    geometry. `scale` and `shift` have one number per filter, `add` the shape of the result, f is one of `activations`;
    all may be None. `empty(shape, dtype)` returns memory for the result.
    """
    from atrous.conv import depthwise_last
    from atrous.conv.channels_last import empty_map, last
    from atrous.conv.epilogue import epilogue, make_epilogue
    from atrous.conv.im2col import is_pointwise

    found, rank = method_named("conv_in_inference", method, g, x.dtype, ours=True), x.ndim - 2
    forward = found.forward if found.prepares else None
    if method == "auto" and g.n and depthwise_last.fits(g):
        forward = depthwise_last.forward
    if forward:
        add = None if add is None else last(add)
        after = make_epilogue(g.f, x.dtype, scale=scale, shift=shift, add=add, activation=activation)
        out = (empty or empty_map)((g.n, g.f, *g.out), x.dtype)
        return drop(forward(lift(x), w if isinstance(w, Filter) else lift(w), g, after, out), rank)
    if method == "auto" and g.groups == 1 and is_pointwise(g) and math.prod(g.out) == 1:
        # A matrix times a vector, which BLAS would share among its threads.
        filters = w.w if isinstance(w, Filter) else w
        y = np.einsum("fc,nc->nf", filters.reshape(g.f, g.c), x.reshape(g.n, g.c)).reshape(g.n, g.f, *x.shape[2:])
    else:
        y = np.ascontiguousarray(drop(found.forward(lift(x), _lifted(w, found), g), rank))
    return epilogue(y, scale, shift, add=add, activation=activation)


@public
def atrous_conv(
    x: FloatArray,
    w: FloatArray | Filter,
    b: FloatArray | None = None,
    *,
    rate: PerAxis = 1,
    stride: PerAxis = 1,
    padding: Padding = "same",
    groups: int = 1,
    method: str = "auto",
) -> FloatArray:
    """Convolve with filters whose taps are `rate` samples apart.

    y[n, f, o] = b[f] + Σ_{c, k} x̃[n, c, stride·o + rate·k] · w[f, c, k], where x̃ is x with its padding. The filter is
    not mirrored (cross-correlation, as in all of deep learning); c runs over the channels of the group of f.

    Parameters
    ----------
    x : ndarray of shape (N, C, *S)
        Input, float32 or float64, 1 to 3 spatial axes; N may be 0. Never modified; any memory layout.
    w : ndarray of shape (F, C/groups, *K), or Filter
        Filters, dtype of `x`; or what `prepare_filter` returns, which knows the options.
    b : ndarray of shape (F,), optional
        Bias.
    rate : int or one int per axis, default 1
        Distance between taps, in input samples; 1 is ordinary convolution. PyTorch calls it dilation. A filter of K
        taps spans k_e = rate·(K − 1) + 1 samples.
    stride : int or one int per axis, default 1
        Distance between outputs, in input samples.
    padding : {"same", "same_tf", "valid"}, int, one int per axis, or one pair (before, after) per axis
        Zeros around the input. "same" adds k_e − 1 zeros in total, an extra one at the end if that is odd. The output
        is the stride-1 result ``[::stride]`` for any stride. "same_tf" is TensorFlow's and Keras's SAME, which for
        strides above 1 adds only as many zeros as this size needs for the same ⌈S / stride⌉ outputs, so that they read
        other samples than with "same".
    groups : int, default 1
        Channel groups, each convolved separately; C and F must be multiples of it.
    method : str, default "auto"
        "reference", "upsampled", "im2col", "interlace" (also "interlace:direct" and so on, with the method for the
        phases), "shift", "direct", "implicit_gemm", "stacked_taps", "winograd" (also "winograd:2" to 4, with the size
        of its tiles), "depthwise" or "cuda"; ``CONV_METHODS`` lists those that this machine can use. "auto" takes
        "depthwise" or "direct" for depthwise convolutions, "im2col" for small ones, and otherwise what `cost_model`
        estimates to be the quickest, "winograd" in float32 only; "exact" is the same without "winograd". All methods
        agree to rounding.

    Returns
    -------
    ndarray of shape (N, F, *O)
        O = ⌊(S + zeros − k_e) / stride⌋ + 1; dtype of `x`, C-contiguous.

    Raises
    ------
    ShapeError
        Axes or channels do not fit, an array is empty or too large, or the filter spans more than the padded input.
    DTypeError
        `x` is not float32 or float64, or `w` or `b` differ from it.
    ParameterError
        An option outside its range, or an unknown method.
    BackendUnavailable
        ``method="cuda"`` without a GPU.

    Notes
    -----
    Cost: 2·N·F·(C/groups)·ΠK·ΠO flops at any rate. Extra memory: see the module of each method. NaN and inf in x reach
    exactly the outputs whose taps read them, except with "upsampled" and "winograd". An infinite or NaN weight is also
    multiplied by the zeros around x by the methods that multiply them.

    References
    ----------
    .. [1] Chen et al., DeepLab v2, arXiv:1606.00915, Section 3.1, Equation (1).

    Examples
    --------
    >>> x = np.arange(7.0).reshape(1, 1, 7)
    >>> atrous_conv(x, np.array([[[1.0, 0.0, -1.0]]]), rate=2)
    array([[[-2., -3., -4., -4., -4.,  3.,  4.]]])
    """
    options = {"rate": rate, "stride": stride, "padding": padding, "groups": groups, "method": method}
    x, w, b, g, method = _checked("atrous_conv", x, w, b, options)
    return _forward("atrous_conv", x, w, b, g, method)


@public
def conv_forward(
    x: FloatArray,
    w: FloatArray | Filter,
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
        As from `atrous_conv`.
    cache : ConvCache
        References to `x` and `w`, the geometry and the method.

    Examples
    --------
    >>> y, cache = conv_forward(np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3)), rate=2)
    >>> y.shape
    (1, 1, 5, 5)
    """
    options = {"rate": rate, "stride": stride, "padding": padding, "groups": groups, "method": method}
    x, w, b, g, method = _checked("conv_forward", x, w, b, options)
    return _forward("conv_forward", x, w, b, g, method), ConvCache(x, w, b is not None, g, method)


@public
def conv_backward(dy: FloatArray, cache: ConvCache, *, dx: bool = True) -> ConvGrads:
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
    dx : bool, default True
        Compute the gradient of x; a network's first layer needs none.

    Returns
    -------
    ConvGrads
        (dx, dw, db), each of the shape of its input; dx is None if it is not wanted.

    Raises
    ------
    ShapeError
        `dy` has another shape than the output.
    DTypeError
        `dy` has another dtype than the output.

    Notes
    -----
    Cost: about twice the forward pass. dx is the exact adjoint of the forward map in x, dw of the map in w. In dw, a
    NaN or inf in dy is also multiplied by the zeros around x, except with "direct" and "cuda".
    """
    owner = "conv_backward"
    x, w, has_bias, g, method = cache
    rank = x.ndim - 2
    dy = _check.upstream(owner, dy, (g.n, g.f, *g.out[3 - rank :]), x)
    maps = method_named(owner, method, g, x.dtype)
    x_grad = maps.backward_input(lift(dy), _lifted(w, maps), g) if dx else None
    w_grad = maps.backward_weight(lift(dy), lift(x), g)
    b_grad = dy.sum(axis=(0, *range(2, dy.ndim))) if has_bias else None
    return ConvGrads(*(a if a is None else np.ascontiguousarray(drop(a, rank)) for a in (x_grad, w_grad)), b_grad)
