"""Names of isht7/pytorch-deeplab-resnet and of the projects that took over its network.

    isht7                      Scale.layer1.0.conv1 …, Scale.layer5.conv2d_list.0 …: three scales
    speedinghzl, AdvSemiSeg    the same without "Scale.": one scale

The network is v2's on ResNet-101. Some of them add up only the first two of the four branches (AdaptSegNet, a version
of speedinghzl's): build(…, rates=(6, 12)) takes these two.

Role: names.
"""

from __future__ import annotations

import re

from atrous.weights.names.torchvision import kazuto_from_resnet

BRANCH = re.compile(r"^layer5\.conv2d_list\.(\d+)\.")


def from_isht7(weights):
    """Return the arrays under kazuto1011's names."""
    inner = {name.removeprefix("Scale."): a for name, a in weights.items()}
    return kazuto_from_resnet({BRANCH.sub(r"base.aspp.c\1.", name): a for name, a in inner.items()})


def first_two_branches(weights):
    """Return the arrays under kazuto1011's names without the branches that some projects do not use."""
    return from_isht7({name: a for name, a in weights.items() if not re.search(r"layer5\.conv2d_list\.[23]\.", name)})


def one_scale(weights):
    """Tell whether the names are those of a network for one scale."""
    return any(map(BRANCH.match, weights))
