"""A barrier: threads wait for each other inside compiled code, so that one call can run many short stages.

A barrier is an int64 array of three numbers: how many threads have arrived, how many times all have moved on, and
whether to give up.
"""

import numpy as np

from atrous.jit.numba_or_not import njit, numba

ARRIVED, ROUNDS, BROKEN = range(3)


def new_barrier():
    """Return a barrier at which no thread has arrived."""
    return np.zeros(3, np.int64)


if numba is not None:
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic

    def _address(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    @intrinsic
    def _add(typing, array, index, value):
        """Add to an element atomically and return its old value."""

        def generate(context, builder, signature, arguments):
            return builder.atomic_rmw("add", _address(context, builder, signature, arguments), arguments[2], "seq_cst")

        return types.int64(array, types.intp, types.int64), generate

    @intrinsic
    def _read(typing, array, index):
        """Read an element atomically."""

        def generate(context, builder, signature, arguments):
            address = _address(context, builder, signature, arguments)
            return builder.load_atomic(address, "seq_cst", 8, typ=ir.IntType(64))

        return types.int64(array, types.intp), generate


@njit(nogil=True)
def wait(barrier, size):
    """Return when all `size` threads have called this, or when one of them has failed."""
    if size == 1:
        return
    round_ = _read(barrier, ROUNDS)
    if _add(barrier, ARRIVED, 1) == size - 1:
        _add(barrier, ARRIVED, -size)
        _add(barrier, ROUNDS, 1)
    else:
        while _read(barrier, ROUNDS) == round_ and _read(barrier, BROKEN) == 0:
            pass
