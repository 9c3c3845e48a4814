"""A convolution with what follows it, in one pass: every method and memory layout against separate steps."""

import itertools

import numpy as np
import pytest
from conv.cases import CASES, Case
from tolerances import assert_close

from atrous import atrous_conv, prepare_filter
from atrous.conv.channels_last import empty_map, flat_map, is_channels_last
from atrous.conv.operators import conv_in_inference

MORE = [
    Case("several_spans", (1, 70, 30, 30), (150, 70, 3, 3), 2),
    Case("several_depths", (1, 300, 5, 4), (9, 300, 3, 3)),
    Case("strided_groups", (2, 40, 9, 9), (36, 20, 3, 3), 1, 2, "same", 2),
    Case("many_tiles", (1, 32, 65, 65), (32, 32, 3, 3), 2),
]
AXES = (False, True)


def last(a):
    """Return a copy with the channels last in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)


@pytest.mark.parametrize("case", [*CASES, *MORE], ids=lambda c: c.name)
def test_one_pass_equals_separate_steps(case, rng):
    x, w, b = case.draw(rng, np.float32)
    y = atrous_conv(*(a.astype(float) for a in (x, w)), **case.options, method="reference")
    scale, add = rng.standard_normal(len(w)).astype(np.float32), rng.standard_normal(y.shape).astype(np.float32)
    column = (-1, *(1,) * (y.ndim - 2))
    for relu, scaled, shifted, added, channels_last in itertools.product(AXES, repeat=5):
        options = {"relu": relu, "add": (last(add) if channels_last else add) if added else None}
        options |= {"scale": scale if scaled else None, "shift": b if shifted else None}
        expected = y * scale.reshape(column) if scaled else y
        expected = expected + b.reshape(column) if shifted else expected
        expected = expected + add if added else expected
        found = conv_in_inference(last(x) if channels_last else x, w, **options, **case.options)
        assert found.dtype == np.float32
        assert_close(found, np.maximum(expected, 0) if relu else expected, "winograd")


@pytest.mark.parametrize("method", ["implicit_gemm", "winograd:4"])
def test_layouts_do_not_change_a_bit(method, rng):
    x, w, b = MORE[3].draw(rng, np.float32)
    y = atrous_conv(x, w, b, rate=2, method=method)
    found = conv_in_inference(x, w, shift=b, rate=2, method=method)
    assert is_channels_last(found)
    np.testing.assert_array_equal(found, y)
    for given in (last(x), np.repeat(last(x), 2, 2)[:, :, ::2], np.repeat(last(x), 2, 1)[:, ::2]):
        np.testing.assert_array_equal(conv_in_inference(given, w, shift=b, rate=2, method=method), y)
    np.testing.assert_array_equal(conv_in_inference(x, prepare_filter(w, rate=2, method=method), shift=b), y)


def test_maps_lie_as_asked():
    for shape in ((2, 3, 4), (2, 3, 4, 5), (1, 2, 3, 4, 5)):
        for where in AXES:
            a = empty_map(shape, np.float32) if where else np.empty(shape, np.float32)
            assert a.shape == shape
            assert is_channels_last(a) == where
            a[:] = np.arange(a.size).reshape(shape)
            assert np.shares_memory(flat_map(a), a)
            np.testing.assert_array_equal(flat_map(a), (np.moveaxis(a, 1, -1) if where else a).reshape(-1))
