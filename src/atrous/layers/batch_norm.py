"""Batch norm: normalise each channel to mean 0 and variance 1, then scale it by γ and shift it by β.

    y = γ·x̂ + β        x̂ = (x − μ) / √(σ² + ε)

In training, μ and σ² are the mean and variance of the batch over images and positions, and they depend on x:

    dx = γ / √(σ² + ε) · (dy − mean(dy) − x̂·mean(dy·x̂))        dγ = Σ dy·x̂        dβ = Σ dy

Otherwise they are running statistics, which are constants. Batch norm is then one scale and one shift per channel, with
dx = dy·scale, and can be folded into the convolution before it. DeepLab v1 and v2 also freeze γ and β.

Role: public functions.

References
----------
Ioffe and Szegedy, arXiv:1502.03167, Algorithm 1; Chen et al., DeepLab v3, arXiv:1706.05587, Section 4.1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.errors import ParameterError, ShapeError

MODES = ("train", "eval", "frozen")


class BatchNormCache(NamedTuple):
    """What `batch_norm_backward` needs: references to x and gamma, the mean and 1 / √(variance + eps) in use."""

    x: FloatArray
    gamma: FloatArray
    mean: Array
    inverse: Array
    mode: str


class BatchNormGrads(NamedTuple):
    """Gradients with respect to x, gamma and beta; the last two are None where they are frozen."""

    dx: FloatArray
    dgamma: FloatArray | None
    dbeta: FloatArray | None


def _parameters(owner, like, channels, **arrays):
    """Return the arrays after checking that each has one number per channel."""
    checked = []
    for name, value in arrays.items():
        array = _check.float_array(owner, name, value, like=like)
        if array.shape != (channels,):
            raise ShapeError(f"{owner}: {name} must have shape ({channels},), one per channel of x, got {array.shape}.")
        checked.append(array)
    return checked


def inverse_deviation(owner, var, eps):
    """Return 1 / √(var + eps) in float64."""
    raised = var.astype(np.float64) + eps
    if (raised <= 0).any():
        raise ParameterError(
            f"{owner}: var + eps must be positive, got {var.min()} + {eps}. A variance is never negative; raise eps if "
            "it is 0."
        )
    return 1 / np.sqrt(raised)


def scale_and_shift(gamma, beta, mean, inverse):
    """Return (scale, shift) with scale·x + shift = γ·(x − mean)·inverse + β, in the dtype of gamma."""
    scale = gamma * inverse
    return scale.astype(gamma.dtype), (beta - mean * scale).astype(gamma.dtype)


def _over_channels(v, x):
    """Return one number per channel in the dtype of x (N, C, *S), reshaped to broadcast against it."""
    return v.astype(x.dtype, copy=False).reshape(-1, *(1,) * (x.ndim - 2))


def _batch_statistics(x):
    """Return the mean and the biased variance of each channel, summed in float64."""
    axes = (0, *range(2, x.ndim))
    mean = x.mean(axis=axes, dtype=np.float64)
    squares = x - _over_channels(mean, x)
    np.square(squares, out=squares)
    return mean, squares.mean(axis=axes, dtype=np.float64)


@public
def fold_batch_norm(
    gamma: FloatArray, beta: FloatArray, mean: FloatArray, var: FloatArray, *, eps: float = 1e-5
) -> tuple[FloatArray, FloatArray]:
    """Return (scale, shift) such that batch norm with these statistics is scale·x + shift.

    scale = γ / √(σ² + ε), shift = β − μ·scale. To fold them into the convolution before it, multiply its filters along
    F, ``w·scale``, and replace its bias b by ``scale·b + shift``.

    Parameters
    ----------
    gamma, beta, mean, var : ndarray of shape (C,)
        float32 or float64, all of one dtype. Never modified.
    eps : float, default 1e-5
        Added to the variance.

    Returns
    -------
    scale, shift : ndarray of shape (C,)
        dtype of `gamma`, computed in float64.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `batch_norm_forward`.

    Examples
    --------
    >>> one = np.ones(1)
    >>> fold_batch_norm(6 * one, one, 2 * one, 9 * one, eps=0.0)
    (array([2.]), array([-3.]))
    """
    owner = "fold_batch_norm"
    gamma = _check.float_array(owner, "gamma", gamma)
    gamma, beta, mean, var = _parameters(owner, gamma, gamma.size, gamma=gamma, beta=beta, mean=mean, var=var)
    eps = _check.number(owner, "eps", eps, least=0)
    return folded(gamma, beta, mean, var, eps)


def folded(gamma, beta, mean, var, eps):
    """Return (scale, shift) as `fold_batch_norm` does, of arrays that fit each other."""
    return scale_and_shift(gamma, beta, mean, inverse_deviation("fold_batch_norm", var, eps))


@public
def batch_norm_forward(
    x: FloatArray,
    gamma: FloatArray,
    beta: FloatArray,
    mean: FloatArray,
    var: FloatArray,
    *,
    mode: str = "eval",
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[FloatArray, BatchNormCache, tuple[FloatArray, FloatArray]]:
    """Normalise each channel, then scale by gamma and shift by beta.

    Parameters
    ----------
    x : ndarray of shape (N, C, *S)
        float32 or float64, any number of spatial axes. Never modified.
    gamma, beta : ndarray of shape (C,)
        Scale and shift, dtype of `x`.
    mean, var : ndarray of shape (C,)
        Running statistics, dtype of `x`. Never modified.
    mode : {"eval", "train", "frozen"}
        "train": normalise by the statistics of the batch and update the running statistics. "eval": normalise by the
        running statistics. "frozen": as "eval", and gamma and beta get no gradient.
    momentum : float, default 0.1
        Weight of the batch in the new running statistics, as in PyTorch; TensorFlow and Caffe give 1 minus this.
    eps : float, default 1e-5
        Added to the variance.

    Returns
    -------
    y : ndarray of shape (N, C, *S)
        dtype of `x`.
    cache : BatchNormCache
        References to `x` and `gamma`, and two numbers per channel.
    (mean, var) : ndarrays of shape (C,)
        Running statistics for the next call. "train": new arrays, (1 − momentum)·old + momentum·batch with the unbiased
        variance of the batch (y uses the biased one). Otherwise: the arrays passed in.

    Raises
    ------
    ShapeError
        Shapes that do not fit, an empty array, or a single value per channel in mode "train".
    DTypeError
        `x` is not float32 or float64, or another array differs from it.
    ParameterError
        An option outside its range, or a variance below 0.

    Notes
    -----
    Cost: two passes over x; in mode "train" four, and one copy of x for the squares. Statistics use float64.

    References
    ----------
    .. [1] Ioffe and Szegedy, arXiv:1502.03167, Algorithms 1 and 2.

    Examples
    --------
    >>> zero, one = np.zeros(1), np.ones(1)
    >>> y, cache, running = batch_norm_forward(np.array([[1.0], [3.0]]), one, zero, zero, one, mode="train", eps=0.0)
    >>> y.ravel(), running
    (array([-1.,  1.]), (array([0.2]), array([1.1])))
    """
    owner = "batch_norm_forward"
    x = _check.float_array(owner, "x", x, batch=True)
    if x.ndim < 2:
        raise ShapeError(f"{owner}: x must be (N, C, *S), at least two axes, got shape {x.shape}.")
    gamma, beta, mean, var = _parameters(owner, x, x.shape[1], gamma=gamma, beta=beta, mean=mean, var=var)
    _check.one_of(owner, "mode", mode, MODES)
    momentum, eps = (_check.number(owner, n, v, least=0) for n, v in (("momentum", momentum), ("eps", eps)))
    if momentum > 1:
        raise ParameterError(f"{owner}: momentum must be between 0 and 1, got {momentum}.")
    count = x.size // x.shape[1]
    if mode == "train" and count < 2:
        raise ShapeError(
            f"{owner}: training needs more than one value per channel, got x of shape {x.shape}. Enlarge the batch, or "
            'use mode="eval".'
        )
    used, running = (mean, var), (mean, var)
    with np.errstate(invalid="ignore", over="ignore"):
        if mode == "train":
            used = _batch_statistics(x)
            batch = used[0], used[1] * (count / (count - 1))
            running = tuple(
                ((1 - momentum) * old + momentum * new).astype(x.dtype) for old, new in zip(running, batch, strict=True)
            )
        inverse = inverse_deviation(owner, used[1], eps)
        scale, shift = scale_and_shift(gamma, beta, used[0], inverse)
        y = x * _over_channels(scale, x)
        y += _over_channels(shift, x)
    return y, BatchNormCache(x, gamma, used[0], inverse, mode), running


@public
def batch_norm_backward(dy: FloatArray, cache: BatchNormCache) -> BatchNormGrads:
    """Return the gradients of `batch_norm_forward` with respect to x, gamma and beta.

    Parameters
    ----------
    dy : ndarray of shape (N, C, *S)
        Gradient of the loss with respect to the output, dtype of x.
    cache : BatchNormCache
        From `batch_norm_forward`.

    Returns
    -------
    BatchNormGrads
        (dx, dgamma, dbeta), each of the shape of its input; in mode "frozen" (dx, None, None).

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        `dy` does not have the shape and dtype of the output, or `cache` is not from `batch_norm_forward`.

    Notes
    -----
    Cost: about seven passes over x and two copies of it; one pass in mode "frozen".
    """
    x, gamma, mean, inverse, mode = cache
    dy = _check.upstream("batch_norm_backward", dy, x.shape, x)
    axes = (0, *range(2, x.ndim))
    scale = _over_channels(gamma * inverse, x)
    with np.errstate(invalid="ignore", over="ignore"):
        if mode == "frozen":
            return BatchNormGrads(dy * scale, None, None)
        normal = x - _over_channels(mean, x)
        normal *= _over_channels(inverse, x)
        dgamma = (dy * normal).sum(axis=axes, dtype=np.float64)
        dbeta = dy.sum(axis=axes, dtype=np.float64)
        dx = dy
        if mode == "train":
            count = x.size // x.shape[1]
            normal *= _over_channels(-dgamma / count, x)
            normal += dy
            normal -= _over_channels(dbeta / count, x)
            dx = normal
        return BatchNormGrads(dx * scale, dgamma.astype(x.dtype), dbeta.astype(x.dtype))
