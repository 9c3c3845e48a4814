"""Pooling: the maximum or the mean over windows, and the mean over the whole image.

    y[o] = max_k x̃[s·o + r·k − p]        y[o] = Σ_k x̃[s·o + r·k − p] / (samples in the window)

A window has K taps, r apart, and spans k_e = r·(K − 1) + 1 samples; x̃ is x with p samples of padding before it and q
after it, −∞ for the maximum and 0 for the mean. One of three rules decides whether the last window may reach beyond the
padding:

    floor   O = ⌊(S + p + q − k_e) / s⌋ + 1      it may not; PyTorch's default
    ceil    O = ⌈(S + p + q − k_e) / s⌉ + 1      it may; one less if it would start after the last sample; ceil_mode
    caffe   as ceil, but one less only if p > 0   DeepLab v1 and v2: 321 → 161 by 3 taps, stride 2 and p = 1, 320 → 161

With padding="same_tf" there are ⌈S / s⌉ windows by any rule, and the mean is over samples alone, as in TensorFlow.

Windows are boxes, so both pools work one axis at a time, and along an axis one tap at a time: each tap combines a
strided slice of the input with the output, and no window is copied out. The gradient of the maximum goes to the first
of equal samples in scan order, which the backward pass finds by comparing x with y.

Role: public functions.

References
----------
Chen et al., DeepLab v1, arXiv:1412.7062, Section 3.1; pooling layer of the DeepLab code in Caffe.
"""

from __future__ import annotations

import math
from itertools import product
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray, Padding, PerAxis
from atrous.conv.padding import is_same_tf, resolve_padding
from atrous.conv.tap_range import reach
from atrous.errors import ParameterError, ShapeError

SIZE_RULES = ("floor", "ceil", "caffe")


class Window(NamedTuple):
    """The windows along one axis: samples, taps, distances between windows and between taps, padding, outputs.

    `padding` is before the samples, `after` behind them.
    """

    size: int
    kernel: int
    stride: int
    rate: int
    padding: int
    after: int
    out: int


class MaxPoolCache(NamedTuple):
    """What `max_pool_backward` needs: references to the input and the output, and the windows."""

    x: FloatArray
    y: FloatArray
    windows: tuple[Window, ...]


class AveragePoolCache(NamedTuple):
    """What `average_pool_backward` needs: the shape, the windows, whether padding counts and the dtype; no arrays."""

    shape: tuple[int, ...]
    windows: tuple[Window, ...]
    count_padding: bool
    dtype: np.dtype


class GlobalAverageCache(NamedTuple):
    """What `global_average_backward` needs: the input's shape and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype


def _image(owner, x):
    x = _check.float_array(owner, "x", x, batch=True)
    if x.ndim not in (3, 4, 5):
        raise ShapeError(
            f"{owner}: x must be (N, C, *S) with 1, 2 or 3 spatial axes, got shape {x.shape}. For one grey image use "
            "x[None, None]."
        )
    return x


def _taps(w):
    """Yield (outputs, inputs) for each tap of an axis: the windows in which it reads a sample, and those samples."""
    for k in range(w.kernel):
        if slices := reach(w.rate * k - w.padding, w.stride, w.size, w.out):
            yield slices


def _counts(w):
    """Return the number of taps that read a sample, for each window of an axis."""
    counts = np.zeros(w.out, np.int64)
    for outputs, _ in _taps(w):
        counts[outputs] += 1
    return counts


def _window(owner, axis, n, k, s, r, pair, size_rule):
    """Return the Window of one axis with the padding `pair` (before, after)."""
    span, (p, q) = r * (k - 1) + 1, pair
    what = f"the window of spatial axis {axis} spans {span} samples (kernel {k}, rate {r})"
    if max(pair) > span // 2:
        raise ParameterError(
            f"{owner}: {what}, so padding must be at most {span // 2}, got {max(pair)}. Lower padding."
        )
    room = n + p + q - span
    out = 1 + (room // s if size_rule == "floor" else -(-room // s))
    if (size_rule == "ceil" or (size_rule == "caffe" and p)) and (out - 1) * s >= n + p:
        out -= 1
    if out < 1:
        raise ShapeError(f"{owner}: {what}, but the padded input has {n + p + q}. Lower kernel or rate.")
    window = Window(n, k, s, r, p, q, out)
    if not _counts(window).all():
        raise ShapeError(
            f"{owner}: {what}; with {n} samples, stride {s}, padding {p} and size_rule={size_rule!r} some window holds "
            "no sample. Lower rate or stride, or use size_rule='floor'."
        )
    return window


def pool_windows(owner, size, kernel, stride, rate, padding, size_rule):
    """Return the checked windows of a pool along each axis of `size`."""
    _check.one_of(owner, "size_rule", size_rule, SIZE_RULES)
    options = (("kernel", kernel), ("stride", stride), ("rate", rate))
    kernel, stride, rate = (_check.per_axis(owner, name, value, len(size), least=1) for name, value in options)
    pads = resolve_padding(owner, padding, kernel, rate, stride, size)
    rule = "floor" if is_same_tf(padding) else size_rule
    values = zip(size, kernel, stride, rate, pads, strict=True)
    return tuple(_window(owner, axis, *numbers, rule) for axis, numbers in enumerate(values))


def counts_padding(count_padding, padding):
    """Return whether the mean counts the padding, where None stands for the default."""
    if count_padding is None:
        return not is_same_tf(padding)
    return bool(count_padding)


def _at(axis, index):
    return (*(slice(None),) * axis, index)


def _resized(shape, axis, length):
    return (*shape[:axis], length, *shape[axis + 1 :])


def _divisor(w, axis, like, count_padding):
    """Return the divisors of the sums along an axis of `like`, reshaped to broadcast against it."""
    counted = w._replace(size=w.padding + w.size + w.after, padding=0) if count_padding else w
    return _counts(counted).astype(like.dtype).reshape(-1, *(1,) * (like.ndim - 1 - axis))


@public
def max_pool_forward(
    x: FloatArray,
    kernel: PerAxis,
    *,
    stride: PerAxis = 1,
    rate: PerAxis = 1,
    padding: Padding = 0,
    size_rule: str = "floor",
) -> tuple[FloatArray, MaxPoolCache]:
    """Return the largest sample of each window.

    Parameters
    ----------
    x : ndarray of shape (N, C, *S)
        float32 or float64, 1 to 3 spatial axes. Never modified.
    kernel : int or one int per axis
        Taps of a window.
    stride : int or one int per axis, default 1
        Distance between windows, in samples. (PyTorch's default is the kernel.)
    rate : int or one int per axis, default 1
        Distance between taps, in samples.
    padding : {"same", "same_tf", "valid"}, int, one int per axis, or one pair (before, after) per axis, default 0
        Samples of −∞ around the input, at most half the span of a window on each side. The words are those of
        `atrous_conv`: "same" adds k_e − 1 for any stride, "same_tf", TensorFlow's SAME, only as many as this size needs
        for ⌈S / stride⌉ windows.
    size_rule : {"floor", "ceil", "caffe"}
        Rule for the number of windows; see the module's docstring. "same_tf" needs none.

    Returns
    -------
    y : ndarray of shape (N, C, *O)
        dtype of `x`. A window with a NaN gives NaN.
    cache : MaxPoolCache
        References to `x` and `y`, and the windows.

    Raises
    ------
    ShapeError
        Axes that do not fit, an empty array, or a window without a sample.
    DTypeError
        `x` is not float32 or float64.
    ParameterError
        An option outside its range, or padding beyond half a window.

    Notes
    -----
    Cost: ΣK comparisons per output forward, ΠK backward; memory for the result after each axis.

    References
    ----------
    .. [1] Chen et al., DeepLab v1, arXiv:1412.7062, Section 3.1.

    Examples
    --------
    >>> x = np.array([[[1.0, 5.0, 2.0, 4.0]]])
    >>> max_pool_forward(x, 3, stride=2, padding=1)[0], max_pool_forward(x, 3, stride=2, padding=1, size_rule="ceil")[0]
    (array([[[5., 5.]]]), array([[[5., 5., 4.]]]))
    """
    x = _image("max_pool_forward", x)
    windows = pool_windows("max_pool_forward", x.shape[2:], kernel, stride, rate, padding, size_rule)
    y = x
    for axis, w in enumerate(windows, 2):
        samples, y = y, np.full_like(y, -np.inf, shape=_resized(y.shape, axis, w.out))
        for outputs, inputs in _taps(w):
            part = y[_at(axis, outputs)]
            np.maximum(part, samples[_at(axis, inputs)], out=part)
    return y, MaxPoolCache(x, y, windows)


@public
def max_pool_backward(dy: FloatArray, cache: MaxPoolCache) -> FloatArray:
    """Return dx of `max_pool_forward`: each dy goes to the first largest sample of its window, or to its first NaN."""
    x, y, windows = cache
    dy = _check.upstream("max_pool_backward", dy, y.shape, x)
    dx = np.zeros(x.shape, x.dtype)
    waiting = np.ones(y.shape, bool)
    for taps in product(*map(_taps, windows)):
        outputs, inputs = ((..., *part) for part in zip(*taps, strict=True))
        samples = x[inputs]
        won = ((samples == y[outputs]) | np.isnan(samples)) & waiting[outputs]
        waiting[outputs] ^= won
        dx[inputs] += np.where(won, dy[outputs], 0)
    return dx


@public
def average_pool_forward(
    x: FloatArray,
    kernel: PerAxis,
    *,
    stride: PerAxis = 1,
    rate: PerAxis = 1,
    padding: Padding = 0,
    size_rule: str = "floor",
    count_padding: bool | None = None,
) -> tuple[FloatArray, AveragePoolCache]:
    """Return the mean of each window.

    Parameters
    ----------
    x, kernel, stride, rate, padding, size_rule
        As for `max_pool_forward`, but the padding is 0.
    count_padding : bool, optional
        True: divide by the taps inside the padded input, as PyTorch and Caffe do. False: by the taps on samples, as
        TensorFlow does. The default is False with padding="same_tf" and True otherwise.

    Returns
    -------
    y : ndarray of shape (N, C, *O)
        dtype of `x`.
    cache : AveragePoolCache
        Sizes, windows and the dtype; no arrays.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `max_pool_forward`.

    Notes
    -----
    Cost: ΣK additions per output in each direction; memory for the result after each axis.

    References
    ----------
    .. [1] pool5a of DeepLab-LargeFOV, arXiv:1412.7062: 3 taps, stride 1, padding 1.

    Examples
    --------
    >>> x = np.array([[[3.0, 6.0, 9.0]]])
    >>> average_pool_forward(x, 3, padding=1)[0]
    array([[[3., 6., 5.]]])
    >>> average_pool_forward(x, 3, padding=1, count_padding=False)[0]
    array([[[4.5, 6. , 7.5]]])
    """
    x = _image("average_pool_forward", x)
    windows = pool_windows("average_pool_forward", x.shape[2:], kernel, stride, rate, padding, size_rule)
    count_padding = counts_padding(count_padding, padding)
    y = x
    with np.errstate(invalid="ignore", over="ignore"):
        for axis, w in enumerate(windows, 2):
            samples, y = y, np.zeros_like(y, shape=_resized(y.shape, axis, w.out))
            for outputs, inputs in _taps(w):
                y[_at(axis, outputs)] += samples[_at(axis, inputs)]
            y /= _divisor(w, axis, y, count_padding)
    return y, AveragePoolCache(x.shape, windows, count_padding, x.dtype)


@public
def average_pool_backward(dy: FloatArray, cache: AveragePoolCache) -> FloatArray:
    """Return dx of `average_pool_forward`, its exact adjoint."""
    shape, windows, count_padding, _ = cache
    dx = _check.upstream("average_pool_backward", dy, (*shape[:2], *(w.out for w in windows)), cache)
    with np.errstate(invalid="ignore", over="ignore"):
        for axis, w in reversed(list(enumerate(windows, 2))):
            shares = dx / _divisor(w, axis, dx, count_padding)
            dx = np.zeros(_resized(dx.shape, axis, w.size), dx.dtype)
            for outputs, inputs in _taps(w):
                dx[_at(axis, inputs)] += shares[_at(axis, outputs)]
    return dx


@public
def global_average_forward(x: FloatArray) -> tuple[FloatArray, GlobalAverageCache]:
    """Return the mean of each channel over all samples: the image-level features of DeepLab v3.

    Parameters
    ----------
    x : ndarray of shape (N, C, *S)
        float32 or float64, 1 to 3 spatial axes. Never modified.

    Returns
    -------
    y : ndarray of shape (N, C, 1, ...)
        dtype of `x`, summed in float64; as many axes as `x`.
    cache : GlobalAverageCache
        Shape and dtype of `x`.

    Raises
    ------
    ShapeError, DTypeError
        As for `max_pool_forward`.

    References
    ----------
    .. [1] Chen et al., DeepLab v3, arXiv:1706.05587, Section 3.3.

    Examples
    --------
    >>> global_average_forward(np.arange(8.0).reshape(1, 2, 2, 2))[0].tolist()
    [[[[1.5]], [[5.5]]]]
    """
    x = _image("global_average_forward", x)
    with np.errstate(invalid="ignore", over="ignore"):
        y = x.mean(axis=tuple(range(2, x.ndim)), dtype=np.float64, keepdims=True).astype(x.dtype)
    return y, GlobalAverageCache(x.shape, x.dtype)


@public
def global_average_backward(dy: FloatArray, cache: GlobalAverageCache) -> FloatArray:
    """Return dx of `global_average_forward`: every sample gets an equal share of dy."""
    shape, _ = cache
    dy = _check.upstream("global_average_backward", dy, (*shape[:2], *(1,) * (len(shape) - 2)), cache)
    return np.full(shape, dy / math.prod(shape[2:]))
