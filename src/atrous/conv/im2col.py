"""im2col: copy the samples under the taps into columns (sparse sampling), then one matrix product.

    col[(c, k), o] = x̃[c, s·o + r·k]          y = W · col          dW = dy · colᵀ          dcol = Wᵀ · dy

The rate appears in one place, the strides of a view: along an axis of the filter the view steps r samples, along an
axis of the output s samples. Copying this view is im2col. Adding dcol back through the same slices is col2im, its exact
adjoint. The columns are made for one block of output positions at a time, which limits the memory.

Role: transformation. NaN and inf reach exactly the outputs whose taps read them. Cost: 2·macs flops in BLAS; extra
memory one padded copy and one block of columns: 4 MiB, or up to 64 MiB if 1024 columns need more.

References
----------
Jia et al., Caffe, arXiv:1408.5093; DeepLab v2, arXiv:1606.00915, Section 3.1: "implicitly upsampling the filters
through the introduction of holes", done by sampling the feature map sparsely in im2col.
"""

import itertools
import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from atrous.conv.padding import batch_last, padded, padded_adjoint, zeros

# A block should fit the caches, but BLAS needs many columns at a time to run at full speed.
BLOCK_BYTES = 4 * 2**20
BLOCK_COLUMNS = 1024
MOST_BYTES = 64 * 2**20


def sparse_samples(x, g):
    """View x (N, C, D, H, W) as the samples (C, KD, KH, KW, *positions) that the taps of all outputs read.

    The four position axes (batch and three spatial ones) are in memory order, with the batch first or last. Only the
    padding around x makes a copy.
    """
    x_pad = padded(x, g.pad, g.span)
    sn, sc, *space = x_pad.strides
    taps = [r * step for r, step in zip(g.rate, space, strict=True)]
    moves = [s * step for s, step in zip(g.stride, space, strict=True)]
    last = batch_last(x_pad)
    positions = (*g.out, g.n) if last else (g.n, *g.out)
    moves = (*moves, sn) if last else (sn, *moves)
    return as_strided(x_pad, (g.c, *g.kernel, *positions), (sc, *taps, *moves), writeable=False)


def by_position(a, last):
    """View a (N, A, D, H, W) as (A, *positions)."""
    return a.transpose(1, 2, 3, 4, 0) if last else a.transpose(1, 0, 2, 3, 4)


def blocks(positions, column_bytes):
    """Cut the box of output positions into boxes of limited size, the outermost axes first."""
    room = max(1, BLOCK_BYTES // column_bytes, min(BLOCK_COLUMNS, MOST_BYTES // column_bytes))
    steps = []
    for size in reversed(positions):
        most = max(1, min(size, room))
        # Blocks of equal size: a small last one would be slow in BLAS.
        steps.insert(0, math.ceil(size / math.ceil(size / most)))
        room //= size
    starts = [range(0, size, step) for size, step in zip(positions, steps, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(slice(a, min(a + step, n)) for a, step, n in zip(corner, steps, positions, strict=True))


def column_blocks(samples, groups):
    """Yield each block of output positions with its columns (groups, rows, positions); all use one buffer."""
    rows, buffer = math.prod(samples.shape[:4]) // groups, None
    for block in blocks(samples.shape[4:], rows * groups * samples.itemsize):
        part = samples[:, :, :, :, *block]
        # Fresh memory costs more than the copy itself, so the buffer is reused; the first block is the largest.
        buffer = np.empty(part.size, part.dtype) if buffer is None else buffer
        col = buffer[: part.size].reshape(part.shape)
        np.copyto(col, part)
        yield block, col.reshape(groups, rows, -1)


def is_pointwise(g):
    """Tell whether the input already is the column matrix: 1×1, stride 1, no zeros."""
    return g.kernel == (1, 1, 1) and g.stride == (1, 1, 1) and g.size == g.out and g.pad == (0, 0, 0)


def forward(x, w, g):
    """Return y (N, F, OD, OH, OW) from x (N, C, D, H, W) and w (F, C/groups, KD, KH, KW)."""
    w = w.reshape(g.groups, g.f // g.groups, -1)
    if is_pointwise(g):
        return (w @ x.reshape(g.n, g.groups, g.c // g.groups, -1)).reshape(g.n, g.f, *g.out)
    last = batch_last(x)
    y = zeros(g.n, g.f, g.out, x.dtype, innermost=last)
    for block, col in column_blocks(sparse_samples(x, g), g.groups):
        target = by_position(y, last)[:, *block]
        target[...] = (w @ col).reshape(target.shape)
    return y


def backward_input(dy, w, g):
    """Return dx (N, C, D, H, W); col2im adds each column back to the samples it was copied from."""
    w = w.reshape(g.groups, g.f // g.groups, -1).transpose(0, 2, 1)
    if is_pointwise(g):
        return (w @ dy.reshape(g.n, g.groups, g.f // g.groups, -1)).reshape(g.n, g.c, *g.size)
    last = batch_last(dy)
    dx = zeros(g.n, g.c, g.span, dy.dtype, innermost=last)
    dx_at, dy_at = by_position(dx, last), by_position(dy, last)
    for block in blocks(dy_at.shape[1:], w.shape[1] * g.groups * dy.itemsize):
        part = dy_at[:, *block]
        dcol = (w @ part.reshape(g.groups, g.f // g.groups, -1)).reshape(g.c, *g.kernel, *part.shape[1:])
        batch, space = (block[3], block[:3]) if last else (block[0], block[1:])
        for tap in np.ndindex(g.kernel):
            under = tuple(
                slice(b.start * s + k * r, (b.stop - 1) * s + k * r + 1, s)
                for b, s, k, r in zip(space, g.stride, tap, g.rate, strict=True)
            )
            dx_at[:, *((*under, batch) if last else (batch, *under))] += dcol[:, *tap]
    return padded_adjoint(dx, g.pad, g.size)


def backward_weight(dy, x, g):
    """Return dw (F, C/groups, KD, KH, KW): the product of dy and the columns, summed over the blocks in order."""
    last = batch_last(x)
    dw = np.zeros((g.groups, g.f // g.groups, g.c // g.groups * math.prod(g.kernel)), dy.dtype)
    if is_pointwise(g):
        images = dy.reshape(g.n, *dw.shape[:2], -1), x.reshape(g.n, g.groups, dw.shape[2], -1)
        for dy_n, x_n in zip(*images, strict=True):
            dw += dy_n @ x_n.transpose(0, 2, 1)
        return dw.reshape(g.f, g.c // g.groups, *g.kernel)
    for block, col in column_blocks(sparse_samples(x, g), g.groups):
        part = by_position(dy, last)[:, *block].reshape(g.groups, g.f // g.groups, -1)
        dw += part @ col.transpose(0, 2, 1)
    return dw.reshape(g.f, g.c // g.groups, *g.kernel)
