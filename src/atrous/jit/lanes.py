"""Several numbers at once (SIMD): the vector operations for compiled loops over labels or channels.

Numba turns a simple loop over an array into vector instructions. It does not do so for a short loop that must keep its
sums in registers while it reads rows scattered over another array, as slicing a lattice does. A `lanes` value is
consecutive elements of an array, which LLVM keeps in registers: eight of them, or a line of 64 bytes (16 float32 or 8
float64). A line is one AVX-512 register, two of AVX2, or four of NEON. Below are the operations on NumPy arrays, which
run where nothing is compiled; `llvm_lanes` has their compiled forms.

Indices are unsigned and count elements from the start of a C-contiguous array. Nothing is checked.
"""

import numpy as np

from atrous.jit.numba_or_not import OFF, numba

WIDTH = 8
LINE_BYTES = 64


def has_wide_registers():
    """Tell whether code is compiled for a processor with registers of a whole line (AVX-512)."""
    if numba is None:
        return False
    from llvmlite import binding

    features = numba.config.CPU_FEATURES
    if features is None:
        named = numba.config.CPU_NAME not in (None, "", "host")
        features = "" if named else binding.get_host_cpu_features().flatten()
    return "+avx512f" in features


def load(array, index):
    """Return the eight elements of `array` that start at `index`."""
    return array.reshape(-1)[int(index) : int(index) + WIDTH].copy()


def load_line(array, index):
    """Return the elements of a line of `array` that starts at `index`."""
    return array.reshape(-1)[int(index) : int(index) + LINE_BYTES // array.itemsize].copy()


def store(array, index, value):
    """Write lanes to the elements of `array` that start at `index`."""
    array.reshape(-1)[int(index) : int(index) + len(value)] = value


def expect(array, index):
    """Do nothing."""


def repeat(number):
    """Return eight copies of a number."""
    return np.full(WIDTH, number)


def repeat_line(number):
    """Return a line of copies of a number."""
    return np.full(LINE_BYTES // number.itemsize, number)


def transpose(array, index, step, out, out_index, out_step):
    """Write a square of `array`, as wide as a line, transposed to `out`."""
    width = np.arange(LINE_BYTES // array.itemsize)
    square = array.reshape(-1)[int(index) + width[:, None] * int(step) + width]
    out.reshape(-1)[int(out_index) + width[:, None] * int(out_step) + width] = square.T


def add_scaled(total, weight, value):
    """Return total + weight·value."""
    return total + weight * value


add_product = add_scaled


def total(value):
    """Return the sum of the lanes, in the same order as compiled code."""
    while value.size > 1:
        value = value[: value.size // 2] + value[value.size // 2 :]
    return value[0]


add, multiply, larger, smaller, largest = np.add, np.multiply, np.maximum, np.minimum, np.max


if not OFF:
    from atrous.jit.llvm_lanes import (  # noqa: F401
        add,
        add_product,
        add_scaled,
        expect,
        larger,
        largest,
        load,
        load_line,
        multiply,
        repeat,
        repeat_line,
        smaller,
        store,
        total,
        transpose,
    )
