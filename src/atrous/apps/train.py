"""Train a network and leave files: what `atrous train` does.

    setup.json       the setup as it was read
    log.csv          a row for each step: loss, rate, norm of the gradients, seconds
    loss.png         the same as a picture
    step_….npz       the last two checkpoints
    weights.npz      the parameters and running statistics at the end, for every other command
    measures.txt     the IoU of each class on held-out images, or on training images where there are no others
    predictions.png  some of these images, their labels, and what the network predicts

An interruption, a full disk or a loss that is no number leaves the last good checkpoint.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from atrous._atomic import replacing
from atrous.apps.evaluate import evaluate, evenly, measure_lines
from atrous.errors import ParameterError
from atrous.nets.fresh import TOGETHER
from atrous.nets.from_classifier import from_classifier
from atrous.nets.network import Network
from atrous.nets.segmentation import segment
from atrous.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from atrous.train.loop import Step, training
from atrous.train.setup import Setup, classes_for
from atrous.weights.errors import WeightsError
from atrous.weights.files import load_weights, save_weights

COLUMNS = ("step", "loss", "rate", "norm", "seconds")
# Seconds between checkpoints, unless steps take longer.
EVERY = 60.0
MEASURED, SHOWN = 50, 6


# The last layers of ImageNet classifiers, and how these prepare images.
CLASSIFIERS = {"fc.weight": "torchvision", "classifier.6.weight": "torchvision", "fc8.weight": "caffe"}


def begin(network: Network, init: str | None, rng: np.random.Generator):
    """Return (params, state, which part is fresh): drawn, or loaded from a file as far as it fits.

    Of an ImageNet classifier the trunk is used, and VGG's fc6 and fc7, decimated as in the paper (`from_classifier`).
    """
    if init is None:
        return *network.init(rng), "everything"
    weights = load_weights(init)
    for name, preprocessing in CLASSIFIERS.items():
        if name in weights:
            return *from_classifier(network, weights, rng, preprocessing=preprocessing), "head"
    try:
        return *network.load(weights), ""
    except WeightsError as error:
        for part in TOGETHER:
            try:
                return *network.load(weights, fresh=part, rng=rng), part
            except (WeightsError, ParameterError):  # the latter if there is no such part
                continue
        raise error from None


def train_files(
    setup: Setup,
    folder: Path,
    *,
    resume: bool = False,
    every: float = EVERY,
    tell: Callable[[Step, float], None] = lambda step, seconds: None,
    say: Callable[[str], None] = lambda text: None,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train as the setup says and write the files; return what was done as plain values.

    Parameters
    ----------
    setup : Setup
    folder : Path
        For the files.
    resume : bool
        Go on from the newest checkpoint of the folder, which otherwise must hold none.
    every : float
        Seconds between checkpoints.
    tell : callable
        Called with each step and the seconds it took.
    say : callable
        Called with lines of text that matter before the end: what began fresh, what differs from the setup before.
    stopped : callable
        Asked after each step; training ends when it says so.
    """
    folder, started = Path(folder), list(Path(folder).glob("step_*.npz"))
    if started and not resume:
        raise ParameterError(
            f"train: {folder} holds the checkpoint {started[0].name}. Pass --resume, or another folder."
        )
    for samples in (setup.samples, setup.held_out):
        if hasattr(samples, "check"):
            samples.check()
    fresh, rows = "", []
    if started:
        at = load_checkpoint(folder)
        rows = [row for row in read_log(folder / "log.csv") if int(row["step"]) <= at.number]
        for path in at.skipped:
            say(f"{path} could not be read; going on from the checkpoint before it")
        for change in changes(folder / "setup.json", setup.described):
            say(f"changed: {change}")
    else:
        params, state, fresh = begin(setup.network, setup.init, np.random.default_rng(setup.recipe.seed))
        at = Checkpoint(params, state, {}, 0, folder, ())
        if setup.init:
            start = f"the {fresh} does not fit {setup.init} and starts from random values"
            say(start if fresh else f"all of {setup.init} is used")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "setup.json", as_json(setup.described) + "\n")
    write_log(folder / "log.csv", rows)
    whole, step, before, saved = False, None, time.perf_counter(), time.perf_counter()
    steps = training(
        setup.network, at.params, at.state, setup.samples, setup.recipe, momentum=at.momentum or None, number=at.number
    )
    try:
        with (folder / "log.csv").open("a", encoding="utf-8", newline="") as log:
            for step in steps:
                now = time.perf_counter()
                row = dict(zip(COLUMNS, (step.number, step.loss, step.rate, step.norm, now - before), strict=True))
                csv.DictWriter(log, COLUMNS).writerow(row)
                log.flush()
                rows.append(row)
                tell(step, now - before)
                before = now
                if now - saved >= every:
                    save_checkpoint(folder, step)
                    saved = now
                if stopped():
                    break
        whole = True
    finally:
        # Whatever ended the loop, the last step that was finished is worth keeping.
        steps.close()
        if step is not None:
            save_checkpoint(folder, step)
            if not whole:
                say(f"step {step.number} is kept in {folder}; --resume goes on from it")
    last = step or at
    save_weights({**last.params, **last.state}, folder / "weights.npz")
    if rows:
        draw(rows, folder / "loss.png")
    measures, files = None, ["weights.npz", "log.csv", "loss.png"]
    if last.number >= setup.recipe.steps:
        measures = measure(setup, last, folder, say)
        files += ["measures.txt", "predictions.png"]
    return {
        "network": setup.network.name,
        "classes": setup.network.classes,
        "steps": last.number,
        "of": setup.recipe.steps,
        "fresh": fresh,
        "skipped": [str(path) for path in at.skipped],
        "loss": float(rows[-1]["loss"]) if rows else None,
        "mean_iou": measures and measures["mean_iou"],
        "measured": measures and measures["what"],
        "files": [str(folder / name) for name in files if (folder / name).exists()],
    }


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a log, none if there is no log."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]


def write_log(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a log whole."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as (partial,):
        partial.write_text(text, encoding="utf-8", newline="")


def as_json(described: dict[str, Any]) -> str:
    """Return a setup as text; it may hold arrays and paths if it came from Python."""
    return json.dumps(described, indent=1, default=lambda v: v.tolist() if isinstance(v, np.ndarray) else str(v))


def changes(path: Path, described: dict[str, Any]) -> list[str]:
    """Return the fields in which a setup differs from the one in a file, in words; none if there is no such file."""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    now = json.loads(as_json(described))
    found = []
    for table in sorted({*before, *now}):
        old, new = before.get(table, {}), now.get(table, {})
        found += [
            f"[{table}] {field}, {old.get(field)!r} before, {new.get(field)!r} now"
            for field in sorted({*old, *new})
            if old.get(field) != new.get(field)
        ]
    return found


def measure(setup: Setup, last: Step | Checkpoint, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the network on some images, evenly chosen; write a table and pictures of the first few."""
    from atrous import figures

    samples = setup.samples if setup.held_out is None else setup.held_out
    chosen = evenly(len(samples), MEASURED)
    network, weights = setup.network, (last.params, last.state)
    kind_of_images = "training" if setup.held_out is None else "held-out"
    what = f"{len(chosen)} {kind_of_images} image{'s' * (len(chosen) != 1)}"
    say(f"measuring on {what}")
    found = evaluate(network, weights, samples, most=MEASURED, widths=(1, 3, 5))
    kind = setup.described["data" if setup.held_out is None else "held_out"]["kind"]
    classes = classes_for(kind, max(network.classes, 2))
    write_text(folder / "measures.txt", "\n".join((what, "", *measure_lines(found, classes.names), "")))
    shown = [samples[i] for i in chosen[:SHOWN]]
    predictions = [segment(image, network, weights).labels for image, _ in shown]
    figure = figures.figure_predictions(shown, predictions, classes.names, classes.palette)
    figures.save(figure, folder / "predictions.png")
    return {**found, "what": what}


def draw(rows, path: Path) -> None:
    """Write the picture of the loss."""
    from atrous import figures

    figures.save(figures.figure_training(rows), path)
