"""Sharpen the rough labels of photographs along their edges: what `atrous refine` does.

A file of labels and its photograph go through `dense_crf`; the result is a PNG with the labels' numbers or colours.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from atrous.apps.jobs import Job, identity, refuse_overwriting, report, stopwatch, write_results
from atrous.apps.rough_labels import ARRAYS, COLOURS, OWNER, read_rough
from atrous.crf.dense import dense_crf
from atrous.crf.params import CRFParams
from atrous.crf.tiles import dense_crf_tiled
from atrous.data.palettes import encode_palette_png, overlay
from atrous.data.photos import read_photo, save_png
from atrous.errors import ParameterError


class Settings(NamedTuple):
    """Options that apply to all files."""

    preset: str | CRFParams = "densecrf"
    iterations: int | None = None
    normalization: str | None = None
    unknown: int | str | tuple[int, int, int] | None = "auto"
    """The number or colour of unknown pixels; None if every pixel has a label. "auto" is 255 in palette and grey
    images, 65535 in grey ones of 16 bits, and black in colours. Transparent pixels are always unknown."""
    confidence: float = 0.7
    tile: int | None = None


def _stem(path):
    """Return a file name without its ending; accented letters compare equal in both Unicode forms."""
    return unicodedata.normalize("NFC", path.stem)


def jobs_for(images, labels, output, *, overlay=None, probabilities=None):
    """Return (jobs, failures), with (photograph, reason) for each photograph without exactly one file of labels.

    One photograph and one file of labels give one PNG. For several photographs `labels`, `output`, `overlay` and
    `probabilities` are folders with files named after the photographs.
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
                    f"{option} {path}: there is no writable folder {str(path.parent)!r}. Create it first."
                )
        jobs = [_job(images[0], labels, wanted)]
    else:
        if not labels.is_dir():
            raise ParameterError(
                f"several photographs need a folder of labels with files of the same names, got LABELS {str(labels)!r}."
            )
        for option, path in wanted.items():
            if path.exists() and not path.is_dir():
                raise ParameterError(f"several photographs need a folder for {option}, got the file {str(path)!r}.")
        jobs = []
        for image, found in zip(images, _labels_of(images, labels), strict=True):
            if len(found) == 1:
                named = {option: folder / (image.stem + endings[option]) for option, folder in wanted.items()}
                jobs.append(_job(image, found[0], named))
            elif found:
                names = ", ".join(path.name for path in found)
                failures.append((image, f"{labels} has several files of labels for it: {names}. Keep one."))
            else:
                kinds = ", ".join((*COLOURS, *ARRAYS))
                failures.append((image, f"{labels} has no labels for it: {image.stem} with ending {kinds}."))
    refuse_overwriting(
        (path for job in jobs for path in (job.image, job.labels)),
        ((path, job.image) for job in jobs for path in job.results()),
    )
    return jobs, failures


def _job(image, labels, wanted):
    """Return the Job of one photograph; `wanted` maps options to the files to write."""
    return Job(image, wanted["OUT"], labels, wanted.get("--overlay"), wanted.get("--probabilities"))


def _labels_of(images, folder):
    """Return for each photograph the files in the folder that could be its labels."""
    by_stem = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (*COLOURS, *ARRAYS):
            by_stem.setdefault(_stem(path), []).append(path)
    return [[p for p in by_stem.get(_stem(i), []) if identity(p) != identity(i)] for i in images]


def refine_image(photo, rough, settings, *, progress=None):
    """Return the marginals (L, H, W) of a photograph (H, W, 3) with rough labels."""
    params = {"iterations": settings.iterations, "normalization": settings.normalization}
    # Levels are 0 to 255 for every file: a nearly black photograph must not be taken for one in 0 to 1.
    scale = {"intensity_scale": 1} if photo.dtype.kind == "f" else {}
    if settings.tile is None:
        return dense_crf(rough.probabilities, photo, settings.preset, **params, **scale)
    return dense_crf_tiled(
        rough.probabilities, photo, settings.preset, tile=settings.tile, **params, **scale, progress=progress or False
    )


def refine_file(job, settings, *, progress=None):
    """Refine one photograph and write its files, all or none; return what was found as plain values."""
    seconds = stopwatch()
    photo = read_photo(OWNER, job.image)
    size = photo.shape[:2]
    rough = read_rough(job.labels, size, settings)
    marginals = refine_image(photo, rough, settings, progress=progress)
    labels = marginals.argmax(0)
    refined = rough.ids[labels]
    if rough.palette is None:
        files = {job.output: lambda file: save_png(refined, file)}
    else:
        files = {job.output: lambda file: encode_palette_png(refined, file, rough.palette)}
    if job.overlay is not None:
        picture = overlay(np.rint(photo).astype(np.uint8), labels, rough.colours)
        files[job.overlay] = lambda file: save_png(picture, file)
    if job.probabilities is not None:
        files[job.probabilities] = lambda file: np.save(file, marginals)
    write_results(OWNER, files)
    known, names = rough.labels >= 0, rough.names()
    share = float(1 - known.mean())
    found = {"labels": len(names), "ids": names, "unknown": share, "taken_as_unknown": rough.unknown}
    if len(names) == 1:
        found["warning"] = _one_label(job, names[0], rough.unknown, share)
    return report(job, size, seconds(), **found, changed=float((labels != rough.labels)[known].mean()))


def _one_label(job, name, unknown, share):
    """Return the warning for a file with one label, which decides every pixel."""
    rest = ""
    if share:
        rest = (
            f" {share:.1%} of its pixels were taken as unknown ({unknown}): if they have a label too, pass "
            "--unknown none, or --unknown with what is unknown."
        )
    return f"{job.labels.name} has one label, {name}, so every pixel of {job.output.name} is {name}.{rest}"
