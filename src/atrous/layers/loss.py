"""Cross-entropy between scores and a map of labels, also where the two differ in size.

    L = Σ_i w[t_i]·(log Σ_c exp x[c, i] − x[t_i, i]) / Σ_i w[t_i]        over the i that are not ignored
    dx[c, i] = (softmax(x)[c, i] − [c = t_i])·w[t_i] / Σ_i w[t_i]

At output stride 8, scores have an eighth of the size of the labels. DeepLab v1 and v2 sub-sample the labels; v3 and v3+
enlarge the scores, because small objects vanish from sub-sampled labels.

Role: public functions. The backward passes recompute the softmax and the enlarged scores instead of storing them.

References
----------
Chen et al., DeepLab v1, arXiv:1412.7062, Section 3.2; DeepLab v3, arXiv:1706.05587, Section 4.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.errors import DTypeError, ParameterError, ShapeError
from atrous.layers.resize import ResizeCache, bilinear_backward, bilinear_forward, resize_labels
from atrous.layers.softmax import less_maximum


class CrossEntropyCache(NamedTuple):
    """What `cross_entropy_backward` needs: references to logits and labels, the classes' weights and their total."""

    logits: FloatArray
    labels: Array
    ignore: int | None
    weights: FloatArray
    total: float


class Passes(NamedTuple):
    """The functions of arrays that the loss consists of; `training_loss` has compiled ones."""

    losses: Callable[..., float]
    """Σ share·(log Σ exp x − x[label]) of (x, labels, share, counted) where counted, in float64."""
    gradient: Callable[..., FloatArray]
    """(softmax(x) − [label])·share of the same where counted, else 0."""
    enlarge: Callable[..., tuple[FloatArray, ResizeCache]]
    shrink: Callable[..., FloatArray]


class SegmentationLossCache(NamedTuple):
    """What `segmentation_loss_backward` needs; `enlarged` is None if the labels were resized, else `align_corners`."""

    logits: FloatArray
    loss: CrossEntropyCache
    enlarged: bool | None


def _labels(owner, labels):
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iub":
        raise DTypeError(
            f"{owner}: labels must be integers, got {labels.dtype}. Convert them with labels.astype(np.int64)."
        )
    return labels


def _class_weights(owner, class_weights, logits):
    """Return one weight per class, 1 if none are given."""
    classes = logits.shape[1]
    if class_weights is None:
        return np.ones(classes, logits.dtype)
    weights = _check.real_array(owner, "class_weights", class_weights)
    if weights.shape != (classes,):
        raise ShapeError(
            f"{owner}: class_weights must have shape ({classes},), one number per class, got {weights.shape}."
        )
    if not (np.isfinite(weights).all() and weights.min() >= 0):
        raise ParameterError(f"{owner}: class_weights must be finite and not negative, got {weights.tolist()}.")
    return weights.astype(logits.dtype)


def _counted(labels, ignore):
    """Return a mask of the labels that are not ignored, and the labels with 0 in place of the ignored ones."""
    counted = np.full(labels.shape, True) if ignore is None else labels != ignore
    return counted, np.where(counted, labels, 0).astype(np.intp)


def _places(classes, count):
    """Return where the scores of these classes (N, *S) stand in an array (N, count, *S)."""
    size = classes[0].size
    image = np.arange(len(classes)).reshape(-1, *(1,) * (classes.ndim - 1))
    return (image * count + classes) * size + np.arange(size).reshape(classes.shape[1:])


def _losses(logits, classes, share, counted):
    with np.errstate(invalid="ignore", over="ignore"):
        scores = less_maximum(logits, 1)
        of_label = scores.reshape(-1)[_places(classes, scores.shape[1])]
        np.exp(scores, out=scores)
        terms = (np.log(scores.sum(axis=1)) - of_label) * share
        return float(terms.sum(where=counted, dtype=np.float64))


def _gradient(logits, classes, share, counted):
    with np.errstate(invalid="ignore", over="ignore"):
        dlogits = less_maximum(logits, 1)
        np.exp(dlogits, out=dlogits)
        dlogits /= dlogits.sum(axis=1, keepdims=True)
        dlogits.reshape(-1)[_places(classes, logits.shape[1])] -= 1
        dlogits *= share[:, None]
    np.copyto(dlogits, 0, where=~counted[:, None])
    return dlogits


PASSES = Passes(_losses, _gradient, bilinear_forward, bilinear_backward)


def _forward(owner, logits, labels, ignore, class_weights, passes):
    logits = _check.float_array(owner, "logits", logits, batch=True)
    labels = _labels(owner, labels)
    if logits.ndim < 2 or labels.ndim != logits.ndim - 1 or labels.shape[0] != logits.shape[0]:
        raise ShapeError(
            f"{owner}: logits must be (N, C, *S) and labels (N, *S), got {logits.shape} and {labels.shape}."
        )
    if labels.shape[1:] != logits.shape[2:]:
        raise ShapeError(
            f"{owner}: logits are {logits.shape[2:]} in size, labels {labels.shape[1:]}. Sub-sample the labels with "
            "resize_labels, or upsample the logits with bilinear_forward; segmentation_loss_forward does either."
        )
    if ignore is not None:
        ignore = _check.integer(owner, "ignore", ignore, least=-_check.LIMIT)
    weights = _class_weights(owner, class_weights, logits)
    counted, classes = _counted(labels, ignore)
    outside = (classes < 0) | (classes >= logits.shape[1])
    if outside.any():
        raise ParameterError(
            f"{owner}: labels must be 0 to {logits.shape[1] - 1} or ignored (ignore={ignore}), got "
            f"{labels[outside][0]}. Set ignore to the label to leave out, or give the logits more classes."
        )
    share = weights[classes]
    total = float(share.sum(where=counted, dtype=np.float64))
    loss = passes.losses(logits, classes, share, counted) / total if total else 0.0
    return loss, CrossEntropyCache(logits, labels, ignore, weights, total)


def _backward(owner, dloss, cache, passes):
    logits, labels, ignore, weights, total = cache
    dloss = _check.number(owner, "dloss", dloss)
    if not total:
        return np.zeros(logits.shape, logits.dtype)
    counted, classes = _counted(labels, ignore)
    with np.errstate(over="ignore"):
        share = weights[classes] * (dloss / total)
    return passes.gradient(logits, classes, share, counted)


@public
def cross_entropy_forward(
    logits: FloatArray, labels: Array, *, ignore: int | None = 255, class_weights: Array | None = None
) -> tuple[float, CrossEntropyCache]:
    """Return the mean of −log softmax(logits)[label] over the positions that are not ignored.

    Parameters
    ----------
    logits : ndarray of shape (N, C, *S)
        Scores, float32 or float64, any number of spatial axes. Never modified.
    labels : ndarray of shape (N, *S)
        Integers 0 to C - 1, or `ignore`.
    ignore : int or None, default 255
        Label of positions to ignore; 255 is PASCAL VOC's void. None: every position counts.
    class_weights : ndarray of shape (C,), optional
        Weight of each position by its label; the loss is the weighted mean, divided by the sum of the weights.

    Returns
    -------
    loss : float
        Summed in float64. 0.0 if all labels are ignored or have weight 0 (PyTorch gives NaN).
    cache : CrossEntropyCache
        References to `logits` and `labels`, and one number per class.

    Raises
    ------
    ShapeError
        Shapes that do not fit, or an empty array.
    DTypeError
        `logits` are not float32 or float64, `labels` not integers.
    ParameterError
        A label outside its range, or weights that are negative or not finite.

    Notes
    -----
    Cost: one copy of the logits and about four passes in each direction. Logits at ignored positions, even NaN, affect
    neither the loss nor the gradient.

    References
    ----------
    .. [1] Chen et al., DeepLab v1, arXiv:1412.7062, Section 3.2.

    Examples
    --------
    >>> loss, cache = cross_entropy_forward(np.log([[1.0, 3.0], [2.0, 2.0]]), np.array([1, 255]))
    >>> round(loss, 6) == round(float(np.log(4 / 3)), 6)
    True
    """
    return _forward("cross_entropy_forward", logits, labels, ignore, class_weights, PASSES)


@public
def cross_entropy_backward(dloss: float, cache: CrossEntropyCache) -> FloatArray:
    """Return dlogits of `cross_entropy_forward`.

    Parameters
    ----------
    dloss : float
        Gradient of the whole objective with respect to the loss; 1.0 if the loss is the objective.
    cache : CrossEntropyCache
        From `cross_entropy_forward`.

    Returns
    -------
    ndarray of shape (N, C, *S)
        dtype of the logits; 0 at ignored positions, and everywhere if no position counts.

    Raises
    ------
    ParameterError
        `dloss` is not a finite number, or `cache` is not from `cross_entropy_forward`.
    """
    owner = "cross_entropy_backward"
    return _backward(owner, dloss, cache, PASSES)


@public
def segmentation_loss_forward(
    logits: FloatArray,
    labels: Array,
    *,
    ignore: int | None = 255,
    resize: str = "labels",
    align_corners: bool = True,
    class_weights: Array | None = None,
) -> tuple[float, SegmentationLossCache]:
    """Return the cross-entropy of scores and labels that may differ in size.

    Parameters
    ----------
    logits : ndarray of shape (N, C, H, W)
        Scores, float32 or float64. Never modified.
    labels : ndarray of shape (N, *image)
        Integers 0 to C - 1, or `ignore`, on two spatial axes of any size.
    ignore, class_weights
        As for `cross_entropy_forward`.
    resize : {"labels", "logits"}
        "labels": resize the labels to the size of the logits, by nearest neighbour (DeepLab v1 and v2). "logits":
        resize the logits to the size of the labels, bilinearly (v3 and v3+).
    align_corners : bool, default True
        As for `resize_bilinear`.

    Returns
    -------
    loss : float
        As for `cross_entropy_forward`.
    cache : SegmentationLossCache
        References to the logits and to the labels at the size of the loss.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `cross_entropy_forward`; also an unknown `resize`, or `align_corners` that is not a bool.

    Notes
    -----
    Cost: as for `cross_entropy_forward`, at the size of the logits ("labels") or of the labels ("logits"). With
    "logits", each pass also makes one enlarged copy of the logits.

    References
    ----------
    .. [1] Chen et al., DeepLab v1, arXiv:1412.7062, Section 3.2; DeepLab v3, arXiv:1706.05587, Section 4.1.

    Examples
    --------
    >>> logits, labels = np.zeros((1, 2, 3, 3)), np.zeros((1, 17, 17), np.uint8)
    >>> for resize in ("labels", "logits"):
    ...     print(round(segmentation_loss_forward(logits, labels, resize=resize)[0], 6))
    0.693147
    0.693147
    """
    return segmentation_loss(logits, labels, ignore, resize, align_corners, class_weights, PASSES)


def segmentation_loss(logits, labels, ignore, resize, align_corners, class_weights, passes):
    """Return what `segmentation_loss_forward` does, by these passes."""
    owner = "segmentation_loss_forward"
    logits = _check.float_array(owner, "logits", logits, batch=True)
    labels = _labels(owner, labels)
    _check.one_of(owner, "resize", resize, ("labels", "logits"))
    if logits.ndim != 4 or labels.ndim != 3:
        raise ShapeError(
            f"{owner}: logits must be (N, C, H, W) and labels (N, H, W), got {logits.shape} and {labels.shape}."
        )
    enlarged, scores = None, logits
    if resize == "labels":
        labels = resize_labels(labels, logits.shape[2:], align_corners=align_corners)
    else:
        scores, resized = passes.enlarge(logits, labels.shape[1:], align_corners=align_corners)
        enlarged = resized.align_corners
    loss, cache = _forward(owner, scores, labels, ignore, class_weights, passes)
    return loss, SegmentationLossCache(logits, cache._replace(logits=None), enlarged)


@public
def segmentation_loss_backward(dloss: float, cache: SegmentationLossCache) -> FloatArray:
    """Return dlogits of `segmentation_loss_forward`, at the size of the logits; see `cross_entropy_backward`."""
    return segmentation_loss_gradient(dloss, cache, PASSES)


def segmentation_loss_gradient(dloss, cache, passes):
    """Return what `segmentation_loss_backward` does, by these passes."""
    owner = "segmentation_loss_backward"
    logits, loss, enlarged = cache
    if enlarged is None:
        return _backward(owner, dloss, loss._replace(logits=logits), passes)
    scores, resized = passes.enlarge(logits, loss.labels.shape[1:], align_corners=enlarged)
    return passes.shrink(_backward(owner, dloss, loss._replace(logits=scores), passes), resized)
