"""ImageNet classifiers that give scores at every position of an image: the dense VGG-16 and ResNets.

With fully connected layers as convolutions and the last strides traded for rates (output stride 8), the weights of the
classifier give scores at every eighth pixel instead of every thirty-second.

Role: description.

References
----------
Chen et al., DeepLab v1, arXiv:1412.7062, Section 3.1.
"""

from atrous.compose.activation import RELU
from atrous.compose.chain import chain
from atrous.compose.input_size import ToInputSize
from atrous.compose.leaves import Dropout, Endpoint
from atrous.compose.styles import TORCH
from atrous.conv.output_stride import plan_output_stride
from atrous.conv.receptive_field import Spatial
from atrous.errors import ParameterError
from atrous.nets import resnet, vgg


def dense_vgg16(classes=1000, *, output_stride=32, widths=vgg.WIDTHS, width=4096, kernel=7):
    """Return VGG-16 with its fully connected layers as convolutions, its 2×2 pools, and the wanted output stride.

    An image of 224² gives one position, the scores of the classifier, at any output stride.
    """
    strides = [2 ** (i + 1) for i in range(5)]
    if output_stride not in strides:
        raise ParameterError(f"build: output_stride of VGG-16 must be one of {strides}, got {output_stride}.")
    # One convolution and the pool of each stage, then fc6.
    layout = [*(Spatial(3), Spatial(2, 2, padding=0)) * 5, Spatial(kernel, padding=0)]
    *stages, last = plan_output_stride(layout, output_stride)
    convs, pools = stages[::2], stages[1::2]
    trunk = vgg.trunk(
        widths, [(2, pool.stride, 0) for pool in pools], [conv.rate for conv in convs],
        pool_rates=[pool.rate for pool in pools], size_rule="floor",
    )  # fmt: skip
    fc6 = TORCH.conv("fc6", widths[-1], width, kernel, bias=True, rate=last.rate, padding="valid")
    scores = chain(
        fc6, RELU, Dropout(0.5), TORCH.conv("fc7", width, width, 1, bias=True), RELU, Dropout(0.5),
        TORCH.conv("fc8", width, classes, 1, bias=True, sigma=0.01), name="fc6–fc8",
    )  # fmt: skip
    return ToInputSize(chain(trunk, Endpoint("features"), scores, Endpoint("low_logits")))


def dense_resnet(classes=1000, *, depth=50, output_stride=32, units=None, width=64):
    """Return torchvision's ResNet with scores at every position; at output stride 32 their mean is the classifier's."""
    stages, c = resnet.resnet(
        units or resnet.UNITS[depth], names=resnet.torchvision_names(), convention="torchvision",
        output_stride=output_stride, width=width,
    )  # fmt: skip
    scores = TORCH.conv("backbone.fc", c, classes, 1, bias=True, sigma=0.01)
    return ToInputSize(chain(*stages, Endpoint("features"), scores, Endpoint("low_logits")), align_corners=False)
