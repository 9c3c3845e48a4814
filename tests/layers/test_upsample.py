"""Transposed bilinear convolution: Caffe's filter, its sizes, the half-pixel grid inside, and the adjoint."""

import math

import numpy as np
import pytest
from directions import assert_gradients
from tolerances import TABLE, assert_close

from atrous import adjoint_error
from atrous.errors import AtrousError, DTypeError, ParameterError, ShapeError
from atrous.layers.resize import resize_bilinear
from atrous.layers.upsample import bilinear_filter, upsample_backward, upsample_forward

FACTORS = pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])


@FACTORS
def test_the_filter_is_caffes(factor):
    taps = 2 * factor - factor % 2
    half = math.ceil(taps / 2)
    centre = (2 * half - 1 - half % 2) / (2.0 * half)
    line = [1 - abs(i / half - centre) for i in range(taps)]
    assert_close(bilinear_filter(factor), np.array([[a * b for b in line] for a in line]), "reordered")
    assert bilinear_filter(factor, np.float32).dtype == np.float32


def by_definition(x, factor):
    """Return x (N, C, H, W) with every sample spread by the filter, and cut."""
    w, p = bilinear_filter(factor), math.ceil((factor - 1) / 2)
    k = len(w)
    height, width = (factor * (n - 1) + k for n in x.shape[2:])
    y = np.zeros((*x.shape[:2], height, width))
    for n, c, i, j in np.ndindex(x.shape):
        y[n, c, factor * i : factor * i + k, factor * j : factor * j + k] += x[n, c, i, j] * w
    return y[:, :, p : height - p, p : width - p]


@FACTORS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_upsampling_spreads_every_sample(rng, factor, dtype):
    x = rng.standard_normal((2, 3, 4, 5)).astype(dtype)
    given = x.copy()
    y, cache = upsample_forward(x, factor)
    assert y.shape == (2, 3, 4 * factor, 5 * factor)
    assert y.dtype == upsample_backward(y, cache).dtype == dtype
    assert_close(y, by_definition(x.astype(float), factor), "reordered")
    inside = (..., slice(factor, -factor), slice(factor, -factor))
    assert_close(y[inside], resize_bilinear(x, y.shape[2:], align_corners=False)[inside], "reordered")
    assert np.array_equal(x, given)
    assert not any(isinstance(part, np.ndarray) for part in cache)


@FACTORS
def test_backward_is_the_adjoint(factor):
    cache = upsample_forward(np.ones((2, 3, 4, 5)), factor)[1]
    error = adjoint_error(
        lambda x: upsample_forward(x, factor)[0], lambda dy: upsample_backward(dy, cache), (2, 3, 4, 5)
    )
    assert error <= TABLE["adjoint"]["float64"]


def test_gradients(rng):
    assert_gradients(lambda x: upsample_forward(x, 2), upsample_backward, [rng.standard_normal((1, 1, 3, 2))])


X = np.ones((1, 2, 3, 4))
BAD = [
    ("three axes", lambda: upsample_forward(X[0], 2), ShapeError, r"\(N, C, H, W\), got shape \(2, 3, 4\)"),
    ("integers", lambda: upsample_forward(X.astype(int), 2), DTypeError, "int64"),
    ("factor", lambda: upsample_forward(X, 0), ParameterError, "factor must be at least 1, got 0"),
    ("half", lambda: bilinear_filter(1.5), ParameterError, "bilinear_filter: factor must be an integer"),
    ("large", lambda: upsample_forward(X, 2**15), ShapeError, "the result"),
    ("dy", lambda: upsample_backward(X, upsample_forward(X, 2)[1]), ShapeError, r"\(1, 2, 6, 8\), got \(1, 2, 3, 4\)"),
    ("cache", lambda: upsample_backward(X, 2), ParameterError, "come from upsample_forward, got int"),
]


@pytest.mark.parametrize(("call", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_bad_input_gives_one_clear_error(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, AtrousError)
