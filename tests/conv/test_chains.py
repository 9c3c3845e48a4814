"""Sizes, receptive fields and stride removal: against brute force, the papers, and as an identity of numbers."""

import itertools
import math

import numpy as np
import pytest

import atrous
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


def vgg(*, pool, pool4=None, pool5=None, conv5_rate=1):
    """Return VGG-16 up to pool5, with `pool` for the first pools and for those that are not named."""
    stages = [(2, pool), (2, pool), (3, pool), (3, pool4 or pool), (3, pool5 or pool)]
    chain = []
    for number, (convolutions, end) in enumerate(stages, start=1):
        rate = conv5_rate if number == 5 else 1
        chain += [Spatial(3, rate=rate, name=f"conv{number}_{i + 1}") for i in range(convolutions)]
        chain.append(end._replace(name=f"pool{number}"))
    return chain


FLAT_POOL = Spatial(3, 1)
# DeepLab v1 and v2 as released: 3x3 pools, the last two without a stride; and VGG-16 as it was trained.
RELEASED = vgg(pool=Spatial(3, 2), pool4=FLAT_POOL, pool5=FLAT_POOL, conv5_rate=2)
LARGE_FOV = [*RELEASED, FLAT_POOL._replace(name="pool5a"), Spatial(3, rate=12, name="fc6"), Spatial(1), Spatial(1)]
TRAINED_VGG = vgg(pool=Spatial(2, 2))
# The first DeepLab: 2x2 pools with one zero around, fc6 of 4x4 taps.
BASE = [
    *vgg(pool=Spatial(2, 2, padding=1), pool4=Spatial(2, 1, padding=0), pool5=FLAT_POOL, conv5_rate=2),
    Spatial(4, rate=4, padding=6, name="fc6"),
]


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


def convolve(x, layer, w):
    """Run one layer of a chain on x (N, C, *S) with the zeros that its `pad` implies."""
    before = layer.pad
    after = effective_kernel(layer.kernel, layer.rate) - 1 - before
    axes = x.ndim - 2
    return atrous.atrous_conv(x, w, rate=layer.rate, stride=layer.stride, padding=((before, after),) * axes)


def random_chain(rng, *, kernels, layers, longest_stride=2):
    pick = rng.integers
    return [
        Spatial(int(rng.choice(kernels)), int(pick(1, longest_stride + 1)), int(pick(1, 3)))
        for _ in range(int(pick(1, layers + 1)))
    ]


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


# The planner


def stage_rates(chain):
    """Return {stage: the rates of its 3x3 convolutions, unit by unit}."""
    found = {}
    for layer in chain:
        if layer.name.endswith(".2"):
            found.setdefault(int(layer.name.split(".")[0]), []).append(layer.rate)
    return found


TRAINED_RATES = {1: [1] * 3, 2: [1] * 4, 3: [1] * 23, 4: [1] * 3}


@pytest.mark.parametrize("multi_grid", [(1, 1, 1), (1, 2, 4)])
@pytest.mark.parametrize(
    ("convention", "output_stride", "changed"),
    [
        ("caffe", 32, {}),
        ("caffe", 16, {4: [2, 2, 2]}),
        ("caffe", 8, {3: [2] * 23, 4: [4, 4, 4]}),
        ("torchvision", 32, {}),
        ("torchvision", 16, {4: [1, 2, 2]}),
        ("torchvision", 8, {3: [1] + [2] * 22, 4: [2, 4, 4]}),
        ("slim", 32, {}),
        ("slim", 16, {4: [2, 2, 2]}),
        ("slim", 8, {3: [2] * 23, 4: [4, 4, 4]}),
    ],
)
def test_rates_of_the_three_stride_conventions(convention, output_stride, changed, multi_grid):
    chain = resnet_chain(convention=convention, multi_grid=multi_grid)
    planned = plan_output_stride(chain, output_stride)
    expected = {**TRAINED_RATES, **changed}
    expected[4] = [rate * grid for rate, grid in zip(expected[4], multi_grid, strict=True)]
    assert stage_rates(planned) == expected
    assert math.prod(layer.stride for layer in planned) == output_stride
    assert [layer.name for layer in planned] == [layer.name for layer in chain]


@pytest.mark.parametrize(
    ("convention", "strided"),
    [
        ("caffe", ["conv1", "pool1", "2.1.1", "3.1.1", "4.1.1"]),
        ("torchvision", ["conv1", "pool1", "2.1.2", "3.1.2", "4.1.2"]),
        ("slim", ["conv1", "pool1", "1.3.2", "2.4.2", "3.23.2"]),
    ],
)
def test_where_a_convention_keeps_its_strides(convention, strided):
    chain = resnet_chain(convention=convention)
    for output_stride, kept in ((32, 5), (16, 4), (8, 3), (4, 2), (2, 1)):
        planned = plan_output_stride(chain, output_stride)
        assert [layer.name for layer in planned if layer.stride == 2] == strided[:kept]


@pytest.mark.parametrize(("output_stride", "rates"), [(16, [2, 4, 8, 16]), (8, [4, 8, 16, 32])])
def test_rates_of_the_cascade_of_replicas(output_stride, rates):
    chain = resnet_chain((3, 4, 23, 3, 3, 3, 3), convention="slim")
    assert math.prod(layer.stride for layer in chain) == 256
    found = stage_rates(plan_output_stride(chain, output_stride))
    assert [found[block] for block in (4, 5, 6, 7)] == [[rate] * 3 for rate in rates]


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
        ([(3, 2), (3, 2)], 8, "multiply to 4 only; output_stride=8"),
        ([], 2, "multiply to 1 only; output_stride=2"),
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"convention": "keras"}, "one of 'caffe', 'torchvision', 'slim'; got 'keras'"),
        ({"multi_grid": (1, 2)}, r"one rate for each of the 3 units.*got \(1, 2\)"),
    ],
)
def test_impossible_resnets_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        resnet_chain(**options)


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
