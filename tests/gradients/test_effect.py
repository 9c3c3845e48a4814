"""Inputs without effect: both passes agree about them, and the report says so all the same."""

import json

import numpy as np
import pytest

import atrous
from atrous import assert_gradients, conv_backward, conv_forward, gradcheck


def aspp_that_returns_early(x, w1, w2, w3, w4):
    """Sum two of four branches: the public fault, whose `return` stood one line too early."""
    total = 0
    caches = []
    for branch, w in enumerate((w1, w2, w3, w4)):
        y, cache = conv_forward(x, w, rate=branch + 1)
        caches.append(cache)
        if branch < 2:
            total = total + y
    return total, caches


def its_backward(dy, caches):
    grads = [conv_backward(dy, cache) for cache in caches[:2]]
    zeros = [np.zeros_like(conv_backward(dy, cache).dw) for cache in caches[2:]]
    return sum(g.dx for g in grads), *(g.dw for g in grads), *zeros


def test_branches_that_are_never_returned(rng):
    inputs = [rng.standard_normal((1, 2, 5, 5)), *(rng.standard_normal((2, 2, 3, 3)) for _ in range(4))]
    report = gradcheck(aspp_that_returns_early, its_backward, inputs)
    assert report.ok
    words = "the output does not depend on {}: its gradient is zero at every entry checked."
    assert report.notes == (words.format("w3"), words.format("w4"))
    assert f"  note: {words.format('w3')}" in str(report)
    assert words.format("w4") in report._repr_html_()
    assert json.loads(json.dumps(report.to_dict()))["notes"] == list(report.notes)
    with pytest.raises(AssertionError, match="problem: the output does not depend on w3"):
        assert_gradients(aspp_that_returns_early, its_backward, inputs, unused="error")
    assert gradcheck(aspp_that_returns_early, its_backward, inputs, unused="ignore").notes == ()
    for mode in ("sample", "directional"):
        assert len(gradcheck(aspp_that_returns_early, its_backward, inputs, mode=mode).notes) == 2


def relu_layer(x, w, b):
    y = x @ w + b
    return np.maximum(y, 0), (x, w, y)


def relu_layer_backward(dy, cache):
    x, w, y = cache
    dy = dy * (y > 0)
    return dy @ w.T, x.T @ dy, dy.sum(0)


def test_a_unit_that_is_dead_on_every_sample(rng):
    x, w, b = rng.uniform(0.5, 1, (6, 4)), rng.uniform(0.1, 1, (4, 5)), np.zeros(5)
    assert gradcheck(relu_layer, relu_layer_backward, [x, w, b]).notes == ()
    w[:, [1, 3]] = -1.0
    report = gradcheck(relu_layer, relu_layer_backward, [x, w, b])
    assert report.ok
    (note,) = report.notes
    assert note.startswith("the gradient of w[:, 1], w[:, 3] is zero, though the output changes where they move far")
    assert "dead on every sample?" in note
    w[:] = -1.0
    found = gradcheck(relu_layer, relu_layer_backward, [x, w, b]).notes
    assert len(found) == 3
    assert all("behind units that are dead on every sample" in note for note in found)


def test_an_input_that_only_enters_through_a_comparison(rng):
    x, t = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    report = gradcheck(lambda x, t: (np.where(t > 0, x, 2 * x), t > 0),
                       lambda dy, kept: (np.where(kept, dy, 2 * dy), 0 * dy), [x, t])  # fmt: skip
    assert report.ok
    (note,) = report.notes
    assert note.startswith("the gradient of t is zero at every entry checked, though the output changes where t moves")


def test_what_is_no_fault_is_not_mentioned(rng):
    """Pixels between the samples of a stride, entries that are no maximum, negative entries of a ReLU."""
    x, w = rng.standard_normal((1, 2, 7, 7)), rng.standard_normal((2, 2, 1, 1))
    strided = gradcheck(lambda x, w: conv_forward(x, w, stride=3), lambda dy, c: conv_backward(dy, c)[:2], [x, w])
    assert strided.ok
    assert strided.notes == ()
    pooled = gradcheck(lambda x: atrous.max_pool_forward(x, 3), atrous.max_pool_backward, [x])
    assert pooled.ok
    assert pooled.notes == ()
    assert gradcheck(lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * (x > 0), [rng.standard_normal(9)]).notes == ()


def test_the_option_is_checked(rng):
    with pytest.raises(atrous.ParameterError, match="unused must be one of"):
        gradcheck(lambda x: x, lambda dy, x: dy, [rng.standard_normal(3)], unused="maybe")


def test_an_adjoint_of_billions_is_refused():
    with pytest.raises(atrous.ParameterError, match=r"x_shape has 2.15e.09 numbers; at most 6.71e.07"):
        atrous.adjoint_error(lambda x: x, lambda y: y, 2**31)
    assert atrous.adjoint_error(lambda x: x, lambda y: y, 5) < 1e-15
