"""Rough labels of a photograph from a file: colours, one per label, or probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from atrous.crf.memory import mean_field_bytes, refuse_too_large
from atrous.crf.unary import unary_from_labels
from atrous.data.palettes import VOID, ImageFileError, labels_from_colours, open_image, voc_palette
from atrous.errors import DTypeError, ParameterError, ShapeError
from atrous.layers.resize import resize_bilinear

OWNER = "refine"
ARRAYS = (".npy", ".npz")
COLOURS = (".png", ".gif", ".bmp", ".tif", ".tiff", ".webp")  # formats that can be lossless


class Rough(NamedTuple):
    """The labels of a photograph (H, W) as a file gives them."""

    probabilities: np.ndarray
    """(L, H, W)"""
    labels: np.ndarray
    """(H, W), the most probable label; −1 if unknown."""
    palette: np.ndarray
    """(N, 3) uint8, the colours to write."""
    indices: np.ndarray
    """(L,) uint8, the row of each label in the palette."""


def _size(shape):
    """Return (height, width) as text, width first as image editors show it."""
    return f"{shape[1]}×{shape[0]}"


def read_rough(file, size, settings):
    """Read the labels of a photograph of `size` (H, W) from an image of colours or from .npy or .npz probabilities."""
    file = Path(file)
    if not file.is_file():
        raise ImageFileError(f"{OWNER}: there is no file {str(file)!r} with labels.")
    if file.suffix.lower() in ARRAYS:
        return _from_probabilities(file, size, settings)
    return _from_colours(file, size, settings)


def _check_memory(labels, size, itemsize, tile):
    """Raise an error before anything large is allocated: input and result are kept whole, the rest per tile."""
    points = size[0] * size[1]
    needed = 2 * points * labels * itemsize
    advice = "Cut the photograph, or use fewer labels."
    if tile is None:
        needed = max(needed, points * labels * itemsize + mean_field_bytes(points, labels, (2, 5), itemsize))
        advice = "Compute it in tiles: tile=1024, or --tile 1024 on the command line."
    refuse_too_large(OWNER, needed, advice)


def _from_colours(file, size, settings):
    image = open_image(OWNER, file)
    if image.size[::-1] != tuple(size):
        fix = "Resize the labels without smoothing (nearest neighbour)."
        if image.size == tuple(size):
            fix = "The photograph may be rotated by its EXIF orientation: rotate the labels too."
        raise ShapeError(
            f"{OWNER}: the labels {file.name} are {_size(image.size[::-1])} pixels, the photograph is {_size(size)} "
            f"(width × height). {fix}"
        )
    labels, colours = labels_from_colours(image, settings.unknown)
    if len(colours) == 0:
        unknown = "" if settings.unknown is None else f", or of the colour {settings.unknown!r}"
        raise ParameterError(
            f"{OWNER}: {file.name} has no label: every pixel is unknown (transparent{unknown}). Choose another colour "
            "for unknown pixels (--unknown), or none."
        )
    if len(colours) > VOID:
        raise ParameterError(
            f"{OWNER}: {file.name} has {len(colours)} colours; at most {VOID} labels are possible. It may be a "
            "photograph, or it was saved as JPEG or with smoothed edges: save it as PNG with sharp edges."
        )
    _check_memory(len(colours), size, 4, settings.tile)
    palette, indices = colours, np.arange(len(colours))
    if image.mode == "P":
        # Each colour keeps its index in the file: the first palette entry in use that has this colour.
        used = np.unique(np.asarray(image))
        stored = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        palette = np.zeros((max(len(stored), int(used[-1]) + 1), 3), np.uint8)
        palette[: len(stored)] = stored
        indices = np.array([used[(palette[used] == colour).all(1).argmax()] for colour in colours])
    if len(colours) == 1:
        probabilities = np.ones((1, *labels.shape), np.float32)
    else:
        energies = unary_from_labels(labels, len(colours), confidence=settings.confidence)
        probabilities = np.exp(np.negative(energies, out=energies), out=energies)
    return Rough(probabilities, labels, palette, indices.astype(np.uint8))


def _load(file):
    """Return the array of a .npy or .npz file; a .npy file is memory-mapped."""
    try:
        found = np.load(file, mmap_mode="r", allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            if len(found.files) == 1:
                return found[found.files[0]]
            names = found.files
    except MemoryError:
        raise
    except Exception as error:  # what a broken file raises depends on where it is broken
        what = getattr(error, "strerror", None) or "it is not an array of numbers, or it is broken or cut short"
        raise ImageFileError(f"{OWNER}: cannot read {file}: {what} ({type(error).__name__}).") from error
    raise ParameterError(
        f"{OWNER}: {file.name} must contain one array, got {len(names)}: {', '.join(map(repr, names[:8]))}. Save only "
        "the probabilities: np.save(file, p)."
    )


def _from_probabilities(file, size, settings):
    array = _load(file)
    shape = array.shape
    if array.ndim != 3 or 0 in shape:
        fix = "Save an array with three axes."
        if array.ndim == 2:
            fix = "For one foreground map p use np.stack([1 - p, p]); save a label map as a palette PNG."
        elif array.ndim == 4 and shape[0] == 1:
            fix = "Remove the batch axis: p[0]."
        raise ShapeError(
            f"{OWNER}: {file.name} must contain probabilities (labels, height, width), got shape {shape}. {fix}"
        )
    if array.dtype.kind not in "buif":
        raise DTypeError(f"{OWNER}: {file.name} must contain real numbers, got {array.dtype}.")
    _check_grid(file, shape, size)
    if len(array) > VOID:
        raise ParameterError(f"{OWNER}: {file.name} has {len(array)} labels; a palette PNG can store {VOID}.")
    _check_memory(len(array), size, 8 if array.dtype == np.float64 else 4, settings.tile)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32)
    if shape[1:] != tuple(size):
        array = resize_bilinear(np.asarray(array), size, align_corners=True)
    return Rough(array, np.asarray(array.argmax(0)), voc_palette(), np.arange(len(array), dtype=np.uint8))


def _fits(grid, size):
    """Tell whether a grid has the size of the photograph, or is a smaller one with the same corners.

    A stride s gives (H − 1)/s + 1 samples along both axes, rounded up or down.
    """
    (h, w), (H, W) = grid, size
    return h <= H and w <= W and abs((h - 1) * (W - 1) - (w - 1) * (H - 1)) <= 2 * max(H - 1, W - 1)


def _check_grid(file, shape, size):
    _, h, w = shape
    if _fits((h, w), size):
        return
    if _fits(shape[:2], size):
        fix = "Move the label axis to the front: np.moveaxis(p, -1, 0)."
    elif _fits((w, h), size):
        fix = "Height and width are swapped: p.swapaxes(1, 2)."
    else:
        fix = (
            "They belong to another photograph, or to one that was padded or stretched: remove the padding, or resize "
            "them with resize_bilinear."
        )
    raise ShapeError(
        f"{OWNER}: {file.name} must contain probabilities (labels, height, width) at the photograph's size {size[0]} × "
        f"{size[1]} (height × width) or evenly reduced, got shape {shape}. {fix}"
    )
