"""Every method on one case table: equal to the reference, to its own adjoint, to exact integers, to NaN's reach."""

import numba
import numpy as np
import pytest
from conv.cases import BY_NAME, CASES, Case, random_case, usable, usable_case
from oracles import tensorflow_same, zero_stuff
from tolerances import assert_close

import atrous
from atrous import assert_gradients, atrous_conv, conv_backward, conv_forward
from atrous.conv.geometry import conv_geometry, lift
from atrous.conv.methods import METHODS, method_named
from atrous.conv.padding import resolve_padding, same_tf_padding

NESTED = ("interlace:direct", "interlace:upsampled", "interlace:reference")
USABLE = (*atrous.CONV_METHODS, *NESTED)
# Winograd has a file of its own, where the tests in float64 are slow ones.
USABLE = tuple(m for m in USABLE if m != "winograd")
FAST = tuple(m for m in USABLE if m != "reference")
# The simulator runs some thousand threads a second, and loops without a compiler are no faster: small cases for both.
SLOW = (
    "cuda",
    *(("direct", "interlace:direct", "implicit_gemm", "depthwise") if numba.config.DISABLE_JIT else ()),
)
SMALL = (
    "one_sample",
    "valid_one_output",
    "beyond_input",
    "pointwise_groups",
    "stride6_rate4",
    "wide_padding",
    "1d_stride",
)


def cases_for(method):
    return [c for c in CASES if (method not in SLOW or c.name in SMALL) and usable(method, c)]


def compiled_anew(method, case):
    """Tell whether a case costs a second of compiling: `depthwise` is compiled for each number of taps."""
    return method == "depthwise" and case.w[-2:] != (3, 3)


def every(methods):
    params = [
        pytest.param(m, c, id=f"{m}-{c.name}", marks=pytest.mark.slow if compiled_anew(m, c) else ())
        for m in methods
        for c in cases_for(m)
    ]
    return pytest.mark.parametrize(("method", "case"), params)


def outcome(case, method, x, w, b, dy=None):
    y, cache = conv_forward(x, w, b, **case.options, method=method)
    grads = conv_backward(y if dy is None else dy, cache)
    return y, *grads


def per_axis(value, rank):
    return (value,) * rank if np.ndim(value) == 0 else tuple(value)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_reference_equals_scipy_on_zero_stuffed_filters(case, rng):
    x, w, b = case.draw(rng)
    rank = x.ndim - 2
    rate, stride = per_axis(case.rate, rank), per_axis(case.stride, rank)
    pads = resolve_padding("test", case.padding, w.shape[2:], rate, stride, x.shape[2:])
    expected = zero_stuff.conv(x, w, b, rate, stride, pads, case.groups)
    y = atrous.atrous_conv(x, w, b, **case.options, method="reference")
    assert_close(y, expected, "reordered")


SAME_TF = [case for case in CASES if case.padding == "same_tf"]


@pytest.mark.parametrize("case", SAME_TF, ids=lambda c: c.name)
def test_same_tf_is_what_tensorflow_computes(case, rng):
    x, w, b = case.draw(rng)
    rank = x.ndim - 2
    expected = tensorflow_same.conv(x, w, b, per_axis(case.stride, rank), per_axis(case.rate, rank), case.groups)
    assert_close(atrous.atrous_conv(x, w, b, **case.options), expected, "reordered")


@pytest.mark.parametrize("case", SAME_TF, ids=lambda c: c.name)
def test_gradients_with_same_tf(case, rng):
    def forward(x, w, b):
        return conv_forward(x, w, b, **case.options)

    assert_gradients(forward, conv_backward, case.draw(rng), eps=1e-3)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "rate", "before", "after"),
    [
        (5, 3, 2, 1, 1, 1),
        (6, 3, 2, 1, 0, 1),
        (13, 6, 5, 1, 1, 2),  # the example of TensorFlow's documentation
        (224, 7, 2, 1, 2, 3),
        (7, 1, 2, 1, 0, 0),
        (8, 2, 2, 1, 0, 0),
        (9, 3, 2, 2, 2, 2),
        (10, 3, 2, 2, 1, 2),
        (2, 3, 5, 1, 0, 1),
    ],
)
def test_same_tf_adds_the_zeros_that_tensorflow_adds(size, kernel, stride, rate, before, after):
    options = {"stride": stride, "rate": rate}
    assert same_tf_padding(size, kernel, **options) == (before, after)
    assert atrous.output_size(size, kernel, **options, padding="same_tf") == -(-size // stride)
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 1, size)), rng.standard_normal((1, 1, kernel))
    np.testing.assert_array_equal(
        atrous.atrous_conv(x, w, **options, padding="same_tf"),
        atrous.atrous_conv(x, w, **options, padding=((before, after),)),
    )


@pytest.mark.parametrize(("kernel", "rate"), [(3, 1), (4, 1), (2, 3), (3, 5)])
@pytest.mark.parametrize("size", [1, 5, 6])
def test_same_tf_is_same_at_stride_1(size, kernel, rate):
    assert same_tf_padding(size, kernel, rate=rate) == atrous.same_padding(kernel, rate)


def test_same_tf_differs_from_the_fixed_padding_of_slim():
    x, w = np.arange(1.0, 7).reshape(1, 1, 6), np.ones((1, 1, 3))
    found = [atrous.atrous_conv(x, w, stride=2, padding=p)[0, 0].tolist() for p in ("same_tf", "same", 1)]
    assert found == [[6, 12, 11], [3, 9, 15], [3, 9, 15]]


@every(FAST)
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
def test_method_equals_reference(case, method, dtype, rng):
    x, w, b = case.draw(rng, dtype)
    dy = rng.standard_normal(atrous.atrous_conv(x, w, **case.options, method="reference").shape).astype(dtype)
    expected = outcome(case, "reference", *(a.astype(np.float64) for a in (x, w, b, dy)))
    for a, e in zip(outcome(case, method, x, w, b, dy), expected, strict=True):
        assert a.dtype == dtype
        assert a.flags.c_contiguous
        assert_close(a, e, "reordered")


@every(FAST)
def test_small_integers_give_equal_bits(case, method, rng):
    x, w, b = case.draw(rng, np.float32, integers=True)
    for a, e in zip(outcome(case, method, x, w, b), outcome(case, "reference", x, w, b), strict=True):
        np.testing.assert_array_equal(a, e)


@every(USABLE)
def test_each_map_has_its_exact_adjoint(case, method, rng):
    x, w, _ = case.draw(rng)
    g = conv_geometry(x.shape, w.shape, **case.options)
    maps = method_named("test", method, g, x.dtype)
    x, w = lift(x), lift(w)
    y_shape = (g.n, g.f, *g.out)
    in_x = atrous.adjoint_error(
        lambda a: maps.forward(a, w, g), lambda a: maps.backward_input(a, w, g), x.shape, y_shape
    )
    in_w = atrous.adjoint_error(
        lambda a: maps.forward(x, a, g), lambda a: maps.backward_weight(a, x, g), w.shape, y_shape
    )
    assert max(in_x, in_w) <= 1e-12


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_random_cases(rank, seed, rng):
    case = random_case(rng, rank)
    x, w, b = case.draw(rng)
    expected = outcome(case, "reference", x, w, b)
    for method in FAST:
        if method not in SLOW and usable(method, case):
            for a, e in zip(outcome(case, method, x, w, b, expected[0]), expected, strict=True):
                assert_close(a, e, "reordered")


@pytest.mark.parametrize("method", USABLE)
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
def test_golden_results_of_pytorch(golden, method, dtype):
    for i in range(int(golden["n_cases"])):
        x, w, b, dy = (golden[f"{i}_{name}"].astype(dtype) for name in ("x", "w", "b", "dy"))
        if method in SLOW and dy.size * w[0].size > 12_000:
            continue
        options = {name: tuple(map(int, golden[f"{i}_{name}"])) for name in ("rate", "stride", "padding")}
        case = Case("golden", x.shape, w.shape, **options, groups=int(golden[f"{i}_groups"]))
        if not usable(method, case):
            continue
        y, cache = conv_forward(x, w, b, **case.options, method=method)
        grads = conv_backward(dy, cache)
        without = conv_backward(dy, cache, dx=False)
        assert without.dx is None
        assert all(np.array_equal(a, e) for a, e in zip(without[1:], grads[1:], strict=True) if e is not None)
        for a, name in zip((y, *grads), ("y", "dx", "dw", "db"), strict=True):
            assert_close(a, golden[f"{i}_{name}"], "golden")


@pytest.fixture(scope="module")
def golden():
    from pathlib import Path

    with np.load(Path(__file__).parents[1] / "golden" / "conv.npz") as archive:
        return dict(archive)


# The maps of `upsampled` multiply holes by zero and promise nothing.
CONFINED = tuple(m for m in USABLE if "upsampled" not in m and m not in SLOW)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["rate2", "stride4_rate6", "one_sided", "groups", "1d_stride"])
@pytest.mark.parametrize("method", CONFINED)
def test_nan_and_inf_reach_exactly_the_outputs_that_read_them(method, name, bad, rng):
    case = usable_case(method, name)
    x, w, b = case.draw(rng)
    place = tuple(rng.integers(0, n) for n in x.shape)
    # A tap reads the sample where a unit impulse there changes the output under a filter of ones.
    impulse = np.zeros_like(x)
    impulse[place] = 1
    reads = atrous.atrous_conv(impulse, np.ones_like(w), **case.options, method="reference") != 0
    x[place] = bad
    y, cache = conv_forward(x, w, b, **case.options, method=method)
    np.testing.assert_array_equal(~np.isfinite(y), reads)

    # The outputs that `interlace` crops, and the stacked taps of `shift`, meet the samples as zeros in dw: their
    # docstrings promise y and dx alone.
    if not method.startswith(("interlace", "shift")):
        dy = rng.standard_normal(y.shape)
        dw, expected = (conv_backward(dy, cache._replace(method=m)).dw for m in (method, "reference"))
        np.testing.assert_array_equal(~np.isfinite(dw), ~np.isfinite(expected))

    x, w, b = case.draw(rng)
    y, cache = conv_forward(x, w, b, **case.options, method=method)
    place = tuple(rng.integers(0, n) for n in y.shape)
    dy = np.zeros_like(y)
    dy[place] = 1
    fed = conv_backward(dy, conv_forward(x, np.ones_like(w), b, **case.options, method="reference")[1]).dx != 0
    dy = rng.standard_normal(y.shape)
    dy[place] = bad
    np.testing.assert_array_equal(~np.isfinite(conv_backward(dy, cache).dx), fed)


def test_auto_looks_at_channels_and_at_taps_on_zeros():
    from atrous.conv.methods import choose_method

    def chosen(c, f, n, rate, dtype="float32", which="forward", **options):
        return choose_method(conv_geometry((1, c, n, n), (f, c, 3, 3), rate=rate, **options), dtype, which)

    assert chosen(512, 1024, 41, 12) == chosen(512, 512, 65, 2) == chosen(512, 512, 65, 2, which="dw") == "winograd"
    assert chosen(512, 512, 65, 2, "float64") == "implicit_gemm"
    assert chosen(256, 256, 65, 60) == "implicit_gemm"  # most taps are on zeros
    assert chosen(512, 1024, 41, 12, stride=2) == "implicit_gemm"
    assert chosen(3, 64, 129, 12) == "im2col"

    assert choose_method(conv_geometry((1, 400, 65, 65), (400, 1, 3, 3), groups=400)) == "depthwise"
    assert choose_method(conv_geometry((1, 4, 5, 5), (8, 1, 3, 3), groups=4)) == "direct"
    assert chosen(20, 64, 9, 1) == "im2col"  # little to do
    assert chosen(64, 64, 9, 1) == chosen(20, 64, 9, 1, which="dw") == "implicit_gemm"  # but many channels
    assert choose_method(conv_geometry((1, 256, 9, 9), (64, 256, 1, 1))) == "im2col"
    assert choose_method(conv_geometry((1, 4, 5, 5), (8, 1, 3, 3), stride=2, groups=4)) == "direct"
    assert choose_method(conv_geometry((1, 4, 5, 5), (8, 2, 3, 3), groups=2)) == "im2col"
    assert choose_method(conv_geometry((1, 1, 5, 5), (8, 1, 3, 3))) == "im2col"


def test_auto_chooses_the_gradient_of_the_filters_by_itself(monkeypatch):
    from atrous.conv import im2col, implicit_gemm, methods

    monkeypatch.setattr(
        methods, "choose_method", lambda g, dtype, which, ours: "im2col" if which == "dw" else "implicit_gemm"
    )
    monkeypatch.setattr(methods, "_quiet", lambda module, name, option: getattr(module, name))
    found = method_named("test_auto_chooses", "auto", conv_geometry((1, 8, 9, 9), (8, 8, 3, 3)), "float32")
    assert found[:3] == (implicit_gemm.forward, implicit_gemm.backward_input, im2col.backward_weight)
    assert found.prepares


def test_auto_keeps_winograd_for_float32():
    x, w = np.zeros((1, 64, 32, 32)), np.ones((64, 64, 3, 3))
    x[0, 0, 8, 8] = 1 / 3

    def by_name(name, dtype):
        return atrous_conv(x.astype(dtype), w.astype(dtype), rate=2, method=name)

    assert np.array_equal(by_name("auto", "f8"), by_name("exact", "f8"))
    assert np.array_equal(by_name("auto", "f4"), by_name("winograd", "f4"))
    assert not np.array_equal(by_name("auto", "f4"), by_name("exact", "f4"))


def test_methods_usable_here_are_listed():
    assert set(atrous.CONV_METHODS) >= set(METHODS[:-1])
    assert ("cuda" in atrous.CONV_METHODS) == (atrous.jit.gpu.why_not() is None)


@pytest.mark.parametrize("method", ["im2col", "interlace", "direct"])
def test_blocks_of_columns_change_nothing(method, rng, monkeypatch):
    from atrous.conv import im2col

    case = BY_NAME["groups"]
    x, w, b = case.draw(rng)
    whole = outcome(case, method, x, w, b)
    monkeypatch.setattr(im2col, "BLOCK_BYTES", 1)
    monkeypatch.setattr(im2col, "BLOCK_COLUMNS", 5)
    for a, e in zip(outcome(case, method, x, w, b, whole[0]), whole, strict=True):
        assert_close(a, e, "reordered")


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="threads exist in compiled loops only")
@pytest.mark.parametrize("method", ["direct", "implicit_gemm", "stacked_taps"])
def test_the_same_bits_for_any_number_of_threads(method, rng, monkeypatch):
    monkeypatch.setattr("atrous.jit.threads.LEAST_WORK", 0)
    case = BY_NAME["stride2_rate4"]
    x, w, b = case.draw(rng, np.float32)
    results, most = [], numba.get_num_threads()
    try:
        for threads in {1, most}:
            numba.set_num_threads(threads)
            results.append(outcome(case, method, x, w, b))
    finally:
        numba.set_num_threads(most)
    for other in results[1:]:
        for a, e in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(a, e)
