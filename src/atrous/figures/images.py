"""Pictures to convolve, and the sparse and dense responses of DeepLab v2, Figure 3."""

from functools import partial
from pathlib import Path

import numpy as np

from atrous import atrous_conv
from atrous.errors import ParameterError
from atrous.figures import draw
from atrous.figures.style import GREY, HOLE, INK, INPUT, OUTPUT, SIGNED, TAPS, canvas, styled, tint

LUMA = np.array([0.299, 0.587, 0.114])
MOST_PIXELS = 400


def photograph(path=None):
    """Return a picture as grey levels (H, W), float64 in [0, 1].

    Parameters
    ----------
    path : path, optional
        Any file that Pillow reads. Without one, the portrait of Grace Hopper that comes with Matplotlib, or
        `drawn_scene` where that file is missing.
    """
    from matplotlib.cbook import get_sample_data
    from PIL import Image, ImageOps

    if path is None:
        path = Path(get_sample_data("grace_hopper.jpg", asfileobj=False))
        if not path.is_file():
            return drawn_scene()
    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture)
            if upright.mode.startswith(("I", "F")):  # 16 bits and more, which Pillow would clip to 255
                grey = np.asarray(upright, float)
                return grey / max(65535.0 if upright.mode.startswith("I") else 0.0, grey.max(), 1e-300)
            return np.asarray(upright.convert("RGB"), float) @ LUMA / 255
    except FileNotFoundError:
        raise ParameterError(f"photograph: there is no file {str(path)!r}.") from None
    except (OSError, SyntaxError, Image.DecompressionBombError):
        raise ParameterError(f"photograph: {str(path)!r} is not a picture that Pillow can read.") from None


def drawn_scene(size=(300, 256), seed=0):
    """Return a drawn picture (H, W), float64 in [0, 1]: a sky, a sun, hills, a striped house, a little grain."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    v, u = rows / size[0], columns / size[1]
    scene = 0.85 - 0.5 * v
    scene[(u - 0.75) ** 2 + (v * size[0] / size[1] - 0.25) ** 2 < 0.012] = 0.98
    for height, wave, shade in ((0.55, 3.0, 0.5), (0.68, 5.0, 0.35)):
        ground = v > height + 0.05 * np.sin(2 * np.pi * wave * u / 2 + wave)
        scene[ground] = shade + 0.15 * (v - height)[ground]
    wall = (np.abs(u - 0.35) < 0.17) & (v > 0.5) & (v < 0.85)
    scene[wall] = 0.65 + 0.2 * np.sign(np.sin(2 * np.pi * v * 24))[wall]
    scene[(v > 0.34) & (v < 0.5) & (np.abs(u - 0.35) < 1.4 * (v - 0.34))] = 0.2
    scene[(np.abs(u - 0.35) < 0.04) & (v > 0.68) & (v < 0.85)] = 0.1
    return np.clip(scene + 0.01 * np.random.default_rng(seed).standard_normal(size), 0, 1)


def vertical_derivative(sigma=1.5, size=7):
    """Return the vertical Gaussian derivative w(u, v) = −v/σ²·exp(−(u² + v²)/(2σ²)), v counted downwards.

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Figure 3, which does not give σ.
    """
    v, u = np.mgrid[0:size, 0:size] - size // 2
    return -v / sigma**2 * np.exp(-(u**2 + v**2) / (2 * sigma**2))


def sparse_dense_responses(image, sigma=1.5, rate=2):
    """Return the responses of the sub-sampled image (H/rate, W/rate), and those at all positions (H, W)."""
    w = vertical_derivative(sigma)[None, None]
    sparse = atrous_conv(np.ascontiguousarray(image[::rate, ::rate])[None, None], w)[0, 0]
    return sparse, atrous_conv(image[None, None], w, rate=rate)[0, 0]


def implanted(sparse, shape, rate):
    """Return an array of `shape` with `sparse` at every rate-th row and column, NaN elsewhere."""
    grid = np.full(shape, np.nan)
    grid[::rate, ::rate] = sparse
    return grid


@styled
def figure_sparse_dense_2d(image=None, sigma=1.5, rate=2, crop=None):
    """Draw responses of the sub-sampled image, which cover 1/rate² of the positions, above atrous ones, at all.

    Parameters
    ----------
    image : array of shape (H, W), optional
        Grey levels in [0, 1]; `photograph` if none is given. Halved until it has at most 400 pixels a side, more than
        can be seen here.
    sigma : float
        Width of the filter, `vertical_derivative`.
    rate : int
        Factor of the sub-sampling above, rate of the atrous convolution below.
    crop : tuple (row, column, size), optional
        The square that is shown enlarged; where the response varies most if none is given.

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Figure 3.
    """
    image = photograph() if image is None else np.asarray(image, float)
    while max(image.shape) > MOST_PIXELS:
        image = _halved(image)
    if min(image.shape) < 8:
        raise ParameterError(
            f"figure_sparse_dense_2d: the picture must keep 8 pixels a side when it is made smaller, got {image.shape}."
        )
    sparse, dense = sparse_dense_responses(image, sigma, rate)
    reach = np.percentile(np.abs(dense), 99.5)
    row, column, size = crop or _liveliest(np.clip(dense, -reach, reach), 20, rate)
    grey = {"cmap": "gray", "vmin": 0, "vmax": 1}
    signed = {"cmap": SIGNED.with_extremes(bad="#C4C4C4"), "vmin": -reach, "vmax": reach}

    wide, small = 1.55, 1.55 / rate
    tall = wide * image.shape[0] / image.shape[1]
    line = max(tall, 1.75) + 0.68  # the filter with its holes needs its room, too
    fig, ax = canvas(2 * line + 0.05)
    picture = partial(_picture, fig, ax)
    at = {"image": 0.1, "sub-sampled": 1.83, "response": 1.83 + 1.72 - small, "sparse": 3.73, "zoom": 5.4}
    rows = (
        (2 * line - 0.5, "sparse", implanted(sparse, image.shape, rate), f"1 of {rate**2} positions",
         f"(a) Standard convolution of the image sub-sampled by {rate}, implanted in the full grid"),
        (line - 0.5, "dense", dense, "all positions", f"(b) Atrous convolution of the full image, rate {rate}"),
    )  # fmt: skip
    for top, role, values, reached, title in rows:
        draw.write(ax, at["image"], top + 0.42, title, size=10)
        picture(at["image"], top, wide, image, "image", color=INPUT, role="image", **grey)
        panel = picture(at["sparse"], top, wide, values, reached, color=OUTPUT, role=role, **signed)
        corners = [(column + a - 0.5, row + b - 0.5) for a, b in ((0, 0), (size, 0), (size, size), (0, size), (0, 0))]
        panel.plot(*zip(*corners, strict=True), color=INK, lw=1.2)
        part = values[row : row + size, column : column + size]
        picture(at["zoom"], top, 1.5, part, "enlarged", role="zoom of " + role, edge=INK, **signed)
    top = 2 * line - 0.5
    picture(at["sub-sampled"], top, small, image[::rate, ::rate], f"↓ {rate}", color=INPUT, role="sub-sampled", **grey)
    picture(at["response"], top, small, sparse, "response", color=OUTPUT, role="response", **signed)
    side, middle = min(0.095, 1.7 / (6 * rate + 1)), at["sub-sampled"] + 0.86
    _filter(ax, middle, top - small * tall / wide - 0.27, side, vertical_derivative(sigma), 1)
    _filter(ax, middle, line - 0.5 - 0.35, side, vertical_derivative(sigma), rate)
    return fig


def _picture(fig, ax, left, top, width, values, title, *, role, color=INK, edge=GREY, **options):
    """Show an array `width` inches wide, its upper left corner at (left, top), under its name."""
    height = width * values.shape[0] / values.shape[1]
    page_width, page_height = fig.get_size_inches()
    box = (left / page_width, (top - height) / page_height, width / page_width, height / page_height)
    panel = fig.add_axes(box, xticks=[], yticks=[])
    panel.imshow(values, aspect="auto", interpolation="auto", interpolation_stage="rgba", **options).set_gid(role)
    panel.spines[:].set(visible=True, color=edge, linewidth=0.8)
    draw.write(ax, left, top + 0.13, title, color=color, size=9)
    return panel


def _filter(ax, middle, top, side, w, rate):
    """Draw a filter with its holes: orange weights are positive, brown ones negative."""
    strength = np.abs(w) / np.abs(w).max()
    span = rate * (len(w) - 1) + 1
    colors = [[HOLE] * span for _ in range(span)]
    for (i, j), weight in np.ndenumerate(w):
        colors[rate * i][rate * j] = tint(TAPS if weight >= 0 else "#6B4700", 0.08 + 0.92 * strength[i, j])
    draw.grid(ax, middle - span * side / 2, top, colors, side, role=f"filter at rate {rate}", width=0.4)
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


def _halved(image):
    """Return the means of 2 × 2 pixels."""
    height, width = (n // 2 * 2 for n in image.shape)
    return image[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
