"""Few channels or few filters: taps are stacked into the channels of an ordinary 1×1 convolution.

A tile of the micro-kernel wants many channels, which are its depth, and many filters, which are its width. A first
layer has 3 channels and a layer of scores 21 filters; but with 9 taps they make 27 and 189:

    gather      A[o, k, c]  =  x[s·o + r·k − p, c]           a sample for each output and tap, as in im2col
    scatter     x[s·o + r·k − p, c]  +=  A[o, k, c]          its adjoint

    few channels        y  = W · gather(x)        dx = scatter(Wᵀ · dy)        dw = dy · gather(x)ᵀ

At stride 1, y comes from x as dx from dy, with mirrored filters in the opposite direction (see `mirrored`), so few
filters are the same three sums with x and y exchanged. Several convolutions of one input share the product:
their taps are stacked as well. That is how ASPP computes the scores of DeepLab v2.

At large rates a row of taps lies outside the image for many rows of outputs, whose products nobody reads. So columns
are sorted by where their rows of taps lie, and a block of rows leaves out the panels of columns that it does not need.

Role: loops. Extra memory: the columns A, as large as the smaller of x and y for each tap. NaN and inf reach exactly the
y and dx that read them; in dw, they meet the zeros of A. Equal bits for any number of threads.
"""

import math
from typing import NamedTuple

import numpy as np

from atrous.conv import implicit_gemm
from atrous.conv.channels_last import (
    aligned,
    as_map,
    channels_last,
    empty_map,
    flat_map,
    is_channels_last,
    scratch,
    transpose_matrix,
)
from atrous.conv.direct import row_range
from atrous.conv.epilogue import finish_row, make_epilogue
from atrous.conv.filters import Filter, kept
from atrous.conv.geometry import by_channels, conv_geometry, mirrored
from atrous.conv.tap_range import end_output, first_output
from atrous.conv.taps import is_inside, output_reading, tap_position
from atrous.jit.compiler import compiled
from atrous.jit.threads import MOVE, launch


@compiled()
def _gather(head, tail, xt, columns, depth, starts, g):
    """Fill columns (N, OD, OH, OW, depth) for the rows of outputs head … tail, a row of taps from its start on."""
    for row in range(head, tail):
        oy, oz, n = row % g.oh, row // g.oh % g.od, row // (g.oh * g.od)
        for tap in range(g.kd * g.kh * g.kw):
            kx, ky, kz = tap % g.kw, tap // g.kw % g.kh, tap // (g.kw * g.kh)
            iz, iy = tap_position(oz, kz, g.sd, g.rd, g.pd), tap_position(oy, ky, g.sh, g.rh, g.ph)
            ox, count, ix = row_range(kx, g.sw, g.rw, g.pw, g.w, g.ow)
            if not (is_inside(iz, g.d) and is_inside(iy, g.h)):
                count, iz, iy = np.uintp(0), 0, 0
            at = np.uintp(row * g.ow * depth + starts[tap // g.kw] + kx * g.c)
            source = (np.uintp(((n * g.d + iz) * g.h + iy) * g.w) + ix) * np.uintp(g.c)
            for o in range(np.uintp(g.ow)):
                if ox <= o < ox + count:
                    for c in range(np.uintp(g.c)):
                        columns[at + c] = xt[source + c]
                    source += np.uintp(g.sw * g.c)
                else:
                    for c in range(np.uintp(g.c)):
                        columns[at + c] = 0
                at += np.uintp(depth)


@compiled()
def _scatter(head, tail, columns, depth, starts, x, last, after, g):
    """Sum columns (N, OD, OH, OW, depth), a row of taps from its start on, into the rows head … tail of x."""
    band = scratch(g.w * g.c, columns)
    for row in range(head, tail):
        iy, iz, n = row % g.h, row // g.h % g.d, row // (g.h * g.d)
        band[: g.w * g.c] = 0
        for tap in range(g.kd * g.kh * g.kw):
            kx, ky, kz = tap % g.kw, tap // g.kw % g.kh, tap // (g.kw * g.kh)
            oz, oy = output_reading(iz, kz, g.sd, g.rd, g.pd, g.od), output_reading(iy, ky, g.sh, g.rh, g.ph, g.oh)
            if oz < 0 or oy < 0:
                continue
            ox, count, ix = row_range(kx, g.sw, g.rw, g.pw, g.w, g.ow)
            at = (np.uintp(((n * g.od + oz) * g.oh + oy) * g.ow) + ox) * np.uintp(depth)
            at += np.uintp(starts[tap // g.kw] + kx * g.c)
            target = ix * np.uintp(g.c)
            for _ in range(count):
                for c in range(np.uintp(g.c)):
                    band[target + c] += columns[at + c]
                at += np.uintp(depth)
                target += np.uintp(g.sw * g.c)
        if last:
            finish_row(band, 0, g.c, g.w, g.c, 0, after, x, row * g.w * g.c, g.c)
            continue
        if not after.idle:
            finish_row(band, 0, g.c, g.w, g.c, 0, after, band, 0, g.c)
        start = ((n * g.c * g.d + iz) * g.h + iy) * g.w
        transpose_matrix(band, 0, g.c, g.w, g.c, x, start, g.d * g.h * g.w)


class Layout(NamedTuple):
    """Where the columns of each row of taps lie, (convolution, kz, ky, first column), and how many there are."""

    rows: list[tuple[int, int, int, int]]
    depth: int

    def starts(self, conv):
        """Return the first column of each row of taps of one convolution."""
        return np.array([at for _, _, i, at in sorted((kz, ky, i, at) for i, kz, ky, at in self.rows) if i == conv])


def layout(geometries):
    """Return the Layout of several convolutions: rows of taps in the order of the samples that they read."""
    rows = [(i, kz, ky) for i, g in enumerate(geometries) for kz in range(g.kd) for ky in range(g.kh)]

    def moves(row):
        i, kz, ky = row
        g = geometries[i]
        return g.rd * kz - g.pd, g.rh * ky - g.ph

    found, depth = [], 0
    for i, kz, ky in sorted(rows, key=moves):
        found.append((i, kz, ky, depth))
        depth += geometries[i].kw * geometries[i].c
    return Layout(found, depth)


def needed(geometries, laid):
    """Return, for each column, the first row of outputs at which its row of taps is inside, and the end of them."""
    found = np.zeros((laid.depth, 2), np.int64)
    for i, _, ky, at in laid.rows:
        g = geometries[i]
        move = g.rh * ky - g.ph
        found[at : at + g.kw * g.c] = first_output(move, g.sh, g.oh), end_output(move, g.sh, g.h, g.oh)
    return found


def gather(xs, geometries):
    """Return the columns (N, Σ taps·C, OD, OH, OW) of several inputs, channels last."""
    g, laid = geometries[0], layout(geometries)
    columns = aligned(g.n * math.prod(g.out) * laid.depth, xs[0].dtype)
    for i, (x, o) in enumerate(zip(xs, geometries, strict=True)):
        launch(
            _gather, o.n * o.od * o.oh, channels_last(x, 0), columns, laid.depth, laid.starts(i), o,
            work=MOVE * columns.size,
        )  # fmt: skip
    return as_map(columns, (g.n, laid.depth, *g.out))


def scatter(columns, geometries, after=None, out=None):
    """Return [x (N, C, D, H, W), …] from columns with the channels last: the adjoint of `gather`."""
    laid, xs = layout(geometries), []
    for i, g in enumerate(geometries):
        x = np.empty((g.n, g.c, *g.size), columns.dtype) if out is None else out
        launch(
            _scatter, g.n * g.d * g.h, flat_map(columns), laid.depth, laid.starts(i), flat_map(x), is_channels_last(x),
            after or make_epilogue(g.c, x.dtype), g, work=MOVE * columns.size,
        )  # fmt: skip
        xs.append(x)
    return xs


def _matrix(weights, geometries):
    """Return the filters (F, C, *K) of several convolutions as those of one 1×1 convolution, (F, Σ taps·C, 1, 1, 1)."""
    parts = (weights[i][:, :, kz, ky].transpose(0, 2, 1) for i, kz, ky, _ in layout(geometries).rows)
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)[:, :, None, None, None]


def _swapped(weights, geometries):
    """Return `_matrix` with its first axes exchanged."""
    parts = (weights[i][:, :, kz, ky].transpose(2, 1, 0) for i, kz, ky, _ in layout(geometries).rows)
    return np.concatenate([part.reshape(-1, part.shape[2]) for part in parts])[:, :, None, None, None]


def _filters(matrix, geometries):
    """Undo `_matrix`."""
    found = [np.empty((len(matrix), g.c, *g.kernel), matrix.dtype) for g in geometries]
    for i, kz, ky, at in layout(geometries).rows:
        g = geometries[i]
        part = matrix[:, at : at + g.kw * g.c, 0, 0, 0].reshape(-1, g.kw, g.c)
        found[i][:, :, kz, ky] = part.transpose(0, 2, 1)
    return found


def _mirror(w):
    """Return filters (F, C, *K) as those of the opposite direction, (C, F, *K)."""
    return w[:, :, ::-1, ::-1, ::-1].swapaxes(0, 1)


def _product(x, w, after=None, out=None, rows=None):
    """Return w (F, C, 1, 1, 1) times x (N, C, *S)."""
    return implicit_gemm.forward(x, w, conv_geometry(x.shape, w.shape, padding=0), after, out, rows)


def _adjoint(dy, w, geometries, after=None, out=None):
    """Return [dx, …] from the dy that several convolutions share; w is their `_swapped`."""
    columns = empty_map((len(dy), w.shape[0], *dy.shape[2:]), dy.dtype)
    return scatter(_product(dy, w, None, columns, needed(geometries, layout(geometries))), geometries, after, out)


def _pairs(dy, xs, geometries):
    """Return [dw, …] of several convolutions that share dy."""
    columns = gather(xs, geometries)
    matrix = (dy.shape[1], columns.shape[1], 1, 1, 1)
    g = conv_geometry(columns.shape, matrix, padding=0)
    return _filters(implicit_gemm.backward_weight(dy, columns, g), geometries)


def _laid(w, g, *, mirror, swap):
    """Return the `_matrix` of filters, or `_swapped`, as a Filter, made once if w is one."""

    def make(w):
        return Filter((_swapped if swap else _matrix)([_mirror(w) if mirror else w], [g]), {})

    return kept(w, (__name__, mirror, swap), make)


def forward(x, w, g, after=None, out=None):
    """Return y (N, F, OD, OH, OW) from x (N, C, D, H, W) and w (F, C, KD, KH, KW), like `implicit_gemm.forward`."""
    if by_channels(g):
        return _product(gather([x], [g]), _laid(w, g, mirror=False, swap=False), after, out)
    turned = mirrored(g)
    return _adjoint(x, _laid(w, turned, mirror=True, swap=True), [turned], after, out)[0]


def backward_input(dy, w, g):
    """Return dx (N, C, D, H, W)."""
    if by_channels(g):
        return _adjoint(dy, _laid(w, g, mirror=False, swap=True), [g])[0]
    turned = mirrored(g)
    return _product(gather([dy], [turned]), _laid(w, turned, mirror=True, swap=False))


def backward_weight(dy, x, g):
    """Return dw (F, C, KD, KH, KW)."""
    if by_channels(g):
        return np.ascontiguousarray(_pairs(dy, [x], [g])[0])
    return np.ascontiguousarray(_mirror(_pairs(x, [dy], [mirrored(g)])[0]))


def forward_all(x, weights, geometries):
    """Return [y, …] of several convolutions of one x (N, C, D, H, W), stride 1, with few filters each."""
    turned = [mirrored(g) for g in geometries]
    return _adjoint(x, _swapped([_mirror(w) for w in weights], turned), turned)


def backward_input_all(dys, weights, geometries):
    """Return dx (N, C, D, H, W), the sum over the convolutions."""
    turned = [mirrored(g) for g in geometries]
    return _product(gather(dys, turned), _matrix([_mirror(w) for w in weights], turned))


def backward_weight_all(dys, x, geometries):
    """Return [dw, …], each (F, C, KD, KH, KW)."""
    return [np.ascontiguousarray(_mirror(dw)) for dw in _pairs(x, dys, [mirrored(g) for g in geometries])]
