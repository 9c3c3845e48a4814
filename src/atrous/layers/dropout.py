"""Dropout: in training, set random features to 0 and scale up the others so that the mean stays the same.

    y = m·x / (1 − p)        m = 1 with probability 1 − p, else 0

Because training does the scaling (inverted dropout, as in Caffe and PyTorch), inference returns x unchanged.

Role: public functions.

References
----------
Srivastava et al., Journal of Machine Learning Research 15, 2014, Sections 4 and 10.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.errors import ParameterError


class DropoutCache(NamedTuple):
    """What `dropout_backward` needs: the mask, one bit per feature (None: all are kept), and how it was drawn."""

    mask: Array | None
    probability: float
    shape: tuple[int, ...]
    dtype: np.dtype


def _kept(a, cache):
    """Return an array with kept elements scaled up and the others set to 0; this map is its own adjoint."""
    if cache.mask is None:
        return a
    keep = np.unpackbits(cache.mask, count=math.prod(cache.shape)).view(bool).reshape(cache.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(keep, a * (1 / (1 - cache.probability)), 0)


@public
def dropout_forward(
    x: FloatArray, probability: float, rng: np.random.Generator | None, *, train: bool = True
) -> tuple[FloatArray, DropoutCache]:
    """Set each feature to 0 with the given probability and divide the others by 1 − probability.

    Parameters
    ----------
    x : ndarray of any shape
        float32 or float64. Never modified.
    probability : float
        Probability that a feature is dropped, in [0, 1).
    rng : numpy.random.Generator or None
        Draws the mask, the same one for float32 and float64. May be None if no mask is drawn.
    train : bool, default True
        False: no feature is dropped.

    Returns
    -------
    y : ndarray of the shape of `x`
        dtype of `x`. `x` itself if `train` is False or `probability` is 0.
    cache : DropoutCache
        The mask, one bit per feature.

    Raises
    ------
    DTypeError, ShapeError
        `x` is not float32 or float64, or empty.
    ParameterError
        `probability` is outside its range, `rng` is needed but no generator, or `train` is not a bool.

    Notes
    -----
    Cost: one float32 random number per element, with memory for all of them, and three passes.

    References
    ----------
    .. [1] Srivastava et al., Journal of Machine Learning Research 15, 2014.

    Examples
    --------
    >>> y, cache = dropout_forward(np.ones(8), 0.5, np.random.default_rng(1))
    >>> y
    array([0., 2., 2., 2., 0., 0., 2., 2.])
    """
    owner = "dropout_forward"
    x = _check.float_array(owner, "x", x, batch=True)
    p = _check.number(owner, "probability", probability, least=0, below=1)
    if not train or p == 0:
        return x, DropoutCache(None, p, x.shape, x.dtype)
    if not isinstance(rng, np.random.Generator):
        raise ParameterError(
            f"{owner}: rng must be a numpy.random.Generator in training, got {type(rng).__name__}. Make one with "
            "np.random.default_rng(seed)."
        )
    cache = DropoutCache(np.packbits(rng.random(x.shape, np.float32) >= p), p, x.shape, x.dtype)
    return _kept(x, cache), cache


@public
def dropout_backward(dy: FloatArray, cache: DropoutCache) -> FloatArray:
    """Return dx of `dropout_forward`: dy masked and scaled in the same way, dy itself if nothing was dropped."""
    return _kept(_check.upstream("dropout_backward", dy, cache.shape, cache), cache)
