"""Messages: the normalised sum that every point receives through one Gaussian, on the lattice or exactly.

Role: loops, over `lattice_filter` or matrices; for options that `fused` does not have, and for the free energy.
"""

from __future__ import annotations

import numpy as np

from atrous.crf.pairwise import TINY
from atrous.crf.reference import pairwise_matrix
from atrous.lattice.build import build_lattice
from atrous.lattice.diagonal import lattice_diagonal
from atrous.lattice.splat_blur_slice import lattice_filter


def row_sums(sums, itself):
    """Return the divisors: the row sums, or inf where only rounding is left, so that the message is 0.

    `itself` was subtracted from the sums; it is None if the self-message is kept.
    """
    if itself is None:
        return sums + sums.dtype.type(TINY)
    return np.where(sums > 64 * np.finfo(sums.dtype).eps * itself, sums, np.inf).astype(sums.dtype)


def lattice_operator(term, *, self_message=True, ring=False):
    """Return the function from values (L, P) to normalised messages (L, P) that filters on the lattice."""
    lattice = build_lattice(term.features, ring=ring)
    itself = None if self_message else lattice_diagonal(lattice)

    def raw(values):
        out = lattice_filter(lattice, np.ascontiguousarray(values.T)).T
        return out if itself is None else out - itself * values

    if term.normalization == "none":
        return raw
    norm = row_sums(raw(np.ones((1, len(term.features)), term.features.dtype))[0], itself)
    if term.normalization == "before":
        return lambda values: raw(values / norm)
    if term.normalization == "after":
        return lambda values: raw(values) / norm
    root = np.sqrt(norm)
    return lambda values: raw(values / root) / root


def exact_operator(term, *, self_message=True):
    """Return the function from values to messages that sums over all pairs of points."""
    matrix = pairwise_matrix(term, self_message=self_message)
    return lambda values: values @ matrix.T
