"""The papers' forms of ASPP as parts of a network, under any names.

`named(branch, piece)` gives the name of a layer: branch is a number from 0, "pool" or "proj"; piece is "conv", "norm",
"depthwise" or "depthwise_norm" ("fc6", "fc7", "fc8" in the VGG form).

Role: description.
"""

from atrous.compose.chain import chain
from atrous.compose.image_pooling import ImagePooling
from atrous.compose.leaves import Dropout, ReLU
from atrous.compose.parallel import Parallel
from atrous.compose.styles import TORCH

# v2, Section 4.1.3: small and large rates.
RATES = {"ASPP-S": (2, 4, 8, 12), "ASPP-L": (6, 12, 18, 24)}


def summed(c, classes, rates, named, *, style=TORCH, sigma=0.01):
    """Return the ResNet form of v2: scores of several rates, summed."""
    branches = (
        style.conv(named(i, "conv"), c, classes, bias=True, rate=rate, sigma=sigma) for i, rate in enumerate(rates)
    )
    return Parallel(tuple(branches), "sum", "ASPP")


def summed_vgg(c, width, classes, rates, named, *, style=TORCH, dropout=None, sigma=0.01):
    """Return the VGG form of v2: fc6, fc7 and fc8 at several rates, summed."""
    branches = []
    for i, rate in enumerate(rates):
        drop = Dropout(dropout) if dropout else None
        branches.append(
            chain(
                style.conv(named(i, "fc6"), c, width, bias=True, rate=rate), ReLU(), drop,
                style.conv(named(i, "fc7"), width, width, 1, bias=True), ReLU(), drop,
                style.conv(named(i, "fc8"), width, classes, 1, bias=True, sigma=sigma),
                name=f"rate {rate}",
            )
        )  # fmt: skip
    return Parallel(tuple(branches), "sum", "ASPP")


def separable(named, branch, c, f, rate=1, *, style=TORCH):
    """Return depthwise convolution, batch norm, ReLU, then pointwise convolution, batch norm, ReLU (v3+)."""
    return chain(
        style.conv_norm(named(branch, "depthwise"), named(branch, "depthwise_norm"), c, c, 3, rate=rate, groups=c),
        style.conv_norm(named(branch, "pointwise"), named(branch, "norm"), c, f),
    )


def concatenated(c, width, rates, named, *, style=TORCH, separate=False, pool=True, out=None):
    """Return the form of v3, or of v3+ with separable convolutions: 1×1, rates, image pooling, projection to `out`."""
    branches = [style.conv_norm(named(0, "conv"), named(0, "norm"), c, width)]
    for i, rate in enumerate(rates, start=1):
        if separate:
            branches.append(separable(named, i, c, width, rate, style=style))
        else:
            branches.append(style.conv_norm(named(i, "conv"), named(i, "norm"), c, width, 3, rate=rate))
    if pool:
        branches.append(ImagePooling(style.conv_norm(named("pool", "conv"), named("pool", "norm"), c, width)))
    project = style.conv_norm(named("proj", "conv"), named("proj", "norm"), len(branches) * width, out or width)
    return chain(Parallel(tuple(branches), "concat", "ASPP"), project)
