"""DeepLab v3+: an encoder with ASPP, and a decoder that joins features of stride 4 to its output.

References
----------
Chen et al., arXiv:1802.02611, Sections 3 and 4.1, Figs. 2 and 4; TensorFlow's DeepLab; for its variant VainF's
DeepLabV3Plus-Pytorch.
"""

from atrous.aspp.forms import concatenated, separable
from atrous.compose.chain import chain
from atrous.compose.input_size import ToInputSize
from atrous.compose.leaves import Dropout, Endpoint
from atrous.compose.skip_connections import SkipConnections
from atrous.compose.styles import TORCH
from atrous.nets import resnet, xception
from atrous.nets.deeplab_v3 import aspp_names, scaled_rates

# Endings of the names of separable convolutions. VainF's have nothing between depthwise and pointwise.
OURS, OF_VAINF = ("depthwise", "pointwise"), ("body.0", "body.1")


def refine(conv, norm, c, f, endings=None, *, between=True):
    """Return a 3×3 convolution, separable if there are `endings` for its names, with its batch norm and ReLU."""
    if endings is None:
        return TORCH.conv_norm(conv, norm, c, f, 3)
    depthwise, pointwise = endings
    names = {"norm": norm, "depthwise": f"{conv}.{depthwise}", "depthwise_norm": f"{conv}.{depthwise}_bn"}
    return separable(lambda _, piece: names.get(piece, f"{conv}.{pointwise}"), 0, c, f, between=between)


def decoded(encoder, project, parts, *, trunk_first=True, align_corners=True, also=()):
    """Return encoder, skip connection and decoder: `project` reads the low-level features, `parts` follow the join."""
    joined = SkipConnections(
        encoder, (("low_level", project),), trunk_first=trunk_first, align_corners=align_corners, name="decoder"
    )
    return ToInputSize(chain(joined, *parts, Endpoint("low_logits")), align_corners, also)


def encoded_and_decoded(
    stages, c, low, classes, *, rates, separate, width, low_width, convs, trunk_first, image_pooling, of_vainf=False
):
    """Return stages of c channels, `low` of them in "low_level", with ASPP and a decoder under VainF's names."""
    endings, between = OF_VAINF if of_vainf else OURS, not of_vainf
    named = aspp_names("classifier.aspp", len(rates), endings)
    aspp = concatenated(c, width, rates, named, separate=separate, between=between, pool=image_pooling)
    encoder = chain(*stages, Endpoint("features"), aspp, Dropout(0.1))
    project = TORCH.conv_norm("classifier.project.0", "classifier.project.1", low, low_width)
    parts, c = [], width + low_width
    for i in range(0, 3 * convs, 3):
        conv, norm = (f"classifier.classifier.{i + j}" for j in (0, 1))
        parts.append(refine(conv, norm, c, width, endings if separate else None, between=between))
        c = width
    parts.append(TORCH.conv(f"classifier.classifier.{3 * convs}", c, classes, 1, bias=True, sigma=0.01))
    return decoded(encoder, project, parts, trunk_first=trunk_first, align_corners=trunk_first)


def deeplab_v3plus_resnet(
    classes, *, depth=101, output_stride=16, multi_grid=(1, 2, 4), rates=None, separable=False, image_pooling=True,
    convention="slim", stem="7x7", units=None, width=64, aspp_width=256, low_width=48,
):  # fmt: skip
    """Return the paper's network on a ResNet; the low-level features are those of block 1 before its stride."""
    stages, c = resnet.resnet(
        units or resnet.UNITS[depth], names=resnet.torchvision_names(), convention=convention,
        output_stride=output_stride, multi_grid=multi_grid, width=width, kind=stem, endpoint=(1, 2, "low_level"),
    )  # fmt: skip
    return encoded_and_decoded(
        stages, c, 4 * width, classes, rates=scaled_rates(output_stride, rates), separate=separable, width=aspp_width,
        low_width=low_width, convs=2, trunk_first=True, image_pooling=image_pooling,
    )  # fmt: skip


def deeplab_v3plus_xception(
    classes, *, output_stride=16, rates=None, separable=True, image_pooling=True, decoder=True, middle=16, divisor=1,
    aspp_width=256, low_width=48,
):  # fmt: skip
    """Return the paper's network on Xception-65 (middle=16) or -41 (8); decoder=False gives it the head of v3."""
    stages, c = xception.xception(output_stride=output_stride, middle=middle, divisor=divisor)
    if not decoder:
        rates = scaled_rates(output_stride, rates)
        named = aspp_names("classifier.aspp", len(rates))
        head = concatenated(c, aspp_width, rates, named, separate=separable, pool=image_pooling)
        scores = TORCH.conv("classifier.classifier.0", aspp_width, classes, 1, bias=True, sigma=0.01)
        return ToInputSize(chain(*stages, Endpoint("features"), head, Dropout(0.1), scores, Endpoint("low_logits")))
    return encoded_and_decoded(
        stages, c, 256 // divisor, classes, rates=scaled_rates(output_stride, rates), separate=separable,
        width=aspp_width, low_width=low_width, convs=2, trunk_first=True, image_pooling=image_pooling,
    )  # fmt: skip


def vainf_v3plus(
    classes, *, depth=101, output_stride=16, rates=None, separable=False, units=None, width=64, aspp_width=256,
    low_width=48,
):  # fmt: skip
    """Return VainF's variant: one convolution in the decoder, low-level features first, half-pixel resizing."""
    stages, c = resnet.resnet(
        units or resnet.UNITS[depth], names=resnet.torchvision_names(), convention="torchvision",
        output_stride=output_stride, width=width,
    )  # fmt: skip
    stages = [*stages[:2], Endpoint("low_level"), *stages[2:]]
    return encoded_and_decoded(
        stages, c, 4 * width, classes, rates=scaled_rates(output_stride, rates), separate=separable, width=aspp_width,
        low_width=low_width, convs=1, trunk_first=False, image_pooling=True, of_vainf=True,
    )  # fmt: skip
