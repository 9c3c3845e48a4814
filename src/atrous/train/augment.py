"""Random scaling, mirroring and cropping of an image with its labels, as in DeepLab's papers.

    scale     image bilinearly, labels by nearest neighbour, one factor for both; corner samples coincide
    mirror    left and right exchanged in every second sample
    crop      a square at a random place; where the image is too small, its mean colour and the void label fill it up

The labels of what is filled up are ignored by the loss, so a network sees no made-up truth.

Role: public functions. The random generator is an argument: the same generator, the same sample.

References
----------
DeepLab v1, arXiv:1412.7062 (crops of 321, mirroring); DeepLab v2, arXiv:1606.00915, Section 4 (scales from 0.5 to 1.5);
DeepLab v3, arXiv:1706.05587, Section 4.1 (crops of 513, scales from 0.5 to 2.0).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.errors import ParameterError, ShapeError
from atrous.layers.resize import resize_bilinear, resize_labels

VOID = 255
SCALES = tuple(0.5 + 0.25 * i for i in range(7))
MEAN = (123.0, 117.0, 104.0)


def _pair(owner, image, labels):
    image, labels = np.asarray(image), np.asarray(labels)
    if image.ndim != 3 or image.shape[2] != 3 or labels.shape != image.shape[:2]:
        raise ShapeError(
            f"{owner}: image must be (H, W, 3) and labels (H, W) of the same size, got {image.shape} and "
            f"{labels.shape}."
        )
    return image.astype(np.float32, copy=False), labels


@public
def scale_pair(image: Array, labels: Array, factor: float) -> tuple[FloatArray, Array]:
    """Resize an image and its labels by one factor.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3)
        Levels of red, green and blue.
    labels : ndarray of shape (H, W)
        Integers.
    factor : float
        An axis of n pixels gets ⌊factor·(n − 1)⌋ + 1, so that a step between pixels stays the same everywhere.

    Returns
    -------
    image : ndarray of shape (H', W', 3)
        float32.
    labels : ndarray of shape (H', W')
        Labels are never mixed.

    Raises
    ------
    ShapeError, ParameterError
        The sizes differ, or `factor` is not positive.

    Examples
    --------
    >>> scale_pair(np.zeros((5, 9, 3)), np.zeros((5, 9), int), 0.5)[0].shape
    (3, 5, 3)
    """
    owner = "scale_pair"
    image, labels = _pair(owner, image, labels)
    factor = _check.number(owner, "factor", factor, above=0, below=_check.LIMIT)
    size = tuple(int(factor * (n - 1)) + 1 for n in labels.shape)
    _check.small_enough(owner, "the result of this factor,", (*size, 3))
    if size == labels.shape:
        return image, labels
    planes = resize_bilinear(np.ascontiguousarray(image.transpose(2, 0, 1)), size)
    return planes.transpose(1, 2, 0), resize_labels(labels, size)


@public
def crop_pair(
    image: Array,
    labels: Array,
    size: int | Sequence[int],
    rng: np.random.Generator,
    *,
    mean: Sequence[float] = MEAN,
    ignore: int = VOID,
) -> tuple[FloatArray, Array]:
    """Cut a window of a fixed size at a random place, filling up what is missing at the right and at the bottom.

    Parameters
    ----------
    image, labels
        As for `scale_pair`.
    size : int or (int, int)
        Rows and columns to return.
    rng : numpy.random.Generator
        Draws the place.
    mean : sequence of 3 floats
        Colour of missing pixels; after the network's preparation it is zero.
    ignore : int, default 255
        Label of missing pixels.

    Returns
    -------
    image : ndarray of shape (*size, 3)
        float32.
    labels : ndarray of shape size

    Raises
    ------
    ShapeError, ParameterError
        The sizes differ, or `size` is below 1.

    Examples
    --------
    >>> _, labels = crop_pair(np.zeros((2, 2, 3)), np.zeros((2, 2), int), (2, 3), np.random.default_rng(0))
    >>> labels
    array([[  0,   0, 255],
           [  0,   0, 255]])
    """
    owner = "crop_pair"
    image, labels = _pair(owner, image, labels)
    high, wide = _check.per_axis(owner, "size", size, 2, least=1)
    _check.small_enough(owner, "the window of this size,", (high, wide, 3))
    if np.shape(mean) != (3,):
        raise ParameterError(f"{owner}: mean must be 3 numbers, one for each colour, got {mean!r}.")
    if not np.iinfo(labels.dtype).min <= ignore <= np.iinfo(labels.dtype).max:
        raise ParameterError(f"{owner}: ignore={ignore} does not fit into labels of {labels.dtype}.")
    top, left = (int(rng.integers(0, max(0, n - m) + 1)) for n, m in zip(labels.shape, (high, wide), strict=True))
    part = image[top : top + high, left : left + wide]
    found = np.empty((high, wide, 3), np.float32)
    found[:] = mean
    found[: part.shape[0], : part.shape[1]] = part
    kept = np.full((high, wide), ignore, labels.dtype)
    kept[: part.shape[0], : part.shape[1]] = labels[top : top + high, left : left + wide]
    return found, kept


@public
def augment(
    image: Array,
    labels: Array,
    rng: np.random.Generator,
    *,
    crop: int | Sequence[int] | None = 513,
    scales: Sequence[float] = SCALES,
    mirror: bool = True,
    mean: Sequence[float] = MEAN,
    ignore: int = VOID,
) -> tuple[FloatArray, Array]:
    """Scale, mirror and crop an image with its labels, each at random.

    Parameters
    ----------
    image, labels
        As for `scale_pair`.
    rng : numpy.random.Generator
        Draws the factor, whether to mirror, and the place, in this order and each time all of them.
    crop : int or (int, int) or None, default 513
        Size of the result; None keeps the whole image.
    scales : sequence of float
        Factors to choose from, by default 0.5, 0.75, … 2.0 as for v3; () leaves the size as it is.
    mirror : bool, default True
        Whether to exchange left and right in half of the samples.
    mean, ignore
        As for `crop_pair`.

    Returns
    -------
    image : ndarray of shape (H', W', 3)
        float32.
    labels : ndarray of shape (H', W')

    Raises
    ------
    ShapeError, ParameterError
        As for `scale_pair` and `crop_pair`.

    Examples
    --------
    >>> image, labels = augment(np.zeros((60, 80, 3)), np.zeros((60, 80), int), np.random.default_rng(0), crop=33)
    >>> image.shape, labels.shape
    ((33, 33, 3), (33, 33))
    """
    image, labels = _pair("augment", image, labels)
    if crop is not None:
        crop = _check.per_axis("augment", "crop", crop, 2, least=1)
        _check.small_enough("augment", "a crop", (*crop, 3))
    for i, scale in enumerate(scales):
        _check.number("augment", f"scales[{i}]", scale, above=0, below=1e4)
    chosen, turned = rng.random(), rng.random() < 0.5
    if len(scales):
        image, labels = scale_pair(image, labels, scales[int(chosen * len(scales))])
    if mirror and turned:
        image, labels = image[:, ::-1], labels[:, ::-1]
    if crop is not None:
        return crop_pair(image, labels, crop, rng, mean=mean, ignore=ignore)
    return np.ascontiguousarray(image), np.ascontiguousarray(labels)
