"""Separable atrous convolution: a filter for each channel by itself, then a 1 × 1 mix of the channels."""

import numpy as np

from atrous.figures import draw
from atrous.figures.style import GREY, INPUT, OUTPUT, TAPS, WIDTH, canvas, styled, tint


@styled
def figure_separable(channels=3, filters=4, rate=2):
    """Draw an ordinary convolution's filters beside those of a depthwise one, with a rate, and of the 1 × 1 mix.

    Roles "ordinary", "depthwise" and "pointwise" have one square for each weight.

    References
    ----------
    DeepLab v3+, arXiv:1802.02611, Figure 3.
    """
    fig, ax = canvas(3.05)
    side, top = 0.1, 2.35
    shades = [tint(TAPS, s) for s in np.linspace(0.4, 1, channels)]

    def filters_of(left, y, rows, columns, span, step, role):
        """Draw a table of filters of `span` × `span` squares; a filter has the shade of its channel."""
        pitch = span * side + 0.12
        for i in range(rows):
            for c in range(columns):
                at = left + c * pitch, y - i * pitch
                draw.grid(ax, *at, [["#F1F1F1"] * span] * span, side, role="holes", width=0.5)
                taps = [[shades[c] if u % step == v % step == 0 else None for v in range(span)] for u in range(span)]
                draw.grid(ax, *at, taps, side, role=role, width=0.5, zorder=3)
        return pitch

    ordinary, separable = channels * filters * 9, channels * 9 + channels * filters
    draw.write(ax, 0.15, 2.85, "Ordinary 3 × 3", size=10, fontweight="bold")
    draw.write(ax, 0.15, 2.64, f"{filters} · {channels} · 9 = {ordinary} weights", color=GREY)
    pitch = filters_of(0.15, top, filters, channels, 3, 1, "ordinary")
    draw.write(ax, 0.15, top - filters * pitch - 0.05, "a row for each filter,", color=GREY, size=9)
    draw.write(ax, 0.15, top - filters * pitch - 0.22, "a shade for each channel", color=GREY, size=9)

    left, span = 2.45, 2 * rate + 1
    draw.write(ax, left, 2.85, f"Depthwise, rate {rate}", size=10, fontweight="bold")
    draw.write(ax, left, 2.64, f"{channels} · 9 = {channels * 9} weights", color=GREY)
    pitch = filters_of(left, top, 1, channels, span, rate, "depthwise")
    maps = top - pitch - 0.2
    for y, color, role in ((maps, INPUT, "x"), (maps - 0.75, OUTPUT, "y")):
        for c in range(channels):
            draw.grid(ax, left + c * pitch, y, [[tint(color, 0.35)] * 4] * 4, side, role=role, width=0.5)
    for c in range(channels):
        middle = left + c * pitch + 2 * side
        draw.arrow(ax, (middle, maps - 4 * side - 0.03), (middle, maps - 0.72))
    draw.write(ax, left, maps - 1.3, "each channel by itself", color=GREY, size=9)

    left = 4.95
    draw.write(ax, left, 2.85, "then pointwise", size=10, fontweight="bold")
    draw.write(ax, left, 2.64, f"{filters} · {channels} = {filters * channels} weights", color=GREY)
    pitch = filters_of(left, top, filters, channels, 1, 1, "pointwise")
    draw.write(ax, left, top - filters * pitch - 0.12, "mixes the channels", color=GREY, size=9)
    draw.write(ax, left, top - filters * pitch - 0.5, f"{separable} weights in all,", size=9.5)
    draw.write(ax, left, top - filters * pitch - 0.7, f"{ordinary / separable:.1f} times fewer", size=9.5)
    draw.write(ax, left, top - filters * pitch - 0.95, "(8.7 times at 256 → 256)", color=GREY, size=9)
    assert left + 1.9 < WIDTH
    return fig
