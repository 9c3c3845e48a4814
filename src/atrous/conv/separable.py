"""Depthwise and separable atrous convolution: first space, channel by channel; then channels, sample by sample.

    depthwise    y[n, c·M + m, o] = Σ_k x̃[n, c, s·o + r·k] · w[c, m, k]
    separable    a depthwise convolution, then a 1×1 convolution that mixes channels

Atrous separable convolution carries DeepLab v3+: C·K² + C·F weights do the work of C·F·K².

Role: public functions, composed of `operators`.

References
----------
Chen et al., DeepLab v3+, arXiv:1802.02611, Section 3.1 and Figure 3.
"""

from __future__ import annotations

from typing import NamedTuple

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray, Padding, PerAxis
from atrous.conv.operators import ConvCache, ConvGrads, conv_backward, conv_forward
from atrous.errors import ShapeError


class SeparableCache(NamedTuple):
    """The caches of the depthwise and the pointwise convolution; the second refers to the depthwise result."""

    depthwise: ConvCache
    pointwise: ConvCache


class SeparableGrads(NamedTuple):
    """Gradients in the order of the inputs; db is None without a bias."""

    dx: FloatArray
    dw_depthwise: FloatArray
    dw_pointwise: FloatArray
    db: FloatArray | None


def _grouped(owner, x, name, w):
    """Return depthwise filters as those of as many groups as channels, and the number of channels."""
    x = _check.float_array(owner, "x", x, batch=True)
    w = _check.float_array(owner, name, w, like=x)
    if w.ndim != x.ndim or w.ndim < 3 or w.shape[0] != x.shape[1]:
        raise ShapeError(
            f"{owner}: {name} must be (C, M, *K), one set of M filters for each of the C channels of x; got {name} "
            f"{w.shape} for x {x.shape}."
        )
    return w.reshape(w.shape[0] * w.shape[1], 1, *w.shape[2:]), w.shape[0]


@public
def depthwise_forward(
    x: FloatArray,
    w: FloatArray,
    b: FloatArray | None = None,
    *,
    rate: PerAxis = 1,
    stride: PerAxis = 1,
    padding: Padding = "same",
    method: str = "auto",
) -> tuple[FloatArray, ConvCache]:
    """Return `depthwise_conv` of the same arguments and what its backward pass needs (no bulk)."""
    filters, c = _grouped("depthwise_forward", x, "w", w)
    return conv_forward(x, filters, b, rate=rate, stride=stride, padding=padding, groups=c, method=method)


@public
def depthwise_backward(dy: FloatArray, cache: ConvCache) -> ConvGrads:
    """Return ConvGrads(dx, dw, db) of `depthwise_forward`, dw of shape (C, M, *K)."""
    dx, dw, db = conv_backward(dy, cache)
    return ConvGrads(dx, dw.reshape(cache.geometry.c, -1, *dw.shape[2:]), db)


@public
def depthwise_conv(
    x: FloatArray,
    w: FloatArray,
    b: FloatArray | None = None,
    *,
    rate: PerAxis = 1,
    stride: PerAxis = 1,
    padding: Padding = "same",
    method: str = "auto",
) -> FloatArray:
    """Convolve every channel with its own filters.

    Parameters
    ----------
    x : ndarray of shape (N, C, *S)
        float32 or float64.
    w : ndarray of shape (C, M, *K)
        M filters per channel; M is the channel multiplier, 1 in DeepLab v3+.
    b : ndarray of shape (C·M,), optional
        Bias.
    rate, stride, padding, method
        As for `atrous_conv`.

    Returns
    -------
    ndarray of shape (N, C·M, *O)
        Channel c·M + m is channel c under its filter m.

    Raises
    ------
    ShapeError, DTypeError, ParameterError, BackendUnavailable
        As `atrous_conv`.

    Notes
    -----
    Cost: 2·N·C·M·ΠK·ΠO flops; the time is limited by memory traffic, not by arithmetic.
    """
    return depthwise_forward(x, w, b, rate=rate, stride=stride, padding=padding, method=method)[0]


@public
def separable_forward(
    x: FloatArray,
    w_depthwise: FloatArray,
    w_pointwise: FloatArray,
    b: FloatArray | None = None,
    *,
    rate: PerAxis = 1,
    stride: PerAxis = 1,
    padding: Padding = "same",
    method: str = "auto",
) -> tuple[FloatArray, SeparableCache]:
    """Return `separable_conv` of the same arguments and what its backward pass needs (the depthwise result)."""
    filters, c = _grouped("separable_forward", x, "w_depthwise", w_depthwise)
    middle, first = conv_forward(x, filters, rate=rate, stride=stride, padding=padding, groups=c, method=method)
    w_pointwise = _check.float_array("separable_conv", "w_pointwise", w_pointwise, like=middle)
    expected = (middle.shape[1], *(1,) * (middle.ndim - 2))
    if w_pointwise.ndim != middle.ndim or w_pointwise.shape[1:] != expected:
        raise ShapeError(
            f"separable_conv: w_pointwise must be (F, {', '.join(map(str, expected))}), one weight for each of the "
            f"{expected[0]} depthwise channels; got {w_pointwise.shape}."
        )
    y, second = conv_forward(middle, w_pointwise, b, method=method)
    return y, SeparableCache(first, second)


@public
def separable_backward(dy: FloatArray, cache: SeparableCache) -> SeparableGrads:
    """Return SeparableGrads(dx, dw_depthwise, dw_pointwise, db) of `separable_forward`."""
    middle, dw_pointwise, db = conv_backward(dy, cache.pointwise)
    dx, dw_depthwise, _ = depthwise_backward(middle, cache.depthwise)
    return SeparableGrads(dx, dw_depthwise, dw_pointwise, db)


@public
def separable_conv(
    x: FloatArray,
    w_depthwise: FloatArray,
    w_pointwise: FloatArray,
    b: FloatArray | None = None,
    *,
    rate: PerAxis = 1,
    stride: PerAxis = 1,
    padding: Padding = "same",
    method: str = "auto",
) -> FloatArray:
    """Convolve each channel separately, then mix the channels at each position.

    Parameters
    ----------
    x : ndarray of shape (N, C, *S)
        float32 or float64.
    w_depthwise : ndarray of shape (C, M, *K)
        As `w` of `depthwise_conv`; rate, stride and padding apply here.
    w_pointwise : ndarray of shape (F, C·M, 1, …)
        Weights of the 1×1 convolution.
    b : ndarray of shape (F,), optional
        Bias, added at the end.
    rate, stride, padding, method
        As for `atrous_conv`.

    Returns
    -------
    ndarray of shape (N, F, *O)

    Raises
    ------
    ShapeError, DTypeError, ParameterError, BackendUnavailable
        As `atrous_conv`.

    Notes
    -----
    Cost: 2·N·C·M·(ΠK + F)·ΠO flops, against 2·N·C·F·ΠK·ΠO of the full convolution.
    """
    return separable_forward(x, w_depthwise, w_pointwise, b, rate=rate, stride=stride, padding=padding, method=method)[
        0
    ]
