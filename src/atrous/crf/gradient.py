"""Mean field forward and backward: the gradients of the marginals after a number of steps.

A step is  Q' = (1 − δ)·softmax(−U + Σₖ Rₖ·mₖ) + δ·Q  with the messages mₖ = Kₖ(Q) and the rewards Rₖ = −μₖ. Back
through it, with S the softmax and D = (1 − δ)·S ⊙ (dQ' − Σ_labels S ⊙ dQ'),

    dU −= D,   dRₖ += D·mₖᵀ,   dmₖ = Rₖᵀ·D,   dQ = δ·dQ' + Σₖ Kₖᵀ(dmₖ),

and the features of term k get what `Kernel.backward` gathers from (dmₖ, Q). The first Q is softmax(−U), or `start`.

Role: public functions, in plain NumPy over `kernels`. The marginals of all steps are stored, or some of them, and the
steps between computed again.

References
----------
Krähenbühl, Koltun, "Parameter Learning and Convergent Inference for Dense Random Fields", ICML 2013, Section 3; Zheng
et al., "Conditional Random Fields as Recurrent Neural Networks", arXiv:1502.03240, Section 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.crf.compatibility import agreement, reward
from atrous.crf.filtered import FilteredPairwise
from atrous.crf.kernels import Kernel
from atrous.crf.mean_field import _check_energies, _constrain, _ignored, _probabilities, checked_terms, few_enough
from atrous.crf.pairwise import Pairwise
from atrous.crf.reference import softmax
from atrous.errors import ParameterError, ShapeError

METHODS = ("lattice", "exact")


class MeanFieldCache(NamedTuple):
    """What `mean_field_backward` needs: the inputs, the marginals that were kept, and the options."""

    unary: FloatArray
    pairwise: tuple[Pairwise | FilteredPairwise, ...]
    kept: dict[int, FloatArray]
    """Marginals (L, P) before step i, for some i."""
    started: bool
    points: Array
    """The points that are not ignored."""
    shape: tuple[int, ...]
    iterations: int
    method: str
    self_message: bool
    damping: float


class MeanFieldGrads(NamedTuple):
    """Gradients of a loss with respect to everything that `mean_field_forward` takes."""

    unary: FloatArray
    """Shape of the unary; 0 where +inf excludes a label."""
    compatibility: tuple[FloatArray, ...]
    """For each term, in the shape of its compatibility: a number, a vector or a matrix."""
    features: tuple[FloatArray, ...]
    """For each term, (P, D); `bilateral_backward` and `spatial_backward` turn them into those of sigmas and image. ()
    if they were not asked for; (P, 0) for a term that a filter computes."""
    start: FloatArray | None
    """Shape of the unary, or None if there was no start."""


def _picked(terms, points):
    """Return the terms for some of the points; those that a filter computes stay as they are."""
    if len(points) == 0:
        return []
    return [Pairwise(np.ascontiguousarray(t.features[points]), *t[1:]) if isinstance(t, Pairwise) else t for t in terms]


def _step(unary, pairwise, kernels, marginals, damping):
    """Return the marginals after a step, the softmax before damping, and the messages."""
    messages = [kernel.forward(marginals) for kernel in kernels]
    logits = -unary
    for term, message in zip(pairwise, messages, strict=True):
        logits = logits + agreement(term.compatibility, message)
    found = softmax(logits)
    return (1 - damping) * found + damping * marginals, found, messages


@public
def mean_field_forward(
    unary: FloatArray,
    pairwise: Pairwise | FilteredPairwise | Sequence[Pairwise | FilteredPairwise],
    *,
    iterations: int = 10,
    method: str = "lattice",
    self_message: bool = True,
    damping: float = 0.0,
    start: FloatArray | None = None,
    ignore: Array | None = None,
    fixed: Array | None = None,
    store: bool = True,
) -> tuple[FloatArray, MeanFieldCache]:
    """Return the marginals of `mean_field`, and what its backward pass needs.

    Parameters
    ----------
    unary, pairwise, iterations, damping, start, ignore, fixed
        As for `mean_field`.
    method : {"lattice", "exact"}
        As for `mean_field`.
    self_message : bool
        As for `mean_field`; False needs method="exact".
    store : bool
        Keep the marginals of every step, iterations·L·P numbers, or only of every √iterations-th, and compute those
        between again when they are needed, which costs one forward pass more.

    Returns
    -------
    marginals : ndarray, shape of `unary`
        Those of `mean_field` to rounding.
    cache : MeanFieldCache

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `mean_field`.

    Notes
    -----
    Cost: two filters a term and step more than `mean_field` without its fused form.

    Examples
    --------
    >>> from atrous import spatial_pairwise
    >>> unary = np.array([[[0.0, 0.2, 0.0]], [[0.1, 0.0, 0.1]]])
    >>> term = spatial_pairwise((1, 3), 1.0, 2.0, dtype=np.float64)
    >>> q, cache = mean_field_forward(unary, term, iterations=3, method="exact")
    >>> grads = mean_field_backward(np.ones_like(q), cache)
    >>> bool(abs(grads.unary).max() < 1e-12)  # marginals sum to 1, whatever the unary
    True
    """
    owner = "mean_field_forward"
    unary = _check.float_array(owner, "unary", unary)
    if unary.ndim < 2:
        raise ShapeError(f"{owner}: unary must be (labels, points) or (labels, H, W), got shape {unary.shape}.")
    shape, grid = unary.shape, unary.shape[1:]
    energies, terms = checked_terms(owner, unary, pairwise)
    iterations = _check.integer(owner, "iterations", iterations, least=0)
    _check.one_of(owner, "method", method, METHODS)
    damping = _check.number(owner, "damping", damping, least=0, below=1)
    if not self_message and (method != "exact" or any(isinstance(t, FilteredPairwise) for t in terms)):
        raise ParameterError(
            f'{owner}: self_message=False needs method="exact" here, and no term that a filter computes.'
        )
    if fixed is not None:
        energies = _constrain(owner, energies, fixed, grid)
    _check_energies(owner, energies)
    points = np.arange(energies.shape[1])
    if ignore is not None:
        points = np.flatnonzero(~_ignored(owner, ignore, grid))
    if method == "exact":
        few_enough(owner, len(points))
    out = softmax(-energies)
    picked = _picked(terms, points)
    marginals = out[:, points]
    if start is not None:
        marginals = _probabilities(owner, "start", start, shape, energies.dtype)[:, points]
    every = 1 if store else max(1, math.isqrt(iterations))
    keep, chosen = energies.dtype.type(damping), energies[:, points]
    kernels, kept = [Kernel(t, method, points, self_message=self_message) for t in picked], {}
    for i in range(iterations if len(points) else 0):
        if i % every == 0:
            kept[i] = marginals
        marginals, _, _ = _step(chosen, picked, kernels, marginals, keep)
    out[:, points] = marginals
    cache = MeanFieldCache(
        energies, tuple(terms), kept, start is not None, points, shape, iterations, method, bool(self_message), damping
    )
    return out.reshape(shape), cache


@public
def mean_field_backward(d_marginals: FloatArray, cache: MeanFieldCache, *, features: bool = True) -> MeanFieldGrads:
    """Return the gradients of a loss from its gradient with respect to the marginals.

    Parameters
    ----------
    d_marginals : ndarray
        Shape and dtype of the marginals.
    cache : MeanFieldCache
        From `mean_field_forward`; the inputs that it refers to must not have changed.
    features : bool
        Whether to compute the gradients to the features, most of the work.

    Returns
    -------
    MeanFieldGrads
        On the lattice, the features' gradients are those of the lattice's own filter as long as no point leaves its
        simplex; `lattice_features_backward` says more.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Arguments that do not fit.

    Notes
    -----
    Cost: about four times the forward pass; memory for one step more than what was stored.
    """
    owner = "mean_field_backward"
    unary, points, damping = cache.unary, cache.points, cache.unary.dtype.type(cache.damping)
    d_marginals = _check.float_array(owner, "d_marginals", d_marginals, like=unary)
    if d_marginals.shape != cache.shape:
        raise ShapeError(f"{owner}: d_marginals must have shape {cache.shape}, got {d_marginals.shape}.")
    d = d_marginals.reshape(unary.shape)
    alone = softmax(-unary)
    d_unary = -alone * (d - (alone * d).sum(0))  # of points that send and receive nothing
    d_unary[:, points] = 0
    chosen = unary[:, points]
    terms = _picked(cache.pairwise, points)
    kernels = [Kernel(t, cache.method, points, self_message=cache.self_message, gathers=features) for t in terms]
    rewards = [reward(t.compatibility) for t in cache.pairwise]
    d_rewards = [np.zeros_like(r) for r in rewards]
    d, back = np.ascontiguousarray(d[:, points]), np.zeros_like(chosen)
    for marginals, found, messages in _backwards(cache, chosen, terms, kernels, damping):
        inner = (1 - damping) * found * (d - (found * d).sum(0))
        back -= inner
        d = damping * d
        for k, (r, kernel) in enumerate(zip(rewards, kernels, strict=True)):
            if r.ndim == 2:
                d_rewards[k] += inner @ messages[k].T
                d_message = r.T @ inner
            else:
                both = (inner * messages[k]).sum(1)
                d_rewards[k] += both if r.ndim else both.sum()
                d_message = r.reshape(-1, 1) * inner
            d = d + kernel.backward(d_message, marginals, messages[k])
    d_start = None
    if cache.started:
        d_start = np.zeros_like(unary)
        d_start[:, points] = d
        d_start = d_start.reshape(cache.shape)
    else:
        first = alone[:, points]
        back -= first * (d - (first * d).sum(0))
    d_unary[:, points] = back
    to_features = [
        np.zeros_like(t.features) if isinstance(t, Pairwise) else np.zeros((unary.shape[1], 0), unary.dtype)
        for t in cache.pairwise
        if features
    ]
    for whole, kernel in zip(to_features, kernels, strict=False):
        whole[points] = kernel.features_backward()
    compatibility = tuple(-(g + g.T) / 2 if g.ndim == 2 else g for g in d_rewards)
    return MeanFieldGrads(d_unary.reshape(cache.shape), compatibility, tuple(to_features), d_start)


def _backwards(cache, unary, terms, kernels, damping):
    """Yield (marginals before a step, softmax, messages) from the last step to the first."""
    last = cache.iterations
    for begin in sorted(cache.kept, reverse=True):
        steps, marginals = [], cache.kept[begin]
        for _ in range(begin, last):
            after, found, messages = _step(unary, terms, kernels, marginals, damping)
            steps.append((marginals, found, messages))
            marginals = after
        yield from reversed(steps)
        last = begin
