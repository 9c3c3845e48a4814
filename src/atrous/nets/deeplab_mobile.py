"""DeepLab on MobileNets: v3 and v3+ on MobileNetV2, v3 and Lite R-ASPP on MobileNetV3.

Without its atrous branches (rates=()), v3 on MobileNetV2 is "Mobile DeepLabv3": a 1×1 and image pooling. Lite R-ASPP is
smaller still: a 1×1 whose channels are gated by the means of the features, joined to the scores of finer ones.

Role: description.

References
----------
Sandler et al., MobileNetV2, arXiv:1801.04381, Section 6.3, Table 7; Howard et al., MobileNetV3, arXiv:1905.02244,
Section 6.4, Fig. 10 (its means are over windows of 49×49; here, as in torchvision's ``lraspp.py``, over the image);
TensorFlow's ``deeplab/core/feature_extractor.py``; VainF's DeepLabV3Plus-Pytorch.
"""

from atrous.aspp.forms import concatenated
from atrous.compose.activation import Activation
from atrous.compose.chain import chain
from atrous.compose.gate import Gate
from atrous.compose.input_size import ToInputSize
from atrous.compose.leaves import Dropout, Endpoint, GlobalAverage
from atrous.compose.skip_connections import SkipConnections
from atrous.compose.styles import TORCH
from atrous.nets import mobilenet
from atrous.nets.deeplab_v3 import VAINF, aspp_names, headed, scaled_rates, side_head
from atrous.nets.deeplab_v3plus import encoded_and_decoded


def _scores(name, c, classes):
    return TORCH.conv(name, c, classes, 1, bias=True, sigma=0.01)


LOW = Endpoint("low_level")


def _tensorflow(output_stride, multiplier, multiple, inside=(0, None)):
    """Return (stages, channels, units) of MobileNetV2 as in TensorFlow's DeepLab."""
    stem, units = mobilenet.v2_units(multiplier, multiple)
    stages = mobilenet.trunk(
        stem, units, mobilenet.V2, output_stride=output_stride, activation="relu6", eps=1e-3, inside=inside
    )
    return stages, units[-1].out, units


def deeplab_v3_mobilenet_v2(
    classes, *, output_stride=16, rates=None, image_pooling=True, multiplier=1.0, multiple=8, aspp_width=256
):
    """Return v3 on MobileNetV2; rates=() leaves the atrous branches out."""
    stages, c, _ = _tensorflow(output_stride, multiplier, multiple)
    rates = scaled_rates(output_stride, rates)
    aspp = concatenated(c, aspp_width, rates, aspp_names("classifier.0", len(rates)), pool=image_pooling)
    scores = _scores("classifier.4", aspp_width, classes)
    return ToInputSize(chain(*stages, Endpoint("features"), aspp, Dropout(0.1), scores, Endpoint("low_logits")))


def deeplab_v3plus_mobilenet_v2(
    classes, *, output_stride=16, rates=None, separable=False, image_pooling=True, multiplier=1.0, multiple=8,
    aspp_width=256, low_width=48,
):  # fmt: skip
    """Return v3+ on MobileNetV2; the low-level features are a unit's depthwise convolution, six times as wide."""
    stages, c, units = _tensorflow(output_stride, multiplier, multiple, inside=(3, LOW))
    return encoded_and_decoded(
        stages, c, units[2].expanded, classes, rates=scaled_rates(output_stride, rates), separate=separable,
        width=aspp_width, low_width=low_width, convs=2, trunk_first=True, image_pooling=image_pooling,
    )  # fmt: skip


def _vainf_name(i):
    return f"backbone.{'low' if i < 4 else 'high'}_level_features.{i}"


def _vainf(output_stride, multiplier, multiple):
    """Return (stages, channels, channels of the low-level features)."""
    stem, units = mobilenet.v2_units(multiplier, multiple)
    stages = mobilenet.trunk(
        stem, units, mobilenet.V2._replace(base=_vainf_name), output_stride=output_stride, activation="relu6",
        after=(3, LOW), padded_first=True,
    )  # fmt: skip
    return stages, units[-1].out, units[2].out


def vainf_v3_mobilenet(classes, *, output_stride=16, rates=None, multiplier=1.0, multiple=8, aspp_width=256):
    """Return VainF's v3 on MobileNetV2."""
    stages, c, _ = _vainf(output_stride, multiplier, multiple)
    return headed(stages, c, classes, scaled_rates(output_stride, rates), aspp_width, names=VAINF, dropout=0.1)


def vainf_v3plus_mobilenet(
    classes, *, output_stride=16, rates=None, separable=False, multiplier=1.0, multiple=8, aspp_width=256, low_width=48
):
    """Return VainF's v3+ on MobileNetV2."""
    stages, c, low = _vainf(output_stride, multiplier, multiple)
    return encoded_and_decoded(
        stages, c, low, classes, rates=scaled_rates(output_stride, rates), separate=separable, width=aspp_width,
        low_width=low_width, convs=1, trunk_first=False, image_pooling=True, of_vainf=True,
    )  # fmt: skip


def _torchvision(stem, units, after, output_stride, multiple):
    """Return (stages, channels) of MobileNetV3 with its last 1×1; `after` is a part behind unit 4, of stride 8."""
    norm, c = {"eps": 1e-3, "momentum": 0.01}, units[-1].out
    stages = mobilenet.trunk(
        stem, units, mobilenet.V3, output_stride=output_stride, activation="hard_swish", multiple=multiple,
        even_rates=True, after=(4, after), **norm,
    )  # fmt: skip
    base = mobilenet.V3.base(len(units) + 1)
    last = TORCH.conv_norm(f"{base}.0", f"{base}.1", c, 6 * c, activation="hard_swish", **norm)
    return [*stages, chain(last, name="conv2")], 6 * c


def torchvision_v3_mobilenet_v3(
    classes, *, output_stride=16, rates=(12, 24, 36), auxiliary=True, multiplier=1.0, multiple=8, reduced_tail=False,
    aspp_width=256,
):  # fmt: skip
    """Return torchvision's v3 on MobileNetV3-Large; its side head reads the first features of stride 8."""
    stem, units = mobilenet.v3_units(multiplier, multiple, reduced_tail=reduced_tail)
    side = side_head(units[3].out, classes) if auxiliary else None
    stages, c = _torchvision(stem, units, side, output_stride, multiple)
    return headed(stages, c, classes, rates, aspp_width)


def torchvision_lraspp(classes, *, output_stride=16, multiplier=1.0, multiple=8, reduced_tail=False, head_width=128):
    """Return torchvision's Lite R-ASPP on MobileNetV3-Large."""
    stem, units = mobilenet.v3_units(multiplier, multiple, reduced_tail=reduced_tail)
    stages, c = _torchvision(stem, units, LOW, output_stride, multiple)
    opening = chain(GlobalAverage(), TORCH.conv("classifier.scale.1", c, head_width, 1), Activation("sigmoid"))
    gated = Gate(TORCH.conv_norm("classifier.cbr.0", "classifier.cbr.1", c, head_width), opening, "Lite R-ASPP")
    # torchvision enlarges first and scores then; enlarging and a 1×1 convolution may change places.
    trunk = chain(*stages, Endpoint("features"), gated, _scores("classifier.high_classifier", head_width, classes))
    sides = (("low_level", _scores("classifier.low_classifier", units[3].out, classes)),)
    joined = SkipConnections(trunk, sides, "sum", align_corners=False, name="scores of stride 8")
    return ToInputSize(chain(joined, Endpoint("low_logits")), align_corners=False)
