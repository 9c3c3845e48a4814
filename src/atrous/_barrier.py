"""Waiting for each other inside compiled code: what lets a team of threads go through many short stages in one call.

A barrier is an int64 array of three: how many have come, how often all have gone on, and whether to give up.
"""

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic

COME, GONE, BROKEN = range(3)


def new_barrier():
    """Return a barrier that nobody has come to."""
    return np.zeros(3, np.int64)


def _address(context, builder, signature, arguments):
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.gep(data, [arguments[1]])


@intrinsic
def _add(typing, array, index, value):
    """Add to an element, alone at it, and return what was there before."""

    def generate(context, builder, signature, arguments):
        return builder.atomic_rmw("add", _address(context, builder, signature, arguments), arguments[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), generate


@intrinsic
def _read(typing, array, index):
    """Return an element as it is now, whoever wrote it."""

    def generate(context, builder, signature, arguments):
        address = _address(context, builder, signature, arguments)
        return builder.load_atomic(address, "seq_cst", 8, typ=ir.IntType(64))

    return types.int64(array, types.intp), generate


@njit(nogil=True)
def wait(barrier, size):
    """Return when all `size` threads have called this, or when one of them has failed."""
    if size == 1:
        return
    round_ = _read(barrier, GONE)
    if _add(barrier, COME, 1) == size - 1:
        _add(barrier, COME, -size)
        _add(barrier, GONE, 1)
    else:
        while _read(barrier, GONE) == round_ and _read(barrier, BROKEN) == 0:
            pass
