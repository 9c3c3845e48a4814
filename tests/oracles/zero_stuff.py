"""A second opinion on atrous convolution that shares nothing with the package: SciPy on a filter stuffed with zeros."""

import numpy as np
from scipy import signal


def stuff(w, rate):
    """Return one filter (*K) with rate - 1 zeros between its taps."""
    wide = np.zeros([r * (k - 1) + 1 for k, r in zip(w.shape, rate, strict=True)])
    wide[tuple(slice(None, None, r) for r in rate)] = w
    return wide


def conv(x, w, b, rate, stride, pads, groups):
    """Return the convolution of x (N, C, *S) with w (F, C/groups, *K), one plane at a time."""
    n, channels = x.shape[:2]
    filters, per_group = w.shape[0] // groups, channels // groups
    padded = np.pad(x, [(0, 0), (0, 0), *pads])
    planes = []
    for i in range(n):
        for f in range(w.shape[0]):
            total = 0
            for c in range(per_group):
                image = padded[i, f // filters * per_group + c]
                total = total + signal.correlate(image, stuff(w[f, c], rate), mode="valid", method="direct")
            planes.append(total[tuple(slice(None, None, s) for s in stride)] + (0 if b is None else b[f]))
    return np.array(planes).reshape(n, w.shape[0], *planes[0].shape)
