"""The micro-kernel and the square transposes: every tile, both dtypes, against NumPy; also with the compiler off."""

import numba
import numpy as np
import pytest

from atrous.conv.channels_last import aligned, channels_last
from atrous.conv.micro_kernel import NARROW, TILES, WIDE, multiply_tile, tile_for
from atrous.jit.lanes import LINE_BYTES, has_wide_registers

REST = [(4, 6, "f8"), (2, 6, "f8"), (1, 6, "f4")]


@numba.njit
def run(rows, lines, a, a_row, a_step, b, c, at_c, c_row, depth, first, last, add):
    width = len(lines) * (LINE_BYTES // c.itemsize)
    multiply_tile(
        rows, lines, a, np.uintp(0), np.uintp(a_row), np.uintp(a_step), b, np.uintp(0), np.uintp(width), c,
        np.uintp(at_c), np.uintp(c_row), np.uintp(depth), first, last, add,
    )  # fmt: skip


# Each tile takes a second to compile, so float64 has one that is quick.
@pytest.mark.parametrize(
    ("lines", "rows", "dtype"),
    [(4, 6, "f4"), (2, 6, "f4"), (1, 6, "f8"), *(pytest.param(*t, marks=pytest.mark.slow) for t in REST)],
)
@pytest.mark.parametrize("add", [False, True])
def test_every_tile_is_a_product(rng, dtype, lines, rows, add):
    width, depth, c_row = lines * LINE_BYTES // np.dtype(dtype).itemsize, 7, 80
    a, b = (rng.integers(-4, 5, shape).astype(dtype) for shape in ((rows, depth), (depth, width)))
    c = rng.integers(-4, 5, 3 + rows * c_row).astype(dtype)
    first, last = (1, rows - 1) if rows > 2 else (0, rows)
    expected = c.copy()
    square = expected[3:].reshape(rows, c_row)[first:last, :width]
    square[:] = add * square + (a @ b)[first:last]
    for a_flat, a_row, a_step in ((a.ravel(), depth, 1), (a.T.ravel(), 1, rows)):
        for kernel in (run, run.py_func if hasattr(run, "py_func") else run):
            found = c.copy()
            kernel(
                (0,) * rows, (0,) * lines, a_flat, a_row, a_step, b.ravel(), found, 3, c_row, depth, first, last, add
            )
            np.testing.assert_array_equal(found, expected)


def test_no_tile_is_left_out():
    assert {(lines, rows) for lines, rows, _ in REST} == {*WIDE.items(), *NARROW.items()}


def test_the_tile_pads_least():
    wide = LINE_BYTES // 4
    for columns in (1, wide, wide + 1, 3 * wide, 4 * wide, 100 * wide):
        _, lines, width = tile_for(columns, np.float32)
        padded = {n: -(-columns // (n * wide)) * n * wide for n in TILES}
        assert padded[len(lines)] == min(padded.values())
        assert width == len(lines) * wide


def test_tiles_fill_the_registers(monkeypatch):
    monkeypatch.setattr(numba.config, "CPU_FEATURES", "+avx2,+fma")
    assert not has_wide_registers()
    monkeypatch.setattr(numba.config, "CPU_FEATURES", "+avx512f")
    assert has_wide_registers()
    for lines, rows in WIDE.items():
        assert rows * lines + lines + 1 <= 32
    for lines, rows in NARROW.items():
        assert 2 * (rows * lines + lines) + 1 <= 16


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 5), (1, 16, 16), (2, 35, 4, 9), (1, 64, 33), (3, 17, 100)])
def test_channels_last(rng, dtype, shape):
    x = rng.standard_normal(shape).astype(dtype)
    found = channels_last(x, 5)
    assert found.size == x.size + 5
    np.testing.assert_array_equal(found[:-5].reshape(shape[0], -1), np.moveaxis(x, 1, -1).reshape(shape[0], -1))


def test_aligned_arrays_start_at_a_line():
    for count in (1, 7, 1000):
        for dtype in ("f4", "f8"):
            found = aligned(count, dtype)
            assert found.ctypes.data % LINE_BYTES == 0
            assert found.size == count
            assert found.dtype == dtype
