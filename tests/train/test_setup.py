"""Setups: the papers' numbers, patterns that match what they should, and mistakes that are named."""

import numpy as np
import pytest

from atrous import LossTerm, build, learning_rate, mean_colour, prepare, presets, read_setup
from atrous.errors import ParameterError
from atrous.train.sgd import multipliers_of

SCENES = {"data": {"kind": "scenes", "count": 4}}

# (steps, batch, accumulate, crop, policy, rate, decay) as the papers and the released files state them.
PAPERS = {
    "v1_largefov": (6000, 20, 1, 321, "step", 1e-3, 5e-4),
    "v2_vgg16_aspp": (20_000, 10, 1, 321, "poly", 1e-3, 5e-4),
    "v2_resnet101_aspp": (20_000, 1, 10, 321, "poly", 2.5e-4, 5e-4),
    "v3_resnet101": (30_000, 16, 1, 513, "poly", 0.007, 1e-4),
    "v3_resnet101_fine": (30_000, 16, 1, 513, "poly", 0.001, 1e-4),
    "v3plus_xception65": (30_000, 16, 1, 513, "poly", 0.007, 4e-5),
}


@pytest.mark.parametrize("name", PAPERS)
def test_numbers_of_the_papers(name):
    setup = read_setup(name, SCENES)
    r = setup.recipe
    crop = setup.described["augment"]["crop"]
    assert (r.steps, r.batch, r.accumulate, crop, r.policy, r.rate, r.decay) == PAPERS[name]
    assert r.coefficient == 0.9
    assert setup.network.classes == 21
    assert r.rule == ("caffe" if name < "v3" else "torch")
    assert setup.described["data"] == SCENES["data"]


def test_every_preset_has_a_source_for_its_numbers():
    assert set(PAPERS) | {"shapes", "tiny_v1", "tiny_v3", "tiny_v3plus"} == set(presets())
    for name in PAPERS:
        from atrous.train.setup import PRESETS

        text = (PRESETS / f"{name}.toml").read_text(encoding="utf-8")
        assert "arXiv:" in text
        told = [line for line in text.splitlines() if line.startswith(("steps", "rate"))]
        assert len(told) == 2
        assert all("#" in line for line in told)


def rates(name):
    setup = read_setup(name, SCENES)
    params, _ = setup.network.init(np.random.default_rng(0))
    return multipliers_of(params, setup.recipe.multipliers)


def test_multipliers_reach_the_layers_they_mean():
    v1 = rates("v1_largefov")
    assert v1["conv1_1.weight"] == (1, 1)
    assert v1["fc6.bias"] == (2, 0)
    assert (v1["fc8_voc12.weight"], v1["fc8_voc12.bias"]) == ((10, 1), (20, 0))
    v2 = rates("v2_vgg16_aspp")
    assert [v2[f"fc8_voc12_{i}.weight"] for i in (1, 2, 3, 4)] == [(10, 1)] * 4
    assert v2["fc7_2.bias"] == (2, 0)


def test_batch_norms_of_v3s_two_stages():
    from atrous.compose.leaves import BatchNorm
    from atrous.compose.part import mapped

    def norms(body):
        found = []
        mapped(body, lambda part: found.append(part) or part)
        return [part for part in found if isinstance(part, BatchNorm)]

    first, second = (read_setup(name, SCENES).network for name in ("v3_resnet101", "v3_resnet101_fine"))
    assert (first.output_stride, second.output_stride) == (16, 8)
    assert {n.momentum for n in norms(first.body)} == {0.0003}
    assert not any(n.frozen for n in norms(first.body))
    assert all(n.frozen for n in norms(second.body))


def test_augmentation_is_that_of_the_file(rng):
    setup = read_setup("tiny_v3", {"data": {"kind": "scenes", "count": 2, "options": {"size": 97}}})
    image, labels = setup.samples[0]
    changed, _ = setup.recipe.change(image, labels, rng)
    assert changed.shape == (65, 65, 3)
    assert set(setup.recipe.change.keywords["scales"]) == {0.75, 1.0, 1.25}


@pytest.mark.parametrize("name", ["deeplabv1_largefov", "deeplabv3_resnet50", "deeplabv3plus_xception65"])
def test_the_mean_colour_becomes_zero(name):
    network = build(name)
    image = np.full((1, 1, 3), mean_colour(network))
    np.testing.assert_allclose(prepare(image, network.preprocessing), 0, atol=1e-5)


def test_a_file_and_what_replaces_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        '[network]\nname = "tiny_deeplabv3_resnet50"\nclasses = 6\n[data]\nkind = "scenes"\ncount = 5\n'
        '[recipe]\nsteps = 10\nclass_weights = [1, 1, 2, 2, 2, 3]\n[recipe.multipliers]\n"classifier*" = 10\n'
    )
    setup = read_setup(path, {"recipe": {"steps": 3}, "network": {"init": "old.npz"}})
    assert (setup.recipe.steps, setup.init, len(setup.samples)) == (3, "old.npz", 5)
    assert setup.recipe.class_weights.tolist() == [1, 1, 2, 2, 2, 3]
    assert setup.recipe.multipliers == {"classifier*": 10}
    assert setup.recipe.change is None
    assert learning_rate(setup.recipe, 0) == 0.007


def test_terms_and_held_out_images():
    terms = [{"endpoint": "low_logits", "weight": 0.5}, {"endpoint": "logits"}]
    held_out = {"kind": "scenes", "count": 3, "seed": 8}
    setup = read_setup({**BASE, "recipe": {"steps": 1, "terms": terms}, "held_out": held_out})
    assert setup.recipe.terms == (LossTerm("low_logits", 0.5), LossTerm("logits"))
    assert (len(setup.held_out), setup.held_out.seed) == (3, 8)
    assert read_setup({**BASE, "held_out": held_out}, {"held_out": None}).held_out is None


BASE = {"network": {"name": "tiny_deeplabv3_resnet50"}, **SCENES, "recipe": {"steps": 1}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": {"steps": 1, "rte": 1}}, r"\[recipe\] has no field 'rte'. Did you mean 'rate'\?"),
        ({"recipe": {}}, r"\[recipe\] needs steps"),
        ({"recipe": {"steps": 1, "terms": "logits"}}, r"\[recipe\] terms must be a list of tables"),
        ({"recipe": {"steps": 1, "terms": [{"endpoint": "logits", "wieght": 2}]}}, "Did you mean 'weight'?"),
        ({"held_out": {"kind": "scene"}}, r"\[held_out\] needs kind, one of .*; got 'scene'"),
        ({"recipes": {}}, r"has no field 'recipes'. Did you mean 'recipe'\?"),
        ({"recipe": 3}, r"recipe must be a table"),
        ({"network": {}}, r"\[network\] needs a name"),
        ({"network": {"name": "deeplabv9"}}, "deeplabv9"),
        ({"network": {"name": "tiny_deeplabv3_resnet50", "class": 3}}, r"no field 'class'. Did you mean 'classes'\?"),
        ({"data": {"kind": "coco"}}, r"\[data\] needs kind, one of 'scenes', .*; got 'coco'"),
        ({"data": {"kind": "voc"}}, r"\[data\] of kind 'voc' needs root"),
        ({"data": {"kind": "scenes", "count": 3, "root": "x"}}, "no field 'root'"),
        ({"data": {"kind": "folders", "images": "x"}}, "needs masks"),
        ({"augment": {"crops": 3}}, r"\[augment\] has no field 'crops'. Did you mean 'crop'\?"),
    ],
)
def test_mistakes_are_named(change, message):
    with pytest.raises(ParameterError, match=message):
        read_setup({**BASE, **change})


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ParameterError, match=r"there is no preset 'v3_resnet10'. Did you mean 'v3_resnet101'\?"):
        read_setup("v3_resnet10")
    with pytest.raises(ParameterError, match=r"cannot read .*none\.toml"):
        read_setup(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[network\n")
    with pytest.raises(ParameterError, match=r"bad\.toml is not TOML"):
        read_setup(tmp_path / "bad.toml")
