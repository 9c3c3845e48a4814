"""Every method on one case table: equal to the reference, to its own adjoint, to exact integers, to NaN's reach."""

import numba
import numpy as np
import pytest
from conv.cases import BY_NAME, CASES, random_case
from oracles import zero_stuff
from tolerances import assert_close

import atrous
from atrous import conv_backward, conv_forward
from atrous.conv.geometry import conv_geometry, lift
from atrous.conv.methods import METHODS, method_named
from atrous.conv.padding import resolve_padding

NESTED = ("interlace:direct", "interlace:upsampled", "interlace:reference")
USABLE = (*atrous.CONV_METHODS, *NESTED)
FAST = tuple(m for m in USABLE if m != "reference")
# The simulator runs some thousand threads a second, and loops without a compiler are no faster: small cases for both.
SLOW = ("cuda", *(("direct", "interlace:direct") if numba.config.DISABLE_JIT else ()))
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
    return [c for c in CASES if method not in SLOW or c.name in SMALL]


def every(methods):
    return pytest.mark.parametrize(
        ("method", "case"), [pytest.param(m, c, id=f"{m}-{c.name}") for m in methods for c in cases_for(m)]
    )


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
    pads = resolve_padding("test", case.padding, w.shape[2:], rate)
    expected = zero_stuff.conv(x, w, b, rate, stride, pads, case.groups)
    y = atrous.atrous_conv(x, w, b, **case.options, method="reference")
    assert_close(y, expected, "reordered")


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
    maps = method_named("test", method, g)
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
        if method not in SLOW:
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
        y, cache = conv_forward(x, w, b, groups=int(golden[f"{i}_groups"]), method=method, **options)
        for a, name in zip((y, *conv_backward(dy, cache)), ("y", "dx", "dw", "db"), strict=True):
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
    case = BY_NAME[name]
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

    def chosen(c, f, n, rate, **options):
        return choose_method(conv_geometry((1, c, n, n), (f, c, 3, 3), rate=rate, **options))

    assert chosen(512, 1024, 41, 12) == "shift"
    assert chosen(512, 512, 65, 2) == "im2col"
    assert chosen(2048, 21, 129, 2) == "shift"
    assert chosen(64, 64, 41, 12) == "im2col"
    assert chosen(512, 1024, 41, 12, stride=2) == "im2col"

    assert choose_method(conv_geometry((1, 4, 5, 5), (8, 1, 3, 3), groups=4)) == "direct"
    assert choose_method(conv_geometry((1, 4, 5, 5), (8, 2, 3, 3), groups=2)) == "im2col"
    assert choose_method(conv_geometry((1, 1, 5, 5), (8, 1, 3, 3))) == "im2col"


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
def test_direct_gives_the_same_bits_for_any_number_of_threads(rng):
    case = BY_NAME["stride2_rate4"]
    x, w, b = case.draw(rng, np.float32)
    results, most = [], numba.get_num_threads()
    try:
        for threads in {1, most}:
            numba.set_num_threads(threads)
            results.append(outcome(case, "direct", x, w, b))
    finally:
        numba.set_num_threads(most)
    for other in results[1:]:
        for a, e in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(a, e)
