"""The compiled pool and resizing of inference against the layers: sizes, layouts, channels, NaN, threads."""

import numba
import numpy as np
import pytest
from tolerances import assert_close

from atrous.conv.channels_last import is_channels_last
from atrous.layers.inference import max_pool, resize
from atrous.layers.pool import max_pool_forward
from atrous.layers.resize import resize_bilinear

POOLS = [
    (3, {"stride": 2, "rate": 1, "padding": 1, "size_rule": "floor"}),
    (3, {"stride": 2, "rate": 1, "padding": 1, "size_rule": "ceil"}),
    (2, {"stride": 2, "rate": 1, "padding": 0, "size_rule": "caffe"}),
    ((3, 2), {"stride": (1, 3), "rate": (2, 1), "padding": 1, "size_rule": "floor"}),
    (3, {"stride": 2, "rate": 1, "padding": "same_tf", "size_rule": "floor"}),
]


def layouts(x):
    yield x
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


@pytest.mark.parametrize(("kernel", "options"), POOLS)
@pytest.mark.parametrize("channels", [1, 7, 40])
def test_pool(kernel, options, channels, rng):
    x = rng.standard_normal((2, channels, 9, 12)).astype(np.float32)
    x[0, 0, 3, 4], x[1, -1, 0, 0], x[0, 0, 8, 11] = np.nan, -np.inf, np.nan
    expected = max_pool_forward(x, kernel, **options)[0]
    for given in layouts(x):
        found = max_pool(given, kernel, **options)
        assert is_channels_last(found)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(17, 33), (5, 9), (3, 4), (1, 1), (6, 40)])
@pytest.mark.parametrize(("channels", "dtype"), [(1, "f4"), (21, "f4"), (40, "f4"), (33, "f8")])
def test_resize(size, align_corners, channels, dtype, rng):
    x = rng.standard_normal((2, channels, 5, 9)).astype(dtype)
    expected = resize_bilinear(x, size, align_corners=align_corners)
    for given in layouts(x):
        found = resize(given, size, align_corners)
        assert found.dtype == dtype
        assert_close(found, expected, "reordered")


def test_what_is_not_read_does_not_matter(rng):
    x = rng.standard_normal((1, 40, 3, 3)).astype(np.float32)
    x[:, :, 1, 1] = np.nan
    found, expected = resize(x, (5, 5), True), resize_bilinear(x, (5, 5))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert not np.isnan(found).all()


def test_equal_bits_for_any_number_of_threads(rng, monkeypatch):
    monkeypatch.setattr("atrous.jit.threads.LEAST_WORK", 0)
    x = rng.standard_normal((2, 40, 9, 9)).astype(np.float32)
    before = numba.get_num_threads()
    found = []
    for threads in {1, before}:
        numba.set_num_threads(threads)
        found.append((resize(x, (17, 17), True).tobytes(), max_pool(x, 3, **POOLS[0][1]).tobytes()))
    numba.set_num_threads(before)
    assert found[0] == found[-1]
