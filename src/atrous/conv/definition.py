"""Atrous convolution as the papers write it: one loop in one dimension, the same loop in two dimensions.

    y[i] = Σ_k x[i + r·k] w[k]                       DeepLab v1 and v2, Equation (1)

The filter is not mirrored, the rate r is the distance between neighbouring taps, and r = 1 is ordinary convolution.
The rest of this folder adds channels, zeros around the input, strides and speed. Nothing else changes.

Role: definition. Start reading here.

References
----------
Chen et al., DeepLab v1, arXiv:1412.7062, and DeepLab v2, arXiv:1606.00915, Section 3.1.
"""

from __future__ import annotations

import numpy as np

from atrous._types import Array


def atrous_1d(x: Array, w: Array, rate: int = 1) -> Array:
    """Return y[i] = Σ_k x[i + rate·k]·w[k] for every output whose taps are all inside x.

    Examples
    --------
    >>> atrous_1d(np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 0, -1]), rate=2)
    array([-4.])
    """
    y = np.zeros(len(x) - rate * (len(w) - 1))
    for i in range(len(y)):
        for k in range(len(w)):
            y[i] += x[i + rate * k] * w[k]
    return y


def atrous_2d(x: Array, w: Array, rate: int = 1) -> Array:
    """Return y[i, j] = Σ_{p,q} x[i + rate·p, j + rate·q]·w[p, q] for every output whose taps are all inside x."""
    height, width = (n - rate * (k - 1) for n, k in zip(x.shape, w.shape, strict=True))
    y = np.zeros((height, width))
    for i, j in np.ndindex(height, width):
        for p, q in np.ndindex(w.shape):
            y[i, j] += x[i + rate * p, j + rate * q] * w[p, q]
    return y
