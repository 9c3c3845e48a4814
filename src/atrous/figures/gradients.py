"""Gradients by hand: which step a difference quotient should take, and what a mistake looks like."""

import numpy as np
from matplotlib.figure import Figure

from atrous.examples.gradients import QUOTIENTS, planted_fault, step_errors
from atrous.figures.style import GREY, INDIGO, INK, SIGNED, WIDTH, WRONG, ramp, styled

_COLOURS = dict(zip(QUOTIENTS, (GREY, INDIGO, INK), strict=True))


@styled
def figure_step_sizes():
    """Draw the error of three difference quotients over the step: too long cuts off, too short cancels.

    References
    ----------
    Griewank and Walther, Evaluating Derivatives, 2nd ed., 2008; Squire and Trapp, SIAM Review 40(1), 1998.
    """
    steps = np.ldexp(1.0, -np.arange(3, 51))
    errors = step_errors(steps)
    fig = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    ax = fig.subplots()
    for name, values in errors.items():
        (line,) = ax.loglog(steps, np.maximum(values, 1e-17), color=_COLOURS[name], lw=1.6)
        line.set_gid(name)
    ax.axhline(np.finfo(float).eps, color=GREY, lw=0.8, ls=(0, (4, 3)))
    ax.text(
        steps[0], 1.4 * np.finfo(float).eps, "rounding of one number", color=GREY, ha="left", va="bottom", fontsize=9
    )
    for name, x, y in zip(QUOTIENTS, (2e-5, 1.5e-9, 1e-11), (2e-2, 2e-11, 4e-15), strict=True):
        ax.text(x, y, name, color=_COLOURS[name], ha="center")
    ax.set(xlabel="step h, shorter to the right", ylabel="relative error", xlim=(steps.max() * 1.5, steps.min() / 1.5))
    ax.set_ylim(1e-17, 30)
    return fig


@styled
def figure_planted_fault(analytic=None, numeric=None):
    """Draw two gradients of one array and how far they are apart.

    Parameters
    ----------
    analytic, numeric : arrays of shape (H, W), optional
        What a backward pass says, and what difference quotients say; `planted_fault` if none are given.
    """
    if analytic is None:
        analytic, numeric = planted_fault()
    analytic, numeric = np.atleast_2d(analytic), np.atleast_2d(numeric)
    reach = max(np.abs(analytic).max(), np.abs(numeric).max())
    fig = Figure(figsize=(WIDTH, 2.55), layout="constrained")
    signed = {"cmap": SIGNED, "vmin": -reach, "vmax": reach}
    distance = {"cmap": ramp(WRONG), "vmin": 0, "vmax": 1.6 * reach}
    panels = (
        ("analytic", analytic, signed, INK),
        ("numeric", numeric, signed, INK),
        ("|analytic − numeric|", np.abs(analytic - numeric), distance, WRONG),
    )
    for ax, (name, values, options, color) in zip(fig.subplots(1, 3), panels, strict=True):
        image = ax.imshow(values, **options)
        image.set_gid(name)
        ax.set_title(name, color=color)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        if name != "analytic":
            fig.colorbar(image, ax=ax, shrink=0.85, aspect=16).outline.set_visible(False)
    return fig
