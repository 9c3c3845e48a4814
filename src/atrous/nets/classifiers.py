"""From an ImageNet classifier to a dense extractor, the seed of DeepLab.

A fully connected layer on a k×k map is a k×k convolution that was evaluated at one position; made one, it runs on
images of any size. With the last strides traded for rates the same weights then answer at every eighth pixel instead of
every thirty-second. fc6 is large, so DeepLab keeps every second or third of its 7×7 taps and a quarter of its filters.

Role: conversion, and the classifiers as descriptions.

References
----------
Chen et al., DeepLab v1, arXiv:1412.7062, Section 3.1; v2, arXiv:1606.00915, Section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from atrous import _check
from atrous._types import FloatArray
from atrous.compose.joins import ToInputSize, chain
from atrous.compose.leaves import Dropout, ReLU, Tap
from atrous.compose.styles import TORCH
from atrous.errors import ParameterError, ShapeError
from atrous.nets import resnet, vgg
from atrous.nets.preparation import PREPARATIONS, affine
from atrous.weights.names import renamed


def convolutionalize(params: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Turn the fully connected layers of a classifier into convolutions.

    Parameters
    ----------
    params : dict of ndarray
        A classifier's weights in the order of its layers: convolutions (F, C, K, K), fully connected layers (F, D) on
        the flattened map before them, everything else as it is. Caffe's old blobs (1, 1, F, D) are matrices too.

    Returns
    -------
    dict of ndarray
        The same names. A layer (F, C·k²) behind C channels becomes (F, C, k, k): VGG-16's fc6 (4096, 25088) becomes
        (4096, 512, 7, 7), fc7 (4096, 4096, 1, 1). Views where memory allows.

    Raises
    ------
    ShapeError
        A layer's inputs are not channels times a square.

    Examples
    --------
    >>> found = convolutionalize({"conv.weight": np.ones((2, 3, 3, 3)), "fc.weight": np.ones((5, 18))})
    >>> found["fc.weight"].shape
    (5, 2, 3, 3)
    """
    found, channels = {}, None
    for name, array in params.items():
        array = np.asarray(array)  # noqa: PLW2901
        if array.ndim == 4 and array.shape[:2] == (1, 1) and channels not in {None, 1}:
            # Caffe's old files give every array four axes: biases (1, 1, 1, F), matrices (1, 1, F, D).
            array = array.reshape(-1) if array.shape[2] == 1 else array[0, 0]  # noqa: PLW2901
        if array.ndim == 2:
            f, inputs = array.shape
            channels = channels or inputs
            side = math.isqrt(inputs // channels) if inputs % channels == 0 else 0
            if side**2 * channels != inputs:
                raise ShapeError(
                    f"convolutionalize: {name} has {inputs} inputs, which are no square map of the {channels} channels "
                    "before it. Is the order of the layers kept?"
                )
            array = array.reshape(f, channels, side, side)  # noqa: PLW2901
        if array.ndim == 4:
            channels = array.shape[0]
        found[name] = array
    return found


def decimate_kernel(
    w: FloatArray,
    kernel: int,
    *,
    filters: int | np.ndarray | None = None,
    channels: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
) -> tuple[FloatArray, np.ndarray]:
    """Keep evenly spaced taps of a filter, and some of the filters.

    Parameters
    ----------
    w : ndarray of shape (F, C, K, K)
        Filters, such as VGG's fc6 as a convolution.
    kernel : int
        Taps to keep along each axis; the outermost stay, so K − 1 must be a multiple of kernel − 1. 7 → 4 keeps every
        second, 7 → 3 every third; at twice or three times the rate they span what they did.
    filters : int or array of int, optional
        How many filters to keep, drawn by `rng`, or which; all if left out.
    channels : array of int, optional
        Input channels to keep: the filters that were kept of the layer before.
    rng : Generator, optional
        Draws the filters where `filters` is a number.

    Returns
    -------
    w : ndarray of shape (filters, channels, kernel, kernel)
        A copy.
    kept : ndarray of int
        The filters that were kept, in order: `channels` of the next layer, and the subset of the bias.

    Raises
    ------
    ShapeError, ParameterError
        Taps that cannot be spaced evenly, more filters than there are, or a number of filters without `rng`.

    Examples
    --------
    >>> w, kept = decimate_kernel(np.arange(49.0).reshape(1, 1, 7, 7), 3)
    >>> w[0, 0]
    array([[ 0.,  3.,  6.],
           [21., 24., 27.],
           [42., 45., 48.]])
    """
    owner = "decimate_kernel"
    w = _check.float_array(owner, "w", w)
    if w.ndim != 4 or w.shape[2] != w.shape[3]:
        raise ShapeError(f"{owner}: w must be (F, C, K, K), got {w.shape}. For a matrix use convolutionalize first.")
    kernel = _check.integer(owner, "kernel", kernel, least=1)
    k = w.shape[2]
    even = k % 2 == 1 if kernel == 1 else kernel <= k and (k - 1) % (kernel - 1) == 0
    if not even:
        raise ParameterError(f"{owner}: {kernel} of {k} taps cannot be spaced evenly with the outermost kept.")
    taps = np.array([k // 2]) if kernel == 1 else np.arange(0, k, (k - 1) // (kernel - 1))
    if filters is None:
        kept = np.arange(len(w))
    elif np.ndim(filters) == 0:
        filters = _check.integer(owner, "filters", filters, least=1)
        if filters > len(w) or rng is None:
            raise ParameterError(
                f"{owner}: filters must be at most the {len(w)} of w, and rng a numpy Generator that draws them; got "
                f"filters={filters}, rng={rng!r}."
            )
        kept = np.sort(rng.choice(len(w), filters, replace=False))
    else:
        kept = np.asarray(filters)
    inputs = np.arange(w.shape[1]) if channels is None else np.asarray(channels)
    return np.ascontiguousarray(w[np.ix_(kept, inputs, taps, taps)]), kept


def dense_vgg16(classes=1000, *, output_stride=32, widths=vgg.WIDTHS, width=4096, kernel=7):
    """Return VGG-16 with its fully connected layers as convolutions, 2×2 pools, strides beyond `output_stride` removed.

    An image of 224² gives one position at any output stride, the classifier's scores.
    """
    strides = [2 ** (i + 1) for i in range(5)]
    if output_stride not in strides:
        raise ParameterError(f"build: output_stride of VGG-16 must be one of {strides}, got {output_stride}.")
    keep = [s <= output_stride for s in strides]
    before = [2 ** sum(not k for k in keep[:i]) for i in range(6)]
    pools = [(2, 2 if kept else 1, 0) for kept in keep]
    trunk = vgg.trunk(widths, pools, before[:5], pool_rates=before[:5], size_rule="floor")
    fc6 = TORCH.conv("fc6", widths[-1], width, kernel, bias=True, rate=before[5], padding="valid")
    scores = chain(
        fc6, ReLU(), Dropout(0.5), TORCH.conv("fc7", width, width, 1, bias=True), ReLU(), Dropout(0.5),
        TORCH.conv("fc8", width, classes, 1, bias=True), name="fc6–fc8",
    )  # fmt: skip
    return ToInputSize(chain(trunk, Tap("features"), scores, Tap("low_logits")))


def dense_resnet(classes=1000, *, depth=50, output_stride=32, units=None, width=64):
    """Return torchvision's ResNet with its classifier at every position; their mean is the classifier's answer."""
    stages, c = resnet.resnet(
        units or resnet.UNITS[depth], names=resnet.torchvision_names(), convention="torchvision",
        output_stride=output_stride, width=width,
    )  # fmt: skip
    scores = TORCH.conv("backbone.fc", c, classes, 1, bias=True, sigma=0.01)
    return ToInputSize(chain(*stages, Tap("features"), scores, Tap("low_logits")), align_corners=False)


def from_classifier(
    network,
    weights: Mapping[str, FloatArray],
    rng: np.random.Generator,
    dtype: type = np.float32,
    *,
    preprocessing: str = "torchvision",
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Begin a network with an ImageNet classifier, as the papers do before they train.

    Parameters
    ----------
    network : Network
        One on VGG-16 or on a ResNet in torchvision's convention or names.
    weights : dict of ndarray
        A classifier's weights in the order of its layers, such as `load_weights` of torchvision's vgg16 or resnet101,
        under torchvision's or Caffe's names; fully connected layers may be matrices. torchvision's ResNets keep their
        strides elsewhere than v2's and v3's: there they are a beginning, not the same function.
    rng : Generator
        Draws what begins anew (classifiers, ASPP, decoders) and which filters of VGG's fc6 and fc7 are kept.
    dtype : float32 or float64
    preprocessing : {"torchvision", "caffe", "slim", "xception"}
        How the classifier's images were prepared. Where the network's are prepared otherwise, the first convolution is
        changed so that it answers a photograph as before (but for the zeros around it).

    Returns
    -------
    params, state : dict of ndarray
        As from `Network.init`; every array that the classifier has in the same shape is its own, VGG's fc8 excepted.
        fc6 and fc7 are decimated to the network's kernel and width, all branches of ASPP alike.

    Raises
    ------
    ParameterError
        The classifier has less than half of the arrays of the network's trunk.
    ShapeError
        Layers that `convolutionalize` refuses.
    """
    variables = network.variables()
    if not isinstance(weights, Mapping):
        raise ParameterError(
            f"from_classifier: weights must be a dictionary of arrays, got {type(weights).__name__}. For a file use "
            "load_weights(file)."
        )
    found = renamed(convolutionalize(weights), variables)
    params, state = network.init(rng, dtype)
    given = {**found, **_decimated(variables, found, rng)}
    given.update(_converted(variables, given, preprocessing, network.preprocessing))
    taken = {name for name, v in variables.items() if np.shape(given.get(name)) == v.shape and "fc8" not in name}
    trunk = [name for name in variables if name.startswith(("backbone.", "base.layer", "conv"))]
    if 2 * len(taken.intersection(trunk)) < len(trunk):
        raise ParameterError(
            f"from_classifier: only {len(taken.intersection(trunk))} of the {len(trunk)} arrays of the trunk of "
            f"{network.name} are in the classifier, which has {', '.join(list(weights)[:4]) or 'nothing'} and so on. "
            "VGG-16 fits networks on VGG-16, a ResNet those on a ResNet of its depth; Xception has no classifier here."
        )
    for arrays in (params, state):
        arrays.update((name, np.ascontiguousarray(given[name], dtype)) for name in arrays.keys() & taken)
    return params, state


def _converted(variables, given, old, new):
    """Return the first convolution for images prepared in another way, and the bias or running mean behind it."""
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
    """Return fc6 and fc7 of VGG at the kernel and width of the network, for each of its branches."""
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
