"""What every part of a network offers: its arrays, forward and backward for training, and lowering for everything else.

A part is a frozen record that knows its arrays by name. The arrays themselves are in flat dictionaries: `params` are
trained, `state` holds running means. `forward` and `backward` are pure functions of them. `lower` adds the part to a
flat list of steps (see `program`), which inference, summary and drawing use.

`endpoints` carries named results beside the main path. `forward` fills in the names that are in the dictionary, and
`backward` adds the gradients that it finds there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from atrous._types import FloatArray

if TYPE_CHECKING:
    from atrous.compose.program import Lowering


class Variable(NamedTuple):
    """One array of a network: its shape, its initial values, and whether it is trained or running state."""

    shape: tuple[int, ...]
    mean: float = 0.0
    sigma: float = 0.0
    trained: bool = True
    start: Callable[[], FloatArray] | None = None
    """Returns the initial values, where they are neither random nor constant."""

    def draw(self, rng: np.random.Generator, dtype) -> FloatArray:
        """Return initial values: those of `start`, or normal numbers, or a constant if sigma is 0."""
        if self.start is not None:
            return self.start().astype(dtype)
        if self.sigma == 0:
            return np.full(self.shape, self.mean, dtype)
        return (self.mean + self.sigma * rng.standard_normal(self.shape)).astype(dtype)


@dataclass(frozen=True)
class Part:
    """A piece of a network. Leaves define forward, backward and lower; joins also say which parts they contain."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that this one contains."""
        return ()

    def variables(self) -> dict[str, Variable]:
        """Return every array by name, in the order of the network."""
        found = {}
        for part in self.parts:
            found.update(part.variables())
        return found

    def forward(
        self, params, state, x, *, train=False, rng=None, endpoints=None
    ) -> tuple[FloatArray, Any, dict[str, FloatArray]]:
        """Return (y, cache, state); state has new running means if they were updated."""
        raise NotImplementedError

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Return (dx, grads), with the gradients of the part's own arrays by name.

        Without `needs_dx`, as for the first layer of a network, dx may be None.
        """
        raise NotImplementedError

    def lower(self, lowering: Lowering, x: int) -> int:
        """Add the part's steps for inference, which read slot x; return the slot of the result."""
        raise NotImplementedError


def walk(part: Part, visit: Callable[[Part], None]) -> None:
    """Call `visit` for a part and all parts in it, starting at the input."""
    visit(part)
    for inner in part.parts:
        walk(inner, visit)


def mapped(part: Part, change: Callable[[Part], Part]) -> Part:
    """Return a part in which every leaf is replaced by ``change(leaf)``."""
    if not part.parts:
        return change(part)

    def new(value):
        if isinstance(value, Part):
            return mapped(value, change)
        return tuple(map(new, value)) if isinstance(value, tuple) else value

    return replace(part, **{f.name: new(getattr(part, f.name)) for f in fields(part)})


def parameter_count(variables: dict[str, Variable]) -> int:
    """Return how many trained numbers the variables have."""
    return sum(math.prod(v.shape) for v in variables.values() if v.trained)
