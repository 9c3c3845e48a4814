"""A residual unit: the sum of a body and a shortcut around it.

Role: composition.

References
----------
He et al., arXiv:1512.03385, Section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from atrous.compose.activation import RELU
from atrous.compose.chain import Chain
from atrous.compose.part import Part
from atrous.layers.activation import ReluCache
from atrous.layers.training import relu_backward, sum_relu


@dataclass(frozen=True)
class Residual(Part):
    """The sum of a body and a shortcut (None: the input itself), with ReLU after the sum if `relu`."""

    body: Chain
    shortcut: Part | None = None
    relu: bool = True
    name: str = ""

    @property
    def parts(self):
        """Body and shortcut."""
        return (self.body,) if self.shortcut is None else (self.body, self.shortcut)

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Run both and add."""
        y, body, state = self.body.forward(params, state, x, train=train, rng=rng, endpoints=endpoints)
        side, shortcut = x, None
        if self.shortcut is not None:
            side, shortcut, state = self.shortcut.forward(params, state, x, train=train, rng=rng, endpoints=endpoints)
        y = sum_relu(y, side) if self.relu else y + side
        return y, (body, shortcut, y if self.relu else None), state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Run dy back through both and add their gradients."""
        body, shortcut, y = cache
        if self.relu:
            dy = relu_backward(dy, ReluCache(y))
        dx, grads = self.body.backward(dy, body, endpoints=endpoints)
        if self.shortcut is None:
            return dx + dy, grads
        side, more = self.shortcut.backward(dy, shortcut, endpoints=endpoints)
        return dx + side, {**grads, **more}

    def lower(self, lowering, x):
        """Lower the body, the shortcut, their sum and the ReLU."""
        y = lowering.part(self.body, x)
        side = x if self.shortcut is None else lowering.part(self.shortcut, x)
        y = lowering.join("sum", [y, side])
        return RELU.lower(lowering, y) if self.relu else y
