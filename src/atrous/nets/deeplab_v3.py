"""DeepLab v3: batch norm everywhere, atrous convolution in cascade or in parallel, image-level features.

References
----------
Chen et al., arXiv:1706.05587, Section 3; torchvision's ``segmentation/deeplabv3.py`` for its variant.
"""

from atrous.aspp.forms import concatenated
from atrous.compose.chain import chain
from atrous.compose.input_size import ToInputSize
from atrous.compose.leaves import Dropout, Endpoint
from atrous.compose.part import walk
from atrous.compose.side_head import SideHead
from atrous.compose.styles import TORCH
from atrous.errors import ParameterError
from atrous.nets import resnet

# The prefix of VainF's heads.
VAINF = "classifier.classifier"


def aspp_names(prefix, rates, endings=("depthwise", "pointwise")):
    """Return torchvision's names for the ASPP block under `prefix`; `endings` are those of separable convolutions."""
    depthwise, pointwise = endings

    def named(branch, piece):
        if branch == "proj":
            return f"{prefix}.project.{0 if piece == 'conv' else 1}"
        if branch == "pool":
            return f"{prefix}.convs.{rates + 1}.{1 if piece == 'conv' else 2}"
        base = f"{prefix}.convs.{branch}"
        ends = {"conv": "0", "norm": "1", "depthwise": f"0.{depthwise}", "depthwise_norm": f"0.{depthwise}_bn"}
        return f"{base}.{ends.get(piece, f'0.{pointwise}')}"

    return named


def scaled_rates(output_stride, rates=None):
    """Return the rates of ASPP: (6, 12, 18) at output stride 16, in proportion at others (Section 3.3)."""
    if rates is not None:
        return tuple(rates)
    return tuple(max(1, 16 * r // output_stride) for r in (6, 12, 18))


def _units(depth, blocks, units):
    if not 4 <= blocks <= 7:
        raise ParameterError(f"build: blocks must be 4 to 7, got {blocks}.")
    units = units or resnet.UNITS[depth]
    return (*units, *units[3:] * (blocks - 4))


def deeplab_v3(
    classes, *, depth=101, output_stride=16, multi_grid=(1, 2, 4), rates=None, image_pooling=True, blocks=4, aspp=True,
    convention="slim", stem="7x7", units=None, width=64, aspp_width=256,
):  # fmt: skip
    """Return the paper's network: ASPP after block 4, or a cascade of blocks (aspp=False, blocks=7)."""
    stages, c = resnet.resnet(
        _units(depth, blocks, units), names=resnet.torchvision_names(), convention=convention,
        output_stride=output_stride, multi_grid=multi_grid, width=width, kind=stem,
    )  # fmt: skip
    parts = [*stages, Endpoint("features")]
    if aspp:
        rates = scaled_rates(output_stride, rates)
        named = aspp_names("classifier.0", len(rates))
        parts += [concatenated(c, aspp_width, rates, named, pool=image_pooling), Dropout(0.1)]
        c = aspp_width
    scores = TORCH.conv("classifier.4", c, classes, 1, bias=True, sigma=0.01)
    return ToInputSize(chain(*parts, scores, Endpoint("low_logits")))


def side_head(c, classes):
    """Return torchvision's side head, which reads c channels."""
    width = max(1, c // 4)
    body = chain(
        TORCH.conv_norm("aux_classifier.0", "aux_classifier.1", c, width, 3), Dropout(0.1),
        TORCH.conv("aux_classifier.4", width, classes, 1, bias=True, sigma=0.01), name="auxiliary head",
    )  # fmt: skip
    return SideHead("aux_logits", body)


def headed(stages, c, classes, rates, width, *, names="classifier", dropout=0.5):
    """Return stages of c channels, side heads among them, with the head of v3 in torchvision's form."""
    rates = tuple(rates)
    body = chain(
        *stages, Endpoint("features"),
        concatenated(c, width, rates, aspp_names(f"{names}.0", len(rates))), Dropout(dropout),
        TORCH.conv_norm(f"{names}.1", f"{names}.2", width, width, 3),
        TORCH.conv(f"{names}.4", width, classes, 1, bias=True, sigma=0.01), Endpoint("low_logits"),
    )  # fmt: skip
    sides = []
    walk(body, lambda part: sides.append(part.name) if isinstance(part, SideHead) else None)
    return ToInputSize(body, align_corners=False, also=tuple(sides))


def vainf_v3(classes, *, depth=101, output_stride=16, rates=None, units=None, width=64, aspp_width=256):
    """Return VainF's variant: torchvision's without a side head, under other names."""
    stages, c = resnet.resnet(
        units or resnet.UNITS[depth], names=resnet.torchvision_names(), convention="torchvision",
        output_stride=output_stride, width=width,
    )  # fmt: skip
    return headed(stages, c, classes, scaled_rates(output_stride, rates), aspp_width, names=VAINF, dropout=0.1)


def torchvision_v3(
    classes, *, depth=101, output_stride=8, rates=(12, 24, 36), auxiliary=True, units=None, width=64, aspp_width=256
):
    """Return torchvision's variant: one more 3×3 before the classifier, half-pixel resizing, a side head."""
    stages, c = resnet.resnet(
        units or resnet.UNITS[depth], names=resnet.torchvision_names(), convention="torchvision",
        output_stride=output_stride, width=width,
    )  # fmt: skip
    side = side_head(c // 2, classes) if auxiliary else None
    return headed([*stages[:-1], side, stages[-1]], c, classes, rates, aspp_width)
