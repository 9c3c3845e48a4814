"""Every labelling of a few points: energies, probabilities, log Z. It shares nothing with the package."""

import itertools

import numpy as np


def all_labellings(labels, points):
    """Return every labelling, shape (labels**points, points)."""
    return np.array(list(itertools.product(range(labels), repeat=points)))


def energy(labelling, unary, terms):
    """Return the energy of one labelling; a term is (what carries values (P, P), costs of pairs of labels)."""
    total = sum(float(unary[k, i]) for i, k in enumerate(labelling))
    for carry, cost in terms:
        for i, j in itertools.combinations(range(len(labelling)), 2):
            total += (carry[i, j] + carry[j, i]) / 2 * cost[labelling[i], labelling[j]]
    return total


def energies(labellings, unary, terms):
    """Return the energy of each labelling, term by term for all at once."""
    points = labellings.shape[1]
    total = np.zeros(len(labellings))
    for i in range(points):
        total += unary[labellings[:, i], i]
    for carry, cost in terms:
        for i, j in itertools.combinations(range(points), 2):
            total += (carry[i, j] + carry[j, i]) / 2 * cost[labellings[:, i], labellings[:, j]]
    return total


def log_z(values):
    """Return log sum exp(-E)."""
    low = values.min()
    return float(np.log(np.exp(low - values).sum()) - low)


def marginals(labellings, values, labels):
    """Return the exact marginals (labels, points) of P proportional to exp(-E)."""
    p = np.exp(-values - log_z(values))
    return np.stack([((labellings == k) * p[:, None]).sum(axis=0) for k in range(labels)])
