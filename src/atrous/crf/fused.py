"""Mean field in one pass a step: each point listens to its vertices, takes the softmax, and speaks to its vertices.

Messages are never written: between two blurs a block of points reads the rows of its slots, and what leaves it is the
next values of the same slots. All kernels of the model share one pass; a point has the corners of all their lattices.
Normalisation is folded into the barycentric weights, compatibility into the vertices: both are linear, and there are
far fewer vertices than points.

Every loop owns what it writes, blocks are cut by position: equal bits for any number of threads.

Role: loops.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous._types import Array
from atrous.crf.pairwise import NORMALIZATIONS, TINY
from atrous.crf.softmax import softmax_rows
from atrous.jit import lanes
from atrous.jit.barrier import wait
from atrous.jit.compiler import compiled
from atrous.jit.threads import launch, launch_team
from atrous.lattice import build, splat_blur_slice
from atrous.lattice.rows import NONE, ONE, clear, collect, copy, copy_rows, padded, spread
from atrous.lattice.simplex import slice_scale

GROUP = 64  # points that are done together, so that their rows stay in the innermost cache
UNCHANGED, BEFORE, AFTER, SYMMETRIC = range(4)  # the normalisations, in the order of their names
PATCH = 512  # points that are moved together between planes and rows: lines of the planes are used whole


class Joined(NamedTuple):
    """What P points with C corners in all lattices together need in a pass."""

    corners: Array  # (P, C) uint16, slots within the block
    spoken: Array  # (P, C), weights of a point's own row on the way to the vertices
    heard: Array  # (P, C), weights on the way back; the same array where normalisation is symmetric or none
    starts: Array  # (B + 1,) int64
    slots: Array  # (S,) int32, rows of the tables of all lattices, one above the other
    block: int


class Part(NamedTuple):
    """One lattice among those joined: its rows of the common table and how they hang together."""

    begin: int
    end: int  # the row of zeros included
    first: Array
    members: Array
    neighbours: Array


@compiled()
def _speak_ones(head, tail, corners, weights, starts, block, slot_values):
    for b in range(head, tail):
        table = slot_values[starts[b] : starts[b + 1]]
        clear(table)
        for p in range(b * block, min(corners.shape[0], (b + 1) * block)):
            for c in range(corners.shape[1]):
                table[corners[p, c], 0] += weights[p, c]


@compiled()
def _normalize(head, tail, table, joined, columns, modes, separate):
    """Divide the weights of each lattice by the sum of its kernel's row, on one way or by its root on both."""
    spoken, heard = joined.spoken, joined.heard
    for b in range(head, tail):
        local = np.empty(joined.starts[b + 1] - joined.starts[b], table.dtype)
        for s in range(local.size):
            local[s] = table[joined.slots[joined.starts[b] + s], 0]
        for p in range(b * joined.block, min(joined.corners.shape[0], (b + 1) * joined.block)):
            for k in range(columns.size - 1):
                norm = table.dtype.type(TINY)
                for c in range(columns[k], columns[k + 1]):
                    norm += spoken[p, c] * local[joined.corners[p, c]]
                whole = table.dtype.type(1) / norm
                half = np.sqrt(whole)
                out = half if modes[k] == SYMMETRIC else (whole if modes[k] == BEFORE else table.dtype.type(1))
                back = half if modes[k] == SYMMETRIC else (whole if modes[k] == AFTER else table.dtype.type(1))
                for c in range(columns[k], columns[k + 1]):
                    spoken[p, c] *= out
                    if separate:
                        heard[p, c] *= back


@compiled()
def _mix(head, tail, source, matrix, target):
    """Multiply each row with a matrix (width, width)."""
    width = np.uintp(source.shape[1])
    for v in range(head, tail):
        o = np.uintp(v) * width
        for j in range(NONE, width, ONE):
            total = lanes.repeat(source.dtype.type(0))
            for i in range(width):
                total = lanes.add_scaled(total, source[v, i], lanes.load(matrix, i * width + j))
            lanes.store(target, o + j, total)


@compiled()
def step_of_points(head, tail, logits, table, joined, slot_values, marginals, listen, speak, keep):
    """One step of all points: logits + what they hear → softmax → what they say, or where `keep` the marginals."""
    width = logits.shape[1]
    for b in range(head, tail):
        begin, end = joined.starts[b], joined.starts[b + 1]
        first_point = b * joined.block
        last_point = min(logits.shape[0], first_point + joined.block)
        rows = np.empty((GROUP, width), logits.dtype)
        local = np.empty((end - begin if listen else 0, width), logits.dtype)
        if listen:
            copy_rows(table, joined.slots[begin:end], local)
        spoken = slot_values[begin:end]
        if speak:
            clear(spoken)
        for p in range(first_point, last_point, GROUP):
            count = min(GROUP, last_point - p)
            copy(logits, p, rows, 0, count, width)
            if listen:
                collect(local, joined.corners, joined.heard, p, count, rows, width)
            softmax_rows(rows, count, width)
            if speak:
                spread(rows, joined.corners, joined.spoken, p, count, spoken, width)
            if keep:
                copy(rows, 0, marginals, p, count, width)


@compiled()
def _speak(head, tail, marginals, joined, slot_values):
    """Splat given marginals, for a warm start."""
    width = marginals.shape[1]
    for b in range(head, tail):
        spoken = slot_values[joined.starts[b] : joined.starts[b + 1]]
        clear(spoken)
        begin = b * joined.block
        count = min(joined.block, marginals.shape[0] - begin)
        spread(marginals[begin : begin + count], joined.corners, joined.spoken, begin, count, spoken, width)


@compiled()
def _listen(head, tail, table, joined, messages):
    """Write the messages themselves (P, width), which a pass never does."""
    width = messages.shape[1]
    for b in range(head, tail):
        begin, end = joined.starts[b], joined.starts[b + 1]
        local = np.empty((end - begin, width), table.dtype)
        copy_rows(table, joined.slots[begin:end], local)
        point = b * joined.block
        count = min(joined.block, messages.shape[0] - point)
        clear(messages[point : point + count])
        collect(local, joined.corners, joined.heard, point, count, messages[point : point + count], width)


@compiled()
def _to_rows(head, tail, planes, order, sign, padding, rows):
    """Row p holds sign·planes[:, order[p]], then `padding`."""
    labels, width = planes.shape[0], rows.shape[1]
    for b in range(head, tail):
        for j in range(width):
            for p in range(b * PATCH, min(rows.shape[0], (b + 1) * PATCH)):
                rows[p, j] = sign * planes[j, order[p]] if j < labels else padding


@compiled()
def _to_planes(head, tail, rows, order, planes):
    """planes[:, order[p]] becomes row p."""
    for b in range(head, tail):
        for j in range(planes.shape[0]):
            for p in range(b * PATCH, min(rows.shape[0], (b + 1) * PATCH)):
                planes[j, order[p]] = rows[p, j]


def to_rows(planes, order, *, sign=1, padding=0):
    """Return an array (P, width) of the planes (L, P) in another order of points, labels side by side."""
    rows = np.empty((len(order), padded(len(planes))), planes.dtype)
    launch(_to_rows, -(-len(order) // PATCH), planes, order, planes.dtype.type(sign), planes.dtype.type(padding), rows)
    return rows


def to_planes(rows, order, planes):
    """Write rows (P, width) into planes (L, ...) at the points `order` and return these: the inverse of `to_rows`."""
    launch(_to_planes, -(-len(order) // PATCH), rows, order, planes)
    return planes


def strip_order(shape, side=32):
    """Return the order of the points of a grid in which any thousand neighbours in memory form a compact patch.

    All axes but the last are cut into strips; a strip is walked along the last axis, its cross-section at each step.
    """
    if len(shape) == 3:
        side = 10
    index = np.arange(np.prod(shape, dtype=np.int64)).reshape(shape)
    if len(shape) == 1:
        return index
    parts = [index[y : y + side] for y in range(0, shape[0], side)]
    for axis in range(1, len(shape) - 1):
        parts = [
            part[(slice(None),) * axis + (slice(y, y + side),)]
            for part in parts
            for y in range(0, shape[axis], side)
        ]  # fmt: skip
    return np.concatenate([np.moveaxis(part, -1, 0).ravel() for part in parts])


def join(owner, features, normalizations, *, silent=0):
    """Build the lattices of several sets of features of the same points; return (Joined, list of Part).

    `features` (P, D) arrays in an order with neighbours side by side; `normalizations` one of "none", "before",
    "after", "symmetric" for each. The last `silent` points own vertices and carry no value.
    """
    dtype, count = features[0].dtype, len(features[0])
    columns = np.cumsum([0, *(f.shape[1] + 1 for f in features)])
    block = build.block_points(int(columns[-1]))
    counts = np.zeros(-(-count // block), np.int64)
    corners = np.empty((count, columns[-1]), np.uint16)
    spoken = np.empty((count, columns[-1]), dtype)

    found = []
    for f, column in zip(features, columns[:-1], strict=True):
        before = counts.copy()
        keys, packed = build.embed(owner, f, corners, spoken, int(column), counts, block)
        found.append((keys, packed, before, counts - before))
    starts = np.concatenate([[0], np.cumsum(counts)])
    spoken[count - silent :] = 0

    slots = np.empty(starts[-1], np.int32)
    parts, row = [], 0
    for keys, packed, before, new in found:
        vertex, distinct = build.number_vertices(keys, packed)
        # This lattice's slots among those of all, block by block.
        place = np.arange(len(vertex)) + np.repeat(starts[:-1] + before - (np.cumsum(new) - new), new)
        slots[place] = vertex + row
        first, members = np.zeros(len(distinct) + 1, np.int64), np.empty(len(vertex), np.int32)
        build.sort_slots(vertex, first, members)
        neighbours = build.find_neighbours(distinct, packed)
        parts.append(Part(row, row + len(distinct) + 1, first, place[members].astype(np.int32), neighbours))
        row += len(distinct) + 1

    modes = np.array([NORMALIZATIONS.index(n) for n in normalizations])
    heard = spoken if np.isin(modes, (UNCHANGED, SYMMETRIC)).all() else spoken.copy()
    joined = Joined(corners, spoken, heard, starts, slots, block)
    if modes.any():
        blocks = len(counts)
        values = np.zeros((len(slots), padded(1)), dtype)
        launch(_speak_ones, blocks, corners, spoken, starts, block, values)
        table = hear(parts, values, [np.ones(values.shape[1], dtype)] * len(parts))
        launch(_normalize, blocks, table, joined, columns, modes, heard is not spoken)
    return joined, parts


@compiled()
def _hear(me, size, barrier, parts, factors, matrices, slot_values, space):
    """Gather, blur, scale and mix the vertices of all lattices, each thread its share of each stage.

    `factors` (kernels + 1, width), the last row ones, are applied on the last axis; then `matrices` (kernels, width,
    width), or (kernels, 0, 0) where no kernel needs one. The result is space[0], of space (2, rows, width).
    """
    mixes = matrices.shape[1] > 0
    for k in range(len(parts)):
        part = parts[k]
        rows, axes = part.first.size, part.neighbours.shape[0]
        head, tail = rows * me // size, rows * (me + 1) // size
        here, there = space[0][part.begin : part.end], space[1][part.begin : part.end]
        if (axes + mixes) % 2 == 1:
            here, there = there, here
        splat_blur_slice.gather_rows(head, tail, slot_values, part.first, part.members, here)
        wait(barrier, size)
        for axis in range(axes):
            scale = factors[k if axis == axes - 1 else -1]
            splat_blur_slice.blur_rows(head, tail, here, part.neighbours[axis], scale, there)
            here, there = there, here
            wait(barrier, size)
        if mixes:
            _mix(head, tail, here, matrices[k], there)
            wait(barrier, size)


def _applied(parts, compatibilities):
    """Return the factors and matrices of `_hear` from a row (width,) or a matrix (width, width) for each lattice."""
    width, dtype = len(compatibilities[0]), compatibilities[0].dtype
    factors = np.ones((len(parts) + 1, width), dtype)
    for k, part in enumerate(parts):
        factors[k] *= dtype.type(slice_scale(len(part.neighbours) - 1))
    if any(c.ndim == 2 for c in compatibilities):
        return factors, np.stack([c if c.ndim == 2 else np.diag(c) for c in compatibilities])
    for k, c in enumerate(compatibilities):
        factors[k] *= c
    return factors, np.empty((len(parts), 0, 0), dtype)


def hear(parts, slot_values, compatibilities):
    """Return the table (rows, width) that points listen to, from what they said and the kernels' compatibilities."""
    space = np.empty((2, parts[-1].end, slot_values.shape[1]), slot_values.dtype)
    launch_team(_hear, tuple(parts), *_applied(parts, compatibilities), slot_values, space)
    return space[0]


def softmax(logits):
    """Replace logits (P, width) by their softmax."""
    one_block = Joined(
        np.empty((0, 0), np.uint16), logits[:0], logits[:0], np.zeros(-(-len(logits) // build.BLOCK) + 1, np.int64),
        np.empty(0, np.int32), build.BLOCK,
    )  # fmt: skip
    launch(step_of_points, len(one_block.starts) - 1, logits, logits, one_block, logits[:0], logits, False, False, True)
    return logits


def widened(kernels, labels, dtype):
    """Return the compatibilities of kernels as `hear` takes them: padded, positive where they reward agreement."""
    width, found = padded(labels), []
    for k in kernels:
        c = np.asarray(k.compatibility)
        wide = np.zeros((width, width) if c.ndim == 2 else width, dtype)
        if c.ndim == 2:
            wide[:labels, :labels] = (c + c.T) / -2
        else:
            wide[:labels] = c
        found.append(wide)
    return found


def messages(joined, parts, compatibilities, marginals):
    """Return what all kernels together add to the logits, (P, width), given marginals (P, width)."""
    slot_values = np.empty((len(joined.slots), marginals.shape[1]), marginals.dtype)
    launch(_speak, len(joined.starts) - 1, marginals, joined, slot_values)
    out = np.empty_like(marginals)
    launch(_listen, len(joined.starts) - 1, hear(parts, slot_values, compatibilities), joined, out)
    return out


@compiled()
def _steps(me, size, barrier, steps, listens, joined, parts, factors, matrices, space, logits, slot_values, out, ends):
    """Run some steps, each thread its share of each stage.

    `listens` says that the first step hears what is in the slots, else it is softmax(logits); `ends` that the last one
    only writes marginals to `out` and says nothing. A step in between writes none, nor does any if `out` is empty.
    """
    blocks = joined.starts.size - 1
    head, tail = blocks * me // size, blocks * (me + 1) // size
    for step in range(steps):
        heard, last = listens or step > 0, step == steps - 1
        if heard:
            _hear(me, size, barrier, parts, factors, matrices, slot_values, space)
        speaks, keeps = not (ends and last), last and out.size > 0
        step_of_points(head, tail, logits, space[0], joined, slot_values, out, heard, speaks, keeps)
        wait(barrier, size)


def iterate(joined, parts, compatibilities, logits, iterations, *, start=None, tick=None, watch=None):
    """Run mean field; `logits` (P, width) receives the marginals.

    `start` (P, width) are marginals to begin with, by default softmax(logits). After every step `tick(step)` is called,
    and `watch(step, marginals)` with a copy; where the latter returns True, the run ends.
    """
    if iterations == 0:
        if start is not None:
            logits[...] = start
            return logits
        return softmax(logits)
    width = logits.shape[1]
    slot_values = np.empty((len(joined.slots), width), logits.dtype)
    space = np.empty((2, parts[-1].end, width), logits.dtype)
    factors, matrices = _applied(parts, compatibilities)
    nothing = logits[:0]

    def steps(count, out, *, listens, ends):
        launch_team(
            _steps, count, listens, joined, tuple(parts), factors, matrices, space, logits, slot_values, out, ends
        )

    if start is not None:
        launch(_speak, len(joined.starts) - 1, start, joined, slot_values)
    if not tick and not watch:
        steps(iterations + (start is None), logits, listens=start is not None, ends=True)
        return logits
    seen = np.empty_like(logits) if watch else nothing
    if start is None:
        steps(1, nothing, listens=False, ends=False)
    for step in range(1, iterations + 1):
        last = step == iterations
        steps(1, logits if last and not watch else seen, listens=True, ends=last)
        if tick:
            tick(step)
        if watch and (watch(step, seen) or last):
            logits[...] = seen
            break
    return logits
