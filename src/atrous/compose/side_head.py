"""A side head: an auxiliary classifier inside the network, such as torchvision's, for an auxiliary loss.

Role: composition.
"""

from __future__ import annotations

from dataclasses import dataclass

from atrous.compose.chain import Chain
from atrous.compose.part import Part


@dataclass(frozen=True)
class SideHead(Part):
    """Passes x on unchanged. Its body also runs on x if the endpoint `name` is asked for."""

    name: str
    body: Chain

    @property
    def parts(self):
        """The body."""
        return (self.body,)

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Run the body if its result is asked for."""
        if endpoints is None or self.name not in endpoints:
            return x, None, state
        endpoints[self.name], cache, state = self.body.forward(params, state, x, train=train, rng=rng)
        return x, cache, state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Run the body back if its result has a gradient."""
        if cache is None or endpoints is None or endpoints.get(self.name) is None:
            return dy, {}
        d, grads = self.body.backward(endpoints[self.name], cache)
        return dy + d, grads

    def lower(self, lowering, x):
        """Lower the body if its result is asked for."""
        if self.name in lowering.asked:
            lowering.mark(self.name, lowering.part(self.body, x))
        return x
