"""The epilogue of a convolution in inference: batch norm or bias, a shortcut and an activation in one pass.

    y ← f(scale·y + shift + add)        scale, shift: one number per channel; f: one of `activations`

One pass over memory replaces up to four; `implicit_gemm` and `winograd` even do it while a row of results is still in
the cache (`finish_row`). `fold_batch_norm` gives scale and shift of batch norm; a bias is a shift. Training cannot do
this: batch norm needs the statistics of the finished convolution, and the backward pass needs the intermediate results.

Role: loops. NaN stays NaN.
"""

from typing import NamedTuple

import numpy as np

from atrous._types import FloatArray
from atrous.conv.activations import Curve, activated, activated_line, curve_of
from atrous.jit.compiler import compiled
from atrous.jit.lanes import LINE_BYTES, add, load_line, multiply, store
from atrous.jit.threads import MOVE, launch


class Epilogue(NamedTuple):
    """What follows a convolution: one scale and shift per filter, an array to add or none, an activation."""

    scale: FloatArray
    shift: FloatArray
    add: FloatArray
    has_add: bool
    curve: Curve
    idle: bool
    """Whether there is nothing to do."""


def make_epilogue(f, dtype, *, scale=None, shift=None, add=None, activation=None):
    """Return the Epilogue of f filters; `add` lies in memory as the result will."""
    dtype = np.dtype(dtype)
    vectors = (np.full(f, d, dtype) if v is None else v for v, d in ((scale, 1), (shift, 0)))
    scale_and_shift = (np.require(v, dtype, ("C", "W")) for v in vectors)
    other = np.empty(0, dtype) if add is None else np.require(add, dtype, ("C", "W")).reshape(-1)
    idle = scale is None and shift is None and add is None and activation is None
    return Epilogue(*scale_and_shift, other, add is not None, curve_of(activation, dtype), idle)


@compiled()
def finish_row(sums, at, step, count, columns, channel, after, result, at_result, result_step):
    """Write `count` rows of sums to result, after the epilogue of the channels that start at `channel`.

    Row i of the sums starts at ``at + i·step``, row i of the result at ``at_result + i·result_step``.
    """
    line = LINE_BYTES // sums.itemsize
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
                v = activated_line(v, after.curve)
            store(result, target + c, v)
        for c in range(np.uintp(whole), np.uintp(columns)):
            u = sums[source + c]
            if not after.idle:
                u = u * after.scale[channel + c] + after.shift[channel + c]
                if after.has_add:
                    u += after.add[target + c]
                u = activated(u, after.curve)
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
                row[i] = activated(row[i] * a + b + other[i], after.curve)
        else:
            for i in range(np.uintp(row.size)):
                row[i] = activated(row[i] * a + b, after.curve)


def epilogue(y, scale, shift, *, add=None, activation=None):
    """Overwrite a C-contiguous y (N, C, *S) with f(scale·y + shift + add); return it."""
    planes = y.reshape(y.shape[0] * y.shape[1], -1)
    after = make_epilogue(y.shape[1], y.dtype, scale=scale, shift=shift, add=add, activation=activation)
    launch(_epilogue, len(planes), planes, after, work=MOVE * y.size)
    return y
