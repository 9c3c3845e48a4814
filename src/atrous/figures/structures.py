"""How networks see context and keep outlines, as rows of feature maps: four ways, the cascade, v3+'s decoder.

A bar is a feature map seen from the side, as tall as its resolution: blue the image, orange features, green scores.
"""

import numpy as np
from matplotlib.collections import PolyCollection

from atrous.figures import draw
from atrous.figures.style import GREY, INPUT, OUTPUT, TAPS, WIDTH, canvas, styled, tint


def _slabs(ax, lefts, base, heights, color, *, role, width=0.12):
    """Draw feature maps seen from the side, as tall as their resolution, their middles at the height `base`."""
    lefts, base, heights = np.broadcast_arrays(np.asarray(lefts, float), base, heights)
    corners = [
        [(x, y - h / 2), (x + width, y - h / 2), (x + width, y + h / 2), (x, y + h / 2)]
        for x, y, h in zip(lefts.ravel(), base.ravel(), heights.ravel(), strict=True)
    ]
    slabs = PolyCollection(corners, facecolors=tint(color, 0.55), edgecolors=color, linewidths=1.2, zorder=3)
    slabs.set_gid(role)
    return ax.add_collection(slabs, autolim=False)


def _run(ax, x, y, heights, *, step=0.33, role="maps", last=False):
    """Draw an image and the maps behind it with arrows between; `last` are scores. Return the last right edge."""
    lefts = x + step * np.arange(len(heights))
    _slabs(ax, lefts[:1], y, heights[:1], INPUT, role="image")
    middle = slice(1, len(heights) - 1 if last else None)
    _slabs(ax, lefts[middle], y, heights[middle], TAPS, role=role)
    if last:
        _slabs(ax, lefts[-1:], y, heights[-1:], OUTPUT, role="scores")
    for left in lefts[1:]:
        draw.arrow(ax, (left - step + 0.15, y), (left - 0.03, y))
    return lefts[-1] + 0.12


@styled
def figure_context_ways():
    """Draw the four ways to see context at several scales: image pyramid, encoder-decoder, cascade, spatial pyramid.

    A bar is a feature map seen from the side, as tall as its resolution: blue the image, orange features, green scores.

    References
    ----------
    DeepLab v3, arXiv:1706.05587, Figure 2.
    """
    fig, ax = canvas(4.75)
    columns, rows, tall = (0.15, 3.7), (3.5, 1.05), 1.3
    titles = (
        ("(a) Image pyramid", "the same weights at every size, fused"),
        ("(b) Encoder-decoder", "shrink for context, grow for outlines"),
        ("(c) Deeper with atrous convolution", "rates 2, 4, 8, 16 instead of strides"),
        ("(d) Spatial pyramid pooling", "several rates side by side: ASPP"),
    )
    for (title, words), (y, x) in zip(titles, [(y, x) for y in rows for x in columns], strict=True):
        draw.write(ax, x, y + 1.1, title, size=10, fontweight="bold")
        draw.write(ax, x, y + 0.88, words, color=GREY, size=9)

    x, y = columns[0], rows[0] - 0.1  # (a)
    for scale, name, place in ((1, "1", 0.4), (0.75, "¾", -0.2), (0.5, "½", -0.66)):
        end = _run(ax, x, y + place, 0.62 * scale * np.array([1, 0.6, 0.4, 0.4]), step=0.42)
        draw.links(ax, [(end + 0.03, y + place)], [(x + 2.3, y - 0.05)], GREY, role="way")
        draw.write(ax, x + 0.74, y + place + 0.124 * scale + 0.11, f"size {name}", color=GREY, size=9)
    _slabs(ax, [x + 2.3], y - 0.05, 0.25, OUTPUT, role="scores")
    draw.write(ax, x + 2.5, y - 0.05, "max, mean", size=9)

    x, y = columns[1], rows[0] - 0.12  # (b)
    heights = tall * np.array([1, 0.5, 0.25, 0.125, 0.25, 0.5, 1])
    _run(ax, x, y, heights, step=0.46, last=True)
    for start, end in ((1, 5), (2, 4)):
        level = y - heights[start] / 2 - 0.12
        edges = [x + 0.46 * i + 0.06 for i in (start, end)]
        draw.links(ax, [(edges[0], level + 0.1), (edges[0], level)], [(edges[0], level), (edges[1], level)], GREY,
                   role="skip")  # fmt: skip
        draw.arrow(ax, (edges[1], level), (edges[1], level + 0.11))

    x, y = columns[0], rows[1] - 0.12  # (c)
    heights = tall * np.array([1, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25])
    _run(ax, x, y, heights, step=0.42, last=True)
    for i, rate in enumerate((2, 4, 8, 16), start=3):
        draw.write(ax, x + 0.42 * i + 0.06, y + 0.28, f"{rate}", color=TAPS, ha="center")
    draw.write(ax, x + 0.42 * 2 + 0.06, y + 0.28, "rate", color=TAPS, ha="center")

    x, y = columns[1], rows[1] - 0.12  # (d)
    end = _run(ax, x, y, tall * np.array([1, 0.5, 0.25]), step=0.42)
    names = ("1 × 1", "rate 6", "rate 12", "rate 18", "image pooling")
    for name, place in zip(names, np.linspace(0.62, -0.62, 5), strict=True):
        draw.links(ax, [(end + 0.03, y)], [(x + 1.38, y + place)], GREY, role="way")
        _slabs(ax, [x + 1.38], y + place, 0.22, TAPS, role="branch", width=1.08)
        draw.write(ax, x + 1.92, y + place, name, ha="center", va="center_baseline", size=9, zorder=5)
        draw.links(ax, [(x + 2.46, y + place)], [(x + 2.75, y)], GREY, role="way")
    _slabs(ax, [x + 2.75], y, tall / 4, TAPS, role="joined", width=0.24)
    draw.arrow(ax, (x + 3.01, y), (x + 3.1, y))
    return fig


@styled
def figure_cascade(image=513):
    """Draw blocks 1 to 7 of a cascade with strides, and with rates in their place from output stride 16 on.

    Roles "maps" are the outputs of the blocks; the numbers below them are their sizes for an image of this size.

    References
    ----------
    DeepLab v3, arXiv:1706.05587, Figure 3.
    """
    fig, ax = canvas(3.5)
    step, tall, x = 0.74, 0.95, 0.2
    rows = (
        ("(a) With strides: the last map is a few pixels", [1, 4, 8, 16, 32, 64, 128, 256, 256], [1] * 9, 2.55),
        ("(b) With rates: the output stride stays 16", [1, 4, 8] + [16] * 6, [1, 1, 1, 1, 2, 4, 8, 16, 1], 0.85),
    )
    names = ("image", *(f"block {i}" for i in range(1, 8)), "scores")
    for title, strides, rates, y in rows:
        draw.write(ax, x, y + 0.83, title, size=10, fontweight="bold")
        _run(ax, x + 0.2, y, tall * np.maximum(0.06, np.array(strides, float) ** -0.6), step=step, last=True)
        for i, (name, stride, rate) in enumerate(zip(names, strides, rates, strict=True)):
            middle = x + 0.26 + step * i
            draw.write(ax, middle, y - 0.58, f"{(image - 1) // stride + 1}", color=GREY, ha="center", size=9)
            if 0 < i < 8:
                draw.write(ax, middle, y - 0.42, name, ha="center", size=9)
            if rate > 1:
                draw.write(ax, middle, y + 0.36, f"rate {rate}", color=TAPS, ha="center", size=9)
    return fig


@styled
def figure_decoders():
    """Draw three ways from features to outlines: a spatial pyramid, an encoder-decoder, and both with atrous taps.

    References
    ----------
    DeepLab v3+, arXiv:1802.02611, Figure 1.
    """
    fig, ax = canvas(2.35)
    room, tall, y, step = (WIDTH - 0.2) / 3, 1.15, 0.85, 0.3
    # Title, words, heights of the maps, pairs joined by a skip, and whether the last small map is a pyramid.
    panels = (
        ("(a) Spatial pyramid", "coarse, enlarged at once", [1, 0.5, 0.25, 0.25, 1], [], True),
        ("(b) Encoder-decoder", "fine, little context", [1, 0.5, 0.25, 0.125, 0.25, 0.5, 1], [(1, 5), (2, 4)], False),
        ("(c) Both: v3+", "rates within, one early map", [1, 0.5, 0.25, 0.25, 0.5, 1], [(1, 4)], True),
    )
    for panel, (title, words, heights, skips, pyramid) in enumerate(panels):
        x = 0.15 + panel * room
        draw.write(ax, x, 2.15, title, size=10, fontweight="bold")
        draw.write(ax, x, 1.94, words, color=GREY, size=9)
        _run(ax, x, y, tall * np.array(heights), step=step, last=True)
        if pyramid:
            at = x + step * heights.index(0.25, 3) + 0.06
            draw.write(ax, at, y + 0.32, "ASPP", color=TAPS, ha="center", size=9)
        for start, end in skips:
            level = y - tall * heights[start] / 2 - 0.13
            edges = [x + step * i + 0.06 for i in (start, end)]
            draw.links(ax, [(edges[0], level + 0.11), (edges[0], level)], [(edges[0], level), (edges[1], level)], GREY,
                       role="skip")  # fmt: skip
            draw.arrow(ax, (edges[1], level), (edges[1], level + 0.12))
    return fig
