"""Trimaps against the rule written with Python's loops and sets."""

import numpy as np
import pytest

from atrous import confusion_matrix, mean_iou, trimap_band, trimap_confusion, trimap_iou
from atrous.errors import ParameterError, ShapeError


def band_by_sets(target, width):
    """Return the band as a set: all pixels in the square around a void one, without the void ones."""
    void = {(i, j) for i, j in np.ndindex(target.shape) if target[i, j] == 255}
    steps = range(-width, width + 1)
    near = {(i + a, j + b) for i, j in void for a in steps for b in steps}
    return {(i, j) for i, j in np.ndindex(target.shape) if (i, j) in near - void}


@pytest.mark.parametrize("width", [1, 2, 5, 40])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
def test_band_equals_the_sets(width, share, rng):
    target = rng.integers(0, 3, (13, 17))
    target[rng.random(target.shape) < share] = 255
    band = trimap_band(target, width)
    assert {tuple(map(int, at)) for at in np.argwhere(band)} == band_by_sets(target, width)


def test_a_case_made_by_hand():
    target = np.full((5, 5), 1)
    target[:2] = 0
    target[2] = 255
    prediction = np.array([[0] * 5, [1] * 5, [0] * 5, [1] * 5, [0] * 5])
    # Width 1 holds rows 1 and 3: the first is wrong, the second right. Width 2 adds rows 0, right, and 4, wrong.
    np.testing.assert_array_equal(trimap_confusion(prediction, target, 2, [1, 2]), [[[0, 5], [0, 5]], [[5, 5], [5, 5]]])
    np.testing.assert_allclose(trimap_iou(prediction, target, 2, [1, 2]), [0.25, 1 / 3])


def test_images_are_kept_apart_and_counted_together(rng):
    target = rng.integers(0, 3, (2, 9, 9))
    target[0, 4] = 255
    prediction = rng.integers(0, 3, target.shape)
    both = trimap_confusion(prediction, target, 3, [1, 3])
    np.testing.assert_array_equal(both, trimap_confusion(prediction[0], target[0], 3, [1, 3]))
    assert both[0].sum() == 2 * 9


def test_a_band_wider_than_the_image_holds_every_labelled_pixel(rng):
    target, prediction = rng.integers(0, 3, (6, 7)), rng.integers(0, 3, (6, 7))
    target[3, 3] = 255
    assert trimap_iou(prediction, target, 3, [7])[0] == mean_iou(confusion_matrix(prediction, target, 3))


def test_another_void_label():
    target = np.array([[0, 0, -1, 1]])
    np.testing.assert_array_equal(trimap_band(target, 1, ignore=-1), [[False, True, False, True]])


def test_without_void_pixels_there_is_nothing_to_count():
    assert np.isnan(trimap_iou(np.zeros((3, 3), int), np.zeros((3, 3), int), 2, [1, 9])).all()


def test_bad_arguments():
    target = np.zeros((3, 3), int)
    with pytest.raises(ParameterError, match="widths is empty"):
        trimap_iou(target, target, 2, [])
    with pytest.raises(ParameterError, match="width"):
        trimap_band(target, 0)
    with pytest.raises(ShapeError, match=r"\(\.\.\., H, W\)"):
        trimap_band(target[0], 1)
    with pytest.raises(ShapeError, match="same shape"):
        trimap_iou(target[:2], target, 2, [1])
