"""Batch norm: PyTorch's numbers in training and inference, gradients, the folded form, what stays frozen."""

from pathlib import Path

import numpy as np
import pytest
from directions import assert_gradients
from tolerances import assert_close

from atrous.errors import AtrousError, DTypeError, ParameterError, ShapeError
from atrous.layers.batch_norm import batch_norm_backward, batch_norm_forward, fold_batch_norm

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "layers.npz")


def problem(rng, shape):
    """Return x, gamma, beta, mean and var."""
    channels = shape[1]
    statistics = rng.standard_normal(channels), rng.uniform(0.5, 2, channels)
    return 3 * rng.standard_normal(shape) + 2, rng.standard_normal(channels), rng.standard_normal(channels), *statistics


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_forward_and_backward_equal_pytorch(mode, dtype):
    before = ("rm0", "rv0") if mode == "train" else ("rm", "rv")
    inputs = [GOLDEN[f"bn_{mode}_{name}"].astype(dtype) for name in ("x", "w", "b", *before)]
    given = [a.copy() for a in inputs]
    y, cache, running = batch_norm_forward(*inputs, mode=mode)
    grads = batch_norm_backward(GOLDEN[f"bn_{mode}_dy"].astype(dtype), cache)
    after = ("rm1", "rv1") if mode == "train" else before
    for a, name in zip((y, *running, *grads), ("y", *after, "dx", "dw", "db"), strict=True):
        assert a.dtype == dtype
        assert_close(a, GOLDEN[f"bn_{mode}_{name}"].astype(dtype), "golden")
    assert all(np.array_equal(a, b) for a, b in zip(inputs, given, strict=True))


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("shape", [(4, 3), (3, 2, 5), (2, 3, 4, 3), (2, 2, 2, 3, 2)])
def test_gradients(rng, shape, mode):
    x, gamma, beta, mean, var = problem(rng, shape)
    assert_gradients(
        lambda x, gamma, beta: batch_norm_forward(x, gamma, beta, mean, var, mode=mode)[:2],
        batch_norm_backward,
        [x, gamma, beta],
    )


def test_training_leaves_mean_beta_and_deviation_gamma(rng):
    x, gamma, beta, mean, var = problem(rng, (4, 3, 5, 6))
    y, _, running = batch_norm_forward(x, gamma, beta, mean, var, mode="train", momentum=0.25, eps=0)
    assert_close(y.mean(axis=(0, 2, 3)), beta, "reordered")
    assert_close(y.std(axis=(0, 2, 3)), np.abs(gamma), "reordered")
    assert_close(running[0], 0.75 * mean + 0.25 * x.mean(axis=(0, 2, 3)), "reordered")
    assert_close(running[1], 0.75 * var + 0.25 * x.var(axis=(0, 2, 3), ddof=1), "reordered")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inference_is_one_scale_and_shift(rng, dtype):
    x, *parameters = (a.astype(dtype) for a in problem(rng, (2, 3, 4, 5)))
    scale, shift = fold_batch_norm(*parameters, eps=1e-3)
    assert scale.dtype == shift.dtype == dtype
    y, cache, running = batch_norm_forward(x, *parameters, eps=1e-3)
    assert np.array_equal(y, x * scale[:, None, None] + shift[:, None, None])
    assert cache.x is x
    assert cache.gamma is parameters[0]
    assert all(a is b for a, b in zip(running, parameters[2:], strict=True))
    gamma, beta, mean, var = parameters
    assert_close(y, np.moveaxis(gamma * (np.moveaxis(x, 1, -1) - mean) / np.sqrt(var + 1e-3) + beta, -1, 1), "golden")


def test_frozen_is_inference_without_gradients_of_gamma_and_beta(rng):
    x, *parameters = problem(rng, (2, 3, 4, 5))
    dy = rng.standard_normal(x.shape)
    (y, cache, _), (other, twin, running) = (batch_norm_forward(x, *parameters, mode=m) for m in ("eval", "frozen"))
    dx, dgamma, dbeta = batch_norm_backward(dy, twin)
    assert np.array_equal(y, other)
    assert np.array_equal(dx, batch_norm_backward(dy, cache).dx)
    assert dgamma is None
    assert dbeta is None
    assert all(a is b for a, b in zip(running, parameters[2:], strict=True))


def test_sums_of_float32_are_taken_in_float64(rng):
    # Equal terms, whose rounding errors do not cancel.
    x = (100.1 + rng.choice([-0.0123, 0.0123], (100_000, 2))).astype(np.float32)
    zero, one = np.zeros(2, np.float32), np.ones(2, np.float32)
    _, cache, (mean, var) = batch_norm_forward(x, one, zero, zero, one, mode="train", momentum=1)
    assert_close(mean, x.mean(axis=0, dtype=np.float64), "reordered")
    assert_close(var, x.var(axis=0, dtype=np.float64, ddof=1), "reordered")
    dy = np.full_like(x, 0.1)
    assert_close(batch_norm_backward(dy, cache).dbeta, dy.sum(axis=0, dtype=np.float64), "reordered")


# Bad input

X, V = np.ones((2, 3, 4)), np.ones(3)
ARGUMENTS = (X, V, V, V, V)
BAD = [
    ("one axis", lambda: batch_norm_forward(V, V, V, V, V), ShapeError, r"at least two axes, got shape \(3,\)"),
    ("gamma", lambda: batch_norm_forward(X, V[:2], V, V, V), ShapeError, r"gamma must have shape \(3,\).*got \(2,\)"),
    ("var dtype", lambda: batch_norm_forward(X, V, V, V, V.astype("f4")), DTypeError, "var must have the dtype"),
    ("mode", lambda: batch_norm_forward(*ARGUMENTS, mode="test"), ParameterError, "'frozen'; got 'test'"),
    ("momentum", lambda: batch_norm_forward(*ARGUMENTS, momentum=9), ParameterError, "momentum must be between 0 and"),
    ("eps", lambda: batch_norm_forward(*ARGUMENTS, eps=-1e-5), ParameterError, "eps must be a finite number of at"),
    ("variance", lambda: batch_norm_forward(X, V, V, V, -V), ParameterError, "var .* never negative"),
    ("variance 0", lambda: fold_batch_norm(V, V, V, 0 * V, eps=0), ParameterError, "raise eps"),
    (
        "one value per channel",
        lambda: batch_norm_forward(X[:1, :, :1], V, V, V, V, mode="train"),
        ShapeError,
        r"more than one value per channel, got x of shape \(1, 3, 1\).*eval",
    ),
    ("dy", lambda: batch_norm_backward(X[1:], batch_norm_forward(*ARGUMENTS)[1]), ShapeError, r"got \(1, 3, 4\)"),
    ("cache", lambda: batch_norm_backward(X, None), ParameterError, "come from batch_norm_forward, got NoneType"),
    ("folded beta", lambda: fold_batch_norm(V, V[:1], V, V), ShapeError, "fold_batch_norm: beta must have shape"),
]


@pytest.mark.parametrize(("call", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_bad_input_gives_one_clear_error(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, AtrousError)
