"""Loops that own their output: each plane of y and dx and each entry of dw is summed by one thread, without a buffer.

The loops gather. A plane of y collects the rows of x under its taps; a plane of dx collects the rows of dy that read
it; each entry of dw is one sum. No two threads write to the same place, so the result has the same bits for any number
of threads. They are Python threads rather than ``prange`` (see `jit.threads` for why).

The loops, from the outside in:

    plane          one (image, filter, depth) of y or (image, channel, depth) of dx: the unit of work of a thread
    cw or f        the channels of a filter, or the filters that read a channel
    kz, ky, kx     the taps
    oy             the rows of outputs at which tap ky is inside the input
    j              the outputs of a row at which tap kx is inside the input: unsigned, so that Numba needs no test for
                   negative indices and LLVM can use vector instructions

Role: loops; the index formulas are those of `taps`, shared with `cuda`. NaN and inf reach exactly the outputs whose
taps read them. Zeros around x are skipped, not multiplied. Cost: 2·macs flops less those on zeros; no extra memory (dw:
one row per thread).
"""

import numpy as np

from atrous.conv.taps import end_output, first_output, is_inside, output_reading, tap_position
from atrous.jit.compiler import compiled
from atrous.jit.numba_or_not import njit
from atrous.jit.threads import launch


@njit
def row_range(k, s, r, p, n, out):
    """Return the first output whose tap k is inside the input, the number of such outputs, and the first sample."""
    move = tap_position(0, k, s, r, p)
    a = first_output(move, s, out)
    count = end_output(move, s, n, out) - a
    if count <= 0:
        return np.uintp(0), np.uintp(0), np.uintp(0)
    return np.uintp(a), np.uintp(count), np.uintp(tap_position(a, k, s, r, p))


@compiled()
def _forward(head, tail, x, w, y, g):
    filters, channels, step = g.f // g.groups, g.c // g.groups, np.uintp(g.sw)
    for plane in range(head, tail):
        oz, f, n = plane % g.od, plane // g.od % g.f, plane // (g.od * g.f)
        y[n, f, oz] = 0
        for cw in range(channels):
            c = f // filters * channels + cw
            for kz in range(g.kd):
                iz = tap_position(oz, kz, g.sd, g.rd, g.pd)
                if not is_inside(iz, g.d):
                    continue
                for ky in range(g.kh):
                    move = tap_position(0, ky, g.sh, g.rh, g.ph)
                    for kx in range(g.kw):
                        ox, count, ix = row_range(kx, g.sw, g.rw, g.pw, g.w, g.ow)
                        weight = w[f, cw, kz, ky, kx]
                        for oy in range(first_output(move, g.sh, g.oh), end_output(move, g.sh, g.h, g.oh)):
                            iy = tap_position(oy, ky, g.sh, g.rh, g.ph)
                            for j in range(count):
                                y[n, f, oz, oy, ox + j] += weight * x[n, c, iz, iy, ix + j * step]


@compiled()
def _backward_input(head, tail, dy, w, dx, g):
    filters, channels, step = g.f // g.groups, g.c // g.groups, np.uintp(g.sw)
    for plane in range(head, tail):
        iz, c, n = plane % g.d, plane // g.d % g.c, plane // (g.d * g.c)
        dx[n, c, iz] = 0
        for f in range(c // channels * filters, (c // channels + 1) * filters):
            for kz in range(g.kd):
                oz = output_reading(iz, kz, g.sd, g.rd, g.pd, g.od)
                if oz < 0:
                    continue
                for ky in range(g.kh):
                    move = tap_position(0, ky, g.sh, g.rh, g.ph)
                    for kx in range(g.kw):
                        ox, count, ix = row_range(kx, g.sw, g.rw, g.pw, g.w, g.ow)
                        weight = w[f, c % channels, kz, ky, kx]
                        for oy in range(first_output(move, g.sh, g.oh), end_output(move, g.sh, g.h, g.oh)):
                            iy = tap_position(oy, ky, g.sh, g.rh, g.ph)
                            for j in range(count):
                                dx[n, c, iz, iy, ix + j * step] += weight * dy[n, f, oz, oy, ox + j]


@compiled()
def _backward_weight(head, tail, dy, x, dw, g):
    filters, channels, step = g.f // g.groups, g.c // g.groups, np.uintp(g.sw)
    for pair in range(head, tail):
        f, cw = pair // channels, pair % channels
        c = f // filters * channels + cw
        # One partial sum per column, so that the additions within a row are independent of each other.
        sums = np.empty(g.ow, dy.dtype)
        for kz in range(g.kd):
            for ky in range(g.kh):
                move = tap_position(0, ky, g.sh, g.rh, g.ph)
                for kx in range(g.kw):
                    ox, count, ix = row_range(kx, g.sw, g.rw, g.pw, g.w, g.ow)
                    sums[:] = 0
                    for n in range(g.n):
                        for oz in range(g.od):
                            iz = tap_position(oz, kz, g.sd, g.rd, g.pd)
                            if not is_inside(iz, g.d):
                                continue
                            for oy in range(first_output(move, g.sh, g.oh), end_output(move, g.sh, g.h, g.oh)):
                                iy = tap_position(oy, ky, g.sh, g.rh, g.ph)
                                for j in range(count):
                                    sums[j] += dy[n, f, oz, oy, ox + j] * x[n, c, iz, iy, ix + j * step]
                    total = sums.dtype.type(0)
                    for j in range(count):
                        total += sums[j]
                    dw[f, cw, kz, ky, kx] = total


def plain(a):
    """Return `a` C-contiguous and writeable, so that each function is compiled for one kind of array only."""
    return np.require(a, requirements=("C", "W"))


def forward(x, w, g):
    """Return y (N, F, OD, OH, OW) from x (N, C, D, H, W) and w (F, C/groups, KD, KH, KW)."""
    y = np.empty((g.n, g.f, *g.out), x.dtype)
    launch(_forward, g.n * g.f * g.od, plain(x), plain(w), y, g, work=g.macs)
    return y


def backward_input(dy, w, g):
    """Return dx (N, C, D, H, W)."""
    dx = np.empty((g.n, g.c, *g.size), dy.dtype)
    launch(_backward_input, g.n * g.c * g.d, plain(dy), plain(w), dx, g, work=g.macs)
    return dx


def backward_weight(dy, x, g):
    """Return dw (F, C/groups, KD, KH, KW)."""
    dw = np.empty((g.f, g.c // g.groups, *g.kernel), dy.dtype)
    launch(_backward_weight, g.f * (g.c // g.groups), plain(dy), plain(x), dw, g, work=g.macs)
    return dw
