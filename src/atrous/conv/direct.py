"""Loops that own the output: every plane of y and dx, every entry of dw, is summed by one thread, with no buffer.

The loops gather. A plane of y collects the lines of x under its taps, a plane of dx the lines of dy that read it; each
entry of dw is one sum. Nothing is scattered between threads, so any number of them gives the same bits. The last axis
is walked line by line with unsigned indices, which spares Numba the test for negative ones and lets the compiler use
vector instructions.

Role: loops; index formulas from `taps`, the same as in `cuda`. NaN and inf reach exactly the outputs whose taps read
them.
Zeros around x are skipped, not multiplied.
Cost: 2·macs flops less those on zeros; extra memory none (dw: one line a thread).
"""

import numpy as np
from numba import njit

from atrous.conv.taps import end_output, first_output, is_inside, output_reading, tap_position
from atrous.jit.compiler import compiled
from atrous.jit.threads import launch


@njit
def _reach(k, s, r, p, n, out):
    """Return the first output whose tap k reads a sample, how many such outputs there are, and that sample."""
    a = first_output(k, s, r, p, out)
    count = end_output(k, s, r, p, n, out) - a
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
                    for kx in range(g.kw):
                        ox, count, ix = _reach(kx, g.sw, g.rw, g.pw, g.w, g.ow)
                        weight = w[f, cw, kz, ky, kx]
                        for oy in range(
                            first_output(ky, g.sh, g.rh, g.ph, g.oh), end_output(ky, g.sh, g.rh, g.ph, g.h, g.oh)
                        ):
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
                    for kx in range(g.kw):
                        ox, count, ix = _reach(kx, g.sw, g.rw, g.pw, g.w, g.ow)
                        weight = w[f, c % channels, kz, ky, kx]
                        for oy in range(
                            first_output(ky, g.sh, g.rh, g.ph, g.oh), end_output(ky, g.sh, g.rh, g.ph, g.h, g.oh)
                        ):
                            iy = tap_position(oy, ky, g.sh, g.rh, g.ph)
                            for j in range(count):
                                dx[n, c, iz, iy, ix + j * step] += weight * dy[n, f, oz, oy, ox + j]


@compiled()
def _backward_weight(head, tail, dy, x, dw, g):
    filters, channels, step = g.f // g.groups, g.c // g.groups, np.uintp(g.sw)
    for pair in range(head, tail):
        f, cw = pair // channels, pair % channels
        c = f // filters * channels + cw
        # One partial sum for each column: the additions of a line are then independent of each other.
        sums = np.empty(g.ow, dy.dtype)
        for kz in range(g.kd):
            for ky in range(g.kh):
                for kx in range(g.kw):
                    ox, count, ix = _reach(kx, g.sw, g.rw, g.pw, g.w, g.ow)
                    sums[:] = 0
                    for n in range(g.n):
                        for oz in range(g.od):
                            iz = tap_position(oz, kz, g.sd, g.rd, g.pd)
                            if not is_inside(iz, g.d):
                                continue
                            for oy in range(
                                first_output(ky, g.sh, g.rh, g.ph, g.oh), end_output(ky, g.sh, g.rh, g.ph, g.h, g.oh)
                            ):
                                iy = tap_position(oy, ky, g.sh, g.rh, g.ph)
                                for j in range(count):
                                    sums[j] += dy[n, f, oz, oy, ox + j] * x[n, c, iz, iy, ix + j * step]
                    total = sums.dtype.type(0)
                    for j in range(count):
                        total += sums[j]
                    dw[f, cw, kz, ky, kx] = total


def plain(a):
    """Return `a` C-contiguous and writeable, so that every kernel is compiled for one kind of array."""
    return np.require(a, requirements=("C", "W"))


def forward(x, w, g):
    """Return y (N, F, OD, OH, OW) from x (N, C, D, H, W) and w (F, C/groups, KD, KH, KW)."""
    y = np.empty((g.n, g.f, *g.out), x.dtype)
    launch(_forward, g.n * g.f * g.od, plain(x), plain(w), y, g)
    return y


def backward_input(dy, w, g):
    """Return dx (N, C, D, H, W)."""
    dx = np.empty((g.n, g.c, *g.size), dy.dtype)
    launch(_backward_input, g.n * g.c * g.d, plain(dy), plain(w), dx, g)
    return dx


def backward_weight(dy, x, g):
    """Return dw (F, C/groups, KD, KH, KW)."""
    dw = np.empty((g.f, g.c // g.groups, *g.kernel), dy.dtype)
    launch(_backward_weight, g.f * (g.c // g.groups), plain(dy), plain(x), dw, g)
    return dw
