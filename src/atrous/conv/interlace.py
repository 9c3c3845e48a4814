"""Sub-sample, convolve, interlace: at rate r the input splits into phases that have no sample in common.

Output o reads x̃[s·o + r·k] for k = 0, 1, …, so all its taps have the same remainder modulo r. Two outputs o and o + r'
read the same phase if s·r' is a multiple of r. The smallest such r' is r / gcd(r, s): this is how many phases there are
(r of them at stride 1). The outputs a, a + r', a + 2r', … read the phase x̃[s·a + r·j], j = 0, 1, …, and on it they are
an ordinary convolution with rate 1 and stride s / gcd(r, s). So:

    1. deinterlace: copy each phase a < r' of each axis into a small dense map;
    2. convolve all maps at once as one batch, with any method and the same filter;
    3. interlace: write the result of phase a to y[a::r'].

Phases that are one sample shorter are filled with zeros, and the result is cropped: the work grows to ⌈out / r'⌉·r'
positions per axis. For s = 1 the steps are TensorFlow's space_to_batch and batch_to_space; strides are added here.

Role: transformation. In y and dx, NaN and inf reach exactly what reads them, if this holds for the inner method. In dw,
a cropped output multiplies what it reads by zero, so a NaN in x can reach taps that no real output puts on it. Cost:
2·macs flops times the padded work; extra memory one padded copy, the phases and their outputs.

References
----------
DeepLab v2, arXiv:1606.00915, Section 3.1: "subsample the input feature map by a factor equal to the atrous
convolution rate r, deinterlacing it to produce r² reduced resolution maps"; stride > 1: the gcd rule derived above.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from atrous.conv import im2col
from atrous.conv.geometry import ConvGeometry, geometry
from atrous.conv.padding import padded, padded_adjoint


def phase_counts(g):
    """Return r' = rate / gcd(rate, stride) for each axis, but at most the output's length: the phases with outputs."""
    return tuple(min(r // math.gcd(r, s), o) for r, s, o in zip(g.rate, g.stride, g.out, strict=True))


def phase_geometry(g) -> ConvGeometry:
    """Return the geometry of the ordinary convolution of all phases, stacked in the batch."""
    counts = phase_counts(g)
    stride = tuple(s // math.gcd(r, s) for r, s in zip(g.rate, g.stride, strict=True))
    out = tuple(-(-o // count) for o, count in zip(g.out, counts, strict=True))
    size = tuple((o - 1) * s + k for o, s, k in zip(out, stride, g.kernel, strict=True))
    return geometry(
        g.n * math.prod(counts), g.c, g.f, g.groups,
        size=size, kernel=g.kernel, out=out, stride=stride, rate=(1, 1, 1), pad=(0, 0, 0),
    )  # fmt: skip


def padded_work(g):
    """Return how many positions the phases compute per position of the output, at least 1."""
    inner = phase_geometry(g)
    return inner.macs / g.macs


def _phase_view(x_pad, g, *, writeable=False):
    """View the padded x as its phases (C, *size, N, *counts): index j of phase a is sample s·a + r·j."""
    sn, sc, *space = x_pad.strides
    within = [r * step for r, step in zip(g.rate, space, strict=True)]
    across = [s * step for s, step in zip(g.stride, space, strict=True)]
    shape = (g.c, *phase_geometry(g).size, g.n, *phase_counts(g))
    return as_strided(x_pad, shape, (sc, *within, sn, *across), writeable=writeable)


def _phase_span(g):
    """Return the length of the padded x that contains every phase completely."""
    return tuple(
        s * (count - 1) + r * (size - 1) + 1
        for s, count, r, size in zip(g.stride, phase_counts(g), g.rate, phase_geometry(g).size, strict=True)
    )


def _as_batch(maps):
    """View (A, *size, N, *counts) as (N·phases, A, *size); the batch stays innermost, so columns are long runs."""
    return maps.reshape(*maps.shape[:4], -1).transpose(4, 0, 1, 2, 3)


def deinterlace(x, g):
    """Return the phases of x (N, C, D, H, W) as one batch (N·phases, C, *size of `phase_geometry`)."""
    return _as_batch(np.ascontiguousarray(_phase_view(padded(x, g.pad, _phase_span(g)), g)))


def deinterlace_adjoint(maps, g):
    """Return dx (N, C, D, H, W) from the gradients of the phases. No sample is in two phases, so adding is copying."""
    dx_pad = np.zeros((g.n, g.c, *_phase_span(g)), maps.dtype)
    view = _phase_view(dx_pad, g, writeable=True)
    view[...] = maps.transpose(1, 2, 3, 4, 0).reshape(view.shape)
    return padded_adjoint(dx_pad, g.pad, g.size)


def interlace(maps, g):
    """Return y (N, F, OD, OH, OW) from the outputs of all phases, cropped to the size of y."""
    counts, inner = phase_counts(g), phase_geometry(g)
    maps = maps.transpose(1, 2, 3, 4, 0).reshape(g.f, *inner.out, g.n, *counts)
    whole = tuple(o * count for o, count in zip(inner.out, counts, strict=True))
    y = maps.transpose(4, 0, 1, 5, 2, 6, 3, 7).reshape(g.n, g.f, *whole)
    return y[:, :, : g.od, : g.oh, : g.ow]


def interlace_adjoint(dy, g):
    """Return the gradients of all phases (N·phases, F, *out), with zeros for what `interlace` cropped."""
    counts, inner = phase_counts(g), phase_geometry(g)
    whole = tuple(o * count for o, count in zip(inner.out, counts, strict=True))
    split = [part for pair in zip(inner.out, counts, strict=True) for part in pair]
    maps = padded(dy, (0, 0, 0), whole).reshape(g.n, g.f, *split)
    return _as_batch(np.ascontiguousarray(maps.transpose(1, 2, 4, 6, 0, 3, 5, 7)))


def forward(x, w, g, inner=im2col):
    """Return y (N, F, OD, OH, OW); `inner` convolves the phases."""
    return interlace(inner.forward(deinterlace(x, g), w, phase_geometry(g)), g)


def backward_input(dy, w, g, inner=im2col):
    """Return dx (N, C, D, H, W)."""
    return deinterlace_adjoint(inner.backward_input(interlace_adjoint(dy, g), w, phase_geometry(g)), g)


def backward_weight(dy, x, g, inner=im2col):
    """Return dw (F, C/groups, KD, KH, KW): the phases are a batch, and dw sums over the batch."""
    return inner.backward_weight(interlace_adjoint(dy, g), deinterlace(x, g), phase_geometry(g))
