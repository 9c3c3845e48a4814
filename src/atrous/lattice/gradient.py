"""The gradient of a filtered sum with respect to the features: weights move, vertices stay.

A lattice filters by K = c·S·B·Sᵀ: splat with the barycentric weights S, blur with B, slice with S again. As long as no
point leaves its simplex, B is constant and S is linear in the features. For a sum Σ a·(K b), with one term for each
channel, the weight w of point p at vertex v is read twice,

    ∂/∂w = a_p · (c·B·Sᵀ b)_v + b_p · (c·Bᵀ·Sᵀ a)_v,

and from the weights the gradient goes back through two linear maps, the weights' and the elevation's. Where a point
crosses into another simplex, the filter has a kink, and for more than three axes it may jump (vertices appear).

Role: definition of the maps in NumPy, over the compiled splat and blur. `exact_features_backward` is the same for the
Gaussian itself.
"""

from __future__ import annotations

import numpy as np

from atrous import _check
from atrous._types import Array, FloatArray
from atrous.errors import ShapeError
from atrous.lattice.build import Lattice
from atrous.lattice.exact import gaussian_matrix
from atrous.lattice.geometry import axis_scales, elevate, enclosing_simplex
from atrous.lattice.splat_blur_slice import vertex_values

CHANNELS = 32


def weights_backward(d_weights: FloatArray, rank: Array) -> FloatArray:
    """Return the gradient to the elevated points (P, D + 1) from that of `barycentric_weights`.

    Weight r is the difference of two neighbouring residuals in the order of `rank`, divided by D + 1.
    """
    corners = d_weights.shape[1]
    d_descending = d_weights - np.roll(d_weights, -1, axis=1)
    return np.take_along_axis(d_descending[:, ::-1], rank, axis=1) / corners


def elevate_backward(d_elevated: FloatArray) -> FloatArray:
    """Return the gradient to the features (P, D) from that of `elevate`."""
    dimension = d_elevated.shape[1] - 1
    steps = np.arange(1, dimension + 1)
    d_scaled = np.cumsum(d_elevated, axis=1)[:, :-1] - steps * d_elevated[:, 1:]
    return (d_scaled * axis_scales(dimension)).astype(d_elevated.dtype)


def _pairs(owner, features, a, b):
    """Return features, a and b as arrays that fit."""
    features = _check.float_array(owner, "features", features)
    a, b = (_check.float_array(owner, name, value, like=features) for name, value in (("a", a), ("b", b)))
    if features.ndim != 2 or a.ndim != 2 or a.shape != b.shape or len(a) != len(features):
        raise ShapeError(
            f"{owner}: features must be (points, axes), a and b (points, channels), got {features.shape}, {a.shape} "
            f"and {b.shape}."
        )
    return features, a, b


def lattice_features_backward(lattice: Lattice, features: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the gradient of Σ a·lattice_filter(lattice, b) with respect to the features.

    Parameters
    ----------
    lattice : Lattice
        Of the features.
    features : ndarray of shape (P, D)
        float32 or float64.
    a, b : ndarray of shape (P, V)
        What the filtered values are multiplied by, and the values; dtype of the features.

    Returns
    -------
    ndarray of shape (P, D)
        The exact gradient of the lattice's filter as long as no point leaves its simplex.

    Raises
    ------
    ShapeError, DTypeError
        Arrays that do not fit.

    Notes
    -----
    Cost: two filters of V channels, and two gathers of D + 1 vertices for each point.

    References
    ----------
    .. [1] Krähenbühl, Koltun, "Parameter Learning and Convergent Inference for Dense Random Fields", ICML 2013, Sec. 4.

    Examples
    --------
    >>> from atrous import build_lattice, lattice_filter
    >>> points, one = np.array([[0.1], [1.3]]), np.ones((2, 1))
    >>> d = lattice_features_backward(build_lattice(points), points, one, one)
    >>> moved = points + [[1e-3], [0.0]]
    >>> sums = [lattice_filter(build_lattice(p), one).sum() for p in (points, moved)]
    >>> bool(abs((sums[1] - sums[0]) / 1e-3 - d[0, 0]) < 1e-3)
    True
    """
    features, a, b = _pairs("lattice_features_backward", features, a, b)
    vertices = lattice.vertices()
    d_weights = np.zeros(vertices.shape, features.dtype)
    for c in range(0, a.shape[1], CHANNELS):
        part, other = (np.ascontiguousarray(v[:, c : c + CHANNELS]) for v in (a, b))
        for mine, table in (
            (part, vertex_values(lattice, other)),
            (other, vertex_values(lattice, part, reverse=True)),
        ):
            for r in range(vertices.shape[1]):
                d_weights[:, r] += np.einsum("pc,pc->p", mine, table[vertices[:, r], : mine.shape[1]])
    _, rank = enclosing_simplex(elevate(features))
    return elevate_backward(weights_backward(d_weights, rank))


def exact_features_backward(features: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the gradient of Σᵢⱼ aᵢ·bⱼ·exp(−|fᵢ − fⱼ|²/2) with respect to the features.

    Parameters and result are those of `lattice_features_backward`. Cost: O(P²·(V + D)).

    Examples
    --------
    >>> points, one = np.array([[0.0], [1.0]]), np.ones((2, 1))
    >>> exact_features_backward(points, one, one).round(4).ravel().tolist()
    [1.2131, -1.2131]
    """
    features, a, b = _pairs("exact_features_backward", features, a, b)
    both = a @ b.T
    weighted = (both + both.T) * gaussian_matrix(features)
    return weighted @ features - weighted.sum(1, keepdims=True) * features
