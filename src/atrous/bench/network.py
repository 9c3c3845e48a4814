"""Whole networks: one image forward, beside PyTorch running the same description; where the time goes."""

import numpy as np

from atrous.bench import machine
from atrous.bench.contestants import best, memory, require, started, take_turns
from atrous.errors import AtrousError

SCHEMA = 1
MODULE = "atrous.bench.network_worker"
AGREEMENT = 1e-3
DEFAULT = "torchvision_deeplabv3_resnet101"


def agree(what, replies, limit=AGREEMENT):
    """Refuse to compare programs whose sampled results differ."""
    first, *others = replies
    expected = np.array(replies[first][0]["sample"])
    for other in others:
        worst = float(np.abs(expected - replies[other][0]["sample"]).max()) / replies[first][0]["largest"]
        if not worst <= limit:
            raise AtrousError(f"bench: {first} and {other} differ by {worst:.1e} on {what}; not compared.")


def run(
    name=DEFAULT, size=(513, 513), options=None, *, peers=False, profile=False, threads=None, rounds=3, seconds=2.0,
    progress=None,
):  # fmt: skip
    """Time one image through a network, alternating with PyTorch if `peers`.

    Parameters
    ----------
    name, options
        As for `build`.
    size : (H, W)
    peers : bool
        Compare with PyTorch, in its own layout and in channels last.
    profile : bool
        Time every kind of layer too.
    threads : int, optional
        Threads of every pool; all cores by default.
    rounds : int
        How often the programs take turns; the best time counts.
    seconds : float
        Shortest time spent on a program's turn.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    dict
        "schema", "environment", "limits", "network", "size", "macs", "rows" and "profile" (or None).
    """
    from atrous.nets.catalogue import build

    if peers:
        require("bench network", "torch")
    options = options or {}
    summary = build(name, **options).summary(size)
    programs = ["atrous", "atrous, prepared", *["torch", "torch, channels last"] * peers]
    job = {"network": [name, options, list(size)], "seconds": seconds / rounds, "least": 1}
    total = rounds + 2 * len(programs) + bool(profile)
    tell = progress and (lambda done, p: progress(done, total, f"{name}: {p}"))
    with started({p: (p, threads) for p in programs}, MODULE) as contestants:
        found_limits = contestants["atrous"].ask({"limits": True})
        replies = take_turns(contestants, job, rounds, tell)
        agree(name, replies)
        rows = [{"program": p, "seconds": best(replies[p]), **memory(p, threads, MODULE, job)} for p in programs]
        profiled = contestants["atrous"].ask({"profile": job["network"]}) if profile else None
    return {
        "schema": SCHEMA, "environment": machine.environment(threads), "limits": found_limits, "network": name,
        "options": options, "size": list(size), "macs": summary.macs, "rows": rows, "profile": profiled,
    }  # fmt: skip


def table(found):
    """Return the results as lines of text."""
    h, w = found["size"]
    gemm = found["limits"]["gemm_gflops"]
    head = f"{found['network'] + f', {h}×{w}':<48}{'s':>9}{'GFLOP/s':>10}{'of GEMM rate':>14}"
    head += f"{'extra MB':>10}{'peak MB':>10}"
    lines = [head, "-" * len(head)]
    for row in found["rows"]:
        rate = 2e-9 * found["macs"] / row["seconds"]
        lines.append(
            f"{row['program']:<48}{row['seconds']:>9.3f}{rate:>10.0f}{rate / gemm:>14.2f}"
            f"{row['extra_bytes'] / 1e6:>10.0f}{row['peak_bytes'] / 1e6:>10.0f}"
        )
    lines.append(
        "GFLOP/s counts taps on zeros too, which are not computed everywhere; extra MB: the most memory beyond weights "
        "and program in a first run, peak MB: that of the process"
    )
    if found["profile"]:
        total = found["profile"]["total"]
        lines += ["", f"{'where the time goes':<64}{'calls':>6}{'ms':>9}{'share':>8}{'GFLOP/s':>10}"]
        for what, calls, seconds, macs in found["profile"]["rows"]:
            rate = f"{2e-9 * macs / seconds:>10.0f}" if macs else ""
            lines.append(f"{what:<64}{calls:>6}{seconds * 1e3:>9.1f}{seconds / total:>8.1%}{rate}")
    return lines
