"""The papers' layer table: kernel, stride, rate, size, parameters, receptive field, multiply-adds.

Role: description to text.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from atrous.compose.leaves import Conv
from atrous.compose.parallel import Parallel
from atrous.compose.part import Part, parameter_count, walk
from atrous.compose.program import Program
from atrous.conv.interlace import phase_geometry
from atrous.nets.deeplab_v3 import scaled_rates


class Row(NamedTuple):
    """One line of the papers' layer tables."""

    name: str
    kind: str
    kernel: int
    stride: int
    rate: int
    channels: int
    size: tuple[int, int]
    parameters: int
    field: float
    macs: int
    interlaced_macs: int


class Summary(NamedTuple):
    """The table of a network for one image size; `print` shows it.

    `macs` counts every tap of every convolution, including taps on zeros. `interlaced_macs` counts atrous layers at the
    positions that interlacing pads to, ⌈out / rate⌉·rate along an axis: this reproduces the Multiply-Adds of the v3+
    paper. `field` is the receptive field of the scores along one axis, in pixels. `memory` is the most that feature
    maps take at any time during inference, in bytes for one float32 image. `note` says where the rates of ASPP differ
    from those of the papers, and why.
    """

    network: str
    rows: tuple[Row, ...]
    parameters: int
    macs: int
    interlaced_macs: int
    field: float
    memory: int
    note: str = ""

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
        lines.append(f"feature maps take at most {self.memory / 1e6:,.1f} MB in inference (one image, float32)")
        return "\n".join([*lines, *([self.note] if self.note else [])])


RATES = scaled_rates(16)


def rates_of_aspp(body):
    """Return the rates of the branches of ASPP in the form of v3, or () if there is none."""
    found = []

    def visit(part):
        if isinstance(part, Parallel) and part.join == "concat" and part.name == "ASPP":
            walk(part, lambda p: found.append(p.rate) if isinstance(p, Conv) and p.rate > 1 else None)

    walk(body, visit)
    return tuple(found)


def note_on_rates(rates, output_stride):
    """Return a sentence on rates that are the papers' for another output stride than 16, or ""."""
    own = scaled_rates(output_stride)
    if rates == own == RATES:
        return ""
    listed, paper, scaled = (", ".join(map(str, some)) for some in (rates, RATES, own))
    if rates == own:
        words = {8: "doubles", 32: "halves", 4: "quadruples"}.get(output_stride, "scales")
        return f"ASPP has the rates {listed} where the papers have {paper}: output stride {output_stride} {words} them."
    for other in (4, 8, 16, 32):
        if rates == scaled_rates(other):
            return (
                f"ASPP has the rates {listed}, as in the papers at output stride {other}; this network's is "
                f"{output_stride}, where they have {scaled}."
            )
    return ""


def summarize(name: str, body: Part, program: Program) -> Summary:
    """Return the Summary of a network from its fused program; `program` has all endpoints, side heads included."""
    rows = layer_rows(program)
    # In the order of the description. A layer that runs at several scales is one line.
    order = []
    walk(body, lambda part: order.append(part) if part in rows and part not in order else None)
    rows = tuple(rows[part] for part in order)
    macs, filled = (sum(getattr(row, which) for row in rows) for which in ("macs", "interlaced_macs"))
    field = program.values[program.output].field.size
    scores_only = program._replace(endpoints={})
    stride = int(program.values[program.endpoints["features"]].field.stride)
    note = note_on_rates(rates_of_aspp(body), stride)
    return Summary(name, rows, parameter_count(body.variables()), macs, filled, field, scores_only.memory(), note)


def layer_rows(program: Program) -> dict[Part, Row]:
    """Return a row for each convolution, transposed or not, and pool of a program, with the work of all its runs."""
    rows = {}
    for step in program.steps:
        before = program.values[step.reads[0]]
        if step.op == "conv":
            for conv, after in step.what:
                row = _conv_row(conv, after, before)
                if conv in rows:
                    first = rows[conv]
                    row = first._replace(
                        macs=first.macs + row.macs, interlaced_macs=first.interlaced_macs + row.interlaced_macs
                    )
                rows[conv] = row
        elif step.op == "deconv":
            (c, *size), field = program.values[step.writes[0]]
            deconv = step.what
            macs = math.prod(deconv.shape) * math.prod(before.shape[1:])
            count = math.prod(deconv.shape) + c
            how = ("deconv", deconv.kernel, deconv.factor, 1, c, tuple(size), count, field.size, macs, macs)
            rows.setdefault(deconv, Row(deconv.w.rpartition(".")[0], *how))
        elif step.op == "pool":
            (c, *size), field = program.values[step.writes[0]]
            pool = step.what
            how = (f"{pool.kind} pool", pool.kernel, pool.stride, pool.rate, c, tuple(size), 0, field.size, 0, 0)
            rows.setdefault(pool, Row(pool.name, *how))
    return rows


def _conv_row(conv, after, before):
    g = conv.geometry(before.shape, "summary")
    kind = "depthwise" if conv.groups == conv.c > 1 else "conv"
    parameters = math.prod(conv.shape) + (conv.f if conv.b else 0) + (2 * conv.f if after.norm else 0)
    filled = phase_geometry(g).macs if conv.rate > 1 else g.macs
    name = conv.w.rpartition(".")[0]
    field = before.field.after(conv.spatial(g))
    how = (kind, conv.kernel, conv.stride, conv.rate, conv.f, g.out[1:], parameters, field.size)
    return Row(name, *how, g.macs, filled)
