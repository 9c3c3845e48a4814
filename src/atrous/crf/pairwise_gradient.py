"""From the gradient of features to those of the standard deviations and of the image.

A feature is a value over its standard deviation, f = v/σ, so ∂/∂v = ∂/∂f / σ and ∂/∂σ = −Σ ∂/∂f · f / σ.

Role: definition; the backward passes of `spatial_pairwise` and `bilateral_pairwise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.crf.pairwise import Pairwise, positive_sigmas
from atrous.errors import ShapeError


class BilateralGrads(NamedTuple):
    """Gradients with respect to the arguments of `bilateral_pairwise`."""

    image: FloatArray
    """Shape of the image."""
    sigma_space: float | FloatArray
    """A number, or one for each axis, as sigma_space was given."""
    sigma_color: float | FloatArray
    """A number, or one for each channel."""


def _checked(owner, d_features, term):
    d_features = _check.float_array(owner, "d_features", d_features, like=term.features)
    if d_features.shape != term.features.shape:
        raise ShapeError(f"{owner}: d_features must have shape {term.features.shape}, got {d_features.shape}.")
    return d_features


def _sigma_backward(owner, name, d_features, features, sigma):
    """Return the gradient to one sigma for all columns, or to one for each."""
    each = -(d_features * features).sum(0, dtype=np.float64) / positive_sigmas(owner, name, sigma, features.shape[1])
    return float(each.sum()) if np.ndim(sigma) == 0 else each


@public
def spatial_backward(d_features: FloatArray, term: Pairwise, sigma: float | Sequence[float]) -> float | FloatArray:
    """Return the gradient to the standard deviation of `spatial_pairwise`.

    Parameters
    ----------
    d_features : ndarray of shape (P, D)
        From `mean_field_backward`.
    term : Pairwise
        What `spatial_pairwise` returned.
    sigma : float or sequence of float
        As given to it, in the order of the grid's axes, y before x.

    Returns
    -------
    float or ndarray
        A number for one sigma, or one for each axis.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Arguments that do not fit.

    Examples
    --------
    >>> from atrous import spatial_pairwise
    >>> spatial_backward(np.ones((3, 2)), spatial_pairwise((1, 3), 2.0, 1.0, dtype=np.float64), 2.0)
    -0.75
    """
    owner = "spatial_backward"
    # The last axis of the grid is the first feature.
    return _sigma_backward(owner, "sigma", _checked(owner, d_features, term)[:, ::-1], term.features[:, ::-1], sigma)


@public
def bilateral_backward(
    d_features: FloatArray,
    term: Pairwise,
    shape: Sequence[int],
    sigma_space: float | Sequence[float],
    sigma_color: float | Sequence[float],
) -> BilateralGrads:
    """Return the gradients to image and standard deviations of `bilateral_pairwise`.

    Parameters
    ----------
    d_features : ndarray of shape (P, D + C)
        From `mean_field_backward`.
    term : Pairwise
        What `bilateral_pairwise` returned.
    shape : tuple of int
        Shape of the image, channels last.
    sigma_space, sigma_color : float or sequence of float
        As given to it.

    Returns
    -------
    BilateralGrads

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Arguments that do not fit.

    Examples
    --------
    >>> from atrous import bilateral_pairwise
    >>> term = bilateral_pairwise(np.array([[[10.0], [30.0]]]), 1.0, 10.0, 1.0, dtype=np.float64)
    >>> found = bilateral_backward(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]), term, (1, 2, 1), 1.0, 10.0)
    >>> found.sigma_color, found.image.ravel().tolist()
    (-0.4, [0.1, 0.1])
    """
    owner = "bilateral_backward"
    d, axes = _checked(owner, d_features, term), len(shape) - 1
    if np.prod(shape[:-1]) != len(d) or d.shape[1] != axes + shape[-1]:
        raise ShapeError(f"{owner}: an image of shape {tuple(shape)} does not have features of shape {d.shape}.")
    colors = positive_sigmas(owner, "sigma_color", sigma_color, shape[-1])
    space = (part[:, :axes][:, ::-1] for part in (d, term.features))
    return BilateralGrads(
        (d[:, axes:] / colors).astype(d.dtype).reshape(shape),
        _sigma_backward(owner, "sigma_space", *space, sigma_space),
        _sigma_backward(owner, "sigma_color", d[:, axes:], term.features[:, axes:], sigma_color),
    )
