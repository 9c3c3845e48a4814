"""A second opinion on fully connected CRFs that shares nothing with the package: matrices and loops over points."""

import math

import numpy as np


def gaussian_matrix(points, others=None):
    """Return exp(-|p - q|^2 / 2) for every pair of points, in float64."""
    others = points if others is None else others
    return np.array([[math.exp(-(math.dist(p, q) ** 2) / 2) for q in others.tolist()] for p in points.tolist()])


def carrier(matrix, normalization="none", *, self_message=True):
    """Return what carries values to messages: a matrix, without its diagonal if asked, divided by its row sums."""
    k = np.array(matrix, np.float64)
    if not self_message:
        k -= np.diag(np.diag(k))
    n = k @ np.ones(len(k))
    n[n == 0] = 1.0  # a point that nobody hears
    left, right = {"none": (0, 0), "before": (0, 1), "after": (1, 0), "symmetric": (0.5, 0.5)}[normalization]
    return np.diag(n**-left) @ k @ np.diag(n**-right)


def costs(compatibility, labels):
    """Return the symmetric matrix of what two labels cost each other, from a number, a vector or a matrix."""
    c = np.asarray(compatibility, np.float64)
    if c.ndim == 2:
        return (c + c.T) / 2
    return -np.diag(np.full(labels, c) if c.ndim == 0 else c)


def softmax(column):
    e = np.exp(column - column.max())
    return e / e.sum()


def independent(unary):
    """Return softmax(-U), point by point."""
    return np.stack([softmax(-u) for u in np.asarray(unary, np.float64).T], axis=1)


def logits(q, unary, terms, i):
    """Return the logits of point i; a term is (carrier, costs)."""
    return -unary[:, i] - sum(cost @ (q @ carry[i]) for carry, cost in terms)


def mean_field(unary, terms, iterations, *, start=None, damping=0.0):
    """Return marginals (L, P) after parallel updates."""
    unary = np.asarray(unary, np.float64)
    q = independent(unary) if start is None else np.asarray(start, np.float64)
    for _ in range(iterations):
        new = np.stack([softmax(logits(q, unary, terms, i)) for i in range(unary.shape[1])], axis=1)
        q = damping * q + (1 - damping) * new
    return q


def sequential(unary, terms, sweeps):
    """Yield marginals after every update of one point: those of terms whose carriers are symmetric."""
    q = independent(unary)
    yield q.copy()
    for _ in range(sweeps):
        for i in range(q.shape[1]):
            q[:, i] = softmax(logits(q, unary, terms, i))
            yield q.copy()


def free_energy(q, unary, terms):
    """Return sum Q log Q + sum Q U + half of what all pairs cost."""
    q, unary = np.asarray(q, np.float64), np.asarray(unary, np.float64)
    total = sum(v * (math.log(v) + u) for v, u in zip(q.ravel(), unary.ravel(), strict=True) if v > 0)
    for carry, cost in terms:
        for i in range(q.shape[1]):
            total += q[:, i] @ cost @ (q @ carry[i]) / 2
    return total
