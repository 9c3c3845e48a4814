"""Where a ResNet has its strides in the three conventions, and the rates that the planner gives it."""

import math

import pytest

from atrous import plan_output_stride, resnet_chain
from atrous.errors import ParameterError


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"convention": "keras"}, "one of 'caffe', 'torchvision', 'slim'; got 'keras'"),
        ({"multi_grid": (1, 2)}, r"needs 3 rates, one for each unit of block 4, got \(1, 2\)"),
    ],
)
def test_impossible_resnets_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        resnet_chain(**options)


def test_multi_grid_is_for_block_4_and_its_repetitions():
    chain = resnet_chain((3, 4, 6, 3, 3), convention="slim", multi_grid=(1, 2, 4))
    assert stage_rates(chain) == {1: [1] * 3, 2: [1] * 4, 3: [1] * 6, 4: [1, 2, 4], 5: [1, 2, 4]}
    assert stage_rates(resnet_chain((2, 3), multi_grid=(1, 2, 3))) == {1: [1, 1], 2: [1, 2, 3]}
    with pytest.raises(ParameterError, match="needs 2 rates, one for each unit of block 5"):
        resnet_chain((3, 4, 6, 3, 2), multi_grid=(1, 2, 4))


def test_basic_units_have_their_stride_on_the_first_convolution():
    chain = resnet_chain((2, 2, 2, 2), kernels=(3, 3))
    assert [(layer.name, layer.kernel) for layer in chain[2:4]] == [("1.1.1", 3), ("1.1.2", 3)]
    assert [layer.name for layer in chain[2:] if layer.stride == 2] == ["2.1.1", "3.1.1", "4.1.1"]
    assert len(chain) == 2 + 2 * 8
