"""The whole filter with a dictionary of vertices, in plain Python: splat, blur, slice.

Role: definition. It is slow; the compiled lattice must give the same result.
"""

from __future__ import annotations

import numpy as np

from atrous._types import FloatArray
from atrous.lattice.geometry import barycentric_weights, elevate, enclosing_simplex, simplex_vertices


def reference_filter(features: FloatArray, values: FloatArray, *, reverse: bool = False) -> FloatArray:
    """Filter values (P, V) at points (P, D) through the lattice.

    Parameters
    ----------
    features : ndarray of shape (P, D), float32 or float64
        Points in units of standard deviations.
    values : ndarray of shape (P, V)
        Values to filter.
    reverse : bool
        Blur the axes from last to first, which gives the adjoint.

    Returns
    -------
    ndarray of shape (P, V)

    Notes
    -----
    Cost: about 100 µs per point.

    References
    ----------
    .. [1] Adams, Baek, Davis, Eurographics 2010, Sec. 3.

    Examples
    --------
    >>> reference_filter(np.zeros((2, 1)), np.array([[1.0], [0.0]])).round(3).tolist()
    [[0.833], [0.833]]
    """
    elevated = elevate(features)
    base, rank = enclosing_simplex(elevated)
    weights = barycentric_weights(elevated, base, rank)
    corners = features.shape[1] + 1
    vertices = [[tuple(v) for v in simplex] for simplex in simplex_vertices(base, rank).tolist()]

    lattice = {}
    for p, simplex in enumerate(vertices):  # splat
        for r, vertex in enumerate(simplex):
            lattice[vertex] = lattice.get(vertex, 0) + weights[p, r] * values[p]

    zero = np.zeros(values.shape[1], values.dtype)
    for axis in reversed(range(corners)) if reverse else range(corners):  # blur
        step = np.full(corners, -1)
        step[axis] = corners - 1
        lattice = {
            vertex: value
            + (lattice.get(tuple(vertex + step), zero) + lattice.get(tuple(vertex - step), zero)) / 2
            for vertex, value in lattice.items()
        }  # fmt: skip

    scale = 1 / (1 + 2.0 ** (1 - corners))  # slice
    out = np.zeros_like(values)
    for p, simplex in enumerate(vertices):
        for r, vertex in enumerate(simplex):
            out[p] += weights[p, r] * lattice[vertex]
    return out * values.dtype.type(scale)
