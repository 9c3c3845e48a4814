"""A chain: parts one after the other.

Role: composition.
"""

from __future__ import annotations

from dataclasses import dataclass

from atrous.compose.part import Part


@dataclass(frozen=True)
class Chain(Part):
    """Parts one after the other; `name` is shown in drawings."""

    members: tuple[Part, ...]
    name: str = ""

    @property
    def parts(self):
        """The members, starting at the input."""
        return self.members

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Run the parts in order."""
        caches = []
        for part in self.members:
            x, cache, state = part.forward(params, state, x, train=train, rng=rng, endpoints=endpoints)
            caches.append(cache)
        return x, caches, state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Run the parts' backward passes in reverse."""
        grads = {}
        for i, part in reversed([*enumerate(self.members)]):
            dy, own = part.backward(dy, cache[i], endpoints=endpoints, needs_dx=needs_dx or i > 0)
            grads.update(own)
        return dy, grads

    def lower(self, lowering, x):
        """Lower the parts in order."""
        for part in self.members:
            x = lowering.part(part, x)
        return x


def chain(*parts: Part | None, name: str = "") -> Chain:
    """Return the chain of these parts. None is left out; a chain without a name is replaced by its members."""
    members = []
    for part in parts:
        if isinstance(part, Chain) and not part.name:
            members += part.members
        elif part is not None:
            members.append(part)
    return Chain(tuple(members), name)
