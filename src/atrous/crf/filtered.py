"""Pairwise terms whose messages a filter on the grid computes, with no lattice: Gaussian and domain transform.

    spatial     exp(−|pᵢ − pⱼ|²/2σ²) exactly, one axis after the other (`filters.gaussian`)
    bilateral   the domain transform of the image in place of the Gaussian over position and colour

Role: definition of the terms, and their messages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.crf.layout import PATCH
from atrous.crf.pairwise import NORMALIZATIONS, POWERS, TINY, checked_compatibility, positive_sigmas
from atrous.errors import ShapeError
from atrous.filters import domain_transform as transform
from atrous.filters.gaussian import gaussian_rows
from atrous.jit import lanes
from atrous.jit.compiler import compiled
from atrous.jit.threads import launch
from atrous.lattice.rows import NONE, ONE, padded


class FilteredPairwise(NamedTuple):
    """One pairwise term over all points of a grid, whose Gaussian is a linear filter. Goes where a `Pairwise` goes."""

    shape: tuple[int, ...]
    """Of the grid."""
    apply: Callable[[FloatArray], FloatArray]
    """Filters rows (points in C order, width); the width is a multiple of eight."""
    adjoint: Callable[[FloatArray], FloatArray]
    compatibility: float | Array
    normalization: str = "symmetric"
    itself: float | None = None
    """The weight of a point's own value, if it is the same everywhere."""


@public
def separable_pairwise(
    shape: Sequence[int],
    sigma: float | Sequence[float],
    compatibility: float | Array,
    *,
    spacing: float | Sequence[float] = 1.0,
    normalization: str = "symmetric",
) -> FilteredPairwise:
    """Return the smoothness term of a grid like `spatial_pairwise`, with the exact sum instead of a lattice.

    Parameters
    ----------
    shape, sigma, compatibility, spacing, normalization
        As for `spatial_pairwise`.

    Returns
    -------
    FilteredPairwise

    Raises
    ------
    ParameterError
        A sigma or a spacing is not positive.

    Notes
    -----
    Cost of a message: O(P·L·σ) for each axis. For 500 × 375 pixels, 21 labels and σ = 3 it takes about as long as the
    lattice, which has an error of some tenths of a per cent.

    Examples
    --------
    >>> term = separable_pairwise((1, 3), 1.0, 2.0, normalization="none")
    >>> term.apply(np.repeat([[0.0], [1.0], [0.0]], 8, axis=1))[:, 0].round(4).tolist()
    [0.6065, 1.0, 0.6065]
    """
    owner = "separable_pairwise"
    shape = tuple(_check.integer(owner, f"shape[{i}]", n, least=1) for i, n in enumerate(shape))
    _check.one_of(owner, "normalization", normalization, NORMALIZATIONS)
    sigmas, steps = (positive_sigmas(owner, n, v, len(shape)) for n, v in (("sigma", sigma), ("spacing", spacing)))
    apply = partial(gaussian_rows, shape=shape, sigmas=tuple((sigmas / steps).tolist()))
    return FilteredPairwise(shape, apply, apply, compatibility, normalization, 1.0)


@public
def domain_transform_pairwise(
    image: Array, sigma_space: float, sigma_color: float, compatibility: float | Array, *, iterations: int = 3
) -> FilteredPairwise:
    """Return an appearance term whose messages are the domain transform of the marginals.

    Parameters
    ----------
    image : ndarray of shape (H, W, C) or (H, W)
        Whose edges stop messages.
    sigma_space, sigma_color : float
        As `sigma_s` and `sigma_r` of `domain_transform`. Messages go around edges less easily than with a Gaussian, so
        other values are best than for `bilateral_pairwise`.
    compatibility : float, (L,) or (L, L) array
        See `mean_field`. Messages are weighted means, as with normalization="after".
    iterations : int
        Of the domain transform.

    Returns
    -------
    FilteredPairwise

    Examples
    --------
    >>> term = domain_transform_pairwise(np.zeros((2, 3)), 10.0, 20.0, 4.0)
    >>> bool(np.allclose(term.apply(np.ones((6, 8))), 1))
    True
    """
    owner = "domain_transform_pairwise"
    shape = np.shape(image)[:2]
    for name, sigma in (("sigma_space", sigma_space), ("sigma_color", sigma_color)):
        _check.number(owner, name, sigma, above=0, below=1e30)
    image, _, *options = transform.checked(owner, image, np.zeros((*shape, 1)), sigma_space, sigma_color, iterations)
    made = cache(lambda dtype: transform.passes(image, *options, dtype))
    return FilteredPairwise(
        shape,
        lambda rows: transform.domain_transform_rows(rows, made(rows.dtype)),
        lambda rows: transform.adjoint_rows(rows, made(rows.dtype)),
        compatibility,
        "none",
    )


def check_filtered(owner, i, term, labels, grid, dtype):
    """Return the term with a compatibility that fits."""
    if tuple(term.shape) != tuple(grid):
        raise ShapeError(f"{owner}: pairwise[{i}].shape is {tuple(term.shape)}, the grid of unary is {tuple(grid)}.")
    _check.one_of(owner, f"pairwise[{i}].normalization", term.normalization, NORMALIZATIONS)
    compatibility = checked_compatibility(f"{owner}: pairwise[{i}]", term.compatibility, labels, dtype, math.prod(grid))
    return term._replace(compatibility=compatibility)


@compiled()
def _scale(head, tail, rows, factors, target):
    """Write factors[p] times row p."""
    width = np.uintp(rows.shape[1])
    for b in range(head, tail):
        for p in range(b * PATCH, min(rows.shape[0], (b + 1) * PATCH)):
            factor, o = lanes.repeat(factors[p]), np.uintp(p) * width
            for j in range(o, o + width, ONE):
                lanes.store(target, j, lanes.multiply(lanes.load(rows, j), factor))


@compiled()
def _add(head, tail, rows, factors, rewards, total):
    """Add factors[p] times row p times the rewards of the labels (width,)."""
    width = np.uintp(rows.shape[1])
    for b in range(head, tail):
        for p in range(b * PATCH, min(rows.shape[0], (b + 1) * PATCH)):
            o = np.uintp(p) * width
            for j in range(NONE, width, ONE):
                weighted = lanes.multiply(lanes.load(rows, o + j), lanes.load(rewards, j))
                lanes.store(total, o + j, lanes.add_scaled(lanes.load(total, o + j), factors[p], weighted))


def _placed(rows, points, count):
    """Return rows of the whole grid, zero but at `points`."""
    grid = np.zeros((count, rows.shape[1]), rows.dtype)
    grid[points] = rows
    return grid


def on_points(term, points, function):
    """Return a term's `apply` or `adjoint` as a function from values (L, points) to sums (L, points)."""

    def sums(values):
        rows = np.zeros((values.shape[1], padded(len(values))), values.dtype)
        rows[:, : len(values)] = values.T
        found = function(_placed(rows, points, math.prod(term.shape)))
        return np.ascontiguousarray(found[points, : len(values)].T)

    return sums


class _Filter:
    """A term on some points of its grid, in ascending order: its sums, and the factors of its normalisation."""

    def __init__(self, term, points, dtype, self_message=True):
        self.term, self.points, self.self_message = term, points, self_message
        self.count = math.prod(term.shape)
        self.whole = len(points) == self.count
        ones = np.ones((len(points), padded(1)), dtype)
        self.out = self.into = ones[:, 0].copy()
        if term.normalization != "none":
            norm = self.raw(ones)[:, 0] + dtype.type(TINY)
            self.out, self.into = (norm ** dtype.type(power) for power in POWERS[term.normalization])

    def raw(self, rows):
        """Return the sums of the term's filter at the points, not normalised."""
        if self.whole:
            found = self.term.apply(rows)
        else:
            found = self.term.apply(_placed(rows, self.points, self.count))[self.points]
        return found if self.self_message else found - rows.dtype.type(self.term.itself) * rows

    def sums(self, rows):
        """Return the sums of normalised input, which `out` still divides."""
        if POWERS[self.term.normalization][1]:
            scaled = np.empty_like(rows)
            launch(_scale, -(-len(rows) // PATCH), rows, self.into, scaled)
            rows = scaled
        return np.ascontiguousarray(self.raw(rows))


def filtered_operator(term, points, dtype, *, self_message=True):
    """Return the function from values (L, points) to normalised messages (L, points)."""
    made = _Filter(term, points, dtype, self_message)

    def messages(values):
        rows = np.zeros((values.shape[1], padded(len(values))), dtype)
        rows[:, : len(values)] = values.T
        return np.ascontiguousarray(made.sums(rows)[:, : len(values)].T) * made.out

    return messages


def message_rows(terms, rewards, points, dtype):
    """Return the function that adds what the terms send, given marginals (points, width), to logits (points, width)."""
    made = [_Filter(term, points, dtype) for term in terms]
    one = np.ones(len(rewards[0]), dtype)

    def add(marginals, logits):
        for each, reward in zip(made, rewards, strict=True):
            rows, factors = each.sums(marginals), reward
            if reward.ndim == 2:
                rows, factors = np.ascontiguousarray(rows @ reward), one
            launch(_add, -(-len(rows) // PATCH), rows, each.out, factors, logits)

    return add
