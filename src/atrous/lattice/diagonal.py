"""The weight of a point's own value in its result: the diagonal of the lattice filter.

An impulse at a point reaches the corners of its simplex, and from each, along paths of the blur, the other corners.
Two vertices of one simplex whose remainders differ by m are joined by two paths: m steps along some axes, or D + 1 − m
steps the other way along all other axes. A vertex reaches itself by no step and by two loops of D + 1 steps. Each step
has a factor ½. A path counts only if every vertex on it exists when the axes are taken in the order of the blur.

Role: loops.
"""

from __future__ import annotations

import numpy as np

from atrous._kinds import public
from atrous._types import FloatArray
from atrous.jit.compiler import compiled
from atrous.jit.numba_or_not import njit
from atrous.jit.threads import launch
from atrous.lattice.build import Lattice
from atrous.lattice.simplex import slice_scale


@njit(nogil=True)
def _walk(neighbours, vertex, step_of_axis, first, last, inside, side):
    """Return whether all vertices exist on the walk along the axes whose step is (or is not) in [first, last)."""
    for axis in range(neighbours.shape[0]):
        step = step_of_axis[axis]
        if (first <= step < last) == inside:
            vertex = neighbours[axis, vertex, side]
            if vertex == neighbours.shape[1]:
                return False
    return True


@compiled()
def _diagonal(head, tail, vertices, weights, neighbours, keys, out):
    count, size = vertices.shape
    for block in range(head, tail):
        step_of_axis = np.empty(size, np.int64)
        for p in range(block * 256, min(count, (block + 1) * 256)):
            # Walking the simplex from remainder r to r + 1 lowers one coordinate; the last axis takes the free step.
            step_of_axis[:] = size - 1
            for r in range(size - 1):
                for i in range(size - 1):
                    if keys[vertices[p, r + 1], i] < keys[vertices[p, r], i]:
                        step_of_axis[i] = r
            taken = np.zeros(size, np.bool_)
            for i in range(size - 1):
                taken[step_of_axis[i]] = True
            for r in range(size):
                if not taken[r]:
                    step_of_axis[size - 1] = r
            total = 0.0
            for s in range(size):
                start = vertices[p, s]
                for r in range(size):
                    first, last = min(r, s), max(r, s)
                    m = last - first
                    value = 1.0 if m == 0 else 0.0
                    # Steps to a higher remainder lower a coordinate, which is the step "up", side 1.
                    side = 1 if r > s else 0
                    if m > 0 and _walk(neighbours, start, step_of_axis, first, last, True, side):
                        value += 0.5**m
                    if _walk(neighbours, start, step_of_axis, first, last, False, 1 - side):
                        value += 0.5 ** (size - m)
                    if m == 0 and _walk(neighbours, start, step_of_axis, first, last, False, side):
                        value += 0.5**size
                    total += weights[p, r] * weights[p, s] * value
            out[p] = total


@public
def lattice_diagonal(lattice: Lattice) -> FloatArray:
    """Return the weight (P,) of each point's own value in the result of `lattice_filter`.

    Parameters
    ----------
    lattice : Lattice
        From `build_lattice`.

    Returns
    -------
    ndarray of shape (P,)
        The diagonal of the filter as a matrix; 1 for the exact Gaussian, less on the lattice.

    Notes
    -----
    Cost: O(P·D³).

    Examples
    --------
    >>> from atrous import build_lattice, lattice_filter
    >>> lattice = build_lattice(np.random.default_rng(0).normal(size=(30, 3)))
    >>> bool(np.allclose(lattice_diagonal(lattice), np.diag(lattice_filter(lattice, np.eye(30)))))
    True
    """
    out = np.empty(len(lattice.weights), lattice.weights.dtype)
    launch(_diagonal, -(-len(out) // 256), lattice.vertices(), lattice.weights, lattice.neighbours, lattice.keys, out)
    return out * out.dtype.type(slice_scale(lattice.keys.shape[1]))
