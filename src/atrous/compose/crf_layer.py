"""The dense CRF as the last layer of a network: steps of mean field over its scores and the image, trained with it.

The scores are the unary terms, −U. Each of a fixed number of steps adds the messages of two Gaussians, of position and
colour and of position alone, times the compatibility of the labels. The result is log Q, so that the softmax of the
loss gives Q back. Weights are learned by their logarithms, which keeps them positive; so are the sigmas, if at all.

Role: composition, over `mean_field_forward` and `mean_field_backward`.

References
----------
Zheng et al., "Conditional Random Fields as Recurrent Neural Networks", arXiv:1502.03240, Section 4: five steps in
training, ten in use; there each label has weights of its own, and the sigmas are fixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atrous.compose.match import fitting
from atrous.compose.part import Part, Variable
from atrous.compose.program import Value
from atrous.crf.gradient import mean_field_backward, mean_field_forward
from atrous.crf.mean_field import mean_field
from atrous.crf.pairwise import bilateral_pairwise, spatial_pairwise
from atrous.crf.pairwise_gradient import bilateral_backward, spatial_backward
from atrous.crf.params import CRFParams
from atrous.errors import ShapeError

LEAST = 1e-20  # of a marginal whose logarithm is taken


def _logarithm(q):
    return np.log(np.maximum(q, q.dtype.type(LEAST)))


@dataclass(frozen=True)
class CRFLayer(Part):
    """A body with scores at the size of its input, and mean field over them and the input.

    The arrays are ``NAME.log_weights`` (w₁, w₂), ``NAME.log_sigmas`` (σα, σβ, σγ) and ``NAME.compatibility``, the costs
    (L, L) that both weights multiply, which begin as Potts'. Messages are weighted means (normalisation "after").
    """

    body: Part
    classes: int
    start: CRFParams
    """Initial weights and sigmas, and the iterations in use."""
    levels: tuple[tuple[float, float], ...]
    """(gain, offset) of each channel, the first of the input first: sample = level·gain + offset."""
    blue_first: bool = False
    training_steps: int = 5
    learns_sigmas: bool = False
    method: str = "lattice"
    name: str = "crf"

    @property
    def parts(self):
        """The body."""
        return (self.body,)

    @property
    def align_corners(self):
        """How the body resizes its scores."""
        return self.body.align_corners

    @property
    def names(self):
        """The names of the arrays: weights, sigmas, compatibility."""
        return tuple(f"{self.name}.{kind}" for kind in ("log_weights", "log_sigmas", "compatibility"))

    def variables(self):
        """Return the body's arrays and the layer's own."""
        p, (weights, sigmas, compatibility) = self.start, self.names
        logs = np.log([p.bilateral_weight, p.spatial_weight]), np.log([p.sigma_alpha, p.sigma_beta, p.sigma_gamma])
        return {
            **self.body.variables(),
            weights: Variable((2,), start=lambda: logs[0]),
            sigmas: Variable((3,), trained=self.learns_sigmas, start=lambda: logs[1]),
            compatibility: Variable((self.classes, self.classes), start=lambda: 1 - np.eye(self.classes)),
        }

    def _arrays(self, arrays, like):
        """Return (weights, sigmas, compatibility) from all arrays of the network."""
        shapes = (2,), (3,), (self.classes, self.classes)
        logs, sigmas, costs = (
            fitting("forward", like, shape, arrays, name)[0] for shape, name in zip(shapes, self.names, strict=True)
        )
        return np.exp(logs), np.exp(sigmas.astype(np.float64)), costs

    @property
    def _affine(self):
        """Gain and offset as columns (C, 1, 1)."""
        return np.array(self.levels).T[:, :, None, None]

    def learned(self, arrays):
        """Return (CRFParams, compatibility) that all arrays of the network hold."""
        logs, sigmas, costs = (np.asarray(arrays[name], np.float64) for name in self.names)
        names = "bilateral_weight", "spatial_weight", "sigma_alpha", "sigma_beta", "sigma_gamma"
        values = np.exp(np.concatenate([logs, sigmas])).tolist()
        return self.start._replace(**dict(zip(names, values, strict=True))), costs

    def _terms(self, image, weights, sigmas, costs):
        """Return the terms for one sample (C, H, W) of the input: those of `dense_crf` for its photograph."""
        gain, offset = self._affine
        photo = np.moveaxis((image - offset) / gain, 0, -1)
        if self.blue_first:
            photo = photo[..., ::-1]
        options = {"normalization": "after", "dtype": image.dtype}
        return [
            bilateral_pairwise(photo, *sigmas[:2], weights[0] * costs, **options),
            spatial_pairwise(image.shape[1:], sigmas[2], weights[1] * costs, **options),
        ]

    def forward(self, params, state, x, *, train=False, rng=None, endpoints=None):
        """Run the body, then mean field for each image."""
        scores, held, state = self.body.forward(params, state, x, train=train, rng=rng, endpoints=endpoints)
        self._fits(scores.shape[1:], x.shape[1:])
        weights, sigmas, costs = self._arrays({**params, **state}, x)
        steps = self.training_steps if train else self.start.iterations
        y, caches = np.empty(scores.shape, x.dtype), []
        for i, image in enumerate(x):
            terms = self._terms(image, weights, sigmas, costs)
            q, cache = mean_field_forward(-scores[i], terms, iterations=steps, method=self.method)
            y[i] = _logarithm(q)
            caches.append(cache)
        return y, (held, y, caches, x.shape, (weights, sigmas, costs)), state

    def backward(self, dy, cache, *, endpoints=None, needs_dx=True):
        """Run mean field back for each image, then the body."""
        held, y, caches, shape, (weights, sigmas, costs) = cache
        d_scores = np.empty_like(dy)
        d_weights, d_sigmas, d_costs = np.zeros_like(weights), np.zeros(3), np.zeros_like(costs)
        d_image = np.zeros(shape, dy.dtype) if needs_dx else None
        further = needs_dx or self.learns_sigmas
        for i, one in enumerate(caches):
            # Divided by Q for the logarithm; the softmax before it multiplies by Q again.
            grads = mean_field_backward(dy[i] * np.exp(-y[i]), one, features=further)
            d_scores[i] = -grads.unary
            for k, d in enumerate(grads.compatibility):
                d_weights[k] += weights[k] * (d * costs).sum()
                d_costs += weights[k] * d
            if further:
                bilateral, spatial = one.pairwise
                found = bilateral_backward(grads.features[0], bilateral, (*shape[2:], shape[1]), *sigmas[:2])
                to_gamma = spatial_backward(grads.features[1], spatial, sigmas[2])
                d_sigmas += sigmas * (found.sigma_space, found.sigma_color, to_gamma)
                if needs_dx:
                    photo = found.image[..., ::-1] if self.blue_first else found.image
                    d_image[i] = np.moveaxis(photo, -1, 0) / self._affine[0]
        dx, grads = self.body.backward(d_scores, held, endpoints=endpoints, needs_dx=needs_dx)
        mine = (d_weights, d_sigmas.astype(dy.dtype), d_costs)
        own = {name: d for name, d in zip(self.names, mine, strict=True) if name != self.names[1] or self.learns_sigmas}
        return dx + d_image if needs_dx else dx, {**grads, **own}

    def refine(self, arrays, scores, x, method=None):
        """Return log Q after the steps that are taken in use, as `forward` does, by the fused form."""
        found = np.empty(scores.shape, x.dtype)
        for i, image in enumerate(x):
            terms = self._terms(image, *self._arrays(arrays, x))
            energies = np.ascontiguousarray(-scores[i])
            steps = self.start.iterations
            found[i] = _logarithm(mean_field(energies, terms, iterations=steps, method=method or self.method))
        return found

    def lower(self, lowering, x):
        """Lower the body and add a step that reads its scores and the image; every score then sees the whole image."""
        y = lowering.part(self.body, x)
        value = lowering.values[y]
        self._fits(value.shape, lowering.values[x].shape)
        whole = Value(value.shape, value.field._replace(size=float("inf")))
        return lowering.add("crf", [y, x], whole, self)

    def _fits(self, scores, image):
        if scores != (self.classes, *image[1:]) or image[0] != len(self.levels):
            raise ShapeError(
                f"forward: the CRF layer refines {self.classes} scores at the size of an image of {len(self.levels)} "
                f"channels, got scores {scores} of an image {image}."
            )
