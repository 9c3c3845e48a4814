"""A lowered network on the CPU: the table from each operation to the function that computes it.

Role: inference. Batch norm, bias, shortcut and ReLU after a convolution are one pass over its result, in place.
"""

import numpy as np

from atrous.compose.parallel import JOINS
from atrous.conv.branches import branches_forward
from atrous.conv.operators import atrous_conv
from atrous.layers.batch_norm import batch_norm_forward, fold_batch_norm
from atrous.layers.epilogue import epilogue
from atrous.layers.pool import average_pool_forward, global_average_forward, max_pool_forward
from atrous.layers.resize import resize_bilinear


def convolve(convs, p, x):
    """Return the results of convolutions of one input, without bias; several share a pass over it."""
    if len(convs) > 1:
        return branches_forward(x, [p[c.w] for c in convs], rates=[c.rate for c in convs])[0]
    return [atrous_conv(x, p[convs[0].w], **convs[0].options)]


def finish(y, conv, after, p, add):
    """Return y after the bias of its convolution, batch norm, `add` and ReLU, in one pass over y."""
    if after.norm is None and add is None and not after.relu and conv.b is None:
        return y
    if after.norm:
        scale, shift = fold_batch_norm(*after.norm.arrays(p, p), eps=after.norm.eps)
        if conv.b:
            shift = shift + scale * p[conv.b]
    else:
        scale = np.ones(conv.f, y.dtype)
        shift = p[conv.b] if conv.b else np.zeros(conv.f, y.dtype)
    return epilogue(y, scale, shift, add=add, relu=after.relu)


def conv(what, p, *reads, convolve=convolve, finish=finish):
    """Return the results of convolutions, each with what follows it."""
    ys = convolve([conv for conv, _ in what], p, reads[0])
    return [
        finish(y, conv, after, p, None if after.add is None else reads[after.add])
        for y, (conv, after) in zip(ys, what, strict=True)
    ]


def _pool(what, p, x):
    pool = max_pool_forward if what.kind == "max" else average_pool_forward
    return pool(x, what.kernel, **what.options)[0]


CPU = {
    "conv": conv,
    "norm": lambda norm, p, x: batch_norm_forward(x, *norm.arrays(p, p), mode="eval", eps=norm.eps)[0],
    "relu": lambda _, p, x: np.maximum(x, 0),
    "pool": _pool,
    "average": lambda _, p, x: global_average_forward(x)[0],
    "spread": lambda size, p, x: np.broadcast_to(x, (*x.shape[:2], *size)),
    "subsample": lambda stride, p, x: x[:, :, ::stride, ::stride],
    "crop": lambda size, p, x: x[:, :, : size[0], : size[1]],
    "resize": lambda what, p, x: resize_bilinear(x, what[0], align_corners=what[1]),
    "join": lambda kind, p, *xs: JOINS[kind][0](xs)[0],
}
