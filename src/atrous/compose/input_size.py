"""Back to the input's size: the scores of a network, resized to the image.

Role: composition.
"""

from __future__ import annotations

from dataclasses import dataclass

from atrous.compose.part import Part
from atrous.layers.training import bilinear_backward, bilinear_forward


@dataclass(frozen=True)
class ToInputSize(Part):
    """A body whose output is resized to the size of its input, and so are the endpoints named in `also`."""

    body: Part
    align_corners: bool = True
    also: tuple[str, ...] = ()

    @property
    def parts(self):
        """The body."""
        return (self.body,)

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Run the body and resize."""
        y, cache, state = self.body.forward(params, state, x, train=train, rng=rng, endpoints=endpoints)
        y, resized = bilinear_forward(y, x.shape[2:], align_corners=self.align_corners)
        sides = {}
        for name in self.also:
            if endpoints is not None and name in endpoints:
                endpoints[name], sides[name] = bilinear_forward(
                    endpoints[name], x.shape[2:], align_corners=self.align_corners
                )
        return y, (cache, resized, sides), state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Resize the gradients back and run the body back."""
        held, resized, sides = cache
        if endpoints is not None:
            endpoints = {n: bilinear_backward(d, sides[n]) if n in sides else d for n, d in endpoints.items()}
        dy = bilinear_backward(dy, resized)
        return self.body.backward(dy, held, endpoints=endpoints, needs_dx=needs_dx)

    def lower(self, lowering, x):
        """Lower the body and resize."""
        (_, *size), field = lowering.values[x]
        y = lowering.part(self.body, x)
        for name in self.also:
            if name in lowering.marks:
                slots = lowering.marks[name]
                slots[:] = [lowering.resize(slot, size, self.align_corners, field.stride) for slot in slots]
        return lowering.resize(y, size, self.align_corners, field.stride)
