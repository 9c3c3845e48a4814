"""Hard sigmoid and hard swish: values, slopes on both sides of the bends, gradients, and PyTorch's."""

import numpy as np
import pytest
from directions import assert_gradients

import atrous
from atrous.errors import DTypeError, ParameterError, ShapeError

X = np.array([-4.0, -3, -1.5, 0, 1.5, 3, 4])
PAIRS = [
    pytest.param("hard_sigmoid", [0, 0, 0.25, 0.5, 0.75, 1, 1], [0, 0, 1 / 6, 1 / 6, 1 / 6, 0, 0], id="sigmoid"),
    pytest.param("hard_swish", [0, 0, -0.375, 0, 1.125, 3, 4], [0, 0, 0, 0.5, 1, 1, 1], id="swish"),
]


def both(name):
    """Return the forward and the backward pass."""
    return getattr(atrous, f"{name}_forward"), getattr(atrous, f"{name}_backward")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "values", "slopes"), PAIRS)
def test_values_and_slopes(name, values, slopes, dtype):
    forward, backward = both(name)
    y, cache = forward(X.astype(dtype))
    dx = backward(np.full(len(X), 3, dtype), cache)
    assert y.dtype == dx.dtype == dtype
    np.testing.assert_allclose(y, values, rtol=0, atol=1e-6 if dtype == np.float32 else 1e-15)
    np.testing.assert_allclose(dx, 3 * np.array(slopes), rtol=1e-6)


@pytest.mark.parametrize(("name", "values", "slopes"), PAIRS)
def test_gradients(rng, name, values, slopes):
    x = 4 * rng.standard_normal((2, 3, 4, 5))
    assert min(np.abs(np.abs(x) - 3).min(), 1) > 1e-4
    assert_gradients(*both(name), [x])


@pytest.mark.parametrize(("name", "values", "slopes"), PAIRS)
def test_infinities_and_nan(name, values, slopes):
    forward, backward = both(name)
    y, cache = forward(np.array([-np.inf, np.inf, np.nan]))
    assert y[0] == 0
    assert y[1] == (1 if name == "hard_sigmoid" else np.inf)
    assert np.isnan(y[2])
    # A gradient that overflowed does not come through a closed gate.
    assert backward(np.array([np.nan, 2.0, 2.0]), cache)[0] == 0


@pytest.mark.torch
@pytest.mark.parametrize(("name", "values", "slopes"), PAIRS)
def test_pytorch_agrees_away_from_the_bends(rng, name, values, slopes):
    torch = pytest.importorskip("torch")
    x, dy = 4 * rng.standard_normal((2, 200)), rng.standard_normal((2, 200))
    given = torch.tensor(x, requires_grad=True)
    wanted = getattr(torch.nn.functional, name.replace("_", ""))(given)
    wanted.backward(torch.tensor(dy))
    y, cache = both(name)[0](x)
    np.testing.assert_allclose(y, wanted.detach().numpy(), rtol=0, atol=1e-14)
    # PyTorch divides by 6 in float32, whatever the dtype.
    np.testing.assert_allclose(both(name)[1](dy, cache), given.grad.numpy(), rtol=1e-7, atol=1e-14)


BAD = [
    ("integers", lambda: atrous.hard_swish_forward(np.ones(3, int)), DTypeError, "x must be float32 or float64"),
    ("empty", lambda: atrous.hard_sigmoid_forward(np.ones((3, 0))), ShapeError, "empty"),
    ("dy", lambda: atrous.hard_swish_backward(X[1:], atrous.hard_swish_forward(X)[1]), ShapeError, r"got \(6,\)"),
    ("cache", lambda: atrous.hard_swish_backward(X, atrous.hard_sigmoid_forward(X)[1]), ParameterError, "come from"),
]


@pytest.mark.parametrize(("call", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_bad_input_gives_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
