"""A lowered network in PyTorch: the peer in the benchmarks, the same operations without any fusing of ours."""

import numpy as np

from atrous.compose.program import lowered, run
from atrous.conv.padding import resolve_padding


def tensors(arrays, *, channels_last=False):
    """Return arrays as tensors, those with four axes in the memory layout that is asked for."""
    import torch

    found = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
    if channels_last:
        found = {n: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for n, t in found.items()}
    return found


def frozen(part):
    """Return the names of the arrays of frozen batch norms."""
    from atrous.compose.leaves import BatchNorm
    from atrous.compose.part import walk

    found = set()
    walk(part, lambda inner: found.update(inner.variables()) if isinstance(inner, BatchNorm) and inner.frozen else None)
    return found


def table(*, train=False):
    """Return the table from operations to functions of tensors; with `train`, batch norms use the batch."""
    import torch
    from torch.nn import functional

    def convs(what, p, x):
        found = []
        for conv, _ in what:
            per_axis = ((n, n) for n in (conv.kernel, conv.rate, conv.stride))
            (top, bottom), (left, right) = resolve_padding("bench", conv.padding, *per_axis, x.shape[2:])
            padded, pad = x, (top, left)
            if (top, left) != (bottom, right):
                padded, pad = functional.pad(x, (left, right, top, bottom)), 0
            bias = p[conv.b] if conv.b else None
            found.append(functional.conv2d(padded, p[conv.w], bias, conv.stride, pad, conv.rate, conv.groups))
        return found

    def deconv(part, p, x):
        size = part.options(x.shape[2:])
        return functional.conv_transpose2d(x, p[part.w], p[part.b], size["stride"], size["padding"])

    def norm(part, p, x):
        gamma, beta, mean, var = part.arrays(p, p)
        return functional.batch_norm(x, mean, var, gamma, beta, train and not part.frozen, part.momentum, part.eps)

    functions = {
        "relu": functional.relu, "relu6": functional.relu6, "hard_swish": functional.hardswish,
        "hard_sigmoid": functional.hardsigmoid,
    }  # fmt: skip

    def activation(what, p, x):
        kind, in_place = what
        return x.sigmoid() if kind == "sigmoid" else functions[kind](x, inplace=in_place)

    def pool(part, p, x):
        ceil = part.size_rule != "floor"
        if part.kind == "max":
            return functional.max_pool2d(x, part.kernel, part.stride, part.padding, part.rate, ceil)
        return functional.avg_pool2d(x, part.kernel, part.stride, part.padding, ceil)

    def resize(what, p, x):
        return functional.interpolate(x, size=what[0], mode="bilinear", align_corners=what[1])

    def join(kind, p, *xs):
        if kind == "concat":
            return torch.cat(xs, 1)
        first, *others = xs
        for x in others:
            first = first + x if kind == "sum" else torch.maximum(first, x)
        return first

    return {
        "conv": convs,
        "deconv": deconv,
        "norm": norm,
        "activation": activation,
        "pool": pool,
        "average": lambda _, p, x: x.mean((2, 3), keepdim=True),
        "spread": lambda size, p, x: x.expand(*x.shape[:2], *size),
        "subsample": lambda stride, p, x: x[:, :, ::stride, ::stride],
        "crop": lambda size, p, x: x[:, :, : size[0], : size[1]],
        "resize": resize,
        "join": join,
        "multiply": lambda _, p, x, numbers: x * numbers,
    }


def program_for(part, shape, endpoints=()):
    """Return the program of a description for inputs of `shape` (C, H, W).

    An activation overwrites what only it reads.
    """
    program = lowered(part, shape, endpoints)
    reads, fresh, steps = program.reads(), set(), []
    for step in program.steps:
        if step.op == "activation":
            in_place = reads[step.reads[0]] == 1 and step.reads[0] in fresh
            step = step._replace(what=(step.what, in_place))  # noqa: PLW2901
        if step.op in {"conv", "norm", "join"}:
            fresh.update(step.writes)
        steps.append(step)
    return program._replace(steps=tuple(steps))


def forward(part, p, x):
    """Return what a Part computes from a tensor, with parameters and running statistics in `p`."""
    return run(program_for(part, tuple(x.shape[1:])), table(), p, x)[0]
