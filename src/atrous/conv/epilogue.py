"""The epilogue of a convolution in inference: batch norm or bias, a shortcut and ReLU in one pass over its result.

    y ← max(scale·y + shift + add, 0)        scale, shift: one number per channel

One pass over memory replaces up to four; `implicit_gemm` and `winograd` even do it while a row of results is still in
the cache (`finish_row`). `fold_batch_norm` gives scale and shift of batch norm; a bias is a shift. Training cannot do
this: batch norm needs the statistics of the finished convolution, and the backward pass needs the intermediate results.

Role: loops. NaN stays NaN.
"""

from typing import NamedTuple

import numpy as np

from atrous._types import FloatArray
from atrous.jit.compiler import compiled
from atrous.jit.lanes import LINE_BYTES, add, larger, load_line, multiply, repeat_line, store
from atrous.jit.threads import MOVE, launch


class Epilogue(NamedTuple):
    """What follows a convolution: one scale and shift per filter, an array to add or none, the least result."""

    scale: FloatArray
    shift: FloatArray
    add: FloatArray
    has_add: bool
    lowest: float
    idle: bool
    """Whether there is nothing to do."""


def make_epilogue(f, dtype, *, scale=None, shift=None, add=None, relu=False):
    """Return the Epilogue of f filters; `add` lies in memory as the result will."""
    dtype = np.dtype(dtype)
    vectors = (np.full(f, d, dtype) if v is None else v for v, d in ((scale, 1), (shift, 0)))
    scale_and_shift = (np.require(v, dtype, ("C", "W")) for v in vectors)
    other = np.empty(0, dtype) if add is None else np.require(add, dtype, ("C", "W")).reshape(-1)
    idle = scale is None and shift is None and add is None and not relu
    return Epilogue(*scale_and_shift, other, add is not None, dtype.type(0 if relu else -np.inf), idle)


@compiled()
def finish_row(sums, at, step, count, columns, channel, after, result, at_result, result_step):
    """Write `count` rows of sums to result, after the epilogue of the channels that start at `channel`.

    Row i of the sums starts at ``at + i·step``, row i of the result at ``at_result + i·result_step``.
    """
    line, lowest = LINE_BYTES // sums.itemsize, repeat_line(after.lowest)
    whole = columns // line * line
    for i in range(count):
        source, target = np.uintp(at + i * step), np.uintp(at_result + i * result_step)
        for c in range(np.uintp(0), np.uintp(whole), np.uintp(line)):
            v = load_line(sums, source + c)
            if not after.idle:
                v = multiply(v, load_line(after.scale, np.uintp(channel) + c))
                v = add(v, load_line(after.shift, np.uintp(channel) + c))
                if after.has_add:
                    v = add(v, load_line(after.add, target + c))
                v = larger(lowest, v)
            store(result, target + c, v)
        for c in range(np.uintp(whole), np.uintp(columns)):
            u = sums[source + c]
            if not after.idle:
                u = u * after.scale[channel + c] + after.shift[channel + c]
                if after.has_add:
                    u += after.add[target + c]
                u = after.lowest if u < after.lowest else u
            result[target + c] = u


@compiled()
def _epilogue(head, tail, y, after):
    channels = after.scale.size
    for plane in range(head, tail):
        a, b = after.scale[plane % channels], after.shift[plane % channels]
        row = y[plane]
        if after.has_add:
            other = after.add[plane * row.size : (plane + 1) * row.size]
            for i in range(np.uintp(row.size)):
                v = row[i] * a + b + other[i]
                row[i] = after.lowest if v < after.lowest else v
        else:
            for i in range(np.uintp(row.size)):
                v = row[i] * a + b
                row[i] = after.lowest if v < after.lowest else v


def epilogue(y, scale, shift, *, add=None, relu=False):
    """Overwrite a C-contiguous y (N, C, *S) with scale·y + shift + add, at least 0 if `relu`; return it."""
    planes = y.reshape(y.shape[0] * y.shape[1], -1)
    after = make_epilogue(y.shape[1], y.dtype, scale=scale, shift=shift, add=add, relu=relu)
    launch(_epilogue, len(planes), planes, after, work=MOVE * y.size)
    return y
