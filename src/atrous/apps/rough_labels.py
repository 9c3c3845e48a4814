"""Rough labels of a photograph from a file: numbers, colours or probabilities.

Palette and grey images hold numbers: 0 is a label like any other, and 255 (65535 with 16 bits) is unknown. Other images
hold colours, and black is unknown. So it is in a palette image whose black is not number 0, as it is in PASCAL VOC's
palette, and that has no 255: it is a drawing in colours.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous.crf.memory import mean_field_bytes, refuse_too_large
from atrous.crf.unary import unary_from_labels
from atrous.data.palettes import (
    VOID,
    ImageFileError,
    numbered,
    open_image,
    palette_of,
    parse_colour,
    stored_values,
    voc_palette,
)
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
    ids: np.ndarray
    """What the file holds for each label: (L,) numbers, bool, uint8 or uint16, or (L, 3) colours, uint8."""
    palette: np.ndarray | None
    """(N, 3) uint8, the colours of all numbers, for a palette image."""
    colours: np.ndarray
    """(L, 3) uint8, a colour to show each label in."""
    unknown: str
    """What was taken as unknown, in words; empty for probabilities."""

    def names(self):
        """Return the labels as the file has them: numbers, or colours as text."""
        return self.ids.astype(int).tolist() if self.ids.ndim == 1 else [_colour_name(colour) for colour in self.ids]


def _colour_name(colour):
    return "#{:02x}{:02x}{:02x}".format(*map(int, colour)) if any(colour) else "black"


def parse_unknown(owner, value):
    """Return what means "unknown": "auto", None for nothing, a number, or a colour (red, green, blue)."""
    if isinstance(value, str):
        text = value.strip().lower()
        if text in ("auto", "none"):
            return None if text == "none" else text
        value = int(text) if text.lstrip("-").isdecimal() else text
    if value is None:
        return None
    if isinstance(value, (int, np.integer)):
        return _check.integer(owner, "unknown", value, least=0)
    try:
        return parse_colour(owner, value)
    except ParameterError:
        raise ParameterError(
            f"{owner}: unknown must be a number, a colour such as 'black' or '#ff8000', or 'none', got {value!r}."
        ) from None


def _size(shape):
    """Return (height, width) as text, width first as image editors show it."""
    return f"{shape[1]}×{shape[0]}"


def read_rough(file, size, settings):
    """Read the labels of a photograph of `size` (H, W) from an image or from .npy or .npz probabilities."""
    file = Path(file)
    if not file.is_file():
        raise ImageFileError(f"{OWNER}: there is no file {str(file)!r} with labels.")
    if file.suffix.lower() in ARRAYS:
        return _from_probabilities(file, size, settings)
    return _from_image(file, size, settings)


def _check_memory(labels, size, itemsize, tile):
    """Raise an error before anything large is allocated: input and result are kept whole, the rest per tile."""
    points = size[0] * size[1]
    needed = 2 * points * labels * itemsize
    advice = "Cut the photograph, or use fewer labels."
    if tile is None:
        needed = max(needed, points * labels * itemsize + mean_field_bytes(points, labels, (2, 5), itemsize))
        advice = "Compute it in tiles: tile=1024, or --tile 1024 on the command line."
    refuse_too_large(OWNER, needed, advice)


def _unknown(file, values, palette, unknown):
    """Return where the pixels are unknown, and what was taken as unknown in words."""
    if unknown is None:
        return np.zeros(values.shape[:2], bool), "none"
    numbers, asked = values.ndim == 2, unknown != "auto"
    used = () if palette is None else np.unique(values)
    if not asked:
        unknown = 65535 if values.dtype == np.uint16 else VOID
        drawn = palette is not None and VOID not in used and palette[0].any()
        if not numbers or (drawn and not palette[used].any(axis=1).all()):
            unknown = (0, 0, 0)
    colour = isinstance(unknown, tuple)
    name = _colour_name(unknown) if colour else str(unknown)
    if colour and numbers and palette is None:
        raise ParameterError(
            f"{OWNER}: {file.name} holds numbers, so unknown must be a number such as {VOID}, or none, got {name}."
        )
    if not colour and not numbers:
        raise ParameterError(
            f"{OWNER}: {file.name} holds colours, so unknown must be a colour such as black, or none, got {name}."
        )
    if colour:
        where = ((palette[values] if numbers else values) == np.array(unknown, np.uint8)).all(axis=-1)
    else:
        where = values == unknown
    if where.any():
        return where, name
    remark = ""
    if asked:
        remark = f" (no pixel is {name})"
    elif palette is not None and 0 in used and not palette[0].any():
        remark = " (0, black, is a label)"
    elif values.dtype == np.uint16 and (values == VOID).any():
        remark = f" ({VOID} is a label)"
    return where, f"none found{remark}"


def _from_image(file, size, settings):
    asked = parse_unknown(OWNER, settings.unknown)
    image = open_image(OWNER, file)
    if image.size[::-1] != tuple(size):
        fix = "Resize the labels without smoothing (nearest neighbour)."
        if image.size == tuple(size):
            fix = "The photograph may be rotated by its EXIF orientation: rotate the labels too."
        raise ShapeError(
            f"{OWNER}: the labels {file.name} are {_size(image.size[::-1])} pixels, the photograph is {_size(size)} "
            f"(width × height). {fix}"
        )
    values, transparent = stored_values(OWNER, image)
    palette = palette_of(image) if image.mode in ("P", "PA") else None
    where, unknown = _unknown(file, values, palette, asked)
    if transparent.any():
        unknown = f"{unknown} and transparent" if where.any() else "transparent"
    labels, ids = numbered(values, ~(where | transparent))
    if len(ids) == 0:
        raise ParameterError(
            f"{OWNER}: {file.name} has no label: every pixel is unknown ({unknown}). Pass another number or colour for "
            "unknown pixels (--unknown), or none."
        )
    if len(ids) > VOID:
        kind = "colours" if ids.ndim == 2 else "different numbers"
        raise ParameterError(
            f"{OWNER}: {file.name} has {len(ids)} {kind}; at most {VOID} labels are possible. It may be a "
            "photograph, or it was saved as JPEG or with smoothed edges: save it as PNG with sharp edges."
        )
    _check_memory(len(ids), size, 4, settings.tile)
    if len(ids) == 1:
        probabilities = np.ones((1, *labels.shape), np.float32)
    else:
        energies = unary_from_labels(labels, len(ids), confidence=settings.confidence)
        probabilities = np.exp(np.negative(energies, out=energies), out=energies)
    colours = ids
    if ids.ndim == 1:
        rows = ids.astype(int)
        # VOC's colours have no row for numbers above 255: these labels take the rows in their order.
        colours = palette[rows] if palette is not None else voc_palette()[rows if rows[-1] <= VOID else range(len(ids))]
    return Rough(probabilities, labels, ids, palette, colours, unknown)


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
            fix = "For one foreground map p use np.stack([1 - p, p]); save a label map as a PNG."
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
    ids, palette = np.arange(len(array), dtype=np.uint8), voc_palette()
    return Rough(array, np.asarray(array.argmax(0)), ids, palette, palette[ids], "")


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
