"""Names and colours of classes, chosen by their number or by the dataset."""

import numpy as np
import pytest

from atrous import cli
from atrous.data.classes import CLASS_NAMES, classes_of
from atrous.data.palettes import VOC_CLASSES, voc_palette
from atrous.errors import ParameterError


@pytest.mark.parametrize(
    ("count", "names"),
    [
        (21, {0: "background", 15: "person", 20: "tvmonitor"}),
        (60, {0: "background", 11: "table", 15: "person", 21: "bag", 42: "curtain", 50: "sky", 59: "wood"}),
        (7, {0: "background", 1: "head", 2: "torso", 4: "lower arm", 6: "lower leg"}),
        (19, {0: "road", 8: "vegetation", 11: "person", 18: "bicycle"}),
        (5, {0: "0", 4: "4"}),
    ],
)
def test_the_number_of_classes_tells_the_dataset(count, names):
    found = classes_of(count)
    assert len(found.names) == len(set(found.names)) == count
    assert {i: found.names[i] for i in names} == names
    assert found.palette.dtype == np.uint8
    assert len(np.unique(found.palette[:count], axis=0)) == count
    if count != 19:
        np.testing.assert_array_equal(found.palette, voc_palette())


def test_cityscapes_has_colours_of_its_own():
    palette = classes_of(19).palette
    for label, colour in {0: (128, 64, 128), 1: (244, 35, 232), 11: (220, 20, 60), 13: (0, 0, 142)}.items():
        assert tuple(palette[label]) == colour


def test_a_dataset_may_be_named():
    assert classes_of(3, "cityscapes").names == ("road", "sidewalk", "building")
    assert classes_of(20, "voc").names == VOC_CLASSES[:20]
    for count, dataset in ((21, "cityscapes"), (8, "person-part"), (3, "ade20k")):
        with pytest.raises(
            ParameterError, match=rf"{dataset}. does not fit {count} classes: .* cityscapes \(19 classes\)"
        ):
            classes_of(count, dataset)


@pytest.mark.parametrize("count", [0, 256, 1000])
def test_a_palette_has_room_for_255_classes_and_void(count):
    with pytest.raises(ParameterError, match=f"1 to 255 classes, got {count}"):
        classes_of(count)


def test_the_command_line_knows_every_dataset(capsys):
    with pytest.raises(SystemExit):
        cli.main(["segment", "--palette", "?"])
    error = capsys.readouterr().err
    assert all(f"'{name}'" in error for name in CLASS_NAMES)
