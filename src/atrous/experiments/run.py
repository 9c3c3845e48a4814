"""Train and measure: one process a core, one thread each; what is done stays done after an interruption.

Every training with its seed writes one small file as soon as its rows are measured. A later run takes these files as
long as nothing that they depend on has changed, which a digest tells.

Role: program.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from atrous._atomic import replacing
from atrous.apps.evaluate import evaluate
from atrous.bench.machine import commit, environment, limited_environment
from atrous.data.classes import SCENE_CLASSES
from atrous.data.scenes import Scenes
from atrous.experiments.catalogue import experiment_named
from atrous.experiments.design import RECIPE, SCENES, TESTED, WORLD, Experiment, Training
from atrous.experiments.networks import small
from atrous.nets.network import Network
from atrous.train.augment import augment
from atrous.train.loop import Recipe, training
from atrous.train.objective import LossTerm

BANDS = (1, 2, 4)
# Worlds by seed: tests come from one, the trainings of seed s from another.
TEST_WORLD, TRAINING_WORLDS = 2, 100


def scenes(world: Mapping[str, Any], count: int, seed: int) -> list:
    """Return scenes of a world, drawn at once: an epoch later they are needed again."""
    drawn = Scenes(count, seed=seed, **{**WORLD, **world})
    return [drawn[i] for i in range(count)]


def trained(task: Training, seed: int, steps: int | None = None) -> tuple[Network, dict[str, Any]]:
    """Return a network and its weights after a training; it depends on the task and the seed alone."""
    options = {**RECIPE, **task.recipe}
    crop, sub_sampled, frozen = (options.pop(name, None) for name in ("crop", "sub_sampled", "frozen"))
    network = small(**{name: value for name, value in task.network.items() if name != "crf"})
    samples = scenes(task.world, SCENES, TRAINING_WORLDS + seed)
    if frozen:
        network = network.with_batch_norms(frozen=True)
    params, state = network.init(np.random.default_rng(seed))
    recipe = Recipe(
        **{**options, "steps": steps or options["steps"]},
        seed=seed,
        terms=(LossTerm("low_logits" if sub_sampled else "logits"),),
        change=partial(augment, crop=crop, scales=()) if crop else None,
    )
    params, state = _after(network, params, state, samples, recipe)
    if task.further:
        further = dict(task.further)
        taken, network = network, small(**further.pop("network"))
        rng, fresh = np.random.default_rng(seed), "crf" if network.body != taken.body else ()
        params, state = network.load({**params, **state}, fresh=fresh, rng=rng)
        further["steps"] = min(steps or further["steps"], further["steps"])
        recipe = Recipe(**{**RECIPE, "warm_up": 0, **further}, seed=seed + 1)
        params, state = _after(network, params, state, samples, recipe)
    return network, {**params, **state}


def _after(network, params, state, samples, recipe):
    """Return the weights after a training."""
    for step in training(network, params, state, samples, recipe):
        params, state = step.params, step.state
    return params, state


def measured(network: Network, weights, samples, *, bands=BANDS, fusion=None, **options) -> dict[str, float]:
    """Return the measures of one row, in per cent: mean IoU, IoU of each class, mean IoU near boundaries.

    `fusion` replaces how scales are fused.
    """
    if fusion:
        network = network._replace(fusion=fusion)
    found = evaluate(network, weights, samples, widths=bands, **options)
    measures = {"mean_iou": found["mean_iou"], "pixel_accuracy": found["pixel_accuracy"]}
    measures |= {name: c["iou"] for name, c in zip(SCENE_CLASSES, found["classes"], strict=False)}
    measures |= {f"within_{band['width']}": band["mean_iou"] for band in found["trimap"]}
    return {name: 100 * value for name, value in measures.items()}


def done_once(name: str, key: str, seed: int, folder: Path, steps: int | None = None) -> tuple[str, int, float]:
    """Train once, measure all rows of this training, and write them; return what was done and its seconds."""
    begun = time.perf_counter()
    experiment = experiment_named(name)
    task = experiment.trainings[key]
    _, weights = trained(task, seed, steps)
    rows = {}
    for row in experiment.rows:
        if row.training != key:
            continue
        options = dict(row.test)
        tested = small(**{**task.network, **options.pop("network", {})})
        samples = scenes({**task.world, **options.pop("world", {})}, TESTED, TEST_WORLD)
        found = (experiment.measure or measured)(tested, weights, samples, **options)
        size = samples[0][0].shape[0]
        rows[row.label] = {**found, "macs": tested.summary(size).macs / 1e6, "parameters": tested.parameter_count}
    seconds = time.perf_counter() - begun
    content = {"digest": digest(experiment, key, steps), "seconds": seconds, "rows": rows}
    path = _part(folder, name, key, seed)
    with replacing(path) as (partial_file,):
        partial_file.write_text(json.dumps(content), encoding="utf-8")
    return key, seed, seconds


def digest(experiment: Experiment, key: str, steps: int | None = None) -> str:
    """Return a name for all that the rows of a training depend on, but for the code."""
    rows = [(row.label, dict(row.test)) for row in experiment.rows if row.training == key]
    *first, further = experiment.trainings[key]
    task = [dict(part) for part in (*first, *([further] if further else []))]
    text = json.dumps([task, rows, WORLD, RECIPE, SCENES, TESTED, steps], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _part(folder: Path, name: str, key: str, seed: int) -> Path:
    place = folder / f"{name}.parts"
    place.mkdir(parents=True, exist_ok=True)
    return place / f"{key.replace(' ', '_')}-{seed}.json"


def _found(folder: Path, name: str, key: str, seed: int, expected: str):
    """Return what an earlier run left of a training, or None."""
    try:
        content = json.loads(_part(folder, name, key, seed).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if content.get("digest") == expected else None


def run_experiment(
    name: str,
    folder: Path,
    *,
    seeds: Iterable[int] = (0, 1, 2),
    steps: int | None = None,
    processes: int | None = None,
    tell: Callable[[str, int, float, int, int], None] = lambda key, seed, seconds, done, total: None,
) -> dict[str, Any]:
    """Run an experiment and return its results as plain values.

    Parameters
    ----------
    name : str
        One of `catalogue.EXPERIMENTS`.
    folder : Path
        For a file of each training with its seed, in ``NAME.parts``.
    seeds : iterable of int
        Each has its own scenes, first weights and order.
    steps : int, optional
        Of every training, in place of those of the experiment: for a quick look.
    processes : int, optional
        Trainings at a time, each on one thread; by default as many as there are cores.
    tell : callable
        Called with (training, seed, seconds, done, total) after each.
    """
    experiment, seeds = experiment_named(name), sorted(set(seeds))
    jobs = [(key, seed) for seed in seeds for key in experiment.trainings]
    digests = {key: digest(experiment, key, steps) for key in experiment.trainings}
    missing = [(key, seed) for key, seed in jobs if _found(folder, name, key, seed, digests[key]) is None]
    kept = dict(os.environ)
    try:
        os.environ.update(limited_environment(1))
        workers = min(processes or os.cpu_count() or 1, max(1, len(missing)))
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            waiting = [pool.submit(done_once, name, key, seed, folder, steps) for key, seed in missing]
            try:
                for done, job in enumerate(as_completed(waiting), start=1):
                    tell(*job.result(), done + len(jobs) - len(missing), len(jobs))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        os.environ.clear()
        os.environ.update(kept)
    parts = {job: _found(folder, name, *job, digests[job[0]]) for job in jobs}
    rows = [
        {
            "label": row.label,
            "paper": row.paper,
            "printed": row.printed,
            "measures": _stacked([parts[row.training, seed]["rows"][row.label] for seed in seeds], experiment.columns),
        }
        for row in experiment.rows
    ]
    return {
        "experiment": name,
        "environment": environment(1),
        "commit": commit(),
        "seeds": seeds,
        "steps": steps,
        "seconds": sum(part["seconds"] for part in parts.values()),
        "rows": rows,
    }


def _stacked(found: list[dict[str, Any]], columns: Mapping[str, str]) -> dict[str, list[Any]]:
    """Return each measure as a list over the seeds, and the rounds of a search where its parameters have a column."""
    names = [name for name in found[0] if name != "search" or "sigma_alpha" in columns]
    return {name: [m[name] if isinstance(m[name], list) else round(m[name], 3) for m in found] for name in names}
