"""The sum that the lattice approximates: a Gaussian over all pairs of points, O(P²).

Role: definition.
"""

from __future__ import annotations

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.errors import ShapeError

BLOCK_BYTES = 1 << 26


def gaussian_matrix(features: FloatArray, others: FloatArray | None = None) -> FloatArray:
    """Return exp(−½‖fᵢ − gⱼ‖²), shape (P, Q), for points `features` (P, D) and `others` (Q, D), by default the same.

    Features are in units of standard deviations.

    Examples
    --------
    >>> gaussian_matrix(np.array([[0.0], [1.0]])).round(4).tolist()
    [[1.0, 0.6065], [0.6065, 1.0]]
    """
    others = features if others is None else others
    squared = np.zeros((len(features), len(others)), features.dtype)
    for a, b in zip(features.T, others.T, strict=True):
        squared += np.subtract.outer(a, b) ** 2
    return np.exp(squared / -2)


@public
def gaussian_sum(features: FloatArray, values: FloatArray, queries: FloatArray | None = None) -> FloatArray:
    """Filter values with the exact Gaussian: Σⱼ exp(−½‖qᵢ − fⱼ‖²)·valuesⱼ.

    Parameters
    ----------
    features : ndarray of shape (P, D), float32 or float64
        Positions of the values, in units of standard deviations.
    values : ndarray of shape (P, V)
        Values to filter.
    queries : ndarray of shape (Q, D), optional
        Positions of the result; by default `features`.

    Returns
    -------
    ndarray of shape (Q, V)

    Raises
    ------
    ShapeError
        The shapes do not fit together.
    DTypeError
        An array is not floating, or the dtypes differ.

    Notes
    -----
    Cost: P·Q·(2D + V) flops and P·Q exponentials; at most 64 MB of extra memory.

    References
    ----------
    .. [1] Krähenbühl, Koltun, arXiv:1210.5644, Sec. 2, Eq. (3).

    Examples
    --------
    >>> gaussian_sum(np.array([[0.0], [2.0]]), np.array([[1.0], [0.0]])).round(4).tolist()
    [[1.0], [0.1353]]
    """
    owner = "gaussian_sum"
    features = _check.float_array(owner, "features", features)
    values = _check.float_array(owner, "values", values, like=features)
    queries = features if queries is None else _check.float_array(owner, "queries", queries, like=features)
    if features.ndim != 2 or queries.ndim != 2 or values.ndim != 2:
        raise ShapeError(f"{owner}: features, values and queries are (points, axes) arrays, got shapes "
                         f"{features.shape}, {values.shape} and {queries.shape}.")  # fmt: skip
    if len(features) != len(values) or features.shape[1] != queries.shape[1]:
        raise ShapeError(
            f"{owner}: features need as many rows as values and as many axes as queries, got features "
            f"{features.shape}, values {values.shape}, queries {queries.shape}."
        )
    rows = max(1, BLOCK_BYTES // (len(features) * features.itemsize * 3))
    parts = [gaussian_matrix(queries[i : i + rows], features) @ values for i in range(0, len(queries), rows)]
    return np.concatenate(parts)
