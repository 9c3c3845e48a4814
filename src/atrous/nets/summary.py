"""The papers' layer table: kernel, stride, rate, size, parameters, receptive field, multiply-adds.

Role: description to text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from atrous.compose.part import Field, Part, Row, Trace, count


class Summary(NamedTuple):
    """The table of a network for one size of image; `print` shows it.

    `macs` counts every tap of every convolution, those on zeros too. `interlaced_macs` counts atrous layers on the
    positions that interlacing fills up, ⌈out / rate⌉·rate along an axis: the rule behind the Multiply-Adds of the v3+
    paper, which TensorFlow counts there. `field` is the receptive field of the scores along one axis, in pixels.
    """

    network: str
    rows: tuple[Row, ...]
    parameters: int
    macs: int
    interlaced_macs: int
    field: float

    def __str__(self):
        widest = max(len(row.name) for row in self.rows)
        head = f"{'layer':<{widest}}  {'kind':<13}{'k':>3}{'stride':>7}{'rate':>5}{'channels':>9}{'size':>10}"
        head += f"{'parameters':>13}{'field':>7}{'10⁶ macs':>11}"
        lines = [self.network, head, "-" * len(head)]
        for r in self.rows:
            size = f"{r.size[0]}×{r.size[1]}"
            field = "all" if r.field == float("inf") else f"{r.field:.0f}"
            lines.append(
                f"{r.name:<{widest}}  {r.kind:<13}{r.kernel:>3}{r.stride:>7}{r.rate:>5}{r.channels:>9}{size:>10}"
                f"{r.parameters:>13,}{field:>7}{r.macs / 1e6:>11,.1f}"
            )
        lines.append("-" * len(head))
        lines.append(
            f"{self.parameters:,} parameters, {self.macs / 1e9:,.2f}·10⁹ multiply-adds "
            f"({self.interlaced_macs / 1e9:,.2f}·10⁹ as the v3+ paper counts)"
        )
        return "\n".join(lines)


def summarize(name: str, body: Part, size: Sequence[int]) -> Summary:
    """Return the Summary of a network for images of `size` (H, W)."""
    end = body.trace(Trace((3, *size), Field()))
    macs, filled = (sum(getattr(row, which) for row in end.rows) for which in ("macs", "interlaced_macs"))
    return Summary(name, end.rows, count(body.variables()), macs, filled, end.field.size)
