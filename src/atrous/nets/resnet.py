"""ResNets of bottleneck units with any output stride.

The layout (`resnet_layout`) says where the strides are, the planner (`conv.output_stride`) trades those beyond the
output stride for rates, and this file turns the result into parts.

Role: description.

References
----------
DeepLab v3, arXiv:1706.05587, Section 3.2 (deeper, cascaded blocks).
"""

import math
from typing import NamedTuple

from atrous.compose.chain import chain
from atrous.compose.leaves import Endpoint, Pool, Subsample
from atrous.compose.residual import Residual
from atrous.compose.styles import TORCH
from atrous.conv.output_stride import plan_output_stride
from atrous.errors import ParameterError
from atrous.nets.resnet_layout import resnet_chain

UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class ResNetNames(NamedTuple):
    """Names of convolutions and batch norms: `stem`, and `unit`, a function of (stage, unit, piece)."""

    stem: tuple[str, str]
    unit: object


def torchvision_names(prefix="backbone."):
    """Return torchvision's names; pieces 1 to 3 are the convolutions of a unit, piece 0 is the shortcut."""

    def unit(stage, index, piece):
        base = f"{prefix}layer{stage}.{index - 1}."
        return (f"{base}conv{piece}", f"{base}bn{piece}") if piece else (f"{base}downsample.0", f"{base}downsample.1")

    return ResNetNames((f"{prefix}conv1", f"{prefix}bn1"), unit)


def kazuto_names(prefix="base."):
    """Return the names of kazuto1011's DeepLab v2."""
    pieces = ("shortcut", "reduce", "conv3x3", "increase")

    def unit(stage, index, piece):
        base = f"{prefix}layer{stage + 1}.block{index}.{pieces[piece]}"
        return f"{base}.conv", f"{base}.bn"

    return ResNetNames((f"{prefix}layer1.conv1.conv", f"{prefix}layer1.conv1.bn"), unit)


def _planned(units, convention, multi_grid, output_stride):
    """Return the planned layers of each stage, three for each unit."""
    if output_stride < 4 or output_stride & (output_stride - 1):
        raise ParameterError(
            f"build: output_stride must be a power of two and at least 4, the stride of a ResNet's first layers, got "
            f"{output_stride}."
        )
    chain = resnet_chain(units, convention=convention, multi_grid=multi_grid, owner="build")
    total = math.prod(layer.stride for layer in chain)
    if output_stride > total:
        raise ParameterError(
            f"build: the strides of {len(units)} stages multiply to only {total}, so output_stride={output_stride} "
            "cannot be reached. Lower it, or cascade more blocks (blocks=7)."
        )
    layers = iter(plan_output_stride(chain, output_stride)[2:])
    return [[[next(layers) for _ in range(3)] for _ in range(count)] for count in units]


def _unit(names, stage, index, c, mid, layers, endpoint, frozen):
    """Return a bottleneck unit: 1×1, 3×3 and 1×1, with a shortcut around them."""
    out = 4 * mid
    named = [names.unit(stage, index, piece) for piece in range(4)]
    steps = [{"stride": layer.stride, "frozen": frozen} for layer in layers]
    body = chain(
        TORCH.conv_norm(*named[1], c, mid, **steps[0]),
        TORCH.conv_norm(*named[2], mid, mid, 3, rate=layers[1].rate, **steps[1]),
        TORCH.conv_norm(*named[3], mid, out, relu=False, **steps[2]),
        Endpoint(endpoint) if endpoint else None,
    )
    stride = math.prod(layer.stride for layer in layers)
    if c != out:
        shortcut = TORCH.conv_norm(*named[0], c, out, stride=stride, relu=False, frozen=frozen)
    else:
        shortcut = Subsample(stride) if stride > 1 else None
    return Residual(body, shortcut, name=names.unit(stage, index, 1)[0].rpartition(".")[0])


def stem(names, width=64, kind="7x7", pool_rule="floor", *, frozen=False):
    """Return the first layers, up to stride 4: one 7×7 convolution or three 3×3 ones, and a max pool."""
    conv, norm = names.stem
    if kind == "7x7":
        convs = [TORCH.conv_norm(conv, norm, 3, width, 7, stride=2, frozen=frozen)]
    elif kind == "3x3":
        sizes = ((3, width, 2), (width, width, 1), (width, 2 * width, 1))
        convs = [
            TORCH.conv_norm(f"{conv}_{i}", f"{norm}_{i}", c, f, 3, stride=s, frozen=frozen)
            for i, (c, f, s) in enumerate(sizes, 1)
        ]
    else:
        raise ParameterError(f"build: stem must be '7x7' or '3x3', got {kind!r}.")
    return chain(*convs, Pool("max", 3, 2, 1, 1, pool_rule, "pool1"), name="conv1")


def resnet(
    units, *, names, convention, output_stride, multi_grid=1, width=64, kind="7x7", pool_rule="floor", endpoint=None,
    frozen=False,
):  # fmt: skip
    """Return (stages, channels): the stem, then each stage as a chain.

    `endpoint` is (stage, unit, name): the result of that unit's last batch norm, before the shortcut is added, gets
    this name. With `frozen`, batch norms keep their running statistics, gamma and beta in training.
    """
    if endpoint and units[endpoint[0] - 1] < endpoint[1]:
        raise ParameterError(
            f"build: units must have at least {endpoint[1]} in stage {endpoint[0]}, got {tuple(units)}."
        )
    stages = [stem(names, width, kind, pool_rule, frozen=frozen)]
    c = 2 * width if kind == "3x3" else width
    for stage, planned in enumerate(_planned(units, convention, multi_grid, output_stride), start=1):
        mid, blocks = width * 2 ** min(stage - 1, 3), []
        for index, layers in enumerate(planned, start=1):
            name = endpoint[2] if endpoint and endpoint[:2] == (stage, index) else None
            blocks.append(_unit(names, stage, index, c, mid, layers, name, frozen))
            c = 4 * mid
        stages.append(chain(*blocks, name=f"block{stage}"))
    return stages, c
