"""Cross-entropy for training, compiled: a few positions at a time, whose scores of all classes fit into the L1 cache.

`loss` writes the maximum, the exponentials and their sums of a whole map, one after the other, on one core. Here all
cores share the map, and what a block of positions needs stays in the cache until its losses or gradients are done.
Arguments, results and caches are the same, so either form of a pass goes with the other.

Role: loops. Equal to the NumPy form to rounding. Equal bits for any number of threads.
"""

import numpy as np

from atrous.conv.direct import plain
from atrous.jit.compiler import compiled
from atrous.jit.exponential import exp_nonpositive
from atrous.jit.numba_or_not import njit
from atrous.jit.threads import MOVE, launch
from atrous.layers import loss, training

BLOCK = 256  # positions, whose scores of 21 classes take 21 KB in float32
EXP = 2 * MOVE  # multiply-adds that an exponential takes as long as


@njit
def _place(block, classes, size):
    """Return how many positions a block has, the first of them, and where its first score is."""
    blocks = -(-size // BLOCK)
    image, start = block // blocks, block % blocks * BLOCK
    return min(BLOCK, size - start), np.uintp(image * size + start), np.uintp(image * classes * size + start)


@compiled()
def _exponentials(x, first, step, e, e_first, e_step, classes, top, sums):
    """Write exp(x − top) of a block of positions for each class, and set top to their maximum and sums to their sum."""
    count, number = np.uintp(sums.size), x.dtype.type
    for i in range(count):
        top[i], sums[i] = x[first + i], number(0)
    for c in range(1, classes):
        row = first + np.uintp(c) * step
        for i in range(count):
            u, t = x[row + i], top[i]
            top[i] = u if u > t or u != u else t  # noqa: PLR0124
    for c in range(classes):
        row, to = first + np.uintp(c) * step, e_first + np.uintp(c) * e_step
        for i in range(count):
            less = x[row + i] - top[i]
            e[to + i] = exp_nonpositive(less) if x.itemsize == 4 else np.exp(less)
            sums[i] += e[to + i]


@compiled()
def _losses(head, tail, x, labels, share, counted, classes, size, found):
    """Write the sum of the losses of blocks head … tail."""
    step = np.uintp(size)
    for block in range(head, tail):
        count, at, first = _place(block, classes, size)
        top, sums, e = np.empty(count, x.dtype), np.empty(count, x.dtype), np.empty(count, x.dtype)
        _exponentials(x, first, step, e, np.uintp(0), np.uintp(0), classes, top, sums)
        found[block] = 0
        for i in range(np.uintp(count)):
            if counted[at + i]:
                of_label = x[first + np.uintp(labels[at + i]) * step + i] - top[i]
                found[block] += (np.log(sums[i]) - of_label) * share[at + i]


@compiled()
def _gradients(head, tail, x, labels, share, counted, classes, size, dx):
    """Write the gradients of blocks head … tail."""
    step = np.uintp(size)
    for block in range(head, tail):
        count, at, first = _place(block, classes, size)
        top, sums = np.empty(count, x.dtype), np.empty(count, x.dtype)
        _exponentials(x, first, step, dx, first, step, classes, top, sums)
        for i in range(np.uintp(count)):
            dx[first + np.uintp(labels[at + i]) * step + i] -= sums[i]
            sums[i] = share[at + i] / sums[i]
        for c in range(classes):
            row = first + np.uintp(c) * step
            for i in range(np.uintp(count)):
                dx[row + i] = dx[row + i] * sums[i] if counted[at + i] else x.dtype.type(0)


def _launch(loop, logits, classes, share, counted, result):
    n, c = logits.shape[:2]
    size = classes[0].size
    flat = (a.reshape(-1) for a in (plain(logits), classes, share, counted))
    launch(loop, n * -(-size // BLOCK), *flat, c, size, result, work=EXP * logits.size)


def _sum_of_losses(logits, classes, share, counted):
    found = np.empty(len(logits) * -(-classes[0].size // BLOCK))
    _launch(_losses, logits, classes, share, counted, found)
    return float(found.sum())


def _gradient(logits, classes, share, counted):
    dx = np.empty(logits.shape, logits.dtype)
    _launch(_gradients, logits, classes, share, counted, dx.reshape(-1))
    return dx


PASSES = loss.Passes(_sum_of_losses, _gradient, training.bilinear_forward, training.bilinear_backward)


def segmentation_loss_forward(
    logits, labels, *, ignore=255, resize="labels", align_corners=True, class_weights=None
):  # fmt: skip
    """Return (loss, cache) as `loss.segmentation_loss_forward` does."""
    return loss.segmentation_loss(logits, labels, ignore, resize, align_corners, class_weights, PASSES)


def segmentation_loss_backward(dloss, cache):
    """Return dlogits as `loss.segmentation_loss_backward` does."""
    return loss.segmentation_loss_gradient(dloss, cache, PASSES)
