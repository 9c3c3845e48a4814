"""Palettes, label images and colours: VOC's known colours, round trips, and files that are broken."""

import os
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from atrous.data.palettes import (
    VOC_CLASSES,
    colourize,
    encode_palette_png,
    labels_from_colours,
    overlay,
    read_label_image,
    voc_palette,
)
from atrous.errors import AtrousError, DTypeError, ParameterError, ShapeError

RGB = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
LABELS = np.array([[0, 1, 2], [2, 1, 0]])
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


# The palette of PASCAL VOC


def test_voc_palette_has_the_published_colours():
    # From the legend of the challenge's pages.
    known = {
        "background": (0, 0, 0),
        "aeroplane": (128, 0, 0),
        "bicycle": (0, 128, 0),
        "bird": (128, 128, 0),
        "boat": (0, 0, 128),
        "car": (128, 128, 128),
        "cat": (64, 0, 0),
        "chair": (192, 0, 0),
        "person": (192, 128, 128),
        "pottedplant": (0, 64, 0),
        "tvmonitor": (0, 64, 128),
    }
    palette = voc_palette()
    assert palette.dtype == np.uint8
    for name, colour in known.items():
        assert tuple(palette[VOC_CLASSES.index(name)]) == colour
    assert tuple(palette[255]) == (224, 224, 192)
    assert len(VOC_CLASSES) == len(set(VOC_CLASSES)) == 21


def test_voc_palette_follows_the_loop_of_the_development_kit():
    for label, colour in enumerate(voc_palette().tolist()):
        wanted, rest = [0, 0, 0], label
        for j in range(8):
            for channel in range(3):
                wanted[channel] |= (rest >> channel & 1) << (7 - j)
            rest >>= 3
        assert colour == wanted
    assert len(np.unique(voc_palette(), axis=0)) == 256


# Palette images


@pytest.mark.parametrize("colours", [2, 3, 16, 21, 256])
def test_palette_images_come_back(rng, tmp_path, colours):
    palette = rng.integers(0, 256, (colours, 3)).astype(np.uint8)
    labels = rng.integers(0, min(colours, 255), (7, 9))
    path = tmp_path / "labels.png"
    encode_palette_png(labels, path, palette)
    with Image.open(path) as image:
        assert image.mode == "P"
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image.convert("RGB")), palette[labels])
    back, table = read_label_image(path)
    assert back.dtype == np.uint8
    assert np.array_equal(back, labels)
    assert np.array_equal(table[: labels.max() + 1], palette[: labels.max() + 1])
    assert os.listdir(tmp_path) == ["labels.png"]


def test_unknown_pixels_are_255_in_files():
    file = BytesIO()
    encode_palette_png(np.array([[0, -1, 255, 2]], np.int16), file, RGB)
    labels, table = read_label_image(file)
    assert labels.tolist() == [[0, 255, 255, 2]]
    assert table[:3].tolist() == [list(c) for c in RGB]
    assert table[255].tolist() == [0, 0, 0]


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "labels.png"
    encode_palette_png(LABELS, path)
    before = path.read_bytes()
    with pytest.raises(ParameterError):
        encode_palette_png(LABELS + 7, path, RGB)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(AtrousError, match=r"labels\.png: No space left"):
        encode_palette_png(LABELS.T, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["labels.png"]


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(OSError, match=r"nowhere.*No such file") as caught:
        encode_palette_png(LABELS, tmp_path / "nowhere" / "labels.png")
    assert isinstance(caught.value, AtrousError)


# Colours as labels


def scribbles():
    """Return an image with unknown black pixels, and what its labels are."""
    rgb = np.zeros((4, 5, 3), np.uint8)
    rgb[1], rgb[2, :3], rgb[3, 4] = (200, 10, 0), (10, 250, 3), (10, 3, 250)
    expected = np.full((4, 5), -1)
    expected[1], expected[2, :3], expected[3, 4] = 2, 1, 0
    return rgb, expected


@pytest.mark.parametrize("unknown", [(0, 0, 0), [0, 0, 0], np.zeros(3, np.uint8), "black", "#000000", "Black"])
def test_every_colour_but_one_is_a_label(unknown):
    rgb, expected = scribbles()
    labels, colours = labels_from_colours(rgb, unknown)
    assert np.array_equal(labels, expected)
    assert labels.dtype.kind == "i"
    assert colours.tolist() == [[10, 3, 250], [10, 250, 3], [200, 10, 0]]
    assert np.array_equal(colourize(labels, colours), rgb)


def test_another_colour_or_none_is_unknown():
    rgb, expected = scribbles()
    assert np.array_equal(labels_from_colours(rgb, None).labels, expected + 1)
    labels, colours = labels_from_colours(rgb, "#c80a00")
    assert np.array_equal(labels == -1, expected == 2)
    assert colours[0].tolist() == [0, 0, 0]
    labels, colours = labels_from_colours(np.zeros((2, 2, 3), np.uint8))
    assert (labels == -1).all()
    assert colours.shape == (0, 3)


def test_a_palette_image_counts_by_its_colours(tmp_path):
    rgb, expected = scribbles()
    path = tmp_path / "scribbles.png"
    # Black is index 1, and one colour stands twice in the table.
    encode_palette_png(np.array([0, 3, 2, 1])[expected], path, [(10, 3, 250), (0, 0, 0), (200, 10, 0), (10, 250, 3)])
    assert not np.array_equal(read_label_image(path).labels, expected)
    for source in (path, str(path), BytesIO(path.read_bytes()), Image.open(path), rgb):
        labels, colours = labels_from_colours(source)
        assert np.array_equal(labels, expected)
        assert np.array_equal(colours[labels[1, 0]], (200, 10, 0))


def test_transparent_pixels_are_unknown():
    rgb, expected = scribbles()
    rgba = np.concatenate([rgb, np.full((4, 5, 1), 255, np.uint8)], axis=2)
    rgba[1, 0] = (9, 9, 9, 0)
    expected[1, 0] = -1
    labels, colours = labels_from_colours(rgba)
    assert np.array_equal(labels, expected)
    assert len(colours) == 3
    read = read_label_image(Image.fromarray(rgba))
    assert (read.labels == 255).tolist() == (rgba[..., 3] == 0).tolist()
    assert read.colours.tolist()[0] == [0, 0, 0]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "1"])
def test_plain_images_give_a_label_a_colour(mode, tmp_path):
    grey = np.array([[0, 255, 255], [0, 255, 0]] if mode == "1" else [[7, 255, 9], [0, 7, 255]], np.uint8)
    path = tmp_path / "labels.png"
    Image.fromarray(grey).convert(mode).save(path)
    labels, colours = read_label_image(path)
    assert labels.dtype == colours.dtype == np.uint8
    assert np.array_equal(colours[labels], np.repeat(grey[..., None], 3, axis=2))
    numbers = {"1": grey > 0, "L": grey, "LA": grey}
    assert np.array_equal(labels, numbers.get(mode, np.unique(grey, return_inverse=True)[1].reshape(grey.shape)))


def test_grey_levels_are_the_labels(tmp_path):
    """As in labelTrainIds and SegmentationClassRaw: 255 is unknown and 15 stays 15."""
    ids = np.array([[0, 15, 255], [7, 15, 0]], np.uint8)
    Image.fromarray(ids).save(tmp_path / "plain.png")
    Image.fromarray(ids).save(tmp_path / "clear.png", transparency=7)
    labels, colours = read_label_image(tmp_path / "plain.png")
    assert np.array_equal(labels, ids)
    assert colours[[15, 255]].tolist() == [[15] * 3, [255] * 3]
    assert np.array_equal(read_label_image(tmp_path / "clear.png").labels, np.where(ids == 7, 255, ids))


def test_255_colours_fit_and_256_are_a_photograph():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    with pytest.raises(ParameterError, match="at most 255 colours, got 256"):
        read_label_image(Image.fromarray(grey).convert("RGB"))
    grey[0, 0] = 1
    labels, colours = read_label_image(Image.fromarray(grey).convert("RGB"))
    assert labels.max() == 254
    assert len(colours) == 255


# Painting


def test_colourize_any_shape():
    assert colourize(2, RGB).tolist() == [0, 0, 255]
    assert colourize(LABELS[None], RGB).shape == (1, 2, 3, 3)
    assert colourize(LABELS > 0, RGB)[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 255, 0]]
    assert colourize(np.array([255, -1])).tolist() == [[224, 224, 192]] * 2


@pytest.mark.parametrize("alpha", [0, 0.3, 0.5, 1])
def test_overlay_mixes_and_leaves_the_unknown(rng, alpha):
    image = rng.integers(0, 256, (2, 3, 3)).astype(np.uint8)
    labels = np.array([[0, 1, 255], [-1, 2, 1]])
    kept = image.copy()
    out = overlay(image, labels, RGB, alpha)
    assert out.dtype == np.uint8
    for at in np.ndindex(labels.shape):
        colour = RGB[labels[at]] if labels[at] in (0, 1, 2) else image[at]
        wanted = (1 - alpha) * image[at] + alpha * np.array(colour, float)
        assert np.abs(out[at] - wanted).max() <= 0.5 + 1e-4
    assert np.array_equal(image, kept)
    grey = image[..., 0]
    assert np.array_equal(overlay(grey, labels, RGB, alpha), overlay(np.dstack([grey] * 3), labels, RGB, alpha))


# Broken files


def png():
    file = BytesIO()
    encode_palette_png(np.arange(600).reshape(20, 30) % 7, file, voc_palette()[:7])
    return file.getvalue()


def painted(path):
    labels, colours = labels_from_colours(path, None)
    return (colours[labels],)


def test_a_file_cut_short_is_read_rightly_or_told(tmp_path):
    whole = png()
    right, colours = read_label_image(BytesIO(whole))
    path, told = tmp_path / "cut.png", []
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        for read, wanted in ((read_label_image, right), (painted, colours[right])):
            try:
                found = read(path)
            except AtrousError as error:
                told.append(error)
            else:
                assert np.array_equal(found[0], wanted)
    assert len(told) > len(whole)
    assert all("cut.png" in str(error) and isinstance(error, OSError) for error in told)


def test_damaged_bytes_raise_nothing_else(tmp_path, rng):
    whole = png()
    path, told = tmp_path / "damaged.png", 0
    for at in rng.integers(0, len(whole), 150):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.integers(8)]) + whole[at + 1 :])
        try:
            read_label_image(path)
        except AtrousError:
            told += 1
    assert told > 50


@pytest.mark.parametrize("read", [read_label_image, labels_from_colours])
def test_what_is_no_image_is_told_with_its_name(tmp_path, read):
    text = tmp_path / "text.png"
    text.write_text("no image", encoding="utf-8")
    with pytest.raises(AtrousError, match=rf"{read.__name__}: cannot read .*text\.png: it is not an image"):
        read(text)
    with pytest.raises(AtrousError, match=r"gone\.png: No such file"):
        read(str(tmp_path / "gone.png"))
    with pytest.raises(AtrousError, match="cannot read"):
        read(tmp_path)
    with pytest.raises(AtrousError, match="the BytesIO"):
        read(BytesIO())
    deep = tmp_path / "deep.png"
    Image.fromarray(np.arange(6, dtype=np.uint16).reshape(2, 3)).save(deep)
    with pytest.raises(DTypeError, match="I;16"):
        read(deep)


# Bad input

IMAGE = np.zeros((2, 3, 3), np.uint8)
BAD = [
    ("float labels", lambda: colourize(LABELS * 1.0), DTypeError, "argmax"),
    ("NaN", lambda: encode_palette_png(LABELS * np.nan, BytesIO()), DTypeError, "float64"),
    ("empty", lambda: colourize(LABELS[:0]), ShapeError, "empty"),
    ("beyond the palette", lambda: colourize(LABELS + 1, RGB), ParameterError, "0 to 2.*got 3"),
    ("below -1", lambda: colourize(LABELS - 2, RGB), ParameterError, "got -2"),
    ("256", lambda: colourize(LABELS + 255), ParameterError, "got 256"),
    ("three axes", lambda: encode_palette_png(LABELS[None], BytesIO()), ShapeError, r"\(1, 2, 3\)"),
    ("no file", lambda: encode_palette_png(LABELS, None), ParameterError, "got NoneType"),
    ("no path", lambda: read_label_image(3), ParameterError, "got int"),
    ("palette of four", lambda: colourize(LABELS, np.zeros((3, 4), int)), ShapeError, r"\(3, 4\)"),
    ("palette empty", lambda: colourize(LABELS, []), ShapeError, r"\(0,\)"),
    ("palette long", lambda: colourize(LABELS, np.zeros((257, 3), int)), ShapeError, r"\(257, 3\)"),
    ("palette of floats", lambda: colourize(LABELS, np.ones((3, 3))), DTypeError, "255"),
    ("palette bright", lambda: colourize(LABELS, [(0, 0, 256)] * 3), ParameterError, "got 256"),
    ("palette dark", lambda: colourize(LABELS, [(0, 0, -1)] * 3), ParameterError, "got -1"),
    ("image of floats", lambda: overlay(IMAGE * 1.0, LABELS), DTypeError, "float64"),
    ("image with alpha", lambda: overlay(np.zeros((2, 3, 4), np.uint8), LABELS), ShapeError, r"\(2, 3, 4\)"),
    ("other size", lambda: overlay(IMAGE, LABELS.T), ShapeError, r"\(2, 3\), got \(3, 2\)"),
    ("alpha above 1", lambda: overlay(IMAGE, LABELS, alpha=1.5), ParameterError, "got 1.5"),
    ("alpha NaN", lambda: overlay(IMAGE, LABELS, alpha=np.nan), ParameterError, "got nan"),
    ("alpha None", lambda: overlay(IMAGE, LABELS, alpha=None), ParameterError, "got None"),
    ("rgb grey", lambda: labels_from_colours(LABELS), ShapeError, r"\(2, 3\)"),
    ("rgb empty", lambda: labels_from_colours(IMAGE[:0]), ShapeError, r"\(0, 3, 3\)"),
    ("rgb floats", lambda: labels_from_colours(IMAGE * 1.0), DTypeError, "float64"),
    ("colour name", lambda: labels_from_colours(IMAGE, "blackish"), ParameterError, "'blackish'"),
    ("colour of floats", lambda: labels_from_colours(IMAGE, (0.0, 0.0, 0.0)), ParameterError, "integers in 0 to 255"),
    ("colour of two", lambda: labels_from_colours(IMAGE, (0, 0)), ParameterError, r"\(0, 0\)"),
    ("colour beyond", lambda: labels_from_colours(IMAGE, (0, 0, 256)), ParameterError, "256"),
    ("colour a number", lambda: labels_from_colours(IMAGE, 0), ParameterError, "got 0"),
]


@pytest.mark.parametrize(("call", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_bad_input_gives_one_clear_error(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, AtrousError)
