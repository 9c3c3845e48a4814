"""The compiled passes of training against the NumPy forms: values, gradients, NaN, bits for any number of threads."""

import numpy as np
import pytest
from numba import config, get_num_threads, set_num_threads

from atrous.layers import activation, batch_norm, hard_swish, pool, resize, training
from atrous.layers.activation import ReluCache

DTYPES = (np.float32, np.float64)
SHAPES = ((1, 1, 1, 1), (2, 3, 5, 7), (3, 2, 17, 4), (2, 5, 40, 41))
POOLS = [
    {"kernel": 3, "stride": 2, "padding": 1},
    {"kernel": 3, "stride": 2, "padding": 1, "size_rule": "caffe"},
    {"kernel": (2, 3), "stride": (1, 2)},
    {"kernel": 3, "rate": 2, "padding": 2},
    {"kernel": 2, "stride": 2, "size_rule": "ceil"},
]
SIZES = [((5, 7), (9, 13)), ((9, 13), (5, 7)), ((1, 1), (4, 3)), ((6, 6), (6, 6)), ((4, 9), (33, 2))]


def equal(found, expected, dtype):
    if dtype is None:
        np.testing.assert_array_equal(found, expected)
    else:
        tolerance = 200 * np.finfo(dtype).eps
        largest = np.abs(expected[np.isfinite(expected)]).max(initial=0)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * largest)
    assert found.dtype == expected.dtype


def drawn(rng, shape, dtype, ties=False):
    x = rng.standard_normal(shape)
    return (np.round(x) if ties else x).astype(dtype)


@pytest.mark.parametrize("name", ["relu6", "hard_swish"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bounded_activations(rng, shape, dtype, name):
    plain = {"relu6": activation, "hard_swish": hard_swish}[name]
    forward, backward = (getattr(training, f"{name}_{way}") for way in ("forward", "backward"))
    x, dy = 4 * drawn(rng, shape, dtype), drawn(rng, shape, dtype)
    corners = [np.nan, np.inf, -np.inf, 3, -3, 0, 6][: x.size]
    x.flat[: len(corners)] = corners
    (y, cache), (expected, other) = forward(x), getattr(plain, f"{name}_forward")(x)
    tolerance = dtype if name == "hard_swish" else None
    equal(y, expected, tolerance)
    for given in (dy, np.broadcast_to(dy[:, :, :1, :1], shape)):
        for held in (cache, other):
            equal(backward(given, held), getattr(plain, f"{name}_backward")(given, other), tolerance)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_relu(rng, shape, dtype):
    x, side, dy = (4 * drawn(rng, shape, dtype, ties=True) for _ in range(3))
    x.flat[0] = np.nan
    (y, cache), (expected, other) = training.relu_forward(x), activation.relu_forward(x)
    equal(y, expected, None)
    equal(training.relu_backward(dy, cache), activation.relu_backward(dy, other), None)
    equal(training.relu_backward(dy, other), activation.relu_backward(dy, cache), None)
    equal(training.sum_relu(x, side), activation.relu_forward(x + side)[0], None)
    strided = np.broadcast_to(dy[:, :, :1, :1], shape)
    equal(training.relu_backward(strided, ReluCache(y)), activation.relu_backward(strided, other), None)


@pytest.mark.parametrize("options", POOLS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_max_pool(rng, options, dtype):
    options = dict(options)
    kernel = options.pop("kernel")
    for special in (None, np.nan, -np.inf):
        x = drawn(rng, (2, 3, 11, 9), dtype, ties=True)
        if special is not None:
            x[0, 1, 3:6, 4:6] = special
            x[1, 2] = special
        y, cache = training.max_pool_forward(x, kernel, **options)
        expected, other = pool.max_pool_forward(x, kernel, **options)
        equal(y, expected, None)
        dy = drawn(rng, y.shape, dtype, ties=True)
        equal(training.max_pool_backward(dy, cache), pool.max_pool_backward(dy, other), dtype)


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
@pytest.mark.parametrize("mode", batch_norm.MODES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_norm(rng, shape, mode, dtype):
    x, dy = 3 + 2 * drawn(rng, shape, dtype), drawn(rng, shape, dtype)
    gamma, beta, mean = (drawn(rng, shape[1], dtype) for _ in range(3))
    var = 0.5 + rng.random(shape[1]).astype(dtype)
    if mode != "train":
        x.flat[:2] = np.inf, np.nan
    arrays, options = (x, gamma, beta, mean, var), {"mode": mode, "momentum": 0.3}
    y, cache, running = training.batch_norm_forward(*arrays, **options)
    expected, other, told = batch_norm.batch_norm_forward(*arrays, **options)
    equal(y, expected, dtype)
    for found, wanted in zip(running, told, strict=True):
        equal(found, wanted, dtype)
    grads, wanted = training.batch_norm_backward(dy, cache), batch_norm.batch_norm_backward(dy, other)
    for found, expected in zip(grads, wanted, strict=True):
        assert (found is None) == (expected is None)
        if found is not None:
            equal(found, expected, dtype)


def test_the_variance_of_a_large_mean_is_not_lost(rng):
    x = (1000 + rng.standard_normal((2, 1, 64, 64))).astype(np.float32)
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    _, cache, _ = training.batch_norm_forward(x, one, zero, zero, one, mode="train", eps=1e-300)
    found, exact = (cache.mean[0], cache.inverse[0] ** -2), x.astype(float)
    np.testing.assert_allclose(found, (exact.mean(), exact.var()), rtol=1e-7)


@pytest.mark.parametrize(("before", "after"), SIZES)
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bilinear(rng, before, after, align_corners, dtype):
    x = drawn(rng, (2, 3, *before), dtype)
    results = [f(x, after, align_corners=align_corners) for f in (training.bilinear_forward, resize.bilinear_forward)]
    (y, cache), (expected, other) = results
    equal(y, expected, dtype)
    assert cache == other
    dy = drawn(rng, y.shape, dtype)
    dx = training.bilinear_backward(dy, cache)
    equal(dx, resize.bilinear_backward(dy, other), dtype)
    # The adjoint: ⟨dy, R x⟩ = ⟨Rᵀ dy, x⟩.
    assert abs((dy * y).sum(dtype=float) - (dx * x).sum(dtype=float)) < 1e3 * np.finfo(dtype).eps * np.abs(dy * y).sum()


@pytest.mark.skipif(config.DISABLE_JIT or get_num_threads() == 1, reason="one thread")
def test_equal_bits_for_any_number_of_threads(rng, monkeypatch):
    monkeypatch.setattr("atrous.jit.threads.LEAST_WORK", 0)
    x, dy = (drawn(rng, (2, 5, 65, 63), np.float32) for _ in range(2))
    one, zero = np.ones(5, np.float32), np.zeros(5, np.float32)

    def everything():
        y, cache = training.relu_forward(x)
        pooled, windows = training.max_pool_forward(x, 3, stride=2, padding=1)
        normal, statistics, running = training.batch_norm_forward(x, one, zero, zero, one, mode="train")
        large, resized = training.bilinear_forward(x, (80, 90))
        return (
            y, training.relu_backward(dy, cache), training.sum_relu(x, dy), pooled,
            training.max_pool_backward(pooled, windows), normal, *running,
            *training.batch_norm_backward(dy, statistics), large, training.bilinear_backward(large, resized),
        )  # fmt: skip

    before, found = get_num_threads(), []
    try:
        for threads in {1, min(2, before), before}:
            set_num_threads(threads)
            found.append(everything())
    finally:
        set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_variance_of_zero_needs_eps():
    one = np.ones(1)
    with pytest.raises(Exception, match=r"var \+ eps must be positive"):
        training.batch_norm_forward(np.ones((2, 1, 3, 3)), one, one, one, one, mode="train", eps=0.0)


def test_what_is_refused():
    with pytest.raises(Exception, match="relu_backward: dy"):
        training.relu_backward(np.zeros((1, 1, 2, 2)), ReluCache(np.zeros((1, 1, 3, 3))))
