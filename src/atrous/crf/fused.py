"""Mean field in one pass over the points per step: slice the messages, take the softmax, splat the new marginals.

Messages are never stored: between two blurs, a block of points reads the rows of its slots and writes the next values
of the same slots. Each number is written by one thread, and blocks are cut by position, so any number of threads gives
equal bits.

Role: loops.
"""

from __future__ import annotations

import numpy as np

from atrous.crf.softmax import softmax_rows
from atrous.crf.vertices import blur_vertices, factors_and_matrices, vertex_table
from atrous.jit.barrier import wait
from atrous.jit.compiler import compiled
from atrous.jit.threads import launch, launch_team
from atrous.lattice.rows import clear, collect, copy, copy_rows, spread

GROUP = 64  # points processed together, so that their rows stay in the innermost cache


@compiled(inline=True)
def step_of_points(head, tail, logits, table, joined, slot_values, marginals, slices, splats, keeps):
    """Do one step for all points: logits + sliced messages → softmax → splat; store the marginals if `keeps`."""
    width = logits.shape[1]
    for b in range(head, tail):
        begin, end = joined.starts[b], joined.starts[b + 1]
        first_point = b * joined.block
        last_point = min(logits.shape[0], first_point + joined.block)
        rows = np.empty((GROUP, width), logits.dtype)
        local = np.empty((end - begin if slices else 0, width), logits.dtype)
        if slices:
            copy_rows(table, joined.slots[begin:end], local)
        slots = slot_values[begin:end]
        if splats:
            clear(slots)
        for p in range(first_point, last_point, GROUP):
            count = min(GROUP, last_point - p)
            copy(logits, p, rows, 0, count, width)
            if slices:
                collect(local, joined.corners, joined.slice_weights, p, count, rows, width)
            softmax_rows(rows, count, width)
            if splats:
                spread(rows, joined.corners, joined.splat_weights, p, count, slots, width)
            if keeps:
                copy(rows, 0, marginals, p, count, width)


@compiled()
def _splat(head, tail, marginals, joined, slot_values):
    """Splat given marginals, for a warm start."""
    width = marginals.shape[1]
    for b in range(head, tail):
        slots = slot_values[joined.starts[b] : joined.starts[b + 1]]
        clear(slots)
        begin = b * joined.block
        count = min(joined.block, marginals.shape[0] - begin)
        spread(marginals[begin : begin + count], joined.corners, joined.splat_weights, begin, count, slots, width)


@compiled()
def _slice(head, tail, table, joined, messages):
    """Write the messages themselves (P, width), which a step of mean field never does."""
    width = messages.shape[1]
    for b in range(head, tail):
        begin, end = joined.starts[b], joined.starts[b + 1]
        local = np.empty((end - begin, width), table.dtype)
        copy_rows(table, joined.slots[begin:end], local)
        point = b * joined.block
        count = min(joined.block, messages.shape[0] - point)
        clear(messages[point : point + count])
        collect(local, joined.corners, joined.slice_weights, point, count, messages[point : point + count], width)


@compiled()
def _softmax(head, tail, rows):
    for b in range(head, tail):
        group = rows[b * GROUP : (b + 1) * GROUP]
        softmax_rows(group, len(group), rows.shape[1])


def softmax(logits):
    """Replace logits (P, width) by their softmax."""
    launch(_softmax, -(-len(logits) // GROUP), logits)
    return logits


def messages(joined, lattices, rewards, marginals):
    """Return the sum of what all pairwise terms add to the logits, (P, width), given marginals (P, width)."""
    slot_values = np.empty((len(joined.slots), marginals.shape[1]), marginals.dtype)
    launch(_splat, len(joined.starts) - 1, marginals, joined, slot_values)
    out = np.empty_like(marginals)
    launch(_slice, len(joined.starts) - 1, vertex_table(lattices, slot_values, rewards), joined, out)
    return out


@compiled()
def _steps(
    me, size, barrier, steps, slices_first, joined, lattices, factors, matrices, space, logits, slot_values, out, ends
):
    """Run `steps` steps; each thread does its share of each stage.

    The first step slices the values in the slots if `slices_first`, else it takes softmax(logits). The last step writes
    marginals to `out`, unless that is empty, and does not splat if `ends`.
    """
    blocks = joined.starts.size - 1
    head, tail = blocks * me // size, blocks * (me + 1) // size
    for step in range(steps):
        slices, last = slices_first or step > 0, step == steps - 1
        if slices:
            blur_vertices(me, size, barrier, lattices, factors, matrices, slot_values, space)
        splats, keeps = not (ends and last), last and out.size > 0
        step_of_points(head, tail, logits, space[0], joined, slot_values, out, slices, splats, keeps)
        wait(barrier, size)


def iterate_filters(logits, iterations, also, *, start=None, tick=None, watch=None):
    """Run mean field without a lattice, all terms in `also`; arguments and result are those of `iterate`."""
    marginals = softmax(logits.copy()) if start is None else start
    for step in range(1, iterations + 1):
        base = logits.copy()
        also(marginals, base)
        marginals = softmax(base)
        if tick:
            tick(step)
        if watch and watch(step, marginals):
            break
    return marginals


def iterate(joined, lattices, rewards, logits, iterations, *, start=None, also=None, tick=None, watch=None):
    """Run mean field; `logits` (P, width) receives the marginals.

    It starts from the marginals `start` (P, width), by default softmax(logits). `also(marginals, logits)` adds
    what further terms send. After every step it calls `tick(step)` and `watch(step, marginals)` with a copy; if `watch`
    returns True, the run ends.
    """
    if iterations == 0:
        if start is not None:
            logits[...] = start
            return logits
        return softmax(logits)
    width = logits.shape[1]
    slot_values = np.empty((len(joined.slots), width), logits.dtype)
    space = np.empty((2, lattices[-1].end, width), logits.dtype)
    factors, matrices = factors_and_matrices(lattices, rewards)
    nothing = logits[:0]

    def steps(count, out, *, slices_first, ends, logits=logits):
        launch_team(
            _steps,
            count,
            slices_first,
            joined,
            tuple(lattices),
            factors,
            matrices,
            space,
            logits,
            slot_values,
            out,
            ends,
        )

    if start is not None:
        launch(_splat, len(joined.starts) - 1, start, joined, slot_values)
    if not tick and not watch and not also:
        steps(iterations + (start is None), logits, slices_first=start is not None, ends=True)
        return logits
    keeps = watch or also
    seen = np.empty_like(logits) if keeps else nothing
    if start is None:
        steps(1, seen if also else nothing, slices_first=False, ends=False)
    elif also:
        seen[...] = start
    for step in range(1, iterations + 1):
        last = step == iterations
        base = logits
        if also:
            base = logits.copy()
            also(seen, base)
        steps(1, logits if last and not keeps else seen, slices_first=True, ends=last, logits=base)
        if tick:
            tick(step)
        if (watch and watch(step, seen)) or (keeps and last):
            logits[...] = seen
            break
    return logits
