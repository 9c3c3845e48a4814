"""Sharpen rough labels of photographs that lie in files: what `atrous refine` does, without a word printed.

A file of labels holds colours, one a label, or probabilities; with its photograph it goes through `dense_crf` and comes
out as a palette PNG in the same colours.
"""

from __future__ import annotations

import os
import time
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from atrous.crf.dense import dense_crf
from atrous.crf.memory import mean_field_bytes, refuse_too_large
from atrous.crf.params import CRF_PRESETS
from atrous.crf.tiles import dense_crf_tiled
from atrous.crf.unary import unary_from_labels
from atrous.data import photos
from atrous.data.palettes import (
    VOID,
    ImageFileError,
    _opened,
    encode_palette_png,
    labels_from_colours,
    overlay,
    voc_palette,
)
from atrous.errors import DTypeError, ParameterError, ShapeError
from atrous.jit.compiler import compile_seconds
from atrous.layers.resize import resize_bilinear

OWNER = "refine"
ARRAYS = (".npy", ".npz")
# Kinds of file that hold colours without losses, then those of photographs.
COLOURS = (".png", ".gif", ".bmp", ".tif", ".tiff", ".webp")


class Rough(NamedTuple):
    """What a file of labels says about a photograph (H, W)."""

    probabilities: np.ndarray
    """(L, H, W)"""
    labels: np.ndarray
    """(H, W), the most probable label; −1 where nothing is known."""
    palette: np.ndarray
    """(N, 3) uint8, as it is written."""
    indices: np.ndarray
    """(L,) uint8, the row of each label in the palette."""


class Job(NamedTuple):
    """One photograph, its labels, and the files to write; None: not wanted."""

    image: Path
    labels: Path
    output: Path
    overlay: Path | None = None
    probabilities: Path | None = None

    def results(self):
        """Return the files that will be written."""
        return [path for path in (self.output, self.overlay, self.probabilities) if path is not None]


class Settings(NamedTuple):
    """What holds for all files."""

    preset: str = "densecrf"
    iterations: int | None = None
    normalization: str | None = None
    unknown: str | tuple[int, int, int] | None = "black"
    confidence: float = 0.7
    tile: int | None = None


SETTINGS = Settings()


# Planning


def preset_lines():
    """Return a table of the presets, a line each."""
    names = ("bilateral", "sigma_alpha", "sigma_beta", "spatial", "sigma_gamma", "iterations", "normalization")
    width = max(map(len, CRF_PRESETS))
    rows = [" ".join(f"{value:>{len(n)}}" for n, value in zip(names, p, strict=True)) for p in CRF_PRESETS.values()]
    head = f"{'preset':<{width}} {' '.join(names)}"
    return [head, *(f"{name:<{width}} {row}" for name, row in zip(CRF_PRESETS, rows, strict=True))]


def _stem(path):
    """Return a file's name without its ending; letters with accents count as one, however the system writes them."""
    return unicodedata.normalize("NFC", path.stem)


def plan(images, labels, output, *, overlay=None, probabilities=None):
    """Return (jobs, failures): what to do, and (photograph, reason) for each one without labels.

    One photograph and one file of labels make one PNG. For several photographs `labels`, `output`, `overlay` and
    `probabilities` are folders, whose files bear the photographs' names.
    """
    images, labels = [Path(image) for image in images], Path(labels)
    wanted = {"OUT": output, "--overlay": overlay, "--probabilities": probabilities}
    wanted = {option: Path(path) for option, path in wanted.items() if path is not None}
    endings = {"OUT": ".png", "--overlay": ".png", "--probabilities": ".npy"}
    failures = []
    if len(images) == 1 and not labels.is_dir():
        for option, path in wanted.items():
            if path.suffix.lower() != endings[option] or path.is_dir():
                raise ParameterError(f"{option} must be a file that ends in {endings[option]}, got {str(path)!r}.")
            if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
                raise ParameterError(
                    f"{option} {path}: there is no folder {str(path.parent)!r} that can be written to. Make it first."
                )
        jobs = [Job(images[0], labels, *(wanted.get(option) for option in endings))]
    else:
        if not labels.is_dir():
            raise ParameterError(
                f"several photographs want a folder of labels with files of the same names, got LABELS {str(labels)!r}."
            )
        for option, path in wanted.items():
            if path.exists() and not path.is_dir():
                raise ParameterError(f"several photographs want a folder for {option}, got the file {str(path)!r}.")
        jobs = []
        for image, found in zip(images, _labels_of(images, labels), strict=True):
            if len(found) == 1:
                results = (
                    wanted[option] / (image.stem + ending) if option in wanted else None
                    for option, ending in endings.items()
                )
                jobs.append(Job(image, found[0], *results))
            elif found:
                names = ", ".join(path.name for path in found)
                failures.append((image, f"{labels} holds several files of labels for it: {names}. Leave one."))
            else:
                kinds = ", ".join((*COLOURS, *ARRAYS))
                failures.append((image, f"{labels} holds no labels for it: {image.stem} with one of {kinds}."))
    photos.refuse_overwriting(
        (path for job in jobs for path in (job.image, job.labels)),
        ((path, job.image) for job in jobs for path in job.results()),
    )
    return jobs, failures


def _labels_of(images, folder):
    """Return for each photograph the files in the folder that may hold its labels."""
    by_stem = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (*COLOURS, *ARRAYS):
            by_stem.setdefault(_stem(path), []).append(path)
    return [[p for p in by_stem.get(_stem(i), []) if photos.identity(p) != photos.identity(i)] for i in images]


# Reading


def read_photo(file):
    """Return a photograph as `atrous.data.photos.read_photo` does."""
    return photos.read_photo(OWNER, file)


def _size(shape):
    """Say (height, width) as programs for pictures do."""
    return f"{shape[1]}×{shape[0]}"


def read_rough(file, size, settings=SETTINGS):
    """Read the labels of a photograph of `size` (H, W) from colours, or from probabilities in .npy or .npz."""
    file = Path(file)
    if not file.is_file():
        raise ImageFileError(f"{OWNER}: there is no file {str(file)!r} with labels.")
    if file.suffix.lower() in ARRAYS:
        return _from_probabilities(file, size, settings)
    return _from_colours(file, size, settings)


def _check_memory(labels, size, itemsize, tile):
    """Refuse before anything large is made: input and result are held whole, the rest by the tile."""
    points = size[0] * size[1]
    needed = 2 * points * labels * itemsize
    advice = "Cut the photograph, or take fewer labels."
    if tile is None:
        needed = max(needed, points * labels * itemsize + mean_field_bytes(points, labels, (2, 5), itemsize))
        advice = "Compute it in tiles: tile=1024, on the command line --tile 1024."
    refuse_too_large(OWNER, needed, advice)


def _from_colours(file, size, settings):
    image = _opened(OWNER, file)
    if image.size[::-1] != tuple(size):
        mend = "Resize the labels without smoothing (nearest neighbour)."
        if image.size == tuple(size):
            mend = "Perhaps the photograph is turned by its EXIF orientation: turn the labels too."
        raise ShapeError(
            f"{OWNER}: the labels {file.name} are {_size(image.size[::-1])} pixels, the photograph is {_size(size)} "
            f"(width × height). {mend}"
        )
    labels, colours = labels_from_colours(image, settings.unknown)
    if len(colours) == 0:
        unknown = "" if settings.unknown is None else f", or of the colour {settings.unknown!r}"
        raise ParameterError(
            f"{OWNER}: {file.name} holds no label: every pixel is unknown (transparent{unknown}). Name another colour "
            "for unknown pixels (--unknown), or none."
        )
    if len(colours) > VOID:
        raise ParameterError(
            f"{OWNER}: {file.name} holds {len(colours)} colours, at most {VOID} labels are taken. It may be a "
            "photograph, or have been saved as JPEG or with smoothed edges: save it as PNG without either."
        )
    _check_memory(len(colours), size, 4, settings.tile)
    palette, indices = colours, np.arange(len(colours))
    if image.mode == "P":
        # Each colour keeps its number in the file: that of the first entry of the palette which is used and has it.
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
    """Return the one array of a .npy or .npz file; that of .npy stays in the file."""
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
        what = getattr(error, "strerror", None) or "it is no array of numbers, or broken or cut short"
        raise ImageFileError(f"{OWNER}: cannot read {file}: {what} ({type(error).__name__}).") from error
    raise ParameterError(
        f"{OWNER}: {file.name} must hold one array, got {len(names)}: {', '.join(map(repr, names[:8]))}. Save the "
        "probabilities alone: np.save(file, p)."
    )


def _from_probabilities(file, size, settings):
    array = _load(file)
    shape = array.shape
    if array.ndim != 3 or 0 in shape:
        mend = "Save an array of three axes."
        if array.ndim == 2:
            mend = "One foreground map p: np.stack([1 - p, p]); a map of labels: save it as a palette PNG."
        elif array.ndim == 4 and shape[0] == 1:
            mend = "Drop the axis of the batch: p[0]."
        raise ShapeError(
            f"{OWNER}: {file.name} must hold probabilities (labels, height, width), got shape {shape}. {mend}"
        )
    if array.dtype.kind not in "buif":
        raise DTypeError(f"{OWNER}: {file.name} must hold real numbers, got {array.dtype}.")
    _check_grid(file, shape, size)
    if len(array) > VOID:
        raise ParameterError(f"{OWNER}: {file.name} holds {len(array)} labels; a palette PNG has room for {VOID}.")
    _check_memory(len(array), size, 8 if array.dtype == np.float64 else 4, settings.tile)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32)
    if shape[1:] != tuple(size):
        array = resize_bilinear(np.asarray(array), size, align_corners=True)
    return Rough(array, np.asarray(array.argmax(0)), voc_palette(), np.arange(len(array), dtype=np.uint8))


def _fits(grid, size):
    """Tell whether a grid is that of the photograph, or a smaller one with its corners on the same corners.

    A stride of s makes (H − 1)/s + 1 samples, rounded either way, along both axes.
    """
    (h, w), (H, W) = grid, size
    return h <= H and w <= W and abs((h - 1) * (W - 1) - (w - 1) * (H - 1)) <= 2 * max(H - 1, W - 1)


def _check_grid(file, shape, size):
    _, h, w = shape
    if _fits((h, w), size):
        return
    if _fits(shape[:2], size):
        mend = "Move the axis of the labels to the front: np.moveaxis(p, -1, 0)."
    elif _fits((w, h), size):
        mend = "Height and width are exchanged: p.swapaxes(1, 2)."
    else:
        mend = (
            "They belong to another photograph, or to one that was padded or squeezed: cut the padding away, or bring "
            "them to its size with resize_bilinear."
        )
    raise ShapeError(
        f"{OWNER}: {file.name} must hold probabilities (labels, height, width) of the photograph's {size[0]} × "
        f"{size[1]} (height × width) or evenly reduced, got shape {shape}. {mend}"
    )


# Computing


def refine_image(photo, rough, settings=SETTINGS, *, progress=None):
    """Return marginals (L, H, W) of a photograph (H, W, 3) with rough labels; `progress` is told of every tile."""
    params = {"iterations": settings.iterations, "normalization": settings.normalization}
    # In levels of 0 to 255 whatever the file held, so that a nearly black photograph is not taken for one in 0 to 1.
    scale = {"intensity_scale": 1} if photo.dtype.kind == "f" else {}
    if settings.tile is None:
        return dense_crf(rough.probabilities, photo, settings.preset, **params, **scale)
    return dense_crf_tiled(
        rough.probabilities, photo, settings.preset, tile=settings.tile, **params, **scale, progress=progress or False
    )


def refine_file(job, settings=SETTINGS, *, progress=None):
    """Refine one photograph and write its files, all or none; return what was found as plain values."""
    started, compiling = time.perf_counter(), compile_seconds()
    photo = read_photo(job.image)
    size = photo.shape[:2]
    rough = read_rough(job.labels, size, settings)
    marginals = refine_image(photo, rough, settings, progress=progress)
    labels = marginals.argmax(0)
    files = {job.output: lambda file: encode_palette_png(rough.indices[labels], file, rough.palette)}
    if job.overlay is not None:
        picture = overlay(np.rint(photo).astype(np.uint8), labels, rough.palette[rough.indices])
        files[job.overlay] = lambda file: photos.save_png(picture, file)
    if job.probabilities is not None:
        files[job.probabilities] = lambda file: np.save(file, marginals)
    photos.write_all(OWNER, files)
    known = rough.labels >= 0
    return {
        "image": str(job.image),
        "labels_file": str(job.labels),
        "output": str(job.output),
        "width": size[1],
        "height": size[0],
        "labels": len(marginals),
        "unknown": float(1 - known.mean()),
        "changed": float((labels != rough.labels)[known].mean()),
        "seconds": time.perf_counter() - started - (compile_seconds() - compiling),
    }
