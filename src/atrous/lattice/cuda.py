"""The lattice on a GPU, stage by stage: elevate, simplex, weights, insert, splat, blur, slice.

The kernels are simple: one thread per point, corner or number of the result, and all data goes through global memory.
Faster kernels will be tested against them. Vertices enter a hash table by a 64-bit compare-and-swap on the packed key;
the host then numbers them by sorted key, so the numbering does not depend on the order of insertion.

Splatting uses atomic additions in no fixed order: repeated runs agree up to rounding, about √(points per vertex) units
in the last place. The compiler may fuse a product and a sum, so in float32 a point within rounding of a boundary may
fall into the neighbouring simplex, which changes the result just as little.

Role: CUDA. Formulas from `simplex`, the same as in `build`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import cuda

from atrous.errors import ParameterError
from atrous.jit.gpu import grid
from atrous.lattice.build import check_features, feature_bounds, packing
from atrous.lattice.geometry import axis_scales
from atrous.lattice.simplex import (
    back_to_plane,
    blur_tap,
    elevated_coordinate,
    hash_slot,
    nearest_multiple,
    ranks_after,
    slice_scale,
)

FREE = -1  # no packed key is negative


class DeviceLattice(NamedTuple):
    """Arrays on the device: P points, D axes, M vertices."""

    vertices: object  # (P, D + 1) int32
    weights: object  # (P, D + 1)
    neighbours: object  # (D + 1, M, 2) int32, M where there is none
    keys: object  # (M,) int64, packed, ascending


@cuda.jit
def _elevate(features, scales, elevated):
    p = cuda.grid(1)
    if p >= features.shape[0]:
        return
    total = features.dtype.type(0)
    for j in range(features.shape[1], 0, -1):
        scaled = features[p, j - 1] * scales[j - 1]
        elevated[p, j] = elevated_coordinate(total, features.dtype.type(j), scaled)
        total += scaled
    elevated[p, 0] = total


@cuda.jit
def _simplex(elevated, inverse, base, rank):
    p = cuda.grid(1)
    if p >= elevated.shape[0]:
        return
    size = elevated.shape[1]
    off_plane = np.int64(0)
    for i in range(size):
        multiple = nearest_multiple(elevated[p, i], inverse)
        base[p, i] = multiple * size
        off_plane += multiple
    for i in range(size):
        rank[p, i] = off_plane
    for i in range(size):
        for j in range(i + 1, size):
            # A float32 minus an int64 would be a float64.
            residual = elevated[p, i] - elevated.dtype.type(base[p, i])
            if ranks_after(residual, elevated[p, j] - elevated.dtype.type(base[p, j])):
                rank[p, i] += 1
            else:
                rank[p, j] += 1
    for i in range(size):
        step = back_to_plane(rank[p, i], size) * size
        rank[p, i] += step
        base[p, i] += step


@cuda.jit
def _weigh(elevated, base, rank, inverse, weights):
    """Add each coordinate to the weight of the vertex before the step that lowers it; subtract it from the next."""
    p = cuda.grid(1)
    if p >= elevated.shape[0]:
        return
    size = elevated.shape[1]
    for r in range(size):
        weights[p, r] = 0
    for i in range(size):
        residual = (elevated[p, i] - elevated.dtype.type(base[p, i])) * inverse
        r = size - 1 - rank[p, i]
        weights[p, r] += residual
        if r + 1 < size:
            weights[p, r + 1] -= residual
        else:
            weights[p, 0] += elevated.dtype.type(1) - residual


@cuda.jit
def _insert(base, rank, low, shift, table, entries):
    """One thread per corner: search for the key from its hash on, and claim the first free entry if it is not there."""
    i = cuda.grid(1)
    size = base.shape[1]
    if i >= base.shape[0] * size:
        return
    p, r = i // size, i % size
    key = np.int64(0)
    for j in range(size - 1):
        lowered = size if rank[p, j] > size - 1 - r else 0
        key += np.int64(base[p, j] + r - lowered - low[j]) << np.int64(shift[j])
    mask = np.int64(table.size - 1)
    h = np.int64(hash_slot(key, mask))
    while True:
        before = cuda.atomic.cas(table, h, np.int64(FREE), key)
        if before == FREE or before == key:  # noqa: PLR1714, SIM109 (no tuples on the device)
            break
        h = (h + np.int64(1)) & mask
    entries[p, r] = h


@cuda.jit
def _number(entries, vertex_of_entry, vertices):
    i = cuda.grid(1)
    size = entries.shape[1]
    if i < entries.shape[0] * size:
        vertices[i // size, i % size] = vertex_of_entry[entries[i // size, i % size]]


@cuda.jit
def _meet(keys, steps, table, vertex_of_entry, neighbours):
    """One thread per axis and vertex: look up the vertex one step down, and enter each as a neighbour of the other."""
    i = cuda.grid(1)
    if i >= steps.size * keys.size:
        return
    axis, v = i // keys.size, i % keys.size
    key = keys[v] + steps[axis]
    mask = np.int64(table.size - 1)
    h = np.int64(hash_slot(key, mask))
    while table[h] != FREE and table[h] != key:
        h = (h + np.int64(1)) & mask
    if table[h] == key:
        other = vertex_of_entry[h]
        neighbours[axis, v, 0] = other
        neighbours[axis, other, 1] = v


@cuda.jit
def _splat(values, vertices, weights, table):
    i = cuda.grid(1)
    channels = values.shape[1]
    if i >= values.shape[0] * channels:
        return
    p, c = i // channels, i % channels
    for r in range(vertices.shape[1]):
        cuda.atomic.add(table, (vertices[p, r], c), weights[p, r] * values[p, c])


@cuda.jit
def _blur(source, neighbours, axis, half, target):
    i = cuda.grid(1)
    channels = source.shape[1]
    if i >= neighbours.shape[1] * channels:
        return
    v, c = i // channels, i % channels
    before, after = neighbours[axis, v, 0], neighbours[axis, v, 1]
    target[v, c] = blur_tap(source[v, c], source[before, c], source[after, c], half)


@cuda.jit
def _slice(table, vertices, weights, scale, out):
    i = cuda.grid(1)
    channels = table.shape[1]
    if i >= vertices.shape[0] * channels:
        return
    p, c = i // channels, i % channels
    total = table.dtype.type(0)
    for r in range(vertices.shape[1]):
        total += weights[p, r] * table[vertices[p, r], c]
    out[p, c] = total * scale


def build(features):
    """Build the lattice of host points (P, D) on the device."""
    owner = 'build_lattice, method="cuda"'
    features = check_features(owner, features)
    count, dimension = features.shape
    size, dtype = dimension + 1, features.dtype
    packed = packing(owner, features, *feature_bounds(features))
    if packed.words > 1:
        raise ParameterError(
            f"{owner}: the vertices' coordinates need {packed.words} words of 62 bits, the GPU's table takes one. "
            'Use larger sigmas, fewer axes, or method="lattice".'
        )
    points = cuda.to_device(features)
    elevated, weights = (cuda.device_array((count, size), dtype) for _ in range(2))
    base = cuda.device_array((count, size), np.int64)
    rank = cuda.device_array((count, size), np.int32)
    entries = cuda.device_array((count, size), np.int64)
    inverse = dtype.type(1) / dtype.type(size)
    _elevate[grid(count)](points, cuda.to_device(axis_scales(dimension).astype(dtype)), elevated)
    _simplex[grid(count)](elevated, inverse, base, rank)
    _weigh[grid(count)](elevated, base, rank, inverse, weights)

    capacity = 1 << (2 * count * size - 1).bit_length()
    table = cuda.to_device(np.full(capacity, FREE, np.int64))
    _insert[grid(count * size)](base, rank, cuda.to_device(packed.low), cuda.to_device(packed.shift), table, entries)
    found = table.copy_to_host()
    taken = np.flatnonzero(found != FREE)
    taken = taken[np.argsort(found[taken])]
    keys = found[taken]
    vertex_of_entry = np.full(capacity, len(keys), np.int32)
    vertex_of_entry[taken] = np.arange(len(keys), dtype=np.int32)
    vertex_of_entry = cuda.to_device(vertex_of_entry)
    vertices = cuda.device_array((count, size), np.int32)
    _number[grid(count * size)](entries, vertex_of_entry, vertices)

    shift = packed.shift.tolist()
    steps = [sum((dimension if i == axis else -1) << s for i, s in enumerate(shift)) for axis in range(size)]
    neighbours = cuda.to_device(np.full((size, len(keys), 2), len(keys), np.int32))
    device_keys = cuda.to_device(keys)
    _meet[grid(size * len(keys))](
        device_keys, cuda.to_device(np.array(steps, np.int64)), table, vertex_of_entry, neighbours
    )
    return DeviceLattice(vertices, weights, neighbours, device_keys)


def vertex_values(lattice, values, *, reverse=False):
    """Return the device table (M + 1, V) of splatted and blurred values, from device values (P, V)."""
    count, channels = values.shape
    size, vertices = lattice.neighbours.shape[:2]
    table, spare = (cuda.to_device(np.zeros((vertices + 1, channels), values.dtype)) for _ in range(2))
    _splat[grid(count * channels)](values, lattice.vertices, lattice.weights, table)
    for axis in reversed(range(size)) if reverse else range(size):
        _blur[grid(vertices * channels)](table, lattice.neighbours, axis, values.dtype.type(0.5), spare)
        table, spare = spare, table
    return table


def lattice_filter(lattice, values, *, reverse=False):
    """Return device values (P, V) filtered through a DeviceLattice."""
    out = cuda.device_array(values.shape, values.dtype)
    scale = values.dtype.type(slice_scale(lattice.neighbours.shape[0] - 1))
    table = vertex_values(lattice, values, reverse=reverse)
    _slice[grid(values.size)](table, lattice.vertices, lattice.weights, scale, out)
    return out
