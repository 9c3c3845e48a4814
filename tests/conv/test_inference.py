"""A convolution with what follows it, in one pass: every method and memory layout against separate steps."""

import itertools

import numpy as np
import pytest
from conv.cases import ACTIVATIONS, CASES, Case, usable
from numba import config
from tolerances import TABLE, assert_close

from atrous import atrous_conv, conv_backward, conv_forward, prepare_filter
from atrous.conv.channels_last import empty_map, flat_map, is_channels_last
from atrous.conv.geometry import conv_geometry
from atrous.conv.methods import ONE_THREAD, choose_method
from atrous.conv.operators import conv_in_inference

MORE = [
    Case("several_spans", (1, 70, 30, 30), (150, 70, 3, 3), 2),
    Case("several_depths", (1, 300, 5, 4), (9, 300, 3, 3)),
    Case("strided_groups", (2, 40, 9, 9), (36, 20, 3, 3), 1, 2, "same", 2),
    Case("many_tiles", (1, 32, 65, 65), (32, 32, 3, 3), 2),
    Case("depthwise_lines", (2, 37, 9, 8), (37, 1, 3, 3), (2, 1), 1, "same", 37),
    Case("depthwise_lines_stride", (1, 37, 9, 8), (37, 1, 3, 2), 1, (2, 3), ((2, 0), (0, 1)), 37),
    Case("depthwise_tiles", (1, 70, 9, 21), (70, 1, 5, 5), 2, 1, "same", 70),
    Case("depthwise_tiles_stride", (2, 32, 8, 19), (32, 1, 3, 3), (1, 2), (1, 2), "same", 32),
    Case("depthwise_narrow", (1, 40, 9, 5), (40, 1, 3, 3), 2, 1, "same", 40),
    Case("tail_of_a_group", (1, 42, 9, 11), (42, 21, 3, 3), (2, 1), 1, "same", 2),
]
# Filters that do not stay in the cache, so that a block has several rows.
LARGE = [
    Case("pointwise", (1, 520, 9, 8), (264, 520, 1, 1)),
    Case("pointwise_stride", (1, 520, 9, 8), (264, 520, 1, 1), 1, 2),
    Case("pointwise_row_stride", (2, 520, 9, 8), (264, 520, 1, 1), 1, (2, 1)),
    Case("pointwise_padding", (1, 520, 5, 8), (264, 520, 1, 1), 1, 1, 1),
    Case("taps", (1, 130, 9, 8), (130, 130, 3, 3), 2),
    Case("taps_stride", (1, 130, 9, 8), (130, 130, 3, 3), 1, 2),
]
# (activation, scaled, shifted, added, channels last); every fifth has each value of each too, for plain Python.
EPILOGUES = [*itertools.product(ACTIVATIONS, *[(False, True)] * 4)][:: 5 if config.DISABLE_JIT else 1]


def last(a):
    """Return a copy with the channels last in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)


def in_inference(x, w, *, rate=1, stride=1, padding="same", groups=1, **after):
    g = conv_geometry(x.shape, w.shape, rate=rate, stride=stride, padding=padding, groups=groups)
    return conv_in_inference(x, w, g, **after)


@pytest.mark.parametrize(
    ("case", "method"),
    [
        pytest.param(c, m, id=f"{c.name}-{m}")
        for c in [*CASES, *MORE, *LARGE]
        for m in ("auto", "implicit_gemm", "winograd:4")
        if usable(m, c)
    ],
)
def test_one_pass_equals_separate_steps(case, method, rng):
    x, w, b = case.draw(rng, np.float32)
    y = atrous_conv(*(a.astype(float) for a in (x, w)), **case.options, method="reference")
    scale, add = rng.standard_normal(len(w)).astype(np.float32), rng.standard_normal(y.shape).astype(np.float32)
    column = (-1, *(1,) * (y.ndim - 2))
    for activation, scaled, shifted, added, channels_last in EPILOGUES:
        options = {"activation": activation, "add": (last(add) if channels_last else add) if added else None}
        options |= {"scale": scale if scaled else None, "shift": b if shifted else None}
        expected = y * scale.reshape(column) if scaled else y
        expected = expected + b.reshape(column) if shifted else expected
        expected = expected + add if added else expected
        given = last(x) if channels_last else x
        found = in_inference(given, w, **options, **case.options, method=method)
        assert found.dtype == np.float32
        # Relative to what the activation is of; no slope is above 3/2.
        error = np.abs(found - ACTIVATIONS[activation](expected)).max()
        assert error <= 1.5 * TABLE["winograd"]["float32"] * np.abs(expected).max()


@pytest.mark.parametrize("case", LARGE, ids=lambda c: c.name)
def test_blocks_of_several_rows(case, rng):
    x, w, b = case.draw(rng, np.float32)
    y, cache = conv_forward(x, w, b, **case.options, method="implicit_gemm")
    dy = rng.standard_normal(y.shape).astype(np.float32)
    expected, reference = conv_forward(*(a.astype(float) for a in (x, w, b)), **case.options, method="reference")
    assert_close(y, expected, "reordered")
    for got, wanted in zip(conv_backward(dy, cache), conv_backward(dy.astype(float), reference), strict=True):
        assert_close(got, wanted, "reordered")


@pytest.mark.parametrize("method", ["implicit_gemm", "winograd:4"])
def test_layouts_do_not_change_a_bit(method, rng):
    x, w, b = MORE[3].draw(rng, np.float32)
    y = atrous_conv(x, w, b, rate=2, method=method)
    found = in_inference(x, w, shift=b, rate=2, method=method)
    assert is_channels_last(found)
    np.testing.assert_array_equal(found, y)
    for given in (last(x), np.repeat(last(x), 2, 2)[:, :, ::2], np.repeat(last(x), 2, 1)[:, ::2]):
        np.testing.assert_array_equal(in_inference(given, w, shift=b, rate=2, method=method), y)
    np.testing.assert_array_equal(
        in_inference(x, prepare_filter(w, rate=2, method=method), shift=b, rate=2, method=method), y
    )


def test_maps_lie_as_asked():
    for shape in ((2, 3, 4), (2, 3, 4, 5), (1, 2, 3, 4, 5)):
        for where in (False, True):
            a = empty_map(shape, np.float32) if where else np.empty(shape, np.float32)
            assert a.shape == shape
            assert is_channels_last(a) == where
            a[:] = np.arange(a.size).reshape(shape)
            assert np.shares_memory(flat_map(a), a)
            np.testing.assert_array_equal(flat_map(a), (np.moveaxis(a, 1, -1) if where else a).reshape(-1))


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("n", [1, 3])
def test_one_sample_is_a_plain_sum_without_blas(n, prepared, monkeypatch, rng):
    """BLAS would wake its threads, which then wait against those of the next convolution."""

    def refuse(*arguments, **options):
        raise AssertionError("a matrix product of NumPy")

    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((n, 960, 1, 1), (240, 960, 1, 1)))
    y = atrous_conv(x, w)
    scale, shift = rng.standard_normal((2, 240)).astype(np.float32)
    monkeypatch.setattr("atrous.conv.im2col.forward", refuse)
    given = prepare_filter(w) if prepared else w
    found = in_inference(x, given, scale=scale, shift=shift, activation="hard_swish")
    column = (-1, 1, 1)
    expected = ACTIVATIONS["hard_swish"](y * scale.reshape(column) + shift.reshape(column))
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("size", [7, 33, 65])
@pytest.mark.parametrize("channels", [(40, 21), (128, 21), (16, 64), (3, 16)])
def test_no_method_of_a_network_wakes_the_threads_of_blas(channels, size):
    c, f = channels
    for kernel in (1, 3):
        g = conv_geometry((1, c, size, size), (f, c, kernel, kernel))
        found = choose_method(g, ours=True)
        assert found in ("implicit_gemm", "winograd", "stacked_taps") or (found == "im2col" and g.macs < ONE_THREAD)
