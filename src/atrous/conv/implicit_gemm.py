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

    row            one row of outputs of one image and group: the unit of work of a thread; its sums (OW × F numbers)
                   stay in the second cache
    depth          pieces of at most `DEPTH` channels, so that a panel's piece stays in the nearest cache
    panel          filters as wide as a tile
    kz, ky, kx     the taps
    tile           outputs (see `micro_kernel`)

dx is the same sum with x and y exchanged: outputs are scattered over dx, stride·C apart. dw is a product over outputs.

Role: loops. Extra memory: x (and dy) with channels last, the packed filters, and one row of outputs for each thread. No
BLAS; equal bits for any number of threads. NaN and inf reach exactly the outputs, dx and dw that read them.

References
----------
Chetlur et al., cuDNN: Efficient Primitives for Deep Learning, arXiv:1410.0759, Section 3.1 (implicit GEMM).
"""

import numpy as np

from atrous.conv.channels_last import aligned, channels_last, transpose_matrix
from atrous.conv.direct import plain, row_range
from atrous.conv.micro_kernel import multiply_tile, tile_for
from atrous.conv.taps import is_inside, output_reading, tap_position
from atrous.jit.compiler import compiled
from atrous.jit.lanes import LINE_BYTES
from atrous.jit.threads import launch

# 256 steps of 6 × 4 lines take 64 KiB of a packed panel through the cache and spend 1 % on loading the sums.
DEPTH = 256
FILTERS = 48


@compiled()
def _pack(head, tail, w, packed, groups, filters, channels, taps, width, turned):
    """Lay filters w (groups·filters, channels, taps) out as (groups, taps, panels, depth, width), padded with zeros.

    The panels run over the filters and the depth over the channels, or the other way round if `turned`.
    """
    columns, depth = (channels, filters) if turned else (filters, channels)
    panels = -(-columns // width)
    for item in range(head, tail):
        group, panel = item // panels, item % panels
        for k in range(depth):
            for tap in range(taps):
                start = (((group * taps + tap) * panels + panel) * depth + k) * width
                for j in range(width):
                    column = panel * width + j
                    f, c = (k, column) if turned else (column, k)
                    value = (
                        w[((group * filters + f) * channels + c) * taps + tap] if column < columns else w.dtype.type(0)
                    )
                    packed[np.uintp(start + j)] = value


def pack(w, groups, width, *, turned=False):
    """Return the filters (F, C/groups, KD, KH, KW) packed in panels of `width` filters, or channels if `turned`."""
    filters, channels, taps = len(w) // groups, w.shape[1], w[0, 0].size
    columns, depth = (channels, filters) if turned else (filters, channels)
    panels = -(-columns // width)
    packed = aligned(groups * taps * panels * depth * width, w.dtype)
    launch(_pack, groups * panels, plain(w).reshape(-1), packed, groups, filters, channels, taps, width, turned)
    return packed


@compiled()
def _add_tap(rows, lines, a, at_a, a_row, packed, at_b, width, sums, at_c, c_row, depth, count):
    """Add one tap's product to `count` rows of sums, a tile at a time."""
    size, end = len(rows), np.intp(count)
    for i in range(0, end, size):
        # The last tile starts earlier if there is room, and leaves alone what is done.
        start = max(min(i, end - size), 0)
        multiply_tile(
            rows, lines, a, np.uintp(at_a + start * a_row), np.uintp(a_row), np.uintp(1), packed, np.uintp(at_b),
            np.uintp(width), sums, np.uintp(at_c + start * c_row), np.uintp(c_row), np.uintp(depth), i - start,
            min(size, end - start), True,
        )  # fmt: skip


@compiled()
def _forward(head, tail, rows, lines, xt, packed, y, g):
    channels, filters = g.c // g.groups, g.f // g.groups
    width = len(lines) * (LINE_BYTES // y.itemsize)
    panels = -(-filters // width)
    padded, taps = panels * width, g.kd * g.kh * g.kw
    sums = np.empty((g.ow + len(rows)) * padded + LINE_BYTES, y.dtype)
    sums = sums[(-sums.ctypes.data % LINE_BYTES) // y.itemsize :]
    for row in range(head, tail):
        oy, oz = row % g.oh, row // g.oh % g.od
        group, n = row // (g.oh * g.od) % g.groups, row // (g.oh * g.od * g.groups)
        sums[: g.ow * padded] = 0
        for c in range(0, channels, DEPTH):
            depth = min(DEPTH, channels - c)
            for panel in range(panels):
                for kz in range(g.kd):
                    iz = tap_position(oz, kz, g.sd, g.rd, g.pd)
                    if not is_inside(iz, g.d):
                        continue
                    for ky in range(g.kh):
                        iy = tap_position(oy, ky, g.sh, g.rh, g.ph)
                        if not is_inside(iy, g.h):
                            continue
                        for kx in range(g.kw):
                            ox, count, ix = row_range(kx, g.sw, g.rw, g.pw, g.w, g.ow)
                            tap = (kz * g.kh + ky) * g.kw + kx
                            at_x = (((n * g.d + iz) * g.h + iy) * g.w + ix) * g.c + group * channels + c
                            _add_tap(
                                rows, lines, xt, at_x, g.sw * g.c, packed,
                                (((group * taps + tap) * panels + panel) * channels + c) * width,
                                width, sums, ox * padded + panel * width, padded, depth, count,
                            )  # fmt: skip
        plane = g.od * g.oh * g.ow
        start = (n * g.f + group * filters) * plane + (oz * g.oh + oy) * g.ow
        transpose_matrix(sums, 0, padded, g.ow, filters, y, start, plane)


@compiled()
def _backward_input(head, tail, rows, lines, dyt, packed, dx, g):
    channels, filters = g.c // g.groups, g.f // g.groups
    width = len(lines) * (LINE_BYTES // dx.itemsize)
    panels = -(-channels // width)
    padded, taps = panels * width, g.kd * g.kh * g.kw
    sums = np.empty((g.w + g.sw * len(rows)) * padded + LINE_BYTES, dx.dtype)
    sums = sums[(-sums.ctypes.data % LINE_BYTES) // dx.itemsize :]
    for row in range(head, tail):
        iy, iz = row % g.h, row // g.h % g.d
        group, n = row // (g.h * g.d) % g.groups, row // (g.h * g.d * g.groups)
        sums[: g.w * padded] = 0
        for f in range(0, filters, DEPTH):
            depth = min(DEPTH, filters - f)
            for panel in range(panels):
                for kz in range(g.kd):
                    oz = output_reading(iz, kz, g.sd, g.rd, g.pd, g.od)
                    if oz < 0:
                        continue
                    for ky in range(g.kh):
                        oy = output_reading(iy, ky, g.sh, g.rh, g.ph, g.oh)
                        if oy < 0:
                            continue
                        for kx in range(g.kw):
                            ox, count, ix = row_range(kx, g.sw, g.rw, g.pw, g.w, g.ow)
                            tap = (kz * g.kh + ky) * g.kw + kx
                            at_dy = (((n * g.od + oz) * g.oh + oy) * g.ow + ox) * g.f + group * filters + f
                            _add_tap(
                                rows, lines, dyt, at_dy, g.f, packed,
                                (((group * taps + tap) * panels + panel) * filters + f) * width,
                                width, sums, ix * padded + panel * width, g.sw * padded, depth, count,
                            )  # fmt: skip
        plane = g.d * g.h * g.w
        start = (n * g.c + group * channels) * plane + (iz * g.h + iy) * g.w
        transpose_matrix(sums, 0, padded, g.w, channels, dx, start, plane)


@compiled()
def _backward_weight(head, tail, rows, lines, dyt, xt, dw, g):
    channels, filters = g.c // g.groups, g.f // g.groups
    width, size = len(lines) * (LINE_BYTES // dw.itemsize), len(rows)
    padded, taps, blocks = -(-channels // width) * width, g.kd * g.kh * g.kw, -(-filters // FILTERS)
    sums = np.empty((FILTERS + size) * padded + LINE_BYTES, dw.dtype)
    sums = sums[(-sums.ctypes.data % LINE_BYTES) // dw.itemsize :]
    for item in range(head, tail):
        tap, f = item % taps, item // taps % blocks * FILTERS
        group = item // (taps * blocks)
        kz, ky, kx = tap // (g.kh * g.kw), tap // g.kw % g.kh, tap % g.kw
        some = min(FILTERS, filters - f)
        ox, count, ix = row_range(kx, g.sw, g.rw, g.pw, g.w, g.ow)
        sums[: some * padded] = 0
        for n in range(g.n if count > 0 else 0):
            for oz in range(g.od):
                iz = tap_position(oz, kz, g.sd, g.rd, g.pd)
                if not is_inside(iz, g.d):
                    continue
                for oy in range(g.oh):
                    iy = tap_position(oy, ky, g.sh, g.rh, g.ph)
                    if not is_inside(iy, g.h):
                        continue
                    at_x = (((n * g.d + iz) * g.h + iy) * g.w + ix) * g.c + group * channels
                    at_dy = (((n * g.od + oz) * g.oh + oy) * g.ow + ox) * g.f + group * filters + f
                    for c in range(0, padded, width):
                        for i in range(0, some, size):
                            multiply_tile(
                                rows, lines, dyt, np.uintp(at_dy + i), np.uintp(1), np.uintp(g.f),
                                xt, np.uintp(at_x + c), np.uintp(g.sw * g.c),
                                sums, np.uintp(i * padded + c), np.uintp(padded), np.uintp(count), 0,
                                min(size, some - i), True,
                            )  # fmt: skip
        for i in range(some):
            start = (group * filters + f + i) * channels * taps + tap
            for c in range(channels):
                dw[np.uintp(start + c * taps)] = sums[np.uintp(i * padded + c)]


def forward(x, w, g):
    """Return y (N, F, OD, OH, OW) from x (N, C, D, H, W) and w (F, C/groups, KD, KH, KW)."""
    rows, lines, width = tile_for(g.f // g.groups, x.dtype)
    y = np.empty((g.n, g.f, *g.out), x.dtype)
    packed, xt = pack(w, g.groups, width), channels_last(x, len(rows) * g.sw * g.c)
    launch(_forward, g.n * g.groups * g.od * g.oh, rows, lines, xt, packed, y.reshape(-1), g)
    return y


def backward_input(dy, w, g):
    """Return dx (N, C, D, H, W)."""
    rows, lines, width = tile_for(g.c // g.groups, dy.dtype)
    dx = np.empty((g.n, g.c, *g.size), dy.dtype)
    packed, dyt = pack(w, g.groups, width, turned=True), channels_last(dy, len(rows) * g.f)
    launch(_backward_input, g.n * g.groups * g.d * g.h, rows, lines, dyt, packed, dx.reshape(-1), g)
    return dx


def backward_weight(dy, x, g):
    """Return dw (F, C/groups, KD, KH, KW)."""
    rows, lines, width = tile_for(g.c // g.groups, dy.dtype)
    dw = np.empty((g.f, g.c // g.groups, *g.kernel), dy.dtype)
    items = g.groups * -(-(g.f // g.groups) // FILTERS) * dw[0, 0].size
    dyt, xt = channels_last(dy, len(rows)), channels_last(x, width)
    launch(_backward_weight, items, rows, lines, dyt, xt, dw.reshape(-1), g)
    return dw
