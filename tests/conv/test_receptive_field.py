"""Sizes and receptive fields: against brute force, and against the numbers in the papers."""

import itertools

import numpy as np
import pytest
from chains import BASE, LARGE_FOV, RELEASED, TRAINED_VGG, convolve, random_chain

from atrous import (
    Spatial,
    effective_kernel,
    output_size,
    plan_output_stride,
    receptive_field,
    resnet_chain,
    same_padding,
)
from atrous.errors import ParameterError, ShapeError

KERNELS_AND_RATES = list(itertools.product(range(1, 6), range(1, 5)))


# Sizes


def windows(room, kernel, rate, stride):
    """Count the windows whose taps all lie within `room` samples, by looking at every start."""
    return sum(start + rate * (kernel - 1) < room for start in range(0, room, stride))


@pytest.mark.parametrize(("kernel", "rate"), KERNELS_AND_RATES)
def test_effective_kernel_is_the_span_of_the_taps(kernel, rate):
    taps = [rate * k for k in range(kernel)]
    assert effective_kernel(kernel, rate) == max(taps) - min(taps) + 1


@pytest.mark.parametrize(("kernel", "rate"), KERNELS_AND_RATES)
def test_same_padding_keeps_the_size_and_puts_the_odd_zero_last(kernel, rate):
    before, after = same_padding(kernel, rate)
    assert after - before in (0, 1)
    for size in (1, 2, 7, 30):
        assert windows(size + before + after, kernel, rate, 1) == size


@pytest.mark.parametrize(("kernel", "rate"), KERNELS_AND_RATES)
def test_output_size_counts_windows(kernel, rate):
    pads = {"same": same_padding(kernel, rate), "valid": (0, 0), 3: (3, 3), (0, 4): (0, 4), (5, 1): (5, 1)}
    for size, stride, (padding, pair) in itertools.product(range(1, 14), range(1, 6), pads.items()):
        expected = windows(size + sum(pair), kernel, rate, stride)
        if expected:
            assert output_size(size, kernel, rate=rate, stride=stride, padding=padding) == expected
        else:
            with pytest.raises(ShapeError, match=f"padded input has {size + sum(pair)}"):
                output_size(size, kernel, rate=rate, stride=stride, padding=padding)


def test_output_size_takes_every_form_of_padding():
    for padding in (2, np.int64(2), (2, 2), [2, 2]):
        assert output_size(9, 3, padding=padding) == 11
    for padding in (None, 2.0, "full", -1):
        with pytest.raises(ParameterError, match=f"got {padding!r}"):
            output_size(9, 3, padding=padding)


def sizes(size, layers):
    """Return the sizes along a chain of Spatial, the input's first; `padding` None is "same"."""
    found = [size]
    for layer in layers:
        padding = "same" if layer.padding is None else layer.padding
        found.append(output_size(found[-1], layer.kernel, rate=layer.rate, stride=layer.stride, padding=padding))
    return found


def distinct(values):
    return [value for value, _ in itertools.groupby(values)]


@pytest.mark.parametrize(
    ("size", "layers", "expected"),
    [
        pytest.param(321, LARGE_FOV, [321, 161, 81, 41], id="LargeFOV"),
        pytest.param(513, LARGE_FOV, [513, 257, 129, 65], id="LargeFOV at test"),
        pytest.param(306, BASE, [306, 154, 78, 40, 39], id="first DeepLab"),
        pytest.param(321, plan_output_stride(resnet_chain(), 8), [321, 161, 81, 41], id="ResNet-101"),
        pytest.param(513, plan_output_stride(resnet_chain(), 16), [513, 257, 129, 65, 33], id="ResNet-101 OS 16"),
        pytest.param(385, LARGE_FOV, [385, 193, 97, 49], id="scale 0.75"),
        pytest.param(257, LARGE_FOV, [257, 129, 65, 33], id="scale 0.5"),
    ],
)
def test_size_chains_of_the_papers(size, layers, expected):
    assert distinct(sizes(size, layers)) == expected


# Receptive fields


@pytest.mark.parametrize("seed", range(25))
def test_receptive_field_is_the_reach_of_impulses(seed, rng):
    chain = random_chain(rng, kernels=(1, 2, 3, 4, 5), layers=5, longest_stride=3)
    chain[0] = chain[0]._replace(padding=int(rng.integers(0, chain[0].kernel)))
    field = receptive_field(chain)
    length = 3 * field.size + 2 * field.stride
    # One impulse a batch entry: column i of `reads` shows the input samples that output i reads.
    y = np.eye(length)[:, None, :]
    for layer in chain:
        y = convolve(y, layer, np.ones((1, 1, layer.kernel)))
    reads = y[:, 0] > 0
    whole = 0
    for i, column in enumerate(reads.T):
        centre = field.centre + i * field.stride
        reach = (field.size - 1) / 2
        if centre - reach >= 0 and centre + reach <= length - 1:
            seen = np.flatnonzero(column)
            assert [seen[0], seen[-1]] == [centre - reach, centre + reach]
            whole += 1
    assert whole >= 2


@pytest.mark.parametrize(
    ("kernel", "rate", "nominal", "convolutional"),
    [(7, 4, 224, 404), (4, 4, 128, 308), (4, 8, 224, 404), (3, 12, 224, 404)],
)
def test_fields_of_view_of_table_2(kernel, rate, nominal, convolutional):
    fc6 = Spatial(kernel, rate=rate)
    # The paper counts one cell of pool5 as the 32 samples that it stands for.
    assert receptive_field([Spatial(32, 8), fc6]).size == nominal
    assert receptive_field([*plan_output_stride(TRAINED_VGG, 8), fc6]).size == convolutional


def test_stride_removal_keeps_the_field_of_vgg():
    assert receptive_field(TRAINED_VGG)[:2] == (212, 32)
    for output_stride in (1, 2, 4, 8, 16, 32):
        planned = receptive_field(plan_output_stride(TRAINED_VGG, output_stride))
        assert planned == receptive_field(TRAINED_VGG)._replace(stride=output_stride)


def test_fields_of_the_released_nets():
    assert receptive_field(RELEASED) == (227, 8, 0)
    assert receptive_field(LARGE_FOV[: len(RELEASED) + 1]) == (243, 8, 0)
    assert receptive_field(LARGE_FOV) == (435, 8, 0)


@pytest.mark.parametrize(("rate", "size", "nominal"), [(6, 323, 128), (12, 419, 224), (18, 515, 320), (24, 611, 416)])
def test_fields_of_the_aspp_branches(rate, size, nominal):
    assert receptive_field([*RELEASED, Spatial(3, rate=rate)]).size == size
    assert receptive_field([Spatial(32, 8), Spatial(3, rate=rate)]).size == nominal


@pytest.mark.parametrize("output_stride", [4, 8, 16, 32])
@pytest.mark.parametrize(
    ("units", "multi_grid", "size"),
    [((3, 4, 23, 3), (1, 1, 1), 1027), ((3, 4, 23, 3), (1, 2, 4), 1283), ((3, 4, 6, 3), (1, 1, 1), 483)],
)
def test_fields_of_resnets(units, multi_grid, size, output_stride):
    chain = resnet_chain(units, convention="caffe", multi_grid=multi_grid)
    assert receptive_field(plan_output_stride(chain, output_stride)) == (size, output_stride, 0)
