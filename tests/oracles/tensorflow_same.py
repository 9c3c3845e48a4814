"""TensorFlow's SAME by plain loops that share nothing with the package: list the windows, then visit each tap."""

import math

import numpy as np


def starts(n, kernel, stride, rate):
    """Return where the windows along an axis start; negative ones begin in the padding."""
    count = math.ceil(n / stride)
    missing = max((count - 1) * stride + rate * (kernel - 1) + 1 - n, 0)
    return [o * stride - missing // 2 for o in range(count)]


def _taps(o, at, kernel, rate, size):
    """Yield (tap, sample) for each tap of window o that is on a sample."""
    for k in np.ndindex(*kernel):
        i = tuple(at[a][o[a]] + rate[a] * k[a] for a in range(len(k)))
        if all(0 <= j < n for j, n in zip(i, size, strict=True)):
            yield k, i


def conv(x, w, b, stride, rate, groups):
    """Return the convolution of x (N, C, *S) with w (F, C/groups, *K); options have one number per axis."""
    size, kernel = x.shape[2:], w.shape[2:]
    at = [starts(*a) for a in zip(size, kernel, stride, rate, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *map(len, at)))
    for n, f, *o in np.ndindex(y.shape):
        first = f // (w.shape[0] // groups) * w.shape[1]
        y[n, f, *o] = b[f] + sum(
            x[n, first + c, *i] * w[f, c, *k] for c in range(w.shape[1]) for k, i in _taps(o, at, kernel, rate, size)
        )
    return y


def pool(x, kernel, stride, rate, kind):
    """Return the "max" or the "mean" of the samples under each window of x (N, C, *S)."""
    at = [starts(*a) for a in zip(x.shape[2:], kernel, stride, rate, strict=True)]
    y = np.empty((*x.shape[:2], *map(len, at)))
    for n, c, *o in np.ndindex(y.shape):
        found = [x[n, c, *i] for _, i in _taps(o, at, kernel, rate, x.shape[2:])]
        y[n, c, *o] = max(found) if kind == "max" else sum(found) / len(found)
    return y
