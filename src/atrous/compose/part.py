"""What every part of a network offers, and what it tells about itself.

A part is a frozen record. Its arrays live in flat dictionaries, `params` (trained) and `state` (running means), under
names that the part knows; `forward` and `backward` are pure functions of them.

`taps` carries side results past the main path: forward fills in the names that stand in the dictionary, backward adds
the gradients that it holds. Without it only the main path is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from atrous._types import FloatArray


class Variable(NamedTuple):
    """One array of a network: its shape, how it begins, whether it is trained or is running state."""

    shape: tuple[int, ...]
    mean: float = 0.0
    sigma: float = 0.0
    trained: bool = True

    def draw(self, rng: np.random.Generator, dtype) -> FloatArray:
        """Return a first value: normal numbers, or a constant where sigma is 0."""
        if self.sigma == 0:
            return np.full(self.shape, self.mean, dtype)
        return (self.mean + self.sigma * rng.standard_normal(self.shape)).astype(dtype)


class Field(NamedTuple):
    """What one output sees of the image along an axis: size and distance of neighbours, in pixels; inf: all of it."""

    size: float = 1.0
    jump: float = 1.0

    def after(self, kernel, stride, rate):
        """Return the field behind a window of `kernel` taps."""
        return Field(self.size + rate * (kernel - 1) * self.jump, self.jump * stride)


class Row(NamedTuple):
    """One line of the papers' layer tables."""

    name: str
    kind: str
    kernel: int
    stride: int
    rate: int
    channels: int
    size: tuple[int, int]
    parameters: int
    field: float
    macs: int
    interlaced_macs: int


class Trace(NamedTuple):
    """A walk through a network without numbers: where it stands, and the lines of the table so far."""

    shape: tuple[int, int, int]
    field: Field
    rows: tuple[Row, ...] = ()

    def step(self, shape, field, *rows):
        """Return the trace one part further."""
        return Trace(shape, field, self.rows + rows)


@dataclass(frozen=True)
class Part:
    """A piece of a network. Leaves override forward, backward and trace; joins say which parts they hold."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that this one holds."""
        return ()

    def variables(self) -> dict[str, Variable]:
        """Return every array by name, in the order of the network."""
        found = {}
        for part in self.parts:
            found.update(part.variables())
        return found

    def forward(
        self, params, state, x, *, train=False, rng=None, taps=None
    ) -> tuple[FloatArray, Any, dict[str, FloatArray]]:
        """Return (y, cache, state), the state with new running means where they were trained."""
        raise NotImplementedError

    def backward(self, dy, cache, *, taps=None) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Return (dx, grads) with the gradients of the part's own arrays by name."""
        raise NotImplementedError

    def infer(self, params, state, x, *, taps=None) -> FloatArray:
        """Return y as `forward` gives it with train=False, keeping nothing for a backward pass."""
        return self.forward(params, state, x, taps=taps)[0]

    def trace(self, so_far: Trace, taps: dict[str, Trace] | None = None) -> Trace:
        """Return the trace behind this part."""
        return so_far


def walk(part: Part, visit: Callable[[Part], None]) -> None:
    """Call `visit` for a part and all parts within it, from the input on."""
    visit(part)
    for inner in part.parts:
        walk(inner, visit)


def mapped(part: Part, change: Callable[[Part], Part]) -> Part:
    """Return a part with every leaf within it replaced by `change` of it."""
    if not part.parts:
        return change(part)

    def new(value):
        if isinstance(value, Part):
            return mapped(value, change)
        return tuple(map(new, value)) if isinstance(value, tuple) else value

    return replace(part, **{f.name: new(getattr(part, f.name)) for f in fields(part)})


def count(variables: dict[str, Variable], *, trained: bool = True) -> int:
    """Return how many numbers the variables hold."""
    return sum(math.prod(v.shape) for v in variables.values() if v.trained == trained)
