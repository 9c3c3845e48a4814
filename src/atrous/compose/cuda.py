"""A lowered network on a GPU: the table from each operation to the plain CUDA kernels of `conv.cuda` and `layers.cuda`.

Results agree with the CPU's to rounding, because sums run in another order.

Role: CUDA. Device arrays in and out; nothing is checked.
"""

from functools import reduce

import numpy as np
from numba import cuda

from atrous.conv.activations import NUMBERS
from atrous.conv.cuda import backward_input_on_device, forward_on_device
from atrous.conv.geometry import conv_geometry, drop, lift
from atrous.layers import cuda as layers


def upload(arrays):
    """Return copies on the device of the arrays of a dictionary."""
    return {name: cuda.to_device(np.ascontiguousarray(a)) for name, a in arrays.items()}


def _conv(what, p, *reads):
    ys = []
    for conv, after in what:
        x, w = reads[0], p[conv.w]
        g = conv_geometry(x.shape, w.shape, **conv.options)
        y = drop(forward_on_device(lift(x), lift(w), g), 2)
        scale, shift = None, p[conv.b] if conv.b else None
        if after.norm:
            scale, shift = layers.fold_batch_norm(*after.norm.arrays(p, p), after.norm.eps, shift)
        add = None if after.add is None else reads[after.add]
        if shift is not None or add is not None or after.activation:
            y = layers.epilogue(y, scale, shift, add=add, activation=after.activation)
        ys.append(y)
    return ys


def _deconv(deconv, p, x):
    options = deconv.options(x.shape[2:])
    g = conv_geometry((x.shape[0], deconv.f, *options.pop("size")), deconv.shape, **options)
    return layers.epilogue(drop(backward_input_on_device(lift(x), lift(p[deconv.w]), g), 2), None, p[deconv.b])


def _norm(norm, p, x):
    return layers.epilogue(x, *layers.fold_batch_norm(*norm.arrays(p, p), norm.eps))


def _activation(kind, p, x):
    if kind in NUMBERS:
        return layers.epilogue(x, activation=kind)
    return (layers.sigmoid if kind == "sigmoid" else layers.hard_sigmoid)(x)


def _pool(what, p, x):
    return (layers.max_pool if what.kind == "max" else layers.average_pool)(x, what.kernel, **what.options)


def _join(kind, p, *xs):
    if kind == "concat":
        return layers.concatenate(xs)
    return reduce(layers.add if kind == "sum" else layers.maximum, xs)


def _crf(layer, p, scores, x):
    """Refine on the GPU; images and scores pass through the host, one after the other."""
    arrays = {name: p[name].copy_to_host() for name in layer.names}
    return cuda.to_device(layer.refine(arrays, scores.copy_to_host(), x.copy_to_host(), method="cuda"))


CUDA = {
    "conv": _conv,
    "deconv": _deconv,
    "norm": _norm,
    "activation": _activation,
    "pool": _pool,
    "average": lambda _, p, x: layers.global_average(x),
    "spread": lambda size, p, x: layers.take(x, size, 0),
    "subsample": lambda stride, p, x: layers.take(x, tuple(-(-n // stride) for n in x.shape[2:]), stride),
    "crop": lambda size, p, x: layers.take(x, size),
    "resize": lambda what, p, x: layers.resize_bilinear(x, what[0], align_corners=what[1]),
    "join": _join,
    "multiply": lambda _, p, x, numbers: layers.multiply(x, numbers),
    "crf": _crf,
}
