"""What a convolution costs by each method: the estimate by which ``method="auto"`` chooses.

The time of a method is a sum of five terms. Each is a count, which follows from the geometry, times the nanoseconds
that one of it takes:

    call        1, for the call itself: laying out work, waking threads
    products    multiply-adds, those that fill up tiles included, those of taps on zeros left out where they are skipped
    sums        partial sums that are read and written once more, columns that are made, transformed samples
    moved       elements of x and y that are laid out anew
    packed      elements of w that are laid out anew or transformed

`NANOSECONDS` holds the second factors in float32. In float64 all of them double, which changes no choice but that
`winograd` is left out. ``atrous bench fit`` measures and prints the table as it stands here, on two threads. The choice
does not ask for the number of threads, for it must not change the bits of a result.

dx is a convolution of the same cost as y, and is computed by the same method. This module alone decides where BLAS
multiplies though nobody asked for it: in convolutions too small for threads (see `methods`), and where `LEAD` lets it.

Role: choice.
"""

import math

from atrous.conv.geometry import by_channels
from atrous.conv.shift import reached
from atrous.conv.winograd_tiles import best_outputs, fits, products

# For y and dx ("forward") and for the gradient of the filters ("dw"): call, products, sums, moved, packed.
NANOSECONDS = {
    "forward": {
        "im2col": (0.0, 0.0111, 0.303, 0.064, 0.0),
        "shift": (0.0, 0.0133, 0.555, 0.14, 0.961),
        "implicit_gemm": (149000.0, 0.00972, 0.0559, 0.237, 1.48),
        "stacked_taps": (233000.0, 0.00847, 0.521, 0.337, 4.51),
        "winograd": (109000.0, 0.00906, 0.0309, 0.877, 0.477),
    },
    "dw": {
        "im2col": (0.0, 0.0107, 0.67, 0.149, 0.0),
        "shift": (0.0, 0.012, 0.436, 0.299, 1.85),
        "implicit_gemm": (75900.0, 0.0101, 0.0302, 0.422, 0.28),
        "stacked_taps": (42700.0, 0.0112, 2.33, 0.682, 0.834),
        "winograd": (138000.0, 0.00972, 0.325, 0.573, 0.164),
    },
}


def counts(method, g, which):
    """Return how many of each term a method needs: (call, products, sums, moved, packed)."""
    return (1, *COUNTS[method](g, which))


def _plane(g):
    return math.prod(g.out)


def _im2col(g, which):
    depth = g.c // g.groups * math.prod(g.kernel)
    return g.n * _plane(g) * depth * g.f, g.n * _plane(g) * depth * g.groups, g.n * g.f * _plane(g), 0


def _shift(g, which):
    positions = g.n * math.prod(sum(o.stop - o.start for o in _outputs(g, axis)) for axis in range(3))
    weights = g.f * g.c // g.groups * math.prod(g.kernel)
    return positions * g.f * g.c // g.groups, positions * g.f, g.n * g.c * math.prod(g.size), weights


def _outputs(g, axis):
    return [outputs for _, outputs, _ in reached(g, axis)]


def _tiled(g, which):
    """Return the rows of a tile, the columns of all groups, filled up, and the depth of a group."""
    columns, depth = (g.c, g.f) if which == "dw" else (g.f, g.c)
    rows, filled = _tile(columns // g.groups)
    return rows, filled * g.groups, depth // g.groups


def _tile(columns):
    from atrous.conv.micro_kernel import tile_for

    rows, _, width = tile_for(columns, "float32")
    return len(rows), -(-columns // width) * width


def _implicit_gemm(g, which):
    size, columns, depth = _tiled(g, which)
    spans = [sum(-(-(o.stop - o.start) // size) * size for o in _outputs(g, 2))]
    if g.kernel == (1, 1, 1):
        positions = g.n * (-(-_plane(g) // size) * size)
    else:
        positions = g.n * spans[0] * math.prod(sum(o.stop - o.start for o in _outputs(g, a)) for a in (0, 1))
    moved = g.n * (g.c * math.prod(g.size) + g.f * _plane(g))
    return positions * columns * depth, positions * columns, moved, math.prod(g.kernel) * columns * depth


def _stacked_taps(g, which):
    few, many, positions = (g.c, g.f, _plane(g)) if by_channels(g) else (g.f, g.c, math.prod(g.size))
    depth = few * math.prod(g.kernel)
    columns = many if by_channels(g) and which != "dw" else depth
    filled = _tile(columns)[1]
    moved = g.n * (g.c * math.prod(g.size) + g.f * _plane(g))
    return g.n * positions * many * depth * filled // columns, g.n * positions * depth, moved, depth * many


def _winograd(g, which):
    _, columns, depth = _tiled(g, which)
    samples = products(g, best_outputs(g))
    moved = g.n * (g.c * math.prod(g.size) + g.f * _plane(g))
    weights = (best_outputs(g) + 2) ** 2 * columns * depth
    return samples * columns * depth, samples * (g.c + g.f), moved, weights


COUNTS = {
    "im2col": _im2col,
    "shift": _shift,
    "implicit_gemm": _implicit_gemm,
    "stacked_taps": _stacked_taps,
    "winograd": _winograd,
}


# im2col and shift multiply by BLAS, whose threads spin for a while after each product and slow down what runs next on
# ours. They are taken only if they promise to be quicker by this factor.
LEAD = {"im2col": 1.2, "shift": 1.2}
THIN = 32


def candidates(g, *, exact, ours=False):
    """Return the methods between which the estimate decides.

    With `ours`, as in a network, only those that do without BLAS, and without columns as large as all taps of an image.
    """
    left_out = {"winograd"} if exact or not fits(g) else set()
    left_out |= {"stacked_taps"} if g.groups > 1 or (ours and by_channels(g)) else set()
    # So thin a product for each tap takes longer than the counts tell.
    left_out |= {"shift"} if g.c // g.groups < THIN else set()
    return [method for method in COUNTS if method not in (left_out | set(LEAD) if ours else left_out)]


def estimate(method, g, which, table=NANOSECONDS):
    """Return the nanoseconds that a method takes in float32, for "forward" or "dw"."""
    return sum(n * t for n, t in zip(counts(method, g, which), table[which][method], strict=True))


def choose(g, which, among, table=NANOSECONDS):
    """Return the method of the least estimate."""
    return min(among, key=lambda method: estimate(method, g, which, table) * LEAD.get(method, 1))
