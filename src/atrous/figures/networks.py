"""Whole networks in numbers: fields of view, what an output stride costs, how scores meet the image's pixels."""

import numpy as np

from atrous import resize_bilinear
from atrous.examples.networks import BUILT, PRINTED, feature_places, field_table, stride_costs
from atrous.figures import draw
from atrous.figures.style import (
    GREY,
    HOLE,
    INK,
    INPUT,
    OUTPUT,
    PAPER,
    TAPS,
    WIDTH,
    WRONG,
    canvas,
    ink,
    styled,
    tint,
)


@styled
def figure_field_table():
    """Draw the fields of view of v1's Table 2 on an image of size × size: fc6's taps, nominal and true squares.

    Roles "taps of row i", "nominal of row i" and "true of row i".

    References
    ----------
    DeepLab v1, arXiv:1412.7062, Table 2.
    """
    rows = field_table()
    room = (WIDTH - 0.1) / len(rows)
    side = room - 0.12
    unit = side / 513
    fig, ax = canvas(side + 1.42)
    top = fig.get_figheight() - 0.36
    for i, (kernel, rate, nominal, true, parameters) in enumerate(rows):
        left = 0.11 + i * room
        middle = left + side / 2, top - side / 2
        draw.grid(ax, left, top, [[tint(INPUT, 0.16)]], side, role="image")
        for span, color, role in ((true, OUTPUT, "true"), (nominal, TAPS, "nominal")):
            corner = middle[0] - span * unit / 2, middle[1] + span * unit / 2
            draw.grid(ax, *corner, [[tint(color, 0.3)]], span * unit, role="wash", edge=tint(color, 0.3))
            draw.frame(ax, *corner, span * unit, span * unit, color, role=f"{role} of row {i}", line=1.8)
        steps = 8 * rate * (np.arange(kernel) - (kernel - 1) / 2)
        x, y = (part.ravel() for part in np.meshgrid(steps, steps))
        draw.dots(ax, middle[0] + x * unit, middle[1] - y * unit, TAPS, role=f"taps of row {i}", size=0.07, edge=INK,
                  width=0.6, zorder=6)  # fmt: skip
        draw.write(ax, left, top + 0.17, f"{kernel} × {kernel}, rate {rate}", color=TAPS, size=10)
        y = top - side - 0.2
        draw.write(ax, left, y, f"nominal {nominal}", color=TAPS)
        draw.write(ax, left, y - 0.21, f"sees {true}", color=OUTPUT)
        draw.write(ax, left, y - 0.42, f"{parameters / 1e6:.1f} million")
        draw.write(ax, left, y - 0.62, "parameters")
    return fig


@styled
def figure_output_strides():
    """Draw what DeepLab v3 on ResNet-101 costs at output strides 32 to 1: multiply-adds and memory of its features.

    Rings are the paper's numbers; pale bars are not built but computed, four times the bar to their left.

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Section 3.1 (a factor 4 by atrous convolution, then bilinear by 8); DeepLab v3+,
    arXiv:1802.02611, Table 3 (Multiply-Adds).
    """
    from matplotlib.figure import Figure

    costs = stride_costs()
    strides = list(costs)
    fig = Figure(figsize=(WIDTH, 3.5))
    panels = (
        (0.085, 0, 1e9, "Multiply-adds, 10⁹", "{:,.0f}"),
        (0.585, 1, 1e9, "Memory of all features, GB", "{:#.2g}"),
    )
    for left, which, unit, title, form in panels:
        ax = fig.add_axes((left, 0.27, 0.405, 0.62))
        values = [costs[s][which] / unit for s in strides]
        for i, (stride, value) in enumerate(zip(strides, values, strict=True)):
            built = stride in BUILT
            color = TAPS if stride == 8 else INPUT
            (bar,) = ax.bar(
                [i], [value], 0.68, color=tint(color, 0.75 if built else 0.12), edgecolor=color,
                linestyle="solid" if built else (0, (3, 2)), linewidth=1.2, zorder=2,
            )  # fmt: skip
            bar.set_gid(f"bar {which}, {'built' if built else 'computed'}")
            words = form.format(value).rstrip(".")
            ax.text(i, value * 1.12, words, ha="center", va="bottom", fontsize=9, zorder=5)
        if which == 0:
            marks = ax.scatter(
                [strides.index(s) for s in PRINTED], list(PRINTED.values()), s=26, facecolors=PAPER, edgecolors=INK,
                linewidths=1.1, zorder=4,
            )  # fmt: skip
            marks.set_gid("printed")
        ax.set(
            yscale="log", ylim=(min(values) / 3, max(values) * 2.6), xticks=range(len(strides)), title=title,
            xticklabels=strides, xlabel="output stride",
        )  # fmt: skip
        ax.minorticks_off()
    upsample = 4 * 21 * 513**2 / 1e9
    lines = (
        "Rings: as printed in the papers. Dashed: not built, four times the bar before.",
        f"From 32 to 8 by atrous convolution; the last 8 are bilinear: {upsample:.2f}·10⁹ for 21 score maps.",
    )
    for i, line in enumerate(lines):
        fig.text(0.02, 0.075 - 0.055 * i, line, fontsize=9, color=INK if i else GREY)
    return fig


@styled
def figure_alignment(small=65, large=513):
    """Draw where features land when scores are enlarged, with corners aligned and with half-pixel centres.

    Above, the weights with which features enter the pixels at both ends and in the middle; blue stems are the pixels on
    which the features were centred when they were computed. Below, the error in pixels.

    References
    ----------
    DeepLab v1, arXiv:1412.7062 (images of 8·k + 1 pixels: 321, 513), and the released networks' Interp layers.
    """
    from matplotlib.figure import Figure

    stride = (large - 1) / (small - 1)
    eye = np.eye(small)[:, None, None]
    fig = Figure(figsize=(WIDTH, 5.0))
    modes = ((True, OUTPUT, "corners aligned"), (False, WRONG, "half-pixel centres"))
    spans = (("first pixels", 0), ("middle", (large - 1) / 2 - 1.5 * stride), ("last pixels", large - 1 - 3 * stride))
    weights = {mode: resize_bilinear(eye, (1, large), align_corners=mode)[:, 0, 0] for mode, _, _ in modes}
    for row, (mode, color, name) in enumerate(modes):
        for column, (where, begin) in enumerate(spans):
            box = (0.03 + 0.325 * column, 0.795 - 0.265 * row, 0.295, 0.13)
            panel = fig.add_axes(box, yticks=[], xlim=(begin - 0.6, begin + 3 * stride + 0.6), ylim=(0, 1.12))
            panel.spines["left"].set_visible(False)
            pixels = np.arange(large)
            for values in weights[mode]:
                at = values > 0
                if at.any() and pixels[at][-1] >= begin - 1 and pixels[at][0] <= begin + 3 * stride + 1:
                    panel.plot(pixels[at], values[at], color=color, lw=1.3, marker=".", ms=3)
            centres = stride * np.arange(small)
            centres = centres[(centres >= begin - 0.5) & (centres <= begin + 3 * stride + 0.5)]
            panel.vlines(centres, 0, 1.1, color=INPUT, lw=1.2, zorder=1).set_gid("centres")
            panel.tick_params(length=2)
            if column == 0:
                fig.text(
                    box[0], box[1] + 0.14, f"{name}: {where}", color=ink(color), fontsize=9.5, ha="left", va="bottom"
                )
            else:
                fig.text(box[0], box[1] + 0.14, where, color=ink(color), fontsize=9.5, ha="left", va="bottom")
    ax = fig.add_axes((0.085, 0.1, 0.895, 0.27))
    ax.axhline(0, color=HOLE, lw=1.0, zorder=1)
    aligned = feature_places(small, large)
    for mode, color, name in modes:
        error = feature_places(small, large, align_corners=mode) - aligned
        (line,) = ax.plot(np.arange(small), error, color=color, lw=2.0)
        line.set_gid("error, " + name)
    ends = (error[0], error[-1])
    ax.text(0.6, ends[0], f"{ends[0]:+.2f}", color=ink(WRONG), fontsize=9, ha="left", va="bottom")
    ax.text(
        small - 1.6, ends[1], f"{ends[1]:+.2f}".replace("-", "−"), color=ink(WRONG), fontsize=9, ha="right", va="top"
    )
    most = 1.45 * max(np.abs(ends).max(), 0.1)
    ax.set(
        xlim=(0, small - 1), ylim=(-most, most), xlabel=f"feature, of {small}",
        title=f"Error of its place, in pixels of {large}",
    )  # fmt: skip
    return fig
