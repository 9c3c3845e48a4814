"""The loops of `direct` on a GPU: one thread per output, with the same formulas.

The CUDA kernels are plain: no shared memory, every tap read from global memory. They are the reference for faster CUDA
kernels. Each thread sums in the order of the loops below, so repeated runs give the same bits.

Role: CUDA. Host arrays are copied to the GPU and back, except in `forward_on_device`. NaN and inf reach exactly the
outputs whose taps read them.
"""

import numpy as np
from numba import cuda

from atrous.conv.taps import is_inside, output_reading, tap_position
from atrous.jit.gpu import grid


@cuda.jit
def _forward(x, w, y, g):
    i = cuda.grid(1)
    if i >= y.size:
        return
    ox, oy, oz = i % g.ow, i // g.ow % g.oh, i // (g.ow * g.oh) % g.od
    f = i // (g.ow * g.oh * g.od) % g.f
    n = i // (g.ow * g.oh * g.od * g.f)
    channels = g.c // g.groups
    first = f // (g.f // g.groups) * channels
    total = y.dtype.type(0)
    for c in range(channels):
        for kz in range(g.kd):
            iz = tap_position(oz, kz, g.sd, g.rd, g.pd)
            for ky in range(g.kh):
                iy = tap_position(oy, ky, g.sh, g.rh, g.ph)
                for kx in range(g.kw):
                    ix = tap_position(ox, kx, g.sw, g.rw, g.pw)
                    if is_inside(iz, g.d) and is_inside(iy, g.h) and is_inside(ix, g.w):
                        total += x[n, first + c, iz, iy, ix] * w[f, c, kz, ky, kx]
    y[n, f, oz, oy, ox] = total


@cuda.jit
def _backward_input(dy, w, dx, g):
    i = cuda.grid(1)
    if i >= dx.size:
        return
    ix, iy, iz = i % g.w, i // g.w % g.h, i // (g.w * g.h) % g.d
    c = i // (g.w * g.h * g.d) % g.c
    n = i // (g.w * g.h * g.d * g.c)
    channels, filters = g.c // g.groups, g.f // g.groups
    first = c // channels * filters
    total = dx.dtype.type(0)
    for f in range(first, first + filters):
        for kz in range(g.kd):
            oz = output_reading(iz, kz, g.sd, g.rd, g.pd, g.od)
            for ky in range(g.kh):
                oy = output_reading(iy, ky, g.sh, g.rh, g.ph, g.oh)
                for kx in range(g.kw):
                    ox = output_reading(ix, kx, g.sw, g.rw, g.pw, g.ow)
                    if oz >= 0 and oy >= 0 and ox >= 0:
                        total += dy[n, f, oz, oy, ox] * w[f, c % channels, kz, ky, kx]
    dx[n, c, iz, iy, ix] = total


@cuda.jit
def _backward_weight(dy, x, dw, g):
    i = cuda.grid(1)
    if i >= dw.size:
        return
    kx, ky, kz = i % g.kw, i // g.kw % g.kh, i // (g.kw * g.kh) % g.kd
    channels = g.c // g.groups
    c = i // (g.kw * g.kh * g.kd) % channels
    f = i // (g.kw * g.kh * g.kd * channels)
    source = f // (g.f // g.groups) * channels + c
    total = dw.dtype.type(0)
    for n in range(g.n):
        for oz in range(g.od):
            iz = tap_position(oz, kz, g.sd, g.rd, g.pd)
            for oy in range(g.oh):
                iy = tap_position(oy, ky, g.sh, g.rh, g.ph)
                for ox in range(g.ow):
                    ix = tap_position(ox, kx, g.sw, g.rw, g.pw)
                    if is_inside(iz, g.d) and is_inside(iy, g.h) and is_inside(ix, g.w):
                        total += dy[n, f, oz, oy, ox] * x[n, source, iz, iy, ix]
    dw[f, c, kz, ky, kx] = total


def _launch(kernel, a, b, shape, g):
    """Return a new device array, computed from two device arrays with one thread per element."""
    out = cuda.device_array(shape, a.dtype)
    kernel[grid(out.size)](a, b, out, g)
    return out


def _run(kernel, a, b, shape, g):
    """Copy two arrays to the device, launch, and copy the result back."""
    a, b = (cuda.to_device(np.ascontiguousarray(v)) for v in (a, b))
    return _launch(kernel, a, b, shape, g).copy_to_host()


def forward_on_device(x, w, g):
    """Return `forward` for C-contiguous device arrays, as a device array."""
    return _launch(_forward, x, w, (g.n, g.f, *g.out), g)


def backward_input_on_device(dy, w, g):
    """Return `backward_input` for C-contiguous device arrays, as a device array."""
    return _launch(_backward_input, dy, w, (g.n, g.c, *g.size), g)


def forward(x, w, g):
    """Return y (N, F, OD, OH, OW) from x (N, C, D, H, W) and w (F, C/groups, KD, KH, KW)."""
    return _run(_forward, x, w, (g.n, g.f, *g.out), g)


def backward_input(dy, w, g):
    """Return dx (N, C, D, H, W)."""
    return _run(_backward_input, dy, w, (g.n, g.c, *g.size), g)


def backward_weight(dy, x, g):
    """Return dw (F, C/groups, KD, KH, KW)."""
    return _run(_backward_weight, dy, x, (g.f, g.c // g.groups, *g.kernel), g)
