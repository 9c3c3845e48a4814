"""The memory layout of mean field: the labels of a point are side by side, and neighbouring points are close.

Public functions use one plane per label, (L, H, W), as networks do. Mean field uses one row of labels per point, padded
to a multiple of eight, and orders points so that a block of them touches few vertices of a lattice.

Role: loops.
"""

from __future__ import annotations

import numpy as np

from atrous.jit.compiler import compiled
from atrous.jit.threads import launch
from atrous.lattice.rows import padded

PATCH = 64  # points moved together between planes and rows: two columns of a strip, whole cache lines of the planes


@compiled()
def _to_rows(head, tail, planes, order, sign, padding, rows):
    """Set row p to sign·planes[:, order[p]], then `padding`."""
    labels, width = planes.shape[0], rows.shape[1]
    for b in range(head, tail):
        for j in range(width):
            for p in range(b * PATCH, min(rows.shape[0], (b + 1) * PATCH)):
                rows[p, j] = sign * planes[j, order[p]] if j < labels else padding


@compiled()
def _to_planes(head, tail, rows, order, planes):
    """Set planes[:, order[p]] to row p."""
    for b in range(head, tail):
        for j in range(planes.shape[0]):
            for p in range(b * PATCH, min(rows.shape[0], (b + 1) * PATCH)):
                planes[j, order[p]] = rows[p, j]


@compiled()
def _to_clipped_rows(head, tail, planes, order, clip, rows, wrong):
    """Set row p to planes[:, order[p]], raised to `clip`, then zeros; note whether a patch holds no probabilities."""
    labels, width = planes.shape[0], rows.shape[1]
    zero, one = rows.dtype.type(0), rows.dtype.type(1)
    totals = np.empty(PATCH, rows.dtype)
    for b in range(head, tail):
        totals[:], odd = zero, False
        begin, end = b * PATCH, min(rows.shape[0], (b + 1) * PATCH)
        for j in range(width):
            for p in range(begin, end):
                value = planes[j, order[p]] if j < labels else zero
                odd |= not value >= zero
                totals[p - begin] += value
                rows[p, j] = max(value, clip) if j < labels else zero
        for p in range(begin, end):
            odd |= not abs(totals[p - begin] - one) <= rows.dtype.type(0.01)
        wrong[b] = odd


def _logarithms(head, tail, rows):
    part = rows[head * PATCH : tail * PATCH]
    with np.errstate(divide="ignore"):  # of padded labels
        np.log(part, out=part)


def log_rows(probabilities, order, clip):
    """Return the logarithms of probabilities (L, P) as rows (P, width), padded with −inf, in another order of points.

    None if some are negative or NaN, or do not sum to 1.
    """
    rows = np.empty((len(order), padded(len(probabilities))), probabilities.dtype)
    patches = -(-len(order) // PATCH)
    wrong = np.zeros(patches, bool)
    launch(_to_clipped_rows, patches, probabilities, order, probabilities.dtype.type(clip), rows, wrong)
    if wrong.any():
        return None
    launch(_logarithms, patches, rows)
    return rows


def to_rows(planes, order, *, sign=1, padding=0):
    """Return planes (L, P) as rows (P, width) in another order of points, times `sign`, with padded labels."""
    rows = np.empty((len(order), padded(len(planes))), planes.dtype)
    launch(_to_rows, -(-len(order) // PATCH), planes, order, planes.dtype.type(sign), planes.dtype.type(padding), rows)
    return rows


def to_planes(rows, order, planes):
    """Write rows (P, width) into `planes` (L, ...) at the points `order`; return `planes`. Inverse of `to_rows`."""
    launch(_to_planes, -(-len(order) // PATCH), rows, order, planes)
    return planes


def strip_order(shape):
    """Return an order of the points of a grid in which any thousand consecutive points form a compact patch.

    All axes except the last are cut into strips; each strip is listed along the last axis, one cross-section at a time.
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
