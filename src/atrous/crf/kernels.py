"""One pairwise term as a linear map with its adjoint and the gradient to its features: exact, or on the lattice.

    m = sₒ ⊙ K(sᵢ ⊙ q)

K is the Gaussian of all pairs, or the lattice's filter in its place. The normalisations of `mean_field` are choices of
the scales: with row sums n = K·1, "none" has none, "before" sᵢ = 1/n, "after" sₒ = 1/n, "symmetric" 1/√n twice.

Role: definition, for gradients. For inference see `messages` and `fused`.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from atrous.crf.filtered import FilteredPairwise, on_points
from atrous.crf.messages import row_sums
from atrous.crf.pairwise import POWERS
from atrous.lattice.build import build_lattice
from atrous.lattice.exact import gaussian_matrix
from atrous.lattice.gradient import exact_features_backward, lattice_features_backward
from atrous.lattice.splat_blur_slice import lattice_filter


class Kernel:
    """The map of one term for P points; values and messages are (L, P).

    Unless `gathers` is false, `backward` collects the gradients to the features from any number of steps;
    `features_backward` ends with those that go through the row sums.
    """

    def __init__(self, term, method, points=None, *, self_message=True, gathers=True):
        itself = None
        if isinstance(term, FilteredPairwise):  # of the grid's points, those at `points`; it has no features
            self.apply, self.apply_transposed = (on_points(term, points, f) for f in (term.apply, term.adjoint))
            features, gathers = np.empty((len(points), 0), term.compatibility.dtype), False
        elif method == "exact":
            features = term.features
            matrix = gaussian_matrix(features)
            if not self_message:
                itself = matrix.dtype.type(1)
                np.fill_diagonal(matrix, 0)
            self.apply, self.apply_transposed = (lambda v: v @ matrix.T), (lambda v: v @ matrix)
            self._backward = partial(exact_features_backward, features)
        else:
            features = term.features
            lattice = build_lattice(features)
            self.apply, self.apply_transposed = (
                lambda v, r=r: np.ascontiguousarray(lattice_filter(lattice, np.ascontiguousarray(v.T), reverse=r).T)
                for r in (False, True)
            )
            self._backward = partial(lattice_features_backward, lattice, features)
        self.powers = POWERS[term.normalization]
        self.ones = np.ones((1, len(features)), features.dtype)
        self.sums = row_sums(self.apply(self.ones)[0], itself) if any(self.powers) else self.ones[0]
        self.out, self.into = (self.sums ** features.dtype.type(power) for power in self.powers)
        self.gathers, self.d_features, self.d_logs = gathers, np.zeros_like(features), 0

    def forward(self, values):
        """Return the messages."""
        return self.out * self.apply(self.into * values)

    def backward(self, d_messages, values, messages):
        """Return the gradient to the values, and gather those to the features; `messages` are those of the values.

        A scale nᵖ changes by p·nᵖ/n with n, so the row sums get p/n times what the scaled numbers get.
        """
        a, b = self.out * d_messages, self.into * values
        d_values = self.into * self.apply_transposed(a)
        if not self.gathers:
            return d_values
        self.d_features = self.d_features + self._backward(np.ascontiguousarray(a.T), np.ascontiguousarray(b.T))
        if any(self.powers):
            out, into = self.powers
            self.d_logs = self.d_logs + (out * d_messages * messages + into * values * d_values).sum(0)
        return d_values

    def features_backward(self):
        """Return the gradient to the features, (P, D), that the steps and the row sums add up to."""
        if not any(self.powers) or np.ndim(self.d_logs) == 0:
            return self.d_features
        d_sums = np.asarray(self.d_logs / self.sums, self.sums.dtype)
        return self.d_features + self._backward(d_sums[:, None], np.ascontiguousarray(self.ones.T))
