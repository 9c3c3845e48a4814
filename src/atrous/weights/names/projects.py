"""Which project names its arrays like this, and why its network is not here.

Role: names. Only weights that fit no network are looked up; the first row that matches counts.
"""

from __future__ import annotations

import re

from atrous.weights.names.wrappers import without_wrappers

_ROWS = (
    (r"Scale[123]\.", "an early pytorch-deeplab-resnet of isht7, which trained a network of its own for each scale"),
    (r"layer5\.RC1\.", "Pytorch-Deeplab of speedinghzl with its refinement module, which is no DeepLab"),
    (r"layer6\.conv2d_list\.", "a v2 with a second head (layer6), as in AdaptSegNet; networks here have one"),
    (r"(xception|resnet)_features\.", "an early pytorch-deeplab-xception of jfzhang95, which was another network"),
    (r"backbone\.stage4\.", "a DeepLab on HRNet; here are those on VGG, ResNet, Xception and MobileNet"),
    (r"backbone\.low_level_features\.", "DeepLabV3Plus-Pytorch of VainF on MobileNet, of another width or head"),
    (
        r"backbone\.(features\.\d|layer8\.)",
        "pytorch-deeplab-xception of jfzhang95 on MobileNet or DRN; here are those on ResNet-101 and Xception",
    ),
    (r"backbone\.\d+\.block\.", "torchvision on MobileNetV3; here are its networks on MobileNetV3-Large"),
    (r"decode_head\.", "mmsegmentation; here are its deeplabv3 and deeplabv3plus on r50-d8 and r101-d8"),
    (
        r"segmentation_head\.|decoder\.(blocks|aspp)\.",
        "segmentation_models.pytorch; here are its DeepLabV3 and DeepLabV3Plus on resnet18, 34, 50 and 101",
    ),
    (
        r"classifier\.(classifier\.0|aspp)\.convs\.",
        "DeepLabV3Plus-Pytorch of VainF; here are its v3 and v3+ on ResNets and MobileNetV2",
    ),
)


def project(weights):
    """Return a sentence about the project of these weights, or None."""
    names = list(without_wrappers(weights))
    for pattern, text in _ROWS:
        if any(map(re.compile(pattern).match, names)):
            return f"The names are those of {text}"
    return None
