"""Atrous spatial pyramid pooling: where its taps fall, what its branches answer, how many taps find a sample."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from atrous.examples.convolution import branch_answers, impulse_answers, valid_taps
from atrous.examples.photographs import halved, photograph
from atrous.figures import draw
from atrous.figures.fields import tap_offsets
from atrous.figures.images import MOST_PIXELS
from atrous.figures.pictures import picture
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

# All are taps, hence warm: the wider the rate, the darker.
WARM = ("#F2C230", TAPS, "#C45A11", "#6B2F0A")
MOST_FEATURES = 40


def shades(count):
    """Return colours for `count` rates, from light to dark."""
    return [WARM[round(i * (len(WARM) - 1) / max(1, count - 1))] for i in range(count)]


@styled
def figure_aspp_taps(rates=(6, 12, 18, 24)):
    """Draw the samples that filters at several rates read around one pixel, and the squares that they span.

    Roles "taps at rate r" are the samples, "field at rate r" the squares.

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Figure 4.
    """
    widest = max(rates) * (3 - 1) + 1
    size = widest + 4
    side = 4.3 / size
    fig, ax = canvas(4.3 + 0.2)
    left, top, centre = 0.1, fig.get_figheight() - 0.1, size // 2
    draw.grid(ax, left, top, [[tint(INPUT, 0.16)] * size] * size, side, role="samples", width=0.3)
    for rate, color in reversed(list(zip(rates, shades(len(rates)), strict=True))):
        span = rate * (3 - 1) + 1
        corner = (size - span) / 2
        x, y = left + corner * side, top - corner * side
        wash = [[tint(color, 0.25)] * span] * span
        draw.grid(ax, x, y, wash, side, role="wash", width=0.3, edge=tint(color, 0.13), zorder=2)
        draw.frame(ax, x, y, span * side, span * side, color, role=f"field at rate {rate}", line=2.0, zorder=4)
    for rate, color in zip(rates, shades(len(rates)), strict=True):
        places = centre + 0.5 + tap_offsets(rate)
        draw.dots(
            ax, left + places[:, 1] * side, top - places[:, 0] * side, color,
            role=f"taps at rate {rate}", size=0.12, edge=INK, width=0.7, zorder=6,
        )  # fmt: skip
    middle = left + (centre + 0.5) * side, top - (centre + 0.5) * side
    draw.dots(ax, *middle, OUTPUT, role="output", size=0.15, edge=INK, width=0.7, zorder=7)
    x, room = left + size * side + 0.3, 0.86
    y = top - 0.1
    draw.write(ax, x, y, "One output, all rates,", color=OUTPUT, size=10)
    draw.write(ax, x, y - 0.2, f"{3**2} weights each", size=10)
    for row, (rate, color) in enumerate(zip(rates, shades(len(rates)), strict=True)):
        span, y = rate * (3 - 1) + 1, top - 0.75 - room * row
        draw.frame(ax, x, y + 0.1, 0.2, 0.2, color, role="key", line=2.0)
        draw.dots(ax, x + 0.1, y, color, role="key", size=0.1, edge=INK, width=0.7)
        draw.write(ax, x + 0.32, y, f"rate {rate}", size=10, fontweight="bold")
        draw.write(ax, x + 0.32, y - 0.22, f"spans {span} × {span}")
        draw.write(ax, x + 0.32, y - 0.42, f"reads {3**2} of {span**2} samples", color=GREY)
    return fig


@styled
def figure_aspp_responses(image=None):
    """Draw what the branches of ASPP answer to one feature, over the photograph, and to the photograph itself.

    Above, a single feature sends its answer to one place (1 × 1), to nine (a rate), or everywhere (image pooling).
    Below, the same branches look at the photograph: as it is, as the mean of nine distant samples, as one mean.

    Parameters
    ----------
    image : array of shape (H, W), optional
        Grey levels in [0, 1]; `photograph` if none is given. A feature stands for as many pixels as leave at most 40
        features a side.

    References
    ----------
    DeepLab v3, arXiv:1706.05587, Figure 5.
    """
    image = photograph() if image is None else np.asarray(image, float)
    while max(image.shape) > MOST_PIXELS and min(image.shape) > 1:
        image = halved(image)
    stride = max(1, -(-max(image.shape) // MOST_FEATURES))
    height, width = (-(-n // stride) for n in image.shape)
    place = (height // 2, width // 2)
    impulse = impulse_answers((height, width), (6, 12, 18), place)
    answers = branch_answers(image, [rate * stride for rate in (6, 12, 18)])
    room = (WIDTH - 0.1) / len(impulse)
    wide = min(room - 0.1, 2.9 * image.shape[1] / image.shape[0])
    tall = max(wide * image.shape[0] / image.shape[1], 0.3)
    fig, ax = canvas(2 * tall + 1.4)
    top = fig.get_figheight() - 0.62
    second = top - tall - 0.68
    draw.write(ax, 0.1, top + 0.42, "One feature (ring) and the outputs that read it, over the image", size=10)
    draw.write(ax, 0.1, second + 0.42, "What each branch sees of the image, weights all equal", size=10)
    grey = {"cmap": "gray", "vmin": 0, "vmax": 1}
    whole = (-0.5, width - 0.5, height - 0.5, -0.5)
    for i, ((name, values), seen) in enumerate(zip(impulse.items(), answers.values(), strict=True)):
        left, color = 0.1 + i * room, TAPS if name.startswith("rate") else INK
        panel = picture(fig, left, top, wide, 0.5 + 0.5 * image, name, role="image", color=color, extent=whole, **grey)
        if name == "image pooling":
            panel.imshow(
                values, cmap=LinearSegmentedColormap.from_list("wash", [OUTPUT, OUTPUT]), alpha=0.4, aspect="auto"
            ).set_gid("answer of " + name)
        else:
            rows, columns = np.nonzero(values)
            panel.scatter(columns, rows, s=28, c=OUTPUT, edgecolors=PAPER, linewidths=0.8, zorder=4).set_gid(
                "answer of " + name
            )
        # Nine samples of which some are zeros are dark: each rate in its own range.
        most = np.percentile(seen, 99.8) if name.startswith("rate") else 1
        draw.rings(panel, place[1], place[0], INPUT, role="feature", size=0.15, width=1.8)
        panel.set(xlim=whole[:2], ylim=whole[2:])
        picture(fig, left, second, wide, seen, name, role="answer to the image", color=color, **{**grey, "vmax": most})
    return fig


@styled
def figure_valid_taps(size=65):
    """Draw at which fraction of a map's positions 1, 4 or all 9 taps of a 3 × 3 filter find a sample, over the rate.

    The dashed lines are what the paper leaves out, positions at an edge where 6 or 2 taps do; only with them do the
    fractions add up to 1. (3 would take a map that is not square: all taps inside along one axis, one along the other.)

    References
    ----------
    DeepLab v3, arXiv:1706.05587, Figure 4.
    """
    from matplotlib.figure import Figure

    rates = np.arange(1, round(1.23 * size) + 1)
    found = [valid_taps(size, int(rate)) for rate in rates]
    fig = Figure(figsize=(WIDTH, 3.3))
    ax = fig.add_axes((0.085, 0.15, 0.895, 0.76))
    lines = {
        9: (OUTPUT, "-", 2.2),
        4: (TAPS, "-", 2.2),
        1: (WRONG, "-", 2.2),
        6: (GREY, "--", 1.2),
        2: (GREY, "--", 1.2),
    }
    for number, (color, style, width) in lines.items():
        values = np.array([f[number] for f in found])
        (line,) = ax.plot(rates, values, color=color, ls=style, lw=width, zorder=3 if style == "-" else 2)
        line.set_gid(f"{number} taps")
        best = int(np.argmax(values))
        at = {
            9: (rates[0] + 1.6, 0.9, "all 9 taps inside", "left"),
            1: (size + 1, 0.93, "1 tap, as 1 × 1", "left"),
            4: (rates[best], values[best] + 0.045, "4 taps", "center"),
            6: (rates[best], values[best] + 0.045, "6", "center"),
            2: (rates[best] + 0.5, values[best] + 0.045, "2", "center"),
        }[number]
        ax.text(*at[:3], color=ink(color), ha=at[3], va="center", fontsize=9.5)
    ax.axvline(size, color=HOLE, lw=1.0, zorder=1)
    ax.text(size + 1, 0.06, "rate = size", color=GREY, ha="left", va="center", fontsize=9)
    ax.set(
        xlim=(0, rates[-1] + 0.5), ylim=(0, 1.06), xlabel="rate",
        title=f"Fraction of the positions of a {size} × {size} map, 3 × 3 filter",
    )  # fmt: skip
    return fig
