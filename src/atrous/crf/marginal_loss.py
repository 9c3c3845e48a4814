"""Losses of marginals: the likelihood of labels, and the expected intersection over union.

Each is a pair of functions; points whose label is `ignore` do not count.

Role: public functions.

References
----------
Krähenbühl, Koltun, "Parameter Learning and Convergent Inference for Dense Random Fields", ICML 2013, Section 3.1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.errors import ParameterError, ShapeError

# A marginal of zero would make the loss infinite and its gradient useless.
LEAST = 1e-12


class MarginalLossCache(NamedTuple):
    """What the backward passes need: the marginals, and the share of each label at each point that counts."""

    marginals: FloatArray
    targets: FloatArray
    counted: Array


def _targets(owner, marginals, labels, ignore):
    """Return targets (L, …) that sum to 1 over the labels where a point counts, and which points do."""
    marginals = _check.float_array(owner, "marginals", marginals)
    if marginals.ndim < 2:
        raise ShapeError(f"{owner}: marginals must have shape (L, …), an axis of labels first, got {marginals.shape}.")
    labels, count = np.asarray(labels), len(marginals)
    if labels.shape == marginals.shape and labels.dtype.kind == "f":
        return marginals, labels.astype(marginals.dtype, copy=False), np.ones(marginals.shape[1:], bool)
    if labels.shape != marginals.shape[1:] or labels.dtype.kind not in "iu":
        raise ShapeError(
            f"{owner}: labels must be integers of shape {marginals.shape[1:]}, or shares of the shape of marginals, "
            f"{marginals.shape}, "
            f"got {labels.dtype} of shape {labels.shape}."
        )
    counted = labels != ignore
    if not counted.any():
        raise ParameterError(f"{owner}: every point has the label {ignore}, which is ignored.")
    if labels[counted].min() < 0 or labels[counted].max() >= count:
        raise ParameterError(
            f"{owner}: labels must be 0…{count - 1} or {ignore}, got {labels[counted].min()}…{labels[counted].max()}."
        )
    targets = (labels == np.arange(count).reshape(-1, *[1] * labels.ndim)).astype(marginals.dtype)
    return marginals, targets, counted


@public
def likelihood_loss_forward(
    marginals: FloatArray, labels: Array, *, ignore: int = 255
) -> tuple[float, MarginalLossCache]:
    """Return the mean of −log Q(label) over the points that count.

    Parameters
    ----------
    marginals : ndarray of shape (L, …)
        From `mean_field_forward`.
    labels : ndarray of int, shape (…), or of float, shape (L, …)
        The label of each point, or the share of each label there.
    ignore : int, default 255
        Label of points that do not count.

    Returns
    -------
    loss : float
    cache : MarginalLossCache

    Raises
    ------
    ShapeError, ParameterError
        Labels that do not fit.

    Examples
    --------
    >>> q = np.array([[0.5, 0.9], [0.5, 0.1]])
    >>> round(likelihood_loss_forward(q, np.array([0, 255]))[0], 4)
    0.6931
    """
    marginals, targets, counted = _targets("likelihood_loss_forward", marginals, labels, ignore)
    logs = np.log(np.maximum(marginals, LEAST))
    loss = -float((targets * logs)[:, counted].sum(dtype=np.float64)) / int(counted.sum())
    return loss, MarginalLossCache(marginals, targets, counted)


@public
def likelihood_loss_backward(cache: MarginalLossCache) -> FloatArray:
    """Return the gradient of the loss with respect to the marginals.

    Parameters
    ----------
    cache : MarginalLossCache
        From the forward pass.

    Returns
    -------
    ndarray
        Shape and dtype of the marginals; 0 where a point does not count.

    Raises
    ------
    ParameterError
        The cache is not one of these losses.
    """
    marginals, targets, counted = cache
    return np.where(counted, -targets / np.maximum(marginals, LEAST) / counted.sum(), 0).astype(marginals.dtype)


@public
def iou_loss_forward(marginals: FloatArray, labels: Array, *, ignore: int = 255) -> tuple[float, MarginalLossCache]:
    """Return 1 − the mean over the labels that occur of the expected intersection over the expected union.

    With Q the marginals and Y the labels' indicators, Σ Q·Y / Σ (Q + Y − Q·Y). Parameters and results are those of
    `likelihood_loss_forward`.

    Examples
    --------
    >>> round(iou_loss_forward(np.array([[1.0, 0.5], [0.0, 0.5]]), np.array([0, 1]))[0], 4)
    0.4167
    """
    marginals, targets, counted = _targets("iou_loss_forward", marginals, labels, ignore)
    inner, union, occurs = _overlaps(marginals, targets, counted)
    return 1 - float(np.mean(inner[occurs] / union[occurs])), MarginalLossCache(marginals, targets, counted)


def _overlaps(marginals, targets, counted):
    q, y = marginals[:, counted].astype(np.float64), targets[:, counted].astype(np.float64)
    inner = (q * y).sum(1)
    return inner, q.sum(1) + y.sum(1) - inner, y.sum(1) > 0


@public
def iou_loss_backward(cache: MarginalLossCache) -> FloatArray:
    """Return the gradient of the loss with respect to the marginals.

    Parameters
    ----------
    cache : MarginalLossCache
        From the forward pass.

    Returns
    -------
    ndarray
        Shape and dtype of the marginals; 0 where a point does not count.

    Raises
    ------
    ParameterError
        The cache is not one of these losses.
    """
    marginals, targets, counted = cache
    inner, union, occurs = (v.reshape(-1, *[1] * counted.ndim) for v in _overlaps(marginals, targets, counted))
    d = -(targets * union - inner * (1 - targets)) / np.maximum(union, LEAST) ** 2 / occurs.sum()
    return np.where(counted & occurs, d, 0).astype(marginals.dtype)
