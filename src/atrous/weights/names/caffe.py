"""Names of Caffe's layers: conv1_1, res4b12_branch2a, bn4b12_branch2a, scale4b12_branch2a, fc1_voc12_c0.

Role: names.
"""

from __future__ import annotations

import re

import numpy as np

_PIECES = {"1": "shortcut", "2a": "reduce", "2b": "conv3x3", "2c": "increase"}


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
    return f"base.layer{stage}.block{block}.{_PIECES[piece]}", kind


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
