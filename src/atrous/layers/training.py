"""The passes over feature maps that training repeats for every layer, compiled: activations, pools, norms, resizing.

`activation`, `hard_swish`, `pool`, `batch_norm` and `resize` show the ideas with NumPy, which reads and writes a map
once for each operation, on one core. Here all cores share a map, and each pass does all that can be done with a number
while it is in a register. Arguments, results and caches are the same, so either form of a pass goes with the other.

Role: loops. Equal to the NumPy forms; hard swish, batch norm and resizing to rounding. Equal bits for any number of
threads.
"""

import math

import numpy as np

from atrous import _check
from atrous.conv.activations import activated, curve_of
from atrous.conv.direct import plain
from atrous.conv.taps import taps_inside
from atrous.jit.compiler import compiled
from atrous.jit.threads import MOVE, launch
from atrous.layers import batch_norm, inference, pool, resize
from atrous.layers.activation import Relu6Cache, ReluCache
from atrous.layers.batch_norm import BatchNormCache, BatchNormGrads
from atrous.layers.hard_swish import HardSwishCache
from atrous.layers.pool import MaxPoolCache
from atrous.layers.resize import ResizeCache

BLOCK = 1 << 14  # elements that a thread takes at a time
SUMS = 16  # partial sums side by side, which fill the registers


def _flat(x):
    return plain(x).reshape(-1)


# ---- ReLU and its relatives


@compiled()
def _activate(head, tail, x, y, curve):
    for i in range(np.uintp(head * BLOCK), np.uintp(min(tail * BLOCK, x.size))):
        y[i] = activated(x[i], curve)


@compiled()
def _sum_relu(head, tail, a, b, y):
    for i in range(np.uintp(head * BLOCK), np.uintp(min(tail * BLOCK, y.size))):
        v = a[i] + b[i]
        y[i] = y.dtype.type(0) if v < 0 else v


@compiled()
def _relu_adjoint(head, tail, dy, y, dx):
    for i in range(np.uintp(head * BLOCK), np.uintp(min(tail * BLOCK, y.size))):
        dx[i] = y.dtype.type(0) if y[i] <= 0 else dy[i]


@compiled()
def _relu6_adjoint(head, tail, dy, y, dx):
    number = y.dtype.type
    for i in range(np.uintp(head * BLOCK), np.uintp(min(tail * BLOCK, y.size))):
        dx[i] = number(0) if y[i] <= 0 or y[i] >= 6 else dy[i]


@compiled()
def _hard_swish_adjoint(head, tail, dy, x, dx):
    number = x.dtype.type
    for i in range(np.uintp(head * BLOCK), np.uintp(min(tail * BLOCK, x.size))):
        between = dy[i] * (x[i] / number(3) + number(0.5))
        dx[i] = number(0) if x[i] <= -3 else dy[i] if x[i] >= 3 else between


def _activated(owner, kind, x):
    x = _check.float_array(owner, "x", x, batch=True)
    y = np.empty(x.shape, x.dtype)
    launch(_activate, -(-x.size // BLOCK), _flat(x), y.reshape(-1), curve_of(kind, x.dtype), work=MOVE * x.size)
    return x, y


def _through(kernel, dy, seen):
    dx = np.empty(seen.shape, seen.dtype)
    launch(kernel, -(-dx.size // BLOCK), _flat(dy), _flat(seen), dx.reshape(-1), work=MOVE * dx.size)
    return dx


def relu_forward(x):
    """Return (y, cache) as `activation.relu_forward` does."""
    _, y = _activated("relu_forward", "relu", x)
    return y, ReluCache(y)


def sum_relu(a, b):
    """Return max(a + b, 0) of two arrays of one dtype."""
    a, b = np.broadcast_arrays(a, b)
    y = np.empty(a.shape, a.dtype)
    launch(_sum_relu, -(-y.size // BLOCK), _flat(a), _flat(b), y.reshape(-1), work=MOVE * y.size)
    return y


def relu_backward(dy, cache):
    """Return dx as `activation.relu_backward` does."""
    (y,) = cache
    return _through(_relu_adjoint, _check.upstream("relu_backward", dy, y.shape, y), y)


def relu6_forward(x):
    """Return (y, cache) as `activation.relu6_forward` does."""
    _, y = _activated("relu6_forward", "relu6", x)
    return y, Relu6Cache(y)


def relu6_backward(dy, cache):
    """Return dx as `activation.relu6_backward` does."""
    (y,) = cache
    return _through(_relu6_adjoint, _check.upstream("relu6_backward", dy, y.shape, y), y)


def hard_swish_forward(x):
    """Return (y, cache) as `hard_swish.hard_swish_forward` does, y to rounding."""
    x, y = _activated("hard_swish_forward", "hard_swish", x)
    return y, HardSwishCache(x)


def hard_swish_backward(dy, cache):
    """Return dx as `hard_swish.hard_swish_backward` does."""
    (x,) = cache
    return _through(_hard_swish_adjoint, _check.upstream("hard_swish_backward", dy, x.shape, x), x)


# ---- max pool


@compiled()
def _max_pool(head, tail, x, y, down, across):
    """Write planes head … tail of y: first the largest of each column of a window, then the largest of those."""
    columns = np.empty(across.size, x.dtype)
    for plane in range(head, tail):
        for oy in range(down.out):
            iy = down.stride * oy - down.padding
            top, bottom = taps_inside(iy, down.rate, down.kernel, down.size)
            for ky in range(top, bottom):
                start = np.uintp((plane * down.size + iy + ky * down.rate) * across.size)
                for ix in range(np.uintp(across.size)):
                    u, v = x[start + ix], columns[ix]
                    columns[ix] = u if ky == top or u > v or u != u else v  # noqa: PLR0124
            for ox in range(across.out):
                ix = across.stride * ox - across.padding
                left, right = taps_inside(ix, across.rate, across.kernel, across.size)
                largest = columns[np.uintp(ix + left * across.rate)]
                for kx in range(left + 1, right):
                    u = columns[np.uintp(ix + kx * across.rate)]
                    largest = u if u > largest or u != u else largest  # noqa: PLR0124
                y[np.uintp((plane * down.out + oy) * across.out + ox)] = largest


@compiled()
def _max_pool_adjoint(head, tail, dy, x, y, dx, down, across):
    for plane in range(head, tail):
        start, size = plane * down.size * across.size, down.size * across.size
        dx[start : start + size] = 0
        for oy in range(down.out):
            iy = down.stride * oy - down.padding
            top, bottom = taps_inside(iy, down.rate, down.kernel, down.size)
            for ox in range(across.out):
                ix = across.stride * ox - across.padding
                left, right = taps_inside(ix, across.rate, across.kernel, across.size)
                o = np.uintp((plane * down.out + oy) * across.out + ox)
                largest, waiting = y[o], True
                for ky in range(top, bottom):
                    row = start + (iy + ky * down.rate) * across.size + ix
                    for kx in range(left, right):
                        i = np.uintp(row + kx * across.rate)
                        if x[i] == largest or x[i] != x[i]:
                            dx[i] += dy[o]
                            waiting = False
                            break
                    if not waiting:
                        break


def max_pool_forward(x, kernel, *, stride=1, rate=1, padding=0, size_rule="floor"):
    """Return (y, cache) as `pool.max_pool_forward` does, for two spatial axes."""
    x = _check.float_array("max_pool_forward", "x", x, batch=True)
    windows = pool.pool_windows("max_pool_forward", x.shape[2:], kernel, stride, rate, padding, size_rule)
    y = np.empty((*x.shape[:2], *(w.out for w in windows)), x.dtype)
    launch(_max_pool, x.shape[0] * x.shape[1], _flat(x), y.reshape(-1), *windows, work=MOVE * x.size)
    return y, MaxPoolCache(x, y, windows)


def max_pool_backward(dy, cache):
    """Return dx as `pool.max_pool_backward` does."""
    x, y, windows = cache
    dy = _check.upstream("max_pool_backward", dy, y.shape, x)
    dx = np.empty(x.shape, x.dtype)
    planes = x.shape[0] * x.shape[1]
    launch(_max_pool_adjoint, planes, _flat(dy), _flat(x), _flat(y), dx.reshape(-1), *windows, work=MOVE * x.size)
    return dx


# ---- batch norm


@compiled()
def _normalise(head, tail, x, y, images, channels, size, gamma, beta, old, momentum, eps, mean, inverse, running):
    """Normalise channels head … tail, and write their statistics, summed in float64."""
    sums = np.empty(SUMS, np.float64)
    for c in range(head, tail):
        for second in range(2):
            sums[:] = 0
            centre = mean[c] if second else 0.0
            for n in range(images):
                start = (n * channels + c) * size
                whole = size - size % SUMS
                for i in range(start, start + whole, SUMS):
                    for k in range(SUMS):
                        d = x[np.uintp(i + k)] - centre
                        sums[k] += d * d if second else d
                for i in range(start + whole, start + size):
                    d = x[i] - centre
                    sums[0] += d * d if second else d
            found = sums.sum() / (images * size)
            if second:
                inverse[c] = 1 / math.sqrt(found + eps)
                found *= images * size / (images * size - 1)
            else:
                mean[c] = found
            running[second, c] = (1 - momentum) * old[second][c] + momentum * found
        scale = gamma[c] * inverse[c]
        s, t = x.dtype.type(scale), x.dtype.type(beta[c] - mean[c] * scale)
        for n in range(images):
            start = np.uintp((n * channels + c) * size)
            for i in range(start, start + np.uintp(size)):
                y[i] = x[i] * s + t


@compiled()
def _scaled(head, tail, x, y, channels, size, scale, shift):
    for plane in range(head, tail):
        s, t = scale[plane % channels], shift[plane % channels]
        for i in range(np.uintp(plane * size), np.uintp(plane * size + size)):
            y[i] = x[i] * s + t


@compiled()
def _norm_adjoint(head, tail, dy, x, dx, images, channels, size, gamma, mean, inverse, from_batch, dgamma, dbeta):
    """Write dγ, dβ and dx of channels head … tail."""
    products, sums, number = np.empty(SUMS, np.float64), np.empty(SUMS, np.float64), x.dtype.type
    for c in range(head, tail):
        products[:], sums[:] = 0, 0
        m, r = number(mean[c]), number(inverse[c])
        for n in range(images):
            start, whole = (n * channels + c) * size, size - size % SUMS
            for i in range(start, start + whole, SUMS):
                for k in range(SUMS):
                    d = dy[np.uintp(i + k)]
                    products[k] += d * ((x[np.uintp(i + k)] - m) * r)
                    sums[k] += d
            for i in range(start + whole, start + size):
                products[0] += dy[i] * ((x[i] - m) * r)
                sums[0] += dy[i]
        of_gamma, of_beta, count = products.sum(), sums.sum(), images * size
        dgamma[c], dbeta[c] = of_gamma, of_beta
        s, by_x, by_one = number(gamma[c] * inverse[c]), number(of_gamma / count) * r, number(of_beta / count)
        for n in range(images):
            start = (n * channels + c) * size
            if from_batch:
                for i in range(np.uintp(start), np.uintp(start + size)):
                    dx[i] = (dy[i] - by_one - (x[i] - m) * by_x) * s
            else:
                for i in range(np.uintp(start), np.uintp(start + size)):
                    dx[i] = dy[i] * s


def batch_norm_forward(x, gamma, beta, mean, var, *, mode, momentum=0.1, eps=1e-5):
    """Return (y, cache, running statistics) as `batch_norm.batch_norm_forward` does, of arrays that fit each other."""
    if mode == "train" and not (eps and x.size):
        # A variance of 0 is then an error, and so is an empty batch.
        return batch_norm.batch_norm_forward(x, gamma, beta, mean, var, mode=mode, momentum=momentum, eps=eps)
    if mode != "train":
        with np.errstate(invalid="ignore", over="ignore"):
            inverse = batch_norm.inverse_deviation("batch_norm_forward", var, eps)
            scale, shift = batch_norm.scale_and_shift(gamma, beta, mean, inverse)
        return _scale(x, scale, shift), BatchNormCache(x, gamma, mean, inverse, mode), (mean, var)
    n, channels, size = *x.shape[:2], math.prod(x.shape[2:])
    y, (used, inverse), running = np.empty(x.shape, x.dtype), np.empty((2, channels)), np.empty((2, channels), x.dtype)
    launch(
        _normalise, channels, _flat(x), y.reshape(-1), n, channels, size, plain(gamma), plain(beta),
        (plain(mean), plain(var)), momentum, eps, used, inverse, running, work=2 * MOVE * x.size,
    )  # fmt: skip
    return y, BatchNormCache(x, gamma, used, inverse, mode), (running[0], running[1])


def _scale(x, scale, shift):
    y = np.empty(x.shape, x.dtype)
    launch(
        _scaled, x.shape[0] * x.shape[1], _flat(x), y.reshape(-1), x.shape[1], math.prod(x.shape[2:]), scale, shift,
        work=MOVE * x.size,
    )  # fmt: skip
    return y


def batch_norm_backward(dy, cache):
    """Return BatchNormGrads as `batch_norm.batch_norm_backward` does."""
    x, gamma, mean, inverse, mode = cache
    dy = _check.upstream("batch_norm_backward", dy, x.shape, x)
    if mode == "frozen":
        scale = (gamma * inverse).astype(x.dtype)
        return BatchNormGrads(_scale(dy, scale, np.zeros_like(scale)), None, None)
    dx, channels = np.empty(x.shape, x.dtype), x.shape[1]
    dgamma, dbeta = np.empty((2, channels), x.dtype)
    launch(
        _norm_adjoint, channels, _flat(dy), _flat(x), dx.reshape(-1), len(x), channels, math.prod(x.shape[2:]),
        plain(gamma),
        mean.astype(np.float64, copy=False), inverse, mode == "train", dgamma, dbeta, work=MOVE * x.size,
    )  # fmt: skip
    return BatchNormGrads(dx, dgamma, dbeta)


# ---- bilinear resizing


@compiled()
def _enlarge_adjoint(head, tail, dy, dx, h, w, down, across):
    (iy, sy, ty), (ix, sx, tx) = down, across
    wide = np.uintp(ix.size)
    rows = np.empty(h * ix.size, dy.dtype)
    for plane in range(head, tail):
        rows[:] = 0
        for oy in range(iy.size):
            source, above, s, t = np.uintp(plane * iy.size + oy) * wide, np.uintp(iy[oy]) * wide, sy[oy], ty[oy]
            for ox in range(wide):
                rows[above + ox] += dy[source + ox] * s
            if t:
                for ox in range(wide):
                    rows[above + wide + ox] += dy[source + ox] * t
        dx[plane * h * w : (plane + 1) * h * w] = 0
        for row in range(h):
            for ox in range(wide):
                at, d, t = np.uintp((plane * h + row) * w + ix[ox]), rows[np.uintp(row) * wide + ox], tx[ox]
                dx[at] += d * sx[ox]
                if t:
                    dx[at + np.uintp(1)] += d * t


def bilinear_forward(x, size, *, align_corners=True):
    """Return (y, cache) as `resize.bilinear_forward` does, for x (N, C, H, W)."""
    x = _check.float_array("bilinear_forward", "x", x, batch=True)
    size = resize.checked_size("bilinear_forward", x, size)
    return inference.resize(x, size, align_corners, planes=True), ResizeCache(x.shape, size, align_corners, x.dtype)


def bilinear_backward(dy, cache):
    """Return dx as `resize.bilinear_backward` does."""
    shape, size, align_corners, dtype = cache
    dy = _check.upstream("bilinear_backward", dy, (*shape[:-2], *size), cache)
    dx = np.empty(shape, dtype)
    down, across = (resize.first_taps(*axis, align_corners, dtype) for axis in zip(shape[-2:], size, strict=True))
    launch(
        _enlarge_adjoint, math.prod(shape[:-2]), _flat(dy), dx.reshape(-1), *shape[-2:], down, across,
        work=MOVE * dy.size,
    )  # fmt: skip
    return dx
