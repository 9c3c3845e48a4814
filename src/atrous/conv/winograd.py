"""Winograd's algorithm at any rate: 3×3 filters in 1.8 to 4 times fewer products.

Winograd's tiles need neighbouring outputs of an ordinary convolution. An atrous convolution of stride 1 is r² ordinary
ones on the phases of the input (see `interlace`), so a tile takes samples and outputs that are r apart:

    r = 2, m = 2                      d . d . d . d        16 samples of one phase, 2 apart
                                      . . . . . . . .
    a tile of F(2×2, 3×3)             d . Y . Y . d        4 outputs, 2 apart
                                      . . . . . . . .
                                      d . Y . Y . d        Y: samples at which outputs are, too
                                      . . . . . . . .
                                      d . d . d . d

No phase is copied: with the channels last, a sample of a tile is one stretch of channels wherever it lies. With V, U
and M the transformed samples, filters and sums (see `winograd_transforms`), a block of tiles passes through

    V[e, t, c]  =  Bᵀ d B                     for each tile t and each of the n² elements e
    M[e, t, f]  =  Σ_c V[e, t, c] · U[e, c, f]    n² matrix products, by the micro-kernel
    Y           =  Aᵀ M A                     written to rows of outputs, then to y with the channels first

and stays in the cache from the first step to the last; the first two take `DEPTH` channels at a time. dx is the same
with the filters mirrored and x and y exchanged. The gradient of the filters is the adjoint step by step: Ū[e, f, c] =
Σ_t M̄[e, t, f] · V[e, t, c], dw = Gᵀ Ū G.

Role: loops. Extra memory: x (and dy) with channels last, n²/9 times the filters, for each thread a block of V and M;
dw: `CHUNK` bytes of V and M̄. float32 results differ from the exact ones by about as much as those of an ordinary sum:
on features like those of networks by 2·10⁻⁶ of their size. In y, dx and dw a NaN or inf reaches all results of its
tile. Equal bits for any number of threads.

References
----------
Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, arXiv:1509.09308.
"""

import numpy as np

from atrous.conv.channels_last import aligned, channels_last, flat_map, is_channels_last, scratch, transpose_matrix
from atrous.conv.direct import plain
from atrous.conv.epilogue import finish_row, make_epilogue
from atrous.conv.filters import kept
from atrous.conv.geometry import mirrored
from atrous.conv.micro_kernel import multiply_tile, tile_for
from atrous.conv.winograd_tiles import best_outputs, starts
from atrous.conv.winograd_transforms import (
    filter_adjoint,
    filter_transform,
    input_transform,
    output_adjoint,
    output_transform,
)
from atrous.jit.compiler import compiled
from atrous.jit.lanes import LINE_BYTES
from atrous.jit.threads import launch, thread_count

BLOCK = 128
DEPTH = 256
CHUNK = 1 << 26
# Ranges of blocks for each thread, which takes the next when it is done.
PIECES = 4


@compiled()
def _positions(at, start, y, x, size, rate, high, wide, step, nowhere):
    """Fill `at` with the positions of size × size samples, `rate` apart from (y, x), in the image from `start` on.

    A sample takes `step` elements; one outside the image is at `nowhere`.
    """
    for i in range(size):
        for j in range(size):
            iy, ix = y + i * rate[0], x + j * rate[1]
            inside = 0 <= iy < high and 0 <= ix < wide
            at[i * size + j] = start + (iy * wide + ix) * step if inside else nowhere


@compiled()
def _filters(head, tail, tile, w, u, groups, filters, channels, width, turned):
    """Transform filters (groups·filters, channels, 3, 3) to (groups, n², panels, depth, width), as `transformed`."""
    columns, depth = (channels, filters) if turned else (filters, channels)
    panels, line, n = -(-columns // width), LINE_BYTES // w.itemsize, len(tile) + 2
    taps, kept = np.zeros(9 * width, w.dtype), np.empty(n * n * line, w.dtype)
    at_taps = np.arange(9) * width
    at_u = np.arange(n * n) * (panels * depth * width)
    for item in range(head, tail):
        group, panel = item // panels, item % panels
        for k in range(depth):
            for j in range(width):
                column = panel * width + j
                f, c = (k, column) if turned else (column, k)
                start = ((group * filters + f) * channels + c) * 9
                for tap in range(9):
                    source = 8 - tap if turned else tap
                    taps[np.uintp(tap * width + j)] = (
                        w[np.uintp(start + source)] if column < columns else w.dtype.type(0)
                    )
            base = ((group * n * n * panels + panel) * depth + k) * width
            for j in range(0, width, line):
                filter_transform(tile, taps, at_taps, j, u, at_u, base + j, kept)


@compiled()
def _forward(head, tail, rows, lines, tile, xt, u, y, last, after, g, ys, xs, per_block):
    channels, filters, m, n = g.c // g.groups, g.f // g.groups, len(tile), len(tile) + 2
    line, size = LINE_BYTES // y.itemsize, len(rows)
    width = len(lines) * line
    panels, across, rate = -(-filters // width), len(xs), (g.rh, g.rw)
    padded, depth_v, most = panels * width, -(-min(channels, DEPTH) // line) * line, per_block * across
    v, sums = scratch((n * n * most + size) * depth_v, y), scratch((n * n * most + size) * padded, y)
    dump = per_block * m * g.ow * padded
    band = scratch(dump + padded, y)
    kept, at_x, at_y = np.empty(n * n * line, y.dtype), np.empty(n * n, np.int64), np.empty(m * m, np.int64)
    at_v, at_sums = np.arange(n * n) * (most * depth_v), np.arange(n * n) * (most * padded)
    bands = g.n * g.od * len(ys)
    blocks = -(-bands // per_block)
    for item in range(head, tail):
        group, first = item // blocks, item % blocks * per_block
        some = min(per_block, bands - first)
        tiles = some * across
        for c in range(0, channels, DEPTH):
            depth = min(DEPTH, channels - c)
            for t in range(tiles):
                image, row = (first + t // across) // len(ys), (first + t // across) % len(ys)
                start, nowhere = image * g.h * g.w * g.c + group * channels + c, g.n * g.d * g.h * g.w * g.c
                _positions(at_x, start, ys[row] - g.ph, xs[t % across] - g.pw, n, rate, g.h, g.w, g.c, nowhere)
                for k in range(0, depth, line):
                    input_transform(tile, xt, at_x, k, v, at_v, t * depth_v + k, kept)
            for e in range(n * n):
                for panel in range(panels):
                    at_u = (((group * n * n + e) * panels + panel) * channels + c) * width
                    for t in range(0, tiles, size):
                        multiply_tile(
                            rows, lines, v, np.uintp(at_v[e] + t * depth_v), np.uintp(depth_v), np.uintp(1), u,
                            np.uintp(at_u), np.uintp(width), sums, np.uintp(at_sums[e] + t * padded + panel * width),
                            np.uintp(padded), np.uintp(depth), 0, min(size, tiles - t), c > 0,
                        )  # fmt: skip
        for t in range(tiles):
            # The rows of the band are the tile's own, m for each row of tiles.
            _positions(
                at_y, t // across * m * g.ow * padded, 0, xs[t % across], m, (1, g.rw), m, g.ow, padded, dump
            )  # fmt: skip
            for f in range(0, padded, line):
                output_transform(tile, sums, at_sums, t * padded + f, band, at_y, f, kept)
        for k in range(some * m):
            image, row = (first + k // m) // len(ys), (first + k // m) % len(ys)
            oy = ys[row] + k % m * g.rh
            if oy >= g.oh:
                continue
            slices, plane, at, channel = g.od, g.oh * g.ow, k * g.ow * padded, group * filters
            if last:
                start = (image * plane + oy * g.ow) * g.f + channel
                finish_row(band, at, padded, g.ow, filters, channel, after, y, start, g.f)
                continue
            if not after.idle:
                finish_row(band, at, padded, g.ow, filters, channel, after, band, at, padded)
            start = ((image // slices * g.f + channel) * slices + image % slices) * plane + oy * g.ow
            transpose_matrix(band, at, padded, g.ow, filters, y, start, slices * plane)


@compiled()
def _transform_pairs(head, tail, tile, xt, v, depth_v, width, dyt, m_bar, depth_m, g, ys, xs, group, first, most):
    """Fill V (n², panels, tiles, width) and M̄ (n², tiles, F) for the tiles of rows first + head … first + tail."""
    channels, filters, m, n = g.c // g.groups, g.f // g.groups, len(tile), len(tile) + 2
    line, rate = LINE_BYTES // v.itemsize, (g.rh, g.rw)
    kept, at_x, at_y = np.empty(n * n * line, v.dtype), np.empty(n * n, np.int64), np.empty(m * m, np.int64)
    at_v, at_m = np.arange(n * n) * (most * depth_v), np.arange(n * n) * (most * depth_m)
    for band in range(head, tail):
        image, row = (first + band) // len(ys), (first + band) % len(ys)
        for i in range(len(xs)):
            t = band * len(xs) + i
            start, nowhere = image * g.h * g.w * g.c + group * channels, g.n * g.d * g.h * g.w * g.c
            _positions(at_x, start, ys[row] - g.ph, xs[i] - g.pw, n, rate, g.h, g.w, g.c, nowhere)
            start, nowhere = image * g.oh * g.ow * g.f + group * filters, g.n * g.od * g.oh * g.ow * g.f
            _positions(at_y, start, ys[row], xs[i], m, rate, g.oh, g.ow, g.f, nowhere)
            for c in range(0, channels, line):
                place = (c // width * most + t) * width + c % width
                input_transform(tile, xt, at_x, c, v, at_v, place, kept)
            for f in range(0, filters, line):
                output_adjoint(tile, dyt, at_y, f, m_bar, at_m, t * depth_m + f, kept)


@compiled()
def _multiply_pairs(head, tail, rows, lines, v, depth_v, m_bar, depth_m, u_bar, filters, tiles, most, add):
    """Add Σ_t M̄[e, t, f] · V[e, t, c] to Ū (n², F, C); an item is one e and one tile of filters."""
    width, size = len(lines) * (LINE_BYTES // v.itemsize), len(rows)
    blocks = -(-filters // size)
    for item in range(head, tail):
        e, f = item // blocks, item % blocks * size
        for c in range(0, depth_v, width):
            multiply_tile(
                rows, lines, m_bar, np.uintp(e * most * depth_m + f), np.uintp(1), np.uintp(depth_m), v,
                np.uintp((e * depth_v + c) * most), np.uintp(width), u_bar, np.uintp((e * filters + f) * depth_v + c),
                np.uintp(depth_v), np.uintp(tiles), 0, min(size, filters - f), add,
            )  # fmt: skip


@compiled()
def _filter_gradients(head, tail, tile, u_bar, depth_v, dw, filters, channels, group):
    """Write dw (F, C, 3, 3) from Ū (n², F, C), for filters head … tail of a group."""
    n, line = len(tile) + 2, LINE_BYTES // dw.itemsize
    taps, kept = np.empty(9 * line, dw.dtype), np.empty(n * n * line, dw.dtype)
    at_u, at_taps = np.arange(n * n) * (filters * depth_v), np.arange(9) * line
    for f in range(head, tail):
        for c in range(0, channels, line):
            filter_adjoint(tile, u_bar, at_u, f * depth_v + c, taps, at_taps, 0, kept)
            for j in range(min(line, channels - c)):
                for tap in range(9):
                    dw[((group * filters + f) * channels + c + j) * 9 + tap] = taps[tap * line + j]


def transformed(w, groups, outputs, width, *, turned=False):
    """Return U (groups, n², panels, C, width) of filters (F, C/groups, 1, 3, 3); `turned` mirrors and swaps them."""
    filters, channels = len(w) // groups, w.shape[1]
    columns, depth = (channels, filters) if turned else (filters, channels)
    panels = -(-columns // width)
    u = aligned(groups * (outputs + 2) ** 2 * panels * depth * width, w.dtype)
    launch(_filters, groups * panels, (0,) * outputs, plain(w).reshape(-1), u, groups, filters, channels, width, turned)
    return u


def _run(x, w, g, outputs, after=None, out=None, *, turned):
    rows, lines, width = tile_for(g.f // g.groups, x.dtype)
    key = (__name__, outputs, width, turned)
    u = kept(w, key, lambda w: transformed(w, g.groups, outputs, width, turned=turned))
    ys, xs = starts(g.oh, g.rh, outputs), starts(g.ow, g.rw, outputs)
    bands = g.n * g.od * len(ys)
    # As many blocks as the threads can share evenly, none much larger than BLOCK tiles.
    threads = thread_count()
    blocks = min(bands, threads * max(1, round(bands * len(xs) / (BLOCK * threads))))
    per_block = -(-bands // blocks)
    y = np.empty((g.n, g.f, *g.out), x.dtype) if out is None else out
    spare = g.c + LINE_BYTES // x.itemsize
    launch(
        _forward, g.groups * -(-bands // per_block), rows, lines, (0,) * outputs, channels_last(x, spare), u,
        flat_map(y), is_channels_last(y), after or make_epilogue(g.f, x.dtype), g, ys, xs, per_block, pieces=PIECES,
    )  # fmt: skip
    return y


def forward(x, w, g, after=None, out=None, *, outputs=None):
    """Return y (N, F, D, OH, OW) from x (N, C, D, H, W) and w (F, C/groups, 1, 3, 3), like `implicit_gemm.forward`."""
    return _run(x, w, g, outputs or best_outputs(g), after, out, turned=False)


def backward_input(dy, w, g, *, outputs=None):
    """Return dx (N, C, D, H, W)."""
    turned = mirrored(g)
    return _run(dy, w, turned, outputs or best_outputs(turned), turned=True)


def backward_weight(dy, x, g, *, outputs=None):
    """Return dw (F, C/groups, 1, 3, 3)."""
    outputs = outputs or best_outputs(g)
    tile, n = (0,) * outputs, outputs + 2
    channels, filters, line = g.c // g.groups, g.f // g.groups, LINE_BYTES // x.itemsize
    rows, lines, width = tile_for(channels, x.dtype)
    ys, xs = starts(g.oh, g.rh, outputs), starts(g.ow, g.rw, outputs)
    bands = g.n * g.od * len(ys)
    depth_v, depth_m = -(-channels // width) * width, -(-filters // line) * line
    per_chunk = max(1, min(bands, CHUNK // (n * n * len(xs) * (depth_v + depth_m) * x.itemsize)))
    most = per_chunk * len(xs)
    xt, dyt = channels_last(x, g.c + line), channels_last(dy, g.f + line)
    v, m_bar = aligned(n * n * most * depth_v, x.dtype), aligned(n * n * most * depth_m + len(rows), x.dtype)
    u_bar = aligned((n * n * filters + len(rows)) * depth_v, x.dtype)
    if depth_v >= channels + line:
        v[:] = 0  # Lines that no channel fills are multiplied as well.
    dw = np.empty((g.f, channels, *g.kernel), x.dtype)
    items = n * n * -(-filters // len(rows))
    for group in range(g.groups):
        for first in range(0, bands, per_chunk):
            some = min(per_chunk, bands - first)
            launch(
                _transform_pairs, some, tile, xt, v, depth_v, width, dyt, m_bar, depth_m, g, ys, xs, group, first, most
            )
            launch(
                _multiply_pairs, items, rows, lines, v, depth_v, m_bar, depth_m, u_bar, filters, some * len(xs), most,
                first > 0,
            )  # fmt: skip
        launch(_filter_gradients, filters, tile, u_bar, depth_v, dw.reshape(-1), filters, channels, group)
    return dw
