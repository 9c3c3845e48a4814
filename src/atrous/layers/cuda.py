"""Layers on a GPU, for inference: epilogues of convolutions, pooling, resizing, softmax and joining branches.

The kernels are simple: one thread computes one number of the result (softmax: one sample; `_place`: one copied number),
and all data goes through global memory. Faster kernels will be tested against them. Windows and taps are those of
`pool` and `resize`. There are no atomic additions, so repeated runs give equal bits.

Role: CUDA. Takes device arrays (N, C, H, W), unchecked, and returns new ones. NaN spreads as in the layers on the CPU.
"""

import math

import numpy as np
from numba import cuda

from atrous.conv.activations import activated, curve_of
from atrous.conv.taps import is_inside, tap_position
from atrous.jit.gpu import grid
from atrous.layers.pool import counts_padding, pool_windows
from atrous.layers.resize import sample_positions


@cuda.jit(device=True)
def _index(i, shape):
    """Return the index (n, c, y, x) of element i of an array."""
    _, channels, height, width = shape
    plane = i // (height * width)
    return plane // channels, plane % channels, i // width % height, i % width


@cuda.jit(device=True)
def _larger(a, b):
    """Return the larger of two numbers, NaN if one is NaN."""
    return a if a > b or a != a else b  # noqa: PLR0124


@cuda.jit
def _fold(gamma, beta, mean, var, eps, bias, scale, shift):
    """Compute scale and shift in float64, as `fold_batch_norm` does, then add scale times the convolution's bias."""
    c = cuda.grid(1)
    if c >= scale.size:
        return
    a = np.float64(gamma[c]) / math.sqrt(np.float64(var[c]) + eps)
    scale[c] = a
    shift[c] = np.float64(beta[c]) - np.float64(mean[c]) * a
    shift[c] += scale[c] * bias[c]


@cuda.jit
def _epilogue(x, scale, shift, add, has_add, curve, y):
    i = cuda.grid(1)
    if i >= y.size:
        return
    at = _index(i, y.shape)
    v = x[at] * scale[at[1]] + shift[at[1]]
    if has_add:
        v += add[at]
    y[at] = activated(v, curve)


@cuda.jit
def _max_pool(x, rows, columns, y):
    i = cuda.grid(1)
    if i >= y.size:
        return
    n, c, oy, ox = _index(i, y.shape)
    top = y.dtype.type(-math.inf)
    for ky in range(rows.kernel):
        iy = tap_position(oy, ky, rows.stride, rows.rate, rows.padding)
        for kx in range(columns.kernel):
            ix = tap_position(ox, kx, columns.stride, columns.rate, columns.padding)
            if is_inside(iy, rows.size) and is_inside(ix, columns.size):
                top = _larger(top, x[n, c, iy, ix])
    y[n, c, oy, ox] = top


@cuda.jit
def _average_pool(x, rows, columns, count_padding, y):
    """Divide by the number of taps inside the padded input, or on samples."""
    i = cuda.grid(1)
    if i >= y.size:
        return
    n, c, oy, ox = _index(i, y.shape)
    total, count = y.dtype.type(0), y.dtype.type(0)
    for ky in range(rows.kernel):
        iy = tap_position(oy, ky, rows.stride, rows.rate, rows.padding)
        for kx in range(columns.kernel):
            ix = tap_position(ox, kx, columns.stride, columns.rate, columns.padding)
            inside = is_inside(iy, rows.size) and is_inside(ix, columns.size)
            if inside:
                total += x[n, c, iy, ix]
            if inside or (count_padding and iy < rows.size + rows.after and ix < columns.size + columns.after):
                count += y.dtype.type(1)
    y[n, c, oy, ox] = total / count


@cuda.jit
def _global_average(x, y):
    """Sum in float64, as the CPU does."""
    i = cuda.grid(1)
    if i >= y.size:
        return
    n, c, _, _ = _index(i, y.shape)
    total = np.float64(0)
    for iy in range(x.shape[2]):
        for ix in range(x.shape[3]):
            total += np.float64(x[n, c, iy, ix])
    y[n, c, 0, 0] = total / np.float64(x.shape[2] * x.shape[3])


@cuda.jit
def _resize(x, rows, row_weights, columns, column_weights, y):
    """Interpolate between two rows, then between two columns; samples of weight 0 are not read."""
    i = cuda.grid(1)
    if i >= y.size:
        return
    n, c, oy, ox = _index(i, y.shape)
    total = y.dtype.type(0)
    for kx in range(2):
        if column_weights[ox, kx] > 0:
            value = y.dtype.type(0)
            for ky in range(2):
                if row_weights[oy, ky] > 0:
                    value += x[n, c, rows[oy] + ky, columns[ox] + kx] * row_weights[oy, ky]
            total += value * column_weights[ox, kx]
    y[n, c, oy, ox] = total


@cuda.jit
def _sigmoid(x, y):
    i = cuda.grid(1)
    if i < y.size:
        at = _index(i, y.shape)
        t = math.exp(-abs(x[at]))
        y[at] = (t if x[at] < 0 else y.dtype.type(1)) / (y.dtype.type(1) + t)


@cuda.jit
def _hard_sigmoid(x, y):
    i = cuda.grid(1)
    if i < y.size:
        at = _index(i, y.shape)
        v = x[at] / y.dtype.type(6) + y.dtype.type(0.5)
        v = y.dtype.type(0) if v < 0 else v
        y[at] = y.dtype.type(1) if v > 1 else v


@cuda.jit
def _multiply(x, numbers, y):
    i = cuda.grid(1)
    if i < y.size:
        n, c, iy, ix = _index(i, y.shape)
        y[n, c, iy, ix] = x[n, c, iy, ix] * numbers[n, c, 0, 0]


@cuda.jit
def _softmax(x, y):
    """One thread per sample loops over its channels."""
    i = cuda.grid(1)
    height, width = x.shape[2], x.shape[3]
    if i >= x.shape[0] * height * width:
        return
    n, iy, ix = i // (height * width), i // width % height, i % width
    top = x[n, 0, iy, ix]
    for c in range(1, x.shape[1]):
        top = _larger(top, x[n, c, iy, ix])
    total = y.dtype.type(0)
    for c in range(x.shape[1]):
        y[n, c, iy, ix] = math.exp(x[n, c, iy, ix] - top)
        total += y[n, c, iy, ix]
    for c in range(x.shape[1]):
        y[n, c, iy, ix] /= total


@cuda.jit
def _maximum(a, b, y):
    i = cuda.grid(1)
    if i < y.size:
        at = _index(i, y.shape)
        y[at] = _larger(a[at], b[at])


@cuda.jit
def _place(x, first, y):
    """Copy x into the channels of y from `first` on."""
    i = cuda.grid(1)
    if i < x.size:
        n, c, iy, ix = _index(i, x.shape)
        y[n, first + c, iy, ix] = x[n, c, iy, ix]


@cuda.jit
def _take(x, stride, y):
    i = cuda.grid(1)
    if i < y.size:
        n, c, oy, ox = _index(i, y.shape)
        y[n, c, oy, ox] = x[n, c, stride * oy, stride * ox]


def _made(kernel, shape, like, *arguments):
    """Run a kernel with one thread per element of a new device array, its last argument; return this array."""
    y = cuda.device_array(shape, like.dtype)
    kernel[grid(y.size)](*arguments, y)
    return y


def _numbers(count, value, like):
    return cuda.to_device(np.full(count, value, like.dtype))


def fold_batch_norm(gamma, beta, mean, var, eps, bias=None):
    """Return (scale, shift) of batch norm after a convolution with this bias."""
    bias = _numbers(gamma.size, 0, gamma) if bias is None else bias
    scale, shift = (cuda.device_array(gamma.shape, gamma.dtype) for _ in range(2))
    _fold[grid(gamma.size)](gamma, beta, mean, var, eps, bias, scale, shift)
    return scale, shift


def epilogue(x, scale=None, shift=None, *, add=None, activation=None):
    """Return f(scale·x + shift + add), f one of `activations`; scale defaults to 1 and shift to 0."""
    scale = _numbers(x.shape[1], 1, x) if scale is None else scale
    shift = _numbers(x.shape[1], 0, x) if shift is None else shift
    other, curve = x if add is None else add, curve_of(activation, x.dtype)
    return _made(_epilogue, x.shape, x, x, scale, shift, other, add is not None, curve)


def _pool(kernel, x, options, *arguments):
    windows = pool_windows("pool", x.shape[2:], *options)
    return _made(kernel, (*x.shape[:2], *(w.out for w in windows)), x, x, *windows, *arguments)


def max_pool(x, kernel, *, stride=1, rate=1, padding=0, size_rule="floor"):
    """Return the largest sample of each window."""
    return _pool(_max_pool, x, (kernel, stride, rate, padding, size_rule))


def average_pool(x, kernel, *, stride=1, rate=1, padding=0, size_rule="floor"):
    """Return the mean of each window, which counts the padding where `average_pool_forward` does by default."""
    counts = counts_padding(None, padding)
    return _pool(_average_pool, x, (kernel, stride, rate, padding, size_rule), counts)


def global_average(x):
    """Return the mean of each channel, (N, C, 1, 1)."""
    return _made(_global_average, (*x.shape[:2], 1, 1), x, x)


def _taps(samples, outputs, align_corners, dtype):
    """Return, for each output, the first sample that it reads and the weights of this sample and the next."""
    i, remainder, divisor = sample_positions(samples, outputs, align_corners)
    t = remainder / divisor
    return cuda.to_device(i), cuda.to_device(np.stack([1 - t, t], 1).astype(dtype))


def resize_bilinear(x, size, *, align_corners=True):
    """Return x resized bilinearly."""
    axes = (_taps(n, o, align_corners, x.dtype) for n, o in zip(x.shape[2:], size, strict=True))
    return _made(_resize, (*x.shape[:2], *size), x, x, *(array for axis in axes for array in axis))


def sigmoid(x):
    """Return 1 / (1 + exp(−x))."""
    return _made(_sigmoid, x.shape, x, x)


def hard_sigmoid(x):
    """Return x/6 + 1/2, at least 0 and at most 1."""
    return _made(_hard_sigmoid, x.shape, x, x)


def multiply(x, numbers):
    """Return x times one number for each image and channel, (N, C, 1, 1)."""
    return _made(_multiply, x.shape, x, x, numbers)


def softmax(x):
    """Return exp(x) / Σ exp(x), the sum over the channels."""
    y = cuda.device_array(x.shape, x.dtype)
    _softmax[grid(x.size // x.shape[1])](x, y)
    return y


def add(a, b):
    """Return a + b."""
    return epilogue(a, add=b)


def maximum(a, b):
    """Return the element-wise maximum, NaN where either is NaN."""
    return _made(_maximum, a.shape, a, a, b)


def concatenate(arrays):
    """Return the arrays concatenated along the channels."""
    n, _, *size = arrays[0].shape
    y = cuda.device_array((n, sum(a.shape[1] for a in arrays), *size), arrays[0].dtype)
    first = 0
    for a in arrays:
        _place[grid(a.size)](a, first, y)
        first += a.shape[1]
    return y


def take(x, size, stride=1):
    """Return `size` rows and columns of x, `stride` apart; stride 0 repeats the first one."""
    return _made(_take, (*x.shape[:2], *size), x, x, stride)
