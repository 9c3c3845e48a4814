"""Where taps fall in an image and how far they see: sampling grids, stacked rates, gridding."""

from math import gcd

import numpy as np
from matplotlib.colors import to_hex

from atrous import Spatial, receptive_field
from atrous.examples.convolution import path_counts, tap_offsets, tap_tree
from atrous.figures import draw
from atrous.figures.style import (
    GREY,
    HOLE,
    INK,
    INPUT,
    OUTPUT,
    TAPS,
    WIDTH,
    WRONG,
    canvas,
    ramp,
    styled,
    tint,
)


@styled
def figure_taps(rates=(1, 2, 3, 4), size=11):
    """Draw the samples that one output reads at several rates, over a feature map of size × size, an odd number.

    Roles "taps at rate r" are the squares under the taps. ``rates=(1, 6, 24), size=65`` is the paper's figure.

    References
    ----------
    DeepLab v3, arXiv:1706.05587, Figure 1.
    """
    room = (WIDTH - 0.2) / len(rates)
    side = (room - 0.12) / size
    fig, ax = canvas(size * side + 0.72)
    top, centre = fig.get_figheight() - 0.34, size // 2
    line = min(0.8, 8 * side)
    for panel, rate in enumerate(rates):
        left = 0.16 + panel * room
        colors = [[tint(INPUT, 0.22)] * size for _ in range(size)]
        draw.grid(ax, left, top, colors, side, role="samples", width=line)
        marks = [[None] * size for _ in range(size)]
        for i, j in centre + tap_offsets(rate):
            marks[i][j] = TAPS
        draw.grid(ax, left, top, marks, side, role=f"taps at rate {rate}", width=line, zorder=3)
        draw.frame(ax, left + centre * side, top - centre * side, side, side, OUTPUT, role="output", line=2.2)
        span = rate * (3 - 1) + 1
        draw.write(ax, left, top + 0.18, f"rate {rate}", color=TAPS, size=10)
        draw.write(ax, left, top - size * side - 0.18, f"spans {span} × {span}")
    return fig


@styled
def figure_stacked(rates=(1, 2, 4, 8)):
    """Draw the taps of one output of stacked layers at growing rates, and of as many layers at rate 1.

    With 3 taps and rates 1, 2, 4, …, the field of n layers is 2ⁿ⁺¹ − 1 samples, against 2n + 1 at rate 1. Roles
    "field, growing rates" and "field, rate 1" are the input samples that the output sees.
    """
    growing = [Spatial(3, 1, rate) for rate in rates]
    reach = receptive_field(growing).size // 2
    gap, left, right = 0.46, 0.95, WIDTH - 1.15
    fig, ax = canvas(2 * gap * len(rates) + 1.25)
    step = (right - left) / (2 * reach)

    def place(i):
        return left + (np.asarray(i) + reach) * step

    base = gap * len(rates) + 0.85
    for layers, name in ((growing, "growing rates"), ([Spatial(3)] * len(rates), "rate 1")):
        draw.dots(ax, place(np.arange(-reach, reach + 1)), base, HOLE, role="samples", size=0.09)
        tree = tap_tree(layers)
        seen = sorted({i for _, i in tree[0]})
        draw.dots(ax, place(seen), base, INPUT, role="field, " + name, size=0.11)
        draw.write(ax, 0.12, base, "input", color=INPUT)
        for level, pairs in enumerate(tree):
            y = base + gap * (level + 1)
            draw.links(
                ax, [(place(i), y - gap) for _, i in pairs], [(place(o), y) for o, _ in pairs], TAPS, role="taps"
            )
            outputs = sorted({o for o, _ in pairs})
            top = level == len(tree) - 1
            draw.dots(ax, place(outputs), y, OUTPUT if top else tint(GREY, 0.6), role="outputs", size=0.1)
            draw.write(ax, 0.12, y - gap / 2, f"rate {layers[level].rate}", color=TAPS)
            field = receptive_field(layers[: level + 1]).size
            draw.write(ax, right + 0.2, y, f"sees {field}", color=OUTPUT if top else INK)
        base = 0.2
    return fig


@styled
def figure_gridding(stacks=((1, 1, 1), (1, 2, 1), (1, 2, 4), (2, 2, 2))):
    """Draw which samples one output of three stacked layers sees, and over how many paths: some rates leave a grid.

    Rates with a common factor g split the samples into g² nets that never meet. The output lies on the orange one;
    each shade of purple is another net, which only its neighbours see.

    References
    ----------
    DeepLab v3, arXiv:1706.05587, Section 3.2.1 (the multi-grid's unit rates).
    """
    counts = [path_counts(rates) for rates in stacks]
    size = max(map(len, counts))
    room = (WIDTH - 0.2) / len(stacks)
    side = (room - 0.14) / size
    fig, ax = canvas(size * side + (0.95 if any(gcd(*rates) > 1 for rates in stacks) else 0.75))
    top, colours = fig.get_figheight() - 0.36, ramp(TAPS)
    for panel, (rates, paths) in enumerate(zip(stacks, counts, strict=True)):
        left, offset = 0.16 + panel * room, (size - len(paths)) // 2
        draw.grid(ax, left, top, [["#F4F4F4"] * size] * size, side, role="samples", width=0.5)
        share = np.log1p(paths) / np.log1p(paths.max())
        common, centre = gcd(*rates), len(paths) // 2
        others = [WRONG] if common == 1 else [tint(WRONG, s) for s in np.linspace(1, 0.35, common**2 - 1)]

        def color(i, j, share=share, common=common, centre=centre, others=others):
            net = (i - centre) % common * common + (j - centre) % common
            return to_hex(colours(0.12 + 0.62 * share[i, j])) if share[i, j] else others[max(net - 1, 0)]

        colors = [[color(i, j) for j in range(len(paths))] for i in range(len(paths))]
        at = (left + offset * side, top - offset * side)
        draw.grid(ax, *at, colors, side, role=f"field of {rates}", width=0.5, zorder=3)
        draw.write(ax, left, top + 0.18, "rates " + ", ".join(map(str, rates)), color=TAPS, size=10)
        missed = int((paths == 0).sum())
        words = f"misses {missed} of {paths.size}" if missed else f"sees all {paths.size}"
        draw.write(ax, left, top - size * side - 0.18, words)
        if common > 1:
            draw.write(ax, left, top - size * side - 0.38, f"on 1 of {common**2} nets", color=WRONG)
    return fig
