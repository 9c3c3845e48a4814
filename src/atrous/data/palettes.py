"""Label maps and their colours: the PASCAL VOC palette, palette images, colours as labels.

A label map holds small integers. A file stores it as indices and a table of colours (PASCAL VOC's palette images), as
grey levels (Cityscapes' labelIds) or as plain colours, one per label (scribbles from a drawing program). Unknown pixels
are 255 in files (VOC's void) and −1 in `labels_from_colours`; functions that take label maps accept both.

Role: public functions. Pillow is imported only when needed.

References
----------
Everingham et al., PASCAL VOC development kit, VOClabelcolormap.m.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from atrous._atomic import replacing
from atrous._types import Array, PathLike
from atrous.errors import AtrousError, DTypeError, ParameterError, ShapeError

VOID = 255
VOC_CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)  # fmt: skip


class ImageFileError(AtrousError, OSError):
    """An image file cannot be read or written."""


class LabelImage(NamedTuple):
    """The content of a file: `labels` (H, W) uint8, 255 where unknown, and `colours` (L, 3) uint8 of labels 0, 1, …."""

    labels: Array
    colours: Array


class ColourLabels(NamedTuple):
    """Colours as labels: `labels` (H, W) int64, −1 where unknown, and `colours` (L, 3) uint8 in their order."""

    labels: Array
    colours: Array


def voc_palette() -> Array:
    """Return the colour map of PASCAL VOC, all 256 colours.

    Counted from the highest, bit j of red, green and blue is bit 3j, 3j + 1 and 3j + 2 of the label: neighbouring
    labels get very different colours, and 0 is black.

    Returns
    -------
    ndarray of shape (256, 3)
        uint8; red, green, blue.

    Notes
    -----
    Cost: negligible. Source: VOClabelcolormap.m of the development kit. The names of labels 0 to 20 are
    `VOC_CLASSES`; 255 is void.

    Examples
    --------
    >>> voc_palette()[[0, 1, 15, 255]]
    array([[  0,   0,   0],
           [128,   0,   0],
           [192, 128, 128],
           [224, 224, 192]], dtype=uint8)
    """
    label, channel = np.arange(256)[:, None], np.arange(3)
    bits = [(label >> (3 * j + channel) & 1) << (7 - j) for j in range(3)]
    return sum(bits).astype(np.uint8)


def _palette(owner, palette):
    """Return a palette as (L, 3) uint8, VOC's for None."""
    if palette is None:
        return voc_palette()
    array = np.asarray(palette)
    if array.ndim != 2 or array.shape[1] != 3 or not 1 <= len(array) <= 256:
        raise ShapeError(f"{owner}: palette must be (L, 3), 1 to 256 colours (red, green, blue), got {array.shape}.")
    if array.dtype.kind not in "iu":
        raise DTypeError(
            f"{owner}: palette must hold integers 0 to 255, got {array.dtype}. If its colours lie in 0 to 1, convert: "
            "np.rint(palette * 255).astype(np.uint8)."
        )
    if array.min() < 0 or array.max() > 255:
        bad = array.min() if array.min() < 0 else array.max()
        raise ParameterError(f"{owner}: colours must lie in 0 to 255, got {bad}.")
    return array.astype(np.uint8)


def _indices(owner, labels, palette):
    """Return labels as uint8 indices, −1 as 255, and a palette of 256 colours, black beyond those given."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iub":
        raise DTypeError(
            f"{owner}: labels must be integers, got {labels.dtype}. For scores, pass scores.argmax(axis=0)."
        )
    if labels.size == 0:
        raise ShapeError(f"{owner}: labels is empty, shape {labels.shape}. Every axis needs at least one element.")
    outside = (labels != VOID) & ((labels < -1) | (labels >= len(palette)))
    if outside.any():
        raise ParameterError(
            f"{owner}: labels must lie in 0 to {len(palette) - 1}, the colours of the palette, or be 255 or -1 where "
            f"unknown; got {labels[outside][0]}. Pass a longer palette."
        )
    full = np.zeros((256, 3), np.uint8)
    full[: len(palette)] = palette
    return np.where(labels == -1, VOID, labels).astype(np.uint8), full


def colourize(labels: Array, palette: Array | None = None) -> Array:
    """Paint a label map.

    Parameters
    ----------
    labels : ndarray of any shape
        Integers 0 to L − 1; 255 and −1 are unknown.
    palette : ndarray of shape (L, 3), optional
        Red, green and blue, integers 0 to 255; PASCAL VOC's by default. Unknown pixels take colour 255, black if the
        palette is shorter.

    Returns
    -------
    ndarray of shape (*labels.shape, 3)
        uint8.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Labels that are empty, not integers or beyond the palette; a palette of another shape, dtype or range.

    Notes
    -----
    Cost: a few passes, 3 bytes per pixel for the result.

    Examples
    --------
    >>> colourize(np.array([0, 1, -1]), [(0, 0, 255), (0, 255, 0)])
    array([[  0,   0, 255],
           [  0, 255,   0],
           [  0,   0,   0]], dtype=uint8)
    """
    indices, full = _indices("colourize", labels, _palette("colourize", palette))
    return full[indices]


def overlay(image: Array, labels: Array, palette: Array | None = None, alpha: float = 0.5) -> Array:
    """Lay the colours of a label map over a photograph; unknown pixels show the photograph.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3) or (H, W)
        uint8, colour or grey. Never modified.
    labels : ndarray of shape (H, W)
        As for `colourize`.
    palette : ndarray of shape (L, 3), optional
        As for `colourize`.
    alpha : float, default 0.5
        Share of the colours, 0 to 1.

    Returns
    -------
    ndarray of shape (H, W, 3)
        uint8, (1 − alpha)·image + alpha·colour, rounded.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `colourize`; also an image of another dtype or size, or `alpha` outside 0 to 1.

    Notes
    -----
    Cost: a few passes, 12 bytes per pixel for intermediate results.

    Examples
    --------
    >>> overlay(np.full((1, 2), 100, np.uint8), np.array([[1, 255]]))
    array([[[114,  50,  50],
            [100, 100, 100]]], dtype=uint8)
    """
    image, labels = np.asarray(image), np.asarray(labels)
    if image.dtype != np.uint8:
        raise DTypeError(f"overlay: image must be uint8, got {image.dtype}. Scale it to 0 to 255 and convert.")
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise ShapeError(f"overlay: image must be (H, W, 3) or (H, W), got {image.shape}. Remove any alpha channel.")
    if labels.shape != image.shape[:2]:
        raise ShapeError(f"overlay: labels must have the image's (H, W), {image.shape[:2]}, got {labels.shape}.")
    try:
        share = float(alpha)
    except (TypeError, ValueError):
        share = float("nan")
    if not 0 <= share <= 1:
        raise ParameterError(f"overlay: alpha must lie in 0 to 1, got {alpha!r}.")
    indices, full = _indices("overlay", labels, _palette("overlay", palette))
    photograph = np.broadcast_to(image[..., None] if image.ndim == 2 else image, (*labels.shape, 3))
    mixed = np.rint(np.float32(1 - share) * photograph + np.float32(share) * full[indices]).astype(np.uint8)
    return np.where((indices == VOID)[..., None], photograph, mixed)


def encode_palette_png(labels: Array, file: PathLike | BinaryIO, palette: Array | None = None) -> None:
    """Write a label map as a palette PNG (indices and a table of colours), whole or not at all.

    Parameters
    ----------
    labels : ndarray of shape (H, W)
        Integers 0 to L − 1; 255 and −1 are unknown and written as 255.
    file : path or writable binary file
        An existing file is replaced only after everything is written.
    palette : ndarray of shape (L, 3), optional
        As for `colourize`. Only these colours are stored, or all 256 if there are unknown pixels.

    Returns
    -------
    None
        The file is the result.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `colourize`; also labels that are not (H, W).
    ImageFileError
        The file cannot be written. It is also an OSError.

    Notes
    -----
    Cost: one pass and the compression, in memory; about one byte per pixel. `read_label_image` reads the labels.

    Examples
    --------
    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> encode_palette_png(np.array([[0, 15, -1]]), file)
    >>> read_label_image(file).labels
    array([[  0,  15, 255]], dtype=uint8)
    """
    from PIL import Image

    owner = "encode_palette_png"
    palette = _palette(owner, palette)
    indices, full = _indices(owner, labels, palette)
    if indices.ndim != 2:
        raise ShapeError(f"{owner}: labels must be (H, W), got {indices.shape}. Write one file per image.")
    used = full if (indices == VOID).any() else palette
    image = Image.fromarray(indices)
    image.putpalette(used.tobytes())
    buffer = BytesIO()
    image.save(buffer, "png")
    if hasattr(file, "write"):
        file.write(buffer.getvalue())
    else:
        path = _path(owner, file)
        try:
            with replacing(path) as (partial,):
                partial.write_bytes(buffer.getvalue())
        except OSError as error:
            raise ImageFileError(f"{owner}: cannot write {path}: {error.strerror or error}.") from error


def _path(owner, file):
    try:
        return Path(file)
    except TypeError:
        raise ParameterError(f"{owner}: file must be a path or a binary file, got {type(file).__name__}.") from None


def open_image(owner, file):
    """Return a decoded Pillow image; anything wrong with the file raises ImageFileError."""
    from PIL import Image

    if isinstance(file, Image.Image):
        return file
    if hasattr(file, "read"):
        name = getattr(file, "name", None) or f"the {type(file).__name__}"
        file.seek(0)
    else:
        file = name = _path(owner, file)
    try:
        with Image.open(file) as image:
            image.load()
            return image.copy()
    except Image.DecompressionBombError as error:
        raise ImageFileError(f"{owner}: {name} is too large for Pillow: {error} Save a smaller one.") from error
    except Exception as error:  # Pillow's decoders raise nearly everything on a broken file
        what = getattr(error, "strerror", None) or "it is not an image, or it is broken or cut short"
        raise ImageFileError(f"{owner}: cannot read {name}: {what} ({type(error).__name__}). Save it again.") from error


def _pixels(owner, image):
    """Return (H, W, 3) uint8 and where the image is fully transparent, from a Pillow image of any 8-bit mode."""
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise DTypeError(f"{owner}: the image must have 8 bits per channel, got mode {image.mode}. Convert it to RGB.")
    pixels = np.asarray(image.convert("RGBA"))
    return pixels[..., :3], pixels[..., 3] == 0


def palette_of(image: Any) -> Array:
    """Return the colours (N, 3) uint8 of a palette image as its file holds them, and black for indices beyond them."""
    stored = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette = np.zeros((max(len(stored), 1 + int(np.asarray(image.getchannel(0)).max())), 3), np.uint8)
    palette[: len(stored)] = stored
    return palette


def stored_values(owner: str, image: Any) -> tuple[Array, Array]:
    """Return what the pixels of a Pillow image hold, and where it is fully transparent.

    Palette and grey images hold numbers (H, W): uint8, uint16 with 16 bits, bool with one. Others hold colours
    (H, W, 3) uint8.
    """
    if image.mode.startswith("I"):
        numbers = np.asarray(image)
        if numbers.min() < 0 or numbers.max() > 65535:
            raise DTypeError(
                f"{owner}: labels must be 0 to 65535, got {numbers.min()} to {numbers.max()}. Save them with 16 bits."
            )
        return numbers.astype(np.uint16), np.zeros(numbers.shape, bool)
    pixels, transparent = _pixels(owner, image)
    if image.mode in ("RGB", "RGBA"):
        return pixels, transparent
    return np.asarray(image.getchannel(0)), transparent


def numbered(values: Array, known: Array) -> tuple[Array, Array]:
    """Return (labels, kinds): the sorted values of known pixels, and each pixel's index into them, −1 if unknown.

    Values are numbers (H, W), or colours (H, W, 3) sorted by red, then green, then blue.
    """
    colours = values.ndim == 3
    codes = values.astype(np.int64) @ (1 << 16, 1 << 8, 1) if colours else values
    found, inverse = np.unique(codes[known], return_inverse=True)
    labels = np.full(known.shape, -1, np.int64)
    labels[known] = inverse
    return labels, (found[:, None] >> (16, 8, 0) & 255).astype(np.uint8) if colours else found


def read_label_image(file: PathLike | BinaryIO) -> LabelImage:
    """Read a label map from an image file.

    Parameters
    ----------
    file : path, binary file or Pillow image
        The labels of a palette image are its indices, those of a grey image its levels. In RGB and RGBA, every
        distinct colour is a label, in the order of red, then green, then blue. Fully transparent pixels of grey and
        colour images are unknown.

    Returns
    -------
    LabelImage
        (labels, colours): labels (H, W) uint8, 255 where unknown, and colours (L, 3) uint8.

    Raises
    ------
    ImageFileError
        The file is missing, not an image, broken or cut short. It is also an OSError.
    DTypeError
        More than 8 bits per channel.
    ParameterError
        More than 255 colours: a photograph, or labels saved with lossy compression.

    Notes
    -----
    Cost: decoding, and for plain colours one sort of the pixels.

    Examples
    --------
    >>> from PIL import Image
    >>> read_label_image(Image.fromarray(np.array([[15, 0, 255]], np.uint8))).labels
    array([[ 15,   0, 255]], dtype=uint8)
    >>> labels, colours = read_label_image(Image.fromarray(np.array([[(0, 0, 255), (255, 0, 0)]], np.uint8)))
    >>> labels
    array([[0, 1]], dtype=uint8)
    >>> colours
    array([[  0,   0, 255],
           [255,   0,   0]], dtype=uint8)
    """
    owner = "read_label_image"
    image = open_image(owner, file)
    if image.mode in ("P", "PA"):
        return LabelImage(np.array(image.getchannel(0)), palette_of(image))
    if image.mode.startswith("I"):
        raise DTypeError(
            f"{owner}: labels must have 8 bits per pixel, got mode {image.mode}. Read their numbers as they are: "
            "np.asarray(Image.open(file))."
        )
    values, transparent = stored_values(owner, image)
    if image.mode in ("1", "L", "LA"):
        levels = np.linspace(0, 255, 2 if image.mode == "1" else 256).astype(np.uint8)
        return LabelImage(np.where(transparent, VOID, values).astype(np.uint8), np.repeat(levels[:, None], 3, axis=1))
    labels, colours = numbered(values, ~transparent)
    if len(colours) > VOID:
        raise ParameterError(
            f"{owner}: a label image has at most 255 colours, got {len(colours)}. It may be a photograph, or have been "
            "saved as JPEG or with smoothed edges: save it as PNG with sharp edges."
        )
    return LabelImage(np.where(labels < 0, VOID, labels).astype(np.uint8), colours)


def parse_colour(owner, unknown):
    """Return a colour as three ints from a triple or a name."""
    if isinstance(unknown, str):
        from PIL import ImageColor

        try:
            return ImageColor.getrgb(unknown)[:3]
        except ValueError:
            raise ParameterError(
                f"{owner}: unknown must be a colour: red, green, blue in 0 to 255, or a name such as 'black' or "
                f"'#ff8000'; got {unknown!r}."
            ) from None
    array = np.asarray(unknown)
    if array.shape != (3,) or array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 255:
        raise ParameterError(f"{owner}: unknown must be red, green, blue, integers in 0 to 255, got {unknown!r}.")
    return tuple(array.tolist())


def labels_from_colours(rgb: Array | PathLike | Any, unknown: Sequence[int] | str | None = (0, 0, 0)) -> ColourLabels:
    """Turn every distinct colour into a label, except one that means "unknown".

    Parameters
    ----------
    rgb : ndarray of shape (H, W, 3) or (H, W, 4), path, binary file or Pillow image
        uint8. A palette image is read by its colours, not its indices. Fully transparent pixels are unknown.
    unknown : (int, int, int), str or None, default (0, 0, 0)
        The colour that means "unknown": red, green and blue, or a name that Pillow knows ("black", "#ff8000"). None
        if no colour does.

    Returns
    -------
    ColourLabels
        (labels, colours): labels (H, W) int64, −1 where unknown, else the row of the pixel's colour in colours, (L, 3)
        uint8 sorted by red, then green, then blue.

    Raises
    ------
    ShapeError, DTypeError
        An array of another shape or dtype.
    ParameterError
        `unknown` is not a colour.
    ImageFileError
        The file is missing, not an image, broken or cut short. It is also an OSError.

    Notes
    -----
    Cost: one sort of the pixels; about 40 bytes per pixel for intermediate results. Smoothed edges and JPEG create
    many colours: check ``len(colours)``.

    Examples
    --------
    >>> scribbles = np.array([[(255, 0, 0), (0, 0, 0), (0, 0, 255)]], np.uint8)
    >>> labels, colours = labels_from_colours(scribbles)
    >>> labels
    array([[ 1, -1,  0]])
    >>> colours
    array([[  0,   0, 255],
           [255,   0,   0]], dtype=uint8)
    """
    owner = "labels_from_colours"
    if isinstance(rgb, (str, os.PathLike)) or hasattr(rgb, "read") or hasattr(rgb, "getpalette"):
        pixels, transparent = _pixels(owner, open_image(owner, rgb))
    else:
        array = np.asarray(rgb)
        if array.ndim != 3 or array.shape[2] not in (3, 4) or array.size == 0:
            raise ShapeError(f"{owner}: rgb must be (H, W, 3) or (H, W, 4), not empty, got shape {array.shape}.")
        if array.dtype != np.uint8:
            raise DTypeError(f"{owner}: rgb must be uint8, got {array.dtype}. Scale it to 0 to 255 and convert.")
        pixels = array[..., :3]
        transparent = array[..., 3] == 0 if array.shape[2] == 4 else np.zeros(array.shape[:2], bool)
    known = ~transparent
    if unknown is not None:
        known &= (pixels != np.array(parse_colour(owner, unknown), np.uint8)).any(axis=-1)
    return ColourLabels(*numbered(pixels, known))
