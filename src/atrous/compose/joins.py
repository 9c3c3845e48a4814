"""How parts make a network: one after the other, beside a shortcut, side by side; and DeepLab's own joins.

Forward and backward of a join call those of its parts, backward in reverse; where a value was used twice, its gradients
are added. `infer` does the same without caches, with what follows a convolution in one pass over its result.

Role: composition.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from atrous.compose.leaves import BatchNorm, Conv, ReLU
from atrous.compose.part import Field, Part
from atrous.conv.branches import branches_backward, branches_forward
from atrous.conv.operators import atrous_conv
from atrous.layers.epilogue import epilogue
from atrous.layers.fusion import (
    concat_backward,
    concat_forward,
    max_backward,
    max_forward,
    sum_backward,
    sum_forward,
)
from atrous.layers.norm import fold_batch_norm
from atrous.layers.pool import global_average_backward, global_average_forward
from atrous.layers.resize import bilinear_backward, bilinear_forward, resize_bilinear


def _finished(y, following, params, state, conv, *, add=None):
    """Return y after the batch norm and ReLU of `following`, the bias of `conv` and `add`, in one pass over y."""
    norm = next((p for p in following if isinstance(p, BatchNorm)), None)
    relu = any(isinstance(p, ReLU) for p in following)
    if not following and conv.b is None and add is None:
        return y
    if norm:
        scale, shift = fold_batch_norm(*norm.arrays(params, state), eps=norm.eps)
        if conv.b:
            shift = shift + scale * params[conv.b]
    else:
        scale = np.ones(conv.f, y.dtype)
        shift = params[conv.b] if conv.b else np.zeros(conv.f, y.dtype)
    return epilogue(y, scale, shift, add=add, relu=relu)


def _runs(parts):
    """Group parts into runs: a convolution with the batch norm and ReLU behind it, any other part alone."""
    runs = []
    for part in parts:
        held = runs[-1] if runs and isinstance(runs[-1][0], Conv) else None
        fits = held and (
            (isinstance(part, BatchNorm) and len(held) == 1)
            or (isinstance(part, ReLU) and not isinstance(held[-1], ReLU))
        )
        if fits:
            held.append(part)
        else:
            runs.append([part])
    return runs


@dataclass(frozen=True)
class Chain(Part):
    """One part after the other; `name` is what a drawing calls it."""

    members: tuple[Part, ...]
    name: str = ""

    @property
    def parts(self):
        """The parts, from the input on."""
        return self.members

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Run the parts in order."""
        caches = []
        for part in self.members:
            x, cache, state = part.forward(params, state, x, train=train, rng=rng, taps=taps)
            caches.append(cache)
        return x, caches, state

    def backward(self, dy, cache, *, taps=None):
        """Run the parts' backward passes in reverse."""
        grads = {}
        for part, held in zip(self.members[::-1], cache[::-1], strict=True):
            dy, own = part.backward(dy, held, taps=taps)
            grads.update(own)
        return dy, grads

    def infer(self, params, state, x, *, taps=None, add=None, relu=False):
        """Return y; with `add` and `relu`, max(y + add, 0), within the last convolution's pass where there is one."""
        runs = _runs(self.members)
        for i, (first, *following) in enumerate(runs):
            last = i == len(runs) - 1
            if isinstance(first, Conv):
                fuse = last and not any(isinstance(p, ReLU) for p in following)
                if fuse and relu:
                    following.append(ReLU())
                y = atrous_conv(x, params[first.w], **first.options)
                x = _finished(y, following, params, state, first, add=add if fuse else None)
                if fuse:
                    add, relu = None, False
            else:
                x = first.infer(params, state, x, taps=taps)
        if add is not None:
            x = x + add
        return np.maximum(x, 0) if relu else x

    def trace(self, so_far, taps=None):
        """Walk through the parts."""
        for part in self.members:
            so_far = part.trace(so_far, taps)
        return so_far


def chain(*parts: Part | None, name: str = "") -> Chain:
    """Return the chain of these parts; None is left out, nameless chains are taken apart."""
    members = []
    for part in parts:
        if isinstance(part, Chain) and not part.name:
            members += part.members
        elif part is not None:
            members.append(part)
    return Chain(tuple(members), name)


@dataclass(frozen=True)
class Residual(Part):
    """The sum of a body and a shortcut, the input itself where that is None; `relu` follows the sum."""

    body: Chain
    shortcut: Part | None = None
    relu: bool = True
    name: str = ""

    @property
    def parts(self):
        """Body and shortcut."""
        return (self.body,) if self.shortcut is None else (self.body, self.shortcut)

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Run both and add."""
        y, body, state = self.body.forward(params, state, x, train=train, rng=rng, taps=taps)
        side, shortcut = x, None
        if self.shortcut is not None:
            side, shortcut, state = self.shortcut.forward(params, state, x, train=train, rng=rng, taps=taps)
        y = y + side
        if self.relu:
            y = np.maximum(y, 0, out=y)
        return y, (body, shortcut, y if self.relu else None), state

    def backward(self, dy, cache, *, taps=None):
        """Send dy both ways and add what comes back."""
        body, shortcut, y = cache
        if self.relu:
            dy = dy * (y > 0)
        dx, grads = self.body.backward(dy, body, taps=taps)
        if self.shortcut is None:
            return dx + dy, grads
        side, more = self.shortcut.backward(dy, shortcut, taps=taps)
        return dx + side, {**grads, **more}

    def infer(self, params, state, x, *, taps=None):
        """Add the shortcut within the pass over the body's last convolution."""
        side = x if self.shortcut is None else self.shortcut.infer(params, state, x, taps=taps)
        return self.body.infer(params, state, x, taps=taps, add=side, relu=self.relu)

    def trace(self, so_far, taps=None):
        """Walk through both; the body sees further."""
        after = self.body.trace(so_far, taps)
        if self.shortcut is None:
            return after
        side = self.shortcut.trace(so_far._replace(rows=()), taps)
        return after._replace(rows=after.rows + side.rows)


JOINS = {
    "sum": (sum_forward, sum_backward),
    "max": (max_forward, max_backward),
    "concat": (concat_forward, concat_backward),
}


def _shares(part):
    """Tell whether a branch begins with a convolution that can share a pass over its input."""
    first = part.members[0] if isinstance(part, Chain) and part.members else part
    return isinstance(first, Conv) and first.groups == 1 and first.stride == 1 and first.padding == "same"


def _first(part):
    return part.members[0] if isinstance(part, Chain) else part


def _rest(part):
    return Chain(part.members[1:]) if isinstance(part, Chain) else Chain(())


@dataclass(frozen=True)
class Parallel(Part):
    """Branches of one input, joined by "sum", "max" or "concat"; leading convolutions share a pass over the input."""

    branches: tuple[Part, ...]
    join: str = "concat"
    name: str = ""

    @property
    def parts(self):
        """The branches."""
        return self.branches

    def _sharing(self):
        shared = [i for i, branch in enumerate(self.branches) if _shares(branch)]
        return shared if len(shared) > 1 else []

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Run the branches and join them."""
        shared = self._sharing()
        started, together = self._started(params, x, shared)
        ys, caches = [], []
        for i, branch in enumerate(self.branches):
            part, given = (_rest(branch), started.pop(i)) if i in started else (branch, x)
            y, cache, state = part.forward(params, state, given, train=train, rng=rng, taps=taps)
            ys.append(y)
            caches.append(cache)
        y, joined = JOINS[self.join][0](ys)
        return y, (caches, together, joined), state

    def _started(self, params, x, shared, *, biased=True):
        """Return the outputs of the leading convolutions by branch, and the cache that they share."""
        if not shared:
            return {}, None
        firsts = [_first(self.branches[i]) for i in shared]
        biases = [params[f.b] if f.b and biased else None for f in firsts]
        ys, cache = branches_forward(x, [params[f.w] for f in firsts], biases, rates=[f.rate for f in firsts])
        return dict(zip(shared, ys, strict=True)), cache

    def backward(self, dy, cache, *, taps=None):
        """Split dy, run the branches back, add their dx."""
        caches, together, joined = cache
        shared = self._sharing()
        dx, grads, started = None, {}, []
        for i, (branch, held, part_dy) in enumerate(
            zip(self.branches, caches, JOINS[self.join][1](dy, joined), strict=True)
        ):
            d, own = (_rest(branch) if i in shared else branch).backward(part_dy, held, taps=taps)
            grads.update(own)
            if i in shared:
                started.append(d)
            else:
                dx = d if dx is None else dx + d
        if shared:
            d, dws, dbs = branches_backward(started, together)
            dx = d if dx is None else dx + d
            for i, dw, db in zip(shared, dws, dbs, strict=True):
                first = _first(self.branches[i])
                grads[first.w] = dw
                if first.b:
                    grads[first.b] = db
        return dx, grads

    def infer(self, params, state, x, *, taps=None):
        """Join the branches without caches."""
        started, _ = self._started(params, x, self._sharing(), biased=False)
        ys = []
        for i, branch in enumerate(self.branches):
            if i in started:
                ((first, *following), *others) = _runs((_first(branch), *_rest(branch).members))
                y = _finished(started.pop(i), following, params, state, first)
                y = Chain(tuple(p for run in others for p in run)).infer(params, state, y, taps=taps)
            else:
                y = branch.infer(params, state, x, taps=taps)
            ys.append(y)
        return JOINS[self.join][0](ys)[0]

    def trace(self, so_far, taps=None):
        """Walk through the branches; the widest field counts."""
        traces = [branch.trace(so_far._replace(rows=()), taps) for branch in self.branches]
        rows = [row for t in traces for row in t.rows]
        channels = sum(t.shape[0] for t in traces) if self.join == "concat" else traces[0].shape[0]
        field = max((t.field for t in traces), key=lambda f: f.size)
        return so_far.step((channels, *traces[0].shape[1:]), field, *rows)


@dataclass(frozen=True)
class ImagePool(Part):
    """Image-level features (v3): the mean over all positions, a body, and its one result at every position."""

    body: Chain
    name: str = "image pooling"

    @property
    def parts(self):
        """The body."""
        return (self.body,)

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Average, run the body, spread."""
        mean, pooled = global_average_forward(x)
        y, cache, state = self.body.forward(params, state, mean, train=train, rng=rng, taps=taps)
        return np.broadcast_to(y, (*y.shape[:2], *x.shape[2:])), (pooled, cache), state

    def backward(self, dy, cache, *, taps=None):
        """Sum over the positions, run back, share out."""
        pooled, held = cache
        d, grads = self.body.backward(dy.sum((2, 3), keepdims=True), held, taps=taps)
        return global_average_backward(d, pooled), grads

    def infer(self, params, state, x, *, taps=None):
        """Return the body's result at every position."""
        y = self.body.infer(params, state, global_average_forward(x)[0], taps=taps)
        return np.broadcast_to(y, (*y.shape[:2], *x.shape[2:]))

    def trace(self, so_far, taps=None):
        """Walk through the body; the field is the whole image."""
        c, *size = so_far.shape
        inside = self.body.trace(
            so_far._replace(shape=(c, 1, 1), rows=(), field=Field(np.inf, so_far.field.jump)), taps
        )
        return so_far.step((inside.shape[0], *size), Field(np.inf, so_far.field.jump), *inside.rows)


def _uncropped(d, shape):
    """Return the gradient before a crop at the end of rows and columns, zero where it was cropped."""
    if d.shape == shape:
        return d
    whole = np.zeros(shape, d.dtype)
    whole[:, :, : d.shape[2], : d.shape[3]] = d
    return whole


@dataclass(frozen=True)
class Bridge(Part):
    """A trunk and side branches from within it: the decoder of v3+, the multi-scale features of v1.

    Each side is (tap, branch): the branch runs on what the tap within the trunk saw. With `join` "concat" the trunk's
    output is first resized to the size of the sides; with "sum" all are cropped to the smallest.
    """

    trunk: Chain
    sides: tuple[tuple[str, Part], ...]
    join: str = "concat"
    trunk_first: bool = True
    align_corners: bool = True
    name: str = ""

    @property
    def parts(self):
        """Trunk and sides."""
        return (self.trunk, *(branch for _, branch in self.sides))

    def _asked(self, taps):
        return {**(taps or {}), **dict.fromkeys(tap for tap, _ in self.sides)}

    def _answer(self, taps, mine):
        if taps is not None:
            taps.update((name, mine[name]) for name in taps)
        return [mine[tap] for tap, _ in self.sides]

    def _fit(self, y, sides):
        """Return the trunk's output and the sides at one size, the trunk first, and how to go back."""
        if self.join == "sum":
            h, w = (min(a.shape[axis] for a in (y, *sides)) for axis in (2, 3))
            return [a[:, :, :h, :w] for a in (y, *sides)], None
        up, resized = bilinear_forward(y, sides[0].shape[2:], align_corners=self.align_corners)
        return [up, *sides], resized

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Run the trunk, then each side on what its tap saw."""
        mine = self._asked(taps)
        y, trunk, state = self.trunk.forward(params, state, x, train=train, rng=rng, taps=mine)
        sides, caches = [], []
        for seen, (_, branch) in zip(self._answer(taps, mine), self.sides, strict=True):
            side, cache, state = branch.forward(params, state, seen, train=train, rng=rng)
            sides.append(side)
            caches.append(cache)
        shapes = [a.shape for a in (y, *sides)]
        ys, resized = self._fit(y, sides)
        y, joined = JOINS[self.join][0](ys if self.trunk_first else ys[::-1])
        return y, (trunk, caches, shapes, resized, joined), state

    def backward(self, dy, cache, *, taps=None):
        """Run back by all ways; the gradients of the sides enter the trunk at the taps."""
        trunk, caches, shapes, resized, joined = cache
        d, *ds = JOINS[self.join][1](dy, joined)[:: 1 if self.trunk_first else -1]
        d = _uncropped(d, shapes[0]) if resized is None else bilinear_backward(d, resized)
        mine, grads = dict(taps or {}), {}
        for (tap, branch), part, held, shape in zip(self.sides, ds, caches, shapes[1:], strict=True):
            back, own = branch.backward(_uncropped(part, shape), held)
            mine[tap] = back if mine.get(tap) is None else back + mine[tap]
            grads.update(own)
        dx, own = self.trunk.backward(d, trunk, taps=mine)
        return dx, {**own, **grads}

    def infer(self, params, state, x, *, taps=None):
        """Join trunk and sides without caches."""
        mine = self._asked(taps)
        y = self.trunk.infer(params, state, x, taps=mine)
        sides = [
            branch.infer(params, state, seen)
            for seen, (_, branch) in zip(self._answer(taps, mine), self.sides, strict=True)
        ]
        ys, _ = self._fit(y, sides)
        return JOINS[self.join][0](ys if self.trunk_first else ys[::-1])[0]

    def trace(self, so_far, taps=None):
        """Walk through trunk and sides."""
        mine = self._asked(taps)
        deep = self.trunk.trace(so_far, mine)
        sides = [
            branch.trace(seen._replace(rows=()))
            for seen, (_, branch) in zip(self._answer(taps, mine), self.sides, strict=True)
        ]
        rows = [row for side in sides for row in side.rows]
        if self.join == "sum":
            size = tuple(min(t.shape[axis] for t in (deep, *sides)) for axis in (1, 2))
            return deep.step((deep.shape[0], *size), deep.field, *rows)
        shape = (deep.shape[0] + sum(s.shape[0] for s in sides), *sides[0].shape[1:])
        return deep.step(shape, Field(deep.field.size, sides[0].field.jump), *rows)


@dataclass(frozen=True)
class Aside(Part):
    """A side head (torchvision's auxiliary one): runs only if its name is among the taps, and lets x pass."""

    name: str
    body: Chain

    @property
    def parts(self):
        """The head."""
        return (self.body,)

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Fill in the tap with the head's output."""
        if taps is None or self.name not in taps:
            return x, None, state
        taps[self.name], cache, state = self.body.forward(params, state, x, train=train, rng=rng)
        return x, cache, state

    def backward(self, dy, cache, *, taps=None):
        """Run the head back where its gradient is among the taps."""
        if cache is None or taps is None or taps.get(self.name) is None:
            return dy, {}
        d, grads = self.body.backward(taps[self.name], cache)
        return dy + d, grads

    def infer(self, params, state, x, *, taps=None):
        """Fill in the tap."""
        if taps is not None and self.name in taps:
            taps[self.name] = self.body.infer(params, state, x)
        return x

    def trace(self, so_far, taps=None):
        """Add the head's lines; the main path goes on as it was."""
        return so_far._replace(rows=so_far.rows + self.body.trace(so_far._replace(rows=())).rows)


@dataclass(frozen=True)
class ToInputSize(Part):
    """Brings the body's scores, and those of its side heads, to the size of the image."""

    body: Part
    align_corners: bool = True
    also: tuple[str, ...] = ()

    @property
    def parts(self):
        """The body."""
        return (self.body,)

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Run the body and resize."""
        y, cache, state = self.body.forward(params, state, x, train=train, rng=rng, taps=taps)
        y, resized = bilinear_forward(y, x.shape[2:], align_corners=self.align_corners)
        sides = {}
        for name in self.also:
            if taps is not None and name in taps:
                taps[name], sides[name] = bilinear_forward(taps[name], x.shape[2:], align_corners=self.align_corners)
        return y, (cache, resized, sides), state

    def backward(self, dy, cache, *, taps=None):
        """Resize back and run the body back."""
        held, resized, sides = cache
        if taps is not None:
            taps = {n: bilinear_backward(d, sides[n]) if n in sides else d for n, d in taps.items()}
        return self.body.backward(bilinear_backward(dy, resized), held, taps=taps)

    def infer(self, params, state, x, *, taps=None):
        """Return the scores at the image's size."""
        y = self.body.infer(params, state, x, taps=taps)
        for name in self.also:
            if taps is not None and name in taps:
                taps[name] = resize_bilinear(taps[name], x.shape[2:], align_corners=self.align_corners)
        return resize_bilinear(y, x.shape[2:], align_corners=self.align_corners)

    def trace(self, so_far, taps=None):
        """Walk through the body, then stand at the image's size."""
        after = self.body.trace(so_far, taps)
        return after.step((after.shape[0], *so_far.shape[1:]), Field(after.field.size, so_far.field.jump))


@dataclass(frozen=True)
class Scales(Part):
    """One body for an image at several sizes, fused by the maximum (v2): multi-scale input with shared weights.

    A scale p/q takes p·⌊(n − 1)/q⌋ + 1 samples with corners aligned, as Caffe's Interp layers do, or ⌊n·p/q⌋. Scores
    are brought to the size of the first scale's. Taps within the body are filled in at the first scale, and the scores
    of each scale under `tap` and its percentage.
    """

    body: Part
    scales: tuple[Fraction, ...] = (Fraction(1), Fraction(3, 4), Fraction(1, 2))
    align_corners: bool = True
    tap: str = "low_logits"

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

    def _name(self, scale):
        return f"{self.tap}_{round(100 * scale):03d}"

    def names(self):
        """Return the names of the taps of each scale."""
        return [self._name(scale) for scale in self.scales]

    def forward(self, params, state, x, *, train=False, rng=None, taps=None):
        """Run the body once a scale and take the maximum."""
        ys, caches = [], []
        for scale, size in zip(self.scales, self.sizes(x.shape[2:]), strict=True):
            image, shrunk = bilinear_forward(x, size, align_corners=self.align_corners)
            y, cache, state = self.body.forward(params, state, image, train=train, rng=rng, taps=None if ys else taps)
            if taps is not None and self._name(scale) in taps:
                taps[self._name(scale)] = y
            y, grown = bilinear_forward(y, (ys[0] if ys else y).shape[2:], align_corners=self.align_corners)
            ys.append(y)
            caches.append((shrunk, cache, grown))
        y, joined = max_forward(ys)
        return y, (caches, joined), state

    def backward(self, dy, cache, *, taps=None):
        """Run back at each scale; the shared weights' gradients are added."""
        caches, joined = cache
        dx, grads = None, {}
        for i, (scale, d, held) in enumerate(zip(self.scales, max_backward(dy, joined), caches, strict=True)):
            shrunk, inside, grown = held
            d = bilinear_backward(d, grown)  # noqa: PLW2901
            if taps is not None and taps.get(self._name(scale)) is not None:
                d = d + taps[self._name(scale)]  # noqa: PLW2901
            d, own = self.body.backward(d, inside, taps=None if i else taps)  # noqa: PLW2901
            d = bilinear_backward(d, shrunk)  # noqa: PLW2901
            dx = d if dx is None else dx + d
            for name, g in own.items():
                grads[name] = grads[name] + g if name in grads else g
        return dx, grads

    def infer(self, params, state, x, *, taps=None):
        """Return the maximum without caches."""
        best = None
        for scale, size in zip(self.scales, self.sizes(x.shape[2:]), strict=True):
            image = resize_bilinear(x, size, align_corners=self.align_corners)
            y = self.body.infer(params, state, image, taps=taps if best is None else None)
            if taps is not None and self._name(scale) in taps:
                taps[self._name(scale)] = y
            if best is None:
                best = y
            else:
                y = resize_bilinear(y, best.shape[2:], align_corners=self.align_corners)
                best = np.maximum(best, y)
        return best

    def trace(self, so_far, taps=None):
        """Show the body at the first scale, with the multiply-adds of all."""
        after = self.body.trace(so_far, taps)
        c, *size = so_far.shape
        others = [self.body.trace(so_far._replace(shape=(c, *at), rows=())).rows for at in self.sizes(size)[1:]]
        rows = [
            row._replace(macs=sum(r.macs for r in same), interlaced_macs=sum(r.interlaced_macs for r in same))
            for row, *same in zip(after.rows[len(so_far.rows) :], after.rows[len(so_far.rows) :], *others, strict=True)
        ]
        return after._replace(rows=(*so_far.rows, *rows))
