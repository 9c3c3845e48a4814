"""How good a segmentation is: the confusion matrix and the measures computed from it.

    pixel accuracy    Σ_c m[c, c] / Σ m
    accuracy of c     m[c, c] / Σ_j m[c, j]
    IoU of c          m[c, c] / (Σ_j m[c, j] + Σ_i m[i, c] − m[c, c])

For a set of images, add their confusion matrices first: the PASCAL VOC measure is the mean over the classes of the IoU
on the whole set, not a mean over images.

Role: public functions, NumPy only.

References
----------
Everingham et al., The PASCAL Visual Object Classes Challenge: A Retrospective, IJCV 111(1), 2015, Section 3.4.
"""

from __future__ import annotations

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array
from atrous.errors import DTypeError, ParameterError, ShapeError


def _labels(owner, name, value):
    """Return `value` as an int64 array with at least one element."""
    array = np.asarray(value)
    if array.size == 0:
        raise ShapeError(f"{owner}: {name} is empty, shape {array.shape}. Every axis needs at least one element.")
    if array.dtype.kind not in "iub":
        raise DTypeError(
            f"{owner}: {name} must hold integer labels, got {array.dtype}. "
            "Take the best class of scores first: scores.argmax(axis=0)."
        )
    if array.dtype == np.uint64:
        array = np.minimum(array, np.uint64(np.iinfo(np.int64).max))
    return array.astype(np.int64, copy=False)


@public
def confusion_matrix(prediction: Array, target: Array, classes: int, *, ignore: int | None = 255) -> Array:
    """Count, for each pair of classes, the pixels of the first that are labelled as the second.

    Parameters
    ----------
    prediction : ndarray of any shape
        Integer labels 0 to classes - 1; any value where the target is ignored.
    target : ndarray of the shape of `prediction`
        The truth: integer labels 0 to classes - 1, or `ignore`.
    classes : int
        Number of classes.
    ignore : int or None, default 255
        Target label of pixels that are not counted (255 is PASCAL VOC's void); None counts every pixel.

    Returns
    -------
    ndarray of shape (classes, classes)
        int64; element [t, p] counts the pixels of class t labelled p. Add the matrices of several images.

    Raises
    ------
    ShapeError
        The shapes differ, or an array is empty.
    DTypeError
        Labels are not integers.
    ParameterError
        The label of a counted pixel is outside 0 to classes - 1, or `classes` is below 1.

    Notes
    -----
    Cost: a few passes over the pixels, each with 8 bytes per pixel; 8·classes² bytes for the result.

    Examples
    --------
    >>> confusion_matrix(np.array([0, 1, 1, 1]), np.array([0, 1, 0, 255]), 2)
    array([[1, 1],
           [0, 1]])
    """
    owner = "confusion_matrix"
    prediction, target = _labels(owner, "prediction", prediction), _labels(owner, "target", target)
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{owner}: prediction and target must have the same shape, got {prediction.shape} and {target.shape}."
        )
    classes = _check.integer(owner, "classes", classes, least=1)
    _check.small_enough(owner, "the matrix", (classes, classes))
    if ignore is not None:
        counted = target != _check.integer(owner, "ignore", ignore, least=-_check.LIMIT)
        prediction, target = prediction[counted], target[counted]
    if ignore is not None and not 0 <= ignore < classes and (prediction == ignore).any():
        raise ParameterError(
            f"{owner}: prediction is {ignore} at a counted pixel, but only the target may hold {ignore}, the label to "
            "ignore. The prediction comes first: confusion_matrix(prediction, target, classes)."
        )
    for name, array in (("prediction", prediction), ("target", target)):
        outside = (array < 0) | (array >= classes)
        if outside.any():
            raise ParameterError(
                f"{owner}: {name} must be 0 to {classes - 1} at every counted pixel, got {array[outside][0]}. "
                f"Increase classes, or pass the label to leave out as ignore (now {ignore})."
            )
    pairs = np.bincount((target * classes + prediction).ravel(), minlength=classes * classes)
    return pairs.reshape(classes, classes)


def _matrix(owner, matrix):
    """Return a confusion matrix as float64 after checking it."""
    array = np.asarray(matrix)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise ShapeError(f"{owner}: matrix must be (classes, classes), from confusion_matrix, got shape {array.shape}.")
    if array.dtype.kind not in "iuf":
        raise DTypeError(f"{owner}: matrix must hold counts, got {array.dtype}. Take it from confusion_matrix.")
    if not (np.isfinite(array).all() and array.min() >= 0):
        raise ParameterError(f"{owner}: matrix must hold counts, finite and nonnegative, got {array.min()}.")
    return array.astype(np.float64)


@public
def pixel_accuracy(matrix: Array) -> float:
    """Return the share of pixels with the right label.

    Parameters
    ----------
    matrix : ndarray of shape (classes, classes)
        From `confusion_matrix`, or a sum of several.

    Returns
    -------
    float
        Between 0 and 1; NaN if the matrix counts no pixel.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        `matrix` is not square, not numeric, negative or not finite.

    Examples
    --------
    >>> pixel_accuracy(np.array([[3, 1], [0, 4]]))
    0.875
    """
    matrix = _matrix("pixel_accuracy", matrix)
    total = matrix.sum()
    return float(np.trace(matrix) / total) if total else float("nan")


def _iou(matrix):
    both = np.diagonal(matrix)
    either = matrix.sum(axis=0) + matrix.sum(axis=1) - both
    return np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)


@public
def class_iou(matrix: Array) -> Array:
    """Return each class's intersection over union: pixels of it and labelled as it, over pixels that are either.

    Parameters
    ----------
    matrix : ndarray of shape (classes, classes)
        From `confusion_matrix`, or a sum of several.

    Returns
    -------
    ndarray of shape (classes,)
        float64 between 0 and 1; NaN for a class in neither prediction nor target.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `pixel_accuracy`.

    Examples
    --------
    >>> class_iou(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    array([0.75, 0.8 ,  nan])
    """
    return _iou(_matrix("class_iou", matrix))


@public
def mean_iou(matrix: Array) -> float:
    """Return the mean of `class_iou` over the classes that occur in prediction or target.

    Parameters
    ----------
    matrix : ndarray of shape (classes, classes)
        From `confusion_matrix`, or a sum of several.

    Returns
    -------
    float
        Between 0 and 1; NaN if the matrix counts no pixel.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `pixel_accuracy`.

    Examples
    --------
    >>> mean_iou(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    0.775
    """
    iou = _iou(_matrix("mean_iou", matrix))
    found = iou[~np.isnan(iou)]
    return float(found.mean()) if found.size else float("nan")


@public
def class_accuracy(matrix: Array) -> Array:
    """Return the share of each class's pixels that are labelled as it.

    Parameters
    ----------
    matrix : ndarray of shape (classes, classes)
        From `confusion_matrix`, or a sum of several.

    Returns
    -------
    ndarray of shape (classes,)
        float64 between 0 and 1; NaN for a class that the target does not have. Their `np.nanmean` is the mean class
        accuracy.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `pixel_accuracy`.

    Examples
    --------
    >>> class_accuracy(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    array([0.75, 1.  ,  nan])
    """
    matrix = _matrix("class_accuracy", matrix)
    pixels = matrix.sum(axis=1)
    return np.divide(np.diagonal(matrix), pixels, out=np.full(len(pixels), np.nan), where=pixels > 0)


@public
def frequency_weighted_iou(matrix: Array) -> float:
    """Return the mean of `class_iou` weighted by how many pixels each class has in the target.

    Parameters
    ----------
    matrix : ndarray of shape (classes, classes)
        From `confusion_matrix`, or a sum of several.

    Returns
    -------
    float
        Between 0 and 1; NaN if the matrix counts no pixel.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `pixel_accuracy`.

    Examples
    --------
    >>> frequency_weighted_iou(np.array([[3, 1], [0, 4]]))
    0.775
    """
    matrix = _matrix("frequency_weighted_iou", matrix)
    pixels = matrix.sum(axis=1)
    counted = pixels > 0
    return float((_iou(matrix)[counted] * pixels[counted]).sum() / pixels.sum()) if counted.any() else float("nan")
