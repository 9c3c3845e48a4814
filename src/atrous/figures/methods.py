"""How atrous convolution is computed: im2col's columns, interlace's phases."""

import numpy as np

from atrous.examples.convolution import im2col_example
from atrous.figures import draw
from atrous.figures.style import GREY, INK, INPUT, OUTPUT, PAPER, TAPS, WIDTH, canvas, styled, tint


@styled
def figure_im2col(column=4):
    """Draw a "valid" atrous convolution as a matrix product, with the numbers of a small example.

    Parameters
    ----------
    column : int
        The output whose samples are marked in the image and in the matrix.
    """
    rate = 2
    image, w, col, y = im2col_example(rate)
    side = min(0.37, (WIDTH - 1.0) / (col.shape[1] + w.size))
    tall = max(image.shape[0], y.shape[0])
    fig, ax = canvas((tall + col.shape[0] + 1) * side + 1.6)
    top, left = fig.get_figheight() - 0.45, 0.45
    taps = {(column // y.shape[1] + rate * i, column % y.shape[1] + rate * j) for i, j in np.ndindex(w.shape)}

    def numbers(x, above, values, color, role, marked=()):
        faces = [[TAPS if (i, j) in marked else color for j in range(values.shape[1])] for i in range(values.shape[0])]
        draw.grid(ax, x, above, faces, side, role=role, labels=values.astype(int).tolist())

    draw.write(ax, left, top + 0.17, "input", color=INPUT, size=10)
    numbers(left, top, image, tint(INPUT, 0.3), "input", taps)
    x = left + (image.shape[1] + 2) * side
    draw.write(ax, x, top + 0.17, f"filter, rate {rate}", color=TAPS, size=10)
    numbers(x, top, w, tint(TAPS, 0.55), "filter")
    x = left + (w.size + 1.2 + col.shape[1] - y.shape[1]) * side
    draw.write(ax, x, top + 0.17, "output", color=OUTPUT, size=10)
    numbers(x, top, y, tint(OUTPUT, 0.4), "output")
    draw.frame(ax, x + column % y.shape[1] * side, top - column // y.shape[1] * side, side, side, INK, role="marked")

    above = top - tall * side - 0.55
    x = left + (w.size + 1.2) * side
    draw.write(ax, x, above + 0.17, "columns: the samples under the taps, one column an output", color=INPUT, size=10)
    numbers(x, above, col, tint(INPUT, 0.3), "columns", {(i, column) for i in range(len(col))})
    middle = above - (col.shape[0] - 1) * side / 2
    draw.write(ax, left, middle + 0.17, "filter, a row", color=TAPS, size=10)
    numbers(left, middle, w.reshape(1, -1), tint(TAPS, 0.55), "filter row")
    draw.write(ax, left + (w.size + 0.6) * side, middle - side / 2, "·", ha="center", size=16)
    below = above - col.shape[0] * side - 0.42
    draw.write(ax, x - 0.6 * side, below - side / 2, "=", ha="center", size=12)
    numbers(x, below, y.reshape(1, -1), tint(OUTPUT, 0.4), "output row")
    draw.frame(ax, x + column * side, below, side, side, INK, role="marked")
    return fig


@styled
def figure_interlace(size=6, rate=2):
    """Draw interlacing: the input falls into rate² phases, each is convolved at rate 1, the results are interlaced.

    Letters and shades name the phases; the same letter means that output and input belong together.

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Section 3.1: "deinterlacing it to produce r² reduced resolution maps".
    """
    phases = rate**2
    part = -(-size // rate)
    side = 3.2 / (2 * size + 1.2 * part)
    gap = 0.3 * side
    stack = phases * part * side + (phases - 1) * gap
    tall = max(size * side, stack)
    fig, ax = canvas(tall + 0.62)
    top = fig.get_figheight() - 0.42
    strengths = np.linspace(0.22, 0.85, phases)
    lefts = np.array([0.15, 0.15 + size * side + 1.0, 0, WIDTH - 0.15 - size * side])
    lefts[2] = lefts[3] - 1.0 - part * side

    def phase(i, j):
        return i % rate * rate + j % rate

    def letters(rows, columns, of):
        return [[chr(65 + of(i, j)) for j in range(columns)] for i in range(rows)]

    def pen(of):
        return lambda i, j: PAPER if strengths[of(i, j)] > 0.6 else INK

    def whole(left, color, role, name):
        colors = [[tint(color, strengths[phase(i, j)]) for j in range(size)] for i in range(size)]
        above = top - (tall - size * side) / 2
        draw.write(ax, left, above + 0.17, name, color=color, size=10)
        draw.grid(ax, left, above, colors, side, role=role, labels=letters(size, size, phase), label_ink=pen(phase))

    whole(lefts[0], INPUT, "input", "input")
    whole(lefts[3], OUTPUT, "output", "output")
    first = top - (tall - stack) / 2
    for p in range(phases):
        above = first - p * (part * side + gap)
        rows, wide = (len(range(start, size, rate)) for start in divmod(p, rate))

        def same(i, j, p=p):
            return p

        for left, color, role in ((lefts[1], INPUT, "phases"), (lefts[2], OUTPUT, "convolved phases")):
            colors = [[tint(color, strengths[p])] * wide for _ in range(rows)]
            draw.grid(ax, left, above, colors, side, role=role, labels=letters(rows, wide, same), label_ink=pen(same))
        y = above - part * side / 2
        draw.arrow(ax, (lefts[1] + part * side + 0.1, y), (lefts[2] - 0.1, y), color=TAPS)
    middle = top - tall / 2
    for start, end, word in (
        (lefts[0] + size * side, lefts[1], "deinterlace"),
        (lefts[2] + part * side, lefts[3], "interlace"),
    ):
        draw.arrow(ax, (start + 0.1, middle), (end - 0.1, middle))
        draw.write(ax, (start + end) / 2, middle + 0.15, word, color=GREY, ha="center")
    centre = (lefts[1] + part * side + lefts[2]) / 2
    draw.write(ax, centre, first + 0.17, "convolve at rate 1", color=TAPS, ha="center")
    return fig
