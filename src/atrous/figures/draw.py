"""Strokes that the figures share: rows of samples, stems, tap lines, grids of squares, words beside them.

All positions are inches on a `canvas`. Every artist carries its role as gid, so that tests can count what was drawn.
"""

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection

from atrous.figures.style import GREY, INK, PAPER, ink


def dots(ax, x, y, color, *, role, size=0.13, hollow=False, edge=None, width=1.1, zorder=3):
    """Draw samples as circles of `size` inches."""
    x, y = np.broadcast_arrays(np.asarray(x, float), y)
    face = PAPER if hollow else color
    points = ax.scatter(x, y, s=(72 * size) ** 2, c=face, edgecolors=edge or color, linewidths=width, zorder=zorder)
    points.set_gid(role)
    return points


def rings(ax, x, y, color, *, role, size=0.17, width=1.3, zorder=6):
    """Draw open circles around what is there."""
    points = ax.scatter(x, y, s=(72 * size) ** 2, facecolors="none", edgecolors=color, linewidths=width, zorder=zorder)
    points.set_gid(role)
    return points


def links(ax, starts, ends, color, *, role, width=1.2, zorder=2):
    """Draw a line from each of `starts` (x, y) to its partner in `ends`."""
    starts, ends = np.broadcast_arrays(np.asarray(starts, float), np.asarray(ends, float))
    lines = LineCollection(np.stack([starts, ends], axis=1), colors=color, linewidths=width, zorder=zorder)
    lines.set_gid(role)
    return ax.add_collection(lines, autolim=False)


def stems(ax, x, base, values, scale, color, *, role, head=0.065):
    """Draw values as stems on the line y = base, `scale` inches for 1."""
    x, tips = np.asarray(x, float), base + scale * np.asarray(values, float)
    links(ax, np.column_stack([x, np.full_like(x, base)]), np.column_stack([x, tips]), color, role=role + " stem")
    return dots(ax, x, tips, color, role=role, size=head)


def grid(ax, left, top, colors, side, *, role, labels=None, edge=PAPER, width=1.0, label_ink=INK, size=9, zorder=2):
    """Draw rows of squares from the upper left corner (left, top) downwards, with labels if given.

    `colors` is a nested list of rows; None leaves a place empty.
    """
    corners, faces = [], []
    for i, row in enumerate(colors):
        for j, color in enumerate(row):
            if color is None:
                continue
            x, y = left + j * side, top - i * side
            corners.append([(x, y), (x + side, y), (x + side, y - side), (x, y - side)])
            faces.append(color)
            if labels is not None:
                write(
                    ax, x + side / 2, y - side / 2, str(labels[i][j]),
                    color=label_ink(i, j) if callable(label_ink) else label_ink,
                    ha="center", va="center_baseline", size=size, zorder=zorder + 1,
                )  # fmt: skip
    squares = PolyCollection(corners, facecolors=faces, edgecolors=edge, linewidths=width, zorder=zorder)
    squares.set_gid(role)
    return ax.add_collection(squares, autolim=False)


def frame(ax, left, top, width, height, color, *, role, line=1.8, zorder=4):
    """Draw an empty box from its upper left corner."""
    corners = [(left, top), (left + width, top), (left + width, top - height), (left, top - height)]
    box = PolyCollection([corners], facecolors="none", edgecolors=color, linewidths=line, zorder=zorder)
    box.set_gid(role)
    return ax.add_collection(box, autolim=False)


def write(ax, x, y, text, *, color=INK, ha="left", va="center", size=9.5, **options):
    """Write words at (x, y), in the ink that goes with `color`."""
    return ax.text(x, y, text, color=ink(color), ha=ha, va=va, fontsize=size, **options)


def arrow(ax, start, end, *, color=GREY):
    """Draw an arrow from `start` to `end`."""
    style = {"arrowstyle": "-|>,head_width=0.22,head_length=0.4", "color": color, "lw": 1.2}
    mark = ax.annotate("", end, start, arrowprops={**style, "shrinkA": 0, "shrinkB": 0}, annotation_clip=False)
    mark.set_gid("arrow")
    return mark
