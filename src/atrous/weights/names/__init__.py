"""Names that other projects give to the same arrays, translated into those of our networks.

    Caffe          conv1_1.0, conv1_1.1; res4b12_branch2a.0, bn4b12_branch2a.0 to .2, scale4b12_branch2a.0, .1
    torchvision    its segmentation networks unchanged; classifiers: features.0.weight …, layer1.0.conv1.weight …,
                   features.0.0.weight …
    kazuto1011     base.layer2.block1.reduce.conv.weight …, with or without "base."
    isht7          Scale.layer5.conv2d_list.0.weight …, with or without "Scale."
    VainF, segmentation_models.pytorch, mmsegmentation, jfzhang95    unchanged; older versions are translated
    wrappers       a prefix that all names share, such as model. or _orig_mod.

One file for each of them. `projects` knows those whose networks are not here.

Role: names. Tables and rules; no file is read here.
"""

from __future__ import annotations

from atrous.weights.names.caffe import from_caffe
from atrous.weights.names.isht7 import first_two_branches, from_isht7, one_scale
from atrous.weights.names.jfzhang import from_old_jfzhang
from atrous.weights.names.kazuto import with_base
from atrous.weights.names.projects import project as project
from atrous.weights.names.smp import from_old_smp
from atrous.weights.names.torchvision import (
    encoder_from_resnet,
    from_mobilenet,
    from_resnet,
    from_vgg,
    kazuto_from_resnet,
    vainf_from_mobilenet,
)
from atrous.weights.names.wrappers import unwrapped, without_wrappers

# Heads that only training uses: torchvision's, mmsegmentation's, and smp's classifier of whole images.
SIDE_HEADS = ("aux_classifier.", "auxiliary_head.", "classification_head.")


def plain(weights):
    """Return the weights without known wrappers and without the counters of batches, which no network uses."""
    inner = without_wrappers(weights)
    return {name: a for name, a in inner.items() if not name.endswith("num_batches_tracked")}


MAPS = (
    dict,
    from_caffe,
    from_vgg,
    from_resnet,
    from_mobilenet,
    vainf_from_mobilenet,
    encoder_from_resnet,
    kazuto_from_resnet,
    with_base,
    from_isht7,
    first_two_branches,
    from_old_smp,
    from_old_jfzhang,
    unwrapped,
)


def versions(weights):
    """Return the weights under the names that each map gives, each version once."""
    given, found = plain(weights), []
    for rename in MAPS:
        version = rename(given)
        if all(version.keys() != other.keys() for other in found):
            found.append(version)
    return found


def fitting(found, wanted):
    """Return the version that shares the most names with `wanted`, without a side head that is not wanted.

    Side heads are used only in training; a network is complete without them. Of versions that share equally many, the
    one with the fewest other names is returned.
    """
    best = max(found, key=lambda version: (len(version.keys() & wanted.keys()), -len(version)))
    unwanted = tuple(head for head in SIDE_HEADS if not any(name.startswith(head) for name in wanted))
    return {name: array for name, array in best.items() if not name.startswith(unwanted)} if unwanted else best


def renamed(weights, wanted):
    """Return the weights renamed by the one of `MAPS` that gives the most names in `wanted`."""
    return fitting(versions(weights), wanted)


def known_options(weights):
    """Return the options of a network that names alone tell."""
    return {"multi_scale": False} if one_scale(plain(weights)) else {}
