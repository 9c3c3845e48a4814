"""Lowering: a network's description as a flat list of steps, for one size of input.

A description is a tree, which suits writing and training. To run it, count its work or draw it, only the order of its
operations matters. `lower` walks the tree once. Each operation becomes a `Step`, which reads slots and writes one or
more; a slot holds one feature map. The list also says when a slot is read for the last time, so that its memory can be
freed.

Inference on the CPU (`cpu`), on a GPU (`cuda`) and by PyTorch (in the benchmarks) are tables from the name of an
operation to a function. `run` does the rest. Training does not use the list: it needs the results in between.

The operations, and what the step of each carries:

    conv        ((Conv, Pass), …): convolutions of one input, each with what follows it
    norm        BatchNorm
    activation  its name, as in `activation`
    pool        Pool
    average     the mean over all positions
    spread      size: one value repeated at every position
    subsample   stride
    crop        size: the first rows and columns
    resize      (size, align_corners)
    join        "sum", "max" or "concat"
    multiply    a map times one number for each channel
    crf         CRFLayer: scores refined with the image
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from atrous.conv.activations import NUMBERS as FUSED
from atrous.conv.receptive_field import ReceptiveField


class Value(NamedTuple):
    """What a slot holds: the shape of a feature map without its batch axis, and its receptive field."""

    shape: tuple[int, int, int]
    field: ReceptiveField


class Pass(NamedTuple):
    """What follows a convolution, in this order; any of it may be missing."""

    norm: Any = None
    """The batch norm."""
    add: int | None = None
    """The index, among the slots that the step reads, of the one to add."""
    activation: str | None = None


class Step(NamedTuple):
    """One operation: the slots it reads and writes, and what it carries."""

    op: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    what: Any = None


class Program(NamedTuple):
    """A lowered network. Slot 0 is the input."""

    steps: tuple[Step, ...]
    values: tuple[Value, ...]
    output: int
    endpoints: Mapping[str, int]
    results: tuple[tuple[Any, int], ...]
    """Every part with the slot of its result, inner parts first."""

    @property
    def kept(self) -> set[int]:
        """The slots that the caller asked for."""
        return {self.output, *self.endpoints.values()}

    def reads(self) -> Counter:
        """Return how often each slot is read; being asked for by the caller counts as a read."""
        return Counter([*(slot for step in self.steps for slot in step.reads), *self.kept])

    def last_reads(self) -> list[tuple[int, ...]]:
        """Return for each step the slots that no later step reads, except those the caller asked for."""
        seen, found = self.kept, []
        for step in reversed(self.steps):
            slots = {*step.reads, *step.writes}
            found.append(tuple(slots - seen))
            seen |= slots
        return found[::-1]

    def memory(self, itemsize: int = 4) -> int:
        """Return the most bytes that feature maps of one image take at any time, the result included."""
        size = [itemsize * math.prod(value.shape) for value in self.values]
        now = most = size[0]
        for step, free in zip(self.steps, self.last_reads(), strict=True):
            now += sum(size[slot] for slot in step.writes)
            most = max(most, now)
            now -= sum(size[slot] for slot in free)
        return most


class Lowering:
    """The list of steps while it is being written."""

    def __init__(self, shape: Sequence[int], asked: Sequence[str], owner: str):
        self.owner, self.asked = owner, frozenset(asked)
        self.steps, self.values = [], [Value(tuple(shape), ReceptiveField())]
        self.marks, self.results = {}, []

    def part(self, part: Any, x: int) -> int:
        """Lower a part that reads slot x and return the slot of its result."""
        return self.result(part, part.lower(self, x))

    def result(self, part: Any, slot: int) -> int:
        """Record that the result of a part is in a slot; return the slot."""
        self.results.append((part, slot))
        return slot

    def add(self, op: str, reads: Sequence[int], value: Value, what: Any = None) -> int:
        """Append a step that writes one slot and return that slot."""
        return self.add_all(op, reads, [value], what)[0]

    def add_all(self, op: str, reads: Sequence[int], values: Sequence[Value], what: Any = None) -> tuple[int, ...]:
        """Append a step and return the slots that it writes."""
        writes = tuple(range(len(self.values), len(self.values) + len(values)))
        self.values += values
        self.steps.append(Step(op, tuple(reads), writes, what))
        return writes

    def resize(self, x: int, size: Sequence[int], align_corners: bool, stride: int) -> int:
        """Resize slot x to `size`, where neighbouring samples are `stride` pixels apart; return the slot."""
        (c, *before), field = self.values[x]
        if tuple(before) == tuple(size):
            return x
        return self.add("resize", [x], Value((c, *size), field._replace(stride=stride)), (tuple(size), align_corners))

    def crop(self, x: int, size: Sequence[int]) -> int:
        """Keep the first rows and columns of slot x; return the slot."""
        (c, *before), field = self.values[x]
        return x if tuple(before) == tuple(size) else self.add("crop", [x], Value((c, *size), field), tuple(size))

    def join(self, kind: str, slots: Sequence[int]) -> int:
        """Join slots by "sum", "max" or "concat"; the result has their largest receptive field. Return the slot."""
        values = [self.values[slot] for slot in slots]
        c = sum(v.shape[0] for v in values) if kind == "concat" else values[0].shape[0]
        field = max((v.field for v in values), key=lambda f: f.size)
        return self.add("join", slots, Value((c, *values[0].shape[1:]), field), kind)

    def mark(self, name: str, slot: int) -> None:
        """Name a slot as an endpoint. A part that runs several times is marked each time; the caller gets the first."""
        self.marks.setdefault(name, []).append(slot)


def lowered(part: Any, shape: Sequence[int], endpoints: Sequence[str] = (), owner: str = "lower") -> Program:
    """Lower a description for inputs of `shape` (C, H, W); `endpoints` names results wanted besides the output."""
    lowering = Lowering(shape, endpoints, owner)
    output = lowering.part(part, 0)
    found = {name: slots[0] for name, slots in lowering.marks.items() if name in lowering.asked}
    return Program(tuple(lowering.steps), tuple(lowering.values), output, found, tuple(lowering.results))


def fused(program: Program) -> Program:
    """Return a program in which batch norm, a sum of two and an activation are part of the convolution before them.

    Without fusing, each of them reads a feature map from memory and writes it again: up to four passes instead of one.
    Only inference can be fused. In training, batch norm needs the finished convolution for its statistics, and the
    backward pass needs the maps in between.
    """
    reads, steps = program.reads(), []
    made = {}  # slot → (index of its step, which of the step's convolutions), while its pass can still grow

    def grow(slot, new, extra=(), **change):
        at, k = made.pop(slot)
        step = steps[at]
        conv, after = step.what[k]
        what = (*step.what[:k], (conv, after._replace(**change)), *step.what[k + 1 :])
        writes = (*step.writes[:k], new, *step.writes[k + 1 :])
        steps[at] = step._replace(reads=(*step.reads, *extra), writes=writes, what=what)
        written[new] = at
        if reads[new] == 1 and not what[k][1].activation:
            made[new] = at, k

    written = {0: -1}
    for step in program.steps:
        slot, after = step.reads[0], None
        if slot in made:
            at, k = made[slot]
            after = steps[at].what[k][1]
        if step.op == "norm" and after == Pass():
            grow(slot, step.writes[0], norm=step.what)
        elif step.op == "activation" and step.what in FUSED and after is not None:
            grow(slot, step.writes[0], activation=step.what)
        elif step.op == "join" and step.what == "sum" and (pair := _addend(step.reads, made, written, steps)):
            slot, other = pair
            grow(slot, step.writes[0], extra=(other,), add=len(steps[written[slot]].reads))
        else:
            if step.op == "conv":
                made.update((slot, (len(steps), k)) for k, slot in enumerate(step.writes) if reads[slot] == 1)
            written.update(dict.fromkeys(step.writes, len(steps)))
            steps.append(step)
    return program._replace(steps=tuple(steps))


def _addend(slots, made, written, steps):
    """Return (slot, other) if the sum of two slots can join the pass of the one that is written later, else None."""
    if len(slots) != 2:
        return None
    other, slot = sorted(slots, key=written.__getitem__)
    if slot not in made or written[other] == written[slot]:
        return None
    at, k = made[slot]
    return (slot, other) if steps[at].what[k][1].add is None else None


@lru_cache(maxsize=16)
def for_inference(
    part: Any, shape: tuple[int, int, int], endpoints: tuple[str, ...] = (), owner: str = "infer"
) -> Program:
    """Return the fused program of a description; the last few are kept."""
    return fused(lowered(part, shape, endpoints, owner))


def run(
    program: Program, table: Mapping[str, Callable], arrays: Mapping[str, Any], x: Any
) -> tuple[Any, dict[str, Any]]:
    """Run a program on x (N, C, H, W) and return (result, endpoints by name).

    `table` maps each operation to a function of (what the step carries, arrays by name, what it reads …).
    """
    slots = {0: x}
    for step, free in zip(program.steps, program.last_reads(), strict=True):
        found = table[step.op](step.what, arrays, *(slots[slot] for slot in step.reads))
        slots.update(zip(step.writes, found if step.op == "conv" else [found], strict=True))
        for slot in free:
            del slots[slot]
    return slots[program.output], {name: slots[slot] for name, slot in program.endpoints.items()}
