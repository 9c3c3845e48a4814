"""Images with the channels last, and back: the layout in which a tap reads all channels of a sample in one stretch.

    x[c, p]      channels first: neighbours in memory are neighbours in the image
    xt[p, c]     channels last: neighbours in memory are the channels of one sample p

Squares as wide as a line are transposed in registers, so that each line of either array is touched once.

`channel_panels` does this for a few channels at a time: panels[c // width, p, c % width].

Role: loops. Cost: one pass over both arrays.
"""

import math

import numpy as np

from atrous.jit.compiler import compiled
from atrous.jit.lanes import LINE_BYTES, transpose
from atrous.jit.threads import MOVE, launch


def aligned(count, dtype):
    """Return an array that starts at a multiple of 64 bytes, so that no line of it lies in two of the cache's."""
    dtype = np.dtype(dtype)
    raw = np.empty(count * dtype.itemsize + LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % LINE_BYTES
    return raw[start : start + count * dtype.itemsize].view(dtype)


@compiled()
def scratch(count, like):
    """Return the same inside a compiled function, of the dtype of `like`, with room for a line after its end."""
    raw = np.empty(count + 2 * (LINE_BYTES // like.itemsize), like.dtype)
    return raw[(-raw.ctypes.data % LINE_BYTES) // like.itemsize :]


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


@compiled()
def _to_panels(head, tail, x, panels, width, channels, samples):
    per_group = -(-channels // width)
    for item in range(head, tail):
        group, first = item // per_group, item % per_group * width
        some, start = min(width, channels - first), item * samples * width
        if some < width:
            panels[start : start + samples * width] = 0
        transpose_matrix(x, (group * channels + first) * samples, samples, some, samples, panels, start, width)


def channel_panels(x, groups, width):
    """Return x (N, C, *S) as a flat array (N, groups, panels, *S, width), padded with zeros to whole panels."""
    n, c = x.shape[:2]
    channels, samples = c // groups, x[0, 0].size
    items = n * groups * -(-channels // width)
    panels = aligned(items * samples * width, x.dtype)
    flat = np.require(x, requirements=("C", "W")).reshape(-1)
    launch(_to_panels, items, flat, panels, width, channels, samples, work=MOVE * panels.size)
    return panels


def last(x):
    """View x (N, C, *S) as (N, *S, C); ``np.moveaxis`` takes ten times as long."""
    return x.transpose(0, *range(2, x.ndim), 1)


def is_channels_last(x):
    """Tell whether the channels of x (N, C, *S) lie last in memory, without gaps."""
    return last(x).flags.c_contiguous


def as_map(flat, shape):
    """View a flat array as (N, C, *S) with the channels last in memory."""
    return flat.reshape(shape[0], *shape[2:], shape[1]).transpose(0, len(shape) - 1, *range(1, len(shape) - 1))


def empty_map(shape, dtype):
    """Return an array (N, C, *S) with the channels last in memory; its values are not set."""
    return as_map(aligned(math.prod(shape), dtype), shape)


def flat_map(x):
    """View an array that lies without gaps, its channels in their place or last, as it lies in memory."""
    return x.reshape(-1) if x.flags.c_contiguous else last(x).reshape(-1)


def channels_last(x, spare):
    """Return x (N, C, *S) as a flat array (N, *S, C), with `spare` zeros at its end for tiles that reach beyond.

    An array that lies so already is not copied if there is nothing to spare.
    """
    n, c = x.shape[:2]
    samples = x[0, 0].size
    if is_channels_last(x) and not spare:
        return np.require(last(x), requirements=("C", "W")).reshape(-1)
    xt = aligned(x.size + spare, x.dtype)
    xt[x.size :] = 0
    if c > 1 and x.strides[1] == x.itemsize:
        # The channels of a sample lie together already, as in a part of a larger array.
        np.copyto(xt[: x.size].reshape(n, *x.shape[2:], c), last(x))
        return xt
    pieces = min(64, -(-samples // 16))
    launch(
        _to_last, n * pieces, np.require(x, requirements=("C", "W")).reshape(-1), xt, c, samples, pieces,
        work=MOVE * x.size,
    )  # fmt: skip
    return xt
