"""The papers' forms of ASPP as parts of a network, with any names.

`named(branch, piece)` returns the name of a layer. A branch is a number from 0, "pool" or "proj"; a piece is "conv",
"norm", "depthwise" or "depthwise_norm" (in the VGG form "fc6", "fc7" or "fc8").

Role: description.
"""

from atrous.compose.activation import RELU
from atrous.compose.chain import chain
from atrous.compose.image_pooling import ImagePooling
from atrous.compose.leaves import Dropout
from atrous.compose.parallel import Parallel
from atrous.compose.styles import TORCH

# First values of classifiers.
SIGMA = 0.01
# v2, Section 4.1.3: small and large rates.
RATES = {"ASPP-S": (2, 4, 8, 12), "ASPP-L": (6, 12, 18, 24)}


def summed(c, classes, rates, named, *, style=TORCH):
    """Return the ResNet form of v2: the sum of the scores at several rates."""
    branches = (
        style.conv(named(i, "conv"), c, classes, bias=True, rate=rate, sigma=SIGMA) for i, rate in enumerate(rates)
    )
    return Parallel(tuple(branches), "sum", "ASPP")


def summed_vgg(c, width, classes, rates, named, *, style=TORCH, dropout=None):
    """Return the VGG form of v2: fc6, fc7 and fc8 at several rates, then the sum."""
    branches = []
    for i, rate in enumerate(rates):
        drop = Dropout(dropout) if dropout else None
        branches.append(
            chain(
                style.conv(named(i, "fc6"), c, width, bias=True, rate=rate), RELU, drop,
                style.conv(named(i, "fc7"), width, width, 1, bias=True), RELU, drop,
                style.conv(named(i, "fc8"), width, classes, 1, bias=True, sigma=SIGMA),
                name=f"rate {rate}",
            )
        )  # fmt: skip
    return Parallel(tuple(branches), "sum", "ASPP")


def separable(named, branch, c, f, rate=1, *, style=TORCH, between=True):
    """Return a separable convolution (v3+): depthwise and pointwise, each with batch norm and ReLU.

    Without `between`, depthwise and pointwise follow each other directly, as in several PyTorch projects.
    """
    depthwise = {"rate": rate, "groups": c}
    if between:
        first = style.conv_norm(named(branch, "depthwise"), named(branch, "depthwise_norm"), c, c, 3, **depthwise)
    else:
        first = style.conv(named(branch, "depthwise"), c, c, 3, **depthwise)
    return chain(first, style.conv_norm(named(branch, "pointwise"), named(branch, "norm"), c, f))


def concatenated(
    c, width, rates, named, *, style=TORCH, separate=False, between=True, pool=True, pool_first=False, out=None,
    project=None,
):  # fmt: skip
    """Return the form of v3 (v3+ if `separate`): a 1×1, the rates and image pooling, then a projection to `out`.

    `project`, a function of the number of channels, returns another part in place of the 1×1 projection.
    """
    branches = [style.conv_norm(named(0, "conv"), named(0, "norm"), c, width)]
    for i, rate in enumerate(rates, start=1):
        if separate:
            branches.append(separable(named, i, c, width, rate, style=style, between=between))
        else:
            branches.append(style.conv_norm(named(i, "conv"), named(i, "norm"), c, width, 3, rate=rate))
    if pool:
        pooling = ImagePooling(style.conv_norm(named("pool", "conv"), named("pool", "norm"), c, width))
        branches.insert(0 if pool_first else len(branches), pooling)
    joined = len(branches) * width
    if project is None:
        projection = style.conv_norm(named("proj", "conv"), named("proj", "norm"), joined, out or width)
    else:
        projection = project(joined)
    return chain(Parallel(tuple(branches), "concat", "ASPP"), projection)
