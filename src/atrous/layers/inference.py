"""Pools, gates and bilinear resizing in one compiled pass on all cores.

`pool` and `resize` show the ideas with NumPy, one axis and one tap at a time, which takes several passes over memory by
one core. Here each output is computed at once: in inference for all channels, which lie together, in training plane by
plane.

Role: loops. Equal to `max_pool_forward`, `global_average_forward` and `resize_bilinear` (the last two to rounding), NaN
included.
"""

import numpy as np

from atrous.conv.channels_last import channels_last, empty_map, flat_map
from atrous.conv.direct import plain
from atrous.jit.compiler import compiled
from atrous.jit.threads import MOVE, launch
from atrous.layers.pool import pool_windows
from atrous.layers.resize import first_taps

# Fewer channels than this are resized one by one.
TOGETHER = 32
# Channels that are averaged together: their sums stay in the nearest cache.
CHANNELS = 64
PIECES = 4


@compiled()
def _max_pool(head, tail, x, y, channels, down, across):
    c = np.uintp(channels)
    for row in range(head, tail):
        oy, image = row % down.out, row // down.out
        for ox in range(across.out):
            target, first = np.uintp((row * across.out + ox) * channels), True
            for ky in range(down.kernel):
                iy = down.stride * oy + down.rate * ky - down.padding
                for kx in range(across.kernel):
                    ix = across.stride * ox + across.rate * kx - across.padding
                    if not (0 <= iy < down.size and 0 <= ix < across.size):
                        continue
                    source = np.uintp(((image * down.size + iy) * across.size + ix) * channels)
                    if first:
                        for k in range(c):
                            y[target + k] = x[source + k]
                        first = False
                        continue
                    for k in range(c):
                        u, v = x[source + k], y[target + k]
                        y[target + k] = u if u > v or u != u else v  # noqa: PLR0124


def max_pool(x, kernel, *, stride, rate, padding, size_rule, empty=empty_map):
    """Return `max_pool_forward` of x (N, C, H, W) with the channels last, in memory that `empty` returns."""
    down, across = pool_windows("max_pool", x.shape[2:], kernel, stride, rate, padding, size_rule)
    y = empty((*x.shape[:2], down.out, across.out), x.dtype)
    launch(
        _max_pool, len(x) * down.out, channels_last(x, 0), flat_map(y), x.shape[1], down, across, pieces=PIECES,
        work=MOVE * x.size,
    )  # fmt: skip
    return y


@compiled()
def _average(head, tail, x, y, channels, samples):
    """Write the means of blocks of channels, summed in float64 in the order of the samples."""
    blocks = -(-channels // CHANNELS)
    for item in range(head, tail):
        image, first = item // blocks, item % blocks * CHANNELS
        some = np.uintp(min(CHANNELS, channels - first))
        sums = np.zeros(CHANNELS, np.float64)
        for i in range(samples):
            at = np.uintp((image * samples + i) * channels + first)
            for k in range(some):
                sums[k] += x[at + k]
        for k in range(some):
            y[np.uintp(image * channels + first) + k] = sums[k] / samples


def global_average(x):
    """Return the mean of each channel of x (N, C, H, W), (N, C, 1, 1)."""
    n, c, h, w = x.shape
    y = np.empty((n, c, 1, 1), x.dtype)
    blocks = n * -(-c // CHANNELS)
    launch(_average, blocks, channels_last(x, 0), y.reshape(-1), c, h * w, pieces=PIECES, work=MOVE * x.size)
    return y


@compiled()
def _multiply(head, tail, x, numbers, y, channels, samples):
    c = np.uintp(channels)
    for i in range(head, tail):
        at, own = np.uintp(i * channels), np.uintp(i // samples * channels)
        for k in range(c):
            y[at + k] = x[at + k] * numbers[own + k]


def multiply(x, numbers, *, empty=empty_map):
    """Return x (N, C, H, W) times one number for each image and channel, with the channels last."""
    n, c, h, w = x.shape
    y = empty(x.shape, x.dtype)
    launch(
        _multiply, n * h * w, channels_last(x, 0), plain(numbers).reshape(-1), flat_map(y), c, h * w, pieces=PIECES,
        work=MOVE * x.size,
    )  # fmt: skip
    return y


@compiled()
def _resize(head, tail, x, y, h, w, channels, down, across):
    (iy, sy, ty), (ix, sx, tx) = down, across
    c, n = np.uintp(channels), np.uintp(w * channels)
    between = np.empty(w * channels, x.dtype)
    for row in range(head, tail):
        oy, image = row % iy.size, row // iy.size
        above = np.uintp((image * h + iy[oy]) * w * channels)
        s, t = sy[oy], ty[oy]
        if t == 0:
            for i in range(n):
                between[i] = x[above + i]
        else:
            for i in range(n):
                between[i] = x[above + i] * s + x[above + n + i] * t
        for ox in range(ix.size):
            source, target = np.uintp(ix[ox]) * c, np.uintp(row * ix.size + ox) * c
            s, t = sx[ox], tx[ox]
            if t == 0:
                for k in range(c):
                    y[target + k] = between[source + k]
            else:
                for k in range(c):
                    y[target + k] = between[source + k] * s + between[source + c + k] * t


@compiled()
def _resize_planes(head, tail, x, y, h, w, down, across):
    """Resize planes head … tail: first each row, then the outputs as weighted means of two resized rows."""
    (iy, sy, ty), (ix, sx, tx) = down, across
    wide = np.uintp(ix.size)
    rows = np.empty(h * ix.size, x.dtype)
    for plane in range(head, tail):
        for row in range(h):
            for ox in range(wide):
                at, t = np.uintp((plane * h + row) * w + ix[ox]), tx[ox]
                rows[np.uintp(row) * wide + ox] = x[at] * sx[ox] + x[at + np.uintp(1)] * t if t else x[at]
        for oy in range(iy.size):
            above, target, s, t = np.uintp(iy[oy]) * wide, np.uintp(plane * iy.size + oy) * wide, sy[oy], ty[oy]
            if t == 0:
                for ox in range(wide):
                    y[target + ox] = rows[above + ox]
            else:
                for ox in range(wide):
                    y[target + ox] = rows[above + ox] * s + rows[above + wide + ox] * t


def resize(x, size, align_corners, *, empty=empty_map, planes=False):
    """Return `resize_bilinear` of x (N, C, H, W); many channels lie last, in memory that `empty` returns.

    With `planes`, or few channels, each plane is resized by itself, and the layout does not change.
    """
    n, c, h, w = x.shape
    down, across = (first_taps(*axis, align_corners, x.dtype) for axis in zip((h, w), size, strict=True))
    if planes or c < TOGETHER:
        y, flat = np.empty((n, c, *size), x.dtype), plain(x).reshape(-1)
        launch(_resize_planes, n * c, flat, y.reshape(-1), h, w, down, across, work=MOVE * y.size)
        return y
    y = empty((n, c, *size), x.dtype)
    launch(
        _resize, n * size[0], channels_last(x, 0), flat_map(y), h, w, c, down, across, pieces=PIECES,
        work=MOVE * y.size,
    )  # fmt: skip
    return y
