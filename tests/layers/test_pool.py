"""Pooling: PyTorch's numbers, a loop over every window, Caffe's sizes, ties, and the adjoint of the mean."""

from pathlib import Path

import numpy as np
import pytest
from directions import assert_gradients
from oracles import tensorflow_same
from oracles.pooling import pool
from tolerances import TABLE, assert_close

from atrous import adjoint_error
from atrous.errors import AtrousError, DTypeError, ParameterError, ShapeError
from atrous.layers.pool import (
    average_pool_backward,
    average_pool_forward,
    global_average_backward,
    global_average_forward,
    max_pool_backward,
    max_pool_forward,
)

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "layers.npz")
STORED = [
    ("maxpool_k3s2p1", max_pool_forward, max_pool_backward, {"kernel": 3, "stride": 2, "padding": 1}),
    ("maxpool_k3s1p1", max_pool_forward, max_pool_backward, {"kernel": 3, "padding": 1}),
    (
        "maxpool_k3s2p1_ceil",
        max_pool_forward,
        max_pool_backward,
        {"kernel": 3, "stride": 2, "padding": 1, "size_rule": "ceil"},
    ),
    ("avgpool_k3s1p1_countpad", average_pool_forward, average_pool_backward, {"kernel": 3, "padding": 1}),
    ("globalavg", global_average_forward, global_average_backward, {}),
]
# Size, kernel, stride, rate, padding, one number for each axis.
CASES = [
    ((7,), (3,), (2,), (1,), (1,)),
    ((8,), (3,), (2,), (1,), (1,)),
    ((9,), (2,), (3,), (1,), (1,)),
    ((10,), (3,), (1,), (2,), (2,)),
    ((8,), (2,), (2,), (3,), (0,)),
    ((6, 7), (3, 2), (2, 1), (1, 1), (1, 0)),
    ((8, 9), (3, 3), (1, 2), (2, 1), (2, 1)),
    ((2, 2), (3, 3), (2, 2), (1, 1), (1, 1)),
    ((5, 4, 7), (2, 3, 1), (2, 1, 2), (1, 1, 1), (1, 1, 0)),
]
EVERY = pytest.mark.parametrize(("size", "kernel", "stride", "rate", "padding"), CASES)
RULE = pytest.mark.parametrize("rule", ["floor", "ceil", "caffe"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("case", "forward", "backward", "options"), STORED, ids=[row[0] for row in STORED])
def test_forward_and_backward_equal_pytorch(case, forward, backward, options, dtype):
    x, y, dy, dx = (GOLDEN[f"{case}_{name}"] for name in ("x", "y", "dy", "dx"))
    out, cache = forward(x.astype(dtype), **options)
    gradient = backward(dy.astype(dtype), cache)
    assert out.dtype == gradient.dtype == dtype
    assert_close(out, y, "golden")
    assert_close(gradient, dx, "golden")


@RULE
@EVERY
def test_max_pool_equals_a_loop_over_windows(rng, size, kernel, stride, rate, padding, rule):
    # Few values, so that many windows hold their maximum several times.
    x = rng.integers(-2, 3, (2, 2, *size)).astype(float)
    y, cache = max_pool_forward(x, kernel, stride=stride, rate=rate, padding=padding, size_rule=rule)
    dy = rng.integers(1, 100, y.shape).astype(float)
    expected, dx = pool(x, dy, kernel, stride, rate, padding, rule, "max")
    assert np.array_equal(y, expected)
    assert np.array_equal(max_pool_backward(dy, cache), dx)


@RULE
@EVERY
@pytest.mark.parametrize("count_padding", [True, False])
def test_average_pool_equals_a_loop_over_windows(rng, size, kernel, stride, rate, padding, rule, count_padding):
    x = rng.standard_normal((2, 2, *size))
    y, cache = average_pool_forward(
        x, kernel, stride=stride, rate=rate, padding=padding, size_rule=rule, count_padding=count_padding
    )
    dy = rng.standard_normal(y.shape)
    expected, dx = pool(x, dy, kernel, stride, rate, padding, rule, "padded" if count_padding else "samples")
    assert_close(y, expected, "reordered")
    assert_close(average_pool_backward(dy, cache), dx, "reordered")


SAME_TF = [
    ((5,), (3,), (2,), (1,)),
    ((6,), (3,), (2,), (1,)),
    ((13,), (6,), (5,), (1,)),
    ((7, 8), (2, 3), (3, 2), (1, 2)),
    ((4, 5, 6), (3, 1, 2), (2, 3, 2), (1, 1, 1)),
]


@RULE
@pytest.mark.parametrize(("size", "kernel", "stride", "rate"), SAME_TF)
def test_pools_with_same_tf_are_what_tensorflow_computes(rng, size, kernel, stride, rate, rule):
    x, options = rng.standard_normal((2, 2, *size)), {"stride": stride, "rate": rate, "size_rule": rule}
    y, _ = max_pool_forward(x, kernel, **options, padding="same_tf")
    assert np.array_equal(y, tensorflow_same.pool(x, kernel, stride, rate, "max"))
    y, _ = average_pool_forward(x, kernel, **options, padding="same_tf")
    assert_close(y, tensorflow_same.pool(x, kernel, stride, rate, "mean"), "reordered")


@pytest.mark.parametrize("count_padding", [None, True, False])
@pytest.mark.parametrize("padding", ["same_tf", "same", ((0, 1), (2, 0))])
def test_gradients_and_adjoints_with_padding_of_two_widths(rng, padding, count_padding):
    x, options = rng.standard_normal((1, 2, 6, 7)), {"stride": (2, 3), "padding": padding}
    assert_gradients(lambda x: max_pool_forward(x, (3, 4), **options), max_pool_backward, [x])
    options["count_padding"] = count_padding
    assert_gradients(lambda x: average_pool_forward(x, (3, 4), **options), average_pool_backward, [x])
    cache = average_pool_forward(x, (3, 4), **options)[1]
    error = adjoint_error(
        lambda x: average_pool_forward(x, (3, 4), **options)[0], lambda dy: average_pool_backward(dy, cache), x.shape
    )
    assert error <= TABLE["adjoint"]["float64"]


def test_the_words_and_pairs_of_a_convolution_are_paddings_of_a_pool():
    x = np.array([[[3.0, 6, 9, 5]]])

    def mean(kernel, **options):
        return average_pool_forward(x, kernel, stride=2, **options)[0].tolist()

    # Windows (3, 6, 9) and (9, 5, 0) of three taps; with "same" (0, 3, 6) and (6, 9, 5).
    assert mean(3, padding="same_tf") == mean(3, padding=((0, 1),), count_padding=False) == [[[6, 7]]]
    assert mean(3, padding="same_tf", count_padding=True) == mean(3, padding=((0, 1),)) == [[[6, 14 / 3]]]
    assert mean(3, padding="same") == mean(3, padding=1) == [[[3, 20 / 3]]]
    assert mean(3, padding="valid") == mean(3) == [[[6]]]
    # Four taps: one sample of padding before and two behind.
    assert mean(4, padding="same") == mean(4, padding=((1, 2),)) == [[[18 / 4, 20 / 4]]]


@EVERY
def test_the_mean_has_an_exact_adjoint(size, kernel, stride, rate, padding):
    options = {"kernel": kernel, "stride": stride, "rate": rate, "padding": padding, "size_rule": "ceil"}
    for count_padding in (True, False):
        cache = average_pool_forward(np.ones((2, 3, *size)), **options, count_padding=count_padding)[1]
        error = adjoint_error(
            lambda x, c=count_padding: average_pool_forward(x, **options, count_padding=c)[0],
            lambda dy, cache=cache: average_pool_backward(dy, cache),
            (2, 3, *size),
        )
        assert error <= TABLE["adjoint"]["float64"]
    cache = global_average_forward(np.ones((2, 3, *size)))[1]
    error = adjoint_error(
        lambda x: global_average_forward(x)[0], lambda dy: global_average_backward(dy, cache), (2, 3, *size)
    )
    assert error <= TABLE["adjoint"]["float64"]


@pytest.mark.parametrize("case", [CASES[0], CASES[5], CASES[6], CASES[8]])
def test_gradients(rng, case):
    size, kernel, stride, rate, padding = case
    options = {"stride": stride, "rate": rate, "padding": padding, "size_rule": "caffe"}
    x = rng.standard_normal((1, 2, *size))
    assert_gradients(lambda x: max_pool_forward(x, kernel, **options), max_pool_backward, [x])
    assert_gradients(lambda x: average_pool_forward(x, kernel, **options), average_pool_backward, [x])
    assert_gradients(global_average_forward, global_average_backward, [x])


@pytest.mark.parametrize(
    ("size", "floor", "ceil", "caffe"), [(321, 161, 161, 161), (320, 160, 161, 161), (2, 1, 2, 2), (1, 1, 1, 1)]
)
def test_sizes_of_three_taps_two_apart(size, floor, ceil, caffe):
    for rule, expected in (("floor", floor), ("ceil", ceil), ("caffe", caffe)):
        y, _ = max_pool_forward(np.zeros((1, 1, size), np.float32), 3, stride=2, padding=1, size_rule=rule)
        assert y.shape == (1, 1, expected)


def test_the_size_chain_of_the_first_deeplab():
    x = np.zeros((1, 1, 306), np.float32)
    for kernel, stride, padding, expected in ((2, 2, 1, 154), (2, 2, 1, 78), (2, 2, 1, 40), (2, 1, 0, 39)):
        x, _ = max_pool_forward(x, kernel, stride=stride, padding=padding, size_rule="caffe")
        assert x.shape == (1, 1, expected)


def test_with_ceil_no_window_starts_behind_the_input():
    assert max_pool_forward(np.arange(8.0)[None, None], 1, stride=3, size_rule="ceil")[0].tolist() == [[[0, 3, 6]]]


def test_the_first_of_equal_samples_takes_the_gradient_along_rows_first():
    x = np.array([[[[0.0, 1, 0], [1, 1, 0]]]])
    y, cache = max_pool_forward(x, (2, 3))
    assert np.array_equal(max_pool_backward(np.full_like(y, 5), cache), [[[[0, 5, 0], [0, 0, 0]]]])
    lowest = np.full((1, 1, 3), -np.inf)
    y, cache = max_pool_forward(lowest, 3, padding=1)
    assert np.array_equal(y, lowest)
    assert np.array_equal(max_pool_backward(np.array([[[1.0, 2, 4]]]), cache), [[[3, 4, 0]]])


def test_the_mean_of_many_samples_is_summed_in_float64():
    x = np.moveaxis(np.full((1, 400, 400, 2), 0.1, np.float32), -1, 1)
    assert_close(global_average_forward(x)[0], x[:, :, :1, :1], "reordered")


def test_nan_reaches_exactly_the_windows_that_read_it(rng):
    x = rng.standard_normal((1, 1, 7, 7))
    x[0, 0, 2, 4] = np.nan
    read = pool(np.where(np.isnan(x), 1.0, 0.0), None, (3, 3), (2, 1), (1, 2), (1, 2), "floor", "max")[0] > 0
    options = {"stride": (2, 1), "rate": (1, 2), "padding": (1, 2)}
    y, cache = max_pool_forward(x, 3, **options)
    assert np.array_equal(np.isnan(y), read)
    assert max_pool_backward(np.ones_like(y), cache)[0, 0, 2, 4] == read.sum()
    assert np.array_equal(np.isnan(average_pool_forward(x, 3, **options)[0]), read)


def test_caches_refer_and_inputs_stay(rng):
    x = rng.standard_normal((2, 2, 5, 6))
    given = x.copy()
    y, cache = max_pool_forward(x, 3, stride=2)
    assert cache.x is x
    assert cache.y is y
    assert not any(isinstance(part, np.ndarray) for part in average_pool_forward(x, 3)[1])
    assert not np.shares_memory(max_pool_forward(x, 1)[0], x)
    assert not np.shares_memory(average_pool_forward(x, 1)[0], x)
    assert np.array_equal(max_pool_backward(y, cache), max_pool_backward(y, cache))
    assert np.array_equal(x, given)


# Bad input

X = np.ones((1, 2, 5, 6))
BAD = [
    ("two axes", lambda: max_pool_forward(X[0, 0], 2), ShapeError, r"\(N, C, \*S\).*\(5, 6\).*x\[None, None\]"),
    ("integers", lambda: global_average_forward(X.astype(int)), DTypeError, "int64"),
    ("empty", lambda: average_pool_forward(X[:, :0], 2), ShapeError, "empty"),
    ("kernel", lambda: max_pool_forward(X, 0), ParameterError, "kernel must be at least 1, got 0"),
    ("three strides", lambda: max_pool_forward(X, 2, stride=(1, 1, 1)), ParameterError, r"stride.*got \(1, 1, 1\)"),
    ("rate", lambda: average_pool_forward(X, 2, rate=1.5), ParameterError, "rate must be an integer.*got 1.5"),
    ("negative padding", lambda: max_pool_forward(X, 2, padding=-1), ParameterError, "padding must be at least 0"),
    ("much padding", lambda: max_pool_forward(X, 3, padding=2), ParameterError, "spans 3.*at most 1, got 2"),
    (
        "much padding behind",
        lambda: max_pool_forward(X, 3, padding=((1, 2), (1, 1))),
        ParameterError,
        "at most 1, got 2",
    ),
    (
        "padding's name",
        lambda: max_pool_forward(X, 3, padding="SAME"),
        ParameterError,
        "'same_tf', 'valid'; got 'SAME'",
    ),
    ("size rule", lambda: max_pool_forward(X, 3, size_rule="same"), ParameterError, "'caffe'; got 'same'"),
    ("count", lambda: average_pool_forward(X, 3, count_padding=9), ParameterError, "count_padding .* got 9"),
    ("large window", lambda: max_pool_forward(X, 3, rate=3), ShapeError, r"axis 0 spans 7 .*rate 3.* has 5"),
    (
        "caffe's empty window",
        lambda: max_pool_forward(X, 1, stride=(3, 4), size_rule="caffe"),
        ShapeError,
        "axis 0 .* no sample",
    ),
    ("taps around", lambda: max_pool_forward(X[..., :1], 2, rate=(1, 4), padding=(0, 2)), ShapeError, "no sample"),
    ("dy shape", lambda: max_pool_backward(X, max_pool_forward(X, 2)[1]), ShapeError, r"\(1, 2, 4, 5\), got"),
    ("dy of the mean", lambda: average_pool_backward(X, average_pool_forward(X, 2)[1]), ShapeError, r"\(1, 2, 4, 5\)"),
    (
        "dy dtype",
        lambda: global_average_backward(np.ones((1, 2, 1, 1), "f4"), global_average_forward(X)[1]),
        DTypeError,
        "float64, got float32",
    ),
    ("cache", lambda: average_pool_backward(X, max_pool_forward(X, 1)[1]), ParameterError, "average_pool_forward, got"),
]


@pytest.mark.parametrize(("call", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_bad_input_gives_one_clear_error(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, AtrousError)
