"""Operations of points on the rows of a table: sum the rows at the corners of a point, or add its own row to them.

Rows have `width` numbers, a multiple of eight. Loops take three vectors at a time, which share the arithmetic of the
indices, and the remaining ones one by one.

Role: loops, shared by the filter and by mean field.
"""

import numpy as np

from atrous.jit import lanes
from atrous.jit.lanes import WIDTH
from atrous.jit.numba_or_not import njit

ONE = np.uintp(WIDTH)
TWO = np.uintp(2 * WIDTH)
THREE = np.uintp(3 * WIDTH)
NONE = np.uintp(0)
LINE = np.uintp(16)  # numbers in a cache line of 64 bytes, in float32
AHEAD = 12  # how many rows ahead to prefetch


def padded(width):
    """Return the next multiple of eight."""
    return -(-width // WIDTH) * WIDTH


@njit(nogil=True, error_model="numpy")
def clear(table):
    """Set all rows to zero."""
    zero = lanes.repeat(table.dtype.type(0))
    for i in range(NONE, np.uintp(table.size), ONE):
        lanes.store(table, i, zero)


@njit(nogil=True, error_model="numpy")
def copy(source, source_row, target, target_row, rows, width):
    """Copy `rows` consecutive rows."""
    a, b = np.uintp(source_row * width), np.uintp(target_row * width)
    for i in range(NONE, np.uintp(rows * width), ONE):
        lanes.store(target, b + i, lanes.load(source, a + i))


@njit(nogil=True, error_model="numpy")
def collect(table, corners, weights, start, count, out, width):
    """Add to row p of `out` the weighted sum of the rows of `table` at the corners of point start + p."""
    size, width = np.uintp(corners.shape[1]), np.uintp(width)
    for p in range(np.uintp(count)):
        q, o, j = np.uintp(start) + p, p * width, NONE
        while j + THREE <= width:
            a, b, c = lanes.load(out, o + j), lanes.load(out, o + j + ONE), lanes.load(out, o + j + TWO)
            for r in range(size):
                weight, i = weights[q, r], np.uintp(corners[q, r]) * width + j
                a = lanes.add_scaled(a, weight, lanes.load(table, i))
                b = lanes.add_scaled(b, weight, lanes.load(table, i + ONE))
                c = lanes.add_scaled(c, weight, lanes.load(table, i + TWO))
            lanes.store(out, o + j, a)
            lanes.store(out, o + j + ONE, b)
            lanes.store(out, o + j + TWO, c)
            j += THREE
        while j < width:
            a = lanes.load(out, o + j)
            for r in range(size):
                i = np.uintp(corners[q, r]) * width + j
                a = lanes.add_scaled(a, weights[q, r], lanes.load(table, i))
            lanes.store(out, o + j, a)
            j += ONE


@njit(nogil=True, error_model="numpy")
def spread(rows, corners, weights, start, count, table, width):
    """Add row p of `rows`, weighted, to the rows of `table` at the corners of point start + p: `collect`'s adjoint."""
    size, width = np.uintp(corners.shape[1]), np.uintp(width)
    for p in range(np.uintp(count)):
        q, o, j = np.uintp(start) + p, p * width, NONE
        while j + THREE <= width:
            a, b, c = lanes.load(rows, o + j), lanes.load(rows, o + j + ONE), lanes.load(rows, o + j + TWO)
            for r in range(size):
                weight, i = weights[q, r], np.uintp(corners[q, r]) * width + j
                lanes.store(table, i, lanes.add_scaled(lanes.load(table, i), weight, a))
                lanes.store(table, i + ONE, lanes.add_scaled(lanes.load(table, i + ONE), weight, b))
                lanes.store(table, i + TWO, lanes.add_scaled(lanes.load(table, i + TWO), weight, c))
            j += THREE
        while j < width:
            a = lanes.load(rows, o + j)
            for r in range(size):
                i = np.uintp(corners[q, r]) * width + j
                lanes.store(table, i, lanes.add_scaled(lanes.load(table, i), weights[q, r], a))
            j += ONE


@njit(nogil=True, error_model="numpy")
def expect_row(table, row, width):
    """Prefetch a row that will be read soon, because the processor cannot predict scattered rows."""
    for i in range(NONE, width, LINE):
        lanes.expect(table, np.uintp(row) * width + i)


@njit(nogil=True, error_model="numpy")
def copy_rows(table, rows, local):
    """Copy the rows of `table` listed in `rows` to `local`, one after the other."""
    width = np.uintp(table.shape[1])
    for s in range(rows.size):
        if s + AHEAD < rows.size:
            expect_row(table, rows[s + AHEAD], width)
        copy(table, np.int64(rows[s]), local, s, 1, table.shape[1])


@njit(nogil=True, error_model="numpy")
def sum_rows(rows, members, begin, end, out, o, width):
    """Write the sum of the rows members[begin:end], at least one, added in order, to `out` from element o on."""
    j = NONE
    while j + THREE <= width:
        i = np.uintp(members[begin]) * width + j
        a, b, c = lanes.load(rows, i), lanes.load(rows, i + ONE), lanes.load(rows, i + TWO)
        for m in range(np.uintp(begin + 1), np.uintp(end)):
            i = np.uintp(members[m]) * width + j
            a = lanes.add(a, lanes.load(rows, i))
            b = lanes.add(b, lanes.load(rows, i + ONE))
            c = lanes.add(c, lanes.load(rows, i + TWO))
        lanes.store(out, o + j, a)
        lanes.store(out, o + j + ONE, b)
        lanes.store(out, o + j + TWO, c)
        j += THREE
    while j < width:
        a = lanes.load(rows, np.uintp(members[begin]) * width + j)
        for m in range(np.uintp(begin + 1), np.uintp(end)):
            a = lanes.add(a, lanes.load(rows, np.uintp(members[m]) * width + j))
        lanes.store(out, o + j, a)
        j += ONE
