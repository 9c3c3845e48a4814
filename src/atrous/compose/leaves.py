"""The leaves of a network: each connects one pair of functions to the names of its arrays.

Role: description. The arithmetic is in `conv` and `layers`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from atrous import _check
from atrous._types import Padding
from atrous.compose.match import fitting
from atrous.compose.part import Part, Variable
from atrous.compose.program import Pass, Value
from atrous.conv.geometry import conv_geometry
from atrous.conv.operators import conv_backward, conv_in_training
from atrous.conv.receptive_field import Spatial
from atrous.errors import ShapeError
from atrous.layers.dropout import dropout_backward, dropout_forward
from atrous.layers.pool import (
    average_pool_backward,
    average_pool_forward,
    global_average_backward,
    global_average_forward,
    pool_windows,
)
from atrous.layers.training import (
    batch_norm_backward,
    batch_norm_forward,
    max_pool_backward,
    max_pool_forward,
)


@lru_cache(maxsize=4096)
def geometry(conv, shape, owner):
    """Return the geometry of a Conv for an input of `shape` (N, C, H, W)."""
    return conv_geometry(shape, conv.shape, owner=owner, **conv.options)


@dataclass(frozen=True)
class Conv(Part):
    """An atrous convolution; `w` and `b` are the names of its arrays, b is None without a bias.

    Filters start as normal numbers of standard deviation `sigma`, by default √(2·groups / (k²·F)) (He et al. 2015).
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

    def __post_init__(self):
        """Keep the padding as tuples, which can be hashed."""
        if not isinstance(self.padding, (str, int)):
            pairs = (tuple(p) if isinstance(p, Sequence) else p for p in self.padding)
            object.__setattr__(self, "padding", tuple(pairs))

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

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Return the convolution."""
        (w,) = fitting("forward", x, self.shape, params, self.w)
        (b,) = fitting("forward", x, (self.f,), params, self.b) if self.b else (None,)
        y, cache = conv_in_training(x, w, b, geometry(self, x.shape, "forward"))
        return y, cache, state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Return (dx, gradients of weights and bias)."""
        dx, dw, db = conv_backward(dy, cache, dx=needs_dx)
        return dx, {self.w: dw, **({self.b: db} if self.b else {})}

    def geometry(self, shape, owner):
        """Return the geometry for one input of `shape` (C, H, W)."""
        return geometry(self, (1, *shape), owner)

    def spatial(self, g):
        """Return this layer as part of a chain, along the rows."""
        return Spatial(self.kernel, self.stride, self.rate, g.ph)

    def value(self, before, owner):
        """Return the Value after this convolution from the Value before it."""
        g = self.geometry(before.shape, owner)
        return Value((self.f, *g.out[1:]), before.field.after(self.spatial(g)))

    def lower(self, lowering, x):
        """Add a convolution."""
        return lowering.add("conv", [x], self.value(lowering.values[x], lowering.owner), ((self, Pass()),))


@dataclass(frozen=True)
class BatchNorm(Part):
    """Batch norm of c channels; `gamma`, `beta`, `mean` and `var` are the names of its arrays.

    With `frozen`, training uses the running statistics too, and gamma and beta get no gradients.
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

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Normalise with the statistics of the batch in training, and with the running ones otherwise."""
        x = _check.float_array("forward", "x", x, batch=True)
        if x.ndim < 2 or x.shape[1] != self.c:
            raise ShapeError(
                f"forward: {self.gamma} is for {self.c} channels, x must be (N, {self.c}, *S), got {x.shape}."
            )
        mode = ("frozen" if self.frozen else "train") if train else "eval"
        if mode == "train" and x.size == self.c:
            raise ShapeError(
                f"forward: in training {self.gamma.rpartition('.')[0]} needs more than one value per channel, got one: "
                "the mean of a single image. Use a batch of at least 2, or train=False."
            )
        arrays = (
            *fitting("forward", x, (self.c,), params, self.gamma, self.beta),
            *fitting("forward", x, (self.c,), state, self.mean, self.var),
        )
        y, cache, (mean, var) = batch_norm_forward(x, *arrays, mode=mode, momentum=self.momentum, eps=self.eps)
        return y, cache, {**state, self.mean: mean, self.var: var} if mode == "train" else state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Return (dx, gradients of gamma and beta)."""
        dx, dgamma, dbeta = batch_norm_backward(dy, cache)
        return dx, {} if dgamma is None else {self.gamma: dgamma, self.beta: dbeta}

    def lower(self, lowering, x):
        """Add a batch norm."""
        return lowering.add("norm", [x], lowering.values[x], self)


@dataclass(frozen=True)
class Pool(Part):
    """Max or average pooling; `size_rule` as for `max_pool_forward`."""

    kind: str = "max"
    kernel: int = 3
    stride: int = 2
    rate: int = 1
    padding: Padding = 1
    size_rule: str = "floor"
    name: str = "pool"

    @property
    def options(self):
        """The options of the pooling functions."""
        return {"stride": self.stride, "rate": self.rate, "padding": self.padding, "size_rule": self.size_rule}

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Return the pooled map."""
        pool = max_pool_forward if self.kind == "max" else average_pool_forward
        return *pool(x, self.kernel, **self.options), state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Return dx."""
        return (max_pool_backward if self.kind == "max" else average_pool_backward)(dy, cache), {}

    def lower(self, lowering, x):
        """Add a pool."""
        (c, *size), field = lowering.values[x]
        options = self.stride, self.rate, self.padding, self.size_rule
        windows = pool_windows(lowering.owner, size, self.kernel, *options)
        after = field.after(Spatial(self.kernel, self.stride, self.rate, windows[0].padding))
        value = Value((c, *(w.out for w in windows)), after)
        return lowering.add("pool", [x], value, self)


@dataclass(frozen=True)
class GlobalAverage(Part):
    """The mean over all positions, (N, C, 1, 1)."""

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Return the means."""
        return *global_average_forward(x), state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Give every position its share."""
        return global_average_backward(dy, cache), {}

    def lower(self, lowering, x):
        """Add the mean, which sees the whole image."""
        (c, *_), field = lowering.values[x]
        return lowering.add("average", [x], Value((c, 1, 1), field._replace(size=math.inf)))


@dataclass(frozen=True)
class Dropout(Part):
    """In training, set entries to zero with this probability and scale the others; in inference, do nothing."""

    probability: float = 0.5

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Draw the entries from `rng` in training."""
        return *dropout_forward(x, self.probability, rng, train=train), state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Return dx."""
        return dropout_backward(dy, cache), {}

    def lower(self, lowering, x):
        """Add nothing."""
        return x


@dataclass(frozen=True)
class Subsample(Part):
    """Every stride-th sample: the shortcut of a unit with a stride that keeps its channels (slim's ResNet)."""

    stride: int

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Take every stride-th row and column."""
        return x[:, :, :: self.stride, :: self.stride], (x.shape, x.dtype), state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Return dx, which is zero between the samples."""
        dx = np.zeros(*cache)
        dx[:, :, :: self.stride, :: self.stride] = dy
        return dx, {}

    def lower(self, lowering, x):
        """Add the sub-sampling."""
        (c, *size), field = lowering.values[x]
        shape = (c, *(-(-n // self.stride) for n in size))
        return lowering.add("subsample", [x], Value(shape, field.after(Spatial(1, self.stride))), self.stride)


@dataclass(frozen=True)
class Endpoint(Part):
    """Passes x on unchanged and gives it a name, by which callers and other parts can use it."""

    name: str

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Store x under its name if the name is asked for."""
        if endpoints is not None and self.name in endpoints:
            endpoints[self.name] = x
        return x, None, state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Add the gradient with respect to the endpoint."""
        return dy if endpoints is None or endpoints.get(self.name) is None else dy + endpoints[self.name], {}

    def lower(self, lowering, x):
        """Name the slot."""
        lowering.mark(self.name, x)
        return x
