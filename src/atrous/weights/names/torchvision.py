"""Names of torchvision's classifiers; those of its segmentation networks are ours.

Role: names.
"""

from __future__ import annotations

import re

# The index of each of VGG-16's convolutions in torchvision's `features`.
_VGG_FEATURES = dict(
    zip(
        (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
        [f"conv{stage}_{i}" for stage, depth in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, depth + 1)],
        strict=True,
    )
)
_VGG_CLASSIFIER = {0: "fc6", 3: "fc7", 6: "fc8"}


def from_vgg(weights):
    """Return torchvision's VGG-16 classifier under Caffe's names."""
    found = {}
    for key, array in weights.items():
        head, index, *rest = (*key.split("."), "")
        table = {"features": _VGG_FEATURES, "classifier": _VGG_CLASSIFIER}.get(head, {})
        name = table.get(int(index)) if index.isdigit() and rest in (["weight", ""], ["bias", ""]) else None
        found[f"{name}.{rest[0]}" if name else key] = array
    return found


def from_resnet(weights):
    """Return a ResNet classifier under the names of a backbone."""
    return {f"backbone.{name}": array for name, array in weights.items()}


def from_mobilenet(weights):
    """Return a MobileNet classifier under the names of a backbone, which leave out "features"."""
    return {f"backbone.{name.removeprefix('features.')}": array for name, array in weights.items()}


def vainf_from_mobilenet(weights):
    """Return a MobileNetV2 classifier under VainF's names, which tell features of stride 4 from the others."""

    def renamed(match):
        return f"backbone.{'low' if int(match[1]) < 4 else 'high'}_level_{match[0]}"

    return {re.sub(r"^features\.(\d+)\.", renamed, name): array for name, array in weights.items()}


def encoder_from_resnet(weights):
    """Return a ResNet classifier under the names of segmentation_models.pytorch."""
    return {f"encoder.{name}": array for name, array in weights.items()}


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
