"""Files in, sharper files out: every kind of photograph and of labels, and what goes wrong with files."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from atrous import build, cli, dense_crf, save_weights, segment
from atrous.apps import jobs, refine, rough_labels
from atrous.data.palettes import ImageFileError, voc_palette
from atrous.data.photos import read_photo
from atrous.errors import DTypeError, ParameterError, ShapeError

H, W, EDGE = 41, 57, 30
RED, BLUE, BLACK = (255, 0, 0), (0, 0, 255), (0, 0, 0)
TRUTH = np.broadcast_to(np.arange(W) >= EDGE, (H, W)).astype(int)


def drawn_photo():
    """Return a photograph with an upright edge, a little grain on both sides."""
    grain = np.random.default_rng(5).integers(0, 12, (H, W, 3))
    return (np.where(TRUTH[..., None], (40, 90, 160), (200, 150, 60)) + grain).astype(np.uint8)


def scribbles(*, left=RED, right=BLUE, unknown=BLACK):
    """Return colours that miss the edge: right of it by three pixels for the one, and a gap for the other."""
    colours = np.full((H, W, 3), unknown, np.uint8)
    colours[:, 2 : EDGE - 6] = left
    colours[:, EDGE + 4 : -2] = right
    colours[5:9, EDGE : EDGE + 3] = left
    return colours


def numbers(left, right, unknown, dtype=np.uint8):
    """Return `scribbles` as numbers."""
    colours = scribbles()
    found = np.full((H, W), unknown, dtype)
    found[(colours == RED).all(-1)], found[(colours == BLUE).all(-1)] = left, right
    return found


def save_palette(indices, file, palette=None):
    """Write indices as a palette image, with VOC's colours by default."""
    image = Image.fromarray(indices)
    image.putpalette((voc_palette() if palette is None else np.array(palette, np.uint8)).tobytes())
    image.save(file)
    return image


def rough_probabilities(height=H, width=W, labels=2):
    """Return probabilities that fall from left to right, of `labels` labels of which two are likely."""
    line = np.linspace(0.9, 0.02, width)
    p = np.full((labels, height, width), 0.01, np.float32)
    p[0] = line
    p[1] = 1 - p[0] - 0.01 * (labels - 2)
    return np.maximum(p, 0) / np.maximum(p, 0).sum(0)


@pytest.fixture
def photo(tmp_path):
    file = tmp_path / "photo.png"
    Image.fromarray(drawn_photo()).save(file)
    return file


@pytest.fixture
def labels(tmp_path):
    file = tmp_path / "labels.png"
    Image.fromarray(scribbles()).save(file)
    return file


def run(*arguments, expect=0):
    assert cli.main(["refine", *map(str, arguments)]) == expect


def said(capsys, *arguments, expect):
    """Run the command line and return its complaint, on one line for matching."""
    capsys.readouterr()
    run(*arguments, expect=expect)
    return capsys.readouterr().err


def colours_of(file, mode="RGB"):
    image = Image.open(file)
    assert image.mode == mode
    return np.array(image.convert("RGB"))


def painted(left, right):
    return np.where(TRUTH[..., None], right, left)


# Labels


def test_colours_move_to_the_edge_of_the_photograph(photo, labels, tmp_path, capsys):
    out, over, marginals = tmp_path / "out.png", tmp_path / "over.png", tmp_path / "q.npy"
    run(photo, labels, "-o", out, "--overlay", over, "--probabilities", marginals)
    np.testing.assert_array_equal(colours_of(out), painted(RED, BLUE))
    q = np.load(marginals)
    assert q.shape == (2, H, W)
    np.testing.assert_array_equal(q.argmax(0), 1 - TRUTH)  # blue is the smaller colour
    np.testing.assert_allclose(q.sum(0), 1, atol=1e-5)
    mixed = (drawn_photo().astype(float) + painted(RED, BLUE)) / 2
    assert np.abs(np.asarray(Image.open(over)) - mixed).max() <= 0.5
    line = capsys.readouterr().out
    for part in ("photo.png", f"{W}×{H}", "2 labels", " s ", "% of the pixels changed", "unknown: black, "):
        assert part in line
    assert len(line.splitlines()) == 1


def test_a_palette_keeps_its_numbers_and_colours(photo, tmp_path):
    image = save_palette(numbers(15, 7, 255), tmp_path / "voc.png")
    run(photo, tmp_path / "voc.png", "-o", tmp_path / "out.png")
    out = Image.open(tmp_path / "out.png")
    np.testing.assert_array_equal(np.asarray(out), np.where(TRUTH, 7, 15))
    np.testing.assert_array_equal(colours_of(tmp_path / "out.png", "P"), painted(voc_palette()[15], voc_palette()[7]))
    assert out.getpalette() == image.getpalette()


def test_two_entries_of_one_colour_stay_two_labels(photo, tmp_path):
    """As in Cityscapes' labelIds, where a car and a licence plate are of one blue."""
    save_palette(numbers(1, 2, 255), tmp_path / "twice.png", [BLUE, RED, RED])
    run(photo, tmp_path / "twice.png", "-o", tmp_path / "out.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), np.where(TRUTH, 2, 1))


@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.slow), np.float16, ">f4"])
def test_probabilities_of_the_size_of_the_photograph(photo, tmp_path, dtype):
    p = rough_probabilities(labels=4).astype(dtype)
    np.save(tmp_path / "p.npy", p)
    run(photo, tmp_path / "p.npy", "-o", tmp_path / "out.png", "--probabilities", tmp_path / "q.npy")
    native = p.astype(np.float64 if dtype == np.float64 else np.float32)
    expected = dense_crf(native, drawn_photo(), "densecrf")
    q = np.load(tmp_path / "q.npy")
    assert q.dtype == native.dtype
    np.testing.assert_array_equal(q, expected)
    np.testing.assert_array_equal(colours_of(tmp_path / "out.png", "P"), voc_palette()[expected.argmax(0)])
    assert (expected.argmax(0) != p.argmax(0)).any()


def test_probabilities_at_an_eighth_lie_with_their_corners_on_the_corners(photo, tmp_path):
    small = rough_probabilities(6, 8, labels=3)
    small += np.random.default_rng(0).random(small.shape, np.float32) / 4
    small /= small.sum(0)
    np.savez(tmp_path / "p.npz", small)
    rows = np.stack([[np.interp(np.arange(W) / 8, np.arange(8), line) for line in plane] for plane in small])
    whole = np.stack([[np.interp(np.arange(H) / 8, np.arange(6), line) for line in plane.T] for plane in rows])
    whole = whole.transpose(0, 2, 1).astype(np.float32)
    rough = rough_labels.read_rough(tmp_path / "p.npz", (H, W), refine.Settings())
    np.testing.assert_allclose(rough.probabilities, whole, atol=1e-6)
    run(photo, tmp_path / "p.npz", "-o", tmp_path / "out.png", "--probabilities", tmp_path / "q.npy")
    np.testing.assert_allclose(np.load(tmp_path / "q.npy"), dense_crf(whole, drawn_photo(), "densecrf"), atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "mend"),
    [
        ((H, W, 3), "np.moveaxis(p, -1, 0)"),
        ((6, 8, 3), "np.moveaxis(p, -1, 0)"),
        ((3, W, H), "p.swapaxes(1, 2)"),
        ((3, 20, 40), "padded or stretched"),
        ((3, 2 * H, 2 * W), "another photograph"),
        ((H, W), "np.stack([1 - p, p])"),
        ((1, 3, H, W), "p[0]"),
        ((3, 0, W), "three axes"),
        ((256, 3, 4), "255"),
    ],
)
def test_arrays_of_another_shape_are_refused_with_a_mend(tmp_path, shape, mend):
    np.save(tmp_path / "p.npy", np.full(shape, 1 / max(shape[0], 1), np.float32))
    with pytest.raises((ShapeError, ParameterError)) as error:
        rough_labels.read_rough(tmp_path / "p.npy", (H, W), refine.Settings())
    assert mend in str(error.value)
    assert "p.npy" in str(error.value)


@pytest.mark.parametrize("stride", [2, 3, 7, 8, 16, 32])
@pytest.mark.parametrize("size", [(375, 500), (333, 500), (41, 321), (1, 9)])
def test_every_even_reduction_is_taken(tmp_path, stride, size):
    for rounded in (lambda n: -(-n // stride), lambda n: (n - 1) // stride + 1, lambda n: max(1, n // stride)):
        grid = tuple(map(rounded, size))
        np.save(tmp_path / "p.npy", np.ones((1, *grid), np.float32))
        assert rough_labels.read_rough(tmp_path / "p.npy", size, refine.Settings()).probabilities.shape == (1, *size)


def test_broken_arrays_and_several_in_one_file(tmp_path):
    np.savez(tmp_path / "two.npz", first=np.ones(2), second=np.ones(2))
    with pytest.raises(ParameterError, match="one array, got 2: 'first', 'second'"):
        rough_labels.read_rough(tmp_path / "two.npz", (H, W), refine.Settings())
    np.save(tmp_path / "cut.npy", np.ones((3, H, W)))
    whole = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "object.npy", np.array([{}], object), allow_pickle=True)
    for name in ("cut.npy", "text.npy", "empty.npz", "object.npy"):
        with pytest.raises(ImageFileError, match=name):
            rough_labels.read_rough(tmp_path / name, (H, W), refine.Settings())
    np.save(tmp_path / "complex.npy", np.ones((3, H, W), complex))
    with pytest.raises(DTypeError, match="complex128"):
        rough_labels.read_rough(tmp_path / "complex.npy", (H, W), refine.Settings())


def test_probabilities_that_are_none(photo, tmp_path, capsys):
    np.save(tmp_path / "p.npy", np.full((2, H, W), 0.9, np.float32))
    assert "sum to" in said(capsys, photo, tmp_path / "p.npy", "-o", tmp_path / "out.png", expect=1)
    np.save(tmp_path / "p.npy", np.full((2, 6, 8), np.nan, np.float32))
    assert "NaN" in said(capsys, photo, tmp_path / "p.npy", "-o", tmp_path / "out.png", expect=1)
    assert not (tmp_path / "out.png").exists()


# Labels keep their meaning


def drawn(mode, left, right, unknown, file):
    """Write `scribbles` in a mode of Pillow and return what the file should hold after refining."""
    if mode == "RGB":
        Image.fromarray(scribbles(left=left, right=right, unknown=unknown)).save(file)
        return painted(left, right)
    found = numbers(left, right, unknown, np.uint16 if mode == "I;16" else np.uint8)
    if mode == "P":
        save_palette(found, file)
    else:
        Image.fromarray(found).save(file)
    return np.where(TRUTH, right, left)


KEPT = {
    "P": ("P", 0, 15, 255, "255"),
    "P 255 is right": ("P", 3, 255, 0, "0"),
    "L": ("L", 0, 15, 255, "255"),
    "L labelTrainIds": ("L", 18, 7, 255, "255"),
    "I;16": ("I;16", 0, 1000, 65535, "65535"),
    "I;16 instances": ("I;16", 26001, 24000, 65535, "65535"),
    "I;16 like bytes": ("I;16", 15, 0, 65535, "65535"),
    "I;16 255": ("I;16", 255, 0, 65535, "65535"),
    "RGB": ("RGB", RED, BLUE, BLACK, "black"),
}


@pytest.mark.parametrize(
    ("case", "option"),
    [(case, option) for case in KEPT for option in (True, False) if option or case != "P 255 is right"],
)
def test_what_goes_in_comes_out(photo, tmp_path, capsys, case, option):
    mode, left, right, unknown, name = KEPT[case]
    expected = drawn(mode, left, right, unknown, tmp_path / "in.png")
    out, over = tmp_path / "out.png", tmp_path / "over.png"
    options = ("--unknown", name) if option else ()
    run(photo, tmp_path / "in.png", "-o", out, "--overlay", over, "--json", tmp_path / "o.json", *options)
    image = Image.open(out)
    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(image), expected)
    if mode == "P":
        assert image.getpalette() == voc_palette().ravel().tolist()
    assert f"unknown: {name}, 24.0% of the pixels" in capsys.readouterr().out
    row = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))["files"][0]
    assert row["taken_as_unknown"] == name
    assert row["ids"] == (["#0000ff", "#ff0000"] if mode == "RGB" else sorted((left, right)))
    assert len(np.unique(np.asarray(Image.open(over)).reshape(-1, 3), axis=0)) > 2


def test_a_bitmap_stays_one(photo, tmp_path, capsys):
    Image.fromarray(TRUTH > 0).save(tmp_path / "in.png")
    run(photo, tmp_path / "in.png", "-o", tmp_path / "out.png")
    image = Image.open(tmp_path / "out.png")
    assert image.mode == "1"
    np.testing.assert_array_equal(np.asarray(image), TRUTH > 0)
    assert "unknown: none found\n" in capsys.readouterr().out


def test_labels_beyond_16_bits_are_refused(photo, tmp_path, capsys):
    Image.fromarray(np.full((H, W), 65536, np.int32)).save(tmp_path / "in.tif")
    text = said(capsys, photo, tmp_path / "in.tif", "-o", tmp_path / "out.png", expect=1)
    assert "labels must be 0 to 65535, got 65536" in text


def trained(file):
    """Write weights of a tiny network that tells class 15, right of the edge, from class 0 by least squares."""
    network = build("tiny_torchvision_deeplabv3_resnet50", 21)
    params, state = network.init(np.random.default_rng(2))
    w, b = params["classifier.4.weight"], params["classifier.4.bias"]
    w[:], b[:] = 0, -50
    b[[0, 15]] = 0
    features = [np.ones(TRUTH.size)]
    for i in range(w.shape[1]):
        w[15] = 0
        w[15, i] = 0.1
        p = segment(drawn_photo(), network, (params, state)).probabilities
        features.append(10 * np.log(p[15] / p[0]).ravel())
    b[15], *found = np.linalg.lstsq(np.stack(features, 1), 8.0 * TRUTH.ravel() - 4, rcond=None)[0]
    w[15] = np.reshape(found, w[15].shape)
    save_weights({**params, **state}, file)


def test_the_labels_of_atrous_segment_are_refined_with_no_option(photo, tmp_path, capsys):
    trained(tmp_path / "w.npz")
    assert cli.main(["segment", str(photo), "--weights", str(tmp_path / "w.npz"), "-o", str(tmp_path / "seg")]) == 0
    rough = np.asarray(Image.open(tmp_path / "seg" / "photo.png"))
    expected = np.where(TRUTH, 15, 0)
    assert set(np.unique(rough)) == {0, 15}
    assert 0.005 < (rough != expected).mean() < 0.2
    capsys.readouterr()
    run(photo, tmp_path / "seg" / "photo.png", "-o", tmp_path / "out.png")
    told = capsys.readouterr()
    assert "2 labels" in told.out
    assert told.out.endswith("unknown: none found (0, black, is a label)\n")
    assert told.err == ""
    image = Image.open(tmp_path / "out.png")
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), expected)
    np.testing.assert_array_equal(image.convert("RGB"), voc_palette()[expected])


def test_a_photograph_with_background_only_is_a_warning(photo, tmp_path, capsys):
    save_palette(np.zeros((H, W), np.uint8), tmp_path / "in.png")
    text = said(capsys, photo, tmp_path / "in.png", "-o", tmp_path / "out.png", expect=0)
    assert text == f"atrous: {photo}: warning: in.png has one label, 0, so every pixel of out.png is 0.\n"
    assert not np.asarray(Image.open(tmp_path / "out.png")).any()


def test_a_mask_of_0_and_255_is_told_what_to_do(photo, tmp_path, capsys):
    mask = np.where(np.roll(TRUTH, 3), 255, 0).astype(np.uint8)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    text = said(capsys, photo, tmp_path / "mask.png", "-o", tmp_path / "out.png", expect=0)
    assert f"{(mask == 255).mean():.1%} of its pixels were taken as unknown (255)" in text
    assert "pass --unknown none" in text
    assert said(capsys, photo, tmp_path / "mask.png", "-o", tmp_path / "out.png", "--unknown", "none", expect=0) == ""
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), np.where(TRUTH, 255, 0))


# Unknown pixels


def test_another_colour_may_be_the_unknown_one(photo, tmp_path):
    Image.fromarray(scribbles(left=BLACK, unknown=(0, 255, 0))).save(tmp_path / "l.png")
    run(photo, tmp_path / "l.png", "-o", tmp_path / "out.png", "--unknown", "#00ff00")
    np.testing.assert_array_equal(colours_of(tmp_path / "out.png"), painted(BLACK, BLUE))
    run(photo, tmp_path / "l.png", "-o", tmp_path / "out.png", "--unknown", "lime")
    np.testing.assert_array_equal(colours_of(tmp_path / "out.png"), painted(BLACK, BLUE))


def test_a_drawing_in_colours_may_have_a_palette(photo, tmp_path, capsys):
    """pydensecrf's example is one: black is unknown, but not number 0, and the numbers stay."""
    save_palette(numbers(3, 0, 2), tmp_path / "l.png", [BLUE, (9, 9, 9), BLACK, RED])
    run(photo, tmp_path / "l.png", "-o", tmp_path / "out.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), np.where(TRUTH, 0, 3))
    assert "unknown: black, 24.0%" in capsys.readouterr().out
    # With 255 in use, it is VOC's void, and black is a class.
    marks = numbers(3, 0, 255)
    marks[20:, 2:15] = 2
    save_palette(marks, tmp_path / "l.png", [BLUE, (9, 9, 9), BLACK, RED, *[(9, 9, 9)] * 252])
    run(photo, tmp_path / "l.png", "-o", tmp_path / "out.png")
    assert "3 labels" in (line := capsys.readouterr().out)
    assert "unknown: 255, 24.0%" in line


@pytest.mark.parametrize(
    ("mode", "option", "said_so"),
    [
        ("P", "7", "none found (no pixel is 7)"),
        ("P", "#010203", "none found (no pixel is #010203)"),
        ("P", "none", "none"),
        ("P", "auto", "none found (0, black, is a label)"),
        ("P", "black", "black, "),
        ("P", "0", "0, "),
        ("L", "auto", "none found"),
        ("I;16", "auto", "none found (255 is a label)"),
        ("I;16", "255", "255, "),
        ("RGB", "auto", "black, "),
        ("RGB", "white", "none found (no pixel is #ffffff)"),
    ],
)
def test_the_line_says_what_was_taken_as_unknown(photo, tmp_path, capsys, mode, option, said_so):
    if mode == "RGB":
        drawn(mode, RED, BLUE, BLACK, tmp_path / "l.png")
    else:
        drawn(mode, 2, 1, 255 if mode == "I;16" else 0, tmp_path / "l.png")
    run(photo, tmp_path / "l.png", "-o", tmp_path / "out.png", "--unknown", option)
    line = capsys.readouterr().out.strip()
    end = line[line.index("unknown: ") + 9 :]
    assert end == said_so or (said_so.endswith(", ") and end.startswith(said_so))


def test_a_number_in_colours_and_a_colour_in_numbers_are_refused(photo, labels, tmp_path, capsys):
    text = said(capsys, photo, labels, "-o", tmp_path / "out.png", "--unknown", "0", expect=1)
    assert "labels.png holds colours, so unknown must be a colour such as black, or none, got 0" in text
    Image.fromarray(numbers(1, 2, 0)).save(tmp_path / "l.png")
    text = said(capsys, photo, tmp_path / "l.png", "-o", tmp_path / "out.png", "--unknown", "black", expect=1)
    assert "l.png holds numbers, so unknown must be a number such as 255, or none, got black" in text


@pytest.mark.parametrize("unknown", [0, np.uint8(0), "0", (0, 0, 0), [0, 0, 0], "#000000", "Black"])
def test_the_function_takes_a_number_or_a_colour(photo, tmp_path, unknown):
    save_palette(numbers(3, 2, 0), tmp_path / "l.png")
    job = jobs.Job(photo, tmp_path / "out.png", tmp_path / "l.png")
    assert refine.refine_file(job, refine.Settings(unknown=unknown))["ids"] == [2, 3]
    assert refine.refine_file(job, refine.Settings(unknown=None))["ids"] == [0, 2, 3]
    with pytest.raises(ParameterError, match="must be a number, a colour"):
        refine.refine_file(job, refine.Settings(unknown=(0, 0)))


def test_no_colour_may_be_unknown(photo, tmp_path):
    Image.fromarray(painted(BLACK, BLUE).astype(np.uint8)).save(tmp_path / "l.png")
    run(photo, tmp_path / "l.png", "-o", tmp_path / "out.png", "--unknown", "none")
    np.testing.assert_array_equal(colours_of(tmp_path / "out.png"), painted(BLACK, BLUE))


def test_transparent_pixels_are_unknown(photo, tmp_path, capsys):
    colours = scribbles(unknown=(255, 0, 255))
    alpha = np.where((colours == (255, 0, 255)).all(-1), 0, 255).astype(np.uint8)
    Image.fromarray(np.dstack([colours, alpha])).save(tmp_path / "l.png")
    run(photo, tmp_path / "l.png", "-o", tmp_path / "out.png")
    np.testing.assert_array_equal(colours_of(tmp_path / "out.png"), painted(RED, BLUE))
    assert "unknown: transparent, 24.0%" in capsys.readouterr().out
    colours[alpha == 0] = BLACK
    alpha[: H // 2] = 255
    Image.fromarray(np.dstack([colours, alpha])).save(tmp_path / "l.png")
    run(photo, tmp_path / "l.png", "-o", tmp_path / "out.png")
    assert "unknown: black and transparent, 24.0%" in capsys.readouterr().out


def test_one_label_is_a_warning_and_none_is_refused(photo, tmp_path, capsys):
    Image.fromarray(scribbles(right=BLACK)).save(tmp_path / "one.png")
    text = said(capsys, photo, tmp_path / "one.png", "-o", tmp_path / "out.png", expect=0)
    assert "warning: one.png has one label, #ff0000, so every pixel of out.png is #ff0000" in text
    assert "were taken as unknown (black)" in text
    assert "--unknown none" in text
    np.testing.assert_array_equal(colours_of(tmp_path / "out.png"), painted(RED, RED))
    np.save(tmp_path / "one.npy", np.ones((1, H, W), np.float32))
    text = said(capsys, photo, tmp_path / "one.npy", "-o", tmp_path / "out.png", expect=0)
    assert text == f"atrous: {photo}: warning: one.npy has one label, 0, so every pixel of out.png is 0.\n"
    Image.new("RGB", (W, H)).save(tmp_path / "none.png")
    text = said(capsys, photo, tmp_path / "none.png", "-o", tmp_path / "none out.png", expect=1)
    assert "has no label" in text
    assert "--unknown" in text
    assert not (tmp_path / "none out.png").exists()


def test_a_photograph_taken_for_labels_is_refused(photo, tmp_path, capsys):
    text = said(capsys, photo, photo, "-o", tmp_path / "out.png", expect=1)
    assert "colours; at most 255" in text


def test_confidence_decides_how_much_the_photograph_may_change(photo, labels, tmp_path):
    shares = []
    for confidence in (0.6, 0.99999):
        job = jobs.Job(photo, tmp_path / "out.png", labels)
        shares.append(refine.refine_file(job, refine.Settings(confidence=confidence, iterations=1))["changed"])
    assert shares[0] > shares[1]


# Photographs


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "16 bit"])
def test_photographs_of_every_kind(tmp_path, labels, mode):
    grey = np.where(TRUTH, 60, 180).astype(np.uint8)
    image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "16 bit" else Image.fromarray(grey).convert(mode)
    file = tmp_path / ("photo.tif" if mode == "CMYK" else "photo.png")
    image.save(file)
    pixels = read_photo("refine", file)
    assert pixels.shape == (H, W, 3)
    if mode == "1":
        assert set(np.unique(pixels)) <= {0, 255}
        return
    np.testing.assert_allclose(pixels, np.repeat(grey[..., None], 3, 2), atol=1)
    run(file, labels, "-o", tmp_path / "out.png", "--overlay", tmp_path / "over.png")
    np.testing.assert_array_equal(colours_of(tmp_path / "out.png"), painted(RED, BLUE))


def test_a_dark_photograph_of_16_bits_is_not_taken_for_one_in_0_to_1(tmp_path, labels):
    """An edge of a quarter of a level is not seen, whole or in tiles; one of 60 levels is."""

    def refined(name, high, *options):
        Image.fromarray((TRUTH * high).astype(np.uint16)).save(tmp_path / f"{name}.png")
        run(tmp_path / f"{name}.png", labels, "-o", tmp_path / "out.png", *options)
        return colours_of(tmp_path / "out.png")

    black = refined("black", 0)
    for options in ((), ("--tile", 30)):
        assert (refined("dark", 60, *options) == black).mean() > 0.99
        assert (refined("bright", 60 * 257, *options) == black).mean() < 0.95


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_orientation_in_exif_is_honoured(tmp_path, labels, capsys, ending):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter, clockwise
    lying = Image.fromarray(np.rot90(drawn_photo()).copy())
    file = tmp_path / f"photo.{ending}"
    lying.save(file, exif=exif, **({"quality": 95, "subsampling": 0} if ending == "jpg" else {}))
    np.testing.assert_allclose(read_photo("refine", file).astype(int), drawn_photo(), atol=40)
    run(file, labels, "-o", tmp_path / "out.png")
    assert (colours_of(tmp_path / "out.png") == painted(RED, BLUE)).mean() > 0.97
    Image.fromarray(np.rot90(scribbles()).copy()).save(tmp_path / "lying.png")
    assert "EXIF" in said(capsys, file, tmp_path / "lying.png", "-o", tmp_path / "o.png", expect=1)


def test_levels_nobody_knows_and_broken_photographs(tmp_path):
    Image.fromarray(np.zeros((H, W), np.float32)).save(tmp_path / "f.tif")
    Image.fromarray(np.full((H, W), 1 << 20, np.int32)).save(tmp_path / "i.tif")
    for name in ("f.tif", "i.tif"):
        with pytest.raises(DTypeError, match="8 or 16 bits"):
            read_photo("refine", tmp_path / name)
    (tmp_path / "text.jpg").write_text("no photograph")
    with pytest.raises(ImageFileError, match=r"text\.jpg"):
        read_photo("refine", tmp_path / "text.jpg")
    with pytest.raises(ImageFileError, match="No such file"):
        read_photo("refine", tmp_path / "missing.jpg")


def test_a_photograph_beyond_pillow_s_limit_is_told_so(photo, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageFileError, match="larger than Pillow allows"):
        read_photo("refine", photo)


def test_sizes_that_differ_are_both_named(photo, tmp_path, capsys):
    Image.new("RGB", (30, 20), RED).save(tmp_path / "l.png")
    text = said(capsys, photo, tmp_path / "l.png", "-o", tmp_path / "out.png", expect=1)
    assert "30×20" in text
    assert f"{W}×{H}" in text
    assert "without smoothing" in text


# Options


def test_options_reach_the_crf(photo, labels, tmp_path):
    out, q = tmp_path / "out.png", tmp_path / "q.npy"
    run(photo, labels, "-o", out, "--probabilities", q, "--preset", "heiwang", "--iterations", 2,
        "--normalization", "before", "--confidence", 0.8)  # fmt: skip
    rough = rough_labels.read_rough(labels, (H, W), refine.Settings(confidence=0.8))
    assert rough.probabilities.max() == pytest.approx(0.8)
    expected = dense_crf(rough.probabilities, drawn_photo(), "heiwang", iterations=2, normalization="before")
    np.testing.assert_array_equal(np.load(q), expected)


def test_no_iterations_give_the_labels_back(photo, labels, tmp_path):
    run(photo, labels, "-o", tmp_path / "out.png", "--iterations", 0)
    given = scribbles()
    known = given.any(-1)
    np.testing.assert_array_equal(colours_of(tmp_path / "out.png")[known], given[known])


def test_tiles_give_nearly_the_same(photo, labels, tmp_path):
    run(photo, labels, "-o", tmp_path / "whole.png")
    run(photo, labels, "-o", tmp_path / "tiles.png", "--tile", 20)
    np.testing.assert_array_equal(colours_of(tmp_path / "tiles.png"), colours_of(tmp_path / "whole.png"))


def test_too_little_memory_suggests_tiles(photo, labels, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("atrous.crf.memory.available_memory", lambda: 10_000)
    text = said(capsys, photo, labels, "-o", tmp_path / "out.png", expect=1)
    assert "--tile 1024" in text
    assert "GB" in text


def test_presets_are_listed(capsys):
    from atrous import CRF_PRESETS

    with pytest.raises(SystemExit) as end:
        cli.main(["refine", "--preset", "list"])
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(CRF_PRESETS) + 1
    assert [line.split()[0] for line in lines[1:]] == list(CRF_PRESETS)
    assert lines[1].split() == ["deeplab-v1", "5", "50", "10", "3.0", "3.0", "10", "after"]


def test_equal_bytes_every_time(photo, labels, tmp_path):
    for name in ("a", "b"):
        files = (tmp_path / f"{name}.png", "--overlay", tmp_path / f"{name}o.png")
        run(photo, labels, "-o", *files, "--probabilities", tmp_path / f"{name}.npy")
    for ending in (".png", "o.png", ".npy"):
        assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


# Writing


def test_inputs_are_never_written_over(photo, labels, tmp_path, capsys):
    before = {path: path.read_bytes() for path in (photo, labels)}
    (tmp_path / "link.png").symlink_to(labels)
    for out in (photo, labels, tmp_path / "." / "labels.png", tmp_path / "link.png"):
        assert "would overwrite" in said(capsys, photo, labels, "-o", out, expect=2)
    out = tmp_path / "out.png"
    assert "would overwrite" in said(capsys, photo, labels, "-o", out, "--overlay", photo, expect=2)
    assert "written twice" in said(capsys, photo, labels, "-o", out, "--overlay", out, expect=2)
    assert {path: path.read_bytes() for path in before} == before
    assert not out.exists()


def test_an_earlier_result_is_replaced(photo, labels, tmp_path):
    out = tmp_path / "out.png"
    out.write_text("old")
    run(photo, labels, "-o", out)
    np.testing.assert_array_equal(colours_of(out), painted(RED, BLUE))


FULL = OSError("23040 requested and 992 written")  # NumPy's, without a number


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device"), FULL])
def test_nothing_is_half_written_when_it_is_interrupted(photo, labels, tmp_path, monkeypatch, capsys, error):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mask.png").write_text("old")

    def half(file, array):
        file.write(b"half")
        raise error

    monkeypatch.setattr(refine.np, "save", half)
    text = said(capsys, photo, labels, "-o", out / "mask.png", "--overlay", out / "over.png", "--probabilities",
                out / "q.npy", expect=130 if error is KeyboardInterrupt else 1)  # fmt: skip
    words = {KeyboardInterrupt: "interrupted", FULL: "q.npy: the disk may be full (23040 requested"}
    assert words.get(error, "No space left") in text
    assert [path.name for path in out.iterdir()] == ["mask.png"]
    assert (out / "mask.png").read_text() == "old"


def test_a_missing_folder_and_other_endings_are_refused(photo, labels, tmp_path, capsys):
    assert "no writable folder" in said(capsys, photo, labels, "-o", tmp_path / "nowhere" / "out.png", expect=2)
    assert "ends in .png" in said(capsys, photo, labels, "-o", tmp_path / "out.jpg", expect=2)
    assert "ends in .png" in said(capsys, photo, labels, "-o", tmp_path, expect=2)
    more = ("-o", tmp_path / "out.png", "--probabilities", tmp_path / "q.txt")
    assert "ends in .npy" in said(capsys, photo, labels, *more, expect=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.png", "photo.png"]


def test_options_out_of_range_are_wrong_usage(photo, labels, tmp_path, capsys):
    words = (photo, labels, "-o", tmp_path / "out.png")
    for option, value, message in [
        ("--tile", 0, "--tile needs"),
        ("--iterations", -1, "--iterations needs"),
        ("--confidence", 1, "--confidence needs"),
        ("--confidence", "nan", "--confidence needs"),
        ("--unknown", "blackish", "must be a number, a colour"),
        ("--unknown", "-1", "at least 0, got -1"),
        ("--json", tmp_path / "out.png", "ends in .json"),
    ]:
        assert message in said(capsys, *words, option, value, expect=2)
    with pytest.raises(SystemExit) as end:
        cli.main(["refine", *map(str, words), "--preset", "dance"])
    assert end.value.code == 2
    assert "must be one of deeplab-v1," in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


def test_missing_labels(photo, tmp_path, capsys):
    text = said(capsys, photo, tmp_path / "gone.png", "-o", tmp_path / "out.png", expect=1)
    assert "gone.png" in text
    assert "Traceback" not in text


# Several photographs


@pytest.fixture
def folders(tmp_path):
    """Three photographs with names that need care, their labels of three kinds, and a name for the results."""
    photos, marks = tmp_path / "Fotos groß", tmp_path / "Marken ä"
    photos.mkdir()
    marks.mkdir()
    for name in ("Ähre im Wind.png", "b.c.jpg", "c.bmp"):
        Image.fromarray(drawn_photo()).save(photos / name, quality=95)
    Image.fromarray(scribbles()).save(marks / "Ähre im Wind.png")
    np.save(marks / "b.c.npy", rough_probabilities())
    np.savez(marks / "c.npz", rough_probabilities(6, 8))
    return sorted(photos.iterdir()), marks, tmp_path / "aus ü"


def test_several_photographs(folders, capsys):
    photos, marks, out = folders
    run(*photos, marks, "-o", out, "--overlay", out / "over", "--probabilities", out / "q")
    assert sorted(path.name for path in out.glob("*.png")) == ["b.c.png", "c.png", "Ähre im Wind.png"]
    assert sorted(path.name for path in (out / "over").iterdir()) == ["b.c.png", "c.png", "Ähre im Wind.png"]
    assert sorted(path.name for path in (out / "q").iterdir()) == ["b.c.npy", "c.npy", "Ähre im Wind.npy"]
    np.testing.assert_array_equal(colours_of(out / "Ähre im Wind.png"), painted(RED, BLUE))
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 3
    assert "refine: 0/3" in told.err  # the progress, said once where there is no terminal


def test_a_broken_one_is_named_and_the_rest_go_on(folders, capsys):
    photos, marks, out = folders
    photos[0].write_text("no photograph")
    (marks / "c.npz").unlink()
    text = said(capsys, *photos, marks, "-o", out, expect=1)
    assert f"{photos[0]}: refine: cannot read" in text
    assert "no labels for it" in text
    assert "2 of 3 photographs failed" in text
    assert [path.name for path in out.iterdir()] == [f"{photos[2].stem}.png" if photos[1].stem == "c" else
                                                     f"{photos[1].stem}.png"]  # fmt: skip


def test_names_with_accents_match_however_they_are_written(folders):
    import unicodedata

    photos, marks, out = folders
    file = marks / "Ähre im Wind.png"
    file.rename(marks / unicodedata.normalize("NFD", file.name))
    run(*photos, marks, "-o", out)
    assert len(list(out.iterdir())) == 3


def test_labels_may_lie_beside_the_photographs(tmp_path, photo):
    Image.fromarray(drawn_photo()).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(scribbles()).save(tmp_path / "a.png")
    run(tmp_path / "a.jpg", tmp_path, "-o", tmp_path / "out")
    assert (colours_of(tmp_path / "out" / "a.png") == painted(RED, BLUE)).mean() > 0.97
    np.save(tmp_path / "photo.npy", rough_probabilities())
    run(photo, tmp_path, "-o", tmp_path / "out")  # photo.png itself is not taken for its labels
    assert colours_of(tmp_path / "out" / "photo.png", "P").shape == (H, W, 3)


def test_folders_are_wanted_and_names_must_differ(folders, tmp_path, capsys):
    photos, marks, out = folders
    assert "folder of labels" in said(capsys, *photos, marks / "c.npz", "-o", out, expect=2)
    file = tmp_path / "file"
    file.write_text("kept")
    assert "a folder for OUT" in said(capsys, *photos, marks, "-o", file, expect=2)
    assert "a folder for --overlay" in said(capsys, *photos, marks, "-o", out, "--overlay", file, expect=2)
    assert "would overwrite" in said(capsys, *photos, marks, "-o", marks, expect=2)
    twin = tmp_path / "c.png"
    Image.fromarray(drawn_photo()).save(twin)
    assert "written twice" in said(capsys, *photos, twin, marks, "-o", out, expect=2)
    Image.fromarray(scribbles()).save(marks / "c.png")
    assert "several files of labels" in said(capsys, *photos, marks, "-o", out, expect=1)
    assert file.read_text() == "kept"


def test_interrupted_between_two_photographs(folders, monkeypatch, capsys):
    photos, marks, out = folders
    calls = []

    def second_is_interrupted(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return dense_crf(*arguments, **options)

    monkeypatch.setattr(refine, "dense_crf", second_is_interrupted)
    assert "interrupted" in said(capsys, *photos, marks, "-o", out, expect=130)
    assert len(list(out.iterdir())) == 1
    assert len(calls) == 2


def test_json(folders, capsys, tmp_path):
    photos, marks, out = folders
    (marks / "c.npz").unlink()
    run(*photos, marks, "-o", out, "--json", expect=1)
    found = json.loads(capsys.readouterr().out)
    assert found["preset"] == "densecrf"
    assert len(found["files"]) == 2
    row = next(row for row in found["files"] if "Wind" in row["image"])
    assert (row["width"], row["height"], row["labels"]) == (W, H, 2)
    assert "warning" not in row
    assert row["output"] == os.fspath(out / "Ähre im Wind.png")
    known = scribbles().any(-1)
    assert row["unknown"] == pytest.approx(1 - known.mean())
    moved = known & ((scribbles()[..., 2] > 0) != TRUTH)
    assert row["changed"] == pytest.approx(moved.sum() / known.sum())
    assert 0 < row["seconds"] < 60
    assert [failure["image"] for failure in found["failed"]] == [str(photos[[p.stem for p in photos].index("c")])]
    run(photos[0], marks / f"{photos[0].stem}.png" if "Wind" in photos[0].name else marks / "b.c.npy",
        "-o", tmp_path / "one.png", "--json", tmp_path / "one.json")  # fmt: skip
    assert len(json.loads((tmp_path / "one.json").read_text(encoding="utf-8"))["files"]) == 1
