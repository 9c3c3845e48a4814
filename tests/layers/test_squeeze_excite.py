"""Squeeze and excitation: the formula by loops, gradients, PyTorch's layers, and refused shapes."""

import numpy as np
import pytest
from directions import assert_gradients

from atrous import ShapeError, squeeze_excite_backward, squeeze_excite_forward


def arrays(rng, dtype=np.float64, axes=2):
    """Return x and the two convolutions, with gates on both sides of their bends and in between."""
    ones = (1,) * axes
    shapes = (3, 4, *(5, 6, 2)[:axes]), (2, 4, *ones), (2,), (4, 2, *ones), (4,)
    return [3 * rng.standard_normal(shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_the_formula_one_channel_at_a_time(rng, axes):
    x, w1, b1, w2, b2 = given = arrays(rng, axes=axes)
    y, _ = squeeze_excite_forward(*given)
    for n in range(3):
        means = [channel.mean() for channel in x[n]]
        squeezed = [max(sum(w.item() * m for w, m in zip(w1[s], means, strict=True)) + b1[s], 0) for s in range(2)]
        for c in range(4):
            logit = sum(w.item() * h for w, h in zip(w2[c], squeezed, strict=True)) + b2[c]
            gate = min(max(logit / 6 + 0.5, 0), 1)
            np.testing.assert_allclose(y[n, c], gate * x[n, c], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_gradients(rng, axes):
    given = arrays(rng, axes=axes)
    _, cache = squeeze_excite_forward(*given)
    open_ = np.abs(cache.logits) < 3
    assert 0 < open_.sum() < open_.size
    assert_gradients(squeeze_excite_forward, squeeze_excite_backward, given)


@pytest.mark.torch
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pytorchs_layers_agree(rng, dtype):
    torch = pytest.importorskip("torch")
    given = arrays(rng, dtype)
    x, w1, b1, w2, b2 = (torch.tensor(a, requires_grad=True) for a in given)
    f = torch.nn.functional
    gate = f.hardsigmoid(f.conv2d(f.relu(f.conv2d(f.adaptive_avg_pool2d(x, 1), w1, b1)), w2, b2))
    wanted = x * gate
    dy = rng.standard_normal(wanted.shape).astype(dtype)
    wanted.backward(torch.tensor(dy))
    y, cache = squeeze_excite_forward(*given)
    # PyTorch divides by 6 in float32, whatever the dtype, in the gradient of its hard sigmoid.
    close = {"rtol": 1e-6, "atol": 1e-5 if dtype == np.float32 else 1e-6}
    np.testing.assert_allclose(y, wanted.detach().numpy(), **close)
    for ours, theirs in zip(squeeze_excite_backward(dy, cache), (x, w1, b1, w2, b2), strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs.grad.numpy(), **close)


@pytest.mark.parametrize("changed", range(1, 5))
def test_shapes_that_do_not_fit_are_named(rng, changed):
    given = arrays(rng)
    given[changed] = given[changed][..., None]
    with pytest.raises(ShapeError, match=f"{('x', 'w1', 'b1', 'w2', 'b2')[changed]} must have shape"):
        squeeze_excite_forward(*given)
