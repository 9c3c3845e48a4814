"""im2col against interlace, and whoever else is named: over rate, size, channels and batch, each pass apart."""

from statistics import geometric_mean

from atrous.bench import cases, machine
from atrous.bench.contestants import best, started, take_turns
from atrous.conv.interlace import padded_work

SCHEMA = 1
MODULE = "atrous.bench.worker"
LEAD = 1.1  # what is quicker by less than a tenth counts as equal on a machine with other users


def run(
    chosen, methods=("im2col", "interlace"), *, passes=cases.PASSES, threads=None, rounds=2, seconds=0.06, progress=None
):
    """Time every method on every case, alternating between them; return the results as plain values.

    Parameters
    ----------
    chosen : sequence of ConvCase
    methods : sequence of str
        Methods of atrous, or "torch".
    passes : sequence of str
        Which of "forward", "dx" and "dw".
    threads : int, optional
        Threads of every pool; all cores by default.
    rounds : int
        How often the contestants take turns; the best time of all rounds counts.
    seconds : float
        Shortest time spent on one contestant's turn.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    dict
        "schema", "environment", "limits", "rows" and "verdict".
    """
    rows, done, total = [], 0, len(chosen) * len(passes)
    with started({m: (m, threads) for m in (*methods, "gemm")}, MODULE) as contestants:
        limits = contestants["gemm"].ask({"limits": True})
        for case in chosen:
            for which in passes:
                if progress:
                    progress(done, total, f"{case.name}, {which}")
                job = {"case": case._asdict(), "pass": which, "seconds": seconds / rounds, "least": 2}
                replies = take_turns(contestants, job, rounds)
                gemm = best(replies["gemm"])
                rows += [_row(case, which, m, best(replies[m]), gemm, replies[m][0]) for m in methods]
                done += 1
    return {
        "schema": SCHEMA, "environment": machine.environment(threads), "limits": limits, "rows": rows,
        "verdict": verdict(rows),
    }  # fmt: skip


def _row(case, which, method, seconds, gemm_seconds, first):
    flops = 2 * case.geometry.macs
    return {
        "case": case.name, "n": case.n, "c": case.c, "f": case.f, "size": [case.size] * 2, "kernel": case.kernel,
        "rate": case.rate, "groups": case.groups, "dtype": case.dtype, "method": method, "pass": which,
        "seconds": seconds, "gflops": flops / seconds * 1e-9, "gemm_seconds": gemm_seconds,
        "extra_bytes": first.get("extra_bytes"), "error": first.get("checked"),
        "padded_work": padded_work(case.geometry) if method.startswith("interlace") else 1.0,
    }  # fmt: skip


def ratios(rows, method="interlace", base="im2col"):
    """Return {(case, pass): time of `method` over time of `base`} where both were timed."""
    seconds = {(r["case"], r["pass"], r["method"]): r["seconds"] for r in rows}
    return {
        (case, which): seconds[case, which, method] / t
        for (case, which, m), t in seconds.items()
        if m == base and (case, which, method) in seconds
    }


def verdict(rows):
    """Return one sentence: who wins, where, why, or that they never cross."""
    found = ratios(rows)
    if not found:
        return "im2col and interlace were not both timed: no verdict."
    wins = [key for key, ratio in found.items() if ratio * LEAD < 1]
    losses = [key for key, ratio in found.items() if ratio > LEAD]
    rates = {r["case"]: r["rate"] for r in rows}
    extra = geometric_mean(r["padded_work"] for r in rows if r["method"] == "interlace")
    typical = geometric_mean(found.values())
    why = (
        f"both run the same matrix products, interlace computes {extra:.2f} times the positions (phases of unequal "
        "length are filled up) and copies its input and output once more"
    )
    least, most = min(found.values()), max(found.values())
    spread = f"(interlace takes {least:.2f} to {most:.2f} times im2col's time, {typical:.2f} typically)"
    if not wins:
        lead = "im2col wins everywhere" if len(losses) == len(found) else "im2col wins or ties everywhere"
        return f"{lead}, at every rate measured: the two never cross {spread}, because {why}."
    listed = ", ".join(sorted({f"{which} at rate {rates[case]}" for case, which in wins}))
    return (
        f"im2col is quicker in {len(losses)} of {len(found)} comparisons, interlace in {len(wins)} ({listed}), the "
        f"rest are within {LEAD - 1:.0%} {spread}: {why}."
    )
