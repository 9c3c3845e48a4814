"""Inference in the short-range CRF for any number of labels: mean field, and iterated conditional modes (ICM).

Role: definition, in NumPy, all pixels at once.
"""

from __future__ import annotations

import numpy as np

from atrous import _check
from atrous._types import Array, FloatArray
from atrous.crf.grid_model import checked_model, neighbour_sum
from atrous.crf.reference import softmax


def grid_mean_field(
    unary: FloatArray, weights: FloatArray, *, iterations: int = 20, damping: float = 0.5
) -> FloatArray:
    """Approximate the marginals by independent pixels, all updated at once.

    Q_i(l) ← damping·Q_i(l) + (1 − damping)·softmax_l(−U_i(l) + Σ_j w_ij·Q_j(l)), from Q = softmax(−U).

    Parameters
    ----------
    unary, weights
        As for `grid_energy`; weights may be negative.
    iterations : int, default 20
        Number of updates; 0 gives softmax(−U).
    damping : float in [0, 1), default 0.5
        Weight of the old Q. At 0, the two colours of a chessboard depend only on each other's old values, and strong
        weights can make them swap forever.

    Returns
    -------
    ndarray of shape (L, H, W)
        Q; sums to 1 over the labels. Dtype of `unary`.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Arrays that do not fit together, NaN, options outside their range.

    Notes
    -----
    Cost: about (4·K + 8)·L·H·W operations per iteration. Exact where all weights of a pixel are 0; elsewhere Q is
    usually overconfident.

    References
    ----------
    .. [1] Koller and Friedman, Probabilistic Graphical Models, MIT Press 2009, Section 11.5.

    Examples
    --------
    >>> unary = np.array([[[2.0, 0.0, 2.0]], [[0.0, 1.0, 0.0]]])
    >>> grid_mean_field(unary, grid_weights(unary)).argmax(axis=0)
    array([[1, 1, 1]])
    """
    owner = "grid_mean_field"
    unary, weights = checked_model(owner, unary, weights)
    iterations = _check.integer(owner, "iterations", iterations, least=0)
    damping = _check.number(owner, "damping", damping, least=0, below=1)
    q = softmax(-unary)
    for _ in range(iterations):
        q = damping * q + (1 - damping) * softmax(neighbour_sum(q, weights) - unary)
    return q


def grid_icm(unary: FloatArray, weights: FloatArray, *, iterations: int = 100) -> Array:
    """Descend from the best label of each pixel to a labelling that no single pixel can improve.

    Iterated conditional modes: each pixel takes the label that is best given its neighbours, one colour of pixels after
    the other. No two pixels of a colour are neighbours (2 colours for 4 neighbours, 4 for 8), so E never rises.

    Parameters
    ----------
    unary, weights
        As for `grid_energy`; weights may be negative.
    iterations : int, default 100
        Maximum number of sweeps over all colours; the search stops when nothing changes.

    Returns
    -------
    ndarray of int64 of shape (H, W)
        Labels; a pixel keeps its own if no other is better.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Arrays that do not fit together, NaN, options outside their range.

    Notes
    -----
    Cost: about 4·K·L·H·W operations for each colour of a sweep. The result depends on the start and may be far from the
    least energy.

    References
    ----------
    .. [1] Besag, On the statistical analysis of dirty pictures, J. R. Statist. Soc. B 48, 1986.

    Examples
    --------
    >>> unary = np.array([[[2.0, 0.0, 2.0]], [[0.0, 1.0, 0.0]]])
    >>> grid_icm(unary, grid_weights(unary))
    array([[1, 1, 1]])
    """
    owner = "grid_icm"
    unary, weights = checked_model(owner, unary, weights)
    iterations = _check.integer(owner, "iterations", iterations, least=0)
    y, x = np.indices(unary.shape[1:])
    colour, colours = ((y + x) % 2, 2) if len(weights) == 2 else (2 * (y % 2) + x % 2, 4)
    labels = unary.argmin(axis=0)
    for _ in range(iterations):
        before = labels
        for c in range(colours):
            labels = np.where(colour == c, _best_labels(labels, unary, weights), labels)
        if np.array_equal(labels, before):
            break
    return labels.astype(np.int64, copy=False)


def _best_labels(labels, unary, weights):
    """Return each pixel's best label given all other pixels; its own if no other is better."""
    chosen = (labels == np.arange(len(unary))[:, None, None]).astype(unary.dtype)
    cost = unary - neighbour_sum(chosen, weights)
    own = np.take_along_axis(cost, labels[None], axis=0)[0]
    return np.where(cost.min(axis=0) < own, cost.argmin(axis=0), labels)
