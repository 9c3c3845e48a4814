"""A description run on a GPU, for inference: its parts by the plain kernels of `conv.cuda` and `layers.cuda`.

What `Part.infer` does, on device arrays, with the same passes fused: a convolution's batch norm or bias, a shortcut and
ReLU are one epilogue. Agreement with the CPU is to rounding, since sums run in another order.

Role: CUDA. Device arrays in and out; nothing is checked.
"""

from functools import reduce

import numpy as np
from numba import cuda

from atrous.compose import joins, leaves
from atrous.conv.cuda import forward_on_device
from atrous.conv.geometry import conv_geometry, drop, lift
from atrous.layers import cuda as layers

PASS = (leaves.Conv, leaves.BatchNorm, leaves.ReLU)


def upload(arrays):
    """Return the arrays of a dictionary on the device."""
    return {name: cuda.to_device(np.ascontiguousarray(a)) for name, a in arrays.items()}


def infer(part, params, state, x, taps=None):
    """Return what `part.infer` returns, a device array, and fill in the taps with such.

    `params` and `state` come from `upload`; x is a device array (N, C, H, W), or one of the host, which is copied.
    """
    if isinstance(x, np.ndarray):
        x = cuda.to_device(np.ascontiguousarray(x))
    return _run(part, {**params, **state}, x, taps)


def _pass(run, p, x, add, relu):
    """Return x behind a run of convolution, batch norm and ReLU, any of which may be missing."""
    conv, norm, own = (next((part for part in run if isinstance(part, kind)), None) for kind in PASS)
    relu = relu or own is not None
    scale = bias = None
    if conv:
        w = p[conv.w]
        g = conv_geometry(x.shape, w.shape, **conv.options)
        x = drop(forward_on_device(lift(x), lift(w), g), 2)
        bias = p[conv.b] if conv.b else None
        if not (norm or relu or conv.b) and add is None:
            return x
    if norm:
        scale, bias = layers.fold_batch_norm(*norm.arrays(p, p), norm.eps, bias)
    return layers.epilogue(x, scale, bias, add=add, relu=relu)


def _chain(members, p, x, taps, *, add=None, relu=False):
    """Return y; with `add` and `relu`, max(y + add, 0), within the last run's pass where there is one."""
    runs = joins._runs(members)
    for i, run in enumerate(runs):
        if not isinstance(run[0], PASS):
            x = _run(run[0], p, x, taps)
        elif i == len(runs) - 1 and not isinstance(run[-1], leaves.ReLU):
            x = _pass(run, p, x, add, relu)
            add, relu = None, False
        else:
            x = _pass(run, p, x, None, False)
    return x if add is None and not relu else layers.epilogue(x, add=add, relu=relu)


def _join(kind, ys):
    if kind == "concat":
        return layers.concatenate(ys)
    return reduce(layers.add if kind == "sum" else layers.maximum, ys)


def _run(part, p, x, taps=None):
    """Return what a Part computes from x, with parameters and running statistics in `p`."""

    def go(inner, x):
        return _run(inner, p, x, taps)

    def resized(y, size):
        return layers.resize_bilinear(y, tuple(size), align_corners=part.align_corners)

    if isinstance(part, joins.Chain):
        return _chain(part.members, p, x, taps)
    if isinstance(part, PASS):
        return _pass([part], p, x, None, False)
    if isinstance(part, leaves.Pool):
        return (layers.max_pool if part.kind == "max" else layers.average_pool)(x, part.kernel, **part.options)
    if isinstance(part, leaves.Dropout):
        return x
    if isinstance(part, leaves.Subsample):
        return layers.take(x, tuple(-(-n // part.stride) for n in x.shape[2:]), part.stride)
    if isinstance(part, leaves.Tap):
        return part.infer(p, p, x, taps=taps)
    if isinstance(part, joins.Residual):
        side = x if part.shortcut is None else go(part.shortcut, x)
        return _chain(part.body.members, p, x, taps, add=side, relu=part.relu)
    if isinstance(part, joins.Parallel):
        return _join(part.join, [go(branch, x) for branch in part.branches])
    if isinstance(part, joins.ImagePool):
        return layers.take(go(part.body, layers.global_average(x)), x.shape[2:], 0)
    if isinstance(part, joins.Bridge):
        mine = part._asked(taps)
        y = _run(part.trunk, p, x, mine)
        seen = part._answer(taps, mine)
        ys = [y, *(_run(branch, p, a) for a, (_, branch) in zip(seen, part.sides, strict=True))]
        if part.join == "sum":
            size = tuple(min(a.shape[axis] for a in ys) for axis in (2, 3))
            ys = [layers.take(a, size) for a in ys]
        else:
            ys[0] = resized(y, ys[1].shape[2:])
        return _join(part.join, ys if part.trunk_first else ys[::-1])
    if isinstance(part, joins.Aside):
        if taps is not None and part.name in taps:
            taps[part.name] = _run(part.body, p, x)
        return x
    if isinstance(part, joins.ToInputSize):
        y = go(part.body, x)
        for name in part.also:
            if taps is not None and name in taps:
                taps[name] = resized(taps[name], x.shape[2:])
        return resized(y, x.shape[2:])
    if isinstance(part, joins.Scales):
        best = None
        for scale, size in zip(part.scales, part.sizes(x.shape[2:]), strict=True):
            y = _run(part.body, p, resized(x, size), taps if best is None else None)
            if taps is not None and part._name(scale) in taps:
                taps[part._name(scale)] = y
            best = y if best is None else layers.maximum(best, resized(y, best.shape[2:]))
        return best
    raise NotImplementedError(f"no CUDA kernels for {type(part).__name__}")
