"""Choose the CRF's parameters for a folder of labelled images: what `atrous tune` does.

The probabilities come from files, or from a network, which then labels every image once and writes them. What a search
has counted is written after every image, so that an interrupted one goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from atrous._atomic import replacing
from atrous.apps.evaluate import evenly
from atrous.apps.refine import Settings as Reading
from atrous.apps.rough_labels import ARRAYS, read_rough
from atrous.crf.fit import WHAT, fit_crf
from atrous.crf.params import CRFParams
from atrous.crf.params_file import params_text
from atrous.crf.search import Counted, SearchedCRF, search_crf
from atrous.errors import ParameterError
from atrous.figures import figure_search, image_bytes
from atrous.nets.segmentation import predict

OWNER = "tune"
METHODS = ("search", "fit")


class Settings(NamedTuple):
    """How to choose."""

    method: str
    start: CRFParams | str
    ranges: dict[str, Sequence[float]]
    rounds: int
    most: int


class _Lazily(Sequence[Any]):
    """A sequence whose items are made when they are asked for."""

    def __init__(self, count: int, make: Callable[[int], Any]):
        self.count, self.make = count, make

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        return self.make(index)

    def __iter__(self) -> Iterator[Any]:
        return map(self.make, range(self.count))


def name_of(samples, index: int) -> str:
    """Return the name of a sample: that of its file, or its number."""
    return samples.name(index) if hasattr(samples, "name") else f"{index:05d}"


def probability_file(folder: Path, name: str) -> Path:
    """Return the file of probabilities of an image, or raise ParameterError."""
    for ending in ARRAYS:
        path = folder / f"{name}{ending}"
        if path.is_file():
            return path
    raise ParameterError(f"{OWNER}: {folder} has no probabilities of {name}: {name} with ending {' or '.join(ARRAYS)}.")


def predict_all(samples, chosen, model, folder: Path, tell) -> None:
    """Write the network's probabilities of every chosen image that has no file yet."""
    for done, i in enumerate(chosen, start=1):
        path = folder / f"{name_of(samples, i)}.npy"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as (partial,), partial.open("wb") as file:
                np.save(file, predict(samples[i][0], model.network, model.params))
        tell(done, len(chosen), "probabilities")


def _write(path: Path, content: str | bytes) -> None:
    with replacing(path) as (partial,):
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def _save(path: Path, digest: str, counted: dict[tuple[float, ...], Counted]) -> None:
    with replacing(path) as (partial,), partial.open("wb") as file:
        np.savez(
            file, digest=digest, points=np.array(list(counted)), images=np.array([c.images for c in counted.values()]),
            matrices=np.array([c.matrix for c in counted.values()]),
        )  # fmt: skip


def _load(path: Path, digest: str) -> dict[tuple[float, ...], Counted]:
    try:
        with np.load(path) as found:
            if str(found["digest"]) != digest:
                raise ParameterError(
                    f"{OWNER}: {path} is of a search of other images, probabilities or parameters. Search again "
                    "without --resume, or in another folder."
                )
            rows = zip(found["points"].tolist(), found["images"].tolist(), found["matrices"], strict=True)
            return {tuple(point): Counted(images, matrix) for point, images, matrix in rows}
    except FileNotFoundError:
        raise ParameterError(f"{OWNER}: there is nothing to resume: {path} does not exist.") from None
    except (OSError, ValueError, KeyError) as error:
        raise ParameterError(f"{OWNER}: {path} is not what a search has counted, or is cut short: {error}.") from error


def tune(
    samples: Sequence[Any],
    source: Any,
    output: Path,
    settings: Settings,
    *,
    resume: bool = False,
    tell: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> dict[str, Any]:
    """Choose parameters and write them; return what was found as plain values.

    Parameters
    ----------
    samples : sequence of (image, labels)
        Labels at the size of the image, 255 where there is none.
    source : Path or Model
        A folder with the probabilities of each image, or a network with its weights.
    output : Path
        Folder for ``crf.toml``, ``search.json`` and ``search.svg``, ``search.npz`` to resume from, and
        ``probabilities`` if a network makes them.
    settings : Settings
    resume : bool
        Go on from what an earlier search in `output` has counted.
    tell : callable
        Called with (done, total, what).
    """
    chosen = list(evenly(len(samples), settings.most))
    output.mkdir(parents=True, exist_ok=True)
    folder = source
    if not isinstance(source, Path):
        folder = output / "probabilities"
        predict_all(samples, chosen, source, folder, tell)
    files = [probability_file(folder, name_of(samples, i)) for i in chosen]

    def probabilities(i):
        return read_rough(files[i], samples[chosen[i]][1].shape, Reading()).probabilities

    data = (
        _Lazily(len(chosen), lambda i: samples[chosen[i]][0]),
        _Lazily(len(chosen), probabilities),
        _Lazily(len(chosen), lambda i: samples[chosen[i]][1]),
    )
    if settings.method == "fit":
        fitted = fit_crf(
            *data, settings.start, what=("weights", "sigmas"), intensity_scale=1,
            tell=lambda step, loss, params: tell(step, 50, f"loss {loss:.4f}"),
        )  # fmt: skip
        found = _score(data, fitted.params, settings.start)
        extra = {"loss_before": fitted.loss_before, "loss": fitted.loss}
    else:
        found, extra = _search(data, files, settings, output, resume, tell), {}
        _write(output / "search.svg", image_bytes(figure_search(found.rounds), "svg"))
    names = tuple(settings.ranges) if settings.method == "search" else (*WHAT["weights"], *WHAT["sigmas"])
    result = {
        "images": len(chosen), "method": settings.method, "params": found.params._asdict(),
        "mean_iou": found.score, "mean_iou_before": found.score_before, "mean_iou_unrefined": found.score_unrefined,
        "searched": list(names), "at_edge": found.at_edge, **extra,
    }  # fmt: skip
    if settings.method == "search":
        result["rounds"] = [{**r._asdict(), "scores": r.scores.tolist()} for r in found.rounds]
        _write(output / "search.json", json.dumps(result, indent=1) + "\n")
    remark = (
        f"Chosen by `atrous tune` on {len(chosen)} images: mean IoU {found.score:.2%}; "
        f"{found.score_unrefined:.2%} without the CRF."
    )
    _write(output / "crf.toml", params_text(found.params, remark))
    return result


def _score(data, params: CRFParams, before) -> SearchedCRF:
    """Return the scores of given parameters as those of a search that tries nothing else."""
    fixed = {"bilateral_weight": (params.bilateral_weight,)}
    found = search_crf(*data, params, ranges=fixed, rounds=1, intensity_scale=1)
    start = search_crf(*data, before, ranges=fixed, rounds=1, intensity_scale=1)
    return found._replace(score_before=start.score_before)


def _search(data, files, settings: Settings, output: Path, resume: bool, tell) -> SearchedCRF:
    state = output / "search.npz"
    stamps = [(str(path), path.stat().st_size) for path in files]
    described = json.dumps([stamps, settings.start, settings.most], sort_keys=True)
    digest = hashlib.sha256(described.encode()).hexdigest()[:16]

    def count(counted, number, done, images):
        _save(state, digest, counted)
        tell(done, images, f"images, round {number} of {settings.rounds}")

    return search_crf(
        *data, settings.start, ranges=settings.ranges, rounds=settings.rounds, intensity_scale=1,
        counted=_load(state, digest) if resume else {}, tell=count,
    )  # fmt: skip
