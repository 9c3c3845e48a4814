"""Loading part of a file: other classes, a missing head, a backbone alone, named arrays."""

import numpy as np
import pytest

from atrous.errors import ParameterError
from atrous.nets.catalogue import build, networks
from atrous.nets.fresh import fitting_parts, groups, remedy
from atrous.weights.errors import WeightsError

NAME = "tiny_torchvision_deeplabv3_resnet50"


@pytest.fixture
def weights(rng):
    params, state = build(NAME, classes=4).init(rng)
    return {**params, **state}


@pytest.mark.parametrize("name", [name for name in networks() if name.startswith("tiny_")])
def test_the_classifier_is_what_depends_on_the_number_of_classes(name):
    network, more = build(name, classes=5), build(name, classes=6)
    before, after = network.variables(), more.variables()
    parts = groups(network.body)
    assert set(parts["classifier"]) == {key for key in before if before[key].shape != after[key].shape}
    assert sorted(key for names in parts.values() for key in names) == sorted(before)
    assert network.fresh_names("head") == parts["head"] + parts["classifier"]


def test_another_number_of_classes(rng, weights):
    network = build(NAME, classes=7)
    with pytest.raises(WeightsError, match=r"classifier\.4\.weight must be .*fresh='classifier', rng"):
        network.load(weights)
    params, state = network.load(weights, fresh="classifier", rng=np.random.default_rng(3))
    assert list(params | state) == list(network.split(network.variables())[0] | network.split(network.variables())[1])
    fresh = network.fresh_names("classifier")
    assert set(fresh) == {f"{head}.4.{end}" for head in ("classifier", "aux_classifier") for end in ("weight", "bias")}
    again = np.random.default_rng(3)
    for key, array in (params | state).items():
        if key not in fresh:
            np.testing.assert_array_equal(array, weights[key])
    for key in fresh:
        np.testing.assert_array_equal(params[key], network.variables()[key].draw(again, np.float32))
    network.infer(params, state, rng.standard_normal((1, 3, 33, 33)).astype(np.float32))


def test_a_backbone_alone_and_its_extra_arrays(weights):
    network = build(NAME, classes=4)
    backbone = {key.removeprefix("backbone."): a for key, a in weights.items() if key.startswith("backbone.")}
    with pytest.raises(WeightsError, match="fresh='head', rng"):
        network.load(backbone)
    backbone |= {"fc.weight": np.ones((5, 3), np.float32), "fc.bias": np.ones(5, np.float32)}
    params, state = network.load(backbone, np.float64, fresh="head", rng=np.random.default_rng(0))
    for key, array in (params | state).items():
        assert array.dtype == np.float64
        if key.startswith("backbone."):
            np.testing.assert_array_equal(array, weights[key])
    assert params["classifier.4.weight"].std() > 0


def test_a_side_head_that_a_file_lacks(weights):
    network = build(NAME, classes=4)
    main = {key: a for key, a in weights.items() if not key.startswith("aux_classifier.")}
    with pytest.raises(WeightsError, match="fresh='head'"):
        network.load(main)
    params, _ = network.load(main, fresh=["aux_*"], rng=np.random.default_rng(0))
    np.testing.assert_array_equal(params["classifier.0.convs.0.0.weight"], weights["classifier.0.convs.0.0.weight"])
    assert network.fresh_names(["aux_*"]) == tuple(key for key in network.variables() if key.startswith("aux_"))


def test_what_is_not_fresh_must_be_there(weights):
    network = build(NAME, classes=4)
    del weights["backbone.conv1.weight"]
    for fresh in ("classifier", "head", ["classifier.*"]):
        with pytest.raises(WeightsError, match=r"1 missing: backbone\.conv1\.weight.*weights show"):
            network.load(weights, fresh=fresh, rng=np.random.default_rng(0))


def test_bad_values_of_fresh(weights):
    network = build(NAME, classes=4)
    for fresh in ("decoder", ["decoder.*"], ["classifier.*", "nothing"]):
        with pytest.raises(ParameterError, match=r"matches none.*backbone, "):
            network.load(weights, fresh=fresh, rng=np.random.default_rng(0))
    with pytest.raises(ParameterError, match=r"rng must be a Generator.* got 7"):
        network.load(weights, fresh="classifier", rng=7)


def test_parts_that_fit(weights):
    network = build(NAME, classes=4)
    assert remedy(network.body, weights) is None
    more = build(NAME, classes=5)
    parts = fitting_parts(more.body, weights)
    assert parts["classifier"] == (0, 4)
    assert parts["backbone"][0] == parts["backbone"][1] > 0
    assert remedy(more.body, weights) == "classifier"
    assert remedy(more.body, {}) is None
