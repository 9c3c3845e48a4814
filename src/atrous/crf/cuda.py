"""Mean field on a GPU in a simple form: filter by each Gaussian, mix labels, add to the logits, take the softmax.

There is one thread per number of a message, and one per point of a softmax. Faster kernels are tested against this
form. Results agree with those of the CPU up to rounding; see `atrous.lattice.cuda`.

Role: CUDA. Host arrays are copied to the GPU and back.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda

from atrous.crf.compatibility import reward_matrix
from atrous.crf.messages import row_sums
from atrous.jit.gpu import grid
from atrous.lattice.build import build_lattice
from atrous.lattice.cuda import build, lattice_filter
from atrous.lattice.diagonal import lattice_diagonal


@cuda.jit
def _scale_rows(values, factors, out):
    i = cuda.grid(1)
    labels = values.shape[1]
    if i < values.size:
        out[i // labels, i % labels] = values[i // labels, i % labels] * factors[i // labels]


@cuda.jit
def _remove_self(filtered, values, itself):
    i = cuda.grid(1)
    labels = values.shape[1]
    if i < values.size:
        filtered[i // labels, i % labels] -= itself[i // labels] * values[i // labels, i % labels]


@cuda.jit
def _add_message(filtered, factors, compatibility, logits):
    """Add to each logit its row of the compatibility times the filtered marginals of the point."""
    i = cuda.grid(1)
    labels = logits.shape[1]
    if i >= logits.size:
        return
    p, label = i // labels, i % labels
    total = logits.dtype.type(0)
    for other in range(labels):
        total += compatibility[label, other] * filtered[p, other]
    logits[p, label] += total * factors[p]


@cuda.jit
def _softmax(logits, damping, marginals):
    """One thread per point; `damping` is the weight of the old marginals."""
    p = cuda.grid(1)
    if p >= logits.shape[0]:
        return
    top = logits[p, 0]
    for label in range(1, logits.shape[1]):
        top = max(top, logits[p, label])
    total = logits.dtype.type(0)
    for label in range(logits.shape[1]):
        total += math.exp(logits[p, label] - top)
    for label in range(logits.shape[1]):
        new = math.exp(logits[p, label] - top) / total
        old = damping * marginals[p, label] if damping > 0 else logits.dtype.type(0)
        marginals[p, label] = (logits.dtype.type(1) - damping) * new + old


def _on_device(term, labels, self_message):
    """Return (lattice, factors before and after the filter, self-weights or None, rewards (L, L))."""
    dtype = term.features.dtype
    lattice = build(term.features)
    itself = None if self_message else lattice_diagonal(build_lattice(term.features))
    ones = cuda.to_device(np.ones((len(term.features), 1), dtype))
    sums = lattice_filter(lattice, ones)
    own = None if itself is None else cuda.to_device(itself)
    if own is not None:
        _remove_self[grid(sums.size)](sums, ones, own)
    norm = row_sums(sums.copy_to_host()[:, 0], itself)
    into, out = {
        "none": (np.ones_like(norm), np.ones_like(norm)),
        "before": (1 / norm, np.ones_like(norm)),
        "after": (np.ones_like(norm), 1 / norm),
        "symmetric": (1 / np.sqrt(norm), 1 / np.sqrt(norm)),
    }[term.normalization]
    rewards = np.ascontiguousarray(reward_matrix(np.asarray(term.compatibility, dtype), labels))
    return lattice, cuda.to_device(into), cuda.to_device(out), own, cuda.to_device(rewards)


def iterate(unary, pairwise, iterations, start, watch, *, self_message=True, damping=0.0):
    """Return marginals (L, P) of host energies (L, P); `watch(step, marginals)` may end the run by returning True."""
    dtype = unary.dtype
    points = unary.shape[1]
    energies = -np.ascontiguousarray(unary.T)
    share, none = dtype.type(damping), dtype.type(0)
    marginals = cuda.device_array(energies.shape, dtype)
    if start is None:
        _softmax[grid(points)](cuda.to_device(energies), none, marginals)
    else:
        marginals = cuda.to_device(np.ascontiguousarray(start.T))
    terms = [_on_device(term, len(unary), self_message) for term in pairwise]
    scaled = cuda.device_array(energies.shape, dtype)
    for step in range(1, iterations + 1):
        logits = cuda.to_device(energies)
        for lattice, into, out, itself, compatibility in terms:
            _scale_rows[grid(energies.size)](marginals, into, scaled)
            filtered = lattice_filter(lattice, scaled)
            if itself is not None:
                _remove_self[grid(energies.size)](filtered, scaled, itself)
            _add_message[grid(energies.size)](filtered, out, compatibility, logits)
        _softmax[grid(points)](logits, share, marginals)
        if watch(step, np.ascontiguousarray(marginals.copy_to_host().T)):
            break
    return np.ascontiguousarray(marginals.copy_to_host().T)
