"""Effect and spread: what may be claimed, and the results in words.

Two rows are compared seed by seed, on the same scenes. The effect is the mean of the differences, the spread their
standard deviation. Where the spread is not smaller than the effect, nothing is claimed.

Role: report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from atrous.experiments.catalogue import experiment_named
from atrous.experiments.design import Claim

AGREES, DISAGREES, NOT_SHOWN = "agrees", "disagrees", "is not shown"


class Verdict(NamedTuple):
    """What the small world says of a claim."""

    claim: Claim
    effect: float
    spread: float
    printed: float | None
    """The paper's difference, where both numbers are printed."""

    @property
    def word(self) -> str:
        """One of "agrees", "disagrees" and "is not shown"."""
        if not abs(self.effect) > self.spread:
            return NOT_SHOWN
        return AGREES if self.effect > 0 else DISAGREES


def verdicts(results: Mapping[str, Any]) -> list[Verdict]:
    """Return a Verdict for each claim of the experiment."""
    rows = {row["label"]: row for row in results["rows"]}
    found = []
    for claim in experiment_named(results["experiment"]).claims:
        better, worse = rows[claim.better], rows[claim.worse]
        gains = np.subtract(better["measures"][claim.measure], worse["measures"][claim.measure])
        spread = float(np.std(gains, ddof=1)) if len(gains) > 1 else float("inf")
        known = claim.measure == "mean_iou" and None not in (better["printed"], worse["printed"])
        printed = better["printed"] - worse["printed"] if known else None
        found.append(Verdict(claim, float(np.mean(gains)), spread, printed))
    return found


def _signed(value):
    return f"{value:+.1f}".replace("-", "−")


def sentence(verdict: Verdict) -> str:
    """Return a verdict as a sentence."""
    paper = f"the paper has {_signed(verdict.printed)} points" if verdict.printed is not None else "the paper says so"
    if verdict.claim.ours:
        paper = "not in the papers"
    here = f"here {_signed(verdict.effect)} ± {verdict.spread:.1f}"
    ends = {
        AGREES: "The small world agrees.",
        DISAGREES: "The small world disagrees.",
        NOT_SHOWN: "Nothing is shown: the spread over the seeds is as large as the effect.",
    }
    if verdict.claim.ours:
        ends |= {AGREES: "It is so here.", DISAGREES: "Here it is the other way round."}
    return f"{verdict.claim.text}: {paper}, {here}. {ends[verdict.word]}"


def table(results: Mapping[str, Any]) -> list[str]:
    """Return the results as lines of a Markdown table, the paper's rows beside ours."""
    columns = experiment_named(results["experiment"]).columns
    printed = any(row["printed"] is not None for row in results["rows"])
    heads = ["here", *columns.values(), *(["in the paper", "mean IoU there"] if printed else [])]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in results["rows"]:
        cells = [row["label"]]
        for name in columns:
            values = np.asarray(row["measures"].get(name, ()), float)
            if not len(values):
                cells.append("–")
            elif name in {"macs", "parameters"}:
                cells.append(f"{values[0]:,.0f}")
            elif len(values) > 1:
                cells.append(f"{values.mean():.1f} ± {values.std(ddof=1):.1f}")
            else:
                cells.append(f"{values[0]:.1f}")
        if printed:
            cells += [row["paper"], "" if row["printed"] is None else f"{row['printed']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def report(results: Mapping[str, Any]) -> str:
    """Return the results as a page of Markdown: question, table, what agrees and what does not, how it was made."""
    experiment = experiment_named(results["experiment"])
    where, seeds = results["environment"], results["seeds"]
    lines = [f"# {experiment.title}", "", f"{experiment.source}. {experiment.question}", "", *table(results), ""]
    lines += [f"- {sentence(verdict)}" for verdict in verdicts(results)]
    if experiment.remark:
        lines += ["", experiment.remark]
    steps = f", {results['steps']} steps in place of its own" if results["steps"] else ""
    lines += [
        "",
        f"Mean and standard deviation over {len(seeds)} seeds ({', '.join(map(str, seeds))}){steps}, in per cent. "
        f"{results['seconds'] / 60:.0f} minutes of one core, {where['cpu']}, atrous {where['atrous']}, NumPy "
        f"{where['numpy']}, Numba {where['numba']}. Made by `atrous experiment {results['experiment']}`"
        + (f" at commit {results['commit']}." if results["commit"] else "."),
    ]
    return "\n".join(lines) + "\n"
