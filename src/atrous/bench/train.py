"""One step of training beside PyTorch doing the same with autograd: time, memory, and where the time goes."""

from atrous.bench import machine
from atrous.bench.contestants import best, memory, require, started, take_turns
from atrous.bench.network import agree

SCHEMA = 1
MODULE = "atrous.bench.train_worker"
CASES = (("tiny_deeplabv3_resnet50", 129, 4), ("deeplabv1_largefov", 321, 1))
# Gradients of float32 in two programs: rounding decides on which side of 0 a ReLU is, and batch norms of few values
# enlarge that.
AGREEMENT = 0.05


def run(cases=CASES, *, peers=False, threads=None, rounds=3, seconds=3.0, progress=None):
    """Time a step of training (forward, loss, backward, update), alternating with PyTorch if `peers`.

    Parameters
    ----------
    cases : sequence of (name, size, batch)
        Names as for `build`; images are square.
    peers : bool
        Compare with PyTorch, in its own layout and in channels last.
    threads : int, optional
        Threads of every pool; all cores by default.
    rounds : int
        How often the programs take turns; the best time counts.
    seconds : float
        Time spent on a program, all its turns together.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    dict
        "schema", "environment", "limits" and "cases", each with "name", "size", "batch", "rows" and "layers".
    """
    if peers:
        require("bench train", "torch")
    programs = ["atrous", *["torch", "torch, channels last"] * peers]
    found, total = [], len(cases) * rounds
    with started({p: (p, threads) for p in programs}, MODULE) as contestants:
        limits = contestants["atrous"].ask({"limits": True})
        for at, named in enumerate(map(list, cases)):
            job = {"train": named, "seconds": seconds / rounds}
            tell = progress and (
                lambda done, p, at=at, name=named[0]: progress(at * rounds + done, total, f"{name}: {p}")
            )
            replies = take_turns(contestants, job, rounds, tell)
            agree(named[0], replies, AGREEMENT)
            rows = [{"program": p, "seconds": best(replies[p]), **memory(p, threads, MODULE, job)} for p in programs]
            layers = {p: contestants[p].ask({"profile": named}) for p in programs[:2]}
            found.append({**dict(zip(("name", "size", "batch"), named, strict=True)), "rows": rows, "layers": layers})
    environment = machine.environment(threads)
    return {"schema": SCHEMA, "environment": environment, "limits": limits, "cases": found}


def table(found):
    """Return the results as lines of text."""
    lines = []
    for case in found["cases"]:
        head = f"{case['name']}, {case['size']}×{case['size']}, batch {case['batch']}"
        head = f"{head:<52}{'ms a step':>12}{'images/s':>10}{'extra MB':>10}{'peak MB':>10}"
        lines += [head, "-" * len(head)]
        for row in case["rows"]:
            lines.append(
                f"{row['program']:<52}{row['seconds'] * 1e3:>12.1f}{case['batch'] / row['seconds']:>10.1f}"
                f"{row['extra_bytes'] / 1e6:>10.0f}{row['peak_bytes'] / 1e6:>10.0f}"
            )
        ours, *peers = case["rows"]
        if peers:
            lines.append(f"{'PyTorch, the faster, over atrous':<52}{best(peers) / ours['seconds']:>12.2f}")
        lines += ["", *_layers(case["layers"]), ""]
    lines.append("extra MB: the most memory beyond weights and program in a first step; peak MB: that of the process")
    return lines


def _layers(layers):
    """Return the lines of where the time goes: forward and backward milliseconds of each program."""
    others = {p: {label: times for label, _, *times in rows} for p, rows in layers.items()}
    head = f"{'where the time goes':<52}{'calls':>6}"
    lines = [head + "".join(f"{p + ' forward':>16}{'backward':>10}" for p in layers) + "  ms"]
    for label, calls, *_ in layers["atrous"]:
        times = (others[p].get(label) for p in layers)
        cells = ("".join((f"{t[0] * 1e3:>16.2f}", f"{t[1] * 1e3:>10.2f}")) if t else " " * 26 for t in times)
        lines.append(f"{label:<52}{calls:>6}{''.join(cells)}")
    missing = [row for p in layers for row in layers[p] if p != "atrous" and row[0] not in others["atrous"]]
    lines += [f"{label:<52}{calls:>6}{'':>26}{f * 1e3:>16.2f}{b * 1e3:>10.2f}" for label, calls, f, b in missing]
    return lines
