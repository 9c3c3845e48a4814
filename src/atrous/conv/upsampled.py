"""Upsample the filter: write its holes as zeros, then convolve as if the rate were 1.

    w̃[r·k] = w[k], 0 elsewhere          y = x ∗ w̃

This is what "à trous" (with holes) means literally, and the easiest way to see that an atrous convolution is an
ordinary one. It multiplies by every hole, which is r^d times the work, so nobody uses it in practice.

Role: transformation. A hole multiplies the sample under it by zero, so a NaN or inf in x also reaches outputs whose
taps skip it. With the other methods it does not.
Cost: 2·macs·r^d flops; extra memory as for `im2col` with k_e taps.

References
----------
Holschneider et al., 1989, the à trous algorithm; DeepLab v2, arXiv:1606.00915, Section 3.1: "upsample filters by
inserting zeros".
"""

import numpy as np

from atrous.conv import im2col


def _with_holes(g):
    """Return the geometry of the ordinary convolution with the upsampled filter."""
    kd, kh, kw = (r * (k - 1) + 1 for r, k in zip(g.rate, g.kernel, strict=True))
    return g._replace(kd=kd, kh=kh, kw=kw, rd=1, rh=1, rw=1)


def upsample(w, g):
    """Return w (F, C/groups, *K) with rate − 1 zeros between neighbouring taps."""
    wide = np.zeros((*w.shape[:2], *_with_holes(g).kernel), w.dtype)
    wide[:, :, :: g.rd, :: g.rh, :: g.rw] = w
    return wide


def forward(x, w, g):
    """Return y (N, F, OD, OH, OW)."""
    return im2col.forward(x, upsample(w, g), _with_holes(g))


def backward_input(dy, w, g):
    """Return dx (N, C, D, H, W)."""
    return im2col.backward_input(dy, upsample(w, g), _with_holes(g))


def backward_weight(dy, x, g):
    """Return dw (F, C/groups, KD, KH, KW): the gradient of the wide filter at its taps."""
    wide = im2col.backward_weight(dy, x, _with_holes(g))
    return np.ascontiguousarray(wide[:, :, :: g.rd, :: g.rh, :: g.rw])
