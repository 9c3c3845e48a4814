"""Pictures on a canvas: arrays under a title, rows of them, label maps over a grey photograph."""

import numpy as np
from matplotlib.colors import to_rgb

from atrous.examples.photographs import LUMA
from atrous.figures import draw
from atrous.figures.style import DPI, GREY, INK, WIDTH, tint


def picture(fig, left, top, width, values, title, *, role, color=INK, edge=GREY, **options):
    """Show an array `width` inches wide under its title, with its upper left corner at (left, top); return the axes."""
    height = width * values.shape[0] / values.shape[1]
    wide, tall = fig.get_size_inches()
    ax = fig.add_axes((left / wide, (top - height) / tall, width / wide, height / tall), xticks=[], yticks=[])
    # Pictures with more pixels than the page are smoothed; small ones keep their pixels.
    smooth = "auto" if values.shape[1] > width * DPI else "nearest"
    ax.imshow(values, aspect="auto", interpolation=smooth, interpolation_stage="rgba", **options).set_gid(role)
    ax.spines[:].set(visible=True, color=edge, linewidth=0.8)
    draw.write(fig.axes[0], left, top + 0.12, title, color=color, size=9)
    return ax


def row_of_pictures(image, columns, tallest=1.95):
    """Return (left edges, width, height) of the pictures of one row, in inches."""
    room = (WIDTH - 0.2) / columns
    width = min(room - 0.1, tallest * image.shape[1] / image.shape[0])
    return (
        0.1 + 0.05 + room * np.arange(columns) + (room - 0.1 - width) / 2,
        width,
        width * image.shape[0] / image.shape[1],
    )


def tinted(image, labels, color):
    """Return a picture (H, W, 3) in [0, 1] of the grey image, labels above 0 in shades of `color`, borders in ink."""
    grey = np.asarray(image, float)
    if grey.ndim == 3:
        grey = grey @ LUMA
    grey = grey[..., None] / 255 * np.ones(3)
    count = max(2, int(labels.max()) + 1)
    out = np.where((labels == 0)[..., None], 0.35 + 0.65 * grey, 0.0)
    for label in range(1, count):
        shade = (
            np.array(to_rgb(tint(color, 0.45 + 0.55 * (label - 1) / max(1, count - 2)))) if count > 2 else to_rgb(color)
        )
        out[labels == label] = (0.4 * grey + 0.6 * np.asarray(shade))[labels == label]
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    out[edge] = to_rgb(INK)
    return out
