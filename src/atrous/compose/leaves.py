"""The leaves of a network: each binds one pair of functions to the names of its arrays.

Role: description. The arithmetic is that of `conv` and `layers`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from atrous._types import Padding
from atrous.compose.part import Part, Row, Trace, Variable
from atrous.conv.geometry import conv_geometry
from atrous.conv.interlace import phase_geometry
from atrous.conv.operators import conv_backward, conv_forward
from atrous.errors import ShapeError
from atrous.layers.activation import relu_backward, relu_forward
from atrous.layers.dropout import dropout_backward, dropout_forward
from atrous.layers.norm import batch_norm_backward, batch_norm_forward
from atrous.layers.pool import (
    average_pool_backward,
    average_pool_forward,
    max_pool_backward,
    max_pool_forward,
    pool_size,
)


@dataclass(frozen=True)
class Conv(Part):
    """An atrous convolution; `w` and `b` are the names of its arrays, b None without bias.

    First values are normal numbers of standard deviation `sigma`, √(2 / (k²·F)) where that is None (He et al. 2015).
    """

    w: str
    b: str | None
    c: int
    f: int
    kernel: int = 3
    stride: int = 1
    rate: int = 1
    padding: Padding = "same"
    groups: int = 1
    sigma: float | None = None

    @property
    def options(self):
        """The options of `conv_forward`."""
        return {"rate": self.rate, "stride": self.stride, "padding": self.padding, "groups": self.groups}

    @property
    def shape(self):
        """Shape of the weights."""
        return (self.f, self.c // self.groups, self.kernel, self.kernel)

    def variables(self):
        """Return weights and bias by name."""
        fan_out = self.kernel**2 * self.f / self.groups
        sigma = math.sqrt(2 / fan_out) if self.sigma is None else self.sigma
        bias = {self.b: Variable((self.f,))} if self.b else {}
        return {self.w: Variable(self.shape, sigma=sigma), **bias}

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Convolve."""
        y, cache = conv_forward(x, params[self.w], params[self.b] if self.b else None, **self.options)
        return y, cache, state

    def backward(self, dy, cache, *, taps=None):
        """Return (dx, gradients of weights and bias)."""
        dx, dw, db = conv_backward(dy, cache)
        return dx, {self.w: dw, **({self.b: db} if self.b else {})}

    def trace(self, so_far, taps=None):
        """Add a line; taps on zeros are counted, `interlaced_macs` counts the positions that interlacing fills up."""
        g = conv_geometry((1, *so_far.shape), self.shape, **self.options)
        field = so_far.field.after(self.kernel, self.stride, self.rate)
        kind = "depthwise" if self.groups == self.c > 1 else "conv"
        parameters = math.prod(self.shape) + (self.f if self.b else 0)
        filled = phase_geometry(g).macs if self.rate > 1 else g.macs
        name = self.w.rpartition(".")[0]
        how = (kind, self.kernel, self.stride, self.rate)
        row = Row(name, *how, self.f, g.out[1:], parameters, field.size, g.macs, filled)
        return so_far.step((self.f, *g.out[1:]), field, row)


@dataclass(frozen=True)
class BatchNorm(Part):
    """Batch normalisation of c channels; `gamma`, `beta`, `mean` and `var` name its arrays.

    `frozen` uses the running statistics in training too and leaves gamma and beta without gradients.
    """

    gamma: str
    beta: str
    mean: str
    var: str
    c: int
    eps: float = 1e-5
    momentum: float = 0.1
    frozen: bool = False

    def variables(self):
        """Return gamma and beta, and the running statistics as state."""
        return {
            self.gamma: Variable((self.c,), mean=1.0),
            self.beta: Variable((self.c,)),
            self.mean: Variable((self.c,), trained=False),
            self.var: Variable((self.c,), mean=1.0, trained=False),
        }

    def arrays(self, params, state):
        """Return (gamma, beta, mean, var)."""
        return params[self.gamma], params[self.beta], state[self.mean], state[self.var]

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Normalise by the batch in training, by the running statistics otherwise."""
        mode = ("frozen" if self.frozen else "train") if train else "eval"
        if mode == "train" and x.size == self.c:
            raise ShapeError(
                f"forward: in training {self.gamma.rpartition('.')[0]} needs more than one value a channel, got one: "
                "the mean of a single image. Give a batch of at least 2, or train=False."
            )
        y, cache, (mean, var) = batch_norm_forward(
            x, *self.arrays(params, state), mode=mode, momentum=self.momentum, eps=self.eps
        )
        return y, cache, {**state, self.mean: mean, self.var: var} if mode == "train" else state

    def backward(self, dy, cache, *, taps=None):
        """Return (dx, gradients of gamma and beta)."""
        dx, dgamma, dbeta = batch_norm_backward(dy, cache)
        return dx, {} if dgamma is None else {self.gamma: dgamma, self.beta: dbeta}

    def trace(self, so_far, taps=None):
        """Count gamma and beta with the layer before."""
        if not so_far.rows:
            return so_far
        last = so_far.rows[-1]
        return so_far._replace(rows=(*so_far.rows[:-1], last._replace(parameters=last.parameters + 2 * self.c)))


@dataclass(frozen=True)
class ReLU(Part):
    """max(x, 0)."""

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Hold x above 0."""
        return *relu_forward(x), state

    def backward(self, dy, cache, *, taps=None):
        """Return dx."""
        return relu_backward(dy, cache), {}


@dataclass(frozen=True)
class Pool(Part):
    """Max or average pooling; `size_rule` as for `max_pool_forward`."""

    kind: str = "max"
    kernel: int = 3
    stride: int = 2
    rate: int = 1
    padding: int = 1
    size_rule: str = "floor"
    name: str = "pool"

    @property
    def options(self):
        """The options of the pooling functions."""
        return {"stride": self.stride, "rate": self.rate, "padding": self.padding, "size_rule": self.size_rule}

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Pool."""
        pool = max_pool_forward if self.kind == "max" else average_pool_forward
        return *pool(x, self.kernel, **self.options), state

    def backward(self, dy, cache, *, taps=None):
        """Return dx."""
        return (max_pool_backward if self.kind == "max" else average_pool_backward)(dy, cache), {}

    def trace(self, so_far, taps=None):
        """Add a line."""
        c, *size = so_far.shape
        size = tuple(pool_size(n, self.kernel, **self.options) for n in size)
        field = so_far.field.after(self.kernel, self.stride, self.rate)
        kind = f"{self.kind} pool"
        row = Row(self.name, kind, self.kernel, self.stride, self.rate, c, size, 0, field.size, 0, 0)
        return so_far.step((c, *size), field, row)


@dataclass(frozen=True)
class Dropout(Part):
    """Zero entries with this probability in training, and scale the rest; nothing otherwise."""

    probability: float = 0.5

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Draw from `rng` in training."""
        return *dropout_forward(x, self.probability, rng, train=train), state

    def backward(self, dy, cache, *, taps=None):
        """Return dx."""
        return dropout_backward(dy, cache), {}


@dataclass(frozen=True)
class Subsample(Part):
    """Every stride-th sample: the shortcut of a strided unit that keeps its channels (slim's ResNet)."""

    stride: int

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Take every stride-th row and column."""
        return x[:, :, :: self.stride, :: self.stride], (x.shape, x.dtype), state

    def backward(self, dy, cache, *, taps=None):
        """Return dx, zero between the samples."""
        dx = np.zeros(*cache)
        dx[:, :, :: self.stride, :: self.stride] = dy
        return dx, {}

    def trace(self, so_far, taps=None):
        """Change the size, without a line."""
        c, *size = so_far.shape
        shape = (c, *(-(-n // self.stride) for n in size))
        return Trace(shape, so_far.field.after(1, self.stride, 1), so_far.rows)


@dataclass(frozen=True)
class Tap(Part):
    """Lets x pass, and leaves it under `name` for whoever asks."""

    name: str

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Fill in the tap."""
        self._leave(x, taps)
        return x, None, state

    def infer(self, params, state, x, *, taps=None):
        """Fill in the tap."""
        self._leave(x, taps)
        return x

    def backward(self, dy, cache, *, taps=None):
        """Add the gradient that came by the tap."""
        return dy if taps is None or taps.get(self.name) is None else dy + taps[self.name], {}

    def trace(self, so_far, taps=None):
        """Fill in the tap."""
        self._leave(so_far, taps)
        return so_far

    def _leave(self, what, taps):
        if taps is not None and self.name in taps:
            taps[self.name] = what
