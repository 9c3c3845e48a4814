"""Atrous spatial pyramid pooling as plain calls: the sum of v2 and the concatenation of v3, with their gradients.

v2 (Section 3.2): filters at several rates look at one position, and their scores are added.
v3 (Section 3.3, Fig. 5): a 1×1, three rates and the mean of the image, each normalised, concatenated, mixed by a 1×1.

Role: reference. `p` has arrays by name (`r6.w`, `b1.gamma`); batch norm uses the statistics of the batch.
"""

import numpy as np

from atrous.conv.operators import conv_backward, conv_forward
from atrous.layers.batch_norm import batch_norm_backward, batch_norm_forward


def v2_forward(x, p, rates):
    """Return the sum over the rates, and the caches."""
    ys, caches = zip(*(conv_forward(x, p[f"r{r}.w"], p[f"r{r}.b"], rate=r) for r in rates), strict=True)
    return sum(ys), caches


def v2_backward(dy, caches, rates):
    """Return dx and the gradients by name: every branch gets the same dy."""
    grads = {r: conv_backward(dy, c) for r, c in zip(rates, caches, strict=True)}
    named = {f"r{r}.{a}": g for r, (_, dw, db) in grads.items() for a, g in (("w", dw), ("b", db))}
    return sum(g.dx for g in grads.values()), named


def unit_forward(x, p, name, rate=1):
    """Return convolution, batch norm and ReLU."""
    y, conv = conv_forward(x, p[f"{name}.w"], rate=rate)
    zero = np.zeros(y.shape[1], y.dtype)
    y, norm, _ = batch_norm_forward(y, p[f"{name}.gamma"], p[f"{name}.beta"], zero, zero + 1, mode="train")
    return np.maximum(y, 0), (name, conv, norm, y > 0)


def unit_backward(dy, cache):
    """Return dx and the gradients by name."""
    name, conv, norm, positive = cache
    d, dgamma, dbeta = batch_norm_backward(dy * positive, norm)
    dx, dw, _ = conv_backward(d, conv)
    return dx, {f"{name}.w": dw, f"{name}.gamma": dgamma, f"{name}.beta": dbeta}


def v3_forward(x, p, rates):
    """Return the projected concatenation, and the caches."""
    units = [unit_forward(x, p, f"b{i}", r) for i, r in enumerate((1, *rates))]
    pool, pooled = unit_forward(x.mean((2, 3), keepdims=True), p, "pool")
    ys = [y for y, _ in units] + [np.broadcast_to(pool, (*pool.shape[:2], *x.shape[2:]))]
    y, mixed = unit_forward(np.concatenate(ys, axis=1), p, "proj")
    return y, ([cache for _, cache in units], pooled, mixed, [y.shape[1] for y in ys])


def v3_backward(dy, caches, size):
    """Return dx and the gradients by name; `size` is that of the feature map."""
    units, pooled, mixed, widths = caches
    dy, grads = unit_backward(dy, mixed)
    *dys, dpool = np.split(dy, np.cumsum(widths)[:-1], axis=1)
    dmean, own = unit_backward(dpool.sum((2, 3), keepdims=True), pooled)
    dx, grads = np.broadcast_to(dmean / (size[0] * size[1]), (*dmean.shape[:2], *size)), {**grads, **own}
    for unit_dy, cache in zip(dys, units, strict=True):
        unit_dx, own = unit_backward(unit_dy, cache)
        dx, grads = dx + unit_dx, {**grads, **own}
    return dx, grads
