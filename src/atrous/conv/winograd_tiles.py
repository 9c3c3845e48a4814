"""Which tiles of Winograd's algorithm cover the outputs of an atrous convolution, and how many products they need.

A tile of F(m×m, 3×3) holds m × m outputs of one phase, r apart. Which m is best depends on the size of the phases: at r
= 12 on 41², phases have 3 or 4 outputs along each axis, and one tile of 4 × 4 covers each; at r = 6 on 33² they have 5
or 6, which takes two tiles of 3.

Role: geometry.
"""

import numpy as np

from atrous.conv.geometry import in_plane

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
