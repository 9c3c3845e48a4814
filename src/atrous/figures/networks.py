"""Whole networks in numbers: fields of view, what an output stride costs, how scores meet the image's pixels."""

import numpy as np

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

    Rings are the paper's numbers; hollow points are not built but computed, four times the one to their left.

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
            (point,) = ax.plot([i], [value], "o", color=INK, mfc=INK if built else PAPER, ms=7, zorder=3)
            point.set_gid(f"cost {which}, {'built' if built else 'computed'}")
            words = form.format(value).rstrip(".")
            above = {"xytext": (0, 8), "textcoords": "offset points"}
            ax.annotate(words, (i, value), **above, ha="center", va="bottom", fontsize=9, zorder=5,
                        fontweight="bold" if stride == 8 else "normal")  # fmt: skip
        done = len(BUILT)
        ax.plot(range(done), values[:done], color=INK, lw=1.2, zorder=2)
        ax.plot(range(done - 1, len(values)), values[done - 1 :], color=GREY, lw=1.0, ls=(0, (3, 2)), zorder=2)
        if which == 0:
            marks = ax.scatter(
                [strides.index(s) for s in PRINTED], list(PRINTED.values()), s=130, facecolors="none",
                edgecolors=GREY, linewidths=1.3, zorder=4,
            )  # fmt: skip
            marks.set_gid("printed")
        ax.set(
            yscale="log", ylim=(min(values) / 3, max(values) * 2.6), xlim=(-0.5, len(strides) - 0.5),
            xticks=range(len(strides)), title=title,
            xticklabels=strides, xlabel="output stride",
        )  # fmt: skip
        ax.minorticks_off()
    upsample = 4 * 21 * 513**2 / 1e9
    lines = (
        "Rings: as printed in the papers. Hollow: not built, four times the point before.",
        f"From 32 to 8 by atrous convolution; the last factor 8 is bilinear: {upsample:.2f}·10⁹ for 21 score maps.",
    )
    for i, line in enumerate(lines):
        fig.text(0.02, 0.075 - 0.055 * i, line, fontsize=9, color=INK if i else GREY)
    return fig


@styled
def figure_alignment(small=65, large=513):
    """Draw where features land when scores are enlarged, with corners aligned and with half-pixel centres.

    Above, both ends of a row of pixels: blue points are the pixels on which the features were centred when they were
    computed, and arrows lead to where the features land. Below, how far that is, along the whole row.

    References
    ----------
    DeepLab v1, arXiv:1412.7062 (images of 8·k + 1 pixels: 321, 513), and the released networks' Interp layers.
    """
    from matplotlib.figure import Figure

    stride = (large - 1) / (small - 1)
    computed = feature_places(small, large)
    fig = Figure(figsize=(WIDTH, 5.2))
    modes = ((True, OUTPUT, "corners aligned"), (False, WRONG, "half-pixel centres"))
    ends = (("first pixels", -2.5), ("last pixels", large - 1 - 3.4 * stride))
    room = 3.4 * stride + 2.5
    for row, (mode, color, name) in enumerate(modes):
        places = feature_places(small, large, align_corners=mode)
        for column, (where, begin) in enumerate(ends):
            box = (0.03 + 0.495 * column, 0.79 - 0.265 * row, 0.455, 0.125)
            panel = fig.add_axes(box, yticks=[], xlim=(begin, begin + room), ylim=(-0.35, 1.25))
            panel.spines["left"].set_visible(False)
            inside = [i for i in range(small) if begin + 0.5 <= min(computed[i], places[i])
                      and max(computed[i], places[i]) <= begin + room - 0.5]  # fmt: skip
            pixels = np.arange(max(0, int(np.ceil(begin))), min(large - 1, int(begin + room)) + 1)
            panel.plot(pixels, np.zeros(len(pixels)), ".", color=GREY, ms=3, zorder=1)
            panel.plot(computed[inside], np.zeros(len(inside)), "o", color=INPUT, ms=7)[0].set_gid("computed")
            panel.plot(places[inside], np.ones(len(inside)), "o", color=color, ms=7)[0].set_gid("placed, " + name)
            for i in inside:
                mark = {"arrowstyle": "-|>", "color": GREY, "lw": 1.1, "shrinkA": 4, "shrinkB": 4}
                panel.annotate("", (places[i], 1), (computed[i], 0), arrowprops=mark)
            panel.tick_params(length=2)
            words = f"{name}: {where}" if column == 0 else where
            fig.text(box[0], box[1] + 0.132, words, color=ink(color), fontsize=9.5, ha="left", va="bottom")
    ax = fig.add_axes((0.085, 0.1, 0.895, 0.27))
    ax.axhline(0, color=HOLE, lw=1.0, zorder=1)
    for mode, color, name in modes:
        error = feature_places(small, large, align_corners=mode) - computed
        (line,) = ax.plot(np.arange(small), error, color=color, lw=2.0)
        line.set_gid("error, " + name)
    first, last = error[0], error[-1]
    ax.text(0.6, first, f"{first:+.2f}", color=ink(WRONG), fontsize=9, ha="left", va="bottom")
    ax.text(small - 1.6, last, f"{last:+.2f}".replace("-", "−"), color=ink(WRONG), fontsize=9, ha="right", va="top")
    most = 1.45 * max(abs(first), abs(last), 0.1)
    ax.set(
        xlim=(0, small - 1), ylim=(-most, most), xlabel=f"feature, of {small}",
        title=f"How far a feature lands from its place, in pixels of {large}",
    )  # fmt: skip
    return fig
