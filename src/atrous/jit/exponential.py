"""The exponential of float32 as a formula that a compiler can put into vector instructions; a library call it cannot.

Role: formula.
"""

import numpy as np

from atrous.jit.numba_or_not import njit


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
