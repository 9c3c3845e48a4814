"""Building the lattice of a set of points: its vertices, their neighbours, and the vertices around each point.

The points are cut into blocks of neighbours in memory. Each block finds its distinct vertices with a hash table that
fits in the innermost cache and numbers them locally, as *slots*; points refer to slots with 16 bits. Then the vertices
of all blocks are sorted by coordinates, and equal ones are merged. Filtering works on the slots of a block for as long
as possible, so it accesses the large tables once per slot instead of once per point and corner.

The result does not depend on the number of threads: blocks are cut by position, and vertices are sorted by coordinates.

Role: loops. Formulas from `simplex`, the same as in `cuda`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.errors import ParameterError, ShapeError
from atrous.jit.compiler import compiled
from atrous.jit.numba_or_not import njit
from atrous.jit.threads import launch
from atrous.lattice.geometry import axis_scales
from atrous.lattice.simplex import (
    back_to_plane,
    drops_at,
    elevated_coordinate,
    hash_slot,
    nearest_multiple,
    ranks_after,
)

BLOCK = 4096  # points whose vertices share one small table
LANE = 64  # points embedded at once
WORD_BITS = 62
PIECE = 16384  # vertices whose neighbours one thread finds at a time
EMPTY = np.uint16(65535)
# Beyond this, the spacing of floating-point numbers approaches that of the lattice and weights become meaningless.
REACH = {np.dtype(np.float32): 2.0**20, np.dtype(np.float64): 2.0**48}


class Lattice(NamedTuple):
    """The lattice of P points with D axes: M vertices, S slots, B blocks.

    A slot is one vertex as seen by one block of points. All arrays are read-only by convention.
    """

    corners: Array
    """(P, D + 1) uint16: the slot, counted within the block, of each vertex around each point."""
    weights: Array
    """(P, D + 1): barycentric weights, remainder 0…D."""
    starts: Array
    """(B + 1,) int64: the first slot of each block."""
    slots: Array
    """(S,) int32: the vertex of each slot."""
    first: Array
    """(M + 1,) int64: where the slots of each vertex begin in `members`."""
    members: Array
    """(S,) int32: all slots, ordered by vertex, then by slot."""
    neighbours: Array
    """(D + 1, M, 2) int32: the vertices one step down and one step up each axis; M where there is none."""
    keys: Array
    """(M, D) int64: coordinates of the vertices without the last coordinate, in ascending order."""
    block: int
    """Points in a block."""

    def vertices(self) -> Array:
        """Return the vertices around each point, (P, D + 1) int32."""
        block_start = np.repeat(self.starts[:-1], self.block)[: len(self.corners)]
        return self.slots[block_start[:, None] + self.corners]


class Packing(NamedTuple):
    """How D coordinates of a vertex are packed into words of 62 bits, the first into the highest bits."""

    low: Array
    word: Array
    shift: Array
    words: int


def feature_bounds(features):
    """Return the smallest and the largest feature of each axis, NaN where an axis holds one."""
    # Column by column, because NumPy is many times slower at reducing a narrow array along its first axis.
    columns = features.T
    return np.array([c.min() for c in columns]), np.array([c.max() for c in columns])


def packing(owner, features, low, high):
    """Return the Packing that can hold all vertices around points between `low` and `high`, and their neighbours."""
    dimension = features.shape[1]
    scaled = [(float(a) * s, float(b) * s) for a, b, s in zip(low, high, axis_scales(dimension), strict=True)]
    sums = [(0.0, 0.0)]
    bounds = []
    for j in range(dimension, 0, -1):
        (a, b), (small, large) = scaled[j - 1], sums[-1]
        bounds.append((small - j * b, large - j * a))
        sums.append((small + a, large + b))
    bounds = [sums[-1], *reversed(bounds)]
    reach = max(abs(v) for pair in bounds for v in pair)
    limit = REACH[features.dtype]
    if not reach < limit:
        worst = int(np.argmax(np.maximum(np.abs(low), np.abs(high))))
        other = " or pass float64" if features.dtype == np.float32 else ""
        raise ParameterError(
            f"{owner}: features reach {max(abs(low[worst]), abs(high[worst])):.3g} standard deviations on axis "
            f"{worst}; {features.dtype} distinguishes vertices only up to about {limit / 4 / (dimension + 1):.2g}. "
            f"Use a larger sigma{other}."
        )
    margin = 3 * (dimension + 1)
    lows = np.array([math.floor(a) - margin for a, _ in bounds[:dimension]], np.int64)
    bits = [(math.ceil(b) + margin - int(a)).bit_length() for (_, b), a in zip(bounds, lows, strict=False)]
    word, shift = np.zeros(dimension, np.int64), np.zeros(dimension, np.int64)
    used, words = 0, 0
    for j in reversed(range(dimension)):
        if used + bits[j] > WORD_BITS:
            used, words = 0, words + 1
        word[j], shift[j] = words, used
        used += bits[j]
    # Word 0 is compared first, so it holds the first coordinates.
    return Packing(lows, words - word, shift, words + 1)


@njit(nogil=True)
def _same(keys, row, key, r, p):
    if keys[row, 0] != key[r, 0, p]:
        return False
    for w in range(1, keys.shape[1]):  # noqa: SIM110 (Numba compiles no generator)
        if keys[row, w] != key[r, w, p]:
            return False
    return True


# The stages of embedding. An array holds one number for each of `lane` points side by side, so that every loop is short
# and simple. `lane` is an argument because with a constant the compiler would unroll loops instead of vectorising them.


@njit(nogil=True, error_model="numpy")
def _elevate(features, scales, start, lanes, elevated, total):
    """Map features into the plane Σx = 0, as `elevated` (D + 1, lane)."""
    size, lane = elevated.shape
    for p in range(lane):
        total[p] = 0
    for j in range(size - 1, 0, -1):
        for p in range(lanes):
            elevated[j, p] = features[start + p, j - 1]
        scale, weight = scales[j - 1], features.dtype.type(j)
        for p in range(lane):
            scaled = elevated[j, p] * scale
            elevated[j, p] = elevated_coordinate(total[p], weight, scaled)
            total[p] += scaled
    for p in range(lane):
        elevated[0, p] = total[p]


@njit(nogil=True, error_model="numpy")
def _find_simplex(elevated, base, rank, residual, off_plane):
    """Find the vertex of remainder 0 (`base`) and the ranks; replace `elevated` by (elevated − base) / (D + 1)."""
    size, lane = elevated.shape
    span = elevated.dtype.type(size)
    inverse = elevated.dtype.type(1) / span
    for p in range(lane):
        off_plane[p] = 0
    for i in range(size):
        for p in range(lane):
            multiple = nearest_multiple(elevated[i, p], inverse)
            base[i, p] = elevated.dtype.type(multiple) * span
            off_plane[p] += np.int32(multiple)
            residual[i, p] = elevated[i, p] - base[i, p]
    # A rank counts the coordinates before it. Rounding may leave the plane; ranks then start off 0 and are moved back.
    for i in range(size):
        for p in range(lane):
            rank[i, p] = off_plane[p]
    for i in range(size):
        for j in range(i + 1, size):
            for p in range(lane):
                after = np.int32(ranks_after(residual[i, p], residual[j, p]))
                rank[i, p] += after
                rank[j, p] += np.int32(1) - after
    for i in range(size):
        for p in range(lane):
            step = np.int32(back_to_plane(rank[i, p], size))
            rank[i, p] += step * np.int32(size)
            base[i, p] += elevated.dtype.type(step) * span
            elevated[i, p] = (elevated[i, p] - base[i, p]) * inverse


@njit(nogil=True, error_model="numpy")
def _weigh_corners(fractions, rank, ordered, weights, start, lanes, column):
    """Write the barycentric weights: differences of the fractions, taken in the order of their ranks."""
    size, lane = fractions.shape
    zero, one = fractions.dtype.type(0), fractions.dtype.type(1)
    for r in range(size):
        for p in range(lane):
            ordered[r, p] = zero
    for i in range(size):
        for r in range(size):
            for p in range(lane):
                ordered[r, p] += fractions[i, p] if rank[i, p] == r else zero
    for p in range(lanes):
        weights[start + p, column] = ordered[size - 1, p] + (one - ordered[0, p])
    for r in range(1, size):
        for p in range(lanes):
            weights[start + p, column + r] = ordered[size - 1 - r, p] - ordered[size - r, p]


@njit(nogil=True, error_model="numpy")
def _pack_vertices(base, rank, packed, all_up, key):
    """Pack the coordinates of the vertices of remainder 0…D; `key` (D + 1, words, lane).

    From one remainder to the next all coordinates rise by one (`all_up`), and one drops by D + 1.
    """
    size, words, lane = key.shape
    for w in range(words):
        for p in range(lane):
            key[0, w, p] = 0
    for i in range(size - 1):
        w, shift, low = packed.word[i], packed.shift[i], packed.low[i]
        for p in range(lane):
            key[0, w, p] += (np.int64(base[i, p]) - low) << shift
    for r in range(1, size):
        for w in range(words):
            for p in range(lane):
                key[r, w, p] = key[r - 1, w, p] + all_up[w]
        for i in range(size - 1):
            w, drop = packed.word[i], np.int64(size) << packed.shift[i]
            for p in range(lane):
                key[r, w, p] -= drop if drops_at(rank[i, p], r, size) else np.int64(0)


@njit(nogil=True, error_model="numpy")
def _number_corners(key, lanes, found, keys, table, seen, slot_of, corners, start, column, taken):
    """Look each vertex up in the block's hash table, adding new ones; write its slot; return the number of slots.

    Most points have the vertices of the point before: `seen` and `slot_of` (D + 1) remember those.
    """
    size, words = key.shape[:2]
    last = table.size - 1
    for p in range(lanes):
        for r in range(size):
            mixed = key[r, 0, p]
            for w in range(1, words):
                mixed = (mixed << 5) ^ (mixed >> 59) ^ key[r, w, p]
            if found == 0 or mixed != seen[r] or (words > 1 and not _same(keys, slot_of[r], key, r, p)):
                h = hash_slot(mixed, last)
                while table[h] != EMPTY and not _same(keys, table[h], key, r, p):
                    h = (h + np.uint64(1)) & np.uint64(last)
                if table[h] == EMPTY:
                    for w in range(words):
                        keys[found, w] = key[r, w, p]
                    table[h] = found
                    found += 1
                seen[r] = mixed
                slot_of[r] = table[h]
            corners[start + p, column + r] = taken + slot_of[r]
    return found


@njit(nogil=True, error_model="numpy", inline="always")  # or all of it is compiled twice, here and in `_embed`
def _embed_block(features, scales, packed, lane, begin, end, corners, weights, column, taken, keys, table):
    """Embed the points begin…end of one block; return the number of their distinct vertices."""
    dimension = features.shape[1]
    size = dimension + 1
    all_up = np.zeros(packed.words, np.int64)
    for i in range(dimension):
        all_up[packed.word[i]] += np.int64(1) << packed.shift[i]
    elevated = np.zeros((size, lane), features.dtype)
    base = np.empty((size, lane), features.dtype)
    ordered = np.empty((size, lane), features.dtype)
    rank = np.empty((size, lane), np.int32)
    total = np.empty(lane, features.dtype)
    off_plane = np.empty(lane, np.int32)
    key = np.empty((size, packed.words, lane), np.int64)
    seen = np.full(size, -1, np.int64)  # no packed key is negative
    slot_of = np.zeros(size, np.uint16)
    table[:] = EMPTY
    found = np.int64(0)  # with a plain 0, Numba compiles `_number_corners` for the constant and for the type
    for start in range(begin, end, lane):
        lanes = min(lane, end - start)
        _elevate(features, scales, start, lanes, elevated, total)
        _find_simplex(elevated, base, rank, ordered, off_plane)
        _weigh_corners(elevated, rank, ordered, weights, start, lanes, column)
        _pack_vertices(base, rank, packed, all_up, key)
        found = _number_corners(key, lanes, found, keys, table, seen, slot_of, corners, start, column, taken)
    return found


@compiled(contract=False)
def _embed(head, tail, features, scales, packed, block, lane, corners, weights, column, counts, keys):
    """Embed all points: write corners and weights from `column` on, and each block's distinct vertices.

    `counts[b]` is the number of slots of earlier columns; new ones are added. `keys[b]` receives their packed keys.
    """
    capacity = 1
    while capacity < 2 * block * (features.shape[1] + 1):
        capacity *= 2
    for b in range(head, tail):
        table = np.empty(capacity, np.uint16)
        begin, end = b * block, min(features.shape[0], (b + 1) * block)
        counts[b] += _embed_block(
            features, scales, packed, lane, begin, end, corners, weights, column, counts[b], keys[b], table
        )


@compiled()
def sort_slots(slots, first, members):
    """Sort the slots by vertex, then by slot."""
    for s in range(slots.size):
        first[slots[s] + 1] += 1
    for v in range(first.size - 1):
        first[v + 1] += first[v]
    place = first[:-1].copy()
    for s in range(slots.size):
        members[place[slots[s]]] = s
        place[slots[s]] += 1


@njit(nogil=True)
def _below(keys, v, target):
    for w in range(keys.shape[1]):
        if keys[v, w] != target[w]:
            return keys[v, w] < target[w]
    return False


@compiled()
def _neighbours(head, tail, keys, steps, neighbours):
    """Find neighbours along each axis in one walk along two sorted lists: the keys, and the keys plus one step."""
    vertices, words = keys.shape
    pieces = -(-vertices // PIECE)
    for job in range(head, tail):
        axis, begin = job // pieces, job % pieces * PIECE
        target = np.empty(words, np.int64)
        other = 0
        for v in range(begin, min(vertices, begin + PIECE)):
            for w in range(words):
                target[w] = keys[v, w] + steps[axis, w]
            if v == begin:
                end = vertices
                while other < end:
                    middle = (other + end) // 2
                    if _below(keys, middle, target):
                        other = middle + 1
                    else:
                        end = middle
            while other < vertices and _below(keys, other, target):
                other += 1
            if other == vertices:
                break
            same = True
            for w in range(words):
                same = same and keys[other, w] == target[w]
            if same:
                neighbours[axis, v, 0] = other
                neighbours[axis, other, 1] = v


def number_vertices(keys, packed, kind=None):
    """Return the vertex of each slot, and the distinct packed keys (M, words) in ascending order."""
    order = np.argsort(keys[:, 0], kind=kind) if packed.words == 1 else np.lexsort(keys.T[::-1])
    ordered = keys[order]
    fresh = np.empty(len(keys), bool)
    fresh[0] = True
    np.any(ordered[1:] != ordered[:-1], axis=1, out=fresh[1:])
    slots = np.empty(len(keys), np.int32)
    slots[order] = np.cumsum(fresh, dtype=np.int32) - np.int32(1)
    return slots, ordered[fresh]


def axis_steps(packed):
    """Return what one step up each axis adds to packed keys, (D + 1, words)."""
    dimension = len(packed.low)
    steps = np.zeros((dimension + 1, packed.words), np.int64)
    for axis in range(dimension + 1):
        for i in range(dimension):
            steps[axis, packed.word[i]] += (dimension if i == axis else -1) * (1 << int(packed.shift[i]))
    return steps


def find_neighbours(distinct, packed):
    """Return (D + 1, M, 2): the vertices one step down and one step up each axis; M where there is none."""
    steps = axis_steps(packed)
    neighbours = np.full((len(steps), len(distinct), 2), len(distinct), np.int32)
    launch(_neighbours, len(neighbours) * -(-len(distinct) // PIECE), distinct, steps, neighbours)
    return neighbours


def add_ring(slots, distinct, packed):
    """Return slots and distinct keys with a ring of vertices added, those next to two or more that points touch.

    Others join nothing in one step: on photographs they are half of all neighbours, and leaving them out costs nothing.
    """
    steps = axis_steps(packed)
    places, around = number_vertices(np.concatenate([distinct + s for s in (*steps, *-steps)]), packed, "stable")
    joining = around[np.bincount(places, minlength=len(around)) >= 2]
    wider, keys = number_vertices(np.concatenate([distinct, joining]), packed, "stable")
    return wider[: len(distinct)][slots], keys


def unpack(distinct, packed):
    """Return the coordinates (M, D) of packed keys."""
    keys = np.empty((len(distinct), len(packed.low)), np.int64)
    top = {}
    for j in range(len(packed.low)):
        w, shift = int(packed.word[j]), int(packed.shift[j])
        field = distinct[:, w] >> shift
        bits = top.get(w, WORD_BITS + 1) - shift
        keys[:, j] = (field & ((1 << bits) - 1)) + packed.low[j]
        top[w] = shift
    return keys


def embed(owner, features, corners, weights, column, counts, block):
    """Write corners and weights of one set of features from `column` on; return the new slots' keys and their Packing.

    `counts` (blocks,) grows by the number of each block's new slots.
    """
    packed = packing(owner, features, *feature_bounds(features))
    # A block uses only as many rows as it has vertices; the others are never written and take no physical memory.
    keys = np.empty((len(counts), block * (features.shape[1] + 1), packed.words), np.int64)
    scales = axis_scales(features.shape[1])
    if features.dtype == np.float32:
        # In float32 the factors are rounded as in Krähenbühl's and Koltun's code, to get the same results.
        d = features.shape[1]
        factor = np.float64(np.float32(np.sqrt(2 / 3) * (d + 1)))
        scales = np.array([factor * (1 / math.sqrt((i + 1) * (i + 2))) for i in range(d)])
    before = counts.copy()
    launch(
        _embed, len(counts), features, scales.astype(features.dtype), packed, block, LANE, corners, weights, column,
        counts, keys,
    )  # fmt: skip
    return np.concatenate([k[:n] for k, n in zip(keys, counts - before, strict=True)]), packed


def block_points(corners):
    """Return the number of points in a block, few enough that 16 bits can number its slots."""
    return min(BLOCK, 65535 // corners // LANE * LANE or 65535 // corners)


def check_features(owner, features):
    """Return features as a C-contiguous float array (P, D), finite."""
    features = _check.float_array(owner, "features", features)
    if features.ndim != 2:
        raise ShapeError(
            f"{owner}: features must be (points, axes), got shape {features.shape}. "
            "Reshape an array (D, H, W) with features.reshape(D, -1).T."
        )
    if features.shape[1] > 255:
        raise ShapeError(f"{owner}: features must have at most 255 axes, got {features.shape[1]}.")
    # Numba would compile every function again for read-only arrays.
    features = np.require(features, requirements=("C", "W"))
    low, high = feature_bounds(features)
    for axis, pair in enumerate(zip(low, high, strict=True)):
        if not np.isfinite(pair).all():
            where = int(np.flatnonzero(~np.isfinite(features[:, axis]))[0])
            raise ParameterError(
                f"{owner}: features must be finite, got {features[where, axis]} at point {where}, axis {axis}. "
                "A sigma of zero gives inf; fill NaN pixels first."
            )
    return features


@public
def build_lattice(features: FloatArray, *, ring: bool = False) -> Lattice:
    """Build the permutohedral lattice of a set of points.

    Parameters
    ----------
    features : ndarray of shape (P, D), float32 or float64
        Points in units of standard deviations: position/σ, colour/σ. If points that are neighbours in space are also
        neighbours in the array, the filter is several times faster, with the same result.
    ring : bool
        Add the vertices that lie next to two or more others, so that the blur passes through them. There are two to
        three times as many vertices then; where they are sparse (small standard deviations of colour) the filter's
        error is half as large.

    Returns
    -------
    Lattice
        A NamedTuple of arrays. It has only vertices that a point touches, and their ring, in the order of their
        coordinates.

    Raises
    ------
    ShapeError
        `features` is empty or not two-dimensional.
    DTypeError
        `features` is not floating.
    ParameterError
        A feature is NaN or infinite, or so large that neighbouring vertices cannot be told apart.

    Notes
    -----
    Cost: O(P·D²); memory 6(D + 1) bytes per point in float32 and 8(2D + 1) bytes per vertex.
    The result does not depend on the number of threads.

    References
    ----------
    .. [1] Adams, Baek, Davis, Eurographics 2010, Sec. 3.

    Examples
    --------
    >>> lattice = build_lattice(np.random.default_rng(0).normal(size=(100, 3)))
    >>> lattice.weights.shape, bool(np.allclose(lattice.weights.sum(1), 1))
    ((100, 4), True)
    """
    features = check_features("build_lattice", features)
    count, dimension = features.shape
    block = block_points(dimension + 1)
    counts = np.zeros(-(-count // block), np.int64)
    corners = np.empty((count, dimension + 1), np.uint16)
    weights = np.empty((count, dimension + 1), features.dtype)
    keys, packed = embed("build_lattice", features, corners, weights, 0, counts, block)
    slots, distinct = number_vertices(keys, packed)
    if ring:
        slots, distinct = add_ring(slots, distinct, packed)
    first, members = np.zeros(len(distinct) + 1, np.int64), np.empty(len(slots), np.int32)
    sort_slots(slots, first, members)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return Lattice(
        corners, weights, starts, slots, first, members, find_neighbours(distinct, packed), unpack(distinct, packed),
        block,
    )  # fmt: skip
