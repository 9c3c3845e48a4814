"""Scenes and what a network makes of them: pages of pictures in rows, and the colours of the classes below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from atrous._types import Array
from atrous.data.classes import classes_of
from atrous.data.palettes import VOID, colourize
from atrous.data.scenes import make_scene
from atrous.figures.style import GREY, WIDTH, styled

GAP, HEAD, LEGEND, NOTE = 0.08, 0.3, 0.32, 0.2  # inches


def _picture(fig, left, top, width, height, values, role):
    """Show an array (H, W, 3) uint8 with its upper left corner at (left, top), all in inches from the lower left."""
    wide, tall = fig.get_size_inches()
    ax = fig.add_axes((left / wide, (top - height) / tall, width / wide, height / tall), xticks=[], yticks=[])
    ax.imshow(values, aspect="auto", interpolation="nearest" if values.shape[1] < 200 else "auto").set_gid(role)
    ax.spines[:].set(visible=True, color=GREY, linewidth=0.6)


def picture_page(
    rows: Sequence[Sequence[Array]], heads: Sequence[str], names: Sequence[str], palette: Array,
    notes: Sequence[str] = (),
):  # fmt: skip
    """Return a Figure of pictures (H, W, 3) uint8 in rows under the heads of their columns.

    A note may stand below each row. The last line has the names of the classes in their colours, as many as fit.
    """
    width = (WIDTH - GAP * (len(heads) + 1)) / len(heads)
    foot = NOTE if notes else 0.0
    heights = [max(p.shape[0] / p.shape[1] for p in row) * width for row in rows]
    tall = HEAD + sum(heights) + len(rows) * (GAP + foot) + LEGEND
    fig, top = Figure(figsize=(WIDTH, tall)), tall - HEAD
    lefts = GAP + np.arange(len(heads)) * (width + GAP)
    for left, head in zip(lefts, heads, strict=True):
        fig.text(left / WIDTH, (top + 0.09) / tall, head, fontsize=9.5)
    for i, row in enumerate(rows):
        for left, head, values in zip(lefts, heads, row, strict=True):
            _picture(fig, left, top, width, width * values.shape[0] / values.shape[1], values, head)
        if notes:
            fig.text(GAP / WIDTH, (top - heights[i] - 0.15) / tall, notes[i], fontsize=9, color=GREY)
        top -= heights[i] + GAP + foot
    legend = [*zip(names, palette, strict=False), ("void", colourize(np.array(VOID)))]
    left = GAP
    for name, color in legend:
        room = 0.42 + 0.075 * len(name)
        if left + room > WIDTH:
            break
        _picture(fig, left, 0.24, 0.14, 0.14, np.uint8(color)[None, None], "legend")
        fig.text((left + 0.2) / WIDTH, 0.125 / tall, name, fontsize=9)
        left += room
    return fig


@styled
def figure_scenes(rows: int = 3, pairs: int = 3, **options):
    """Draw a page of scenes beside their labels.

    Parameters
    ----------
    rows, pairs : int
        Scenes below each other and beside each other.
    **options
        Of `make_scene`.

    Returns
    -------
    Figure
    """
    classes = classes_of(6, "scenes")
    drawn = [make_scene(np.random.default_rng([7, i]), **options) for i in range(rows * pairs)]
    flat = [picture for image, labels in drawn for picture in (image, colourize(labels))]
    page = [flat[2 * pairs * i : 2 * pairs * (i + 1)] for i in range(rows)]
    return picture_page(page, ("scene", "labels") * pairs, classes.names, classes.palette)


@styled
def figure_predictions(samples, predictions, names: Sequence[str], palette: Array | None = None, notes=()):
    """Draw images, their labels and what a network predicts, a row for each image.

    Parameters
    ----------
    samples : sequence of (image, labels)
        (H, W, 3) uint8 and (H, W), 255 for void.
    predictions : sequence of ndarray (H, W)
    names : sequence of str
        Of the classes.
    palette : ndarray of shape (L, 3), optional
        By default that of `classes_of`.
    notes : sequence of str
        A line for each image.

    Returns
    -------
    Figure
    """
    palette = classes_of(len(names)).palette if palette is None else palette
    rows = [
        (image, colourize(labels, palette), colourize(found, palette))
        for (image, labels), found in zip(samples, predictions, strict=True)
    ]
    return picture_page(rows, ("image", "labels", "prediction"), names, palette, notes)
