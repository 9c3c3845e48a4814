"""A description run by PyTorch: the peer of every network, layer for layer, without fusion of ours."""

import numpy as np


def tensors(arrays, *, channels_last=False):
    """Return arrays as tensors, four-dimensional ones in the memory layout that is asked for."""
    import torch

    found = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
    if channels_last:
        found = {n: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for n, t in found.items()}
    return found


def run(part, p, x, *, train=False, taps=None):
    """Return what a Part computes from a tensor, with parameters and running statistics in `p`."""
    import torch
    from torch.nn import functional

    from atrous.compose import joins, leaves

    def go(inner, x):
        return run(inner, p, x, train=train, taps=taps)

    def resized(y, size, align_corners):
        return functional.interpolate(y, size=tuple(size), mode="bilinear", align_corners=align_corners)

    if isinstance(part, joins.Chain):
        for before, member in zip((None, *part.members), part.members, strict=False):
            # Nobody else holds what a convolution or a batch norm has just made.
            fresh = isinstance(member, leaves.ReLU) and isinstance(before, (leaves.Conv, leaves.BatchNorm))
            x = torch.relu_(x) if fresh and not train else go(member, x)
        return x
    if isinstance(part, leaves.Conv):
        pad = part.rate * (part.kernel - 1) // 2 if part.padding == "same" else 0
        bias = p[part.b] if part.b else None
        return functional.conv2d(x, p[part.w], bias, part.stride, pad, part.rate, part.groups)
    if isinstance(part, leaves.BatchNorm):
        running = (None, None) if train else (p[part.mean], p[part.var])
        return functional.batch_norm(x, *running, p[part.gamma], p[part.beta], train, 0.1, part.eps)
    if isinstance(part, leaves.ReLU):
        return torch.relu(x)
    if isinstance(part, leaves.Pool):
        ceil = part.size_rule != "floor"
        if part.kind == "max":
            return functional.max_pool2d(x, part.kernel, part.stride, part.padding, part.rate, ceil)
        return functional.avg_pool2d(x, part.kernel, part.stride, part.padding, ceil)
    if isinstance(part, leaves.Subsample):
        return x[:, :, :: part.stride, :: part.stride]
    if isinstance(part, leaves.Tap):
        if taps is not None and part.name in taps:
            taps[part.name] = x
        return x
    if isinstance(part, joins.Residual):
        y = go(part.body, x) + (x if part.shortcut is None else go(part.shortcut, x))
        return torch.relu(y) if part.relu else y
    if isinstance(part, joins.Parallel):
        ys = [go(branch, x) for branch in part.branches]
        return torch.cat(ys, 1) if part.join == "concat" else sum(ys)
    if isinstance(part, joins.ImagePool):
        y = go(part.body, x.mean((2, 3), keepdim=True))
        return y.expand(*y.shape[:2], *x.shape[2:])
    if isinstance(part, joins.Bridge):
        mine = dict.fromkeys(tap for tap, _ in part.sides)
        y = run(part.trunk, p, x, train=train, taps=mine)
        sides = [run(branch, p, mine[tap], train=train) for tap, branch in part.sides]
        if part.join == "sum":
            return y + sum(s[:, :, : y.shape[2], : y.shape[3]] for s in sides)
        ys = [resized(y, sides[0].shape[2:], part.align_corners), *sides]
        return torch.cat(ys if part.trunk_first else ys[::-1], 1)
    if isinstance(part, joins.ToInputSize):
        return resized(go(part.body, x), x.shape[2:], part.align_corners)
    if isinstance(part, joins.Scales):
        best = None
        for size in part.sizes(x.shape[2:]):
            y = go(part.body, resized(x, size, part.align_corners))
            best = y if best is None else torch.maximum(best, resized(y, best.shape[2:], part.align_corners))
        return best
    return x  # dropout, side heads
