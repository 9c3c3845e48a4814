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
def figure_col2im(row=2, column=2):
    """Draw col2im: every entry of the columns' gradient is added to the sample that it was copied from.

    Roles "dcol", "dx" and "counts" are the numbers, "back" the arrows from the entries of one sample.

    Parameters
    ----------
    row, column : int
        The sample of the 5 × 5 input whose entries are followed.
    """
    rate = 2
    image, w, _, y = im2col_example(rate)
    dy = np.random.default_rng(3).integers(1, 4, y.shape)
    dcol = w.reshape(-1, 1) @ dy.reshape(1, -1)
    dx, counts, sent = np.zeros(image.shape), np.zeros(image.shape), []
    for tap, (i, j) in enumerate(np.ndindex(w.shape)):
        place = np.s_[rate * i : rate * i + y.shape[0], rate * j : rate * j + y.shape[1]]
        dx[place] += dcol[tap].reshape(y.shape)
        counts[place] += 1
        a, b = row - rate * i, column - rate * j
        if 0 <= a < y.shape[0] and 0 <= b < y.shape[1]:
            sent.append((tap, a * y.shape[1] + b))
    side = 0.34
    fig, ax = canvas(5 * side + len(dcol) * side + 1.35)
    left, top = 0.45, fig.get_figheight() - 0.42

    def numbers(x, above, values, color, role, marked=()):
        faces = [[TAPS if (i, j) in marked else color for j in range(values.shape[1])] for i in range(values.shape[0])]
        draw.grid(ax, x, above, faces, side, role=role, labels=values.astype(int).tolist())

    at = left + 1.9
    words = "gradient of the columns, $w^T$·dy: a row for each tap, a column for each output"
    draw.write(ax, left, top + 0.17, words, color=INPUT, size=10)
    numbers(at, top, dcol, tint(INPUT, 0.3), "dcol", set(sent))
    for tap in range(len(dcol)):
        draw.write(ax, at - 0.12, top - (tap + 0.5) * side, f"tap {tap // 2}, {tap % 2}", color=TAPS, ha="right")
    below = top - len(dcol) * side - 0.75
    draw.write(ax, left, below + 0.17, "gradient of the input", color=INPUT, size=10)
    numbers(left, below, dx, tint(INPUT, 0.3), "dx", {(row, column)})
    end = (left + (column + 0.5) * side, below - (row + 0.5) * side)
    starts = [(at + (o + 0.5) * side, top - (tap + 1) * side + 0.06) for tap, o in sent]
    for start in starts:
        draw.arrow(ax, start, (end[0], end[1] + 0.45 * side), color=INK).set_gid("back")
    draw.write(ax, left + 5 * side + 0.15, below - (row + 0.5) * side, f"+= {len(sent)} times", color=INK, size=10)
    right = WIDTH - 0.45 - 5 * side
    draw.write(ax, right, below + 0.17, "how often it was read", color=GREY, size=10)
    numbers(right, below, counts, "#EFEFEF", "counts", {(row, column)})
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
    fig, ax = canvas(tall + 0.8)
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
        draw.write(ax, left, above - size * side - 0.15, f"{size} × {size}", color=GREY, size=9)

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
    words = f"{phases} phases of {part} × {part}" if size % rate == 0 else f"{phases} phases, up to {part} × {part}"
    draw.write(ax, centre, first - stack - 0.15, words, color=GREY, ha="center", size=9)
    return fig
