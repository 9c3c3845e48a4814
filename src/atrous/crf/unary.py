"""Unary terms: the energy of each label at each point, from probabilities or from labels.

Role: definition.
"""

from __future__ import annotations

import numpy as np

from atrous import _check
from atrous._check import told
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.errors import DTypeError, ParameterError, ShapeError

CLIP = 1e-5  # a probability of 0 would exclude a label for ever; pydensecrf's helper uses the same bound


def as_float(owner, name, value):
    """Return any real array as float32, or as float64 if it has that precision."""
    array = _check.real_array(owner, name, value)
    wide = array.dtype.kind == "f" and array.dtype.itemsize >= 8
    return array.astype(np.float64 if wide else np.float32, copy=False)


def _no_probabilities(p, low, total):
    """Return the likely mistake, as a hint, in an array that should hold probabilities (labels, ...) but does not."""
    logits = "If they are logits (scores), take their softmax over the labels: softmax_forward(scores, axis=0)[0]."
    labels = "If this is a map of labels, take np.exp(-unary_from_labels(labels, classes))."
    whole = (p == np.rint(p)).all()
    if low < 0:
        return labels if whole and low == -1 else logits
    if not np.isfinite(p).all():
        return "Look where they come from: NaN and inf are left by a division by zero, or by a network that diverged."
    if p.ndim > 2 and np.allclose(p.sum(-1), 1, rtol=0, atol=0.01):
        return "They do so over the last axis: move the labels to the front, np.moveaxis(p, -1, 0)."
    mask = whole and p.ndim == 2 and total.max() > 1
    if (mask or p.max() > 1) and total.max() - total.min() > 0.01 * total.max():
        return labels if whole else logits
    if total.min() == 0:
        return "Where nothing is known, give every label the same probability."
    return "Divide by their sum: p / p.sum(0)."


@public
@np.errstate(over="ignore", invalid="ignore")
def unary_from_probabilities(probabilities: Array, *, clip: float = CLIP, owner: str | None = None) -> FloatArray:
    """Return energies −log P.

    Parameters
    ----------
    probabilities : ndarray of shape (L, ...), any real dtype
        Non-negative, summing to 1 over the first axis within 1 %.
    clip : float
        Smaller probabilities are raised to this, so that no label is excluded for ever; with 0, −log 0 = inf is kept.
    owner : str, optional
        Name at the start of error messages.

    Returns
    -------
    ndarray
        Same shape; float64 if `probabilities` is, otherwise float32.

    Raises
    ------
    ParameterError
        Probabilities are negative, NaN or do not sum to 1.
    DTypeError, ShapeError
        The array is not real or is empty.

    Examples
    --------
    >>> unary_from_probabilities(np.array([[1.0, 0.5], [0.0, 0.5]])).round(2).tolist()
    [[-0.0, 0.69], [11.51, 0.69]]
    """
    owner = owner or "unary_from_probabilities"
    p = as_float(owner, "probabilities", probabilities)
    if p.ndim < 2:
        raise ShapeError(
            f"{owner}: probabilities must be (labels, points) or (labels, H, W), got shape {p.shape}. "
            "For a foreground map p, pass np.stack([1 - p, p])."
        )
    if not 0 <= clip < 1:
        raise ParameterError(f"{owner}: clip must be in [0, 1), got {clip!r}.")
    low = p.min()
    if not low >= 0:
        what = f"negative numbers, such as {low:.4g}" if low < 0 else "NaN"
        raise ParameterError(f"{owner}: probabilities hold {what}. {_no_probabilities(p, low, None)}")
    total = p.sum(0)
    worst = np.unravel_index(np.abs(total - 1).argmax(), total.shape)
    if not abs(total[worst] - 1) <= 0.01:
        raise ParameterError(
            f"{owner}: probabilities must sum to 1 over the first axis ({len(p)} labels), but sum to "
            f"{total[worst]:.4g} at {tuple(map(int, worst))}. {_no_probabilities(p, low, total)}"
        )
    unary = np.maximum(p, p.dtype.type(clip))
    with np.errstate(divide="ignore"):  # clip=0 keeps probabilities of 0, whose energy is inf
        np.log(unary, out=unary)
    return np.negative(unary, out=unary)


@public
def unary_from_labels(
    labels: Array, classes: int, *, confidence: float = 0.7, unknown: int | None = -1, dtype: type = np.float32
) -> FloatArray:
    """Return energies of rough labels: −log of `confidence` for the given label; the others share 1 − `confidence`.

    Parameters
    ----------
    labels : ndarray of int
        0…classes − 1, or `unknown`.
    classes : int
        Number of labels L.
    confidence : float
        Probability that a given label is right, between 0 and 1.
    unknown : int or None
        Marks points whose label is not known, where all labels have equal energy.
    dtype : float32 or float64

    Returns
    -------
    ndarray of shape (L, ...)

    Raises
    ------
    ParameterError
        A label or the confidence is out of range.

    Examples
    --------
    >>> unary_from_labels(np.array([1, -1]), 2, confidence=0.9).round(2).tolist()
    [[2.299999952316284, 0.6899999976158142], [0.10999999940395355, 0.6899999976158142]]
    """
    owner = "unary_from_labels"
    labels = np.asarray(labels)
    classes = _check.integer(owner, "classes", classes, least=1)
    if labels.ndim == 0:
        raise ShapeError(f"{owner}: labels must be an array with at least one axis, got {told(labels)}.")
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"{owner}: labels must be integers, got {labels.dtype}.")
    if not 0 < confidence < 1:
        raise ParameterError(f"{owner}: confidence must be between 0 and 1, got {confidence!r}.")
    known = np.ones(labels.shape, bool) if unknown is None else labels != unknown
    inside = (labels >= 0) & (labels < classes)
    if not (inside | ~known).all():
        bad = labels[known & ~inside][0]
        fix = "Pass unknown=255 if that marks unknown points." if bad == 255 else "Increase classes, or pass unknown."
        raise ParameterError(f"{owner}: labels must be 0…{classes - 1} or unknown={unknown}, got {bad}. {fix}")
    if classes == 1:
        return np.zeros((1, *labels.shape), dtype)
    wrong = -np.log((1 - confidence) / (classes - 1))
    unary = np.full((classes, *labels.shape), wrong, dtype)
    unary[:, ~known] = np.log(classes)
    where = np.nonzero(known)
    unary[(labels[where], *where)] = -np.log(confidence)
    return unary
