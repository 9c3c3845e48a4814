"""Softmax over the labels of a few points at a time, for the compiled mean field.

Role: loops.
"""

import numpy as np

from atrous.jit import lanes
from atrous.jit.exponential import exp_nonpositive
from atrous.jit.numba_or_not import njit
from atrous.lattice.rows import NONE, ONE


@njit(nogil=True, error_model="numpy", fastmath={"contract"})
def _exponentials(numbers, count):
    for i in range(np.uintp(count)):
        numbers[i] = exp_nonpositive(numbers[i]) if numbers.itemsize == 4 else np.exp(numbers[i])


@njit(nogil=True, error_model="numpy")
def softmax_rows(rows, count, width):
    """Replace the first `count` rows of logits by their softmax; a logit of −inf becomes a probability of 0."""
    width = np.uintp(width)
    for p in range(np.uintp(count)):
        o = p * width
        top = lanes.load(rows, o)
        for j in range(ONE, width, ONE):
            top = lanes.larger(top, lanes.load(rows, o + j))
        shift = lanes.repeat(-lanes.largest(top))
        for j in range(NONE, width, ONE):
            lanes.store(rows, o + j, lanes.add(lanes.load(rows, o + j), shift))
    _exponentials(rows.reshape(-1), count * width)
    for p in range(np.uintp(count)):
        o = p * width
        total = lanes.load(rows, o)
        for j in range(ONE, width, ONE):
            total = lanes.add(total, lanes.load(rows, o + j))
        scale = lanes.repeat(rows.dtype.type(1) / lanes.total(total))
        for j in range(NONE, width, ONE):
            lanes.store(rows, o + j, lanes.multiply(lanes.load(rows, o + j), scale))
