"""Methods of convolution under the machine's two roofs: what it can compute and what it can move."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from atrous.figures.style import GREY, INK, METHODS, WIDTH, styled


@styled
def figure_roofs(results):
    """Draw the rate of each method over the rate of the convolution and over its channels.

    Parameters
    ----------
    results : dict
        What ``atrous bench roofs --json`` wrote: "environment", "limits", "rows".

    Returns
    -------
    Figure
        Two panels in 10⁹ flops a second, those of the definition: a method that needs fewer products, or skips taps on
        zeros, can pass the processor's peak (dashed). The dotted roof is the copy rate times the flops for each byte of
        x, w and y, read or written once. Lines have their method as role, roofs "peak" and "copy".
    """
    limits, rows = results["limits"], [row for row in results["rows"] if row["pass"] == "forward"]
    fig = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = fig.subplots(1, 2, sharey=True)
    for ax, axis in zip(axes, ("rate", "channels"), strict=True):
        chosen = [row for row in rows if row["sweep"] == axis]
        key = "rate" if axis == "rate" else "c"
        places = sorted({row[key] for row in chosen})
        for method in dict.fromkeys(row["method"] for row in chosen):
            points = sorted((row[key], row["gflops"]) for row in chosen if row["method"] == method)
            color, marker = METHODS.get(method, (GREY, "P"))
            (line,) = ax.plot(*np.transpose(points), color=color, marker=marker, ms=4, lw=1.2, label=method)
            line.set_gid(method)
        (peak,) = ax.plot([places[0], places[-1]], [limits["peak_gflops"]] * 2, color=INK, ls="--", lw=1.2)
        peak.set_gid("peak")
        roof = [limits["copy_gbps"] * max(_intensity(row) for row in chosen if row[key] == p) for p in places]
        (copy,) = ax.plot(places, roof, color=INK, ls=":", lw=1.2)
        copy.set_gid("copy")
        ax.set_xscale("log", base=2)
        ax.set_xticks(places, [str(p) for p in places])
        ax.minorticks_off()
        first = chosen[0]
        ax.set_xlabel("rate" if axis == "rate" else "channels and filters")
        fixed = f"{first['c']} channels" if axis == "rate" else f"rate {first['rate']}"
        ax.set_title(f"{fixed}, {first['size'][0]}² samples, 3 × 3 taps", size=9)
    axes[0].set_yscale("log")
    axes[0].set_ylim(None, 3 * max([limits["peak_gflops"], *(row["gflops"] for row in rows)]))
    axes[0].set_ylabel("10⁹ flops a second")
    handles, names = axes[0].get_legend_handles_labels()
    roofs = ["peak", "copy rate"]
    fig.legend([*handles, peak, copy], [*names, *roofs], loc="outside upper left", ncols=4, frameon=False)
    where = results["environment"]
    fig.text(
        0.01, 0.01,
        f"{where.get('cpu', 'unknown machine')}, {where.get('threads', '?')} threads; peak "
        f"{limits['peak_gflops']:.0f} GFLOP/s, copy {limits['copy_gbps']:.0f} GB/s",
        va="bottom", fontsize=9, in_layout=False,
    )  # fmt: skip
    fig.get_layout_engine().set(rect=(0, 0.07, 1, 0.93))
    return fig


def _intensity(row):
    """Return the flops of a layer for each byte of x, w and y."""
    high, wide = row["size"]
    samples = row["n"] * high * wide
    taps = row["c"] * row["f"] * row["kernel"] ** 2
    return 2 * samples * taps / (4 * (samples * (row["c"] + row["f"]) + taps))
