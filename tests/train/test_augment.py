"""Augmentation: image and labels stay together, nothing is made up, and the generator decides everything."""

import numpy as np
import pytest

from atrous import augment, crop_pair, scale_pair
from atrous.errors import ParameterError, ShapeError
from atrous.train.augment import SCALES


def sample(rng, high=21, wide=33):
    """Return an image whose red channel is its label, so that any shift between the two would show."""
    labels = rng.integers(0, 200, (high, wide)).astype(np.uint8)
    image = np.stack([labels, rng.integers(0, 255, labels.shape), np.zeros(labels.shape)], axis=-1).astype(np.uint8)
    return image, labels


@pytest.mark.parametrize("factor", [0.5, 0.75, 1.0, 1.25, 2.0])
def test_sizes_are_those_of_deeplab(factor, rng):
    image, labels = scale_pair(*sample(rng), factor)
    assert labels.shape == (int(20 * factor) + 1, int(32 * factor) + 1) == image.shape[:2]
    assert image.dtype == np.float32


def test_scaling_keeps_corners_and_never_mixes_labels(rng):
    image, labels = sample(rng)
    for factor in SCALES:
        large, kept = scale_pair(image, labels, factor)
        assert set(np.unique(kept)) <= set(np.unique(labels))
        for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
            if factor in (0.5, 1.0, 2.0):
                np.testing.assert_allclose(large[corner], image[corner], atol=1e-4)
                assert kept[corner] == labels[corner]


def test_doubling_keeps_every_pixel(rng):
    image, labels = sample(rng)
    large, kept = scale_pair(image, labels, 2.0)
    np.testing.assert_array_equal(kept[::2, ::2], labels)
    np.testing.assert_allclose(large[::2, ::2], image, atol=1e-3)
    np.testing.assert_allclose(large[1::2, ::2], (image[:-1].astype(float) + image[1:]) / 2, atol=1e-3)


def test_crops_are_windows(rng):
    image, labels = sample(rng)
    seen = set()
    for _ in range(200):
        part, kept = crop_pair(image, labels, (5, 7), rng)
        np.testing.assert_array_equal(part[..., 0], kept)
        places = [(i, j) for i in range(17) for j in range(27) if np.array_equal(labels[i : i + 5, j : j + 7], kept)]
        assert len(places) == 1
        seen.update(places)
    assert {i for i, _ in seen} == set(range(17))
    assert {j for _, j in seen} == set(range(27))


def test_what_is_missing_has_the_mean_colour_and_no_label(rng):
    image, labels = sample(rng, 4, 9)
    part, kept = crop_pair(image, labels, 6, rng, mean=(1.0, 2.0, 3.0))
    np.testing.assert_array_equal(part[4:], np.broadcast_to([1.0, 2.0, 3.0], (2, 6, 3)))
    assert (kept[4:] == 255).all()
    np.testing.assert_array_equal(part[:4, :, 0], kept[:4])


def test_augment_moves_image_and_labels_alike(rng):
    image, labels = sample(rng)
    mirrored = 0
    for seed in range(40):
        part, kept = augment(image, labels, np.random.default_rng(seed), crop=None, scales=())
        np.testing.assert_array_equal(part[..., 0], kept)
        mirrored += np.array_equal(kept, labels[:, ::-1])
        assert np.array_equal(kept, labels) or np.array_equal(kept, labels[:, ::-1])
    assert 10 < mirrored < 30
    part, kept = augment(image, labels, rng, crop=(30, 50))
    assert (part.shape, kept.shape) == ((30, 50, 3), (30, 50))


def test_every_scale_is_drawn(rng):
    image, labels = sample(rng)
    sizes = {augment(image, labels, rng, crop=None)[1].shape for _ in range(300)}
    assert sizes == {(int(20 * s) + 1, int(32 * s) + 1) for s in SCALES}


def test_the_generator_decides_and_options_do_not_shift_its_draws(rng):
    image, labels = sample(rng)
    one, two = (augment(image, labels, np.random.default_rng(5), crop=9) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    plain, turned = (
        augment(image, labels, np.random.default_rng(5), crop=9, scales=(), mirror=m)[1] for m in (False, True)
    )
    assert any(np.array_equal(plain, labels[i : i + 9, j : j + 9]) for i in range(13) for j in range(25))
    assert turned.shape == plain.shape


def test_arguments_are_left_alone(rng):
    image, labels = sample(rng)
    before = image.copy(), labels.copy()
    image.flags.writeable = labels.flags.writeable = False
    augment(image, labels, rng, crop=9)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_bad_arguments(rng):
    image, labels = sample(rng)
    with pytest.raises(ShapeError, match=r"\(H, W, 3\)"):
        augment(image[..., :2], labels, rng)
    with pytest.raises(ShapeError, match="same size"):
        augment(image[1:], labels, rng)
    with pytest.raises(ParameterError, match="factor"):
        scale_pair(image, labels, 0.0)
    with pytest.raises(ParameterError, match="ignore=-1 does not fit into labels of uint8"):
        crop_pair(image, labels, 5, rng, ignore=-1)
