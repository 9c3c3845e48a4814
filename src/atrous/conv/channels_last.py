"""Images with the channels last, and back: the layout in which a tap reads all channels of a sample in one stretch.

    x[c, p]      channels first: neighbours in memory are neighbours in the image
    xt[p, c]     channels last: neighbours in memory are the channels of one sample p

Squares as wide as a line are transposed in registers, so that each line of either array is touched once.

Role: loops. Cost: one pass over both arrays.
"""

import numpy as np

from atrous.jit.compiler import compiled
from atrous.jit.lanes import LINE_BYTES, transpose
from atrous.jit.threads import launch


def aligned(count, dtype):
    """Return an array that starts at a multiple of 64 bytes, so that a line is never split between two of the cache."""
    dtype = np.dtype(dtype)
    raw = np.empty(count * dtype.itemsize + LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % LINE_BYTES
    return raw[start : start + count * dtype.itemsize].view(dtype)


@compiled()
def transpose_matrix(a, at_a, a_step, rows, columns, b, at_b, b_step):
    """Write rows × columns of a transposed to b, both flat; the steps are the distances of their rows."""
    line = LINE_BYTES // a.itemsize
    for i in range(0, rows, line):
        for j in range(0, columns, line):
            if i + line <= rows and j + line <= columns:
                transpose(
                    a,
                    np.uintp(at_a + i * a_step + j),
                    np.uintp(a_step),
                    b,
                    np.uintp(at_b + j * b_step + i),
                    np.uintp(b_step),
                )
            else:
                for v in range(j, min(j + line, columns)):
                    for u in range(i, min(i + line, rows)):
                        b[np.uintp(at_b + v * b_step + u)] = a[np.uintp(at_a + u * a_step + v)]


@compiled()
def _to_last(head, tail, x, xt, channels, samples, pieces):
    line = LINE_BYTES // x.itemsize
    width = -(-samples // (pieces * line)) * line
    for item in range(head, tail):
        n, first = item // pieces, item % pieces * width
        start = n * channels * samples
        count = min(width, samples - first)
        if count > 0:
            transpose_matrix(x, start + first, samples, channels, count, xt, start + first * channels, channels)


def channels_last(x, spare):
    """Return x (N, C, *S) as a flat array (N, *S, C), with `spare` zeros at its end for tiles that reach beyond."""
    n, c = x.shape[:2]
    samples = x[0, 0].size
    xt = aligned(x.size + spare, x.dtype)
    xt[x.size :] = 0
    pieces = min(64, -(-samples // 16))
    launch(_to_last, n * pieces, np.require(x, requirements=("C", "W")).reshape(-1), xt, c, samples, pieces)
    return xt
