"""How labels and points lie in memory while mean field runs: the labels of a point side by side, neighbours close.

Outside, each label has a plane (L, H, W), as in images and networks. Inside, each point has a row of labels, padded to
a whole number of lanes, and points are ordered so that a block of them touches few vertices of a lattice.

Role: loops.
"""

from __future__ import annotations

import numpy as np

from atrous.jit.compiler import compiled
from atrous.jit.threads import launch
from atrous.lattice.rows import padded

PATCH = 512  # points that are moved together between planes and rows: lines of the planes are used whole


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


def strip_order(shape):
    """Return the order of the points of a grid in which any thousand neighbours in memory form a compact patch.

    All axes but the last are cut into strips; a strip is walked along the last axis, its cross-section at each step.
    """
    side = 10 if len(shape) == 3 else 32
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
