"""The compiled filter: splat each block onto its slots, gather the slots of each vertex, blur, slice.

Each number is written by one thread, in a fixed order: a block splats onto its own slots and slices its own points, a
vertex sums its slots, and the blur writes to another table than it reads. So any number of threads gives equal bits.

Role: loops. Formulas from `simplex`.
"""

from __future__ import annotations

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.errors import ShapeError
from atrous.jit import lanes
from atrous.jit.compiler import compiled
from atrous.jit.threads import launch
from atrous.lattice.build import Lattice
from atrous.lattice.rows import AHEAD, NONE, ONE, clear, collect, copy_rows, expect_row, padded, spread, sum_rows
from atrous.lattice.simplex import slice_scale

CHANNELS = 512  # channels filtered at once; more are done in groups, to limit extra memory


@compiled()
def _splat(head, tail, values, corners, weights, starts, block, slot_values):
    width = values.shape[1]
    for b in range(head, tail):
        table = slot_values[starts[b] : starts[b + 1]]
        clear(table)
        begin = b * block
        count = min(block, values.shape[0] - begin)
        spread(values[begin : begin + count], corners, weights, begin, count, table, width)


@compiled()
def gather_rows(head, tail, slot_values, first, members, table):
    """Set row v to the sum of the slots of vertex v, and the last row, which stands for missing neighbours, to 0."""
    width = np.uintp(table.shape[1])
    for v in range(head, tail):
        o = np.uintp(v) * width
        if v == first.size - 1:
            clear(table[v:])
            continue
        if first[v] == first[v + 1]:  # of the ring, which no point touches
            clear(table[v : v + 1])
            continue
        for m in range(first[v] + AHEAD, min(first[v + 1] + AHEAD, members.size)):
            expect_row(slot_values, members[m], width)
        sum_rows(slot_values, members, first[v], first[v + 1], table, o, width)


@compiled()
def blur_rows(head, tail, source, neighbours, factors, target):
    """Blur along one axis: factors · (½ before + value + ½ after); `factors` has one number per channel."""
    width = np.uintp(source.shape[1])
    half = source.dtype.type(0.5)
    for v in range(head, tail):
        o = np.uintp(v) * width
        if v == neighbours.shape[0]:
            clear(target[v:])
            continue
        before, after = np.uintp(neighbours[v, 0]) * width, np.uintp(neighbours[v, 1]) * width
        for j in range(NONE, width, ONE):
            sides = lanes.add(lanes.load(source, before + j), lanes.load(source, after + j))
            value = lanes.add_scaled(lanes.load(source, o + j), half, sides)
            lanes.store(target, o + j, lanes.multiply(value, lanes.load(factors, j)))


@compiled()
def _slice(head, tail, table, slots, corners, weights, starts, block, out):
    width = table.shape[1]
    for b in range(head, tail):
        local = np.empty((starts[b + 1] - starts[b], width), table.dtype)
        copy_rows(table, slots[starts[b] : starts[b + 1]], local)
        begin = b * block
        count = min(block, out.shape[0] - begin)
        clear(out[begin : begin + count])
        collect(local, corners, weights, begin, count, out[begin : begin + count], width)


def blur(table, spare, neighbours, factors, *, reverse=False):
    """Blur along all axes, from last to first if `reverse`; the last pass multiplies by `factors` (width,).

    `table` and `spare` (M + 1, width) swap roles after every axis; return (the one that holds the result, the other).
    """
    ones = np.ones_like(factors)
    axes = list(range(len(neighbours)))
    for axis in reversed(axes) if reverse else axes:
        last = axis == (0 if reverse else axes[-1])
        launch(blur_rows, len(table), table, neighbours[axis], factors if last else ones, spare)
        table, spare = spare, table
    return table, spare


def splat(lattice, values):
    """Return the values of the vertices, (M + 1, width) with a last row of zeros, from those of the points."""
    slot_values = np.empty((len(lattice.slots), values.shape[1]), values.dtype)
    launch(
        _splat,
        len(lattice.starts) - 1,
        values,
        lattice.corners,
        lattice.weights,
        lattice.starts,
        lattice.block,
        slot_values,
    )
    table = np.empty((len(lattice.keys) + 1, values.shape[1]), values.dtype)
    launch(gather_rows, len(table), slot_values, lattice.first, lattice.members, table)
    return table


def slice_points(lattice, table):
    """Return the values of the points (P, width) from those of the vertices: the adjoint of `splat`."""
    out = np.empty((len(lattice.corners), table.shape[1]), table.dtype)
    launch(
        _slice, len(lattice.starts) - 1, table, lattice.slots, lattice.corners, lattice.weights, lattice.starts,
        lattice.block, out,
    )  # fmt: skip
    return out


def vertex_values(lattice, values, *, reverse=False):
    """Return the blurred values of the vertices, (M + 1, width ≥ V), ready to be sliced, from those of the points."""
    wide = np.zeros((len(values), padded(values.shape[1])), values.dtype)
    wide[:, : values.shape[1]] = values
    table = splat(lattice, wide)
    factors = np.full(wide.shape[1], slice_scale(len(lattice.neighbours) - 1), values.dtype)
    return blur(table, np.empty_like(table), lattice.neighbours, factors, reverse=reverse)[0]


def _filter(lattice, values, reverse):
    return slice_points(lattice, vertex_values(lattice, values, reverse=reverse))[:, : values.shape[1]]


@public
def lattice_filter(lattice: Lattice, values: FloatArray, *, reverse: bool = False) -> FloatArray:
    """Filter values at the points of a lattice with a Gaussian of standard deviation 1: splat, blur, slice.

    Parameters
    ----------
    lattice : Lattice
        From `build_lattice`.
    values : ndarray of shape (P, V)
        One row for each point, dtype of the lattice's features; any number of channels.
    reverse : bool
        Blur the axes from last to first: the exact adjoint of the filter. The order of the axes matters a little,
        because vertices that no point touches do not exist, and a blur cannot pass through them.

    Returns
    -------
    ndarray of shape (P, V)

    Raises
    ------
    ShapeError
        `values` is not (P, V).
    DTypeError
        `values` does not have the dtype of the lattice.

    Notes
    -----
    Cost: O(P·D·V); extra memory for V numbers per slot, 2V per vertex and 2V per point. Any number of threads gives
    equal bits. Sums over all points are about 0.6 of the exact Gaussian's on full-resolution bilateral features,
    because vertices are missing; see `lattice_error`.

    References
    ----------
    .. [1] Adams, Baek, Davis, Eurographics 2010, Sec. 3.

    Examples
    --------
    >>> from atrous import build_lattice
    >>> points = np.linspace(0, 5, 50)[:, None]
    >>> ones = lattice_filter(build_lattice(points), np.ones((50, 1)))
    >>> bool(abs(ones[25, 0] / np.exp(-0.5 * (points - points[25]) ** 2).sum() - 1) < 0.1)
    True
    """
    owner = "lattice_filter"
    values = _check.float_array(owner, "values", values, like=lattice.weights)
    if values.ndim != 2 or len(values) != len(lattice.corners):
        raise ShapeError(
            f"{owner}: values must be (points, channels) with {len(lattice.corners)} points, got shape {values.shape}."
        )
    parts = [_filter(lattice, values[:, c : c + CHANNELS], reverse) for c in range(0, values.shape[1], CHANNELS)]
    return np.ascontiguousarray(parts[0]) if len(parts) == 1 else np.concatenate(parts, axis=1)
