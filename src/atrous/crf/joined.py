"""Several lattices on the same points, joined so that one pass over the points handles all Gaussians of a model.

A point has the corners of all its lattices. Normalisation is linear, so it is folded into the barycentric weights.

Role: loops.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous._types import Array
from atrous.crf.pairwise import NORMALIZATIONS, TINY
from atrous.crf.vertices import Vertices, vertex_table
from atrous.jit.compiler import compiled
from atrous.jit.threads import launch
from atrous.lattice import build
from atrous.lattice.rows import clear, padded

UNCHANGED, BEFORE, AFTER, SYMMETRIC = range(4)  # the normalisations, in the order of their names


class Joined(NamedTuple):
    """The data for one pass over P points that have C corners in all lattices together."""

    corners: Array
    """(P, C) uint16: slots, counted within the block."""
    splat_weights: Array
    """(P, C): barycentric weights from a point to its vertices, normalisation included."""
    slice_weights: Array
    """(P, C): weights from the vertices back to a point; the same array if all normalisations are symmetric or none."""
    starts: Array
    """(B + 1,) int64: the first slot of each block."""
    slots: Array
    """(S,) int32: rows of the common table."""
    block: int
    """Points in a block."""


@compiled()
def _splat_ones(head, tail, corners, weights, starts, block, slot_values):
    for b in range(head, tail):
        table = slot_values[starts[b] : starts[b + 1]]
        clear(table)
        for p in range(b * block, min(corners.shape[0], (b + 1) * block)):
            for c in range(corners.shape[1]):
                table[corners[p, c], 0] += weights[p, c]


@compiled()
def _normalize(head, tail, table, joined, columns, modes, separate):
    """Divide the splat or slice weights of each lattice by its row sums, or both weights by their square roots."""
    splat, slicing = joined.splat_weights, joined.slice_weights
    for b in range(head, tail):
        local = np.empty(joined.starts[b + 1] - joined.starts[b], table.dtype)
        for s in range(local.size):
            local[s] = table[joined.slots[joined.starts[b] + s], 0]
        for p in range(b * joined.block, min(joined.corners.shape[0], (b + 1) * joined.block)):
            for k in range(columns.size - 1):
                norm = table.dtype.type(TINY)
                for c in range(columns[k], columns[k + 1]):
                    norm += splat[p, c] * local[joined.corners[p, c]]
                whole = table.dtype.type(1) / norm
                half = np.sqrt(whole)
                out = half if modes[k] == SYMMETRIC else (whole if modes[k] == BEFORE else table.dtype.type(1))
                back = half if modes[k] == SYMMETRIC else (whole if modes[k] == AFTER else table.dtype.type(1))
                for c in range(columns[k], columns[k + 1]):
                    splat[p, c] *= out
                    if separate:
                        slicing[p, c] *= back


def join(owner, features, normalizations, *, mute=0, ring=False):
    """Build the lattices of several sets of features of the same points; return (Joined, list of Vertices).

    `features` are arrays (P, D) with neighbouring points close together; `normalizations` has one of "none", "before",
    "after", "symmetric" for each. The last `mute` points create vertices but splat no values; with `ring`, the
    lattices have one as in `build_lattice`.
    """
    dtype, count = features[0].dtype, len(features[0])
    columns = np.cumsum([0, *(f.shape[1] + 1 for f in features)])
    block = build.block_points(int(columns[-1]))
    counts = np.zeros(-(-count // block), np.int64)
    corners = np.empty((count, columns[-1]), np.uint16)
    splat = np.empty((count, columns[-1]), dtype)

    found = []
    for f, column in zip(features, columns[:-1], strict=True):
        before = counts.copy()
        keys, packed = build.embed(owner, f, corners, splat, int(column), counts, block)
        found.append((keys, packed, before, counts - before))
    starts = np.concatenate([[0], np.cumsum(counts)])
    splat[count - mute :] = 0

    slots = np.empty(starts[-1], np.int32)
    lattices, row = [], 0
    for keys, packed, before, new in found:
        vertex, distinct = build.number_vertices(keys, packed)
        if ring:
            vertex, distinct = build.add_ring(vertex, distinct, packed)
        # The places of this lattice's slots among the slots of all lattices, block by block.
        place = np.arange(len(vertex)) + np.repeat(starts[:-1] + before - (np.cumsum(new) - new), new)
        slots[place] = vertex + row
        first, members = np.zeros(len(distinct) + 1, np.int64), np.empty(len(vertex), np.int32)
        build.sort_slots(vertex, first, members)
        neighbours = build.find_neighbours(distinct, packed)
        lattices.append(Vertices(row, row + len(distinct) + 1, first, place[members].astype(np.int32), neighbours))
        row += len(distinct) + 1

    modes = np.array([NORMALIZATIONS.index(n) for n in normalizations])
    slicing = splat if np.isin(modes, (UNCHANGED, SYMMETRIC)).all() else splat.copy()
    joined = Joined(corners, splat, slicing, starts, slots, block)
    if modes.any():
        blocks = len(counts)
        values = np.zeros((len(slots), padded(1)), dtype)
        launch(_splat_ones, blocks, corners, splat, starts, block, values)
        table = vertex_table(lattices, values, [np.ones(values.shape[1], dtype)] * len(lattices))
        launch(_normalize, blocks, table, joined, columns, modes, slicing is not splat)
    return joined, lattices
