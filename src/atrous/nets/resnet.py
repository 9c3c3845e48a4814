"""ResNets of bottleneck units with any output stride, in three conventions of where a stage keeps its stride.

    caffe         on the first 1×1 of the first unit       (MSRA; DeepLab v2)
    torchvision   on the 3×3 of the first unit             (ResNet v1.5)
    slim          on the 3×3 of the last unit              (TensorFlow; DeepLab v3 and v3+)

Once the strides multiply to the output stride, the next ones are removed and what lies behind them runs at twice the
rate. The three are different networks; each converts exactly.

Role: description.

References
----------
DeepLab v3, arXiv:1706.05587, Sections 3.2 (deeper, cascaded blocks) and 3.2.1 (multi-grid).
"""

from typing import NamedTuple

from atrous.compose.joins import Residual, chain
from atrous.compose.leaves import Pool, Subsample, Tap
from atrous.compose.styles import TORCH
from atrous.errors import ParameterError

UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
CONVENTIONS = ("caffe", "torchvision", "slim")


class ResNetNames(NamedTuple):
    """Names of the convolutions and batch norms: `stem`, and `unit` (stage, unit, piece) with piece 1 to 3 or 0."""

    stem: tuple[str, str]
    unit: object


def torchvision_names(prefix="backbone."):
    """Return torchvision's names; piece 0 is the shortcut."""

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


class Step(NamedTuple):
    """Stride and rate of one unit, and the stride of its shortcut."""

    stride: int
    rate: int


def plan(units, convention, output_stride):
    """Return for each stage the Step of each unit, strides beyond `output_stride` traded for rates."""
    accumulated, rate, stages = 4, 1, []
    if output_stride < 4 or output_stride & (output_stride - 1):
        raise ParameterError(
            f"build: output_stride must be a power of two and at least 4, the stride of a ResNet's first layers, got "
            f"{output_stride}."
        )
    for stage, count in enumerate(units, start=1):
        # slim's last stage has no stride; the others none in their first.
        strided = stage < len(units) if convention == "slim" else stage > 1
        steps = []
        for index in range(1, count + 1):
            stride = 2 if strided and index == (count if convention == "slim" else 1) else 1
            if stride == 2 and accumulated < output_stride:
                accumulated *= 2
                steps.append(Step(2, rate))
                continue
            # caffe's 3×3 stands behind the stride of its unit, the others carry it themselves.
            steps.append(Step(1, rate * stride if convention == "caffe" else rate))
            rate *= stride
        stages.append(steps)
    if accumulated != output_stride:
        raise ParameterError(
            f"build: the strides of {len(units)} stages multiply to {accumulated} only, output_stride={output_stride} "
            "cannot be reached. Lower it, or cascade more blocks (blocks=7)."
        )
    return stages


def _unit(names, stage, index, c, mid, step, convention, multi_grid, tap, frozen):
    """Return a bottleneck unit: 1×1, 3×3, 1×1 beside a shortcut."""
    out = 4 * mid
    first, second = (step.stride, 1) if convention == "caffe" else (1, step.stride)
    named = [names.unit(stage, index, piece) for piece in range(4)]
    body = chain(
        TORCH.conv_norm(*named[1], c, mid, stride=first, frozen=frozen),
        TORCH.conv_norm(*named[2], mid, mid, 3, stride=second, rate=step.rate * multi_grid, frozen=frozen),
        TORCH.conv_norm(*named[3], mid, out, relu=False, frozen=frozen),
        Tap(tap) if tap else None,
    )
    if c != out:
        shortcut = TORCH.conv_norm(*named[0], c, out, stride=step.stride, relu=False, frozen=frozen)
    else:
        shortcut = Subsample(step.stride) if step.stride > 1 else None
    return Residual(body, shortcut, name=names.unit(stage, index, 1)[0].rpartition(".")[0])


def stem(names, width=64, kind="7x7", pool_rule="floor", *, frozen=False):
    """Return the first layers, to stride 4: one 7×7 convolution, or three 3×3 ones, and a max pool."""
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
    units, *, names, convention, output_stride, multi_grid=1, width=64, kind="7x7", pool_rule="floor", tap=None,
    frozen=False,
):  # fmt: skip
    """Return (stages, channels): the stem, then each stage as a chain; stages behind the fourth repeat it.

    `tap` is (stage, unit, name): that unit's last batch norm is left under `name`, before the shortcut is added.
    `frozen` batch norms keep their running statistics, gamma and beta in training.
    """
    if convention not in CONVENTIONS:
        raise ParameterError(f"build: convention must be one of {', '.join(CONVENTIONS)}, got {convention!r}.")
    if tap and units[tap[0] - 1] < tap[1]:
        raise ParameterError(f"build: units must have at least {tap[1]} in stage {tap[0]}, got {tuple(units)}.")
    grid = (multi_grid,) * units[min(3, len(units) - 1)] if isinstance(multi_grid, int) else tuple(multi_grid)
    if len(units) > 3 and len(grid) != units[3]:
        raise ParameterError(f"build: multi_grid needs {units[3]} rates, one for each unit of block 4, got {grid}.")
    stages = [stem(names, width, kind, pool_rule, frozen=frozen)]
    c = 2 * width if kind == "3x3" else width
    for stage, steps in enumerate(plan(units, convention, output_stride), start=1):
        mid, blocks = width * 2 ** min(stage - 1, 3), []
        for index, step in enumerate(steps, start=1):
            here = tap[2] if tap and tap[:2] == (stage, index) else None
            rate = grid[index - 1] if stage >= 4 else 1
            blocks.append(_unit(names, stage, index, c, mid, step, convention, rate, here, frozen))
            c = 4 * mid
        stages.append(chain(*blocks, name=f"block{stage}"))
    return stages, c
