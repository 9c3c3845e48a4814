"""Branches side by side, such as those of ASPP: one input, several branches, one join.

If possible, the branches' first convolutions share one pass over the input (`conv.branches`).

Role: composition.
"""

from __future__ import annotations

from dataclasses import dataclass

from atrous.compose.chain import Chain
from atrous.compose.leaves import Conv
from atrous.compose.part import Part
from atrous.compose.program import Pass
from atrous.conv.branches import branches_backward, branches_forward
from atrous.layers.join import (
    concat_backward,
    concat_forward,
    max_backward,
    max_forward,
    sum_backward,
    sum_forward,
)

JOINS = {
    "sum": (sum_forward, sum_backward),
    "max": (max_forward, max_backward),
    "concat": (concat_forward, concat_backward),
}


@dataclass(frozen=True)
class Parallel(Part):
    """Branches of one input, joined by "sum", "max" or "concat"."""

    branches: tuple[Part, ...]
    join: str = "concat"
    name: str = ""

    @property
    def parts(self):
        """The branches."""
        return self.branches

    def _split(self):
        """Return (convolutions that share a pass over the input by branch, the rest of each branch)."""
        shared = {i: _first(branch) for i, branch in enumerate(self.branches) if _shares(branch)}
        if len(shared) < 2:
            shared = {}
        return shared, [_rest(b) if i in shared else b for i, b in enumerate(self.branches)]

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Run the branches and join them."""
        shared, rests = self._split()
        inputs, together = [x] * len(rests), None
        if shared:
            convs = shared.values()
            started, together = branches_forward(
                x, [params[c.w] for c in convs], [c.b and params[c.b] for c in convs], rates=[c.rate for c in convs]
            )
            for i, y in zip(shared, started, strict=True):
                inputs[i] = y
        ys, caches = [], []
        for i, part in enumerate(rests):
            y, cache, state = part.forward(params, state, inputs[i], train=train, rng=rng, endpoints=endpoints)
            ys.append(y)
            caches.append(cache)
        y, joined = JOINS[self.join][0](ys)
        return y, (caches, together, joined), state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Split dy, run the branches' backward passes and add their dx."""
        caches, together, joined = cache
        shared, rests = self._split()
        dx, grads, started = None, {}, []
        for i, (part, held, d) in enumerate(zip(rests, caches, JOINS[self.join][1](dy, joined), strict=True)):
            d, own = part.backward(d, held, endpoints=endpoints)  # noqa: PLW2901
            grads.update(own)
            if i in shared:
                started.append(d)
            else:
                dx = d if dx is None else dx + d
        if shared:
            d, dws, dbs = branches_backward(started, together)
            dx = d if dx is None else dx + d
            for conv, dw, db in zip(shared.values(), dws, dbs, strict=True):
                grads.update({conv.w: dw, **({conv.b: db} if conv.b else {})})
        return dx, grads

    def lower(self, lowering, x):
        """Lower the convolutions that share a pass as one step, then the rest of each branch, then the join."""
        shared, rests = self._split()
        slots = [x] * len(rests)
        if shared:
            values = [conv.value(lowering.values[x], lowering.owner) for conv in shared.values()]
            started = lowering.add_all("conv", [x], values, tuple((conv, Pass()) for conv in shared.values()))
            for i, slot in zip(shared, started, strict=True):
                slots[i] = lowering.result(shared[i], slot)
        ends = [
            lowering.result(branch, lowering.part(part, slot))
            for branch, part, slot in zip(self.branches, rests, slots, strict=True)
        ]
        return lowering.join(self.join, ends)


def _first(branch):
    return branch.members[0] if isinstance(branch, Chain) and branch.members else branch


def _rest(branch):
    return Chain(branch.members[1:]) if isinstance(branch, Chain) else Chain(())


def _shares(branch):
    """Tell whether a branch begins with a convolution that can share a pass over the input."""
    first = _first(branch)
    return isinstance(first, Conv) and first.groups == 1 and first.stride == 1 and first.padding == "same"
