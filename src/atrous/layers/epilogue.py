"""The epilogue of a convolution in inference: batch norm or bias, a shortcut and ReLU in one pass over its result.

    y ← max(scale·y + shift + add, 0)        scale, shift: one number per channel

One pass over memory replaces up to four. `fold_batch_norm` gives scale and shift of batch norm; a bias is a shift.
Training cannot do this: batch norm needs the statistics of the finished convolution, and the backward pass needs the
intermediate results.

Role: loops, in place. NaN stays NaN.
"""

import numpy as np

from atrous.jit.compiler import compiled
from atrous.jit.threads import launch


@compiled()
def _epilogue(head, tail, y, scale, shift, add, has_add, lowest):
    channels = scale.size
    for plane in range(head, tail):
        a, b = scale[plane % channels], shift[plane % channels]
        row = y[plane]
        if has_add:
            other = add[plane]
            for i in range(np.uintp(row.size)):
                v = row[i] * a + b + other[i]
                row[i] = lowest if v < lowest else v
        else:
            for i in range(np.uintp(row.size)):
                v = row[i] * a + b
                row[i] = lowest if v < lowest else v


def epilogue(y, scale, shift, *, add=None, relu=False):
    """Overwrite a C-contiguous y (N, C, *S) with scale·y + shift + add, at least 0 if `relu`; return it."""
    planes = y.reshape(y.shape[0] * y.shape[1], -1)
    other = planes if add is None else np.ascontiguousarray(add).reshape(planes.shape)
    lowest = y.dtype.type(0 if relu else -np.inf)
    vectors = (np.require(v, y.dtype, ("C", "W")) for v in (scale, shift))
    launch(_epilogue, len(planes), planes, *vectors, np.require(other, requirements="W"), add is not None, lowest)
    return y
