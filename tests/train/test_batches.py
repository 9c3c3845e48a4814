"""Batches: the same for the same seed, epoch and sample, whoever makes them and wherever the iteration begins."""

import threading
import time

import numpy as np
import pytest

from atrous import augment, batches, epoch_order
from atrous.errors import ParameterError, ShapeError


def samples(count, rng):
    return [(rng.integers(0, 255, (9, 9, 3)).astype(np.uint8), rng.integers(0, 3, (9, 9))) for _ in range(count)]


def change(image, labels, rng):
    return augment(image, labels, rng, crop=7)


def equal(one, other):
    one, other = list(one), list(other)
    assert [b.samples for b in one] == [b.samples for b in other]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)


def test_an_epoch_holds_every_sample_once(rng):
    found = list(batches(samples(11, rng), 3, seed=1))
    used = [i for batch in found for i in batch.samples]
    assert len(found) == 3
    assert len(set(used)) == 9
    assert used == epoch_order(11, 1, 0).tolist()[:9]
    assert found[0].images.shape == (3, 9, 9, 3)
    assert found[0].images.dtype == np.float32


def test_order_and_changes_depend_on_seed_epoch_and_sample_alone(rng):
    data = samples(8, rng)
    for epoch in (0, 3):
        options = {"seed": 7, "epoch": epoch, "change": change}
        whole = list(batches(data, 2, **options))
        equal(whole, batches(data, 2, **options, ahead=0))
        equal(whole, batches(data, 2, **options, ahead=9))
        equal(whole[2:], batches(data, 2, **options, first=2))
    assert epoch_order(8, 7, 0).tolist() != epoch_order(8, 7, 3).tolist() != epoch_order(8, 8, 3).tolist()


def test_what_is_drawn_for_a_sample_does_not_depend_on_its_batch(rng):
    data = samples(6, rng)
    by_sample = [
        {
            i: images
            for batch in batches(data, size, seed=2, change=change)
            for i, images in zip(batch.samples, batch.images, strict=True)
        }
        for size in (1, 3)
    ]
    for i, image in by_sample[1].items():
        np.testing.assert_array_equal(by_sample[0][i], image)


def test_every_sample_and_epoch_has_draws_of_its_own(rng):
    data, seen = samples(6, rng), []
    for epoch in (0, 1):
        options = {"seed": 2, "epoch": epoch, "ahead": 0}
        list(batches(data, 2, **options, change=lambda i, lab, own: (seen.append(own.random()), (i, lab))[1]))
    assert len(set(seen)) == 12


class Slow:
    """Samples that count how often they are asked for."""

    def __init__(self, fails=None):
        self.asked, self.fails = 0, fails

    def __len__(self):
        return 100

    def __getitem__(self, i):
        self.asked += 1
        if self.asked == self.fails:
            raise OSError("broken.png cannot be read")
        return np.zeros((2, 2, 3)), np.zeros((2, 2), int)


def test_a_thread_works_ahead_but_not_too_far():
    data = Slow()
    found = batches(data, 1, ahead=3)
    next(found)
    time.sleep(0.3)
    assert data.asked == 1 + 3 + 1  # given, in the queue, and one that waits for room
    found.close()


def test_leaving_early_ends_the_thread():
    before = threading.active_count()
    for _ in batches(Slow(), 1):
        break
    found = batches(Slow(), 1)
    next(found)
    found.close()
    assert threading.active_count() == before


def test_an_error_is_raised_where_its_batch_would_have_come():
    for ahead in (0, 2):
        found = batches(Slow(fails=3), 1, ahead=ahead)
        next(found)
        next(found)
        with pytest.raises(OSError, match=r"broken\.png"):
            next(found)


def test_nothing_starts_before_the_first_batch_is_asked_for():
    before, data = threading.active_count(), Slow()
    found = batches(data, 1)
    assert (threading.active_count(), data.asked) == (before, 0)
    found.close()


def test_bad_arguments(rng):
    data = samples(3, rng)
    with pytest.raises(ParameterError, match="a batch of size 4 needs as many samples, got 3"):
        batches(data, 4)
    with pytest.raises(ParameterError, match="size must be"):
        batches(data, 0)
    data[1] = (np.zeros((8, 9, 3)), np.zeros((8, 9), int))
    with pytest.raises(ShapeError, match="must have one size"):
        list(batches(data, 3))
