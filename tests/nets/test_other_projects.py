"""Networks of other projects: their files are recognised, loaded and give their project's scores."""

import shlex

import numpy as np
import pytest
from oracles.drawn import CLASSES, drawn, normal
from PIL import Image
from tolerances import assert_close

from atrous import cli
from atrous.errors import ParameterError
from atrous.nets.catalogue import build
from atrous.nets.from_classifier import from_classifier
from atrous.nets.guess import choose, describe, guess, nearest
from atrous.nets.preparation import prepare
from atrous.nets.segmentation import segment
from atrous.weights.names import project

torch = pytest.importorskip("torch")
from oracles import torch_projects as other  # noqa: E402

pytestmark = pytest.mark.torch

UNITS = (3, 2, 2, 3)
RESNET = {"units": UNITS}
# (our network, its options beside the classes as `guess` finds them, options that no array tells, the other network)
CASES = {
    **{
        f"smp {name} {'basic' if depth < 50 else 'bottleneck'}{note}": (
            f"smp_{name}_resnet{depth}",
            found,
            told,
            lambda c, plus=plus, depth=depth, told=told, found=found: other.Smp(
                c, plus=plus, basic=depth < 50, units=UNITS, separate=found.get("separable"),
                output_stride=told.get("output_stride", 16 if plus else 8),
            ),
        )
        for name, plus, depth, note, found, told in (
            ("deeplabv3", False, 18, "", {}, {}),
            ("deeplabv3", False, 50, "", {}, {}),
            ("deeplabv3", False, 50, " stride 16", {}, {"output_stride": 16}),
            ("deeplabv3", False, 50, " separable", {"separable": True}, {}),
            ("deeplabv3plus", True, 18, "", {}, {}),
            ("deeplabv3plus", True, 50, "", {}, {}),
            ("deeplabv3plus", True, 50, " stride 8", {}, {"output_stride": 8}),
            ("deeplabv3plus", True, 50, " not separable", {"separable": False}, {}),
        )
    },
    "jfzhang resnet": ("jfzhang_deeplabv3plus_resnet101", {}, {}, lambda c: other.Jfzhang(c, **RESNET)),
    "jfzhang resnet stride 8": (
        "jfzhang_deeplabv3plus_resnet101", {}, {"output_stride": 8},
        lambda c: other.Jfzhang(c, output_stride=8, **RESNET),
    ),
    "jfzhang resnet without dropout": (
        "jfzhang_deeplabv3plus_resnet101", {}, {}, lambda c: other.Jfzhang(c, dropout=False, **RESNET),
    ),
    "jfzhang xception": ("jfzhang_deeplabv3plus_xception", {}, {}, lambda c: other.Jfzhang(c, middle=2)),
    "jfzhang xception stride 8": (
        "jfzhang_deeplabv3plus_xception", {}, {"output_stride": 8},
        lambda c: other.Jfzhang(c, middle=2, output_stride=8),
    ),
    "mmseg deeplabv3": ("mmseg_deeplabv3_resnet50", {}, {}, lambda c: other.Mmseg(c, plus=False, **RESNET)),
    "mmseg deeplabv3plus": ("mmseg_deeplabv3plus_resnet50", {}, {}, lambda c: other.Mmseg(c, plus=True, **RESNET)),
    "VainF separable": (
        "vainf_deeplabv3plus_resnet50", {"separable": True}, {}, lambda c: other.Vainf(c, **RESNET)
    ),
    "VainF separable stride 8": (
        "vainf_deeplabv3plus_resnet50", {"separable": True}, {"output_stride": 8},
        lambda c: other.Vainf(c, output_stride=8, **RESNET),
    ),
    **{
        f"VainF {name} mobilenet{' stride 8' if told else ''}": (
            f"vainf_{name}_mobilenet", {}, told,
            lambda c, plus=plus, told=told: other.VainfMobile(c, plus=plus, **told),
        )
        for name, plus, told in (
            ("deeplabv3", False, {}), ("deeplabv3plus", True, {}), ("deeplabv3plus", True, {"output_stride": 8}),
        )
    },
    "isht7": ("deeplabv2_resnet101_aspp", {}, {}, lambda c: other.V2Scales(c, **RESNET)),
    "AdvSemiSeg": ("deeplabv2_resnet101_aspp", {"multi_scale": False}, {}, lambda c: other.V2(c, **RESNET)),
    "AdaptSegNet": (
        "deeplabv2_resnet101_aspp", {"multi_scale": False}, {"rates": (6, 12)},
        lambda c: other.V2(c, used=2, **RESNET),
    ),
}  # fmt: skip


def made(case):
    """Return (our network's name, options found, options told, the other network with random weights, these)."""
    name, found, told, make = CASES[case]
    module = make(CLASSES).eval()
    weights = {key: drawn(key, tuple(a.shape)) for key, a in module.state_dict().items()}
    weights = {key: a.astype(np.float32) if a.dtype == float else a for key, a in weights.items()}
    module.load_state_dict({key: torch.from_numpy(np.asarray(a)) for key, a in weights.items()})
    return name, found, told, module, weights


@pytest.mark.parametrize("case", CASES)
def test_files_are_recognised_and_give_their_projects_scores(case):
    torch.set_num_threads(1)
    name, found, told, module, weights = made(case)
    assert guess(weights) == [(f"tiny_{name}", {"classes": CLASSES, **found})]
    network = choose(weights, **told)
    # Wide enough for the largest rate, 36 at 1/16, to reach something.
    x = normal(case, (1, 3, 33, 641) if network.remainder == 1 else (1, 3, 32, 640))
    with torch.no_grad():
        scores = module.double()(torch.from_numpy(x))
    params, state = network.load(weights, np.float64)
    results = network.endpoints(params, state, x)
    scores, *side = scores if isinstance(scores, tuple) else (scores,)
    expected = scores.numpy()
    got = results["low_logits"] if expected.shape[2:] == results["low_logits"].shape[2:] else results["logits"]
    assert_close(got, expected, "golden")
    assert_close(network.infer(params, state, x), results["logits"], "golden")
    for y in side:
        assert_close(results["aux_logits"], y.numpy(), "golden")


# How many parameters the projects' own networks have, in tables of theirs or counted by the definitions.
FULL = {
    "smp_deeplabv3_resnet34": ({"classes": 21}, lambda: other.Smp(
        21, plus=False, basic=True, units=(3, 4, 6, 3), output_stride=8, width=64, aspp=256)),
    "smp_deeplabv3_resnet18": ({"classes": 21}, lambda: other.Smp(
        21, plus=False, basic=True, units=(2, 2, 2, 2), output_stride=8, width=64, aspp=256)),
    "smp_deeplabv3plus_resnet152": ({"classes": 2}, lambda: other.Smp(
        2, plus=True, basic=False, units=(3, 8, 36, 3), output_stride=16, width=64, aspp=256, low_width=48)),
    "smp_deeplabv3_resnet101": ({"classes": 21}, lambda: other.Smp(
        21, plus=False, basic=False, units=(3, 4, 23, 3), output_stride=8, width=64, aspp=256)),
    **{f"smp_deeplabv3plus_resnet{depth}": ({"classes": 1}, lambda units=units, depth=depth: other.Smp(
        1, plus=True, basic=depth < 50, units=units, output_stride=16, width=64, aspp=256, low_width=48))
        for depth, units in ((18, (2, 2, 2, 2)), (34, (3, 4, 6, 3)), (50, (3, 4, 6, 3)), (101, (3, 4, 23, 3)))},
    "jfzhang_deeplabv3plus_resnet101": ({"classes": 21}, lambda: other.Jfzhang(
        21, units=(3, 4, 23, 3), width=64, aspp=256, low_width=48)),
    "jfzhang_deeplabv3plus_xception": ({"classes": 21}, lambda: other.Jfzhang(
        21, middle=16, divisor=1, aspp=256, low_width=48)),
    "mmseg_deeplabv3_resnet50": ({"classes": 19}, lambda: other.Mmseg(
        19, plus=False, units=(3, 4, 6, 3), width=64, aspp=512, low_width=48)),
    "mmseg_deeplabv3_resnet101": ({"classes": 19}, lambda: other.Mmseg(
        19, plus=False, units=(3, 4, 23, 3), width=64, aspp=512, low_width=48)),
    "mmseg_deeplabv3plus_resnet50": ({"classes": 19}, lambda: other.Mmseg(
        19, plus=True, units=(3, 4, 6, 3), width=64, aspp=512, low_width=48)),
    "mmseg_deeplabv3plus_resnet101": ({"classes": 19}, lambda: other.Mmseg(
        19, plus=True, units=(3, 4, 23, 3), width=64, aspp=512, low_width=48)),
    "vainf_deeplabv3plus_resnet101": ({"classes": 21, "separable": True}, lambda: other.Vainf(
        21, units=(3, 4, 23, 3), width=64, aspp=256, low_width=48)),
    **{
        f"vainf_{name}_mobilenet": ({"classes": 21}, lambda plus=plus: other.VainfMobile(
            21, plus=plus, widths=(32, 16, 24, 32, 64, 96, 160, 320), aspp=256, low_width=48))
        for name, plus in (("deeplabv3", False), ("deeplabv3plus", True))
    },
    "deeplabv2_resnet101_aspp": ({"classes": 21}, lambda: other.V2Scales(21, units=(3, 4, 23, 3), width=64)),
}  # fmt: skip


@pytest.mark.parametrize("name", FULL)
def test_full_sizes_are_told_by_names_and_shapes(name):
    options, make = FULL[name]
    with torch.device("meta"):
        module = make()
    weights = {key: np.broadcast_to(np.float32(1), tuple(a.shape)) for key, a in module.state_dict().items()}
    assert guess(weights) == [(name, options)]
    counted = sum(p.numel() for p in module.parameters())
    assert build(name, **options).parameter_count == counted


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("smp_deeplabv3plus_resnet34", 22.44),
        ("smp_deeplabv3plus_resnet50", 26.68),
        ("jfzhang_deeplabv3plus_resnet101", 59.34),
        ("mmseg_deeplabv3plus_resnet50", 43.59),
        ("mmseg_deeplabv3_resnet50", 68.11),
    ],
)
def test_numbers_of_parameters_that_others_report(name, millions):
    assert round(build(name).parameter_count / 1e6, 2) == millions


@pytest.mark.parametrize("case", ["smp deeplabv3 bottleneck", "jfzhang xception", "isht7", "AdvSemiSeg"])
def test_wrappers_and_counters_do_not_matter(case):
    name, found, _, _, weights = made(case)
    wrapped = {f"module.{key}": a for key, a in weights.items()}
    lightning = {f"model.{key}": a for key, a in wrapped.items()}
    lightning |= {"mean": np.ones((1, 3, 1, 1), np.float32), "std": np.ones((1, 3, 1, 1), np.float32)}
    params, state = choose(weights).load(weights)
    for given in (wrapped, lightning):
        assert guess(given) == [(f"tiny_{name}", {"classes": CLASSES, **found})]
        for got, expected in zip(choose(given).load(given), (params, state), strict=True):
            assert list(got) == list(expected)
            assert all(np.array_equal(got[key], a) for key, a in expected.items())


@pytest.mark.parametrize(
    "case",
    [
        *("smp deeplabv3plus bottleneck", "jfzhang xception", "mmseg deeplabv3plus"),
        *("VainF separable", "isht7", "AdvSemiSeg"),
    ],
)
def test_an_old_file_goes_through_all_commands_with_no_option(case, tmp_path, capsys, rng):
    _, _, _, module, weights = made(case)
    torch.save(module.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    image = rng.integers(0, 256, (37, 45, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "photo.png")

    def told(*arguments):
        capsys.readouterr()
        assert cli.main([*map(str, arguments)]) == 0
        return capsys.readouterr().out

    shown = told("weights", "show", tmp_path / "old.pth")
    assert "before 1.6" in shown
    line = next(line for line in shown.splitlines() if "atrous segment" in line)
    words = {"IMAGE": tmp_path / "photo.png", "DIR": tmp_path / "out"}
    told(*(words.get(word, word) for word in shlex.split(line)[1:]))
    network = choose(weights)
    expected = segment(image, network, network.load(weights)).labels
    found = np.asarray(Image.open(tmp_path / "out" / "photo.png"))
    np.testing.assert_array_equal(found, expected)
    told("refine", tmp_path / "photo.png", tmp_path / "out" / "photo.png", "-o", tmp_path / "refined.png")
    refined = Image.open(tmp_path / "refined.png")
    assert refined.mode == "P"
    assert set(np.unique(refined)) <= set(np.unique(found))


def test_older_smp_decoders_were_numbered():
    name, _, _, _, weights = made("smp deeplabv3 bottleneck")
    numbers = {"decoder.aspp.": "decoder.0.", "decoder.conv.": "decoder.1.", "decoder.bn.": "decoder.2."}
    old = {}
    for key, a in weights.items():
        new = next((new for new in numbers if key.startswith(new)), "")
        old[key.replace(new, numbers[new]) if new else key] = a
    assert "decoder.0.convs.1.0.weight" in old
    assert guess(old) == [(f"tiny_{name}", {"classes": CLASSES})]
    for got, expected in zip(choose(old).load(old), choose(weights).load(weights), strict=True):
        assert all(np.array_equal(got[key], a) for key, a in expected.items())


@pytest.mark.parametrize("case", ["mmseg deeplabv3plus", "smp deeplabv3 bottleneck"])
def test_heads_for_training_alone_may_be_missing_or_more(case):
    name, found, _, _, weights = made(case)
    left = {key: a for key, a in weights.items() if not key.startswith("auxiliary_head.")}
    left["classification_head.3.weight"] = np.ones((2, 7), np.float32)
    found = {"auxiliary": False} if "mmseg" in name else {}
    assert guess(left) == [(f"tiny_{name}", {"classes": CLASSES, **found})]
    choose(left).load(left)


def test_smp_begins_with_a_classifier(rng):
    network = build("tiny_smp_deeplabv3plus_resnet34", 3)
    weights = {
        key.removeprefix("encoder."): rng.standard_normal(v.shape)
        for key, v in network.variables().items()
        if key.startswith("encoder.")
    }
    found = {key: a for part in from_classifier(network, weights, rng, np.float64) for key, a in part.items()}
    for key, a in weights.items():
        assert np.array_equal(found[f"encoder.{key}"], a)
    with pytest.raises(ParameterError, match=r"only 0 of the \d+ arrays of the trunk of tiny_smp"):
        from_classifier(network, {"features.0.weight": np.ones((4, 3, 3, 3))}, rng)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Scale1.conv1.weight", "early pytorch-deeplab-resnet of isht7"),
        ("layer5.RC1.conv1.weight", "refinement module"),
        ("layer6.conv2d_list.0.weight", "second head"),
        ("module.xception_features.conv1.weight", "early pytorch-deeplab-xception"),
        ("backbone.stage4.0.branches.0.0.conv1.weight", "HRNet"),
        ("backbone.low_level_features.0.0.weight", "VainF on MobileNet"),
        ("backbone.features.0.0.weight", "jfzhang95 on MobileNet or DRN"),
        ("backbone.1.block.0.0.weight", "torchvision on MobileNetV3; here"),
        ("decode_head.convs.0.conv.weight", "mmsegmentation; here"),
        ("segmentation_head.0.weight", "segmentation_models.pytorch; here"),
        ("classifier.classifier.0.convs.0.0.weight", "VainF; here are its v3 and v3+"),
    ],
)
def test_projects_whose_networks_are_not_here_are_named(name, words):
    weights = {name: np.ones((2, 3, 1, 1), np.float32), "module.more": np.ones(2, np.float32)}
    assert guess(weights) == []
    assert words in project(weights)
    assert nearest(weights)[1].endswith(project(weights))


def test_a_training_checkpoint_of_before_1_6_is_recognised_loaded_and_used(tmp_path):
    """mmsegmentation keeps `meta` beside `state_dict`."""
    name, _, _, module, _ = made("mmseg deeplabv3plus")
    checkpoint = {"meta": {"CLASSES": ("a", "b"), "epoch": 3}, "state_dict": module.state_dict()}
    torch.save(checkpoint, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    found = describe(tmp_path / "w.pth")
    assert found["format"] == "PyTorch before 1.6"
    assert found["networks"] == [{"name": f"tiny_{name}", "options": {"classes": CLASSES}}]
    network = build(f"tiny_{name}", CLASSES)
    image = np.arange(40 * 52 * 3, dtype=np.uint8).reshape(40, 52, 3)
    labels = segment(image, network, network.load(tmp_path / "w.pth")).labels
    with torch.no_grad():
        scores = module(torch.from_numpy(prepare(image, network.preprocessing)))[0][0]
    assert (labels == scores.argmax(0).numpy()).mean() > 0.999


def test_unknown_names_are_of_no_project():
    weights = {"a.weight": np.ones((2, 3), np.float32)}
    assert project(weights) is None
    assert "The names are those of" not in nearest(weights)[1]
