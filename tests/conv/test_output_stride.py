"""The output-stride planner: its plans, what it refuses, and that a removed stride changes no number."""

import math

import numpy as np
import pytest
from chains import TRAINED_VGG, convolve, random_chain

from atrous import Spatial, plan_output_stride, resnet_chain
from atrous.errors import ParameterError

# Plans


def test_pools_are_planned_like_convolutions():
    planned = {layer.name: layer[:3] for layer in plan_output_stride(TRAINED_VGG, 8)}
    assert planned["pool3"] == (2, 2, 1)
    assert planned["pool4"] == (2, 1, 1)
    assert planned["conv5_1"] == planned["conv5_3"] == (3, 1, 2)
    assert planned["pool5"] == (2, 1, 2)

    planned = {layer.name: layer[:3] for layer in plan_output_stride(resnet_chain(), 2)}
    assert planned["pool1"] == (3, 1, 1)
    assert planned["1.1.2"] == (3, 1, 2)


def test_explicit_zeros_grow_with_the_rate():
    planned = plan_output_stride([(3, 2, 1, 1), (3, 2, 1, 0), (4, 1, 3, 2)], 2)
    assert [tuple(layer[:4]) for layer in planned] == [(3, 2, 1, 1), (3, 1, 1, 0), (4, 1, 6, 4)]


@pytest.mark.parametrize(
    ("layers", "output_stride", "message"),
    [
        ([(3, 2), (3, 2)], 3, "multiply to 1, then 2, and miss output_stride=3"),
        ([(3, 2), (3, 3)], 4, "multiply to 2, then 6, and miss output_stride=4"),
        ([(3, 4)], 2, "multiply to 1, then 4, and miss output_stride=2"),
        ([(3, 2), (3, 2)], 8, "multiply to 4, less than output_stride=8"),
        ([], 2, "multiply to 1, less than output_stride=2"),
        ([(3, 2)], 0, "output_stride must be at least 1, got 0"),
        ([(3, 2)], 2.0, "output_stride must be an integer, got 2.0"),
        ([(3, 0)], 1, "stride must be at least 1, got 0"),
        ([(0, 1)], 1, "kernel must be at least 1, got 0"),
        ([(3, 1, -2)], 1, "rate must be at least 1, got -2"),
        ([(3, 1, True)], 1, "rate must be an integer, got True"),
    ],
)
def test_impossible_plans_are_refused(layers, output_stride, message):
    with pytest.raises(ParameterError, match=message):
        plan_output_stride(layers, output_stride)


# The noble identity: a removed stride changes no number


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("kernels", [(1, 3, 5), (1, 2, 3, 4)], ids=["odd", "even too"])
@pytest.mark.parametrize("length", [17, 24, 30, 33, 41, 59])
def test_removing_strides_changes_no_number(rank, kernels, length, rng):
    chain = random_chain(rng, kernels=kernels, layers=4)
    chain = [Spatial(3, 2), *chain, Spatial(kernels[1], 2), Spatial(kernels[-1])]
    filters = [rng.standard_normal((2, 2, *(layer.kernel,) * rank)) for layer in chain]
    x = rng.standard_normal((1, 2, *(length - 2 * axis for axis in range(rank))))

    def run(layers):
        y = x
        for layer, w in zip(layers, filters, strict=True):
            y = np.maximum(convolve(y, layer, w / np.sqrt(w[0].size)), -0.1)
        return y

    original = run(chain)
    total = math.prod(layer.stride for layer in chain)
    for output_stride in {1, 2, total // 2}:
        dense = run(plan_output_stride(chain, output_stride))
        removed = total // output_stride
        kept = dense[(..., *(slice(None, None, removed),) * rank)]
        assert kept.shape == original.shape
        assert np.abs(kept - original).max() <= 1e-12 * max(1, np.abs(original).max())
        assert dense.size > original.size
