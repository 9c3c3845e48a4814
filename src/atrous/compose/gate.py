"""A gate multiplies each channel of a result by a number that another branch computes from the whole image.

Squeeze and excitation is a gate around nothing: the numbers come from the means of the channels themselves. In Lite
R-ASPP, a coarse and cheap relative of ASPP, body and gate both read the last features.

Role: composition.

References
----------
Hu et al., arXiv:1709.01507, Section 3; Howard et al., MobileNetV3, arXiv:1905.02244, Section 6.4, Fig. 10.
"""

from __future__ import annotations

from dataclasses import dataclass

from atrous.compose.activation import RELU, Activation
from atrous.compose.chain import Chain, chain
from atrous.compose.leaves import GlobalAverage
from atrous.compose.part import Part
from atrous.compose.styles import TORCH


@dataclass(frozen=True)
class Gate(Part):
    """The product of a body's result (N, C, H, W) and a gate's (N, C, 1, 1), both of the same input."""

    body: Chain
    gate: Chain
    name: str = ""

    @property
    def parts(self):
        """Body and gate."""
        return (self.body, self.gate)

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Run both and multiply."""
        y, body, state = self.body.forward(params, state, x, train=train, rng=rng, endpoints=endpoints)
        opening, gate, state = self.gate.forward(params, state, x, train=train, rng=rng, endpoints=endpoints)
        return y * opening, (body, gate, y, opening), state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Run back through both factors and add their gradients."""
        body, gate, y, opening = cache
        dx, grads = self.body.backward(dy * opening, body, endpoints=endpoints)
        of_opening = (dy * y).sum(axis=(2, 3), keepdims=True)
        more, own = self.gate.backward(of_opening, gate, endpoints=endpoints)
        return dx + more, {**grads, **own}

    def lower(self, lowering, x):
        """Lower both and multiply."""
        y, opening = lowering.part(self.body, x), lowering.part(self.gate, x)
        return lowering.add("multiply", [y, opening], lowering.values[y])


def squeeze_excite(name, c, squeezed):
    """Return squeeze and excitation with a hard sigmoid; ``fc1`` and ``fc2`` under `name` are its convolutions."""
    return Gate(
        Chain(()),
        chain(
            GlobalAverage(),
            TORCH.conv(f"{name}.fc1", c, squeezed, 1, bias=True), RELU,
            TORCH.conv(f"{name}.fc2", squeezed, c, 1, bias=True), Activation("hard_sigmoid"),
        ),
        "squeeze and excitation",
    )  # fmt: skip
