"""Prepared filters: the same results as from the array, layouts made once, options that may not be contradicted."""

import numpy as np
import pytest
from conv.cases import CASES

import atrous
from atrous import Filter, atrous_conv, conv_backward, conv_forward, prepare_filter
from atrous.conv import implicit_gemm, winograd
from atrous.errors import DTypeError, ParameterError, ShapeError


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
@pytest.mark.parametrize("method", ["auto", "im2col", "implicit_gemm"])
def test_results_are_those_of_the_array(case, method, rng):
    x, w, b = case.draw(rng, np.float32)
    prepared = prepare_filter(w, **case.options, method=method)
    y, cache = conv_forward(x, w, b, **case.options, method=method)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    expected = (y, *conv_backward(dy, cache))
    for _ in range(2):
        y, cache = conv_forward(x, prepared, b)
        for got, wanted in zip((y, *conv_backward(dy, cache)), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(atrous_conv(x, prepared, b), expected[0])
    assert cache.w is prepared


@pytest.mark.parametrize(
    ("module", "layout", "method"),
    [(implicit_gemm, "pack", "implicit_gemm"), (winograd, "transformed", "winograd:4")],
)
def test_layouts_are_made_once_for_all_sizes(module, layout, method, monkeypatch, rng):
    calls, make = [], getattr(module, layout)
    monkeypatch.setattr(module, layout, lambda *a, **k: calls.append(k) or make(*a, **k))
    w = rng.standard_normal((5, 3, 3, 3)).astype(np.float32)
    prepared = prepare_filter(w, rate=2, method=method)
    assert prepared.nbytes == w.nbytes
    for size in (9, 12, 9):
        y, cache = conv_forward(rng.standard_normal((1, 3, size, size)).astype(np.float32), prepared)
        conv_backward(y, cache)
    assert [call["turned"] for call in calls] == [False, True] or len(calls) == 2
    assert prepared.nbytes > 3 * w.nbytes


def test_options_stand_in_the_filter(rng):
    w = rng.standard_normal((4, 2, 3))
    prepared = prepare_filter(w, rate=2, stride=3, padding="valid", groups=2)
    assert repr(prepared) == "Filter((4, 2, 3), float64, rate=2, stride=3, padding='valid', groups=2)"
    assert (prepared.shape, prepared.dtype) == (w.shape, w.dtype)
    assert np.asarray(prepared) is w
    x = rng.standard_normal((1, 4, 20))
    wanted = atrous_conv(x, w, rate=2, stride=3, padding="valid", groups=2)
    np.testing.assert_array_equal(atrous_conv(x, prepared), wanted)
    np.testing.assert_array_equal(atrous_conv(x, prepared, rate=2, groups=2), wanted)
    with pytest.raises(ParameterError, match="prepared with rate=2, got rate=3"):
        atrous_conv(x, prepared, rate=3)
    with pytest.raises(ParameterError, match="prepared with method='auto', got method='im2col'"):
        conv_forward(x, prepared, method="im2col")
    with pytest.raises(DTypeError, match="float32"):
        atrous_conv(x.astype(np.float32), prepared)


@pytest.mark.parametrize(
    ("w", "options", "error", "message"),
    [
        (np.ones((2, 3)), {}, ShapeError, r"w must be .* got shape \(2, 3\)"),
        (np.ones((2, 3, 3), int), {}, DTypeError, "w must be float32 or float64"),
        (np.ones((2, 3, 3)), {"rate": 0}, ParameterError, "rate"),
        (np.ones((2, 3, 3)), {"groups": 4}, ParameterError, "groups"),
        (np.ones((2, 3, 3)), {"padding": "full"}, ParameterError, "padding"),
    ],
)
def test_bad_input_is_refused_at_once(w, options, error, message):
    with pytest.raises(error, match=message):
        prepare_filter(w, **options)


@pytest.mark.parametrize("name", ["tiny_torchvision_deeplabv3_resnet50", "tiny_deeplabv3plus_xception65"])
def test_prepared_networks_give_the_same_scores(name, rng):
    network = atrous.build(name, 3)
    params, state = network.init(rng)
    prepared = network.prepare(params)
    assert sum(isinstance(a, Filter) for a in prepared.values()) > 20
    assert not any(isinstance(a, Filter) for a in params.values())
    for size in (33, 49):
        x = rng.standard_normal((1, 3, size, size)).astype(np.float32)
        expected = network.infer(params, state, x)
        for _ in range(2):
            np.testing.assert_array_equal(network.infer(prepared, state, x), expected)


def test_packed_panels_are_filled_up_with_zeros(rng):
    """Several panels for each thread, so that a panel's room is used before."""
    from atrous.conv import implicit_gemm

    w = rng.standard_normal((37, 5, 1, 3, 2))
    for turned in (False, True):
        packed = implicit_gemm.pack(w, 1, 8, turned=turned)
        columns, depth = (5, 37) if turned else (37, 5)
        panels = -(-columns // 8)
        expected = np.zeros((6, depth, panels * 8))
        expected[:, :, :columns] = w.reshape(37, 5, 6).transpose((2, 0, 1) if turned else (2, 1, 0))
        expected = expected.reshape(6, depth, panels, 8).transpose(0, 2, 1, 3)
        np.testing.assert_array_equal(packed.reshape(6, panels, depth, 8), expected)
