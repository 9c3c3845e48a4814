"""A second opinion on pooling that shares nothing with the package: windows listed one by one, a loop over each."""

import numpy as np


def starts(n, kernel, stride, rate, padding, rule):
    """Return where the windows along an axis start, in samples; negative ones lie in the padding."""
    span, length = rate * (kernel - 1) + 1, n + 2 * padding
    if rule == "floor":
        return [a - padding for a in range(0, length - span + 1, stride)]
    found = [0]
    while found[-1] + span < length:
        found.append(found[-1] + stride)
    if (rule == "ceil" or padding > 0) and found[-1] >= n + padding:
        found.pop()
    return [a - padding for a in found]


def pool(x, dy, kernel, stride, rate, padding, rule, kind):
    """Return (y, dx) of pooling x (N, C, *S), options one per axis; dy None: dx of ones.

    kind: "max"; "padded", the mean over the taps up to the end of the padding; "samples", that over real samples.
    """
    at = [starts(*a, rule) for a in zip(x.shape[2:], kernel, stride, rate, padding, strict=True)]
    y = np.empty((*x.shape[:2], *map(len, at)))
    dy = np.ones_like(y) if dy is None else dy
    dx = np.zeros(x.shape)
    for o in np.ndindex(y.shape):
        real, within = [], 0
        for k in np.ndindex(*kernel):
            i = [at[a][o[2 + a]] + rate[a] * k[a] for a in range(len(k))]
            within += all(j < n + p for j, n, p in zip(i, x.shape[2:], padding, strict=True))
            if all(0 <= j < n for j, n in zip(i, x.shape[2:], strict=True)):
                real.append((*o[:2], *i))
        if kind == "max":
            best = real[0]
            for i in real[1:]:
                if x[i] > x[best]:
                    best = i
            y[o] = x[best]
            dx[best] += dy[o]
        else:
            divisor = within if kind == "padded" else len(real)
            y[o] = sum(x[i] for i in real) / divisor
            for i in real:
                dx[i] += dy[o] / divisor
    return y, dx
