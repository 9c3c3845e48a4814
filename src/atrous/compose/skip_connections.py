"""Skip connections: side branches that start inside a trunk and are joined to its output.

The decoder of v3+ is one, and so are the multi-scale features of v1.

Role: composition.

References
----------
DeepLab v3+, arXiv:1802.02611, Section 3.1, Fig. 2; DeepLab v1, arXiv:1412.7062, Section 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atrous.compose.chain import Chain
from atrous.compose.parallel import JOINS
from atrous.compose.part import Part
from atrous.layers.training import bilinear_backward, bilinear_forward


@dataclass(frozen=True)
class SkipConnections(Part):
    """A trunk, and side branches (endpoint, branch), each of which reads an endpoint inside the trunk.

    All are first resized to the size of the first side or, if `crop`, cropped to the smallest.
    """

    trunk: Chain
    sides: tuple[tuple[str, Part], ...]
    join: str = "concat"
    crop: bool = False
    trunk_first: bool = True
    align_corners: bool = True
    name: str = ""

    @property
    def parts(self):
        """Trunk and sides."""
        return (self.trunk, *(branch for _, branch in self.sides))

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Run the trunk, then each side on its endpoint, and join them."""
        seen = {**(endpoints or {}), **dict.fromkeys(name for name, _ in self.sides)}
        y, trunk, state = self.trunk.forward(params, state, x, train=train, rng=rng, endpoints=seen)
        if endpoints is not None:
            endpoints.update((name, seen[name]) for name in endpoints)
        ys, caches = [y], []
        for name, branch in self.sides:
            side, cache, state = branch.forward(params, state, seen[name], train=train, rng=rng)
            ys.append(side)
            caches.append(cache)
        shapes, resized = [a.shape for a in ys], {}
        if self.crop:
            h, w = _smallest(shapes)
            ys = [a[:, :, :h, :w] for a in ys]
        else:
            for i in (0, *range(2, len(ys))):
                ys[i], resized[i] = bilinear_forward(ys[i], ys[1].shape[2:], align_corners=self.align_corners)
        y, joined = JOINS[self.join][0](ys if self.trunk_first else ys[::-1])
        return y, (trunk, caches, shapes, resized, joined), state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Run every path back; the gradients of the sides enter the trunk at their endpoints."""
        trunk, caches, shapes, resized, joined = cache
        ds = list(JOINS[self.join][1](dy, joined)[:: 1 if self.trunk_first else -1])
        if self.crop:
            ds = [_uncropped(d, shape) for d, shape in zip(ds, shapes, strict=True)]
        else:
            ds = [bilinear_backward(d, resized[i]) if i in resized else d for i, d in enumerate(ds)]
        d, *ds = ds
        entering, grads = dict(endpoints or {}), {}
        for (name, branch), d_side, held in zip(self.sides, ds, caches, strict=True):
            back, own = branch.backward(d_side, held)
            entering[name] = back if entering.get(name) is None else back + entering[name]
            grads.update(own)
        dx, own = self.trunk.backward(d, trunk, endpoints=entering, needs_dx=needs_dx)
        return dx, {**own, **grads}

    def lower(self, lowering, x):
        """Lower the trunk, then each side from its endpoint, then the join."""
        slots = [lowering.part(self.trunk, x)]
        slots += [lowering.part(branch, lowering.marks[name][-1]) for name, branch in self.sides]
        if self.crop:
            size = _smallest([lowering.values[slot].shape for slot in slots])
            slots = [lowering.crop(slot, size) for slot in slots]
        else:
            (_, *size), field = lowering.values[slots[1]]
            slots = [slot if i == 1 else lowering.resize(slot, size, self.align_corners, field.stride)
                     for i, slot in enumerate(slots)]  # fmt: skip
        return lowering.join(self.join, slots if self.trunk_first else slots[::-1])


def _smallest(shapes):
    """Return the smallest height and the smallest width."""
    return tuple(min(shape[axis] for shape in shapes) for axis in (-2, -1))


def _uncropped(d, shape):
    """Return the gradient before a crop at the end of rows and columns: zero at the cropped samples."""
    if d.shape == shape:
        return d
    whole = np.zeros(shape, d.dtype)
    whole[:, :, : d.shape[2], : d.shape[3]] = d
    return whole
