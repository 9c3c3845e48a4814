"""Weights tell their network by the names and shapes of their arrays."""

import time

import numpy as np
import pytest

from atrous.errors import ParameterError
from atrous.nets.catalogue import CATALOGUE, build
from atrous.nets.guess import choose, describe, guess, nearest
from atrous.weights.errors import WeightsError
from atrous.weights.files import save_weights

TWINS = [
    {"deeplabv1_largefov", "deeplabv2_vgg16_largefov"},
    {"deeplabv2_vgg16_aspp_s", "deeplabv2_vgg16_aspp_l"},
]


def arrays(name, **options):
    """Return arrays of a network's names and shapes that take no memory."""
    return {key: np.broadcast_to(np.float32(1), v.shape) for key, v in build(name, **options).variables().items()}


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_network_is_known_by_its_arrays_and_their_classes(name):
    expected = next((twins for twins in TWINS if name in twins), {name})
    assert guess(arrays(name, classes=6)) == [(n, {"classes": 6}) for n in CATALOGUE if n in expected]


def test_tiny_siblings_are_known_and_one_network_of_two_names_stands_there_once():
    assert guess(arrays("tiny_deeplabv3plus_xception65")) == [("tiny_deeplabv3plus_xception65", {"classes": 21})]
    assert guess(arrays("tiny_deeplabv3_resnet101")) == [("tiny_deeplabv3_resnet50", {"classes": 21})]
    assert len(guess(arrays("tiny_deeplabv2_vgg16_aspp_l"))) == 2


def test_a_side_head_may_be_missing():
    weights = arrays("torchvision_deeplabv3_resnet101", classes=3, auxiliary=False)
    options = {"classes": 3, "auxiliary": False}
    assert guess(weights) == [("torchvision_deeplabv3_resnet101", options)]
    assert choose(weights).options == choose(weights, "torchvision_deeplabv3_resnet101").options == {"auxiliary": False}


@pytest.mark.parametrize("name", ["deeplabv3plus_resnet101", "vainf_deeplabv3plus_resnet50", "smp_deeplabv3_resnet50"])
def test_separable_convolutions_are_told_by_the_arrays(name):
    options = {"classes": 6, "separable": True}
    assert guess(arrays(name, **options)) == [(name, options)]
    assert guess(arrays("deeplabv3plus_xception65", separable=False)) == [
        ("deeplabv3plus_xception65", {"classes": 21, "separable": False})
    ]


@pytest.mark.parametrize(
    ("name", "options"),
    [("torchvision_lraspp_mobilenet_v3_large", {"reduced_tail": True}), ("deeplabv3_mobilenetv2", {"rates": ()})],
)
def test_a_reduced_tail_and_missing_branches_are_told_by_the_arrays(name, options):
    options = {"classes": 6, **options}
    assert guess(arrays(name, **options)) == [(name, options)]


def test_options_that_names_tell_can_be_overruled():
    weights = arrays("deeplabv2_resnet101_aspp", classes=4)
    weights = {name.replace("base.aspp.c", "layer5.conv2d_list."): array for name, array in weights.items()}
    assert guess(weights) == [("deeplabv2_resnet101_aspp", {"classes": 4, "multi_scale": False})]
    assert choose(weights, multi_scale=True).options == {"multi_scale": True}


def test_names_of_other_projects_are_understood():
    weights = arrays("deeplabv2_resnet101_aspp", classes=4)
    without_base = {name.removeprefix("base."): array for name, array in weights.items()}
    counters = {"layer1.conv1.bn.num_batches_tracked": np.array(7)}
    assert guess({**without_base, **counters}) == [("deeplabv2_resnet101_aspp", {"classes": 4})]


def test_all_networks_are_tried_in_no_time():
    weights = arrays("deeplabv3plus_xception65")
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        guess(weights)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.3


def test_what_fits_none_is_compared_with_the_nearest():
    weights = arrays("deeplabv3_resnet50", classes=9)
    weights["classifier.0.convs.1.0.weight"] = np.broadcast_to(np.float32(1), (256, 2048, 5, 5))
    del weights["backbone.bn1.bias"]
    weights["extra"] = np.ones(3)
    assert guess(weights) == []
    (network, *_), text = nearest(weights)
    assert (network.name, network.classes) == ("deeplabv3_resnet50", 9)
    assert text == (
        "1 missing: backbone.bn1.bias; 1 unexpected: extra; 1 of another shape: "
        "classifier.0.convs.1.0.weight must be (256, 2048, 3, 3), got (256, 2048, 5, 5)"
    )
    with pytest.raises(WeightsError, match=r"nearest is deeplabv3_resnet50 with 9 classes: 1 missing.*weights show"):
        choose(weights)


@pytest.mark.parametrize("bias", [np.ones(()), np.ones(0), np.ones((2, 3))])
def test_a_classifier_whose_classes_cannot_be_counted_fits_nothing(bias):
    weights = {**arrays("deeplabv3_resnet50"), "classifier.4.bias": bias}
    assert guess(weights) == []
    assert "classifier.4.bias must be (21,)" in nearest(weights)[1]


def test_fully_connected_layers_are_told_from_convolutions():
    weights = arrays("dense_resnet50")
    weights["fc.weight"] = np.ones((1000, 2048), np.float32)
    assert "convolutionalize" in nearest({n.removeprefix("backbone."): a for n, a in weights.items()})[1]


def test_one_of_several_must_be_named():
    weights = arrays("deeplabv2_vgg16_aspp_l", classes=5)
    with pytest.raises(ParameterError, match=r"deeplabv2_vgg16_aspp_s, deeplabv2_vgg16_aspp_l.*--model deeplabv2"):
        choose(weights)
    chosen = choose(weights, "deeplabv2_vgg16_aspp_l")
    assert (chosen.name, chosen.classes) == ("deeplabv2_vgg16_aspp_l", 5)


def test_options_and_classes_are_handed_on():
    weights = arrays("deeplabv3_resnet50", classes=5)
    chosen = choose(weights, classes=7, output_stride=8)
    assert (chosen.classes, chosen.options) == (7, {"output_stride": 8})
    with pytest.raises(ParameterError, match="no option 'output_stride'"):
        choose(arrays("deeplabv1_msc"), output_stride=8)
    with pytest.raises(ParameterError, match="name must be one of"):
        choose(weights, "deeplabv9")


def test_a_file_is_described(tmp_path):
    save_weights({"a": np.ones((2, 3), np.float32), "b": np.array(1, np.int64)}, tmp_path / "w.npz")
    found = describe(tmp_path / "w.npz")
    assert found["format"] == "NumPy .npz"
    assert found["file_bytes"] == (tmp_path / "w.npz").stat().st_size
    assert (found["numbers"], found["bytes"]) == (7, 32)
    assert found["tensors"][0] == {"name": "a", "shape": [2, 3], "dtype": "float32"}
    assert found["networks"] == []
    assert "missing" in found["nearest"]["differences"]
