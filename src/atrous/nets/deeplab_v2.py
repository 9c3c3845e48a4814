"""DeepLab v2: atrous spatial pyramid pooling on VGG-16 and ResNet-101, and multi-scale input.

References
----------
Chen et al., arXiv:1606.00915, Sections 3.2, 4.1.2 and 4.1.3, Fig. 7; the released networks.
"""

from fractions import Fraction

from atrous.aspp.forms import summed, summed_vgg
from atrous.compose.chain import chain
from atrous.compose.input_size import ToInputSize
from atrous.compose.leaves import Endpoint
from atrous.compose.multi_scale import MultiScale
from atrous.errors import ParameterError
from atrous.nets import deeplab_v1, resnet, vgg


def _caffe(branch, piece):
    return f"fc8_voc12_{branch + 1}" if piece == "fc8" else f"{piece}_{branch + 1}"


SCALES = (Fraction(1), Fraction(3, 4), Fraction(1, 2))


def _checked(rates):
    """Return the rates, of which v2 needs at least one: it has no other branch."""
    if not rates:
        raise ParameterError("build: rates of v2 must be at least one integer, got none.")
    return rates


def deeplab_v2_vgg(classes, *, rates=(6, 12, 18, 24), multi_scale=False, width=1024, widths=vgg.WIDTHS):
    """Return the network on VGG-16: LargeFOV with one rate, ASPP with several."""
    if len(_checked(rates)) == 1:
        scores = deeplab_v1.head(widths[-1], width, classes, 3, rates[0])
    else:
        scores = summed_vgg(widths[-1], width, classes, rates, _caffe, dropout=0.5)
    body = chain(vgg.trunk(widths), Endpoint("features"), scores)
    return ToInputSize(chain(MultiScale(body, SCALES) if multi_scale else body, Endpoint("low_logits")))


def deeplab_v2_resnet(
    classes, *, rates=(6, 12, 18, 24), output_stride=8, multi_scale=True, align_corners=True, units=resnet.UNITS[101],
    width=64, frozen=True,
):  # fmt: skip
    """Return the network on a ResNet, by default with frozen batch norms and multi-scale input at 1, ¾ and ½."""
    stages, c = resnet.resnet(
        units, names=resnet.kazuto_names(), convention="caffe", output_stride=output_stride, width=width,
        pool_rule="ceil", frozen=frozen,
    )  # fmt: skip
    scores = summed(c, classes, _checked(rates), lambda branch, piece: f"base.aspp.c{branch}")
    body = chain(*stages, Endpoint("features"), scores)
    if multi_scale:
        body = MultiScale(body, SCALES, align_corners)
    return ToInputSize(chain(body, Endpoint("low_logits")), align_corners)
