"""Where taps fall: the index arithmetic of Equation (1) as scalar functions, shared by the CPU and the GPU loops.

Numbers in, numbers out; s is the stride, r the rate, p the zeros before the input, all along one axis.

Role: shared formulas.
"""

from numba import njit


@njit
def tap_position(o, k, s, r, p):
    """Return the input sample that tap k of output o reads: s·o + r·k − p, outside the input if on a zero."""
    return s * o + r * k - p


@njit
def is_inside(i, n):
    """Tell whether sample i exists in an axis of n samples."""
    return 0 <= i < n


@njit
def output_reading(i, k, s, r, p, out):
    """Return the output whose tap k reads input sample i, or −1 where there is none."""
    o = i + p - r * k
    if o < 0 or o % s != 0 or o // s >= out:
        return -1
    return o // s


@njit
def first_output(k, s, r, p, out):
    """Return the first output whose tap k reads a sample rather than a zero before the input; `out` if none does."""
    o = -((r * k - p) // s)
    o = 0 if o < 0 else o
    return out if o > out else o


@njit
def end_output(k, s, r, p, n, out):
    """Return one past the last output whose tap k reads a sample rather than a zero after the input's n samples."""
    o = (n - 1 + p - r * k) // s + 1
    o = 0 if o < 0 else o
    return out if o > out else o
