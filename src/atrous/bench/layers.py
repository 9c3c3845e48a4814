"""Ten atrous layers of the DeepLab networks beside PyTorch, quiet and beside one busy core."""

import contextlib
import subprocess
import sys

import numpy as np

from atrous.bench import machine
from atrous.bench.cases import ConvCase
from atrous.bench.contestants import best, require, started, take_turns
from atrous.bench.layer_worker import RUNS
from atrous.bench.network import agree

MODULE = "atrous.bench.layer_worker"
LAYERS = [
    ConvCase(512, 1024, 41, 12),
    ConvCase(512, 1024, 65, 12),
    ConvCase(2048, 256, 33, 6),
    ConvCase(2048, 256, 65, 12),
    ConvCase(2048, 21, 41, 6),
    ConvCase(256, 256, 65, 2),
    ConvCase(256, 256, 65, 4),
    ConvCase(64, 64, 129, 2),
    ConvCase(64, 64, 64, 4, n=8),
    ConvCase(728, 728, 33, 2, groups=728),
]


@contextlib.contextmanager
def one_busy_core(busy):
    """Keep one core busy with something else while the block runs, if `busy`."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        yield
    finally:
        if process:
            process.kill()
            process.wait()


def run(*, rounds=2, seconds=0.3, progress=None):
    """Time every layer by both programs in turn; return plain values. The options are those of `network.run`."""
    require("bench layers", "torch")
    rows, done = [], 0
    with started({p: (p, None) for p in ("atrous", "torch")}, MODULE) as contestants:
        limits = contestants["atrous"].ask({"limits": True})
        for busy in (False, True):
            for case in LAYERS:
                times = {}
                for name in RUNS:
                    if progress:
                        progress(done, 2 * len(LAYERS) * len(RUNS), case.name)
                    job = {"case": list(case), "run": name, "seconds": seconds}
                    with one_busy_core(busy):
                        replies = take_turns(contestants, job, rounds)
                    agree(case.name, replies)
                    times[name] = {p: best(r) for p, r in replies.items()}
                    done += 1
                rows.append({"case": case.name, "busy": busy, "macs": case.geometry.macs, "times": times})
    return {"environment": machine.environment(None), "limits": limits, "rows": rows}


def table(found):
    """Return the results as lines of text."""
    heads = {"prepared": "prepared", "forward": "forward", "both": "and backward"}
    lines = []
    for busy in (False, True):
        rows = [row for row in found["rows"] if row["busy"] == busy]
        title = "beside one busy core" if busy else "quiet"
        lines += ["", f"{title + ', ms: atrous, PyTorch, ratio':<44}" + "".join(f"{heads[n]:>28}" for n in RUNS)]
        for row in rows:
            pairs = [(row["times"][n]["atrous"] * 1e3, row["times"][n]["torch"] * 1e3) for n in RUNS]
            lines.append(f"{row['case']:<44}" + "".join(f"{a:12.2f}{b:9.2f}{b / a:7.2f}" for a, b in pairs))
        ratios = [[row["times"][n]["torch"] / row["times"][n]["atrous"] for n in RUNS] for row in rows]
        means = np.exp(np.log(ratios).mean(0))
        lines.append(f"{'geometric mean of the ratios':<44}" + "".join(f"{m:28.2f}" for m in means))
    return lines[1:]
