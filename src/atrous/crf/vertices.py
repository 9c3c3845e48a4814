"""The work at the vertices of the lattices between splat and slice: gather, blur, and the compatibility of labels.

The lattices of a model share one table, each with its own rows. Compatibility is linear and there are far fewer
vertices than points, so it is applied here: weights per label in the last blur, a matrix of costs in one more pass.

Role: loops.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous._types import Array
from atrous.crf.compatibility import reward
from atrous.jit import lanes
from atrous.jit.barrier import wait
from atrous.jit.compiler import compiled
from atrous.jit.threads import launch_team
from atrous.lattice import splat_blur_slice
from atrous.lattice.rows import NONE, ONE, padded
from atrous.lattice.simplex import slice_scale


class Vertices(NamedTuple):
    """The vertices of one lattice among several: their rows in the common table and their neighbours."""

    begin: int
    """The first row."""
    end: int
    """One past the last row, which holds zeros for missing neighbours."""
    first: Array
    """(M + 1,) int64: where the slots of each vertex begin in `members`."""
    members: Array
    """(S,) int32: slots, ordered by vertex."""
    neighbours: Array
    """(D + 1, M, 2) int32, as in `Lattice`."""


@compiled()
def _mix(head, tail, source, matrix, target):
    """Multiply each row by a matrix (width, width)."""
    width = np.uintp(source.shape[1])
    for v in range(head, tail):
        o = np.uintp(v) * width
        for j in range(NONE, width, ONE):
            total = lanes.repeat(source.dtype.type(0))
            for i in range(width):
                total = lanes.add_scaled(total, source[v, i], lanes.load(matrix, i * width + j))
            lanes.store(target, o + j, total)


@compiled()
def blur_vertices(me, size, barrier, lattices, factors, matrices, slot_values, space):
    """Gather, blur, scale and mix the vertices of all lattices; each thread does its share of each stage.

    A stage is one step of every lattice, so that threads wait for each other as seldom as possible. `factors` (lattices
    + 1, width), whose last row is ones, scale the blur along the last axis. `matrices` (lattices, width, width) then
    multiply the rows, or are (lattices, 0, 0). `space` is (2, rows, width), and space[0] the result.
    """
    mixes = matrices.shape[1] > 0
    most = 0
    for vertices in lattices:
        most = max(most, vertices.neighbours.shape[0])
    for stage in range(1 + most + mixes):
        for k in range(len(lattices)):
            vertices = lattices[k]
            rows, axes = vertices.first.size, vertices.neighbours.shape[0]
            last = axes + mixes
            if stage > last:
                continue
            head, tail = rows * me // size, rows * (me + 1) // size
            # The last stage writes space[0], the one before it space[1], and so on.
            target = space[(last - stage) % 2][vertices.begin : vertices.end]
            source = space[(last - stage + 1) % 2][vertices.begin : vertices.end]
            if stage == 0:
                splat_blur_slice.gather_rows(head, tail, slot_values, vertices.first, vertices.members, target)
            elif stage <= axes:
                scale = factors[k if stage == axes else -1]
                splat_blur_slice.blur_rows(head, tail, source, vertices.neighbours[stage - 1], scale, target)
            else:
                _mix(head, tail, source, matrices[k], target)
        wait(barrier, size)


def factors_and_matrices(lattices, rewards):
    """Return the factors and matrices of `blur_vertices` from each lattice's rewards, (width,) or (width, width)."""
    width, dtype = len(rewards[0]), rewards[0].dtype
    factors = np.ones((len(lattices) + 1, width), dtype)
    for k, vertices in enumerate(lattices):
        factors[k] *= dtype.type(slice_scale(len(vertices.neighbours) - 1))
    if any(r.ndim == 2 for r in rewards):
        return factors, np.stack([r if r.ndim == 2 else np.diag(r) for r in rewards])
    for k, r in enumerate(rewards):
        factors[k] *= r
    return factors, np.empty((len(lattices), 0, 0), dtype)


def vertex_table(lattices, slot_values, rewards):
    """Return the table (rows, width) from which points slice, given the values splatted onto slots (S, width)."""
    space = np.empty((2, lattices[-1].end, slot_values.shape[1]), slot_values.dtype)
    launch_team(blur_vertices, tuple(lattices), *factors_and_matrices(lattices, rewards), slot_values, space)
    return space[0]


def padded_rewards(pairwise, labels, dtype):
    """Return the reward of each pairwise term, padded with zeros to (width,) or (width, width)."""
    found = []
    for term in pairwise:
        r = reward(np.asarray(term.compatibility))
        axes = max(1, r.ndim)
        wide = np.zeros((padded(labels),) * axes, dtype)
        wide[(slice(labels),) * axes] = r
        found.append(wide)
    return found
