"""Fit the cost model by which ``method="auto"`` chooses, and tell how often it is right on shapes it has not seen."""

import numpy as np

from atrous.bench import machine
from atrous.bench.cases import ConvCase
from atrous.bench.contestants import best, started, take_turns
from atrous.conv.cost_model import COUNTS, candidates, choose, counts
from atrous.conv.methods import SMALL, available_methods

MODULE = "atrous.bench.worker"
METHODS = ("im2col", "interlace", "shift", "direct", "implicit_gemm", "stacked_taps", "winograd")
PASSES = ("forward", "dw")
FITTED, UNSEEN = 44, 20
NEAR = 1.25
LARGEST = 4 * 10**9


def shapes():
    """Return (cases to fit, cases the fit does not see), drawn from what networks contain, the same each time."""
    rng = np.random.default_rng(2)
    found = []
    while len(found) < FITTED + UNSEEN:
        c, f = (int(rng.choice((3, 16, 48, 64, 128, 256, 512, 1024, 2048))) for _ in range(2))
        f = int(rng.choice((21, f, f)))
        size, kernel = int(rng.choice((17, 25, 33, 41, 65, 97, 129))), int(rng.choice((1, 3, 3, 3, 5)))
        rate = 1 if kernel == 1 else int(rng.choice((1, 1, 2, 4, 6, 12, 18)))
        case = ConvCase(c, f, size, rate, n=int(rng.choice((1, 1, 4))), kernel=kernel)
        if SMALL <= case.geometry.macs <= LARGEST and case not in found:
            found.append(case)
    return found[:FITTED], found[FITTED:]


def run(*, threads=None, rounds=3, seconds=0.05, progress=None):
    """Time the methods on all shapes and fit the table; return plain values. The options are those of `conv.run`."""
    fitted, unseen = shapes()
    rows = []
    with started({m: (m, threads) for m in METHODS}, MODULE) as contestants:
        for done, case in enumerate([*fitted, *unseen]):
            able = {m: contestants[m] for m in METHODS if m in available_methods(case.geometry)}
            for which in PASSES:
                if progress:
                    progress(done, FITTED + UNSEEN, f"{case.name}, {which}")
                job = {"case": case._asdict(), "pass": which, "seconds": seconds, "least": 2}
                times = {m: best(r) for m, r in take_turns(able, job, rounds).items()}
                rows.append({"case": list(case), "unseen": case in unseen, "pass": which, "seconds": times})
    table = fit([row for row in rows if not row["unseen"]])
    return {
        "schema": 1, "environment": machine.environment(threads), "rows": rows, "table": table,
        "ratios": {which: ratios(rows, which, table) for which in PASSES},
    }  # fmt: skip


def fit(rows):
    """Return {pass: {method: nanoseconds for one of each term}}, which makes the relative errors small."""
    from scipy.optimize import nnls

    table = {}
    for which in PASSES:
        table[which] = {}
        for method in COUNTS:
            timed = [row for row in rows if row["pass"] == which and method in row["seconds"]]
            terms = np.array([counts(method, ConvCase(*row["case"]).geometry, which) for row in timed], float)
            nanoseconds = np.array([row["seconds"][method] * 1e9 for row in timed])
            found, _ = nnls(terms / nanoseconds[:, None], np.ones(len(timed)))
            table[which][method] = [float(f"{value:.3g}") for value in found]
    return table


def ratios(rows, which, table):
    """Return, for each unseen shape, the time of the chosen method over the time of the best."""
    found = []
    for row in rows:
        if row["unseen"] and row["pass"] == which:
            g = ConvCase(*row["case"]).geometry
            chosen = choose(g, which, candidates(g, exact=False), table)
            found.append(row["seconds"][chosen] / min(row["seconds"].values()))
    return found


def table(found):
    """Return the table as it stands in `cost_model`, and how good its choices are, as lines of text."""
    lines = ["NANOSECONDS = {"]
    for which, rows in found["table"].items():
        lines += [f'    "{which}": {{', *(f'        "{m}": ({", ".join(map(repr, row))}),' for m, row in rows.items())]
        lines.append("    },")
    lines += ["}", ""]
    for which, some in found["ratios"].items():
        near = sum(ratio <= NEAR for ratio in some)
        lines.append(
            f"{which}: on {near} of {len(some)} layers that the fit did not see, the chosen method takes at most "
            f"{NEAR} times the time of the best; at worst {max(some):.2f} times"
        )
    return lines
