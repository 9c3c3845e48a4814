"""Starting a network from an ImageNet classifier, as the papers do before they train.

Role: conversion of weights.

References
----------
Chen et al., DeepLab v1, arXiv:1412.7062, Section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.errors import ParameterError
from atrous.nets.convolutionalize import convolutionalize, decimate_kernel
from atrous.nets.network import Network
from atrous.nets.preparation import PREPARATIONS, affine
from atrous.weights.names import renamed


@public
def from_classifier(
    network: Network,
    weights: Mapping[str, FloatArray],
    rng: np.random.Generator,
    dtype: type = np.float32,
    *,
    preprocessing: str = "torchvision",
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Return initial values of a network from an ImageNet classifier.

    Parameters
    ----------
    network : Network
        One on VGG-16, on a ResNet in torchvision's convention or names, or on a MobileNet.
    weights : dict of ndarray
        A classifier's weights in the order of its layers, such as `load_weights` of torchvision's vgg16 or resnet101,
        in torchvision's or Caffe's names; fully connected layers may be matrices. torchvision's ResNets have
        their strides in other places than those of v2 and v3, so there they compute another function, but a good start.
    rng : Generator
        Draws the arrays that the classifier lacks (new classifier, ASPP, decoder), and which filters of VGG's fc6 and
        fc7 are kept.
    dtype : float32 or float64
    preprocessing : {"torchvision", "caffe", "slim", "xception"}
        How the classifier's images were prepared. If the network's images are prepared in another way, the first
        convolution is changed so that it gives the same result for a photograph (except next to the zeros around it).

    Returns
    -------
    params, state : dict of ndarray
        As from `Network.init`, but every array that the classifier has in the same shape comes from it, except VGG's
        fc8. fc6 and fc7 are decimated to the network's kernel size and width, equally for all branches of ASPP.

    Raises
    ------
    ParameterError
        The classifier has fewer than half of the arrays of the network's trunk.
    ShapeError
        Layers that `convolutionalize` rejects.
    """
    variables = network.variables()
    found = renamed(convolutionalize(weights), variables)
    params, state = network.init(rng, dtype)
    given = {**found, **_decimated(variables, found, rng)}
    given.update(_converted(variables, given, preprocessing, network.preprocessing))
    taken = {name for name, v in variables.items() if np.shape(given.get(name)) == v.shape and "fc8" not in name}
    trunk = [name for name in variables if name.startswith(("backbone.", "encoder.", "base.layer", "conv"))]
    if 2 * len(taken.intersection(trunk)) < len(trunk):
        raise ParameterError(
            f"from_classifier: only {len(taken.intersection(trunk))} of the {len(trunk)} arrays of the trunk of "
            f"{network.name} are among weights, which have {', '.join(list(weights)[:4]) or 'nothing'} and so on. "
            "VGG-16 fits networks on VGG-16, a ResNet those on a ResNet of its depth, a MobileNet those on the same "
            "MobileNet; no classifier fits Xception."
        )
    for arrays in (params, state):
        arrays.update((name, np.ascontiguousarray(given[name], dtype)) for name in arrays.keys() & taken)
    return params, state


def _converted(variables, given, old, new):
    """Return the first convolution for images prepared in another way, and the bias or running mean that follows it."""
    _check.one_of("from_classifier", "preprocessing", old, tuple(PREPARATIONS))
    first = next(name for name, v in variables.items() if len(v.shape) == 4)
    behind = first.replace("weight", "bias") if first.replace("weight", "bias") in variables else None
    behind = behind or next((name for name in variables if name.endswith("running_mean")), None)
    if old == new or first not in given or behind not in given:
        return {}
    w = np.asarray(given[first], np.float64)
    w = w[:, ::-1] if PREPARATIONS[old].channels == "BGR" else w
    (gain, offset), (new_gain, new_offset) = affine(old), affine(new)
    # level = (x − new_offset) / new_gain, and the old network saw level·gain + offset.
    shift = np.einsum("fcij,c->f", w, offset - new_offset * gain / new_gain)
    w = w * (gain / new_gain)[:, None, None]
    w = w[:, ::-1] if PREPARATIONS[new].channels == "BGR" else w
    return {first: w, behind: given[behind] + (shift if behind.endswith("bias") else -shift)}


def _decimated(variables, found, rng):
    """Return VGG's fc6 and fc7 at the network's kernel size and width, for each of its branches."""
    first = next((v for name, v in variables.items() if name.startswith("fc6") and name.endswith("weight")), None)
    if first is None or not {"fc6.weight", "fc7.weight"} <= found.keys():
        return {}
    width, _, kernel, _ = first.shape
    fc6, kept = decimate_kernel(found["fc6.weight"], kernel, filters=width, rng=rng)
    fc7, last = decimate_kernel(found["fc7.weight"], 1, filters=width, channels=kept, rng=rng)
    arrays = {
        "fc6.weight": fc6,
        "fc6.bias": found["fc6.bias"][kept],
        "fc7.weight": fc7,
        "fc7.bias": found["fc7.bias"][last],
    }
    layers = (name.rpartition(".") for name in variables if name.startswith(("fc6", "fc7")))
    return {f"{layer}.{end}": arrays[f"{layer[:3]}.{end}"] for layer, _, end in layers}
