"""Image pooling: the image-level features of DeepLab v3.

Role: composition.

References
----------
DeepLab v3, arXiv:1706.05587, Section 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atrous.compose.chain import Chain
from atrous.compose.leaves import GlobalAverage
from atrous.compose.part import Part
from atrous.compose.program import Value
from atrous.layers.pool import global_average_backward, global_average_forward


@dataclass(frozen=True)
class ImagePooling(Part):
    """The mean of x over all positions, a body that sees only this mean, and its result repeated at every position."""

    body: Chain
    name: str = "image pooling"

    @property
    def parts(self):
        """The body."""
        return (self.body,)

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Average, run the body, repeat its result."""
        mean, pooled = global_average_forward(x)
        y, cache, state = self.body.forward(params, state, mean, train=train, rng=rng, endpoints=endpoints)
        return np.broadcast_to(y, (*y.shape[:2], *x.shape[2:])), (pooled, cache), state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Sum over the positions, run the body back, and give every position its share."""
        pooled, held = cache
        d, grads = self.body.backward(dy.sum((2, 3), keepdims=True), held, endpoints=endpoints)
        return global_average_backward(d, pooled), grads

    def lower(self, lowering, x):
        """Add the mean, lower the body, and repeat its value at every position."""
        (_, *size), _ = lowering.values[x]
        y = lowering.part(self.body, GlobalAverage().lower(lowering, x))
        shape = (lowering.values[y].shape[0], *size)
        return lowering.add("spread", [y], Value(shape, lowering.values[y].field), tuple(size))
