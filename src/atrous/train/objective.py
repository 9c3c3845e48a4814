"""What training makes small: the cross-entropy of a network's scores, at one place or at several.

    v1, v2 (VGG)     scores at an eighth of the image, labels sub-sampled to their size
    v2 (ResNet)      four such terms: the maximum over three scales, and each scale by itself
    v3, v3+          scores enlarged to the image, because small objects vanish from sub-sampled labels
    torchvision      the same, and half as much of an auxiliary head in the middle of the network

A term is an endpoint of the network with a weight. The gradients of all terms go through one backward pass.

Role: public functions.

References
----------
DeepLab v1, arXiv:1412.7062, Section 3.2; DeepLab v2, arXiv:1606.00915, Section 4.1, and its released train.prototxt;
DeepLab v3, arXiv:1706.05587, Section 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.errors import ParameterError, ShapeError
from atrous.layers.training import bilinear_backward, bilinear_forward
from atrous.layers.training_loss import segmentation_loss_backward, segmentation_loss_forward
from atrous.nets.network import Network


class LossTerm(NamedTuple):
    """A part of the objective: scores at an endpoint, their weight, and the size at which they meet the labels."""

    endpoint: str = "logits"
    weight: float = 1.0
    like: str | None = None
    """Resize the scores to the size of this endpoint; None resizes the labels to the size of the scores."""


class Objective(NamedTuple):
    """What `objective` returns."""

    loss: float
    """The weighted sum."""
    parts: tuple[float, ...]
    """The loss of each term, without its weight."""
    grads: dict[str, FloatArray]
    """By parameter; frozen batch norms and unused side heads have none."""
    state: dict[str, FloatArray]
    """New running statistics."""


@public
def loss_terms(network: Network) -> tuple[LossTerm, ...]:
    """Return the terms with which the network's paper trains it.

    Parameters
    ----------
    network : Network

    Returns
    -------
    tuple of LossTerm

    Examples
    --------
    >>> from atrous import build
    >>> [tuple(term) for term in loss_terms(build("torchvision_deeplabv3_resnet50"))]
    [('logits', 1.0, None), ('aux_logits', 0.5, None)]
    """
    names = network.endpoint_names
    if "low_logits_075" in names:
        # The labels cannot be shrunk by 32/3, so the released network enlarges the scores of scale 0.75 instead.
        return (
            LossTerm("low_logits"),
            LossTerm("low_logits_100"),
            LossTerm("low_logits_075", like="low_logits"),
            LossTerm("low_logits_050"),
        )
    if network.name.removeprefix("tiny_").startswith(("deeplabv1", "deeplabv2")):
        return (LossTerm("low_logits"),)
    return (LossTerm(), LossTerm("aux_logits", 0.5)) if "aux_logits" in names else (LossTerm(),)


@public
def objective(
    network: Network,
    params: Mapping[str, FloatArray],
    state: Mapping[str, FloatArray],
    x: FloatArray,
    labels: Array,
    *,
    terms: Sequence[LossTerm] | None = None,
    ignore: int | None = 255,
    class_weights: Array | None = None,
    rng: np.random.Generator | None = None,
    train: bool = True,
) -> Objective:
    """Return the loss of a batch and its gradients.

    Parameters
    ----------
    network, params, state, x, rng, train
        As for `Network.forward`.
    labels : ndarray of shape (N, H, W)
        Labels of the pixels of x.
    terms : sequence of LossTerm, optional
        By default those of `loss_terms`.
    ignore, class_weights
        As for `cross_entropy_forward`.

    Returns
    -------
    Objective

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `Network.forward` and `segmentation_loss_forward`; also if a term names no endpoint of scores.

    Examples
    --------
    >>> from atrous import build
    >>> network, rng = build("tiny_deeplabv3_resnet50", classes=3), np.random.default_rng(0)
    >>> x, labels = np.zeros((2, 3, 33, 33), np.float32), np.ones((2, 33, 33), np.uint8)
    >>> found = objective(network, *network.init(rng), x, labels, rng=rng)
    >>> len(found.parts), set(found.grads) <= set(network.init(rng)[0])
    (1, True)
    """
    owner = "objective"
    terms = loss_terms(network) if terms is None else tuple(terms)
    known = network.endpoint_names
    for term in terms:
        for name in (term.endpoint, term.like or term.endpoint):
            if name not in known or "logits" not in name:
                scores = ", ".join(n for n in known if "logits" in n)
                raise ParameterError(f"{owner}: {network.name} has no scores {name!r}; it has {scores}.")
        _check.number(owner, "weight", term.weight, least=0)
    if not terms:
        raise ParameterError(f"{owner}: terms is empty. Leave it out for those of the paper.")
    labels = np.asarray(labels)
    if np.ndim(x) == 4 and labels.shape != (len(x), *np.shape(x)[2:]):
        raise ShapeError(
            f"{owner}: labels must be {(len(x), *np.shape(x)[2:])} for x {np.shape(x)}, got {labels.shape}."
        )
    wanted = {name for term in terms for name in (term.endpoint, term.like) if name} - {"logits"}
    found = dict.fromkeys(wanted)
    logits, cache, state = network.forward(params, state, x, train=train, rng=rng, endpoints=found)
    scores = {**found, "logits": logits}
    gradients, parts = {}, []
    for term in terms:
        at, resized = scores[term.endpoint], None
        if term.like is not None:
            at, resized = bilinear_forward(at, scores[term.like].shape[2:])
        loss, held = segmentation_loss_forward(at, labels, ignore=ignore, class_weights=class_weights)
        d = segmentation_loss_backward(term.weight, held)
        d = d if resized is None else bilinear_backward(d, resized)
        gradients[term.endpoint] = gradients[term.endpoint] + d if term.endpoint in gradients else d
        parts.append(loss)
    dy = gradients.pop("logits", None)
    dy = np.zeros_like(logits) if dy is None else dy
    _, grads = network.backward(dy, cache, endpoints=gradients or None, dx=False)
    total = float(sum(term.weight * part for term, part in zip(terms, parts, strict=True)))
    return Objective(total, tuple(parts), grads, state)
