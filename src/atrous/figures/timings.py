"""The convolution benchmark in one figure: time over the rate, and layer by layer."""

import textwrap

import numpy as np
from matplotlib.figure import Figure

from atrous.figures.style import GREY, HOLE, INDIGO, INK, METHODS, WIDTH, WRONG, styled

PASSES = {"forward": "forward", "dx": "gradient to the input", "dw": "gradient to the filter"}


@styled
def figure_bench(results):
    """Draw the measured times of the convolution benchmark, forward, dx and dw side by side.

    Parameters
    ----------
    results : dict
        The benchmark's results as read from its JSON: "environment", "limits", "rows".

    Returns
    -------
    Figure
        A row of panels over the rate for each layer that was timed at several rates, and below them the layers that
        were timed at one rate, relative to im2col, whose time is written out. Panels side by side share their range.
        Lines have their method as role.
    """
    layers = {}
    for row in results["rows"]:
        layers.setdefault(_layer(row), []).append(row)
    sweeps = {name: rows for name, rows in layers.items() if len({row["rate"] for row in rows}) > 1}
    singles = {name: rows for name, rows in layers.items() if name not in sweeps}
    methods = list(dict.fromkeys(row["method"] for row in results["rows"]))
    looks = {method: METHODS.get(method, (GREY, "v")) for method in methods}

    heights = [1.6] * len(sweeps) + ([0.75 + 0.27 * len(singles)] if singles else [])
    words = _words(results)
    foot = 0.17 * (words.count("\n") + 1.8)
    fig = Figure(figsize=(WIDTH, sum(heights) + 0.4 + foot), layout="constrained")
    fig.get_layout_engine().set(rect=(0, foot / fig.get_figheight(), 1, 1 - foot / fig.get_figheight()))
    axes = fig.subplots(len(heights), 3, squeeze=False, height_ratios=heights)
    for line, (name, rows) in zip(axes, sweeps.items(), strict=False):
        for ax, kind in zip(line, PASSES, strict=True):
            _over_rates(ax, [row for row in rows if row["pass"] == kind], methods, looks)
            ax.set_title(f"{name}, {PASSES[kind]}" if ax is line[0] else PASSES[kind], size=9)
            ax.set_ylim(0, 1.1e3 * max(row["seconds"] for row in rows))
        line[0].set_ylabel("ms")
    if singles:
        base = "im2col" if "im2col" in methods else methods[0]
        shares = {kind: _shares(singles.values(), kind, methods, base) for kind in PASSES}
        ends = np.concatenate([values.ravel() for values, _ in shares.values()])
        ends = min(np.nanmin(ends, initial=1), 0.9), max(np.nanmax(ends, initial=1), 1.1)
        for ax, kind in zip(axes[-1], PASSES, strict=True):
            _by_layer(ax, *shares[kind], methods, looks, base, ends)
            ax.set_title(PASSES[kind], size=9)
            names = [f"{name}, rate {rows[0]['rate']}" for name, rows in singles.items()]
            ax.set_yticks(range(len(singles)), names if ax is axes[-1, 0] else [""] * len(singles))
    # The legend names a method once, however many lines it has.
    marks = [line for line in axes[0, 0].get_lines() if line.get_gid() in methods][: len(methods)]
    fig.legend(marks, methods, loc="outside upper left", ncols=len(methods), frameon=False)
    fig.text(0.01, 0.04 / fig.get_figheight(), words, va="bottom", fontsize=9, in_layout=False)
    return fig


def _over_rates(ax, rows, methods, looks):
    for method in methods:
        points = sorted((row["rate"], 1e3 * row["seconds"]) for row in rows if row["method"] == method)
        rates, times = np.reshape(points, (-1, 2)).T
        color, marker = looks[method]
        (mark,) = ax.plot(rates, times, color=color, marker=marker, ms=4)
        mark.set_gid(method)
    ax.set_xlim(0, 1.08 * max((row["rate"] for row in rows), default=1))
    ax.set_xlabel("rate")


def _shares(layers, kind, methods, base):
    """Return the times (layers, methods) of one pass relative to those of `base`, and the seconds of `base`."""
    found = [{row["method"]: row["seconds"] for row in rows if row["pass"] == kind} for rows in layers]
    bases = [times.get(base, np.nan) for times in found]
    return np.array([[times.get(m, np.nan) for m in methods] for times in found]) / np.reshape(bases, (-1, 1)), bases


def _by_layer(ax, shares, bases, methods, looks, base, ends):
    low, high = ends
    edge = high + 0.6 * (high - low)
    for place, seconds in enumerate(bases):
        ax.plot([low, high], [place, place], color=HOLE, lw=0.8, zorder=1)
        ax.text(edge, place, f"{1e3 * seconds:.3g} ms", ha="right", va="center", fontsize=9)
    for method, share in zip(methods, shares.T, strict=True):
        color, marker = looks[method]
        (mark,) = ax.plot(share, range(len(bases)), color=color, marker=marker, ms=5, lw=0.8 if method == base else 0)
        mark.set_gid(method)
    ax.set(ylim=(len(bases) - 0.5, -0.5), xlim=(low - 0.05 * (high - low), edge), xlabel=f"time / {base}'s time")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)


def _layer(row):
    """Return what the rows of one layer have in common, in a few characters."""
    height, width = row["size"]
    size = f"{height}²" if height == width else f"{height} × {width}"
    batch = f"{row['n']} × " if row["n"] > 1 else ""
    channels = f"depthwise {row['c']}" if row.get("groups", 1) > 1 else f"{row['c']}→{row['f']}"
    kernel = f", {row['kernel']} taps" if row["kernel"] != 3 else ""
    precise = ", float64" if row["dtype"] == "float64" else ""
    return f"{batch}{channels}, {size}{kernel}{precise}"


def _words(results):
    where, limits = results["environment"], results["limits"]
    facts = (
        f"{where.get('cpu', 'unknown machine')}, {where.get('threads', '?')} threads, NumPy {where.get('numpy', '?')}"
    )
    rates = f"GEMM {limits['gemm_gflops']:.0f} GFLOP/s, copy {limits['copy_gbps']:.0f} GB/s"
    return textwrap.fill(f"{facts}; {rates}.", 96)


CRF_LOOKS = {"atrous": INK, "atrous, 1 thread": INDIGO, "pydensecrf": GREY}


@styled
def figure_bench_crf(results):
    """Draw the dense CRF benchmark: whole runs by image and program, and the stages of one of them.

    Parameters
    ----------
    results : dict
        The benchmark's results as read from its JSON: "environment", "limits", "rows", "stages", "errors".

    Returns
    -------
    Figure
        Left the milliseconds of a run, written out, one bar a program (its name as role); right the milliseconds of the
        stages, with the rate at which each moves the bytes it must.
    """
    cases = list(dict.fromkeys((*row["size"], row["labels"]) for row in results["rows"]))
    names = list(dict.fromkeys(row["contestant"] for row in results["rows"]))
    stages = (results["stages"] or {"stages": []})["stages"]
    fig = Figure(figsize=(WIDTH, max(1.2 + 0.22 * len(cases) * (len(names) + 1), 3.0)), layout="constrained")
    left, right = fig.subplots(1, 2)
    step = len(names) + 1
    for row in results["rows"]:
        place = cases.index((*row["size"], row["labels"])) * step + names.index(row["contestant"])
        (bar,) = left.barh(place, row["seconds"] * 1e3, 0.9, color=CRF_LOOKS.get(row["contestant"], WRONG))
        bar.set_gid(row["contestant"])
        left.text(row["seconds"] * 1e3, place, f" {row['seconds'] * 1e3:.0f}", va="center", fontsize=9)
    middle = [i * step + (len(names) - 1) / 2 for i in range(len(cases))]
    left.set_yticks(middle, [f"{w} × {h}\n{n} labels" for w, h, n in cases])
    left.invert_yaxis()
    left.set_xlim(0, 1.15 * max(row["seconds"] for row in results["rows"]) * 1e3)
    left.set_xlabel("ms, ten iterations and the lattices")
    left.set_title("whole runs", size=9)
    handles = [left.patches[[p.get_gid() for p in left.patches].index(name)] for name in names]
    fig.legend(handles, names, loc="outside upper left", ncols=len(names), frameon=False)
    for place, (_, seconds, moved) in enumerate(stages):
        right.barh(place, seconds * 1e3, 0.8, color=HOLE)
        rate = f", {moved / seconds * 1e-9:.0f} GB/s" if moved else ""
        right.text(seconds * 1e3, place, f" {seconds * 1e3:.1f}{rate}", va="center", fontsize=9)
    right.set_yticks(range(len(stages)), [name for name, *_ in stages])
    right.invert_yaxis()
    right.set_xlim(0, 1.6 * max((seconds for _, seconds, _ in stages), default=1e-3) * 1e3)
    right.set_xlabel("ms")
    copy = results["limits"]["copy_gbps"]
    right.set_title(f"stages; this machine copies {copy:.0f} GB/s", size=9)
    return fig
