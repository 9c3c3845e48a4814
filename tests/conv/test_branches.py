"""Branches of one input, stacked or one by one, against `atrous_conv`: values, gradients, float32 and float64."""

import numpy as np
import pytest
from tolerances import assert_close

from atrous import atrous_conv, branches_backward, branches_forward, conv_backward, conv_forward
from atrous.conv import branches, stacked_taps
from atrous.conv.branches import CHANNELS, FILTERS
from atrous.gradients import adjoint_error

RATES = (1, 2, 5)


@pytest.fixture(params=["neither", "forward", "backward", "both"])
def enough(request, monkeypatch):
    """The directions in which x has channels enough for stacked taps."""
    directions = [d for d in CHANNELS if request.param in (d, "both")]
    monkeypatch.setattr(branches, "CHANNELS", {d: 20 if d in directions else 21 for d in CHANNELS})
    return directions


def draw(rng, f, dtype):
    x = rng.standard_normal((2, 20, 13, 11)).astype(dtype)
    weights = [rng.standard_normal((f, 20, k, k)).astype(dtype) for k in (1, 3, 3)]
    return x, weights, [None, rng.standard_normal(f).astype(dtype), None]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", [3, FILTERS])
def test_each_branch_is_a_convolution(f, dtype, enough, rng):
    x, weights, biases = draw(rng, f, dtype)
    ys, cache = branches_forward(x, weights, biases, rates=RATES)
    dys = [rng.standard_normal(y.shape).astype(dtype) for y in ys]
    dx, dweights, dbiases = branches_backward(dys, cache)
    total = 0
    for i, (w, b, rate) in enumerate(zip(weights, biases, RATES, strict=True)):
        assert_close(ys[i], atrous_conv(x, w, b, rate=rate, method="reference"), "winograd")
        grads = conv_backward(dys[i], conv_forward(x, w, b, rate=rate, method="reference")[1])
        total = total + grads.dx
        assert_close(dweights[i], grads.dw, "winograd")
        assert (dbiases[i] is None) == (b is None)
        assert ys[i].flags.c_contiguous
    assert_close(dx, total, "winograd")


@pytest.mark.parametrize("f", [3, FILTERS])
def test_adjoints(f, enough, rng):
    x, weights, _ = draw(rng, f, np.float64)
    ys, cache = branches_forward(x, weights, rates=RATES)
    sizes = np.cumsum([y.size for y in ys])[:-1]

    def forward(x):
        return np.concatenate([y.reshape(-1) for y in branches_forward(x, weights, rates=RATES)[0]])

    def backward(d):
        parts = (part.reshape(y.shape) for part, y in zip(np.split(d, sizes), ys, strict=True))
        return branches_backward(list(parts), cache)[0]

    assert adjoint_error(forward, backward, x.shape) < 1e-13


@pytest.mark.parametrize(("f", "few"), [(3, True), (FILTERS - 1, True), (FILTERS, False)])
def test_few_filters_of_many_channels_are_stacked(f, few, enough, monkeypatch, rng):
    calls = []
    for name, direction in (("forward_all", "forward"), ("backward_input_all", "backward")):
        function = getattr(stacked_taps, name)
        monkeypatch.setattr(stacked_taps, name, lambda *a, d=direction, f=function: calls.append(d) or f(*a))
    x, weights, _ = draw(rng, f, np.float32)
    branches_backward(*branches_forward(x, weights, rates=RATES))
    assert calls == (enough if few else [])
