"""Photographs to try things on, and rough labels for the portrait that comes with Matplotlib."""

from pathlib import Path

import numpy as np

from atrous import CRFParams
from atrous.errors import ParameterError

LUMA = np.array([0.299, 0.587, 0.114])


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


def halved(image):
    """Return the means of 2 × 2 pixels."""
    height, width = (n // 2 * 2 for n in image.shape)
    return image[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))


# Rough outlines over Matplotlib's portrait of Grace Hopper, in shares of width and height; later ones lie on top.
PORTRAIT = (
    (2, ((0.02, 1.0), (0.09, 0.64), (0.33, 0.57), (0.46, 0.62), (0.63, 0.54), (0.88, 0.67), (0.94, 1.0))),
    (2, ((0.3, 0.25), (0.36, 0.07), (0.66, 0.03), (0.77, 0.2), (0.7, 0.28))),
    (1, ((0.35, 0.26), (0.67, 0.23), (0.75, 0.37), (0.6, 0.58), (0.58, 0.66), (0.45, 0.65), (0.43, 0.56), (0.29, 0.4))),
)
PORTRAIT_PARAMS = CRFParams(bilateral_weight=10.0, sigma_alpha=30.0, sigma_beta=10.0)


def colour_photograph(path=None, width=256):
    """Return a picture as colour levels (H, W, 3), uint8, at most `width` wide and 1.25·`width` high.

    Parameters
    ----------
    path : path, optional
        As for `photograph`.
    width : int
        Larger pictures are reduced to it.
    """
    from PIL import Image, ImageOps

    grey = photograph(path)
    picture = Image.fromarray(np.rint(255 * grey).astype(np.uint8)).convert("RGB")
    file = _portrait_file() if path is None else Path(path)
    if file.is_file():
        with Image.open(file) as source:
            if not source.mode.startswith(("I", "F")):
                picture = ImageOps.exif_transpose(source).convert("RGB")
    scale = min(1.0, width / picture.width, 1.25 * width / picture.height)
    size = tuple(max(1, round(scale * n)) for n in picture.size)
    return np.asarray(picture.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST))


def _portrait_file():
    from matplotlib.cbook import get_sample_data

    return Path(get_sample_data("grace_hopper.jpg", asfileobj=False))


def rough_labels(size, outlines=PORTRAIT):
    """Return labels (H, W) as somebody might draw them in a minute: polygons, and 0 outside them.

    Parameters
    ----------
    size : tuple (H, W)
    outlines : tuple of (label, points), or None
        Points (x, y) in shares of width and height; None draws one ellipse in the middle, label 1.
    """
    from PIL import Image, ImageDraw

    height, width = size
    picture = Image.new("L", (width, height), 0)
    pen = ImageDraw.Draw(picture)
    if outlines is None:
        pen.ellipse((0.22 * width, 0.2 * height, 0.78 * width, 0.8 * height), fill=1)
    else:
        for label, points in outlines:
            pen.polygon([(x * width, y * height) for x, y in points], fill=label)
    return np.asarray(picture).astype(np.int64)


def portrait_params(width=256):
    """Return the CRFParams that suit pictures like the portrait at this width: σ_α grows with it."""
    return PORTRAIT_PARAMS._replace(sigma_alpha=PORTRAIT_PARAMS.sigma_alpha * width / 256)


def portrait(width=256):
    """Return Matplotlib's portrait (H, W, 3), rough labels (H, W) of face and clothes, and CRFParams for this size.

    If the portrait's file is missing, return a drawn scene and an ellipse.
    """
    image = colour_photograph(width=width)
    rough = rough_labels(image.shape[:2], PORTRAIT if _portrait_file().is_file() else None)
    return image, rough, portrait_params(width)
