"""A lowered network on the CPU: the table from each operation to the function that computes it.

Batch norm, bias, shortcut and activation after a convolution are computed with it. Feature maps keep the memory layout
in which the convolutions leave them, mostly with the channels last: the shapes are (N, C, H, W) all the same, and what
is not a convolution works on any layout.

Role: inference.
"""

from functools import partial

import numpy as np

from atrous.compose.leaves import geometry
from atrous.compose.parallel import JOINS
from atrous.conv.channels_last import empty_map
from atrous.conv.filters import options_of
from atrous.conv.operators import conv_in_inference
from atrous.conv.transpose import conv_transpose_forward
from atrous.layers.activation import relu6_forward, relu_forward
from atrous.layers.batch_norm import batch_norm_forward, folded
from atrous.layers.hard_swish import hard_sigmoid_forward, hard_swish_forward
from atrous.layers.inference import global_average, max_pool, multiply, resize
from atrous.layers.pool import average_pool_forward
from atrous.layers.sigmoid import sigmoid_forward


def convolve(conv, after, p, x, add=None, *, empty=None):
    """Return the result of a convolution and of what follows it, in memory that `empty` returns."""
    scale, shift = None, p[conv.b] if conv.b else None
    if after.norm:
        scale, shift = folded(*after.norm.arrays(p, p), after.norm.eps)
        if conv.b:
            shift = shift + scale * p[conv.b]
    w = p[conv.w]
    return conv_in_inference(
        x, w, geometry(conv, x.shape, "infer"), method=options_of("infer", w, conv.options).get("method", "auto"),
        scale=scale, shift=shift, add=add, activation=after.activation, empty=empty,
    )  # fmt: skip


def conv(what, p, *reads, convolve=convolve):
    """Return the results of convolutions of one input, each with what follows it."""
    return [convolve(conv, after, p, reads[0], None if after.add is None else reads[after.add]) for conv, after in what]


# Those of training would change the memory layout.
ACTIVATIONS = {
    "relu": relu_forward,
    "relu6": relu6_forward,
    "hard_swish": hard_swish_forward,
    "hard_sigmoid": hard_sigmoid_forward,
    "sigmoid": sigmoid_forward,
}


def _pool(what, p, x, *, empty=empty_map):
    if what.kind == "max":
        return max_pool(x, what.kernel, **what.options, empty=empty)
    return average_pool_forward(x, what.kernel, **what.options)[0]


def _deconv(deconv, p, x):
    return conv_transpose_forward(x, p[deconv.w], **deconv.options(x.shape[2:]))[0] + p[deconv.b][:, None, None]


CPU = {
    "conv": conv,
    "deconv": _deconv,
    "norm": lambda norm, p, x: batch_norm_forward(x, *norm.arrays(p, p), mode="eval", eps=norm.eps)[0],
    "activation": lambda kind, p, x: ACTIVATIONS[kind](x)[0],
    "pool": _pool,
    "average": lambda _, p, x: global_average(x),
    "spread": lambda size, p, x: np.broadcast_to(x, (*x.shape[:2], *size)),
    "subsample": lambda stride, p, x: x[:, :, ::stride, ::stride],
    "crop": lambda size, p, x: x[:, :, : size[0], : size[1]],
    "resize": lambda what, p, x: resize(x, *what),
    "join": lambda kind, p, *xs: JOINS[kind][0](xs)[0],
    "multiply": lambda _, p, x, numbers, **options: multiply(x, numbers, **options),
    "crf": lambda layer, p, scores, x: layer.refine(p, scores, x),
}


def in_memory(empty):
    """Return the table with operations that write to memory which `empty` returns."""
    more = {op: partial(CPU[op], empty=empty) for op in ("pool", "multiply")}
    return {**CPU, **more, "conv": partial(conv, convolve=partial(convolve, empty=empty))}
