"""Squeeze and excitation: every channel is multiplied by a number that depends on the means of all channels.

    m = mean of x over positions             (N, C)
    h = max(m·W₁ᵀ + b₁, 0)                   (N, S), S < C: the squeeze
    g = hard_sigmoid(h·W₂ᵀ + b₂)             (N, C): the gate
    y = x·g

The gradient reaches x in two ways: through the product, as dy·g, and through the gate. The gate's gradient, Σ dy·x over
the positions, goes back through both matrices to the mean, which gives every position an equal share.

Role: public functions.

References
----------
Hu et al., Squeeze-and-Excitation Networks, arXiv:1709.01507, Section 3, there with a sigmoid for the gate; Howard et
al., MobileNetV3, arXiv:1905.02244, Section 5.3, with the hard one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.errors import ShapeError
from atrous.layers.hard_swish import hard_sigmoid_backward, hard_sigmoid_forward


class SqueezeExciteCache(NamedTuple):
    """What `squeeze_excite_backward` needs: references to x and the filters, and numbers per channel."""

    x: FloatArray
    w1: FloatArray
    w2: FloatArray
    means: FloatArray
    squeezed: FloatArray
    logits: FloatArray


class SqueezeExciteGrads(NamedTuple):
    """Gradients in the order of the inputs."""

    dx: FloatArray
    dw1: FloatArray
    db1: FloatArray
    dw2: FloatArray
    db2: FloatArray


def _over_positions(numbers, x):
    return numbers.reshape(*numbers.shape, *[1] * (x.ndim - 2))


def _filters(owner, x, w1, b1, w2, b2):
    """Return the filters as matrices, and the biases."""
    given = {"w1": w1, "b1": b1, "w2": w2, "b2": b2}
    w1, b1, w2, b2 = (_check.float_array(owner, name, a, like=x) for name, a in given.items())
    c, s = x.shape[1], (*w1.shape, 1)[0]
    ones = (1,) * (x.ndim - 2)
    for name, a, shape in (("w1", w1, (s, c, *ones)), ("b1", b1, (s,)), ("w2", w2, (c, s, *ones)), ("b2", b2, (c,))):
        if a.shape != shape:
            raise ShapeError(f"{owner}: {name} must have shape {shape} for x of shape {x.shape}, got {a.shape}.")
    return w1.reshape(s, c), b1, w2.reshape(c, s), b2


@public
def squeeze_excite_forward(
    x: FloatArray, w1: FloatArray, b1: FloatArray, w2: FloatArray, b2: FloatArray
) -> tuple[FloatArray, SqueezeExciteCache]:
    """Multiply every channel by its gate.

    Parameters
    ----------
    x : ndarray of shape (N, C, *S)
        float32 or float64.
    w1 : ndarray of shape (squeezed, C, 1, …)
        Filters of a convolution with one tap, dtype of `x`.
    b1 : ndarray of shape (squeezed,)
    w2 : ndarray of shape (C, squeezed, 1, …)
    b2 : ndarray of shape (C,)

    Returns
    -------
    y : ndarray of the shape of `x`
    cache : SqueezeExciteCache

    Raises
    ------
    ShapeError, DTypeError
        Arrays that do not fit each other.

    Notes
    -----
    Cost: two passes over x forward and three backward; the products are of N rows.

    Examples
    --------
    >>> x = np.array([[[[1.0, 3.0]], [[5.0, 5.0]]]])
    >>> mean, pick = np.array([[0.5, 0.5]]).reshape(1, 2, 1, 1), np.array([[-1.0], [1.0]]).reshape(2, 1, 1, 1)
    >>> squeeze_excite_forward(x, mean, np.zeros(1), pick, np.zeros(2))[0].ravel()
    array([0., 0., 5., 5.])
    """
    owner = "squeeze_excite_forward"
    x = _check.float_array(owner, "x", x, batch=True)
    if x.ndim < 3:
        raise ShapeError(f"{owner}: x must be (N, C, *S), at least three axes, got shape {x.shape}.")
    first, b1, second, b2 = _filters(owner, x, w1, b1, w2, b2)
    means = x.mean(axis=tuple(range(2, x.ndim)), dtype=np.float64).astype(x.dtype)
    squeezed = np.maximum(means @ first.T + b1, 0)
    logits = squeezed @ second.T + b2
    y = x * _over_positions(hard_sigmoid_forward(logits)[0], x)
    return y, SqueezeExciteCache(x, first, second, means, squeezed, logits)


@public
def squeeze_excite_backward(dy: FloatArray, cache: SqueezeExciteCache) -> SqueezeExciteGrads:
    """Return SqueezeExciteGrads(dx, dw1, db1, dw2, db2) of `squeeze_excite_forward`."""
    x, first, second, means, squeezed, logits = cache
    dy = _check.upstream("squeeze_excite_backward", dy, x.shape, x)
    positions = tuple(range(2, x.ndim))
    gate, opened = hard_sigmoid_forward(logits)
    dlogits = hard_sigmoid_backward((dy * x).sum(axis=positions), opened)
    dsqueezed = np.where(squeezed > 0, dlogits @ second, 0)
    size = x[:1].size // x.shape[1] if len(x) else 1
    dx = dy * _over_positions(gate, x) + _over_positions(dsqueezed @ first / x.dtype.type(size), x)
    ones = (1,) * (x.ndim - 2)
    return SqueezeExciteGrads(
        dx,
        (dsqueezed.T @ means).reshape(*first.shape, *ones),
        dsqueezed.sum(0),
        (dlogits.T @ squeezed).reshape(*second.shape, *ones),
        dlogits.sum(0),
    )
