"""Atrous convolution of signals: sparse and dense features, holes, the matrix, stride removal."""

import numpy as np

from atrous import Spatial, conv_geometry, effective_kernel, plan_output_stride
from atrous.examples.convolution import convolution_matrix, convolve, example_signal, run_chain, tap_tree
from atrous.figures import draw
from atrous.figures.style import GREY, HOLE, INK, INPUT, OUTPUT, TAPS, WIDTH, canvas, styled, tint


@styled
def figure_sparse_dense(signal=None, kernel=(0.2, 0.5, 0.3), rate=2, outputs=(4, 5)):
    """Draw sparse features, (a) a convolution of the sub-sampled signal, above dense ones, (b) at all positions.

    Parameters
    ----------
    signal : array of shape (n,), optional
        The signal; `example_signal` if none is given.
    kernel : array of shape (K,), K odd
        The filter, the same in (a) and in (b).
    rate : int
        Factor of the sub-sampling in (a), rate of the atrous convolution in (b).
    outputs : tuple of int
        Positions in the signal whose taps are drawn; (a) shows those that it has.

    Returns
    -------
    Figure
        Roles "sparse" and "dense" are the stem heads of the outputs, "sparse in dense" the rings.

    References
    ----------
    DeepLab v1, arXiv:1412.7062, Figure 1; DeepLab v2, arXiv:1606.00915, Figure 2.
    """
    x = example_signal() if signal is None else np.asarray(signal, float)
    n, pad = len(x), rate * (len(kernel) // 2)
    sparse, dense = convolve(x[::rate], kernel), convolve(x, kernel, rate=rate)
    fig, ax = canvas(5.05)
    left, right = 1.25, WIDTH - 0.3
    step = (right - left) / (n - 1 + 2 * pad)
    scale = 0.5 / max(np.abs(x).max(), np.abs(dense).max())

    def place(i):
        return left + (np.asarray(i) + pad) * step

    def panel(base, title, every, y, role):
        y_in, y_out = base + 0.68, base + 1.32
        kept, skipped = np.arange(0, n, every), [i for i in range(n) if i % every]
        first = next(o for o in outputs if o % every == 0)
        zeros = [*range(-pad, 0, every), *range(n - 1 - (n - 1) % every + every, n + pad, every)]
        draw.write(ax, 0.12, base + 2.1, title, size=10)
        draw.stems(ax, place(kept), base, x[kept], scale, INPUT, role="input of " + role)
        draw.dots(ax, place(kept), y_in, INPUT, role="samples")
        draw.dots(ax, place(skipped), y_in, HOLE, role="skipped", size=0.07)
        draw.dots(ax, place(zeros), y_in, GREY, role="zeros", hollow=True)
        draw.dots(ax, place(kept), y_out, OUTPUT, role="outputs")
        for o in (o for o in outputs if o % every == 0):
            under = place([o + rate * (k - len(kernel) // 2) for k in range(len(kernel))])
            draw.links(ax, np.column_stack([under, np.full(len(kernel), y_in)]), (place(o), y_out), TAPS,
                       role="taps of " + role, width=1.8)  # fmt: skip
            for k, foot in enumerate(under if o == first else ()):
                x_at = foot + 0.42 * (place(o) - foot)
                draw.write(ax, x_at, y_in + 0.42 * (y_out - y_in), f"$w_{k}$", color=TAPS, ha="center", zorder=6,
                           bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})  # fmt: skip
        draw.stems(ax, place(kept), y_out + 0.13, y, scale, OUTPUT, role=role)
        draw.write(ax, 0.12, y_out + 0.25, "output", color=OUTPUT)
        draw.write(ax, 0.12, (y_in + y_out) / 2, f"{len(kernel)} taps", color=TAPS)
        draw.write(ax, 0.12, base + 0.4, "input", color=INPUT)
        draw.write(
            ax, place(zeros[0]), y_in - 0.17, "zeros" if len(zeros) > 2 else "zero", color=GREY, ha="center", size=9
        )

    half = len(kernel) // 2
    size = f"kernel {len(kernel)}, stride 1"
    panel(2.68, f"(a) Sparse, every {_ordinal(rate)} sample: {size}, pad {half}, rate 1", rate, sparse, "sparse")
    words = f"(b) Dense, all samples: {size}, pad {pad}, rate {rate}; ringed: the outputs of (a)"
    panel(0.18, words, 1, dense, "dense")
    draw.rings(
        ax, place(np.arange(0, n, rate)), 0.18 + 1.32 + 0.13 + scale * sparse, INK, role="sparse in dense", size=0.13
    )
    return fig


def _ordinal(number):
    return {2: "second", 3: "third", 4: "fourth"}.get(number, f"{number}th")


@styled
def figure_sampling(size=12, kernel=3, rate=2, stride=1, padding="same"):
    """Draw every output of a convolution above the samples that it reads: kernel, rate, stride and padding at work.

    Roles "samples", "zeros", "outputs" and "taps".

    Parameters
    ----------
    size, kernel, rate, stride, padding
        As for `output_size`.
    """
    g = conv_geometry((1, 1, size), (1, 1, kernel), rate=rate, stride=stride, padding=padding)
    reads = [[stride * o + rate * k - g.pw for k in range(kernel)] for o in range(g.ow)]
    first, last = min(0, reads[0][0]), max(size - 1, reads[-1][-1])
    fig, ax = canvas(1.75)
    left, y_in, y_out = 1.05, 0.5, 1.3
    step = (WIDTH - 0.3 - left) / max(1, last - first)

    def place(i):
        return left + (np.asarray(i, float) - first) * step

    zeros = [i for i in range(first, last + 1) if not 0 <= i < size]
    dot = min(0.13, 0.6 * step)
    draw.dots(ax, place(np.arange(size)), y_in, INPUT, role="samples", size=dot)
    if zeros:
        draw.dots(ax, place(zeros), y_in, GREY, role="zeros", hollow=True, size=dot)
    middles = [(taps[0] + taps[-1]) / 2 for taps in reads]
    for o, (middle, taps) in enumerate(zip(middles, reads, strict=True)):
        under = np.column_stack([place(taps), np.full(kernel, y_in)])
        bold = o == len(reads) // 2
        draw.links(ax, under, (place(middle), y_out), TAPS if bold else tint(TAPS, 0.45), role="taps",
                   width=2.0 if bold else 0.9, zorder=2 if bold else 1)  # fmt: skip
    draw.dots(ax, place(middles), y_out, OUTPUT, role="outputs", size=dot)
    draw.write(ax, 0.12, y_in, f"{size} samples", color=INPUT)
    draw.write(ax, 0.12, (y_in + y_out) / 2, f"{kernel} taps", color=TAPS)
    draw.write(ax, 0.12, y_out, f"{g.ow} outputs", color=OUTPUT)
    span = rate * (kernel - 1) + 1
    words = f"rate {rate}, stride {stride}, {len(zeros)} zeros; an output spans {span} samples"
    draw.write(ax, left, 0.17, words, color=GREY, size=9)
    return fig


@styled
def figure_holes():
    """Draw a filter with its holes at several rates: the same weights over a longer span.

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Section 3.1: k_e = k + (k − 1)(r − 1).
    """
    side, gap = 0.4, 0.6
    fig, ax = canvas(0.1 + gap * len((1, 2, 3, 4)))
    spans = [effective_kernel(3, rate) for rate in (1, 2, 3, 4)]
    left = 0.95 + side * max(spans) / 2
    for row, (rate, span) in enumerate(zip((1, 2, 3, 4), spans, strict=True)):
        top, start = fig.get_figheight() - 0.14 - gap * row, left - side * span / 2
        taps = [i % rate == 0 for i in range(span)]
        labels = [f"$w_{{{i // rate}}}$" if tap else "0" for i, tap in enumerate(taps)]
        draw.write(ax, 0.12, top - side / 2, f"rate {rate}", color=TAPS, size=10)
        draw.grid(ax, start, top, [[TAPS if tap else HOLE for tap in taps]], side, role=f"filter at rate {rate}",
                  labels=[labels], size=10)  # fmt: skip
        holes = span - 3
        words = f"spans {span}" + (f", {holes} holes" if holes else ", no holes")
        draw.write(ax, left + side * max(spans) / 2 + 0.25, top - side / 2, words)
    return fig


@styled
def figure_toeplitz(n=12, kernel=3, rates=(1, 2, 3), *, transposed=False):
    """Draw the matrix of a "same" convolution, y = A·x: the rate spreads its diagonals, their number stays.

    With `transposed`, draw that of the gradient, dx = Aᵀ·dy. Roles "taps at rate r" hold the non-zero entries, one
    square each.
    """
    found, given = (INPUT, OUTPUT) if transposed else (OUTPUT, INPUT)
    words = ("dx", "A^T", "dy") if transposed else ("y", "A", "x")
    columns = n + 6  # y, "=", A, "·", x and a gap
    side = (WIDTH - 0.1) / len(rates) / columns
    fig, ax = canvas(n * side + 0.62)
    shades = [tint(TAPS, s) for s in np.linspace(0.45, 1, kernel)]
    for panel, rate in enumerate(rates):
        left, top = 0.15 + panel * columns * side, fig.get_figheight() - 0.32
        matrix = convolution_matrix(n, kernel, rate)
        matrix = matrix.T if transposed else matrix
        colors = [[shades[k] if k >= 0 else None for k in row] for row in matrix]
        draw.write(ax, left, top + 0.16, f"rate {rate}", color=TAPS, size=10)
        draw.grid(ax, left, top, [[found]] * n, side, role=words[0], width=0.6)
        draw.write(ax, left + 1.7 * side, top - n * side / 2, "=", ha="center")
        draw.grid(ax, left + 2.4 * side, top, [["#F1F1F1"] * n] * n, side, role="zeros", width=0.6)
        draw.grid(ax, left + 2.4 * side, top, colors, side, role=f"taps at rate {rate}", width=0.6, zorder=3)
        draw.write(ax, left + (n + 3) * side, top - n * side / 2, "·", ha="center", size=15)
        draw.grid(ax, left + (n + 3.6) * side, top, [[given]] * n, side, role=words[2], width=0.6)
        foot = top - n * side - 0.15
        for x, word, color in zip((0.5, 2.4 + n / 2, n + 4.1), words, (found, TAPS, given), strict=True):
            draw.write(ax, left + x * side, foot, f"${word}$", color=color, ha="center", size=11)
    return fig


DEFAULT_CHAIN = (Spatial(3), Spatial(3, 2), Spatial(3))


@styled
def figure_stride_removal(layers=DEFAULT_CHAIN):
    """Draw a chain with strides beside the chain that `plan_output_stride` makes of it at output stride 1.

    Parameters
    ----------
    layers : sequence of Spatial
        The chain as it was trained, kernels odd.

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Section 3.1.
    """
    x = example_signal(17)
    kernels = [np.array([0.25, 0.5, 0.25]) if layer.kernel == 3 else np.ones(layer.kernel) / layer.kernel
               for layer in layers]  # fmt: skip
    planned = plan_output_stride(layers, 1)
    total = int(np.prod([layer.stride for layer in layers]))
    gap, side = 0.52, (WIDTH - 1.6) / 2
    fig, ax = canvas(1.4 + gap * len(layers))
    results = [run_chain(x, chain, kernels) for chain in (layers, planned)]
    scale = 0.5 / np.abs(results[1][-1]).max()
    for panel, (chain, signals) in enumerate(zip((layers, planned), results, strict=True)):
        left = 0.95 + panel * (side + 0.1)
        step = (side - 0.25) / (len(x) - 1)
        jumps = np.cumprod([1, *(layer.stride for layer in chain)])
        title = "(b) planned: no stride, wider rates" if panel else "(a) as trained: a stride"
        draw.write(ax, left - 0.1, fig.get_figheight() - 0.2, title, size=10)
        tree = tap_tree(chain, 4 * total // int(jumps[-1]))
        for level, (values, jump) in enumerate(zip(signals, jumps, strict=True)):
            y, color = 0.2 + gap * level, INPUT if level == 0 else OUTPUT if level == len(chain) else tint(GREY, 0.6)
            draw.dots(ax, left + step * jump * np.arange(len(values)), y, color, role="samples", size=0.095)
            if level:
                inside = [(o, i) for o, i in tree[level - 1] if 0 <= i < len(x)]
                starts, ends = (
                    [(left + step * pair[end], at) for pair in inside] for end, at in ((1, y - gap), (0, y))
                )
                draw.links(ax, starts, ends, TAPS, role="taps", width=1.5)
                layer = chain[level - 1]
                words = f"stride {layer.stride}" if layer.stride > 1 else f"rate {layer.rate}"
                color = GREY if layer.stride == layer.rate == 1 else TAPS
                draw.write(ax, left + side - 0.05 if panel else 0.12, y - gap / 2, words, color=color)
        top = 0.2 + gap * len(chain) + 0.12
        at = left + step * jumps[-1] * np.arange(len(signals[-1]))
        draw.stems(ax, at, top, signals[-1], scale, OUTPUT, role="planned" if panel else "strided")
        if panel:
            draw.rings(ax, left + step * total * np.arange(len(results[0][-1])), top + scale * results[0][-1], INK,
                       role="strided in planned", size=0.12)  # fmt: skip
    draw.write(ax, 0.12, 0.2, "input", color=INPUT)
    draw.write(ax, 0.12, top + 0.2, "output", color=OUTPUT)
    return fig
