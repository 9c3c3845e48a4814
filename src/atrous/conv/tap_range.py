"""Which outputs of an axis have a tap inside the input: the range that all methods share.

Tap k of output o reads sample stride·o + move, with move = rate·k − padding. Both functions are plain arithmetic on
integers: `taps` compiles them for the loops.

Role: shared formulas.
"""


def first_output(move, stride, out):
    """Return the first output whose tap reads no zero before the input; `out` if there is none."""
    o = -(move // stride)
    o = 0 if o < 0 else o
    return out if o > out else o


def end_output(move, stride, size, out):
    """Return one past the last output whose tap reads no zero after the input's `size` samples."""
    o = (size - 1 - move) // stride + 1
    o = 0 if o < 0 else o
    return out if o > out else o


def reach(move, stride, size, out):
    """Return slices (outputs, inputs): the outputs whose tap is inside the input, and the samples it reads there.

    None if there are none.
    """
    first, end = first_output(move, stride, out), end_output(move, stride, size, out)
    if first >= end:
        return None
    start = stride * first + move
    return slice(first, end), slice(start, start + stride * (end - first - 1) + 1, stride)
