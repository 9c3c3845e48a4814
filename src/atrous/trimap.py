"""Accuracy near the boundaries: only pixels in a band around the unlabelled ring between objects are counted.

PASCAL VOC leaves a ring of void pixels (255) along every object. The band of width w is what lies within w pixels of
that ring, in rows and in columns, and is labelled itself:

    · · · · 255 · · · ·        w = 2:   · · b b 255 b b · ·

A curve of the mean IoU over w shows how exactly boundaries are met, which a mean over whole images hides: most pixels
are far from any boundary. An image without void pixels has no band.

Role: public functions, NumPy only.

References
----------
Krähenbühl and Koltun, Efficient Inference in Fully Connected CRFs, NIPS 2011, Section 5; Chen et al., DeepLab v1,
arXiv:1412.7062, Figure 5; DeepLab v2, arXiv:1606.00915, Figure 10. The square band and one count over all images
follow the script that DeepLab released.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array
from atrous.errors import ParameterError, ShapeError
from atrous.metrics import confusion_matrix, mean_iou


def _near(found, width, axis):
    """Tell which samples have one that is `found` within `width` samples along an axis."""
    n = found.shape[axis]
    counts = np.cumsum(found, axis=axis, dtype=np.int32)
    after = np.take(counts, np.minimum(np.arange(n) + width, n - 1), axis=axis)
    before = np.take(counts, np.maximum(np.arange(n) - width - 1, 0), axis=axis)
    first = np.arange(n) - width - 1 < 0
    before[(slice(None),) * axis + (first,)] = 0
    return after > before


@public
def trimap_band(target: Array, width: int, *, ignore: int = 255) -> Array:
    """Return which pixels are labelled and within `width` pixels of an unlabelled one.

    Parameters
    ----------
    target : ndarray of shape (..., H, W)
        Labels; `ignore` where there is none.
    width : int
        Largest distance along rows and along columns; the band is `width` pixels wide on each side of the ring.
    ignore : int, default 255
        The label of void pixels.

    Returns
    -------
    ndarray of bool of the shape of `target`

    Raises
    ------
    ShapeError
        `target` has fewer than two axes.
    ParameterError
        `width` is below 1.

    Notes
    -----
    Cost: a few passes over the pixels, whatever the width.

    Examples
    --------
    >>> trimap_band(np.array([[0, 0, 0, 255, 1, 1]]), 2).astype(int)
    array([[0, 1, 1, 0, 1, 1]])
    """
    owner = "trimap_band"
    target = np.asarray(target)
    if target.ndim < 2:
        raise ShapeError(f"{owner}: target must be (..., H, W), got shape {target.shape}.")
    width = _check.integer(owner, "width", width, least=1)
    void = target == ignore
    return _near(_near(void, width, void.ndim - 1), width, void.ndim - 2) & ~void


@public
def trimap_confusion(
    prediction: Array, target: Array, classes: int, widths: Sequence[int], *, ignore: int = 255
) -> Array:
    """Return the confusion matrix within each band; add those of several images.

    Parameters
    ----------
    prediction, target, classes, ignore
        As for `confusion_matrix`, with two axes or more.
    widths : sequence of int
        Widths of the bands in pixels; DeepLab draws 1 to 40.

    Returns
    -------
    ndarray of shape (len(widths), classes, classes)
        int64.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `confusion_matrix` and `trimap_band`; also if there are no widths.

    Examples
    --------
    >>> target = np.array([[0, 0, 0, 255, 1, 1]])
    >>> trimap_confusion(np.array([[0, 0, 1, 1, 1, 1]]), target, 2, [1, 3])[:, 0]
    array([[0, 1],
           [2, 1]])
    """
    owner = "trimap_confusion"
    if not len(widths):
        raise ParameterError(f"{owner}: widths is empty. Name at least one, such as [1, 5, 10].")
    target = np.asarray(target)
    found = []
    for width in widths:
        band = trimap_band(target, width, ignore=ignore)
        found.append(confusion_matrix(prediction, np.where(band, target, ignore), classes, ignore=ignore))
    return np.stack(found)


@public
def trimap_iou(prediction: Array, target: Array, classes: int, widths: Sequence[int], ignore: int = 255) -> Array:
    """Return the mean IoU within each band.

    Parameters
    ----------
    prediction, target, classes, widths, ignore
        As for `trimap_confusion`. Several images are one array (N, H, W), or are counted by `trimap_confusion` first.

    Returns
    -------
    ndarray of shape (len(widths),)
        float64; NaN where the band is empty.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `trimap_confusion`.

    Examples
    --------
    >>> target = np.array([[0, 0, 0, 255, 1, 1]])
    >>> trimap_iou(np.array([[0, 0, 1, 1, 1, 1]]), target, 2, [1, 3])
    array([0.25      , 0.66666667])
    """
    return np.array([mean_iou(m) for m in trimap_confusion(prediction, target, classes, widths, ignore=ignore)])
