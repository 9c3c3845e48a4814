"""Pairs of photographs and labels from made-up trees of VOC, Cityscapes and plain folders."""

import numpy as np
import pytest
from PIL import Image

from atrous import ImagePairs, cityscapes_pairs, folder_pairs, voc_pairs
from atrous.data.pairs import CITYSCAPES_TRAIN_IDS
from atrous.data.palettes import encode_palette_png
from atrous.errors import AtrousError, ParameterError, ShapeError


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


@pytest.fixture
def photo(rng):
    return rng.integers(0, 255, (8, 10, 3)).astype(np.uint8)


@pytest.fixture
def labels(rng):
    return rng.choice(np.array([0, 1, 15, 255], np.uint8), (8, 10))


@pytest.fixture
def voc(tmp_path, photo, labels):
    for name in ("2007_000032", "2011_003276"):
        write(tmp_path / "JPEGImages" / f"{name}.jpg", photo)
        for folder in ("SegmentationClass", "SegmentationClassAug"):
            (tmp_path / folder).mkdir(exist_ok=True)
            encode_palette_png(labels, tmp_path / folder / f"{name}.png")
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_000032\n2011_003276\n")
    (lists / "val.txt").write_text("/JPEGImages/2011_003276.jpg /SegmentationClass/2011_003276.png\n\n")
    (lists / "trainaug.txt").write_text("2007_000032\n")
    return tmp_path


def test_voc(voc, labels):
    pairs = voc_pairs(voc, "train")
    assert [p.name for p in pairs] == ["2007_000032", "2011_003276"]
    image, found = ImagePairs(pairs, 21)[1]
    assert (image.shape, image.dtype) == ((8, 10, 3), np.uint8)
    np.testing.assert_array_equal(found, labels)
    assert voc_pairs(voc, "val")[0].labels == voc / "SegmentationClass" / "2011_003276.png"
    assert voc_pairs(voc, "trainaug")[0].labels.parent.name == "SegmentationClassAug"


def test_a_missing_file_of_voc_is_named(voc):
    (voc / "SegmentationClass" / "2011_003276.png").unlink()
    with pytest.raises(AtrousError, match=r"the labels of 2011_003276: .*2011_003276.png does not exist"):
        voc_pairs(voc)
    with pytest.raises(AtrousError, match=r"the list of the split .*test.txt does not exist"):
        voc_pairs(voc, "test")
    (voc / "ImageSets" / "Segmentation" / "train.txt").write_text("\n")
    with pytest.raises(ParameterError, match=r"train.txt names no image"):
        voc_pairs(voc)


def test_cityscapes(tmp_path, photo):
    stored = np.tile(np.array([0, 7, 8, 26, 33, 29, 30, 1, 2, 3], np.uint8), (8, 1))
    for city, number in (("ulm", 1), ("aachen", 0)):
        name = f"{city}_{number:06}_000019"
        write(tmp_path / "leftImg8bit" / "train" / city / f"{name}_leftImg8bit.png", photo)
        write(tmp_path / "gtFine" / "train" / city / f"{name}_gtFine_labelIds.png", stored)
    pairs = cityscapes_pairs(tmp_path)
    assert [p.name for p in pairs] == ["aachen_000000_000019", "ulm_000001_000019"]
    _, found = ImagePairs(pairs, 19, table=CITYSCAPES_TRAIN_IDS)[0]
    assert found[0].tolist() == [255, 0, 1, 13, 18, 255, 255, 255, 255, 255]
    pairs[1].labels.unlink()
    with pytest.raises(AtrousError, match="the labels of ulm_000001_000019"):
        cityscapes_pairs(tmp_path)
    with pytest.raises(AtrousError, match=r"leftImg8bit.*val does not exist"):
        cityscapes_pairs(tmp_path, "val")


def test_the_table_of_cityscapes_names_each_class_once():
    assert sorted(CITYSCAPES_TRAIN_IDS.values()) == list(range(19))


def test_two_folders(tmp_path, photo, labels):
    for name, ending in (("b", ".png"), ("a", ".JPG")):
        write(tmp_path / "images" / f"{name}{ending}", photo)
        write(tmp_path / "masks" / f"{name}.png", labels)
    (tmp_path / "masks" / "notes.txt").write_text("none of these")
    pairs = folder_pairs(tmp_path / "images", tmp_path / "masks")
    assert [p.name for p in pairs] == ["a", "b"]
    image, found = ImagePairs(pairs, 16)[1]
    np.testing.assert_array_equal(image, photo)
    np.testing.assert_array_equal(found, labels)

    extra = write(tmp_path / "images" / "c.png", photo)
    with pytest.raises(ParameterError, match=r"c.png have no labels"):
        folder_pairs(tmp_path / "images", tmp_path / "masks")
    extra.unlink()
    write(tmp_path / "masks" / "d.png", labels)
    with pytest.raises(ParameterError, match=r"d.png have no photograph"):
        folder_pairs(tmp_path / "images", tmp_path / "masks")
    write(tmp_path / "images" / "a.png", photo)
    with pytest.raises(ParameterError, match=r"a\.(JPG|png) and .*a\.(JPG|png) have the same name"):
        folder_pairs(tmp_path / "images", tmp_path / "masks")
    with pytest.raises(AtrousError, match="nowhere does not exist"):
        folder_pairs(tmp_path / "nowhere", tmp_path / "masks")


def one(tmp_path, photo, mask, classes, **options):
    write(tmp_path / "images" / "a.png", photo)
    write(tmp_path / "masks" / "a.png", mask)
    return ImagePairs(folder_pairs(tmp_path / "images", tmp_path / "masks"), classes, **options)


def test_a_label_out_of_range_is_named(tmp_path, photo, labels):
    with pytest.raises(ParameterError, match=r"a.png holds the label 15; with classes=5 they are 0 to 4"):
        one(tmp_path, photo, np.where(labels == 1, 0, labels), 5)[0]


def test_sizes_that_differ_are_named(tmp_path, photo, labels):
    with pytest.raises(ShapeError, match=r"a.png is 10 × 8 pixels, its labels .*a.png 9 × 8"):
        one(tmp_path, photo, labels[:, :9], 21)[0]


def test_colours_are_not_labels(tmp_path, photo):
    with pytest.raises(ParameterError, match=r"a.png stores colours"):
        one(tmp_path, photo, photo, 21)[0]


def test_a_broken_file_is_named(tmp_path, photo, labels):
    pairs = one(tmp_path, photo, labels, 21)
    path = tmp_path / "masks" / "a.png"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(AtrousError, match=r"a.png"):
        pairs[0]
    path = tmp_path / "images" / "a.png"
    path.write_bytes(b"")
    with pytest.raises(AtrousError, match=r"a.png"):
        pairs[0]


def test_check_counts_and_asks_about_masks_of_0_and_255(tmp_path, photo, labels):
    counts = one(tmp_path, photo, labels, 21).check()
    assert counts.sum() == labels.size
    assert (counts[15], counts[-1]) == ((labels == 15).sum(), (labels == 255).sum())

    mask = np.where(labels == 0, 0, 255).astype(np.uint8)
    with pytest.raises(ParameterError, match=r"Did you mean 1\? Pass table=\{0: 0, 255: 1\}"):
        one(tmp_path, photo, mask, 2).check()
    assert one(tmp_path, photo, mask, 2, table={0: 0, 255: 1}).check().tolist() == [
        (mask == 0).sum(),
        (mask > 0).sum(),
        0,
    ]
    with pytest.raises(ParameterError, match=r"two classes to tell apart, the labels are \[7\]"):
        one(tmp_path, photo, np.full((8, 10), 7, np.uint8), 21).check()


def test_a_mask_of_one_bit_has_two_classes(tmp_path, photo, labels):
    np.testing.assert_array_equal(one(tmp_path, photo, labels > 1, 2)[0][1], labels > 1)
