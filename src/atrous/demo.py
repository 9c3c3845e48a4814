"""`atrous demo`: the papers' two figures, the methods side by side on one layer, the gradient checks."""

import time
import tracemalloc
from pathlib import Path

import numpy as np

from atrous import checks

# One branch of DeepLab v2's ASPP: 2048 channels of ResNet-101 to 21 classes on a 41 x 41 map, rate 6.
LAYER = {"c": 2048, "f": 21, "size": 41, "rate": 6}


def method_table(progress=None):
    """Return a row for each method on one DeepLab layer: seconds, extra memory, difference from the reference.

    Each method runs for its result, for its memory and for its time; `atrous bench` measures with more care.
    """
    from atrous.conv.operators import available_methods, conv_forward

    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, LAYER["c"], LAYER["size"], LAYER["size"]), np.float32)
    w = rng.standard_normal((LAYER["f"], LAYER["c"], 3, 3), np.float32) / 100
    rows, expected = [], None
    methods = available_methods()
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


def run(image=None, folder="demo", *, say=print, progress=None):
    """Run the whole demo and return what it found as plain values; `say` receives every line of text."""
    from atrous import figures

    grey = figures.photograph(image)
    say("DeepLab v2, Fig. 2 and 3: dense features without more weights.")
    paths = pictures(grey, folder, progress)

    say("")
    size = f"{LAYER['size']} x {LAYER['size']}"
    say(f"One layer, {LAYER['c']} to {LAYER['f']} channels on {size}, rate {LAYER['rate']}, float32:")
    rows = method_table(progress)
    say(f"  {'method':<11}{'time':>11}{'extra memory':>15}{'from the reference':>21}")
    for r in rows:
        numbers = f"{r['seconds'] * 1e3:>8.1f} ms{r['extra_bytes'] / 1e6:>12.1f} MB{r['difference']:>21.1e}"
        say(f"  {r['method']:<11}{numbers}")

    say("")
    say("Gradients against finite differences, float64:")
    reports = checks.check_operators(progress)
    for name, report in reports:
        worst = max(r.max_rel_error for r in report.inputs)
        say(f"  {'ok  ' if report else 'FAIL'} {name:<38} largest relative error {worst:.1e}")
    say("")
    say("Pictures:")
    for path in paths:
        say(f"  {path}")
    return {
        "pictures": [str(p) for p in paths],
        "layer": LAYER,
        "methods": rows,
        "gradients": {name: bool(report) for name, report in reports},
    }
