"""A loss with a known gradient, the errors of difference quotients, and a planted mistake."""

import numpy as np

from atrous import atrous_conv, conv_backward, conv_forward

QUOTIENTS = ("forward difference", "central difference", "complex step")


def conv_loss(x, w):
    """Return Σ 1/(1 + y²) for the "valid" atrous convolution y, at rate 2, of one real or complex signal."""
    return (1 / (1 + _convolved(x, w, 2) ** 2)).sum()


def conv_loss_gradient(x, w):
    """Return the gradient of `conv_loss` with respect to a real x."""
    y = _convolved(x, w, 2)
    dx = np.zeros_like(x)
    for k, weight in enumerate(w):
        dx[2 * k :][: len(y)] += weight * (-2 * y / (1 + y**2) ** 2)
    return dx


def _convolved(x, w, rate):
    length = len(x) - rate * (len(w) - 1)
    return sum(weight * x[rate * k :][:length] for k, weight in enumerate(w))


def step_errors(steps):
    """Return {quotient: relative error for each step} of the derivative of `conv_loss` along one random direction."""
    # Python's own numbers, because what is left at short steps is rounding, and NumPy's depends on the processor.
    x, direction = np.random.default_rng(0).standard_normal((2, 24)).astype(object)
    w = np.array([0.5, 1.0, -0.75])
    at, exact = conv_loss(x, w), (conv_loss_gradient(x, w) * direction).sum()
    quotients = {
        "forward difference": [(conv_loss(x + h * direction, w) - at) / h for h in steps],
        "central difference": [
            (conv_loss(x + h * direction, w) - conv_loss(x - h * direction, w)) / (2 * h) for h in steps
        ],
        "complex step": [conv_loss(x + 1j * h * direction, w).imag / h for h in steps],
    }
    return {name: np.abs(np.array(values, float) - exact) / abs(exact) for name, values in quotients.items()}


def planted_fault():
    """Return the gradient of a 5 × 5 filter from a backward pass with a mistake, and by central differences.

    The mistake is the most common of all: the gradient of the filter is mirrored.
    """
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 1, 14, 14)), rng.standard_normal((1, 1, 5, 5))
    y, cache = conv_forward(x, w, rate=2)
    dy = rng.standard_normal(y.shape)
    analytic = conv_backward(dy, cache).dw[..., ::-1, ::-1]
    numeric, h = np.zeros_like(w), 1e-5
    for tap in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[tap] = h
        ends = [atrous_conv(x, w + sign * step, rate=2) for sign in (1, -1)]
        numeric[tap] = np.vdot(dy, ends[0] - ends[1]) / (2 * h)
    return analytic[0, 0], numeric[0, 0]
