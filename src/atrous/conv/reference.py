"""The definition with channels, groups, zeros and strides: slide a sparse window, multiply and add.

    y[n, f, o] = Σ_{c, k} x̃[n, c, s·o + r·k] · w[f, c, k]            x̃ is x with its zeros

There is one loop over output positions o. The slice ``x̃[s·o : s·o + k_e : r]`` has the samples under the taps. The
three functions differ only in which of window, filter and output is computed from the other two. Every other method is
compared with this one.

Role: definition. float32 stays float32. NaN and inf reach exactly the outputs whose taps read them.
Cost: 2·macs flops in a Python loop over positions; extra memory one padded copy.

References
----------
DeepLab v2, arXiv:1606.00915, Section 3.1, Equation (1), extended to several axes and channels.
"""

import numpy as np

from atrous.conv.padding import padded, padded_adjoint


def _windows(g):
    """Yield each output position and the slices of the padded input that its taps read."""
    for o in np.ndindex(g.out):
        starts = [i * s for i, s in zip(o, g.stride, strict=True)]
        yield (
            o,
            tuple(
                slice(start, start + r * (k - 1) + 1, r) for start, r, k in zip(starts, g.rate, g.kernel, strict=True)
            ),
        )


def forward(x, w, g):
    """Return y (N, F, OD, OH, OW) from x (N, C, D, H, W) and w (F, C/groups, KD, KH, KW)."""
    x_pad, w = padded(x, g.pad, g.span), w.reshape(g.groups, g.f // g.groups, -1)
    y = np.empty((g.n, g.f, *g.out), x.dtype)
    for o, window in _windows(g):
        under = x_pad[:, :, *window].reshape(g.n, g.groups, -1)
        y[:, :, *o] = np.einsum("ngk,gfk->ngf", under, w).reshape(g.n, g.f)
    return y


def backward_input(dy, w, g):
    """Return dx (N, C, D, H, W): every output passes its gradient back to the samples under its taps."""
    dx_pad, w = np.zeros((g.n, g.c, *g.span), dy.dtype), w.reshape(g.groups, g.f // g.groups, -1)
    for o, window in _windows(g):
        at_output = dy[:, :, *o].reshape(g.n, g.groups, -1)
        dx_pad[:, :, *window] += np.einsum("ngf,gfk->ngk", at_output, w).reshape(g.n, g.c, *g.kernel)
    return padded_adjoint(dx_pad, g.pad, g.size)


def backward_weight(dy, x, g):
    """Return dw (F, C/groups, KD, KH, KW): every output adds its gradient times the samples under its taps."""
    x_pad = padded(x, g.pad, g.span)
    dw = np.zeros((g.groups, g.f // g.groups, g.c // g.groups * g.kd * g.kh * g.kw), dy.dtype)
    for o, window in _windows(g):
        at_output = dy[:, :, *o].reshape(g.n, g.groups, -1)
        under = x_pad[:, :, *window].reshape(g.n, g.groups, -1)
        dw += np.einsum("ngf,ngk->gfk", at_output, under)
    return dw.reshape(g.f, g.c // g.groups, *g.kernel)
