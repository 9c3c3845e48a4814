"""Atrous convolution as a matrix product whose columns are never written: an implicit GEMM.

im2col copies the samples under each tap into columns and multiplies. With the channels last, the samples under tap k of
neighbouring outputs are already the rows of a matrix, stride·C elements apart, wherever the tap is and whatever the
rate:

    y[o, f] = Σ_k Σ_c  xt[s·o + r·k − p, c] · w[k, c, f]
                       ───────────────────    ─────────
                       rows of A, in place    B, packed once

So the micro-kernel reads A where it lies, and only the filters are packed: in panels as wide as its tile, each with the
lines of successive channels next to each other. Taps on zeros are skipped: a row of outputs takes from each tap only
the range of outputs at which it is inside the image. If that range is not a multiple of the tile's rows, the last tile
starts earlier, computes some outputs again and does not write them.

The loops, from the outside in:

    block       rows of outputs of one image and group, some `SAMPLES`
    span        panels whose sums for the block stay in the second cache; block and span are the unit of work
    depth       pieces of at most `DEPTH` channels
    panel       filters as wide as a tile; its piece stays in the nearest caches while the block passes by
    kz, ky, kx  the taps
    row, tile   outputs (see `micro_kernel`)

dx is the same sum with x and y exchanged: outputs are scattered over dx, stride·C apart. dw is a product over outputs,
for which x lies in panels of channels as wide as the tile, so that B is as close together as packed filters are.

Role: loops. Extra memory: x (and dy) with channels last, if they do not lie so; the packed filters; for each thread
`SUMS` bytes. No BLAS; equal bits for any number of threads. NaN and inf reach exactly the outputs, dx and dw that read
them.

References
----------
Chetlur et al., cuDNN: Efficient Primitives for Deep Learning, arXiv:1410.0759, Section 3.1 (implicit GEMM).
"""

import math

import numpy as np

from atrous.conv.channels_last import (
    aligned,
    channel_panels,
    channels_last,
    flat_map,
    is_channels_last,
    scratch,
    transpose_matrix,
)
from atrous.conv.direct import plain, row_range
from atrous.conv.epilogue import finish_row, make_epilogue
from atrous.conv.filters import kept
from atrous.conv.micro_kernel import multiply_tile, tile_for
from atrous.conv.taps import is_inside, output_reading, tap_position
from atrous.jit.compiler import compiled
from atrous.jit.lanes import LINE_BYTES
from atrous.jit.numba_or_not import njit
from atrous.jit.threads import MOVE, launch, thread_count

# 256 steps of 6 × 4 lines take 64 KiB of a packed panel through the cache and spend 1 % on loading the sums.
DEPTH = 256
# So many samples share a panel that comes from memory, and their sums take half of the second cache.
SAMPLES = 160
SUMS = 1 << 19
FILTERS = 48
# Channels that are packed at a time: what lies between their taps stays in the nearest cache.
PACKED = 16
# Items of work for each thread, so that none waits long for the last.
SHARES = 12
# Ranges of blocks for each thread, which takes the next when it is done.
PIECES = 16


@compiled()
def _pack(head, tail, w, packed, groups, filters, channels, taps, width, turned):
    """Lay filters w (groups·filters, channels, taps) out as (groups, taps, panels, depth, width), padded with zeros.

    The panels run over the filters and the depth over the channels, or the other way round if `turned`.
    """
    columns, depth = (channels, filters) if turned else (filters, channels)
    panels, step, piece = -(-columns // width), taps if turned else channels * taps, 1 if turned else PACKED
    near = np.zeros(piece * taps * width, w.dtype)
    for item in range(head, tail):
        group, panel = item // panels, item % panels
        column = panel * width
        if columns - column < width:
            near[:] = 0
        for first in range(0, depth, piece):
            some = min(piece, depth - first)
            f, c = (first, column) if turned else (column, first)
            source = ((group * filters + f) * channels + c) * taps
            transpose_matrix(w, source, step, min(width, columns - column), some * taps, near, 0, width)
            for k in range(some):
                for tap in range(taps):
                    place = np.uintp((((group * taps + tap) * panels + panel) * depth + first + k) * width)
                    line = np.uintp((k * taps + tap) * width)
                    for j in range(np.uintp(width)):
                        packed[place + j] = near[line + j]


def pack(w, groups, width, *, turned=False):
    """Return the filters (F, C/groups, KD, KH, KW) packed in panels of `width` filters, or channels if `turned`."""
    filters, channels, taps = len(w) // groups, w.shape[1], w[0, 0].size
    columns, depth = (channels, filters) if turned else (filters, channels)
    panels = -(-columns // width)
    packed = aligned(groups * taps * panels * depth * width, w.dtype)
    launch(
        _pack, groups * panels, plain(w).reshape(-1), packed, groups, filters, channels, taps, width, turned,
        work=MOVE * packed.size,
    )  # fmt: skip
    return packed


@compiled()
def _add_tap(rows, lines, a, at_a, a_row, packed, at_b, width, sums, at_c, c_row, depth, count, add):
    """Add one tap's product to `count` rows of sums, or with add=False write it there, a tile at a time."""
    size, end = len(rows), np.intp(count)
    for i in range(0, end, size):
        # The last tile starts earlier if there is room, and leaves alone what is done.
        start = max(min(i, end - size), 0)
        multiply_tile(
            rows, lines, a, np.uintp(at_a + start * a_row), np.uintp(a_row), np.uintp(1), packed, np.uintp(at_b),
            np.uintp(width), sums, np.uintp(at_c + start * c_row), np.uintp(c_row), np.uintp(depth), i - start,
            min(size, end - start), add,
        )  # fmt: skip


@njit
def _source(o, k, s, r, p, size, turned):
    """Return the sample of y's source that tap k of o reads, or if `turned` the one that reads it; −1 if none does."""
    if turned:
        return output_reading(o, k, s, r, p, size)
    i = tap_position(o, k, s, r, p)
    return i if is_inside(i, size) else -1


@compiled()
def _rows(head, tail, rows, lines, source, packed, result, last, after, g, turned, block, span, joined, laid, needed):
    """Write blocks of rows of y from x or, if `turned`, of dx from dy: the same loops with both ends exchanged.

    A block is up to `block` rows of one image; it is summed for `span` panels, if any of its rows is `needed` of them.
    """
    depth, columns = (g.f // g.groups, g.c // g.groups) if turned else (g.c // g.groups, g.f // g.groups)
    (d, h, w), (od, oh, ow) = ((g.od, g.oh, g.ow), (g.d, g.h, g.w)) if turned else ((g.d, g.h, g.w), (g.od, g.oh, g.ow))
    width = len(lines) * (LINE_BYTES // result.itemsize)
    panels, taps, blocks = -(-columns // width), g.kd * g.kh * g.kw, -(-oh // block)
    spans = -(-panels // span)
    a_row, step, row_size = (1 if turned else g.sw) * g.groups * depth, g.sw if turned else 1, ow * span * width
    near = scratch((block * ow + len(rows)) * min(DEPTH, depth) if laid else 0, result)
    sums = scratch(block * row_size + g.sw * len(rows) * span * width, result)
    for item in range(head, tail):
        first_panel, top, oz = item % spans * span, item // spans % blocks * block, item // (spans * blocks) % od
        group, n = item // (spans * blocks * od) % g.groups, item // (spans * blocks * od * g.groups)
        some, plane = min(block, oh - top), od * oh * ow
        # One tap inside everywhere is written, not added.
        fresh = joined and top < needed[:, 1].min() and top + some > needed[:, 0].max()
        if not fresh:
            sums[: some * row_size] = 0
        for k in range(0, depth, DEPTH):
            piece = min(DEPTH, depth - k)
            if laid:
                at = (((n * g.groups + group) * depth + k) * d + oz) * h * w + top * w
                transpose_matrix(source, at, d * h * w, piece, some * w, near, 0, piece)
            for panel in range(first_panel, min(first_panel + span, panels)):
                if top >= needed[panel, 1] or top + some <= needed[panel, 0]:
                    continue
                for kz in range(g.kd):
                    iz = _source(oz, kz, g.sd, g.rd, g.pd, d, turned)
                    for ky in range(g.kh if iz >= 0 else 0):
                        for kx in range(g.kw):
                            first, count, read = row_range(kx, g.sw, g.rw, g.pw, g.w, g.ow)
                            if turned:
                                first, read = read, first
                            tap = (kz * g.kh + ky) * g.kw + kx
                            at_b = (((group * taps + tap) * panels + panel) * depth + k) * width
                            at_sums = (first * span + panel - first_panel) * width
                            for row in range(1 if joined else some):
                                iy = _source(top + row, ky, g.sh, g.rh, g.ph, h, turned)
                                if iy < 0:
                                    continue
                                at = (((n * d + iz) * h + iy) * w + read) * g.groups + group
                                _add_tap(
                                    rows, lines, near if laid else source, 0 if laid else at * depth + k,
                                    piece if laid else a_row, packed, at_b, width, sums, row * row_size + at_sums,
                                    step * span * width, piece, count * np.uintp(some) if joined else count,
                                    not fresh or k > 0,
                                )  # fmt: skip
        c = first_panel * width
        channel, some_columns = group * columns + c, min(span * width, columns - c)
        for row in range(some):
            at = (oz * oh + top + row) * ow
            if last:
                size = g.groups * columns
                finish_row(
                    sums, row * row_size, span * width, ow, some_columns, channel, after, result,
                    (n * plane + at) * size + channel, size,
                )  # fmt: skip
                continue
            if not after.idle:
                finish_row(
                    sums, row * row_size, span * width, ow, some_columns, channel, after, sums, row * row_size,
                    span * width,
                )  # fmt: skip
            start = (n * g.groups * columns + channel) * plane + at
            transpose_matrix(sums, row * row_size, span * width, ow, some_columns, result, start, plane)


@compiled()
def _backward_weight(head, tail, rows, lines, dyt, xt, dw, g, block):
    channels, filters = g.c // g.groups, g.f // g.groups
    width, size = len(lines) * (LINE_BYTES // dw.itemsize), len(rows)
    panels, taps, blocks = -(-channels // width), g.kd * g.kh * g.kw, -(-filters // block)
    padded, plane = panels * width, g.d * g.h * g.w
    sums = scratch((block + size) * padded, dw)
    for item in range(head, tail):
        tap, f = item % taps, item // taps % blocks * block
        group = item // (taps * blocks)
        kz, ky, kx = tap // (g.kh * g.kw), tap // g.kw % g.kh, tap % g.kw
        some = min(block, filters - f)
        ox, count, ix = row_range(kx, g.sw, g.rw, g.pw, g.w, g.ow)
        sums[: some * padded] = 0
        for n in range(g.n if count > 0 else 0):
            for oz in range(g.od):
                iz = tap_position(oz, kz, g.sd, g.rd, g.pd)
                for oy in range(g.oh if is_inside(iz, g.d) else 0):
                    iy = tap_position(oy, ky, g.sh, g.rh, g.ph)
                    if not is_inside(iy, g.h):
                        continue
                    at_dy = (((n * g.od + oz) * g.oh + oy) * g.ow + ox) * g.f + group * filters + f
                    for panel in range(panels):
                        at_x = ((n * g.groups + group) * panels + panel) * plane + (iz * g.h + iy) * g.w + ix
                        for i in range(0, some, size):
                            multiply_tile(
                                rows, lines, dyt, np.uintp(at_dy + i), np.uintp(1), np.uintp(g.f),
                                xt, np.uintp(at_x * width), np.uintp(g.sw * width),
                                sums, np.uintp(i * padded + panel * width), np.uintp(padded), np.uintp(count), 0,
                                min(size, some - i), True,
                            )  # fmt: skip
        for i in range(some):
            start = (group * filters + f + i) * channels * taps + tap
            for c in range(channels):
                dw[np.uintp(start + c * taps)] = sums[np.uintp(i * padded + c)]


def _multiply(source, w, g, after, out, needs=None, *, turned):
    """Return y from x or, if `turned`, dx from dy."""
    rows, lines, width = tile_for((g.c if turned else g.f) // g.groups, source.dtype)
    shape = (g.n, g.c, *g.size) if turned else (g.n, g.f, *g.out)
    packed = kept(w, (__name__, width, turned), lambda w: pack(w, g.groups, width, turned=turned))
    # Without taps and strides, the rows of a block are one long row, laid with the channels last in the cache only.
    joined = g.kernel == (1, 1, 1) and g.stride == (1, 1, 1) and g.size == g.out
    laid = joined and source.flags.c_contiguous and source.shape[1] > 1
    # A tile reads as many rows as it has, so behind the last sample there must be room for those.
    step = g.f if turned else g.sw * g.c
    short = min(row_range(k, g.sw, g.rw, g.pw, g.w, g.ow)[1] for k in range(g.kw)) < len(rows)
    flat = flat_map(source) if laid else channels_last(source, len(rows) * step if short else 0)
    result = np.empty(shape, source.dtype) if out is None else out
    high, wide = shape[3:]
    # Filters that stay in the second cache need not be shared by several rows, unless these are one long row.
    samples = SAMPLES if joined or packed.nbytes > SUMS else wide
    block = -(-high // -(-high * wide // samples))
    items, panels = g.n * g.groups * shape[2] * -(-high // block), -(-(shape[1] // g.groups) // width)
    room = max(1, SUMS // (block * wide * width * source.itemsize))
    spans = max(-(-panels // room), min(panels, -(-SHARES * thread_count() // items)))
    span = -(-panels // spans)
    needed = np.full((panels, 2), (0, high))
    for panel in range(panels if needs is not None else 0):
        some = needs[panel * width : (panel + 1) * width]
        needed[panel] = some[:, 0].min(), some[:, 1].max()
    launch(
        _rows, items * -(-panels // span), rows, lines, flat, packed, flat_map(result), is_channels_last(result),
        after or make_epilogue(shape[1], source.dtype), g, turned, block, span, joined, laid,
        needed, pieces=PIECES, work=g.macs,
    )  # fmt: skip
    return result


def forward(x, w, g, after=None, out=None, needs=None):
    """Return y (N, F, OD, OH, OW) from x (N, C, D, H, W) and w (F, C/groups, KD, KH, KW).

    It is written to `out` if that is given, whose channels may lie last in memory; they must if the Epilogue `after`
    has an array to add. `needs` (F, 2) are the first row and the end of those that are read of each filter's outputs; a
    row that nobody reads may be zero.
    """
    return _multiply(x, w, g, after, out, needs, turned=False)


def backward_input(dy, w, g):
    """Return dx (N, C, D, H, W)."""
    return _multiply(dy, w, g, None, None, turned=True)


def backward_weight(dy, x, g):
    """Return dw (F, C/groups, KD, KH, KW)."""
    filters, taps = g.f // g.groups, math.prod(g.kernel)
    rows, lines, width = tile_for(g.c // g.groups, dy.dtype)
    dw = np.empty((g.f, g.c // g.groups, *g.kernel), dy.dtype)
    # Even blocks of whole tiles, and enough of them for all threads.
    tiles = -(-filters // len(rows))
    block = min(FILTERS // len(rows), max(1, g.groups * taps * tiles // (SHARES * thread_count())))
    block = -(-tiles // -(-tiles // block)) * len(rows)
    dyt, xt = channels_last(dy, len(rows)), channel_panels(x, g.groups, width)
    launch(
        _backward_weight, g.groups * -(-filters // block) * taps, rows, lines, dyt, xt, dw.reshape(-1), g, block,
        work=g.macs,
    )  # fmt: skip
    return dw
