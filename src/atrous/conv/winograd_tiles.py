"""Which tiles of Winograd's algorithm cover the outputs of an atrous convolution, and what they cost.

A tile of F(m×m, 3×3) holds m × m outputs of one phase, r apart. Which m is best depends on the size of the phases: at r
= 12 on 41², phases have 3 or 4 outputs along each axis, and one tile of 4 × 4 covers each; at r = 6 on 33² they have 5
or 6, which takes two tiles of 3.

Role: geometry.
"""

import math

import numpy as np

from atrous.conv.geometry import in_plane
from atrous.conv.shift import reached

OUTPUTS = (2, 3, 4)


def fits(g):
    """Tell whether a convolution is one of Winograd's: 3×3 taps in the plane, stride 1, slices kept apart."""
    return g.kernel == (1, 3, 3) and in_plane(g)


def starts(out, rate, outputs):
    """Return the first output of each tile along an axis, phase by phase."""
    phases = range(min(rate, out))
    sizes = [(out - p + rate - 1) // rate for p in phases]
    found = [p + rate * t for p, size in zip(phases, sizes, strict=True) for t in range(0, size, outputs)]
    return np.array(found, np.int64)


def products(g, outputs):
    """Return how many products F(outputs×outputs, 3×3) needs for each pair of a channel and a filter."""
    tiles = g.n * g.od * len(starts(g.oh, g.rh, outputs)) * len(starts(g.ow, g.rw, outputs))
    return (outputs + 2) ** 2 * tiles


def best_outputs(g):
    """Return the tile with the fewest products, the smallest of those that tie."""
    return min(OUTPUTS, key=lambda outputs: (products(g, outputs), outputs))


def work(g):
    """Return an estimate of the multiply-adds, or the time of as many, that each pair of channel and filter costs.

    Fitted on a Zen 4 processor: transforming a tile takes as long as 250 multiply-adds for each of its channels and
    filters, transforming a filter 1900.
    """
    outputs = best_outputs(g)
    found, tiles = products(g, outputs), products(g, outputs) / (outputs + 2) ** 2
    return found + 250 * tiles * (g.groups / g.c + g.groups / g.f) + 1900


def ordinary_work(g):
    """Return the multiply-adds of each pair of channel and filter without those of taps on zeros."""
    read = (sum(o.stop - o.start for _, o, _ in reached(g, axis)) for axis in range(3))
    return g.n * math.prod(read)
