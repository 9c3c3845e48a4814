"""The dense CRF: every stage beside the machine's copy rate, whole runs beside pydensecrf, error beside time."""

import numpy as np

from atrous.bench import machine
from atrous.bench.contestants import best, memory, require, started, take_turns
from atrous.errors import AtrousError

SCHEMA = 1
MODULE = "atrous.bench.crf_worker"
ITERATIONS = 10
AGREEMENT = 1e-3
SHORT = [(320, 240, 21), (500, 375, 21), (500, 375, 2)]
ALL = [*SHORT, (1024, 512, 19)]


def run(chosen=SHORT, *, peers=False, threads=None, rounds=3, seconds=0.3, stage_case=(500, 375, 21), progress=None):
    """Time dense_crf on every case, alternating with one thread and, if `peers`, with pydensecrf.

    Parameters
    ----------
    chosen : sequence of (width, height, labels)
    peers : bool
        Compare with pydensecrf, which must be installed (pydensecrf2 builds where there is a compiler).
    threads : int, optional
        Threads of the first contestant; all cores by default.
    rounds : int
        How often the contestants take turns; the best time counts.
    seconds : float
        Shortest time spent on a contestant's turn.
    stage_case : (width, height, labels) or None
        Of which the stages are timed apart.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    dict
        "schema", "environment", "limits", "rows", "stages" and "errors".
    """
    programs = {"atrous": ("atrous", threads), "atrous, 1 thread": ("atrous", 1)}
    if peers:
        require("bench crf", "pydensecrf")
        programs["pydensecrf"] = "pydensecrf", 1
    rows, total = [], len(chosen) + 2
    with started(programs, MODULE) as contestants:
        found_limits = contestants["atrous"].ask({"limits": True})
        for done, (width, height, labels) in enumerate(chosen):
            if progress:
                progress(done, total, f"{width} x {height}, {labels} labels")
            job = {"size": [width, height], "labels": labels, "iterations": ITERATIONS, "seconds": seconds / rounds}
            replies = take_turns(contestants, job, rounds)
            _agree(f"{width} x {height}, {labels} labels", replies)
            rows += [{
                "size": [width, height], "labels": labels, "iterations": ITERATIONS, "contestant": label,
                "seconds": best(replies[label]), **memory(*program, MODULE, job),
            } for label, program in programs.items()]  # fmt: skip
        stages = None
        if stage_case:
            if progress:
                progress(len(chosen), total, "stages")
            stages = contestants["atrous"].ask({"stages": list(stage_case)})
            stages["case"] = list(stage_case)
    if progress:
        progress(len(chosen) + 1, total, "error of the lattice")
    environment = {**machine.environment(threads), "pydensecrf": _peer_version()}
    return {
        "schema": SCHEMA, "environment": environment, "limits": found_limits, "rows": rows, "stages": stages,
        "errors": errors(),
    }  # fmt: skip


def _peer_version():
    return machine.installed("pydensecrf2") or machine.installed("pydensecrf")


def _agree(case, replies):
    samples = {label: np.array(found[0]["sample"]) for label, found in replies.items()}
    first, *others = samples
    for other in others:
        worst = float(np.abs(samples[first] - samples[other]).max())
        if not worst <= AGREEMENT:
            raise AtrousError(f"bench crf: {first} and {other} differ by {worst:.1e} on {case}; not compared.")


def errors(size=(320, 240)):
    """Return how far the lattice is from the exact Gaussian on the features that are timed."""
    from atrous import bilateral_pairwise, lattice_error, spatial_pairwise
    from atrous.bench.crf_worker import SETTING, photograph, scores

    image = photograph(*size)
    values = scores(*size, 2).reshape(2, -1).T.copy()
    terms = {
        "spatial": spatial_pairwise(image.shape[:2], SETTING["sxy_gaussian"], 1.0),
        "bilateral": bilateral_pairwise(image, SETTING["sxy"], SETTING["srgb"], 1.0),
    }
    return {
        name: {**lattice_error(term.features, values)._asdict(), "size": list(size), "values": "probabilities"}
        for name, term in terms.items()
    }


def table(found):
    """Return the results as lines of text."""
    groups = {}
    for row in found["rows"]:
        groups.setdefault((*row["size"], row["labels"]), {})[row["contestant"]] = row
    names = list(dict.fromkeys(r["contestant"] for r in found["rows"]))
    head = f"{'image, labels, 10 iterations':<32}" + "".join(f"{n + ' ms':>22}" for n in names)
    peer = "pydensecrf" in names
    head += f"{'times pydensecrf':>18}{'1 thread':>10}" if peer else ""
    lines = [head + f"{'extra MB':>20}", ""]
    lines[1] = "-" * len(lines[0])
    for (width, height, labels), row in groups.items():
        line = f"{f'{width} x {height}, {labels} labels':<32}"
        line += "".join(f"{row[n]['seconds'] * 1e3:>22.1f}" for n in names)
        if peer:
            other = row["pydensecrf"]["seconds"]
            line += f"{other / row['atrous']['seconds']:>18.1f}{other / row['atrous, 1 thread']['seconds']:>10.1f}"
        extra = " / ".join(f"{row[n]['extra_bytes'] / 1e6:.0f}" for n in names)
        lines.append(line + f"{extra:>20}")
    if found["stages"]:
        s = found["stages"]
        lines += [
            "",
            f"Stages of {s['case'][0]} x {s['case'][1]}, {s['case'][2]} labels: {s['points']} points, "
            f"{s['vertices']} vertices, {s['slots']} slots",
        ]
        for name, seconds, moved in s["stages"]:
            rate = f"{moved / seconds * 1e-9:>9.1f} GB/s" if moved else ""
            lines.append(f"  {name:<22}{seconds * 1e3:>9.2f} ms{rate}")
        lines.append(f"  {'(copy, for comparison)':<22}{'':>12}{found['limits']['copy_gbps']:>9.1f} GB/s")
    lines.append("extra MB: the most that each program holds beyond the level after a small run")
    lines.append("")
    for name, e in found["errors"].items():
        lines.append(
            f"{name} term against the exact Gaussian, {e['samples']} pixels: rms {e['rms']:.2%} of the values' "
            f"range, largest {e['largest']:.1%}; row sums {e['row_sum_ratio']:.2f} of exact, self-weight "
            f"{e['self_weight']:.2f}"
        )
    return lines
