"""Label the pixels of photographs with a network: what `atrous segment` does.

The network is recognised by its weights. Each photograph goes through `segment`; the results are a palette PNG and an
overlay with a legend.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from atrous.apps.jobs import Job, refuse_overwriting, report, stopwatch, write_results
from atrous.data.classes import Classes, classes_of
from atrous.data.palettes import encode_palette_png, overlay
from atrous.data.photos import read_photo, save_png
from atrous.errors import ParameterError
from atrous.nets.guess import choose
from atrous.nets.network import Network
from atrous.nets.segmentation import segment
from atrous.weights.files import load_weights

OWNER = "segment"
INK, FRAME, PAPER = "#222222", "#8a8a8a", "white"


class Model(NamedTuple):
    """A network with its arrays and the names and colours of its classes."""

    network: Network
    params: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
    classes: Classes


class Settings(NamedTuple):
    """Options that apply to all photographs."""

    crf: str | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False


def jobs_for(images, folder, weights) -> list[Job]:
    """Return a job for each photograph: a palette PNG with its name in the folder, and an overlay."""
    images, folder = [Path(image) for image in images], Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ParameterError(f"the results need a folder, got the file {str(folder)!r}. Choose another: -o DIR.")
    jobs = [Job(i, folder / f"{i.stem}.png", overlay=folder / f"{i.stem}_overlay.png") for i in images]
    refuse_overwriting([*images, Path(weights)], ((path, job.image) for job in jobs for path in job.results()))
    return jobs


def open_model(weights, name=None, classes=None, palette=None, **options) -> Model:
    """Return the network for a file of weights: the one that is named, or the only one that they fit."""
    arrays = load_weights(weights)
    network = choose(arrays, name, classes, **options)
    # A network with one class tells foreground from background.
    classes = classes_of(max(network.classes, 2), palette)
    return Model(network, network.load(arrays), classes)


def segment_file(job: Job, model: Model, settings: Settings) -> dict[str, Any]:
    """Label one photograph and write its files, both or none; return what was found as plain values."""
    seconds = stopwatch()
    photo = read_photo(OWNER, job.image)
    # A 16-bit photograph stays 16-bit: as floats, the levels of a nearly black one would look like fractions of 1.
    exact = np.rint(257 * photo).astype(np.uint16) if photo.dtype.kind == "f" else photo
    labels = segment(exact, model.network, model.params, **settings._asdict()).labels
    names, palette = model.classes
    counts = np.bincount(labels.ravel(), minlength=len(names))
    order = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
    classes = [{"label": i, "name": names[i], "share": float(counts[i] / labels.size)} for i in order]
    painted = overlay(np.rint(photo).astype(np.uint8), labels, palette)
    picture = with_legend(painted, [(palette[c["label"]], c["name"], c["share"]) for c in classes])
    write_results(
        OWNER,
        {
            job.output: lambda file: encode_palette_png(labels, file, palette),
            job.overlay: lambda file: save_png(picture, file),
        },
    )
    return report(job, labels.shape, seconds(), classes=classes)


def percent(share):
    """Return a share as text; one that would round to zero becomes <0.1%."""
    return f"{share:.1%}" if share >= 0.0005 else "<0.1%"


def with_legend(picture: np.ndarray, entries) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 with a legend below it: entries (colour, name, share) in columns.

    The size of the legend follows the picture. A picture narrower than one column is widened with white paper.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = picture.shape[:2]
    size = int(np.clip(max(height, width) / 40, 13, 60))
    font = ImageFont.load_default(size)
    texts = [(name, percent(share)) for _, name, share in entries]
    name_width, share_width = (max(font.getlength(text) for text in column) for column in zip(*texts, strict=True))
    margin, line, swatch = size, round(1.7 * size), round(1.1 * size)
    column = round(swatch + 0.5 * size + name_width + size + share_width)
    gap = 2 * size
    across = int(np.clip((width - 2 * margin + gap) // (column + gap), 1, len(entries)))
    down = -(-len(entries) // across)
    wide = max(width, 2 * margin + column)
    paper = Image.new("RGB", (wide, height + 2 * margin + down * line), PAPER)
    paper.paste(Image.fromarray(picture))
    draw = ImageDraw.Draw(paper)
    for i, ((colour, *_), (name, share)) in enumerate(zip(entries, texts, strict=True)):
        x, y = margin + i // down * (column + gap), height + margin + i % down * line
        middle, top = y + line / 2, y + (line - swatch) // 2
        draw.rectangle((x, top, x + swatch, top + swatch), tuple(map(int, colour)), FRAME, max(1, size // 16))
        draw.text((x + swatch + size // 2, middle), name, INK, font, "lm")
        draw.text((x + column, middle), share, INK, font, "rm")
    return np.asarray(paper)
