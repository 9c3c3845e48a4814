"""ResNets with any output stride, of bottleneck units or, up to ResNet-34, of basic ones.

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
from atrous.nets.resnet_layout import BASIC, BOTTLENECK, resnet_chain

UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def kernels(depth):
    """Return the convolutions of a unit of the ResNet of this depth."""
    return BASIC if depth < 50 else BOTTLENECK


def expansion(unit):
    """Return how many times the channels of a unit's 3×3 its output has."""
    return 1 if unit == BASIC else 4


class ResNetNames(NamedTuple):
    """Names of convolutions and batch norms: `stem`, and functions of (stage, unit, piece) and of a number from 1.

    `deep` names the three 3×3 convolutions of the other stem.
    """

    stem: tuple[str, str]
    unit: object
    deep: object = None


def torchvision_names(prefix="backbone."):
    """Return torchvision's names; the pieces of a unit are its convolutions from 1 on, piece 0 is the shortcut."""

    def unit(stage, index, piece):
        base = f"{prefix}layer{stage}.{index - 1}."
        return (f"{base}conv{piece}", f"{base}bn{piece}") if piece else (f"{base}downsample.0", f"{base}downsample.1")

    return ResNetNames(
        (f"{prefix}conv1", f"{prefix}bn1"), unit, lambda i: (f"{prefix}conv1_{i}", f"{prefix}bn1_{i}")
    )  # fmt: skip


def kazuto_names(prefix="base."):
    """Return the names of kazuto1011's DeepLab v2."""
    pieces = ("shortcut", "reduce", "conv3x3", "increase")

    def unit(stage, index, piece):
        base = f"{prefix}layer{stage + 1}.block{index}.{pieces[piece]}"
        return f"{base}.conv", f"{base}.bn"

    return ResNetNames((f"{prefix}layer1.conv1.conv", f"{prefix}layer1.conv1.bn"), unit)


def _planned(units, convention, multi_grid, output_stride, unit, even_rates):
    """Return the planned layers of each stage and unit."""
    if output_stride < 4 or output_stride & (output_stride - 1):
        raise ParameterError(
            f"build: output_stride must be a power of two and at least 4, the stride of a ResNet's first layers, got "
            f"{output_stride}."
        )
    chain = resnet_chain(units, convention=convention, multi_grid=multi_grid, kernels=unit, owner="build")
    total = math.prod(layer.stride for layer in chain)
    if output_stride > total:
        raise ParameterError(
            f"build: the strides of {len(units)} stages multiply to only {total}, so output_stride={output_stride} "
            "cannot be reached. Lower it, or cascade more blocks (blocks=7)."
        )
    planned = plan_output_stride(chain, output_stride)
    if even_rates:
        planned = [
            after._replace(rate=after.rate * before.stride // after.stride)
            for before, after in zip(chain, planned, strict=True)
        ]
    layers = iter(planned[2:])
    return [[[next(layers) for _ in unit] for _ in range(count)] for count in units]


def _unit(names, stage, index, c, mid, layers, endpoint, frozen):
    """Return a unit: its convolutions (1×1, 3×3 and 1×1, or two 3×3), with a shortcut around them."""
    last = len(layers)
    out = mid * expansion(tuple(layer.kernel for layer in layers))
    parts, before = [], c
    for piece, layer in enumerate(layers, start=1):
        after = out if piece == last else mid
        # The planner widens 1×1 convolutions too, which changes nothing.
        rate = layer.rate if layer.kernel > 1 else 1
        named, options = names.unit(stage, index, piece), {"stride": layer.stride, "rate": rate, "frozen": frozen}
        parts.append(
            TORCH.conv_norm(*named, before, after, layer.kernel, activation="relu" if piece < last else None, **options)
        )
        before = after
    body = chain(*parts, Endpoint(endpoint) if endpoint else None)
    stride = math.prod(layer.stride for layer in layers)
    if c != out:
        shortcut = TORCH.conv_norm(*names.unit(stage, index, 0), c, out, stride=stride, activation=None, frozen=frozen)
    else:
        shortcut = Subsample(stride) if stride > 1 else None
    return Residual(body, shortcut, name=names.unit(stage, index, 1)[0].rpartition(".")[0])


def stem(names, width=64, kind="7x7", pool_rule="floor", *, frozen=False):
    """Return the first layers, up to stride 4: one 7×7 convolution or three 3×3 ones, and a max pool.

    The three are as wide as TensorFlow's if `kind` is "3x3", and half as wide, as in ResNet-C, if it is "3x3 narrow".
    """
    if kind == "7x7":
        convs = [TORCH.conv_norm(*names.stem, 3, width, 7, stride=2, frozen=frozen)]
    elif kind in ("3x3", "3x3 narrow"):
        first, last = (width, 2 * width) if kind == "3x3" else (width // 2, width)
        sizes = ((3, first, 2), (first, first, 1), (first, last, 1))
        convs = [
            TORCH.conv_norm(*names.deep(i), c, f, 3, stride=s, frozen=frozen) for i, (c, f, s) in enumerate(sizes, 1)
        ]
    else:
        raise ParameterError(f"build: stem must be '7x7' or '3x3', got {kind!r}.")
    return chain(*convs, Pool("max", 3, 2, 1, 1, pool_rule, "pool1"), name="conv1")


def resnet(
    units, *, names, convention, output_stride, multi_grid=1, width=64, kind="7x7", pool_rule="floor", endpoint=None,
    frozen=False, unit=BOTTLENECK, even_rates=False,
):  # fmt: skip
    """Return (stages, channels): the stem, then each stage as a chain.

    `endpoint` is (stage, unit, name): the result of that unit's last batch norm, before the shortcut is added, gets
    this name. `unit` has the kernels of a unit's convolutions. With `even_rates`, a convolution whose stride is removed
    runs at the rate of the layers behind it, not at the rate that gives the same numbers as the stride did. With
    `frozen`, batch norms keep their running statistics, gamma and beta in training.
    """
    if endpoint and units[endpoint[0] - 1] < endpoint[1]:
        raise ParameterError(
            f"build: units must have at least {endpoint[1]} in stage {endpoint[0]}, got {tuple(units)}."
        )
    stages = [stem(names, width, kind, pool_rule, frozen=frozen)]
    c = 2 * width if kind == "3x3" else width
    planned = _planned(units, convention, multi_grid, output_stride, unit, even_rates)
    for stage, of_units in enumerate(planned, start=1):
        mid, blocks = width * 2 ** min(stage - 1, 3), []
        for index, layers in enumerate(of_units, start=1):
            name = endpoint[2] if endpoint and endpoint[:2] == (stage, index) else None
            blocks.append(_unit(names, stage, index, c, mid, layers, name, frozen))
            c = mid * expansion(unit)
        stages.append(chain(*blocks, name=f"block{stage}"))
    return stages, c
