"""Gradients by hand: which step a difference quotient should take, and what a mistake looks like."""

import numpy as np
from matplotlib.figure import Figure

from atrous import atrous_conv, conv_backward, conv_forward
from atrous.figures.style import GREY, INK, SIGNED, WIDTH, WRONG, ramp, styled

QUOTIENTS = ("forward difference", "central difference", "complex step")
_COLOURS = dict(zip(QUOTIENTS, (GREY, "#2E8BC7", INK), strict=True))


def conv_loss(x, w, rate=2):
    """Return Σ 1/(1 + y²) of the atrous convolution y of one signal, real or complex, wherever all taps lie inside."""
    return (1 / (1 + _convolved(x, w, rate) ** 2)).sum()


def conv_loss_gradient(x, w, rate=2):
    """Return the gradient of `conv_loss` with respect to x, real."""
    y = _convolved(x, w, rate)
    dx = np.zeros_like(x)
    for k, weight in enumerate(w):
        dx[rate * k :][: len(y)] += weight * (-2 * y / (1 + y**2) ** 2)
    return dx


def _convolved(x, w, rate):
    length = len(x) - rate * (len(w) - 1)
    return sum(weight * x[rate * k :][:length] for k, weight in enumerate(w))


def step_errors(steps, seed=0):
    """Return {quotient: relative error of the derivative of `conv_loss` for each step}, along one random direction."""
    rng = np.random.default_rng(seed)
    x, direction = rng.standard_normal((2, 24))
    w = np.array([0.5, 1.0, -0.75])
    at, exact = conv_loss(x, w), (conv_loss_gradient(x, w) * direction).sum()
    quotients = {
        "forward difference": [(conv_loss(x + h * direction, w) - at) / h for h in steps],
        "central difference": [
            (conv_loss(x + h * direction, w) - conv_loss(x - h * direction, w)) / (2 * h) for h in steps
        ],
        "complex step": [conv_loss(x + 1j * h * direction, w).imag / h for h in steps],
    }
    return {name: np.abs(np.array(values) - exact) / abs(exact) for name, values in quotients.items()}


@styled
def figure_step_sizes(steps=None, seed=0):
    """Draw the error of three difference quotients over the step: too long cuts off, too short cancels.

    References
    ----------
    Griewank and Walther, Evaluating Derivatives, 2nd ed., 2008; Squire and Trapp, SIAM Review 40(1), 1998.
    """
    steps = np.logspace(-1, -15, 57) if steps is None else np.asarray(steps, float)
    errors = step_errors(steps, seed)
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


def planted_fault(seed=0, rate=2):
    """Return the gradient to a 5 × 5 filter of a backward pass with a mistake, and by central differences.

    The mistake is the commonest of all: the filter's gradient comes out mirrored.
    """
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((1, 1, 14, 14)), rng.standard_normal((1, 1, 5, 5))
    y, cache = conv_forward(x, w, rate=rate)
    dy = rng.standard_normal(y.shape)
    analytic = conv_backward(dy, cache).dw[..., ::-1, ::-1]
    numeric, h = np.zeros_like(w), 1e-5
    for tap in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[tap] = h
        ends = [atrous_conv(x, w + sign * step, rate=rate) for sign in (1, -1)]
        numeric[tap] = np.vdot(dy, ends[0] - ends[1]) / (2 * h)
    return analytic[0, 0], numeric[0, 0]


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
