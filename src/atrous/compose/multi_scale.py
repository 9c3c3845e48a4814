"""Multi-scale input: one network sees the image at several sizes, and its scores are fused by the maximum.

Role: composition.

References
----------
DeepLab v2, arXiv:1606.00915, Section 3.2 and 4.1.2 (MSC).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from atrous.compose.part import Part
from atrous.layers.join import max_backward, max_forward
from atrous.layers.training import bilinear_backward, bilinear_forward


@dataclass(frozen=True)
class MultiScale(Part):
    """One body with shared weights for an image at several scales; the scores are brought to the size of the first.

    With aligned corners, a scale p/q takes p·⌊(n − 1)/q⌋ + 1 samples, as Caffe's Interp layers do; otherwise ⌊n·p/q⌋.
    Endpoints inside the body are those of the first scale. The scores of each scale are endpoints too: `endpoint` with
    the percentage, such as low_logits_075.
    """

    body: Part
    scales: tuple[Fraction, ...] = (Fraction(1), Fraction(3, 4), Fraction(1, 2))
    align_corners: bool = True
    endpoint: str = "low_logits"

    @property
    def parts(self):
        """The body."""
        return (self.body,)

    def sizes(self, size):
        """Return the size of the image at each scale."""
        return [
            tuple(
                (s.numerator * ((n - 1) // s.denominator) + 1) if self.align_corners else max(1, int(n * s))
                for n in size
            )
            for s in self.scales
        ]

    def names(self):
        """Return the names of the endpoints that hold the scores of each scale."""
        return [f"{self.endpoint}_{round(100 * scale):03d}" for scale in self.scales]

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Run the body at each scale and take the maximum."""
        ys, caches = [], []
        for name, size in zip(self.names(), self.sizes(x.shape[2:]), strict=True):
            image, shrunk = bilinear_forward(x, size, align_corners=self.align_corners)
            inner = None if ys else endpoints
            y, cache, state = self.body.forward(params, state, image, train=train, rng=rng, endpoints=inner)
            if endpoints is not None and name in endpoints:
                endpoints[name] = y
            y, grown = bilinear_forward(y, (ys[0] if ys else y).shape[2:], align_corners=self.align_corners)
            ys.append(y)
            caches.append((shrunk, cache, grown))
        y, joined = max_forward(ys)
        return y, (caches, joined), state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Run back at each scale and add the gradients of the shared weights."""
        caches, joined = cache
        dx, grads, inner = None, {}, endpoints
        for name, d_scale, (shrunk, inside, grown) in zip(self.names(), max_backward(dy, joined), caches, strict=True):
            d = bilinear_backward(d_scale, grown)
            if endpoints is not None and endpoints.get(name) is not None:
                d = d + endpoints[name]
            d, own = self.body.backward(d, inside, endpoints=inner, needs_dx=needs_dx)
            inner = None
            if needs_dx:
                d = bilinear_backward(d, shrunk)
                dx = d if dx is None else dx + d
            for key, g in own.items():
                grads[key] = grads[key] + g if key in grads else g
        return dx, grads

    def lower(self, lowering, x):
        """Lower the body once for each scale, then the maximum."""
        (_, *size), field = lowering.values[x]
        slots = []
        for name, at in zip(self.names(), self.sizes(size), strict=True):
            y = lowering.part(self.body, lowering.resize(x, at, self.align_corners, field.stride))
            lowering.mark(name, y)
            (_, *first), reference = lowering.values[slots[0] if slots else y]
            slots.append(lowering.resize(y, first, self.align_corners, reference.stride))
        return lowering.join("max", slots)
