"""The position of a point in the permutohedral lattice: elevation, the enclosing simplex, barycentric weights.

The lattice A*_D is in the plane Σx = 0 of D + 1 dimensions. Its vertices are the integer points of that plane whose
coordinates all have the same remainder modulo D + 1; a simplex has one vertex of each remainder 0…D. Points are mapped
into the plane (*elevated*) and scaled so that splatting, blurring with the taps ½, 1, ½ along the D + 1 axes, and
slicing with barycentric weights together have the variance of a Gaussian of standard deviation 1.

Role: definition, in NumPy, many points at once. Source: Adams, Baek, Davis 2010, Sec. 3 and Appendix.
"""

from __future__ import annotations

import numpy as np

from atrous._types import Array, FloatArray


def axis_scales(dimension: int) -> FloatArray:
    """Return the factor of each feature axis before elevation, float64 of shape (D,).

    It is √⅔·(D + 1)/√((i + 1)(i + 2)) for axis i: the columns of the elevation are then orthogonal and of equal length,
    and the filter has standard deviation 1 along each axis.

    Examples
    --------
    >>> axis_scales(2).round(3).tolist()
    [1.732, 1.0]
    """
    i = np.arange(dimension)
    return np.sqrt(2 / 3) * (dimension + 1) / np.sqrt((i + 1) * (i + 2))


def elevate(features: FloatArray) -> FloatArray:
    """Map points (P, D) into the plane Σx = 0 of D + 1 dimensions; return (P, D + 1).

    Examples
    --------
    >>> e = elevate(np.array([[0.3, -1.2]]))
    >>> e.shape, bool(abs(e.sum()) < 1e-12)
    ((1, 3), True)
    """
    count, dimension = features.shape
    scaled = features * axis_scales(dimension).astype(features.dtype)
    elevated = np.zeros((count, dimension + 1), features.dtype)
    total = np.zeros(count, features.dtype)
    for j in range(dimension, 0, -1):
        elevated[:, j] = total - j * scaled[:, j - 1]
        total += scaled[:, j - 1]
    elevated[:, 0] = total
    return elevated


def enclosing_simplex(elevated: FloatArray) -> tuple[Array, Array]:
    """Return the simplex around each elevated point (P, D + 1) as (base, rank), integers of the same shape.

    `base` is the vertex of remainder 0. `rank` orders the coordinates of point − base from the largest (0) to the
    smallest (D). Starting at the base, each step to the next vertex lowers the coordinate of the highest rank left.

    Examples
    --------
    >>> base, rank = enclosing_simplex(np.array([[0.6, 0.1, -0.7]]))
    >>> base.tolist(), rank.tolist()
    ([[0, 0, 0]], [[0, 1, 2]])
    """
    count, corners = elevated.shape
    base = np.rint(elevated * elevated.dtype.type(1 / corners)).astype(np.int64) * corners
    residual = elevated - base.astype(elevated.dtype)
    # Of equal residuals, the later coordinate gets the larger rank, as in a stable sort.
    order = np.argsort(-residual, axis=1, kind="stable")
    rank = np.empty((count, corners), np.int64)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(corners), (count, corners)), axis=1)
    # Rounding each coordinate separately may leave the plane; moving those with the largest errors leads back to it.
    rank += base.sum(1, keepdims=True) // corners
    step = np.where(rank < 0, corners, np.where(rank >= corners, -corners, 0))
    return base + step, rank + step


def barycentric_weights(elevated: FloatArray, base: Array, rank: Array) -> FloatArray:
    """Return the weights (P, D + 1) of the vertices of remainder 0…D; each row sums to 1.

    Examples
    --------
    >>> e = np.array([[0.6, 0.1, -0.7]])
    >>> barycentric_weights(e, *enclosing_simplex(e)).round(4).tolist()
    [[0.5667, 0.2667, 0.1667]]
    """
    corners = elevated.shape[1]
    by_rank = np.empty_like(elevated)
    residual = elevated - base.astype(elevated.dtype)
    np.put_along_axis(by_rank, rank, residual * elevated.dtype.type(1 / corners), axis=1)
    descending = by_rank[:, ::-1]
    weights = np.empty_like(elevated)
    weights[:, 0] = descending[:, 0] + (1 - descending[:, -1])
    weights[:, 1:] = descending[:, 1:] - descending[:, :-1]
    return weights


def simplex_vertices(base: Array, rank: Array) -> Array:
    """Return the coordinates (P, D + 1, D + 1) of the vertices of remainder 0…D of each simplex.

    Vertex r is base + r, minus D + 1 in the coordinates whose rank is among the r highest.

    Examples
    --------
    >>> simplex_vertices(np.array([[0, 0, 0]]), np.array([[0, 1, 2]])).tolist()
    [[[0, 0, 0], [1, 1, -2], [2, -1, -1]]]
    """
    corners = base.shape[1]
    remainder = np.arange(corners)[:, None]
    return base[:, None, :] + remainder - corners * (rank[:, None, :] > corners - 1 - remainder)


def project(elevated: FloatArray) -> FloatArray:
    """Return the points (P, D) whose elevation is nearest to `elevated` (P, D + 1): the inverse of `elevate`.

    Examples
    --------
    >>> points = np.array([[0.3, -1.2, 2.0]])
    >>> bool(np.allclose(project(elevate(points)), points))
    True
    """
    dimension = elevated.shape[1] - 1
    return np.linalg.lstsq(elevate(np.eye(dimension)).T, np.asarray(elevated, np.float64).T, rcond=None)[0].T
