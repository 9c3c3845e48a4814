"""The networks of mmsegmentation: deeplabv3 and deeplabv3plus on r50-d8 and r101-d8, under its names.

The ResNets are of kind C: three narrow 3×3 convolutions in the stem. Image pooling is the first branch of ASPP, whose
branches are joined by a 3×3 convolution; in v3+ the rates and the decoder are separable. A side head reads block 3.
Resizing goes by half-pixel centres. Its dropout drops whole channels in training, ours single entries.

Role: description.

References
----------
open-mmlab/mmsegmentation: ``decode_heads/aspp_head.py``, ``sep_aspp_head.py``, ``fcn_head.py``,
``backbones/resnet.py``, ``configs/_base_/models/deeplabv3*_r50-d8.py``.
"""

from atrous.aspp.forms import concatenated, separable
from atrous.compose.chain import chain
from atrous.compose.input_size import ToInputSize
from atrous.compose.leaves import Dropout, Endpoint
from atrous.compose.side_head import SideHead
from atrous.compose.styles import TORCH
from atrous.nets import resnet
from atrous.nets.deeplab_v3plus import decoded


def _stem(i):
    return tuple(f"backbone.stem.{3 * i - 3 + j}" for j in (0, 1))


def _stages(depth, output_stride, units, width, classes, auxiliary):
    """Return (stages, channels), with the side head behind block 3."""
    stages, c = resnet.resnet(
        units or resnet.UNITS[depth], names=resnet.torchvision_names()._replace(deep=_stem), convention="torchvision",
        output_stride=output_stride, width=width, kind="3x3 narrow",
    )  # fmt: skip
    if auxiliary:
        side = chain(
            _conv_norm("auxiliary_head.convs.0", c // 2, c // 8, 3), Dropout(0.1),
            TORCH.conv("auxiliary_head.conv_seg", c // 8, classes, 1, bias=True, sigma=0.01), name="auxiliary head",
        )  # fmt: skip
        stages = [*stages[:-1], SideHead("aux_logits", side), stages[-1]]
    return stages, c


def _conv_norm(name, c, f, kernel=1):
    return TORCH.conv_norm(f"{name}.conv", f"{name}.bn", c, f, kernel)


def _convolved(base, piece):
    """Return the name of a layer of a convolution."""
    return f"{base}.{'conv' if piece == 'conv' else 'bn'}"


def _separated(base, piece):
    """Return the name of a layer of a separable convolution."""
    half = "depthwise_conv" if "depthwise" in piece else "pointwise_conv"
    return f"{base}.{half}.{'bn' if 'norm' in piece else 'conv'}"


def _separable(name, c, f):
    return separable(lambda _, piece: _separated(name, piece), 0, c, f)


def _aspp(c, width, rates, *, separate):
    def named(branch, piece):
        if branch == "pool":
            return _convolved("decode_head.image_pool.1", piece)
        pieces = _separated if separate and branch else _convolved
        return pieces(f"decode_head.aspp_modules.{branch}", piece)

    def project(joined):
        return _conv_norm("decode_head.bottleneck", joined, width, 3)

    return concatenated(c, width, rates, named, separate=separate, pool_first=True, project=project)


def _scores(width, classes):
    return chain(Dropout(0.1), TORCH.conv("decode_head.conv_seg", width, classes, 1, bias=True, sigma=0.01))


def mmseg_v3(
    classes, *, depth=50, output_stride=8, rates=(12, 24, 36), auxiliary=True, units=None, width=64, aspp_width=512
):
    """Return its deeplabv3."""
    stages, c = _stages(depth, output_stride, units, width, classes, auxiliary)
    body = chain(
        *stages, Endpoint("features"), _aspp(c, aspp_width, tuple(rates), separate=False),
        _scores(aspp_width, classes), Endpoint("low_logits"),
    )  # fmt: skip
    return ToInputSize(body, align_corners=False, also=("aux_logits",) if auxiliary else ())


def mmseg_v3plus(
    classes, *, depth=50, output_stride=8, rates=(12, 24, 36), auxiliary=True, units=None, width=64, aspp_width=512,
    low_width=48,
):  # fmt: skip
    """Return its deeplabv3plus."""
    stages, c = _stages(depth, output_stride, units, width, classes, auxiliary)
    stages = [*stages[:2], Endpoint("low_level"), *stages[2:]]
    encoder = chain(*stages, Endpoint("features"), _aspp(c, aspp_width, tuple(rates), separate=True))
    parts = (
        _separable("decode_head.sep_bottleneck.0", aspp_width + low_width, aspp_width),
        _separable("decode_head.sep_bottleneck.1", aspp_width, aspp_width), _scores(aspp_width, classes),
    )  # fmt: skip
    return decoded(
        encoder, _conv_norm("decode_head.c1_bottleneck", 4 * width, low_width), parts, align_corners=False,
        also=("aux_logits",) if auxiliary else (),
    )  # fmt: skip
