"""A gradient-check report as HTML for notebooks: a table, and a heat map of the errors of each failing input."""

from html import escape

import numpy as np

CELLS = 24


def report_html(report):
    """Return the report as one HTML fragment without scripts."""
    colour = "#0072B2" if report.ok else "#D55E00"
    rows = "".join(
        f"<tr><td style='color:{'#0072B2' if r.ok else '#D55E00'}'>{'ok' if r.ok else 'wrong'}</td>"
        f"<td><b>{escape(r.name)}</b></td><td>{escape(str(r.shape))}</td><td>{r.max_abs_error:.1e}</td>"
        f"<td>{r.max_rel_error:.1e}</td><td>{r.checked}</td><td style='text-align:left'>{escape(r.hint)}</td></tr>"
        for r in report.inputs
    )
    problems = "".join(f"<li>{escape(problem)}</li>" for problem in (*report.problems, *report.notes))
    maps = "".join(_heat_map(r) for r in report.inputs if not r.ok and r.errors is not None)
    return (
        f"<div><b style='color:{colour}'>gradient check {'passed' if report.ok else 'failed'}</b> "
        f"({escape(report.mode)}, {escape(report.method)} differences)"
        "<table><tr><th></th><th>input</th><th>shape</th><th>largest error</th><th>relative</th><th>entries</th>"
        f"<th>hint</th></tr>{rows}</table>" + (f"<ul>{problems}</ul>" if problems else "") + f"{maps}</div>"
    )


def _heat_map(result):
    """Return a table of coloured cells: the largest error over all but the last two axes, logarithmic."""
    errors = np.nan_to_num(np.atleast_2d(result.errors))
    errors = errors.reshape(-1, *errors.shape[-2:]).max(axis=0)[:CELLS, :CELLS]
    top = max(errors.max(), 1e-300)
    shade = np.clip(1 + np.log10(np.maximum(errors, 1e-300) / top) / 8, 0, 1)
    cell = "<td style='width:9px;height:9px;padding:0;background:rgba(213,94,0,{:.2f})'></td>"
    rows = "".join("<tr>" + "".join(map(cell.format, row)) + "</tr>" for row in shade)
    return f"<p>error of {escape(result.name)} (last two axes, darkest {top:.1e}):</p><table>{rows}</table>"
