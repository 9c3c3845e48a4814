"""Pictures to convolve, and the sparse and dense responses of DeepLab v2, Figure 3."""

import numpy as np
from matplotlib.colors import to_hex

from atrous.errors import ParameterError
from atrous.examples.convolution import implanted, sparse_dense_responses, vertical_derivative
from atrous.examples.photographs import halved, photograph
from atrous.figures import draw
from atrous.figures.pictures import picture
from atrous.figures.style import HOLE, INK, INPUT, OUTPUT, SIGNED, TAPS, canvas, styled

MOST_PIXELS = 400


@styled
def figure_sparse_dense_2d(image=None, rate=2):
    """Draw responses of the sub-sampled image, which cover 1/rate² of the positions, above atrous ones, at all.

    Parameters
    ----------
    image : array of shape (H, W), optional
        Grey levels in [0, 1]; `photograph` if none is given. Halved until it has at most 400 pixels a side, more than
        can be seen here.
    rate : int
        Factor of the sub-sampling above, rate of the atrous convolution below.

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Figure 3.
    """
    image = photograph() if image is None else np.asarray(image, float)
    while max(image.shape) > MOST_PIXELS:
        image = halved(image)
    if min(image.shape) < 8:
        raise ParameterError(
            f"figure_sparse_dense_2d: the picture must keep 8 pixels a side when it is made smaller, got {image.shape}."
        )
    sparse, dense = sparse_dense_responses(image, 1.5, rate)
    reach = np.percentile(np.abs(dense), 99.5)
    row, column, size = _liveliest(np.clip(dense, -reach, reach), 20, rate)
    grey = {"cmap": "gray", "vmin": 0, "vmax": 1}
    signed = {"cmap": SIGNED.with_extremes(bad="#C4C4C4"), "vmin": -reach, "vmax": reach}

    wide, small = 1.55, 1.55 / rate
    tall = wide * image.shape[0] / image.shape[1]
    line = max(tall, 1.75) + 0.68  # the filter with its holes needs its room, too
    fig, ax = canvas(2 * line + 0.05)
    at = {"image": 0.1, "sub-sampled": 1.83, "response": 1.83 + 1.72 - small, "sparse": 3.73, "zoom": 5.4}
    rows = (
        (2 * line - 0.5, "sparse", implanted(sparse, image.shape, rate), f"1 of {rate**2} positions",
         f"(a) Standard convolution of the image sub-sampled by {rate}, implanted in the full grid"),
        (line - 0.5, "dense", dense, "all positions", f"(b) Atrous convolution of the full image, rate {rate}"),
    )  # fmt: skip
    for top, role, values, reached, title in rows:
        draw.write(ax, at["image"], top + 0.42, title, size=10)
        picture(fig, at["image"], top, wide, image, "image", color=INPUT, role="image", **grey)
        panel = picture(fig, at["sparse"], top, wide, values, reached, color=OUTPUT, role=role, **signed)
        corners = [(column + a - 0.5, row + b - 0.5) for a, b in ((0, 0), (size, 0), (size, size), (0, size), (0, 0))]
        panel.plot(*zip(*corners, strict=True), color=INK, lw=1.2)
        part = values[row : row + size, column : column + size]
        picture(fig, at["zoom"], top, 1.5, part, "enlarged", role="zoom of " + role, edge=INK, **signed)
    top = 2 * line - 0.5
    picture(
        fig, at["sub-sampled"], top, small, image[::rate, ::rate], f"↓ {rate}", color=INPUT, role="sub-sampled", **grey
    )
    picture(fig, at["response"], top, small, sparse, "response", color=OUTPUT, role="response", **signed)
    side, middle = min(0.095, 1.7 / (6 * rate + 1)), at["sub-sampled"] + 0.86
    _filter(ax, middle, top - small * tall / wide - 0.27, side, vertical_derivative(1.5), 1)
    _filter(ax, middle, line - 0.5 - 0.35, side, vertical_derivative(1.5), rate)
    return fig


def _filter(ax, middle, top, side, w, rate):
    """Draw a filter with its holes, its weights in the colours of the responses: green positive, purple negative."""
    strength = np.abs(w) / np.abs(w).max()
    span = rate * (len(w) - 1) + 1
    colors = [[HOLE] * span for _ in range(span)]
    for (i, j), weight in np.ndenumerate(w):
        colors[rate * i][rate * j] = to_hex(SIGNED(0.5 + 0.5 * np.sign(weight) * (0.12 + 0.88 * strength[i, j])))
    left = middle - span * side / 2
    draw.grid(ax, left, top, colors, side, role=f"filter at rate {rate}", width=0.4)
    draw.frame(ax, left, top, span * side, span * side, TAPS, role="filter edge", line=1.2)
    name = f"filter {len(w)} × {len(w)}" + (f", rate {rate}" if rate > 1 else "")
    draw.write(ax, middle, top + 0.11, name, color=TAPS, ha="center", size=9)


def _liveliest(response, most, step):
    """Return (row, column, size) of the square in which the response varies most, corners on multiples of `step`."""
    size = min(most, *response.shape)

    def window_means(values):
        sums = np.pad(values, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
        rows = sums[size:] - sums[:-size]
        return (rows[:, size:] - rows[:, :-size])[::step, ::step] / size**2

    spread = window_means(response**2) - window_means(response) ** 2
    row, column = np.unravel_index(np.argmax(spread), spread.shape)
    return int(row) * step, int(column) * step, size
