"""An experiment in one picture: its rows with every seed, and the paper's numbers; and what its networks see."""

import numpy as np
from matplotlib.figure import Figure

from atrous.examples.fields import WAYS, seen_by
from atrous.figures.pictures import picture
from atrous.figures.style import GREY, HOLE, INK, INPUT, OUTPUT, PAPER, WIDTH, canvas, ramp, styled


@styled
def figure_experiment(results, measure="mean_iou", name="mean IoU, %"):
    """Draw the rows of an experiment: a point for each seed, a ring for their mean, and the paper's row beside it.

    Parameters
    ----------
    results : dict
        From `atrous experiment --json`, or a file in ``benchmarks/results/experiments``.
    measure, name : str
        What is drawn, and the words for it.

    Returns
    -------
    Figure
        Role "seeds" are the points of all rows, "mean" the rings, "printed" the paper's numbers.
    """
    rows = results["rows"]
    printed = [row["printed"] for row in rows]
    both = measure == "mean_iou" and any(value is not None for value in printed)
    fig = Figure(figsize=(WIDTH, 0.9 + 0.34 * len(rows)), layout="constrained")
    axes = fig.subplots(1, 2 if both else 1, sharey=True, squeeze=False)[0]
    places = np.arange(len(rows))
    ours = axes[0]
    for place, row in zip(places, rows, strict=True):
        values = np.asarray(row["measures"][measure], float)
        ours.axhline(place, color=HOLE, lw=0.8, zorder=1)
        ours.plot(values, np.full(len(values), place), ".", color=OUTPUT, ms=7, zorder=3)[0].set_gid("seeds")
        ours.plot([values.mean()], [place], "o", color=INK, mfc="none", ms=11, mew=1.3, zorder=4)[0].set_gid("mean")
    ours.set_yticks(places, [row["label"] for row in rows])
    ours.set(ylim=(len(rows) - 0.1, -0.5), xlabel=name, title="here, three seeds" if len(values) == 3 else "here")
    if both:
        paper = axes[1]
        for place, row in zip(places, rows, strict=True):
            paper.axhline(place, color=HOLE, lw=0.8, zorder=1)
            if row["printed"] is not None:
                (mark,) = paper.plot([row["printed"]], [place], "D", color=GREY, mfc=PAPER, ms=6, mew=1.3, zorder=3)
                mark.set_gid("printed")
                paper.annotate(row["paper"], (row["printed"], place), (0, -9), textcoords="offset points",
                               ha="center", va="top", fontsize=9, color=GREY)  # fmt: skip
        paper.set(xlabel="mean IoU, %", title="in the paper")
        paper.margins(x=0.35)
        paper.tick_params(axis="y", length=0)
    for ax in axes:
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
    return fig


@styled
def figure_fields_of_ways(size=97, seeds=8):
    """Draw which pixels one score depends on, in the four ways to context: the mean gradient of untrained networks.

    Roles are the names of the ways. Darker blue is a larger gradient, the frame is the whole image.

    Parameters
    ----------
    size : int
        Pixels a side.
    seeds : int
        Networks to average over.

    References
    ----------
    DeepLab v3, arXiv:1706.05587, Figure 2; Luo et al., arXiv:1701.04128 (the effective receptive field).
    """
    side, gap = 1.6, 0.12
    fig, ax = canvas(side + 0.75)
    for i, (name, options) in enumerate(WAYS.items()):
        seen, field = seen_by(options, size, seeds)
        left = 0.1 + i * (side + gap)
        shown = np.sqrt(seen / seen.max())
        picture(fig, left, side + 0.36, side, shown, name, role=name, cmap=ramp(INPUT), vmin=0, vmax=1.4)
        words = "the whole image" if np.isinf(field) else f"nominal field {field:.0f}"
        ax.text(left, 0.17, words, fontsize=9, color=GREY, va="center")
    ax.set_zorder(-1)
    return fig
