"""DeepLab v1: VGG-16 with fc6 as a convolution, in several kernel sizes and rates, and multi-scale features.

References
----------
Chen et al., arXiv:1412.7062, Sections 3.1, 3.2 (field of view, Table 2) and 4.3 (multi-scale features); the released
networks. The paper concatenates the multi-scale features before one classifier; the released networks sum the
scores of one classifier per feature map, which is the same linear map.
"""

from atrous.compose.activation import RELU
from atrous.compose.chain import chain
from atrous.compose.input_size import ToInputSize
from atrous.compose.leaves import Dropout, Endpoint
from atrous.compose.skip_connections import SkipConnections
from atrous.compose.styles import TORCH
from atrous.nets import vgg


def head(c, width, classes, kernel, rate):
    """Return fc6, fc7 and the classifier as convolutions."""
    return chain(
        TORCH.conv("fc6", c, width, kernel, bias=True, rate=rate), RELU, Dropout(0.5),
        TORCH.conv("fc7", width, width, 1, bias=True), RELU, Dropout(0.5),
        TORCH.conv("fc8_voc12", width, classes, 1, bias=True, sigma=0.01),
        name="fc6–fc8",
    )  # fmt: skip


def _multi_scale(i, c, width, classes, stride, padding):
    """Return the branch that starts at the image (i = 0) or at pool i: two layers and a classifier."""
    return chain(
        TORCH.conv(f"ms{i}.conv1", c, width, bias=True, stride=stride, padding=padding), RELU, Dropout(0.5),
        TORCH.conv(f"ms{i}.conv2", width, width, 1, bias=True), RELU, Dropout(0.5),
        TORCH.conv(f"ms{i}.fc8", width, classes, 1, bias=True, sigma=0.01),
        name=f"pool{i}" if i else "image",
    )  # fmt: skip


def deeplab_v1(
    classes, *, fc6=(3, 12), width=1024, large=True, multi_scale=False, widths=vgg.WIDTHS, multi_scale_width=128
):
    """Return the network. `fc6` is (kernel, rate); `large` selects the pools of the LargeFOV networks."""
    trunk = vgg.trunk(widths, vgg.LARGE_POOLS if large else vgg.FIRST_POOLS, average=large)
    scores = chain(Endpoint("image"), *trunk.members, Endpoint("features"), head(widths[-1], width, classes, *fc6))
    if multi_scale:
        # pool4 of the 4×4 network loses a sample: its outputs lie between those of pool3 and need one zero less.
        pads = ["same", "same", "same", "same" if large else ((1, 0), (1, 0)), "same"]
        sides = (
            (f"pool{i}" if i else "image", _multi_scale(i, c, multi_scale_width, classes, stride, pad))
            for i, (c, stride, pad) in enumerate(zip((3, *widths[:4]), (8, 4, 2, 1, 1), pads, strict=True))
        )
        scores = SkipConnections(scores, tuple(sides), "sum", crop=True, name="multi-scale features")
    return ToInputSize(chain(scores, Endpoint("low_logits")))
