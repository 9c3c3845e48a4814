"""Make the weights that come with the package.

    python benchmarks/shapes.py RUNS

Trains the preset "shapes" with seeds 0, 1 and 2 into the folders RUNS/0, RUNS/1 and RUNS/2, or goes on with what is
there; chooses the parameters of the CRF for seed 0 on scenes of its training; measures all three on the held-out
scenes, without and with the CRF; and writes the files of `atrous.train.trained`. Two hours on two cores.
"""

import csv
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

import atrous
from atrous import CRFParams, dense_crf, mean_iou, predict, read_setup, save_weights
from atrous.apps.evaluate import evaluate
from atrous.apps.train import COLUMNS, read_log, train_files
from atrous.bench.machine import environment
from atrous.progress import ProgressLine
from atrous.train.trained import FOLDER
from atrous.trimap import trimap_confusion

NAME, SEEDS, BANDS = "shapes", (0, 1, 2), (1, 2, 3, 4, 5)
TRIED = [
    CRFParams(weight, alpha, beta, 3.0, gamma, 10, "symmetric")
    for weight, alpha, beta, gamma in itertools.product((3, 6, 12, 24), (12, 24, 48), (5, 7, 10, 16, 24), (1, 3))
]


def weights_of(runs, seed):
    """Return the arrays to ship after training with a seed: parameters in float16, running statistics in float32."""
    setup = read_setup(NAME, {"recipe": {"seed": seed}})
    folder = runs / str(seed)
    progress = ProgressLine(f"seed {seed}")
    done = train_files(setup, folder, resume=True, tell=lambda step, _: progress(step.number, setup.recipe.steps))
    if done["steps"] < setup.recipe.steps:
        raise SystemExit("stopped")
    params, state = setup.network.load(folder / "weights.npz")
    return {**{name: array.astype(np.float16) for name, array in params.items()}, **state}


def best_crf(network, weights, scenes):
    """Return the parameters with the largest mean IoU within three pixels of the boundaries."""
    pairs = [scenes[i] for i in range(24)]
    problems = [(image, labels, predict(image, network, weights)) for image, labels in pairs]
    progress = ProgressLine("CRF")

    def score(params):
        progress(TRIED.index(params), len(TRIED), str(tuple(params)))
        total = 0
        for image, labels, p in problems:
            refined = dense_crf(p, image, params, intensity_scale=1).argmax(0)
            total = total + trimap_confusion(refined, labels, network.classes, (3,))[0]
        return mean_iou(total)

    return max(TRIED, key=score)


def measures(network, weights, scenes, crf):
    """Return mean IoU and trimaps on scenes, without and with the CRF."""
    found = {}
    for name, params in (("network", None), ("with the CRF", crf)):
        progress = ProgressLine(name)
        one = evaluate(network, weights, scenes, crf=params, widths=BANDS, tell=progress)
        found[name] = {"mean_iou": one["mean_iou"], "trimap": [band["mean_iou"] for band in one["trimap"]]}
    return found


def main(runs):
    where = Path(__file__).parent
    told = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, cwd=where)
    commit, setup = told.stdout.strip(), read_setup(NAME)
    network, crf, seeds = setup.network, None, {}
    for seed in SEEDS:
        found = weights_of(runs, seed)
        weights = network.load(found)
        if crf is None:
            crf, shipped = best_crf(network, weights, setup.samples), found
        seeds[str(seed)] = measures(network, weights, setup.held_out, crf)
    FOLDER.mkdir(exist_ok=True)
    save_weights(shipped, FOLDER / f"{NAME}.npz")
    log = read_log(runs / str(SEEDS[0]) / "log.csv")
    with (FOLDER / f"{NAME}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for i in range(0, len(log), 10):
            few = {name: [float(row[name]) for row in log[i : i + 10]] for name in COLUMNS[1:]}
            means = {name: f"{np.mean(values):.4g}" for name, values in few.items()}
            writer.writerow({"step": log[i : i + 10][-1]["step"], **means})
    made = {
        "commit": commit, "version": atrous.__version__, "environment": environment(), "seed": SEEDS[0],
        "crf": crf._asdict(), "held_out": {"images": len(setup.held_out), **seeds[str(SEEDS[0])]}, "seeds": seeds,
    }  # fmt: skip
    (FOLDER / f"{NAME}.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
