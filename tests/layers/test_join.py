"""Branches joined: values, gradients, ties, and what does not fit together."""

import numpy as np
import pytest
from directions import assert_gradients
from tolerances import TABLE, assert_close

from atrous import adjoint_error
from atrous.errors import AtrousError, DTypeError, ParameterError, ShapeError
from atrous.layers.join import (
    concat_backward,
    concat_forward,
    max_backward,
    max_forward,
    sum_backward,
    sum_forward,
)

PAIRS = pytest.mark.parametrize(
    ("forward", "backward", "by_numpy"),
    [
        pytest.param(sum_forward, sum_backward, lambda arrays: np.sum(arrays, axis=0), id="sum"),
        pytest.param(max_forward, max_backward, lambda arrays: np.max(arrays, axis=0), id="max"),
        pytest.param(concat_forward, concat_backward, lambda arrays: np.concatenate(arrays, axis=1), id="concat"),
    ],
)


@PAIRS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_values_dtypes_and_untouched_inputs(rng, forward, backward, by_numpy, dtype, count):
    arrays = [rng.standard_normal((2, 3, 4, 5)).astype(dtype) for _ in range(count)]
    given = [a.copy() for a in arrays]
    y, cache = forward(iter(arrays))
    gradients = backward(y, cache)
    assert_close(y, by_numpy(arrays), "reordered")
    assert isinstance(gradients, tuple)
    assert len(gradients) == count
    assert all(g.dtype == y.dtype == dtype and g.shape == a.shape for g, a in zip(gradients, arrays, strict=True))
    assert not any(np.shares_memory(y, a) for a in arrays)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, given, strict=True))


@PAIRS
def test_gradients(rng, forward, backward, by_numpy):
    arrays = [rng.standard_normal((2, 3, 4)) for _ in range(3)]
    assert_gradients(lambda a, b, c: forward([a, b, c]), backward, arrays)


def test_the_sum_and_the_concatenation_have_exact_adjoints():
    shape = (3, 2, 3, 4)
    for forward, backward in ((sum_forward, sum_backward), (concat_forward, concat_backward)):
        cache = forward(np.ones(shape).copy()[i] for i in range(3))[1]
        error = adjoint_error(
            lambda x, forward=forward: forward(list(x))[0],
            lambda dy, backward=backward, cache=cache: np.stack(backward(dy, cache)),
            shape,
        )
        assert error <= TABLE["adjoint"]["float64"]


def test_channels_go_back_to_where_they_came_from(rng):
    arrays = [rng.standard_normal((2, c, 3)) for c in (2, 1, 4)]
    y, cache = concat_forward(arrays)
    assert y.shape == (2, 7, 3)
    assert all(np.array_equal(a, b) for a, b in zip(concat_backward(y, cache), arrays, strict=True))


def test_the_first_of_equal_arrays_takes_the_gradient():
    nan = np.nan
    arrays = [np.array([row]) for row in ([1.0, 2, 3, nan, 1], [3.0, 2, 3, nan, nan], [3.0, 1, 3, 0, 5])]
    y, cache = max_forward(arrays)
    assert np.array_equal(y, [[3, 2, 3, nan, nan]], equal_nan=True)
    assert np.array_equal(
        np.concatenate(max_backward(np.array([[1.0, 2, 4, 8, 16]]), cache)),
        [[0, 2, 4, 8, 0], [1, 0, 0, 0, 16], [0, 0, 0, 0, 0]],
    )


# Bad input

X = np.ones((2, 3, 4))
BAD = [
    ("none", lambda: sum_forward([]), ParameterError, "sum_forward: arrays must hold at least one array"),
    ("one array", lambda: max_forward(X), ParameterError, r"one array of shape \(2, 3, 4\). Pass \[x\]"),
    ("shapes", lambda: sum_forward([X, X[..., 1:]]), ShapeError, r"got \(2, 3, 4\), \(2, 3, 3\)"),
    ("channels", lambda: max_forward([X, X[:, 1:]]), ShapeError, r"got \(2, 3, 4\), \(2, 2, 4\)"),
    ("sizes", lambda: concat_forward([X, X[:, 1:, 1:]]), ShapeError, r"except for the channels C, got .*\(2, 2, 3\)"),
    ("one axis", lambda: concat_forward([X[0, 0]]), ShapeError, r"got \(4,\)"),
    ("dtypes", lambda: sum_forward([X, X.astype("f4")]), DTypeError, r"arrays\[1\] must have the dtype"),
    ("integers", lambda: max_forward([X.astype(int)]), DTypeError, r"arrays\[0\] must be float32 or float64"),
    ("dy", lambda: sum_backward(X[1:], sum_forward([X])[1]), ShapeError, r"\(2, 3, 4\), got \(1, 3, 4\)"),
    ("dy of max", lambda: max_backward(X[1:], max_forward([X])[1]), ShapeError, r"\(2, 3, 4\), got \(1, 3, 4\)"),
    ("dy of concat", lambda: concat_backward(X, concat_forward([X, X])[1]), ShapeError, r"\(2, 6, 4\), got"),
    ("cache", lambda: concat_backward(X, sum_forward([X])[1]), ParameterError, "concat_forward, got SumCache"),
]


@pytest.mark.parametrize(("call", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_bad_input_gives_one_clear_error(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, AtrousError)
