"""Batches of samples in a random order, made on a thread while the network computes.

The order of an epoch depends on the seed and the epoch alone, and what is done to a sample on the seed, the epoch and
the sample alone: not on threads, nor on where the iteration began. So a training that is resumed at batch 17 sees what
it would have seen.

Role: public functions.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.errors import ParameterError, ShapeError


class Batch(NamedTuple):
    """Samples of one size, stacked."""

    images: FloatArray
    """(N, H, W, 3), float32."""
    labels: Array
    """(N, H, W)."""
    samples: tuple[int, ...]
    """Which samples these are."""


@public
def epoch_order(count: int, seed: int, epoch: int) -> Array:
    """Return the order of the samples in an epoch.

    Parameters
    ----------
    count : int
        How many samples there are.
    seed, epoch : int
        The order depends on these alone.

    Returns
    -------
    ndarray of shape (count,)
        0 to count − 1, each once.

    Examples
    --------
    >>> sorted(epoch_order(4, seed=0, epoch=1).tolist())
    [0, 1, 2, 3]
    """
    seed, epoch = (_check.integer("epoch_order", name, n, least=0) for name, n in (("seed", seed), ("epoch", epoch)))
    return np.random.default_rng([seed, epoch]).permutation(count)


def _batch(samples, chosen, seed, epoch, change):
    pairs = []
    for index in chosen:
        image, labels = samples[int(index)]
        if np.ndim(image) != 3 or np.ndim(labels) != 2:
            raise ShapeError(
                f"batches: samples must be pairs of an image (H, W, 3) and labels (H, W), got {np.shape(image)} and "
                f"{np.shape(labels)}."
            )
        if change is not None:
            image, labels = change(image, labels, np.random.default_rng([seed, epoch, int(index)]))
        pairs.append((np.asarray(image, np.float32), np.asarray(labels)))
    sizes = {labels.shape for _, labels in pairs}
    if len(sizes) > 1:
        raise ShapeError(
            f"batches: the samples of a batch must have one size, got {sorted(sizes)}. Crop them (`augment`), or take "
            "batches of 1."
        )
    return Batch(np.stack([i for i, _ in pairs]), np.stack([lab for _, lab in pairs]), tuple(map(int, chosen)))


@public
def batches(
    samples: Sequence[tuple[Array, Array]],
    size: int,
    *,
    seed: int = 0,
    epoch: int = 0,
    first: int = 0,
    change: Callable[[Array, Array, np.random.Generator], tuple[Array, Array]] | None = None,
    ahead: int = 2,
) -> Iterator[Batch]:
    """Return an iterator over the batches of one epoch.

    Parameters
    ----------
    samples : sequence of (image, labels)
        Anything with a length and items: a list, or an object that reads or draws sample i when asked for it.
    size : int
        Samples of a batch. What is left at the end of an epoch is left out.
    seed, epoch : int
        They fix the order, and with the number of a sample what `change` draws for it.
    first : int, default 0
        The batch to begin with.
    change : callable, optional
        ``change(image, labels, rng)`` returns the pair to train on, such as `augment` with its options.
    ahead : int, default 2
        Batches that a thread prepares in advance; 0 does without a thread.

    Returns
    -------
    iterator of Batch
        (images, labels, samples) each.

    Raises
    ------
    ParameterError
        A number is out of range, or there are fewer samples than a batch has.
    ShapeError
        Samples of a batch differ in size.

    Notes
    -----
    Memory: at most ``ahead + 2`` batches. An error in `samples` or `change` is raised where the batch would have come.
    When the iteration is left early, the thread ends after the batch it is making.

    Examples
    --------
    >>> samples = [(np.full((2, 2, 3), i), np.full((2, 2), i)) for i in range(5)]
    >>> [batch.images.shape for batch in batches(samples, 2)]
    [(2, 2, 2, 3), (2, 2, 2, 3)]
    """
    owner = "batches"
    size, ahead = _check.integer(owner, "size", size, least=1), _check.integer(owner, "ahead", ahead, least=0)
    seed, epoch = _check.integer(owner, "seed", seed, least=0), _check.integer(owner, "epoch", epoch, least=0)
    first = _check.integer(owner, "first", first, least=0)
    if len(samples) < size:
        raise ParameterError(f"{owner}: a batch of size {size} needs as many samples, got {len(samples)}.")
    order = epoch_order(len(samples), seed, epoch)
    parts = [order[i : i + size] for i in range(first * size, len(order) - size + 1, size)]
    made = (_batch(samples, part, seed, epoch, change) for part in parts)
    return _ahead(made, ahead) if ahead else made


def _ahead(made: Iterator[Any], count: int) -> Iterator[Any]:
    """Give what an iterator gives, made by a thread up to `count` items in advance."""
    full, left = queue.Queue(count), threading.Event()

    def put(item):
        while not left.is_set():
            try:
                full.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def work():
        try:
            for item in made:
                put((item, None))
                if left.is_set():
                    return
        except BaseException as error:  # raised again by whoever iterates
            put((None, error))
        else:
            put((None, StopIteration()))

    thread = threading.Thread(target=work, name="atrous batches", daemon=True)

    def items():
        thread.start()
        try:
            while True:
                item, error = full.get()
                if isinstance(error, StopIteration):
                    return
                if error is not None:
                    raise error
                yield item
        finally:
            left.set()
            thread.join()

    return items()
