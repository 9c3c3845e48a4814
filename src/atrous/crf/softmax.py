"""Softmax over the labels of a few points at a time, for the compiled mean field.

Role: loops.
"""

import numpy as np
from numba import njit

from atrous.jit import lanes
from atrous.lattice.rows import NONE, ONE


@njit(nogil=True, error_model="numpy", fastmath={"contract"})
def exp_nonpositive(x):
    """Return eˣ of a float32 x ≤ 0 within 2 units in the last place, and zero where it is below 2⁻¹²⁶.

    eˣ = 2ⁿ·eᶠ, where n is the integer nearest to x/ln 2, written into the bits of the exponent, and f = x − n·ln 2 is
    computed with ln 2 in two parts, the first with so few bits that n times it is exact. eᶠ is Cephes' polynomial.
    """
    n = np.rint(max(x, np.float32(-88)) * np.float32(1.44269504))
    f = x - n * np.float32(0.693359375)
    f = f - n * np.float32(-2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * f + np.float32(1.3981999507e-3)
    p = p * f + np.float32(8.3334519073e-3)
    p = p * f + np.float32(4.1665795894e-2)
    p = p * f + np.float32(1.6666665459e-1)
    p = p * f + np.float32(5.0000001201e-1)
    p = p * f * f + f + np.float32(1)
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return p * power if n >= np.float32(-126) else np.float32(0)


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
