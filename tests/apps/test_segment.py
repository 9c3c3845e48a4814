"""Photographs in, labels and overlays out: every kind of photograph, of weights, and what goes wrong with them."""

import json

import numpy as np
import pytest
from PIL import Image

from atrous import build, cli, save_weights, segment
from atrous.apps import segment as segmenting
from atrous.data.classes import classes_of
from atrous.data.palettes import overlay, voc_palette

H, W = 40, 50
NAME = "tiny_torchvision_deeplabv3_resnet50"


def drawn_photo(height=H, width=W):
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(file, name=NAME, classes=21, **options):
    """Write first values of a network, its classifier strong enough for several labels, and return what was written."""
    network = build(name, classes, **options)
    params, state = network.init(np.random.default_rng(2))
    for array in params.values():
        if len(array) == classes:
            np.multiply(array, 200, out=array)
    save_weights({**params, **state}, file)
    return network, (params, state)


@pytest.fixture
def weights(tmp_path):
    """A file of weights beside nothing else, its network and arrays."""
    file = tmp_path / "w.npz"
    return file, *saved(file)


@pytest.fixture
def photo(tmp_path):
    file = tmp_path / "photo.png"
    Image.fromarray(drawn_photo()).save(file)
    return file


def run(*arguments, expect=0):
    assert cli.main(["segment", *map(str, arguments)]) == expect


def said(capsys, *arguments, expect):
    capsys.readouterr()
    run(*arguments, expect=expect)
    return capsys.readouterr().err


def labels_in(file):
    image = Image.open(file)
    assert image.mode == "P"
    return np.asarray(image)


def test_labels_are_those_of_segment_in_the_palette(photo, weights, tmp_path, capsys):
    file, network, params = weights
    out = tmp_path / "new" / "out"
    run(photo, "--weights", file, "-o", out)
    expected = segment(drawn_photo(), network, params).labels
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(labels_in(out / "photo.png"), expected)
    np.testing.assert_array_equal(Image.open(out / "photo.png").convert("RGB"), voc_palette()[expected])
    assert sorted(path.name for path in out.iterdir()) == ["photo.png", "photo_overlay.png"]
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"{NAME}, 21 classes"
    assert told[1].startswith(f"photo.png  {W}×{H}  ")
    assert len(told) == 2


def test_the_overlay_shows_the_photograph_the_labels_and_a_legend(photo, weights, tmp_path):
    file, network, params = weights
    run(photo, "--weights", file, "-o", tmp_path / "out")
    picture = np.asarray(Image.open(tmp_path / "out" / "photo_overlay.png"))
    labels = segment(drawn_photo(), network, params).labels
    np.testing.assert_array_equal(picture[:H, :W], overlay(drawn_photo(), labels, voc_palette()))
    legend = picture[H:].reshape(-1, 3)
    for label in range(21):
        swatch = (legend == voc_palette()[label]).all(1).sum()
        assert (swatch > 90) == (label in labels), label


def test_the_legend_fills_columns_and_grows_with_the_picture():
    classes = classes_of(19)
    entries = [(classes.palette[i], classes.names[i], 1 / 19) for i in range(19)]
    wide, narrow = (segmenting.with_legend(np.zeros((30, w, 3), np.uint8), entries) for w in (700, 20))
    assert wide.shape[1] == 700
    assert narrow.shape[1] > 100
    assert narrow.shape[0] > 1.5 * wide.shape[0]
    small, large = (segmenting.with_legend(np.zeros((n, n, 3), np.uint8), entries[:1]) for n in (400, 1600))
    assert large.shape[0] - 1600 > 2 * (small.shape[0] - 400)
    ink = (wide[30:] < 100).all(2)
    rows, columns = np.nonzero(ink)
    assert columns.min() > 5
    assert columns.max() < 700 - 5
    assert rows.max() < len(ink) - 5


def test_shares_are_told_down_to_the_least():
    assert [segmenting.percent(s) for s in (1.0, 0.2345, 0.0005, 0.0004)] == ["100.0%", "23.4%", "0.1%", "<0.1%"]


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "16 bit", "dark 16 bit", "one pixel", "turned"])
def test_photographs_of_every_kind(weights, tmp_path, mode):
    file, network, params = weights
    given, options = drawn_photo(), {}
    if "16 bit" in mode:
        given = np.random.default_rng(6).integers(0, 200 if "dark" in mode else 65536, (H, W)).astype(np.uint16)
        image = Image.fromarray(given)
    elif mode == "one pixel":
        given = given[:1, :1]
        image = Image.fromarray(given)
    elif mode == "turned":
        image, options["exif"] = Image.fromarray(np.rot90(given).copy()), Image.Exif()
        options["exif"][0x0112] = 6
    else:
        image = Image.fromarray(given).convert(mode)
        given = np.asarray(image.convert("RGBA").convert("RGB"))
    image.save(tmp_path / "p.png", **options)
    run(tmp_path / "p.png", "--weights", file, "-o", tmp_path / "out")
    np.testing.assert_array_equal(labels_in(tmp_path / "out" / "p.png"), segment(given, network, params).labels)
    assert (tmp_path / "out" / "p_overlay.png").is_file()


def test_scales_flip_and_crf_reach_segment(photo, weights, tmp_path):
    file, network, params = weights
    results = {}
    for name, words, options in [
        ("plain", (), {}),
        ("scales", ("--scales", "0.5, 1,1.5"), {"scales": (0.5, 1, 1.5)}),
        ("flip", ("--flip",), {"flip": True}),
        ("crf", ("--crf", "heiwang"), {"crf": "heiwang"}),
    ]:
        run(photo, "--weights", file, "-o", tmp_path / name, *words)
        results[name] = labels_in(tmp_path / name / "photo.png")
        np.testing.assert_array_equal(results[name], segment(drawn_photo(), network, params, **options).labels)
    assert all((results[name] != results["plain"]).any() for name in ("scales", "flip", "crf"))


def test_output_stride_and_palette(photo, tmp_path):
    network, params = saved(tmp_path / "w.npz", "tiny_deeplabv3_resnet50", 19)
    run(photo, "--weights", tmp_path / "w.npz", "-o", tmp_path / "out", "--output-stride", 8, "--palette", "voc")
    finer = build("tiny_deeplabv3_resnet50", 19, output_stride=8)
    expected = segment(drawn_photo(), finer, params).labels
    assert (expected != segment(drawn_photo(), network, params).labels).any()
    out = tmp_path / "out" / "photo.png"
    np.testing.assert_array_equal(labels_in(out), expected)
    np.testing.assert_array_equal(Image.open(out).convert("RGB"), voc_palette()[expected])
    run(photo, "--weights", tmp_path / "w.npz", "-o", tmp_path / "out", "--output-stride", 8)
    np.testing.assert_array_equal(Image.open(out).convert("RGB"), classes_of(19).palette[expected])


def test_half_pixels_of_v2(photo, tmp_path):
    _, params = saved(tmp_path / "w.npz", "tiny_deeplabv2_resnet101_aspp", 4)
    network = build("tiny_deeplabv2_resnet101_aspp", 4, align_corners=False)
    run(photo, "--weights", tmp_path / "w.npz", "--half-pixel", "-o", tmp_path / "out")
    expected = segment(drawn_photo(), network, params).probabilities.argmax(0)
    np.testing.assert_array_equal(labels_in(tmp_path / "out" / "photo.png"), expected)


def test_large_photographs_are_told_of_smaller_scales():
    from atrous.cli.segment import result_line

    row = {"classes": [{"name": "sky", "share": 1.0}], "height": 10, "seconds": 1.0}
    assert "--scales 0.25" in result_line({**row, "width": 2000}, "a.jpg")
    assert "--scales" not in result_line({**row, "width": 1500}, "a.jpg")


def test_a_network_that_weights_do_not_tell_is_asked_for(photo, tmp_path, capsys):
    file, out = tmp_path / "w.npz", tmp_path / "out"
    _, params = saved(file, "tiny_deeplabv2_vgg16_aspp_s", 4)
    text = said(capsys, photo, "--weights", file, "-o", out, expect=2)
    assert "tiny_deeplabv2_vgg16_aspp_s, tiny_deeplabv2_vgg16_aspp_l" in text
    assert "--model" in text
    assert not out.exists()
    run(photo, "--weights", file, "-o", out, "--model", "tiny_deeplabv2_vgg16_aspp_l")
    network = build("tiny_deeplabv2_vgg16_aspp_l", 4)
    np.testing.assert_array_equal(labels_in(out / "photo.png"), segment(drawn_photo(), network, params).labels)


def test_weights_that_do_not_fit_are_listed(photo, weights, tmp_path, capsys):
    words = (photo, "-o", tmp_path / "out", "--weights")
    text = said(capsys, *words, weights[0], "--classes", 5, expect=1)
    assert "classifier.4.weight must be (5, 8, 1, 1), got (21, 8, 1, 1)" in text
    assert "62 missing: conv1_1.weight" in said(capsys, *words, weights[0], "--model", "tiny_deeplabv1_msc", expect=1)
    save_weights({"a": np.ones(3)}, tmp_path / "none.npz")
    assert "fit none of the networks" in said(capsys, *words, tmp_path / "none.npz", expect=1)
    assert "No such file" in said(capsys, *words, tmp_path / "gone.npz", expect=1)
    assert "format is unknown" in said(capsys, *words, photo, expect=1)
    saved(tmp_path / "many.npz", classes=300)
    assert "1 to 255 classes, got 300" in said(capsys, *words, tmp_path / "many.npz", expect=2)
    assert not (tmp_path / "out").exists()


def test_a_broken_photograph_does_not_stop_the_others(photo, weights, tmp_path, capsys):
    broken = tmp_path / "broken.jpg"
    broken.write_text("no photograph")
    other = tmp_path / "other.png"
    Image.fromarray(drawn_photo(9, 11)).save(other)
    out = tmp_path / "out"
    words = ("--weights", weights[0], "-o", out)
    text = said(capsys, photo, broken, other, *words, "--json", tmp_path / "j.json", expect=1)
    assert f"{broken}: segment: cannot read" in text
    assert "1 of 3 photographs failed" in text
    assert "segment: 0/3 photo.png" in text
    names = ["other.png", "other_overlay.png", "photo.png", "photo_overlay.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    found = json.loads((tmp_path / "j.json").read_text())
    assert [row["image"] for row in found["failed"]] == [str(broken)]
    assert "cannot read" in said(capsys, broken, *words, expect=1)


def test_json(photo, weights, tmp_path, capsys):
    file, network, params = weights
    run(photo, "--weights", file, "-o", tmp_path / "out", "--flip", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["network"], found["classes"], found["flip"], found["scales"]) == (NAME, 21, True, [1.0])
    row = found["files"][0]
    assert (row["width"], row["height"]) == (W, H)
    assert row["output"] == str(tmp_path / "out" / "photo.png")
    labels = segment(drawn_photo(), network, params, flip=True).labels
    counts = np.bincount(labels.ravel())
    assert {c["label"]: c["share"] for c in row["classes"]} == {
        int(i): pytest.approx(counts[i] / labels.size) for i in np.unique(labels)
    }
    assert [c["share"] for c in row["classes"]] == sorted((c["share"] for c in row["classes"]), reverse=True)
    assert row["classes"][0]["name"] == classes_of(21).names[counts.argmax()]
    assert row["seconds"] > 0


def test_nothing_is_written_over_and_no_result_twice(photo, weights, tmp_path, capsys):
    (tmp_path / "sub").mkdir()
    twin = tmp_path / "sub" / "photo.jpg"
    Image.fromarray(drawn_photo()).save(twin)
    laid = tmp_path / "photo_overlay.png"
    laid.write_bytes(photo.read_bytes())
    before = {path: path.read_bytes() for path in (photo, laid, weights[0])}
    words = ("--weights", weights[0], "-o")
    assert "would overwrite" in said(capsys, photo, *words, tmp_path, expect=2)
    assert "written twice" in said(capsys, photo, twin, *words, tmp_path / "out", expect=2)
    assert "written twice" in said(capsys, photo, laid, *words, tmp_path / "out", expect=2)
    renamed = weights[0].rename(tmp_path / "sub" / "photo.png")
    assert "would overwrite" in said(capsys, photo, "--weights", renamed, "-o", tmp_path / "sub", expect=2)
    renamed.rename(weights[0])
    assert "results need a folder" in said(capsys, photo, *words, laid, expect=2)
    assert {path: path.read_bytes() for path in before} == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_nothing_is_half_written(photo, weights, tmp_path, monkeypatch, capsys, error):
    out = tmp_path / "out"
    out.mkdir()
    (out / "photo.png").write_text("old")

    def half(picture, file):
        file.write(b"half")
        raise error

    monkeypatch.setattr("atrous.apps.segment.save_png", half)
    status = 130 if error is KeyboardInterrupt else 1
    text = said(capsys, photo, "--weights", weights[0], "-o", out, expect=status)
    assert "interrupted" in text if error is KeyboardInterrupt else "No space left" in text
    assert [path.name for path in out.iterdir()] == ["photo.png"]
    assert (out / "photo.png").read_text() == "old"


def test_wrong_usage(photo, weights, tmp_path, capsys):
    words = (photo, "--weights", weights[0], "-o", tmp_path / "out")
    for option, value, message in [
        ("--scales", "1,-1", "--scales needs"),
        ("--scales", "1,x", "--scales needs"),
        ("--scales", "nan", "--scales needs"),
        ("--scales", "inf", "--scales needs"),
        ("--model", "deeplabv9", "name must be one of"),
        ("--classes", 0, "classes must be at least 1"),
        ("--output-stride", 5, "output_stride"),
        ("--palette", "cityscapes", "does not fit 21 classes"),
        ("--json", tmp_path / "out.png", "ends in .json"),
    ]:
        assert message in said(capsys, *words, option, value, expect=2)
    with pytest.raises(SystemExit) as end:
        run(*words, "--crf", "dance")
    assert end.value.code == 2
    assert "--crf must be one of deeplab-v1," in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        run("--crf", "list")
    assert end.value.code == 0
    assert "deeplab-v2-resnet101" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
