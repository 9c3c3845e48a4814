"""An activation in a network, by its name.

Role: description.
"""

from __future__ import annotations

from dataclasses import dataclass

from atrous.compose.part import Part
from atrous.layers.hard_swish import hard_sigmoid_backward, hard_sigmoid_forward
from atrous.layers.sigmoid import sigmoid_backward, sigmoid_forward
from atrous.layers.training import (
    hard_swish_backward,
    hard_swish_forward,
    relu6_backward,
    relu6_forward,
    relu_backward,
    relu_forward,
)

PAIRS = {
    "relu": (relu_forward, relu_backward),
    "relu6": (relu6_forward, relu6_backward),
    "hard_swish": (hard_swish_forward, hard_swish_backward),
    "hard_sigmoid": (hard_sigmoid_forward, hard_sigmoid_backward),
    "sigmoid": (sigmoid_forward, sigmoid_backward),
}


@dataclass(frozen=True)
class Activation(Part):
    """A function of each number: "relu", "relu6", "hard_swish", "hard_sigmoid" or "sigmoid"."""

    kind: str = "relu"

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Return the function of x."""
        return *PAIRS[self.kind][0](x), state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Return dx."""
        return PAIRS[self.kind][1](dy, cache), {}

    def lower(self, lowering, x):
        """Add an activation."""
        return lowering.add("activation", [x], lowering.values[x], self.kind)


RELU = Activation("relu")
