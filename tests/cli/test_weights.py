"""`atrous weights`, `networks` and `summary`: what they print, and that what they recommend works."""

import json
import re
import shlex

import numpy as np
import pytest
from PIL import Image
from weights.writers import torch_bytes

import atrous
from atrous import build, cli, load_weights, networks, save_weights
from atrous.nets.fresh import groups


def run(*arguments, expect=0):
    assert cli.main([*map(str, arguments)]) == expect


def told(capsys, *arguments, expect=0):
    capsys.readouterr()
    run(*arguments, expect=expect)
    captured = capsys.readouterr()
    return captured.out if expect == 0 else captured.err


@pytest.fixture
def weights(tmp_path):
    """A file with a blank in its name, of a network without its side head."""
    params, state = build("tiny_torchvision_deeplabv3_resnet50", 5, auxiliary=False).init(np.random.default_rng(0))
    file = tmp_path / "my weights.npz"
    save_weights({**params, **state}, file)
    return file


def test_show_tells_what_a_file_holds_and_how_to_use_it(weights, tmp_path, capsys):
    text = told(capsys, "weights", "show", weights)
    count = len(load_weights(weights))
    assert f"NumPy .npz, {weights.stat().st_size / 1e6:.2f} MB; read: {count} arrays" in text
    assert "backbone.conv1.weight  " in text
    assert " 3×3×7×7 " in text
    assert f"… {count - 24} more, shown by --all" in text
    assert "fits tiny_torchvision_deeplabv3_resnet50 with 5 classes:" in text
    command, code = (line.strip() for line in text.splitlines()[2:4])
    Image.new("RGB", (20, 10)).save(tmp_path / "image.png")
    replaced = {"IMAGE": tmp_path / "image.png", "DIR": tmp_path / "out"}
    run(*(replaced.get(word, word) for word in shlex.split(command)[1:]))
    assert (tmp_path / "out" / "image.png").is_file()
    scope = {"atrous": atrous}
    exec(code, scope)
    assert len(scope["params"]) + len(scope["state"]) == count


def test_show_all_lists_every_array(weights, capsys):
    names = list(load_weights(weights))
    lines = told(capsys, "weights", "show", weights, "--all").splitlines()
    assert [line.split()[0] for line in lines[-len(names) :]] == names
    short = told(capsys, "weights", "show", weights).splitlines()
    assert [line.split()[0] for line in short[-25:]] == [*names[:19], "…", *names[-5:]]


def test_show_names_the_model_where_several_fit(tmp_path, capsys):
    params, _ = build("tiny_deeplabv2_vgg16_aspp_s", 5).init(np.random.default_rng(0))
    save_weights(params, tmp_path / "w.npz")
    text = told(capsys, "weights", "show", tmp_path / "w.npz")
    for name in ("tiny_deeplabv2_vgg16_aspp_s", "tiny_deeplabv2_vgg16_aspp_l"):
        assert f"--model {name} -o DIR" in text


def test_show_compares_with_the_nearest(weights, tmp_path, capsys):
    arrays = load_weights(weights)
    del arrays["backbone.conv1.weight"]
    save_weights(arrays, tmp_path / "w.npz")
    text = told(capsys, "weights", "show", tmp_path / "w.npz")
    assert "the nearest is tiny_torchvision_deeplabv3_resnet50 with 5 classes" in text
    assert "1 missing: backbone.conv1.weight" in text
    assert "fits none" in text
    assert "-o DIR" not in text
    assert re.search(r"it fills \d+ of \d+ .* backbone, (\d+) of \1 .* head, (\d+) of \2 .* classifier\n", text)
    assert "fresh" not in text


@pytest.mark.parametrize(
    ("name", "kept", "part"),
    [
        ("tiny_deeplabv3_resnet50", ("backbone.", "classifier.0.convs."), "head"),
        ("tiny_torchvision_deeplabv3_resnet50", tuple(f"classifier.{i}." for i in range(3)), "classifier"),
    ],
)
def test_show_tells_how_to_load_what_fits(weights, tmp_path, capsys, name, kept, part):
    arrays = {key: a for key, a in load_weights(weights).items() if key.startswith(("backbone.", *kept))}
    save_weights(arrays, tmp_path / "w.npz")
    text = told(capsys, "weights", "show", tmp_path / "w.npz")
    head = [key for key in groups(build(name).body)["head"] if key.startswith("classifier.")]
    filled = sum(key in arrays for key in head)
    assert f"{filled} of {len(head)} arrays of the head, 0 of 2 arrays of the classifier" in text
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line == f"  to initialise the {part} and load the rest:")
    scope = {"atrous": atrous, "numpy": np}
    exec(lines[at + 1].strip(), scope)
    loaded = {**scope["params"], **scope["state"]}
    fresh = build(name).fresh_names(part)
    assert all(np.array_equal(loaded[key], a) for key, a in arrays.items() if key not in fresh)
    assert len(loaded) > len(arrays)


def test_show_of_a_backbone_alone_lists_the_networks_it_may_begin(weights, tmp_path, capsys):
    arrays = {name: a for name, a in load_weights(weights).items() if name.startswith("backbone.")}
    save_weights(arrays, tmp_path / "w.npz")
    found = json.loads(told(capsys, "weights", "show", tmp_path / "w.npz", "--json"))
    assert "tiny_torchvision_deeplabv3_resnet50" in found["backbones"]
    for name in found["backbones"]:
        params, state = build(name).load(tmp_path / "w.npz", fresh="head", rng=np.random.default_rng(0))
        assert all(
            np.array_equal({**params, **state}[key], a) for key, a in arrays.items() if key in {**params, **state}
        )
    assert f"fill the backbone of {', '.join(found['backbones'])}:" in told(
        capsys, "weights", "show", tmp_path / "w.npz"
    )


@pytest.mark.parametrize("kind", ["PyTorch", "safetensors", "Caffe"])
def test_show_tells_the_format(tmp_path, capsys, kind):
    from weights.writers import caffemodel_bytes, safetensors_of

    write = {"PyTorch": torch_bytes, "safetensors": safetensors_of, "Caffe": caffemodel_bytes}[kind]
    (tmp_path / "w.caffemodel").write_bytes(write({"a": np.ones((2, 2), np.float32)}))
    assert f"w.caffemodel: {kind}, " in told(capsys, "weights", "show", tmp_path / "w.caffemodel")


def test_show_as_json_and_of_what_is_no_file(weights, tmp_path, capsys):
    found = json.loads(told(capsys, "weights", "show", weights, "--json"))
    options = {"classes": 5, "auxiliary": False}
    assert found["networks"] == [{"name": "tiny_torchvision_deeplabv3_resnet50", "options": options}]
    assert found["nearest"] is None
    assert len(found["tensors"]) == len(load_weights(weights))
    assert "No such file" in told(capsys, "weights", "show", tmp_path / "gone.npz", expect=1)


def test_convert(tmp_path, capsys):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(3, np.int64)}
    (tmp_path / "w.pth").write_bytes(torch_bytes(arrays))
    assert "2 arrays" in told(capsys, "weights", "convert", tmp_path / "w.pth", tmp_path / "w.npz")
    found = load_weights(tmp_path / "w.npz")
    assert all(
        np.array_equal(found[name], array) and found[name].dtype == array.dtype for name, array in arrays.items()
    )
    text = told(capsys, "weights", "convert", tmp_path / "w.pth", tmp_path / "new.pth", expect=2)
    assert "must end in .npz or .safetensors" in text
    same = tmp_path / "." / "w.npz"
    assert "would overwrite" in told(capsys, "weights", "convert", tmp_path / "w.npz", same, expect=2)
    assert "No such file" in told(capsys, "weights", "convert", tmp_path / "gone.npz", tmp_path / "x.npz", expect=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.npz", "w.pth"]


def test_networks_are_listed_with_their_parameters(capsys):
    lines = told(capsys, "networks").splitlines()
    assert [line.split()[0] for line in lines[1:]] == networks()
    line = next(line for line in lines if line.startswith("torchvision_deeplabv3_resnet101 "))
    assert line.split()[1:] == ["60,996,202", "21", "torchvision"]
    rows = json.loads(told(capsys, "networks", "--json"))
    assert rows[0] == {
        "name": "deeplabv1_4x4", "parameters": 65140565, "classes": 21, "preprocessing": "caffe",
    }  # fmt: skip


def test_summary_prints_the_table(capsys):
    text = told(capsys, "summary", "deeplabv3_resnet50", "--classes", 3, "--size", "65,129", "--output-stride", 8)
    assert text.rstrip() == str(build("deeplabv3_resnet50", 3, output_stride=8).summary((65, 129)))
    text = told(capsys, "summary", "tiny_deeplabv1_msc")
    assert text.rstrip() == str(build("tiny_deeplabv1_msc").summary(513))
    found = json.loads(told(capsys, "summary", "tiny_deeplabv3_resnet50", "--json"), parse_constant=pytest.fail)
    assert found["field"] is None
    assert found["parameters"] == build("tiny_deeplabv3_resnet50").parameter_count
    assert found["rows"][0]["field"] == 7


def test_summary_of_what_cannot_be_built(capsys):
    assert "name must be one of" in told(capsys, "summary", "deeplabv9", expect=2)
    assert "--size needs" in told(capsys, "summary", "deeplabv1_msc", "--size", "1,2,3", expect=2)
    assert "--size needs" in told(capsys, "summary", "deeplabv1_msc", "--size", "0", expect=2)
    assert "no option" in told(capsys, "summary", "deeplabv1_msc", "--output-stride", 8, expect=2)


def test_names_cannot_move_the_cursor(tmp_path, capsys):
    """A name may hold what a terminal takes for a command, or a line of its own."""
    file = tmp_path / "odd.npz"
    np.savez(file, **{"classifier\x1b[31m.weight": np.zeros((5, 8)), "two\nlines": np.zeros(3)})
    text = told(capsys, "weights", "show", file)
    assert "\x1b" not in text
    assert "classifier\\x1b[31m.weight" in text
    assert "two\\nlines" in text
    text = told(capsys, "segment", "photo.png", "--weights", file, "-o", tmp_path / "out", expect=1)
    assert "\x1b" not in text
