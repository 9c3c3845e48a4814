"""The compiled cross-entropy against the NumPy form: values, gradients, NaN, bits for any number of threads."""

import numpy as np
import pytest
from numba import config, get_num_threads, set_num_threads

from atrous.layers import loss, training_loss
from atrous.layers.training_loss import BLOCK

CASES = {
    "one position": (1, 2, (1,)),
    "blocks with a rest": (2, 5, (3 * BLOCK + 7,)),
    "images": (3, 21, (17, 19)),
    "one class": (2, 1, (4, 5)),
}
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}


def drawn(rng, case, dtype):
    n, classes, size = CASES[case]
    logits = (4 * rng.standard_normal((n, classes, *size))).astype(dtype)
    labels = rng.integers(0, classes, (n, *size)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.2] = 255
    labels.flat[0] = 0
    return logits, labels


def passes(logits, labels, weights, module):
    """Return (loss, gradient) by the passes of a module."""
    found, cache = loss._forward("test", logits, labels, 255, weights, module.PASSES)
    return found, loss._backward("test", 0.7, cache, module.PASSES)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("weighted", [False, True])
def test_it_equals_the_numpy_form(case, dtype, weighted, rng):
    logits, labels = drawn(rng, case, dtype)
    weights = 0.5 + rng.random(logits.shape[1]) if weighted else None
    (found, gradient), (expected, wanted) = (passes(logits, labels, weights, m) for m in (training_loss, loss))
    assert found == pytest.approx(expected, rel=TOLERANCE[dtype], abs=TOLERANCE[dtype])
    assert gradient.dtype == wanted.dtype
    np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=TOLERANCE[dtype] * np.abs(wanted).max())


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_reach_what_they_reach_in_numpy(dtype, odd, rng):
    logits, labels = drawn(rng, "images", dtype)
    logits[0, 3, 2, 2] = logits[1, 4, 5, 5] = logits[2, :, 7, 7] = odd
    labels[0, 2, 2], labels[1, 5, 5], labels[2, 7, 7] = 1, 255, 2
    (found, gradient), (expected, wanted) = (passes(logits, labels, None, m) for m in (training_loss, loss))
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype])
    np.testing.assert_array_equal(np.isnan(gradient), np.isnan(wanted))
    assert not gradient[1, :, 5, 5].any()


def test_far_logits_neither_overflow_nor_vanish():
    logits = np.array([[[0.0, 1e4, -1e4], [1e4, 0.0, 88.0]]], np.float32)
    labels = np.zeros((1, 3), int)
    (found, gradient), (expected, wanted) = (passes(logits, labels, None, m) for m in (training_loss, loss))
    assert found == pytest.approx(expected)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-6)


def test_any_layout_of_memory(rng):
    logits, labels = drawn(rng, "images", np.float32)
    found = passes(logits, labels, None, training_loss)
    turned = np.asfortranarray(logits), np.asfortranarray(labels)
    other = passes(*turned, None, training_loss)
    assert found[0] == other[0]
    np.testing.assert_array_equal(found[1], other[1])


@pytest.mark.skipif(config.DISABLE_JIT or get_num_threads() == 1, reason="one thread")
def test_equal_bits_for_any_number_of_threads(monkeypatch, rng):
    monkeypatch.setattr("atrous.jit.threads.LEAST_WORK", 0)
    logits, labels = drawn(rng, "blocks with a rest", np.float32)
    before, found = get_num_threads(), []
    try:
        for threads in (1, before):
            set_num_threads(threads)
            found.append(passes(logits, labels, None, training_loss))
    finally:
        set_num_threads(before)
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("resize", ["labels", "logits"])
def test_the_segmentation_loss(resize, rng):
    logits = rng.standard_normal((2, 4, 5, 6)).astype(np.float32)
    labels = rng.integers(0, 4, (2, 33, 41))
    (found, gradient), (expected, wanted) = (
        (m.segmentation_loss_forward(logits, labels, resize=resize), m.segmentation_loss_backward)
        for m in (training_loss, loss)
    )
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    np.testing.assert_allclose(gradient(1.0, found[1]), wanted(1.0, expected[1]), rtol=1e-4, atol=1e-8)
