"""Which sample a tap reads: the index arithmetic of Equation (1) as scalar functions, for the CPU and the GPU loops.

All arguments are integers along one axis: s is the stride, r the rate, p the zeros before the input.

Role: shared formulas.
"""

from atrous.conv import tap_range
from atrous.jit.numba_or_not import njit


@njit
def tap_position(o, k, s, r, p):
    """Return the input sample that tap k of output o reads: s·o + r·k − p, which is outside the input for a zero."""
    return s * o + r * k - p


@njit
def is_inside(i, n):
    """Tell whether an axis of n samples has a sample i."""
    return 0 <= i < n


@njit
def output_reading(i, k, s, r, p, out):
    """Return the output whose tap k reads input sample i, or −1 if there is none."""
    o = i + p - r * k
    if o < 0 or o % s != 0 or o // s >= out:
        return -1
    return o // s


@njit
def taps_inside(i, r, kernel, n):
    """Return (first, end) of the taps that are inside an axis of n samples if tap 0 reads sample i."""
    first = -(i // r) if i < 0 else 0
    end = (n - 1 - i) // r + 1 if i < n else 0
    return min(first, kernel), max(min(end, kernel), 0)


first_output = njit(tap_range.first_output)
end_output = njit(tap_range.end_output)
