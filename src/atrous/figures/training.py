"""The loss and the learning rate over the steps of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from atrous.figures.style import GREY, HOLE, INK, TAPS, WIDTH, styled


@styled
def figure_training(rows: Sequence[Mapping[str, float]]):
    """Draw the loss of every step, its running mean, and below them the learning rate.

    Parameters
    ----------
    rows : sequence of mapping
        With "step", "loss" and "rate", as in the log.csv of ``atrous train``.

    Returns
    -------
    Figure
        Lines have the roles "loss", "mean" and "rate".
    """
    steps, losses, rates = (np.array([float(row[name]) for row in rows]) for name in ("step", "loss", "rate"))
    half = len(rows) // 40
    sums, at = np.cumsum([0.0, *losses]), np.arange(len(rows))
    first, end = np.maximum(at - half, 0), np.minimum(at + half + 1, len(rows))
    means = (sums[end] - sums[first]) / (end - first)
    fig = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    top, bottom = fig.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for ax, values, role, color, width in (
        (top, losses, "loss", HOLE, 0.8),
        (top, means, "mean", INK, 1.6),
        (bottom, rates, "rate", TAPS, 1.6),
    ):
        (line,) = ax.plot(steps, values, color=color, lw=width)
        line.set_gid(role)
    top.set_ylim(0, 1.05 * max(np.quantile(losses, 0.98), 1e-9))
    top.set_ylabel("loss")
    words = f"the last mean is {means[-1]:.3g}"
    top.text(1, 1, words, transform=top.transAxes, ha="right", va="bottom", color=GREY)
    bottom.set_ylim(0, 1.1 * max(rates.max(), 1e-12))
    bottom.set_ylabel("rate")
    bottom.set_xlabel("step")
    return fig
