"""Enlarging inside a network: bilinear, or by a transposed convolution whose filter is learned ("deconvolution").

Both turn n samples into factor·(n − 1) + 1 and keep corners aligned: sample i lands on factor·i. A transposed
convolution of 2·factor − 1 taps that begins as 1 − |i| / factor along each axis begins as bilinear interpolation.

Role: composition.

References
----------
Long et al., arXiv:1411.4038, Section 3.3 (the filter may be learned, and begins as bilinear); DeepLab v2,
arXiv:1606.00915, Section 3.1 (why bilinear interpolation is enough).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from atrous.compose.match import fitting
from atrous.compose.part import Part, Variable
from atrous.compose.program import Value
from atrous.conv.receptive_field import Spatial
from atrous.conv.transpose import conv_transpose_backward, conv_transpose_forward
from atrous.layers.training import bilinear_backward, bilinear_forward


def enlarged(size, factor):
    """Return the size of a map after it is enlarged."""
    return tuple(factor * (n - 1) + 1 for n in size)


@dataclass(frozen=True)
class Enlarge(Part):
    """Bilinear interpolation by an integer factor, corners aligned."""

    factor: int

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Return the enlarged map."""
        return *bilinear_forward(x, enlarged(x.shape[2:], self.factor), align_corners=True), state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Return dx."""
        return bilinear_backward(dy, cache), {}

    def lower(self, lowering, x):
        """Add a resize."""
        (_, *size), field = lowering.values[x]
        return lowering.resize(x, enlarged(size, self.factor), True, field.stride / self.factor)


def bilinear_start(channels, factor):
    """Return the filters (C, C, k, k) with which a transposed convolution interpolates each channel by itself."""
    line = 1 - np.abs(np.arange(1 - factor, factor)) / factor
    return np.eye(channels)[:, :, None, None] * np.outer(line, line)


@dataclass(frozen=True)
class Deconv(Part):
    """A transposed convolution with stride `factor`, from c to f channels; w has the shape (C, F, k, k), as in PyTorch.

    Filters begin as bilinear interpolation, which needs c = f, or as normal numbers that keep the variance.
    """

    w: str
    b: str
    c: int
    f: int
    factor: int
    bilinear: bool = False

    @property
    def kernel(self):
        """Taps along an axis."""
        return 2 * self.factor - 1

    @property
    def shape(self):
        """Shape of the weights."""
        return (self.c, self.f, self.kernel, self.kernel)

    def variables(self):
        """Return weights and bias by name."""
        start = partial(bilinear_start, self.c, self.factor) if self.bilinear else None
        sigma = math.sqrt(self.factor**2 / (self.c * self.kernel**2))
        return {self.w: Variable(self.shape, sigma=sigma, start=start), self.b: Variable((self.f,))}

    def options(self, size):
        """Return the options of `conv_transpose_forward` for a map of `size`."""
        return {"stride": self.factor, "padding": self.factor - 1, "size": enlarged(size, self.factor)}

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Return the enlarged map."""
        (w,) = fitting("forward", x, self.shape, params, self.w)
        (b,) = fitting("forward", x, (self.f,), params, self.b)
        y, cache = conv_transpose_forward(x, w, **self.options(x.shape[2:]))
        return y + b[:, None, None], cache, state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Return (dx, gradients of weights and bias)."""
        dx, dw = conv_transpose_backward(dy, cache)
        return dx, {self.w: dw, self.b: dy.sum((0, 2, 3))}

    def lower(self, lowering, x):
        """Add a transposed convolution; an output reads two samples along each axis."""
        (_, *size), field = lowering.values[x]
        wider = field.after(Spatial(2))
        value = Value((self.f, *enlarged(size, self.factor)), wider._replace(stride=field.stride / self.factor))
        return lowering.add("deconv", [x], value, self)
