"""MobileNetV2 and MobileNetV3-Large with any output stride: chains of inverted residuals.

A residual unit of ResNet is wide at its ends and narrow in the middle, where its 3×3 is. An inverted residual is the
other way round: the 3×3 (or 5×5) is depthwise, one filter for each channel, so that width costs little there, and the
shortcut joins the narrow ends.

    expand      1×1, batch norm, activation               not if the width stays as it is
    depthwise   3×3 or 5×5, batch norm, activation        has the stride, or the rate
    gate        squeeze and excitation                    in some units of V3
    project     1×1, batch norm                           no activation: the narrow ends are linear

Role: description.

References
----------
Sandler et al., MobileNetV2, arXiv:1801.04381, Section 3, Table 2; Howard et al., MobileNetV3, arXiv:1905.02244,
Section 5, Table 1, and Section 6.4 (half the width in the last units); torchvision's ``mobilenetv2.py`` and
``mobilenetv3.py`` for the names and for MobileNetV3's gates.
"""

from typing import NamedTuple

from atrous.compose.chain import Chain, chain
from atrous.compose.gate import squeeze_excite
from atrous.compose.residual import Residual
from atrous.compose.styles import TORCH
from atrous.conv.output_stride import plan_output_stride
from atrous.conv.receptive_field import Spatial
from atrous.errors import ParameterError

OUTPUT_STRIDES = (4, 8, 16, 32)


class Unit(NamedTuple):
    """An inverted residual: taps of the depthwise convolution, widths, whether it has a gate, activation, stride."""

    kernel: int
    expanded: int
    out: int
    gate: bool
    activation: str
    stride: int


class Names(NamedTuple):
    """How a project names its layers.

    `base` is a function of the number of a unit, 0 for the stem; `piece` stands between unit and layer. The last
    convolution of a unit and its batch norm share a number if they are `nested`, like the others.
    """

    base: object
    piece: str
    nested: bool


# torchvision's; its segmentation networks leave out the word "features".
V2 = Names(lambda i: f"backbone.{i}", "conv", nested=False)
V3 = Names(lambda i: f"backbone.{i}", "block", nested=True)


def rounded(width, multiple=8):
    """Return the multiple nearest to a width, but not less than nine tenths of it and not zero."""
    near = max(multiple, int(width + multiple / 2) // multiple * multiple)
    return near + multiple if near < 0.9 * width else near


def v2_units(multiplier=1.0, multiple=8):
    """Return (width of the stem, units) of MobileNetV2; its last 1×1, which only the classifier reads, is left out."""
    # Times wider in the middle, width, units, stride of the first.
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    stem = c = rounded(32 * multiplier, multiple)
    units = []
    for times, width, count, stride in table:
        for i in range(count):
            out = rounded(width * multiplier, multiple)
            units.append(Unit(3, times * c, out, False, "relu6", stride if i == 0 else 1))
            c = out
    return stem, units


def v3_units(multiplier=1.0, multiple=8, *, reduced_tail=False):
    """Return (width of the stem, units) of MobileNetV3-Large.

    With `reduced_tail` the last block has half the width.
    """
    tail = 2 if reduced_tail else 1
    table = (
        (3, 16, 16, False, "relu", 1),
        (3, 64, 24, False, "relu", 2), (3, 72, 24, False, "relu", 1),
        (5, 72, 40, True, "relu", 2), (5, 120, 40, True, "relu", 1), (5, 120, 40, True, "relu", 1),
        (3, 240, 80, False, "hard_swish", 2), (3, 200, 80, False, "hard_swish", 1),
        (3, 184, 80, False, "hard_swish", 1), (3, 184, 80, False, "hard_swish", 1),
        (3, 480, 112, True, "hard_swish", 1), (3, 672, 112, True, "hard_swish", 1),
        (5, 672, 160 // tail, True, "hard_swish", 2),
        *((5, 960 // tail, 160 // tail, True, "hard_swish", 1),) * 2,
    )  # fmt: skip
    units = [Unit(*row) for row in table]
    widths = ([rounded(n * multiplier, multiple) for n in (unit.expanded, unit.out)] for unit in units)
    units = [unit._replace(expanded=wide, out=out) for unit, (wide, out) in zip(units, widths, strict=True)]
    return rounded(16 * multiplier, multiple), units


def _planned(units, output_stride, even_rates):
    """Return the depthwise convolution of each unit as planned, with its stride and rate."""
    if output_stride not in OUTPUT_STRIDES:
        raise ParameterError(f"build: output_stride of MobileNets must be 4, 8, 16 or 32, got {output_stride}.")
    layout = [Spatial(3, 2), *(Spatial(unit.kernel, unit.stride) for unit in units)]
    planned = plan_output_stride(layout, output_stride)
    if even_rates:
        planned = [
            after._replace(rate=after.rate * before.stride // after.stride)
            for before, after in zip(layout, planned, strict=True)
        ]
    return planned[1:]


def _unit(names, index, unit, c, layer, multiple, norm, inside, *, padded_first):
    """Return unit `index`, from 1; `inside` follows its depthwise convolution."""
    base, wide = f"{names.base(index)}.{names.piece}", unit.expanded
    options, padding, parts = {"activation": unit.activation, **norm}, "same", []
    if wide != c:
        zeros = layer.rate * (unit.kernel // 2) if padded_first else 0
        padding = "valid" if padded_first else "same"
        parts.append(TORCH.conv_norm(f"{base}.0.0", f"{base}.0.1", c, wide, padding=zeros, **options))
    at = len(parts)
    parts += [
        TORCH.conv_norm(
            f"{base}.{at}.0", f"{base}.{at}.1", wide, wide, unit.kernel, groups=wide, stride=layer.stride,
            rate=layer.rate, padding=padding, **options,
        ),
        inside,
    ]  # fmt: skip
    if unit.gate:
        at += 1
        parts.append(squeeze_excite(f"{base}.{at}", wide, rounded(wide // 4, multiple)))
    last = (f"{base}.{at + 1}.0", f"{base}.{at + 1}.1") if names.nested else (f"{base}.{at + 1}", f"{base}.{at + 2}")
    parts.append(TORCH.conv_norm(*last, wide, unit.out, activation=None, **norm))
    body, name = chain(*parts), names.base(index)
    # A unit with a stride has no shortcut, even if the stride is traded for a rate.
    return Residual(body, relu=False, name=name) if unit.stride == 1 and c == unit.out else Chain(body.members, name)


def trunk(
    stem, units, names, *, output_stride, activation, multiple=8, even_rates=False, eps=1e-5, momentum=0.1,
    inside=(0, None), after=(0, None), padded_first=False,
):  # fmt: skip
    """Return the stages, which end where the resolution does in the network without rates.

    `inside` and `after` are (number of a unit, part): a part that follows its depthwise convolution, or the unit. With
    `even_rates`, a convolution whose stride is removed runs at the rate of the layers behind it. With `padded_first`,
    the zeros of a unit's depthwise convolution are put around its input instead, so that the expansion makes other
    numbers of them; the stem has none.
    """
    norm, base = {"eps": eps, "momentum": momentum}, names.base(0)
    options = {"padding": 0 if padded_first else "same", "activation": activation}
    first = TORCH.conv_norm(f"{base}.0", f"{base}.1", 3, stem, 3, stride=2, **options, **norm)
    stages, parts, c = [], [first], stem
    for index, (unit, layer) in enumerate(zip(units, _planned(units, output_stride, even_rates), strict=True), start=1):
        if unit.stride > 1:
            stages.append(chain(*parts, name=f"block{len(stages)}" if stages else "conv1"))
            parts = []
        within, behind = (part if index == at else None for at, part in (inside, after))
        parts += [_unit(names, index, unit, c, layer, multiple, norm, within, padded_first=padded_first), behind]
        c = unit.out
    stages.append(chain(*parts, name=f"block{len(stages)}"))
    return stages
