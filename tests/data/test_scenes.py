"""The drawn world: the same for the same seed, its labels exact, and each option doing what it says."""

import numpy as np
import pytest

from atrous import Scenes, make_scene
from atrous.data.scenes import _DARK, _LIGHT, _PLAIN, SCENE_CLASSES, VOID
from atrous.errors import ParameterError

PLAIN = {"blur": 0.0, "noise": 0.0, "ring": 0}


def scene(seed, **options):
    return make_scene(np.random.default_rng(seed), size=65, **options)


def test_the_same_seed_draws_the_same_scene():
    for a, b in zip(scene(3), scene(3), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(scene(3)[0], scene(4)[0])
    scenes = Scenes(5, seed=2, size=33)
    np.testing.assert_array_equal(scenes[4][0], Scenes(50, seed=2, size=33)[4][0])
    assert not np.array_equal(scenes[0][0], scenes[1][0])


def test_a_stored_scene():
    """The world must not change under a network that was trained on it."""
    image, labels = make_scene(np.random.default_rng(0), size=65)
    assert np.bincount(labels.ravel(), minlength=256)[[0, 1, 2, 3, 4, 5, 255]].tolist() == STORED_COUNTS
    np.testing.assert_allclose(image.mean((0, 1)), STORED_MEAN, atol=0.01)


STORED_COUNTS = [2292, 43, 489, 195, 76, 289, 841]
STORED_MEAN = [150.569, 124.004, 111.133]


def test_every_class_occurs_and_none_fills_the_world():
    counts = sum(np.bincount(scene(i)[1].ravel(), minlength=256) for i in range(60))
    shares = counts[: len(SCENE_CLASSES)] / counts.sum()
    assert shares.min() > 0.02
    assert shares.max() < 0.7
    assert 0.05 < counts[VOID] / counts.sum() < 0.3


def test_only_the_rim_tells_a_pond_from_a_roof():
    for i in range(20):
        image, labels = scene(i, wires=0, **PLAIN)
        for label, rim in ((3, _LIGHT), (4, _DARK)):
            colours = np.unique(image[labels == label], axis=0)
            expected = {tuple(np.rint(c).astype(int)) for c in (_PLAIN, rim)}
            assert {tuple(map(int, c)) for c in colours} <= expected


def test_without_objects_there_is_background_only():
    image, labels = scene(0, objects=0, wires=0)
    assert not labels.any()
    assert image.std() > 5


def test_wires_are_thin_and_keep_their_middle():
    for i in range(10):
        _, labels = scene(i, objects=0, wires=1)
        # A line across the image, at most 3 pixels wide where it is measured straight across.
        assert 0 <= (labels == 5).sum() <= 65 * np.sqrt(2) * 4
        near = np.argwhere(labels == VOID)
        assert labels[labels != 0].size == (labels == 5).sum() + len(near)


def test_wires_are_as_wide_as_asked_for():
    for width in (3.0, 7.0):
        areas = [(scene(i, objects=0, wires=1, wire_width=(width, width), ring=0)[1] == 5).sum() for i in range(40)]
        assert max(areas) <= (65 * np.sqrt(2) + 1) * (width + 1)
        assert max(areas) >= 65 * (width - 1)


def test_the_ring_lies_along_boundaries_alone():
    _, exact = scene(1, wires=0, ring=0)
    for ring in (1, 3):
        _, labels = scene(1, wires=0, ring=ring)
        np.testing.assert_array_equal(labels[labels != VOID], exact[labels != VOID])
        padded = np.pad(exact, ring, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * ring + 1,) * 2)
        mixed = windows.min((2, 3)) != windows.max((2, 3))
        assert (labels[mixed] == VOID).all()


def test_noise_and_blur_leave_the_labels_alone():
    still, labels = scene(2, **PLAIN)
    for options in ({"noise": 30.0, "blur": 0.0}, {"blur": 2.0, "noise": 0.0}):
        image, same = scene(2, ring=0, **options)
        np.testing.assert_array_equal(same, labels)
        assert np.abs(image.astype(int) - still).mean() > 1
    noisy = scene(2, noise=10.0, blur=0.0, ring=0, objects=0, wires=0)[0].astype(float)
    quiet = scene(2, noise=0.0, blur=0.0, ring=0, objects=0, wires=0)[0].astype(float)
    assert (noisy - quiet).std() == pytest.approx(10, rel=0.1)


def test_objects_have_the_sizes_asked_for():
    for size in (0.1, 0.4):
        areas = [(scene(i, objects=1, wires=0, smallest=size, largest=size, ring=0)[1] > 0).sum() for i in range(40)]
        # A square twice as wide as the radius, 1.6 times as long at most.
        assert max(areas) <= (2 * size * 65 + 2) ** 2 * 1.7
        assert max(areas) >= (2 * size * 65 - 2) ** 2 * 0.7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 4}, "size"),
        ({"objects": -1}, "objects must be"),
        ({"wires": 1.5}, "wires must be an integer"),
        ({"noise": -1}, "noise must be"),
        ({"blur": float("nan")}, "blur must be"),
        ({"wire_width": 3.0}, "wire_width must be a tuple of 2 finite numbers"),
        ({"wire_width": (3.0, 2.0)}, "the least first, got"),
        ({"smallest": 0.5, "largest": 0.2}, "smallest ≤ largest"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ParameterError, match=message):
        make_scene(np.random.default_rng(0), **options)


def test_scenes_end():
    scenes = Scenes(2)
    with pytest.raises(IndexError, match="there are 2 scenes, got number 2"):
        scenes[2]
    assert len(list(scenes)) == 2
