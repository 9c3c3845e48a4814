"""The networks of segmentation_models.pytorch: v3 and v3+ on ResNets, under its names.

Every resizing aligns corners, images are a multiple of the output stride, and the rates of ASPP are 12, 24, 36 at any
output stride. A stage that loses its stride has one rate throughout. In v3+, ASPP is separable and followed by another
separable convolution, and the decoder has one; nothing stands between depthwise and pointwise.

Role: description.

References
----------
qubvel-org/segmentation_models.pytorch: ``decoders/deeplabv3``, ``encoders/resnet.py``, ``base/heads.py``.
"""

from atrous.aspp.forms import concatenated
from atrous.compose.chain import chain
from atrous.compose.input_size import ToInputSize
from atrous.compose.leaves import Dropout, Endpoint
from atrous.compose.styles import TORCH
from atrous.nets import resnet
from atrous.nets.deeplab_v3 import aspp_names
from atrous.nets.deeplab_v3plus import decoded, refine

ENDINGS = ("0", "1")


def _encoder(depth, output_stride, units, width):
    """Return (stages, channels, channels of the low-level features)."""
    unit = resnet.kernels(depth)
    stages, c = resnet.resnet(
        units or resnet.UNITS[depth], names=resnet.torchvision_names("encoder."), convention="torchvision",
        output_stride=output_stride, width=width, unit=unit, even_rates=True,
    )  # fmt: skip
    return stages, c, width * resnet.expansion(unit)


def _aspp(prefix, c, width, rates, separate):
    named = aspp_names(prefix, len(rates), ENDINGS)
    return chain(concatenated(c, width, rates, named, separate=separate, between=False), Dropout(0.5))


def _scores(width, classes):
    return TORCH.conv("segmentation_head.0", width, classes, 1, bias=True, sigma=0.01)


def smp_v3(
    classes, *, depth=34, output_stride=8, rates=(12, 24, 36), separable=False, units=None, width=64, aspp_width=256
):
    """Return its v3: ASPP, one more 3×3, the classifier."""
    stages, c, _ = _encoder(depth, output_stride, units, width)
    return ToInputSize(
        chain(
            *stages, Endpoint("features"), _aspp("decoder.aspp", c, aspp_width, tuple(rates), separable),
            TORCH.conv_norm("decoder.conv", "decoder.bn", aspp_width, aspp_width, 3), _scores(aspp_width, classes),
            Endpoint("low_logits"),
        )
    )  # fmt: skip


def smp_v3plus(
    classes, *, depth=34, output_stride=16, rates=(12, 24, 36), separable=True, units=None, width=64, aspp_width=256,
    low_width=48,
):  # fmt: skip
    """Return its v3+; `separable` is about ASPP, the other separable convolutions stay."""
    stages, c, low = _encoder(depth, output_stride, units, width)
    stages = [*stages[:2], Endpoint("low_level"), *stages[2:]]
    encoder = chain(
        *stages, Endpoint("features"), _aspp("decoder.aspp.0", c, aspp_width, tuple(rates), separable),
        refine("decoder.aspp.1", "decoder.aspp.2", aspp_width, aspp_width, ENDINGS, between=False),
    )  # fmt: skip
    project = TORCH.conv_norm("decoder.block1.0", "decoder.block1.1", low, low_width)
    last = refine("decoder.block2.0", "decoder.block2.1", aspp_width + low_width, aspp_width, ENDINGS, between=False)
    return decoded(encoder, project, (last, _scores(aspp_width, classes)))
