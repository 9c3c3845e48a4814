"""The learning rate by its policies, and the loss of every step of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from atrous.figures.style import GREY, HOLE, INK, TAPS, WIDTH, ink, styled
from atrous.train.schedules import poly_schedule, step_schedule


@styled
def figure_schedules(total: int = 20_000, every: int = 2000):
    """Draw the learning rate over training by the policies step (v1) and poly (v2 to v3+), as shares of the first.

    Lines have the roles "step", "poly" and "poly, power 1".

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Section 4.1.2 and Table 2.
    """
    fig = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    ax, steps = fig.subplots(), [int(step) for step in np.linspace(0, total, 2001)]

    def poly(power):
        return [poly_schedule(step, base=1.0, total=total, power=power) for step in steps]

    by_step = [step_schedule(step, base=1.0, every=every) for step in steps]
    curves = (
        ("step", GREY, by_step, (0.12, 0.3), f"step: a tenth after every {every:,} steps"),
        ("poly, power 1", HOLE, poly(1.0), (0.3, 0.56), "power 1"),
        ("poly", TAPS, poly(0.9), (0.45, 0.68), "poly: (1 − step / total)$^{0.9}$"),
    )
    for role, color, values, at, words in curves:
        (line,) = ax.plot(steps, values, color=color, lw=1.8)
        line.set_gid(role)
        ax.text(at[0] * total, at[1], words, color=GREY if color == HOLE else ink(color))
    ax.set(xlabel="step", ylabel="rate over the first rate", xlim=(0, total), ylim=(0, 1.04))
    return fig


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
