"""Stacked taps: what the case table cannot see, the columns themselves and the products that are left out."""

import numpy as np
import pytest

from atrous.conv import implicit_gemm, stacked_taps
from atrous.conv.geometry import conv_geometry, mirrored
from atrous.conv.micro_kernel import tile_for
from atrous.gradients import adjoint_error


def geometries(rates=(1, 2, 5), size=(11, 9), **options):
    return [conv_geometry((2, 3, 1, *size), (4, 3, 1, 3, 3), rate=(1, r, r), **options) for r in rates]


@pytest.mark.parametrize("stride", [1, 2])
def test_gather_takes_the_samples_under_the_taps(stride, rng):
    gs = geometries(stride=(1, stride, stride)) if stride == 1 else geometries((2,), stride=(1, 2, 2))
    xs = [rng.standard_normal((2, 3, 1, 11, 9)) for _ in gs]
    columns, laid = stacked_taps.gather(xs, gs), stacked_taps.layout(gs)
    assert columns.shape[1] == laid.depth == 27 * len(gs)
    for i, _, ky, at in laid.rows:
        g = gs[i]
        for kx in range(3):
            for oy in range(g.oh):
                for ox in range(g.ow):
                    iy, ix = stride * oy + g.rh * ky - g.ph, stride * ox + g.rw * kx - g.pw
                    inside = 0 <= iy < 11 and 0 <= ix < 9
                    expected = xs[i][:, :, 0, iy, ix] if inside else 0
                    np.testing.assert_array_equal(columns[:, at + 3 * kx : at + 3 * kx + 3, 0, oy, ox], expected)


def test_scatter_is_the_adjoint_of_gather():
    gs = geometries()
    shape = (2, stacked_taps.layout(gs).depth, 1, 11, 9)

    def gather(x):
        return np.array(stacked_taps.gather(list(x), gs))

    def scatter(a):
        return np.stack(stacked_taps.scatter(np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1), gs))

    assert adjoint_error(gather, scatter, (3, 2, 3, 1, 11, 9), shape) < 1e-14


def test_filters_come_back(rng):
    gs = geometries()
    weights = [rng.standard_normal((4, 3, 1, 3, 3)) for _ in gs]
    matrix = stacked_taps._matrix(weights, gs)
    np.testing.assert_array_equal(stacked_taps._swapped(weights, gs), matrix.swapaxes(0, 1))
    for w, found in zip(weights, stacked_taps._filters(matrix, gs), strict=True):
        np.testing.assert_array_equal(found, w)


def test_rows_that_are_needed_are_those_with_samples():
    gs = [mirrored(g) for g in geometries((1, 4, 12))]
    laid = stacked_taps.layout(gs)
    found = stacked_taps.needed(gs, laid)
    for i, _, ky, at in laid.rows:
        g = gs[i]
        rows = [oy for oy in range(g.oh) if 0 <= oy + g.rh * ky - g.ph < g.h]
        first, end = found[at]
        assert list(range(first, end)) == rows
        assert (found[at : at + g.kw * g.c] == found[at]).all()


def test_columns_lie_in_the_order_of_their_rows():
    gs = geometries((1, 4, 12))
    moves = [gs[i].rh * ky - gs[i].ph for i, _, ky, _ in stacked_taps.layout(gs).rows]
    assert moves == sorted(moves)


def test_panels_that_nobody_needs_are_left_out(rng):
    width = tile_for(64, np.float32)[2]
    x = rng.standard_normal((1, 8, 1, 40, 7)).astype(np.float32)
    w = rng.standard_normal((3 * width, 8, 1, 1, 1)).astype(np.float32)
    g = conv_geometry(x.shape, w.shape)
    whole = implicit_gemm.forward(x, w, g)
    needs = np.zeros((3 * width, 2), np.int64)
    needs[width : 2 * width] = 0, 40
    needs[2 * width :] = 30, 35
    found = implicit_gemm.forward(x, w, g, needs=needs)
    assert not found[:, :width].any()
    np.testing.assert_array_equal(found[:, width : 2 * width], whole[:, width : 2 * width])
    np.testing.assert_array_equal(found[:, 2 * width :, :, 30:35], whole[:, 2 * width :, :, 30:35])
    # A block above the rows that the last panel needs, while the others need all of them.
    needs[:width] = 0, 40
    found = implicit_gemm.forward(x, w, g, needs=needs)
    np.testing.assert_array_equal(found[:, : 2 * width], whole[:, : 2 * width])
    for row in range(40):
        got, full = (a[0, 2 * width :, 0, row] for a in (found, whole))
        assert not got.any() or np.array_equal(got, full)
