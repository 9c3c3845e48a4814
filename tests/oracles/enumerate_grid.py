"""A second opinion on short-range CRFs that shares nothing with the package: lists of pairs, and every labelling."""

import itertools
import math

import numpy as np


def neighbour_pairs(size, neighbours, weight=1.0, image=None, sigma=None):
    """Return ((y, x), (y', x'), w) for each pair of neighbouring pixels of an H by W grid."""
    pixels = list(itertools.product(range(size[0]), range(size[1])))
    found = []
    for a, b in itertools.combinations(pixels, 2):
        distance = math.dist(a, b)
        if distance > (1 if neighbours == 4 else 1.5):
            continue
        w = weight / distance
        if image is not None:
            difference = np.ravel(image[a]).astype(float) - np.ravel(image[b]).astype(float)
            w *= math.exp(-sum(difference**2) / (2 * sigma**2))
        found.append((a, b, w))
    return found


def all_labellings(labels, size):
    """Return every labelling, shape (labels**(H*W), H, W)."""
    return np.array(list(itertools.product(range(labels), repeat=size[0] * size[1]))).reshape(-1, *size)


def energies(labellings, unary, pairs):
    """Return the energy of each labelling."""
    total = np.zeros(len(labellings))
    for y, x in np.ndindex(unary.shape[1:]):
        total += unary[labellings[:, y, x], y, x]
    for a, b, w in pairs:
        total += w * (labellings[:, *a] != labellings[:, *b])
    return total


def marginals(labellings, values, labels):
    """Return the exact marginals (labels, H, W) of P proportional to exp(-E)."""
    p = np.exp(values.min() - values)
    return np.stack([((labellings == k) * p[:, None, None]).sum(axis=0) for k in range(labels)]) / p.sum()


def mean_field_step(q, unary, pairs):
    """Return the undamped parallel update of q, pixel by pixel."""
    logits = -unary.astype(float)
    for a, b, w in pairs:
        logits[:, *a] += w * q[:, *b]
        logits[:, *b] += w * q[:, *a]
    updated = np.empty_like(logits)
    for y, x in np.ndindex(unary.shape[1:]):
        e = np.exp(logits[:, y, x] - logits[:, y, x].max())
        updated[:, y, x] = e / e.sum()
    return updated
