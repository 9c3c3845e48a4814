"""Rectifiers: values and slopes on both sides of their corners. The sigmoid: numbers of any size."""

import numpy as np
import pytest
from directions import assert_gradients

from atrous.errors import AtrousError, DTypeError, ParameterError, ShapeError
from atrous.layers.activation import relu6_backward, relu6_forward, relu_backward, relu_forward
from atrous.layers.sigmoid import sigmoid_backward, sigmoid_forward

PAIRS = [
    pytest.param(relu_forward, relu_backward, [0, 0, 1, 6, 7], [0, 0, 1, 1, 1], id="relu"),
    pytest.param(relu6_forward, relu6_backward, [0, 0, 1, 6, 6], [0, 0, 1, 0, 0], id="relu6"),
]
X = np.array([-1.0, 0, 1, 6, 7])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("forward", "backward", "values", "slopes"), PAIRS)
def test_values_and_slopes(forward, backward, values, slopes, dtype):
    y, cache = forward(X.astype(dtype))
    dx = backward(np.full(5, 3, dtype), cache)
    assert y.dtype == dx.dtype == dtype
    assert np.array_equal(y, values)
    assert np.array_equal(dx, 3 * np.array(slopes))


@pytest.mark.parametrize(("forward", "backward", "values", "slopes"), PAIRS)
def test_gradients(rng, forward, backward, values, slopes):
    assert_gradients(forward, backward, [8 * rng.standard_normal((2, 3, 4, 5))])


@pytest.mark.parametrize(("forward", "backward", "values", "slopes"), PAIRS)
def test_the_cache_is_the_output_and_nan_passes(forward, backward, values, slopes):
    y, cache = forward(np.array([np.nan, np.inf, -np.inf]))
    assert cache.y is y
    assert np.isnan(y[0])
    assert y[2] == 0
    # A gradient that overflowed does not come through a closed gate.
    assert np.array_equal(backward(np.array([2.0, np.nan, np.nan]), cache)[[0, 2]], [2, 0])


BAD = [
    ("integers", lambda: relu_forward(np.ones(3, int)), DTypeError, "relu_forward: x must be float32 or float64"),
    ("empty", lambda: relu6_forward(np.ones((3, 0))), ShapeError, "empty"),
    ("dy shape", lambda: relu_backward(X[1:], relu_forward(X)[1]), ShapeError, r"\(5,\), got \(4,\)"),
    ("dy dtype", lambda: relu6_backward(X.astype("f4"), relu6_forward(X)[1]), DTypeError, "float64, got float32"),
    ("other cache", lambda: relu_backward(X, relu6_forward(X)[1]), ParameterError, "relu_forward, got Relu6Cache"),
    ("no cache", lambda: relu6_backward(X, X), ParameterError, "come from relu6_forward, got ndarray"),
]


@pytest.mark.parametrize(("call", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_bad_input_gives_one_clear_error(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, AtrousError)


def test_sigmoid_of_numbers_of_any_size():
    x = np.array([-1e300, -800.0, -1, 0, 1, 40, 1e300, np.inf, -np.inf, np.nan])
    y, cache = sigmoid_forward(x)
    np.testing.assert_allclose(y, [0, 0, 0.2689414213699951, 0.5, 0.7310585786300049, 1, 1, 1, 0, np.nan], rtol=1e-15)
    assert cache.y is y
    assert sigmoid_forward(np.array([-700.0]))[0] == pytest.approx(np.exp(-700.0), rel=1e-14)
    assert sigmoid_forward(x.clip(-90, 90).astype(np.float32))[0].dtype == np.float32
    assert np.array_equal(sigmoid_backward(np.full(10, 4.0), cache)[[1, 3, 7]], [0, 1, 0])


def test_gradients_of_the_sigmoid(rng):
    assert_gradients(sigmoid_forward, sigmoid_backward, [3 * rng.standard_normal((2, 3, 4))])
