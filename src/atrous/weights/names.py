"""Names that other projects give to the same arrays, translated into those of our networks.

    Caffe          conv1_1.0, conv1_1.1; res4b12_branch2a.0, bn4b12_branch2a.0 to .2, scale4b12_branch2a.0, .1
    torchvision    its segmentation networks unchanged; classifiers: features.0.weight …, layer1.0.conv1.weight …
    kazuto1011     base.layer2.block1.reduce.conv.weight …, with or without "base."
    wrappers       a prefix that all names share, such as model. or _orig_mod.
    VainF          unchanged

Role: names. Tables and rules; no file is read here.
"""

from __future__ import annotations

import re

import numpy as np

# The index of each of VGG-16's convolutions in torchvision's `features`.
_VGG_FEATURES = dict(
    zip(
        (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
        [f"conv{stage}_{i}" for stage, depth in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, depth + 1)],
        strict=True,
    )
)
_VGG_CLASSIFIER = {0: "fc6", 3: "fc7", 6: "fc8"}
_CAFFE_PIECES = {"1": "shortcut", "2a": "reduce", "2b": "conv3x3", "2c": "increase"}


def plain(weights):
    """Return the weights without the counters of batches, which no network uses."""
    return {name: a for name, a in weights.items() if not name.endswith("num_batches_tracked")}


def kazuto_from_caffe_layer(layer):
    """Return (kazuto1011's name, kind) for a layer of the released ResNet-101, or None.

    kind is "conv", "bn", "scale" or "score" (a classifier). Branches for other scales (``_res05``, ``_res075``) give
    None, as they share their arrays.
    """
    if layer in {"conv1", "bn_conv1", "scale_conv1"}:
        kind = {"c": "conv", "b": "bn", "s": "scale"}[layer[0]]
        return "base.layer1.conv1", kind
    if found := re.fullmatch(r"fc1_\w+?_c([0-3])", layer):
        return f"base.aspp.c{found[1]}", "score"
    found = re.fullmatch(r"(res|bn|scale)([2-5])([abc]|b\d+)_branch(1|2[abc])", layer)
    if not found:
        return None
    head, stage, unit, piece = found.groups()
    block = int(unit[1:]) + 1 if len(unit) > 1 else "abc".index(unit) + 1
    kind = {"res": "conv", "bn": "bn", "scale": "scale"}[head]
    return f"base.layer{stage}.block{block}.{_CAFFE_PIECES[piece]}", kind


def from_caffe(weights):
    """Return Caffe's arrays (``layer.0``, ``layer.1`` …) under our names."""
    found = {}
    for key, array in weights.items():
        layer, _, blob = key.rpartition(".")
        if blob not in {"0", "1", "2"}:
            found[key] = array
            continue
        known = kazuto_from_caffe_layer(layer)
        if known is None:
            if layer.endswith(("_res05", "_res075")):
                continue
            layer = re.sub(r"^fc8_\w+?(_[1-4])?$", r"fc8_voc12\1", layer)
            name = f"{layer}.{ {'0': 'weight', '1': 'bias'}.get(blob, blob) }"
            # If there are two heads, the second keeps its own name and is reported as unexpected.
            found[key if name in found else name] = array.reshape(-1) if blob == "1" else array
            continue
        name, kind = known
        if kind == "score":
            found[f"{name}.{'weight' if blob == '0' else 'bias'}"] = array if blob == "0" else array.reshape(-1)
        elif kind == "conv":
            found[f"{name}.conv.weight" if blob == "0" else key] = array
        elif kind == "scale":
            found[f"{name}.bn.{'weight' if blob == '0' else 'bias'}"] = array.reshape(-1)
        elif blob in "01":
            # Caffe stores mean and variance multiplied by a factor, and this factor.
            factor = float(weights.get(f"{layer}.2", np.ones(1)).sum())
            mean = array.reshape(-1) / (factor or 1.0)
            found[f"{name}.bn.{'running_mean' if blob == '0' else 'running_var'}"] = mean.astype(array.dtype)
    return found


def from_vgg(weights):
    """Return torchvision's VGG-16 classifier under Caffe's names."""
    found = {}
    for key, array in weights.items():
        head, index, end = (*key.split("."), "", "")[:3]
        table = {"features": _VGG_FEATURES, "classifier": _VGG_CLASSIFIER}.get(head, {})
        name = table.get(int(index)) if index.isdigit() else None
        found[f"{name}.{end}" if name else key] = array
    return found


def from_resnet(weights):
    """Return torchvision's ResNet classifier under the names of a backbone."""
    return {f"backbone.{name}": array for name, array in weights.items()}


def with_base(weights):
    """Return kazuto1011's arrays with the prefix ``base.``, which some of its files lack."""
    renamed = {name if name.startswith("base.") else f"base.{name}": array for name, array in weights.items()}
    return renamed if len(renamed) == len(weights) else weights


def unwrapped(weights):
    """Return the weights without a prefix that all names share (``model.``, ``_orig_mod.``)."""
    first = {name.partition(".")[0] for name in weights}
    return {name.partition(".")[2]: a for name, a in weights.items()} if len(first) == 1 else weights


def kazuto_from_resnet(weights):
    """Return torchvision's ResNet classifier under kazuto1011's names, in which its stages are layers 2 to 5."""
    pieces = {"1": "reduce", "2": "conv3x3", "3": "increase"}
    found = {}
    for key, array in weights.items():
        name = re.sub(r"^(conv|bn)1\.", lambda m: f"base.layer1.conv1.{m[1]}.", key)
        unit = re.match(r"layer([1-4])\.(\d+)\.(?:(conv|bn)([123])|downsample\.([01]))\.", name)
        if unit:
            piece = f"{pieces[unit[4]]}.{unit[3]}" if unit[3] else f"shortcut.{('conv', 'bn')[int(unit[5])]}"
            name = f"base.layer{int(unit[1]) + 1}.block{int(unit[2]) + 1}.{piece}.{name[unit.end() :]}"
        found[name] = array
    return found


MAPS = (plain, from_caffe, from_vgg, from_resnet, kazuto_from_resnet, with_base, unwrapped)


def versions(weights):
    """Return the weights under the names that each map gives."""
    return [rename(plain(weights)) for rename in MAPS]


def fitting(found, wanted):
    """Return the version that shares the most names with `wanted`, without a side head that is not wanted.

    torchvision's side head is used only in training; a network is complete without it.
    """
    best = max(found, key=lambda version: len(version.keys() & wanted.keys()))
    if any(name.startswith("aux_classifier.") for name in wanted):
        return best
    return {name: array for name, array in best.items() if not name.startswith("aux_classifier.")}


def renamed(weights, wanted):
    """Return the weights renamed by the one of `MAPS` that gives the most names in `wanted`."""
    return fitting(versions(weights), wanted)
