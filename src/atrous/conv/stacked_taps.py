"""Few channels or few filters: taps are stacked into the channels of an ordinary 1×1 convolution.

A tile of the micro-kernel wants many channels, which are its depth, and many filters, which are its width. A first
layer has 3 channels and a layer of scores 21 filters; but with 9 taps they make 27 and 189:

    gather      A[o, k, c]  =  x[s·o + r·k − p, c]           a sample for each output and tap, as in im2col
    scatter     x[s·o + r·k − p, c]  +=  A[o, k, c]          its adjoint

    few channels        y  = W · gather(x)        dx = scatter(Wᵀ · dy)        dw = dy · gather(x)ᵀ

At stride 1, y comes from x as dx from dy, with mirrored filters in the opposite direction (see `mirrored`), so few
filters are the same three sums with x and y exchanged. Several convolutions of one input share the product:
their taps are stacked as well. That is how ASPP computes the scores of DeepLab v2.

Role: loops. Extra memory: the columns A, as large as the smaller of x and y for each tap. NaN and inf reach exactly the
y and dx that read them; in dw, they meet the zeros of A. Equal bits for any number of threads.
"""

import math

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
from atrous.conv.taps import is_inside, output_reading, tap_position
from atrous.jit.compiler import compiled
from atrous.jit.threads import launch


@compiled()
def _gather(head, tail, xt, columns, depth, first, g):
    """Fill columns (N, OD, OH, OW, depth), from `first` on in each, for the rows of outputs head … tail."""
    for row in range(head, tail):
        oy, oz, n = row % g.oh, row // g.oh % g.od, row // (g.oh * g.od)
        for tap in range(g.kd * g.kh * g.kw):
            kx, ky, kz = tap % g.kw, tap // g.kw % g.kh, tap // (g.kw * g.kh)
            iz, iy = tap_position(oz, kz, g.sd, g.rd, g.pd), tap_position(oy, ky, g.sh, g.rh, g.ph)
            ox, count, ix = row_range(kx, g.sw, g.rw, g.pw, g.w, g.ow)
            if not (is_inside(iz, g.d) and is_inside(iy, g.h)):
                ox, count = np.uintp(0), np.uintp(0)
            at = np.uintp(row * g.ow * depth + first + tap * g.c)
            source = np.uintp((((n * g.d + iz) * g.h + iy) * g.w + ix) * g.c)
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
def _scatter(head, tail, columns, depth, first, x, last, after, g):
    """Sum columns (N, OD, OH, OW, depth), from `first` on in each, into the rows head … tail of x."""
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
            at = np.uintp((((n * g.od + oz) * g.oh + oy) * g.ow + ox) * depth + first + tap * g.c)
            target = np.uintp(ix * g.c)
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


def _stacked(g):
    return g.c * math.prod(g.kernel)


def gather(xs, geometries):
    """Return the columns (N, Σ taps·C, OD, OH, OW) of several inputs, channels last."""
    g, depth, first = geometries[0], sum(map(_stacked, geometries)), 0
    columns = aligned(g.n * math.prod(g.out) * depth, xs[0].dtype)
    for x, o in zip(xs, geometries, strict=True):
        launch(_gather, o.n * o.od * o.oh, channels_last(x, 0), columns, depth, first, o)
        first += _stacked(o)
    return as_map(columns, (g.n, depth, *g.out))


def scatter(columns, geometries, after=None, out=None):
    """Return [x (N, C, D, H, W), …] from columns with the channels last: the adjoint of `gather`."""
    depth, first, xs = columns.shape[1], 0, []
    for g in geometries:
        x = np.empty((g.n, g.c, *g.size), columns.dtype) if out is None else out
        launch(
            _scatter, g.n * g.d * g.h, flat_map(columns), depth, first, flat_map(x), is_channels_last(x),
            after or make_epilogue(g.c, x.dtype), g,
        )  # fmt: skip
        first += _stacked(g)
        xs.append(x)
    return xs


def _matrix(weights):
    """Return the filters (F, C, *K) of several convolutions as those of one 1×1 convolution, (F, Σ taps·C, 1, 1, 1)."""
    rows = [w.transpose(0, 2, 3, 4, 1).reshape(len(w), -1) for w in weights]
    return np.concatenate(rows, axis=1)[:, :, None, None, None]


def _filters(matrix, geometries):
    """Undo `_matrix`."""
    ends = np.cumsum([_stacked(g) for g in geometries])[:-1]
    parts = np.split(matrix[:, :, 0, 0, 0], ends, axis=1)
    return [p.reshape(-1, *g.kernel, g.c).transpose(0, 4, 1, 2, 3) for p, g in zip(parts, geometries, strict=True)]


def _mirror(w):
    """Return filters (F, C, *K) as those of the opposite direction, (C, F, *K)."""
    return w[:, :, ::-1, ::-1, ::-1].swapaxes(0, 1)


def _product(x, w, after=None, out=None):
    """Return w (F, C, 1, 1, 1) times x (N, C, *S)."""
    return implicit_gemm.forward(x, w, conv_geometry(x.shape, w.shape, padding=0), after, out)


def _adjoint(dy, w, geometries, after=None, out=None):
    """Return [dx, …] from the dy that several convolutions share; w is their `_matrix`, its first axes exchanged."""
    return scatter(
        _product(dy, w, None, empty_map((len(dy), w.shape[0], *dy.shape[2:]), dy.dtype)), geometries, after, out
    )


def _pairs(dy, xs, geometries):
    """Return [dw, …] of several convolutions that share dy."""
    columns = gather(xs, geometries)
    matrix = (dy.shape[1], columns.shape[1], 1, 1, 1)
    g = conv_geometry(columns.shape, matrix, padding=0)
    return _filters(implicit_gemm.backward_weight(dy, columns, g), geometries)


def _swapped(w):
    return np.ascontiguousarray(w.swapaxes(0, 1))


def _laid(w, *, mirror, swap):
    """Return the `_matrix` of filters as a Filter, made once if w is one."""

    def make(w):
        matrix = _matrix([_mirror(w) if mirror else w])
        return Filter(_swapped(matrix) if swap else matrix, {})

    return kept(w, (__name__, mirror, swap), make)


def forward(x, w, g, after=None, out=None):
    """Return y (N, F, OD, OH, OW) from x (N, C, D, H, W) and w (F, C, KD, KH, KW), like `implicit_gemm.forward`."""
    if by_channels(g):
        return _product(gather([x], [g]), _laid(w, mirror=False, swap=False), after, out)
    return _adjoint(x, _laid(w, mirror=True, swap=True), [mirrored(g)], after, out)[0]


def backward_input(dy, w, g):
    """Return dx (N, C, D, H, W)."""
    if by_channels(g):
        return _adjoint(dy, _laid(w, mirror=False, swap=True), [g])[0]
    return _product(gather([dy], [mirrored(g)]), _laid(w, mirror=True, swap=False))


def backward_weight(dy, x, g):
    """Return dw (F, C, KD, KH, KW)."""
    if by_channels(g):
        return np.ascontiguousarray(_pairs(dy, [x], [g])[0])
    return np.ascontiguousarray(_mirror(_pairs(x, [dy], [mirrored(g)])[0]))


def forward_all(x, weights, geometries):
    """Return [y, …] of several convolutions of one x (N, C, D, H, W), stride 1, with few filters each."""
    w = _swapped(_matrix([_mirror(w) for w in weights]))
    return _adjoint(x, w, [mirrored(g) for g in geometries])


def backward_input_all(dys, weights, geometries):
    """Return dx (N, C, D, H, W), the sum over the convolutions."""
    return _product(gather(dys, [mirrored(g) for g in geometries]), _matrix([_mirror(w) for w in weights]))


def backward_weight_all(dys, x, geometries):
    """Return [dw, …], each (F, C, KD, KH, KW)."""
    return [np.ascontiguousarray(_mirror(dw)) for dw in _pairs(x, dys, [mirrored(g) for g in geometries])]
