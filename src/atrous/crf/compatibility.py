"""Compatibility: the energy of the labels of two points, Potts or otherwise.

    a number w     the Potts model: equal labels are rewarded, μ(a, b) = −w·[a = b]
    a vector v     each label has its own reward, μ(a, b) = −v_a·[a = b]
    a matrix M     costs, μ(a, b) = ½(M + Mᵀ)_ab, because the energy counts a pair of points in both orders

So w, w·(1, …, 1) and −w·I mean the same. The functions below use the reward −μ, which mean field adds to the logits.

Role: definition.
"""  # fmt: skip

from __future__ import annotations

import numpy as np


def reward(compatibility):
    """Return −μ from a compatibility: a number or a vector unchanged, −½(M + Mᵀ) from a matrix."""
    return (compatibility + compatibility.T) / -2 if compatibility.ndim == 2 else compatibility


def reward_matrix(compatibility, labels):
    """Return −μ as a matrix (L, L).

    Examples
    --------
    >>> reward_matrix(np.array(3.0), 2).tolist()
    [[3.0, 0.0], [0.0, 3.0]]
    """
    found = reward(compatibility)
    return found if found.ndim == 2 else np.diag(np.broadcast_to(found, (labels,)))


def agreement(compatibility, filtered):
    """Return what a pairwise term adds to the logits: w·KQ, v⊙KQ, or −½(M + Mᵀ)·KQ, from KQ of shape (L, P)."""
    found = reward(compatibility)
    return found @ filtered if found.ndim == 2 else found.reshape(-1, 1) * filtered
