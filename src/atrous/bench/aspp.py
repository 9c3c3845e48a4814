"""ASPP: the branches in one pass against the branches one by one, whole blocks against PyTorch's."""

from atrous.bench import machine
from atrous.bench.contestants import best, memory, require, started, take_turns
from atrous.bench.network import AGREEMENT, agree

SCHEMA = 1
MODULE = "atrous.bench.network_worker"
# form, channels, filters of a branch, size of the map, rates
CASES = [
    ("v2", 2048, 21, 41, (6, 12, 18, 24)),
    ("v3", 2048, 256, 33, (6, 12, 18)),
    ("v3", 2048, 256, 65, (12, 24, 36)),
]
PROGRAMS = ("one pass", "one by one, im2col", "one by one")


def run(chosen=CASES, *, peers=False, threads=None, rounds=3, seconds=0.5, progress=None):
    """Time every case, the programs in turn.

    Parameters
    ----------
    chosen : sequence of (form, channels, filters, size, rates)
    peers : bool
        Compare with PyTorch, which must be installed.
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
        "schema", "environment", "limits" and "rows".
    """
    if peers:
        require("bench aspp", "torch")
    tasks = [
        (case, what, which) for case in chosen for what in ("branches", "block") for which in ("forward", "backward")
    ]
    programs = [*PROGRAMS, *["torch"] * peers]
    rows = []
    with started({p: (p, threads) for p in programs}, MODULE) as contestants:
        found_limits = contestants["one pass"].ask({"limits": True})
        for done, (case, what, which) in enumerate(tasks):
            if progress:
                progress(done, len(tasks), f"{case[0]}, {what} {which}")
            job = {"aspp": case, "what": what, "pass": which, "seconds": seconds / rounds}
            taking = programs if what == "branches" else ["one pass", *["torch"] * peers]
            replies = take_turns({p: contestants[p] for p in taking}, job, rounds)
            # Backward through ReLUs, an entry at the kink may be let through by one program and not by the other.
            agree(f"ASPP {case[0]}, {what} {which}", replies, 1e-2 if what == "block" else AGREEMENT)
            rows += [{
                "form": case[0], "c": case[1], "f": case[2], "size": case[3], "rates": list(case[4]), "what": what,
                "pass": which, "program": p, "seconds": best(replies[p]), **memory(p, threads, MODULE, job),
            } for p in taking]  # fmt: skip
    return {"schema": SCHEMA, "environment": machine.environment(threads), "limits": found_limits, "rows": rows}


def table(found):
    """Return the results as lines of text."""
    groups = {}
    for row in found["rows"]:
        key = (row["form"], row["c"], row["f"], row["size"], tuple(row["rates"]), row["what"], row["pass"])
        groups.setdefault(key, {})[row["program"]] = row
    names = list(dict.fromkeys(r["program"] for r in found["rows"]))
    head = f"{'block':<40}{'':<18}" + "".join(f"{n + ' ms':>23}" for n in names) + f"{'extra MB':>24}"
    lines = [head, "-" * len(head)]
    for (form, c, f, size, rates, what, which), row in groups.items():
        times = "".join(f"{row[n]['seconds'] * 1e3:>23.1f}" if n in row else f"{'':>23}" for n in names)
        extra = " / ".join(f"{row[n]['extra_bytes'] / 1e6:.0f}" for n in names if n in row)
        label = f"{form}, {c}→{f}, {size}², rates {','.join(map(str, rates))}"
        lines.append(f"{label:<40}{what + ' ' + which:<18}{times}{extra:>24}")
    lines.append(
        "branches: the convolutions of one input, each program's dx and dw in backward; block: with batch norm at "
        "running statistics; extra MB: the most memory beyond the level before, result included, first run"
    )
    return lines
