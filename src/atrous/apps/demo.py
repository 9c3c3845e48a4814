"""`atrous demo`: the whole system on drawn scenes, the papers' figures on a photograph, methods and gradients."""

import time
import tracemalloc
from pathlib import Path

import numpy as np

from atrous.apps.operator_checks import check_operators

# One branch of DeepLab v2's ASPP: 2048 channels of ResNet-101 to 21 classes on a 41 x 41 map, rate 6.
LAYER = {"c": 2048, "f": 21, "size": 41, "rate": 6}


def method_table(progress=None):
    """Return a row for each method on one DeepLab layer: seconds, extra memory, difference from the reference.

    Each method runs three times, for its result, memory and time; `atrous bench` measures more carefully.
    """
    from atrous.conv.geometry import conv_geometry
    from atrous.conv.methods import available_methods
    from atrous.conv.operators import conv_forward

    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, LAYER["c"], LAYER["size"], LAYER["size"]), np.float32)
    w = rng.standard_normal((LAYER["f"], LAYER["c"], 3, 3), np.float32) / 100
    rows, expected = [], None
    methods = available_methods(conv_geometry(x.shape, w.shape, rate=LAYER["rate"]))
    for done, method in enumerate(methods):
        if progress:
            progress(done, len(methods), method)
        y, _ = conv_forward(x, w, rate=LAYER["rate"], method=method)
        tracemalloc.start()
        conv_forward(x, w, rate=LAYER["rate"], method=method)
        extra = max(0, tracemalloc.get_traced_memory()[1] - y.nbytes)
        tracemalloc.stop()
        expected = y if expected is None else expected
        started = time.perf_counter()
        conv_forward(x, w, rate=LAYER["rate"], method=method)
        rows.append({
            "method": method,
            "seconds": time.perf_counter() - started,
            "extra_bytes": extra,
            "difference": float(np.abs(y - expected).max() / np.abs(expected).max()),
        })  # fmt: skip
    return rows


def pictures(image, folder, progress=None):
    """Draw the demo's pictures of a grey image into `folder`; return their paths."""
    from atrous import figures

    drawings = {
        "sparse_and_dense_1d.png": figures.figure_sparse_dense,
        "sparse_and_dense_2d.png": lambda: figures.figure_sparse_dense_2d(image),
        "aspp_branches.png": lambda: figures.figure_aspp_responses(image),
        "output_strides.png": figures.figure_output_strides,
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for done, (name, draw) in enumerate(drawings.items()):
        if progress:
            progress(done, len(drawings), name)
        path = folder / name
        figures.save(draw(), path)
        paths.append(path)
    return paths


def crf_problem(image=None):
    """Return a colour picture (H, W, 3), rough labels (H, W) and CRFParams: polygons over the portrait, or an ellipse.

    `image` is the path of a picture, which gets one ellipse in its middle.
    """
    from atrous import examples

    if image is None:
        return examples.portrait()
    picture = examples.colour_photograph(image)
    return picture, examples.rough_labels(picture.shape[:2], None), examples.portrait_params(picture.shape[1])


def crf_demo(image, folder, progress=None):
    """Refine rough labels with the fully connected CRF and draw them; return (numbers, paths of the pictures)."""
    from atrous import dense_crf, examples, figures

    picture, rough, params = crf_problem(image)
    if progress:
        progress(0, 3, "mean field, step by step")
    found = examples.refine_rough(picture, rough, params)
    begin = np.exp(-found.unary)
    dense_crf(begin, picture, params)
    started = time.perf_counter()
    labels = dense_crf(begin, picture, params).argmax(0)
    seconds = time.perf_counter() - started
    drawings = {
        "dense_crf.png": lambda: figures.figure_belief_maps(found),
        "dense_crf_thin.png": figures.figure_grid_against_dense,
    }
    paths = []
    for done, (name, draw) in enumerate(drawings.items(), start=1):
        if progress:
            progress(done, 3, name)
        paths.append(figures.save(draw(), Path(folder) / name))
    numbers = {
        "size": list(picture.shape[:2]),
        "labels": len(begin),
        "iterations": params.iterations,
        "seconds": seconds,
        "changed": float((labels != rough).mean()),
        "free_energy": [float(found.energies[0]), float(found.energies[-1])],
    }
    return numbers, paths


SCENES = 20
STORY = {
    "system.png": (
        "v2, Fig. 1: the system",
        "A trained network gives coarse scores; bilinear interpolation enlarges them; the CRF finds the boundaries.",
    ),
    "sparse_and_dense_2d.png": (
        "v2, Fig. 3: holes in 2-D",
        "Filters with holes give dense responses where a smaller image gives sparse ones, with no more weights.",
    ),
    "sparse_and_dense_1d.png": (
        "v2, Fig. 2: holes in 1-D",
        "Above: every second sample. Below: all samples, the filter's taps two apart.",
    ),
    "aspp_branches.png": (
        "v3, Fig. 5: ASPP",
        "Branches with several rates see the same place at several scales.",
    ),
    "output_strides.png": (
        "v3+, Tab. 3: output stride",
        "Rates instead of strides keep features dense, and cost multiply-adds and memory.",
    ),
    "scenes.png": (
        "The scenes",
        "Discs and squares are told apart by their outlines, ponds and roofs by their rims: by the field of view.",
    ),
    "dense_crf.png": (
        "v2, Fig. 5: the CRF",
        "Rough labels move to the edges of a photograph in ten steps of mean field.",
    ),
    "dense_crf_thin.png": (
        "v1, Sec. 4: thin things",
        "A CRF of neighbours shortens boundaries and loses thin things; the fully connected one keeps them.",
    ),
    "loss.png": (
        "The training",
        "The loss of `atrous train --preset shapes`, and its rate.",
    ),
}


def system_demo(folder, progress=None):
    """Measure the trained network on held-out scenes, without and with the CRF; return (numbers, paths)."""
    from atrous import figures, trained
    from atrous.apps.evaluate import evaluate
    from atrous.apps.train import read_log
    from atrous.examples import whole_system
    from atrous.train.trained import FOLDER

    shapes, widths = trained("shapes"), (1, 2, 3, 4, 5)
    scenes, numbers = [shapes.held_out[i] for i in range(SCENES)], {}
    for stage, (name, crf) in enumerate((("network", None), ("with the CRF", shapes.crf))):
        tell = progress and (lambda i, _, stage=stage, name=name: progress(stage * SCENES + i, 2 * SCENES, name))
        weights = shapes.params, shapes.state
        found = evaluate(shapes.network, weights, scenes, crf=crf, widths=widths, tell=tell)
        numbers[name] = {"mean_iou": found["mean_iou"], "trimap": found["trimap"]}
    drawings = {
        "system.png": lambda: figures.figure_system(whole_system(shapes=shapes)),
        "scenes.png": lambda: figures.figure_scenes(rows=2),
        "loss.png": lambda: figures.figure_training(read_log(FOLDER / "shapes.csv")),
    }
    return numbers, [figures.save(draw(), Path(folder) / name) for name, draw in drawings.items()]


def contact_sheet(folder):
    """Draw the pictures of the demo on one sheet; return its path."""
    from matplotlib.image import imread

    from atrous import figures

    folder = Path(folder)
    entries = [(*STORY[name], imread(folder / name)) for name in STORY if (folder / name).exists()]
    return figures.save(figures.figure_contact_sheet(entries), folder / "contact_sheet.png")


def run(image=None, folder="demo", *, say=print, progress=None):
    """Run the whole demo and return what it found as plain values; `say` receives every line of text."""
    from atrous import examples

    grey = examples.photograph(image)
    Path(folder).mkdir(parents=True, exist_ok=True)
    say(f"The whole system, DeepLab v2, on {SCENES} drawn scenes that the network has not seen:")
    system, paths = system_demo(folder, progress)
    say(f"  {'':<14}{'mean IoU':>10}{'within 1 pixel of a boundary':>31}{'5 pixels':>10}")
    for name, found in system.items():
        near, far = (found["trimap"][k]["mean_iou"] for k in (0, -1))
        say(f"  {name:<14}{found['mean_iou']:>10.1%}{near:>31.1%}{far:>10.1%}")
    say("")
    say("DeepLab v2, Figs. 2 and 3: dense features with no more weights; v3, Fig. 5: what the branches of ASPP see.")
    paths += pictures(grey, folder, progress)

    say("")
    size = f"{LAYER['size']} x {LAYER['size']}"
    say(f"One layer, {LAYER['c']} to {LAYER['f']} channels on {size}, rate {LAYER['rate']}, float32:")
    rows = method_table(progress)
    say(f"  {'method':<15}{'time':>11}{'extra memory':>15}{'relative difference':>21}")
    for r in rows:
        numbers = f"{r['seconds'] * 1e3:>8.1f} ms{r['extra_bytes'] / 1e6:>12.1f} MB{r['difference']:>21.1e}"
        say(f"  {r['method']:<15}{numbers}")

    say("")
    say("Gradients against finite differences, float64:")
    reports = check_operators(progress)
    for name, report in reports:
        worst = max(r.max_rel_error for r in report.inputs)
        say(f"  {'ok  ' if report else 'FAIL'} {name:<38} largest relative error {worst:.1e}")
    say("")
    crf, more = crf_demo(image, folder, progress)
    paths += [*more, contact_sheet(folder)]
    height, width = crf["size"]
    before, after = (energy / (width * height) for energy in crf["free_energy"])
    say(f"Rough labels sharpened by the fully connected CRF, {width} x {height} pixels, {crf['labels']} labels:")
    say(f"  {crf['seconds'] * 1e3:.0f} ms for {crf['iterations']} steps, {crf['changed']:.1%} of the pixels changed")
    say(f"  free energy per pixel from {before:.3f} to {after:.3f}")
    say("")
    say("Pictures:")
    for path in paths:
        say(f"  {path}")
    return {
        "pictures": [str(p) for p in paths],
        "system": system,
        "layer": LAYER,
        "methods": rows,
        "gradients": {name: bool(report) for name, report in reports},
        "dense_crf": crf,
    }
