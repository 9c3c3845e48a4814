"""Choose a CRF's weights and standard deviations by trying them, coarse to fine, as the papers do.

The first round tries a whole grid. Each later one tries the best value and the middles between it and its neighbours,
for all parameters together, so that the steps are halved. A lattice is built once for each image and choice of sigmas,
and serves all weights.

Role: public function.

References
----------
DeepLab v1, arXiv:1412.7062, Section 5, and v2, arXiv:1606.00915, Section 4.1: cross-validation on 100 images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, product
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.crf import fused, layout
from atrous.crf.dense import DEFAULT, checked_image, pairwise_terms, resolved_params
from atrous.crf.mean_field import joined_lattices
from atrous.crf.params import CRFParams
from atrous.crf.unary import unary_from_probabilities
from atrous.crf.vertices import padded_rewards
from atrous.errors import ParameterError, ShapeError
from atrous.metrics import confusion_matrix, mean_iou

PAPER_RANGES: Mapping[str, Mapping[str, Sequence[float]]] = MappingProxyType({
    "v1": {"bilateral_weight": (5, 6, 7, 8, 9, 10), "sigma_alpha": (50, 60, 70, 80, 90, 100),
           "sigma_beta": (3, 4, 5, 6, 7, 8, 9, 10)},
    "v2": {"bilateral_weight": (3, 4, 5, 6), "sigma_alpha": (30, 40, 50, 60, 70, 80, 90, 100),
           "sigma_beta": (3, 4, 5, 6)},
})  # fmt: skip
"""The first round of the papers. Both fix the spatial weight and σγ at 3."""
WEIGHTS = ("bilateral_weight", "spatial_weight")
SEARCHABLE = ("bilateral_weight", "sigma_alpha", "sigma_beta", "spatial_weight", "sigma_gamma")

Point = tuple[float, ...]


class Counted(NamedTuple):
    """The confusion matrix of the images counted so far, with one choice of parameters."""

    images: int
    matrix: Array


class Round(NamedTuple):
    """One round: the values that were tried for each parameter, and the score of every combination."""

    values: dict[str, tuple[float, ...]]
    scores: FloatArray
    """One axis for each parameter, in the order of `values`."""
    best: dict[str, float]


class SearchedCRF(NamedTuple):
    """What `search_crf` returns."""

    params: CRFParams
    score: float
    """Of `params`."""
    score_before: float
    """Of the parameters to start from."""
    score_unrefined: float
    """Of the most probable labels, without a CRF."""
    rounds: list[Round]
    at_edge: list[str]
    """Parameters whose best value was the first or the last of the first round: their range may be too narrow."""
    counted: dict[Point, Counted]
    """Everything that was counted, to go on from with more rounds."""


def finer(values: Sequence[float], best: float) -> tuple[float, ...]:
    """Return `best` between two new values, halfway to its neighbours; beyond an edge, as far as on the other side.

    Examples
    --------
    >>> finer((3, 4, 5, 6), 4), finer((3, 4, 5, 6), 6), finer((7,), 7)
    ((3.5, 4, 4.5), (5.5, 6, 6.5), (7,))
    """
    if len(values) == 1:
        return tuple(values)
    i = values.index(best)
    below = values[i] - values[i - 1] if i > 0 else values[1] - values[0]
    above = values[i + 1] - values[i] if i + 1 < len(values) else values[i] - values[i - 1]
    return max(best - below / 2, best / 2), best, best + above / 2


def coarse_to_fine(
    scores: Callable[[list[Point]], Sequence[float]], ranges: Mapping[str, Sequence[float]], rounds: int
) -> Iterator[Round]:
    """Yield rounds; `scores` takes the points of a round, with one number for each of `ranges`, and scores each.

    Of equal scores the first point wins: the one with the smallest values.
    """
    values = {name: tuple(range_) for name, range_ in ranges.items()}
    for _ in range(rounds):
        points = list(product(*values.values()))
        found = np.asarray(scores(points), float).reshape([len(v) for v in values.values()])
        best = dict(zip(values, points[int(found.argmax())], strict=True))
        yield Round(values, found, best)
        values = {name: finer(v, best[name]) for name, v in values.items()}


def _labellings(unary, image, params: list[CRFParams]):
    """Yield the most probable labels (H, W) for each of `params`; those that share their sigmas share a lattice."""
    order = layout.strip_order(image.shape[:2])
    logits = layout.to_rows(unary.reshape(len(unary), -1), order, sign=-1, padding=-np.inf)
    labels = np.empty(len(order), np.int64)
    for _, same in groupby(params, key=lambda p: (p.sigma_alpha, p.sigma_beta, p.sigma_gamma)):
        built: dict[Any, Any] = {}
        for p in same:
            terms = pairwise_terms(image, p, unary.dtype)
            if not terms:
                yield unary.argmin(0)
                continue
            which = p.spatial_weight != 0, p.bilateral_weight != 0
            if which not in built:
                built[which] = joined_lattices("search_crf", terms, order)
            rewards = padded_rewards(terms, len(unary), unary.dtype)
            rows = fused.iterate(*built[which], rewards, logits.copy(), p.iterations)
            labels[order] = rows[:, : len(unary)].argmax(1)
            yield labels.reshape(image.shape[:2])


def _checked_ranges(owner, ranges):
    """Return the ranges with float values in ascending order."""
    if not ranges:
        raise ParameterError(f"{owner}: ranges must name a parameter, one of {', '.join(SEARCHABLE)}.")
    found = {}
    for name, values in ranges.items():
        _check.one_of(owner, "ranges", name, SEARCHABLE)
        try:
            array = np.asarray(values, float).reshape(-1)
        except (TypeError, ValueError):
            array = np.empty(0)
        least = "nonnegative" if name in WEIGHTS else "positive"
        if (
            array.size == 0
            or not np.isfinite(array).all()
            or array.min() < 0
            or (name not in WEIGHTS and not all(array))
        ):
            raise ParameterError(f"{owner}: ranges[{name!r}] must be {least} numbers, got {values!r}.")
        found[name] = tuple(np.unique(array).tolist())
    return found


def _check_shapes(owner, images, probabilities, labels):
    """Check all images before the first is refined; return the number of labels."""
    if not len(images) == len(probabilities) == len(labels) > 0:
        raise ShapeError(
            f"{owner}: images, probabilities and labels must be as many, at least one; got {len(images)}, "
            f"{len(probabilities)} and {len(labels)}."
        )
    count = np.shape(probabilities[0])[:1]
    for i in range(len(images)):
        p, truth = np.shape(probabilities[i]), np.shape(labels[i])
        if len(p) != 3 or p[:1] != count or truth != p[1:] or np.shape(images[i])[:2] != p[1:]:
            raise ShapeError(
                f"{owner}: images[{i}] must be (H, W, C) with probabilities (L, H, W), L as for image 0, and labels "
                f"(H, W); got {np.shape(images[i])}, {p} and {truth}."
            )
    return int(count[0])


@public
def search_crf(
    images: Sequence[Array],
    probabilities: Sequence[Array],
    labels: Sequence[Array],
    start: CRFParams | str = DEFAULT,
    *,
    ranges: Mapping[str, Sequence[float]] = PAPER_RANGES["v2"],
    rounds: int = 3,
    score: Callable[[Array], float] = mean_iou,
    iterations: int | None = None,
    ignore: int = 255,
    intensity_scale: float | None = None,
    counted: Mapping[Point, Counted] = MappingProxyType({}),
    tell: Callable[[dict[Point, Counted], int, int, int], None] = lambda counted, round, done, images: None,
) -> SearchedCRF:
    """Return the parameters with which the CRF's labels are best, by a search that is refined from round to round.

    Parameters
    ----------
    images : sequence of ndarray (H, W, C)
        As for `dense_crf`. A sequence that reads its files when asked keeps memory small: each image is taken once a
        round, and once before the first.
    probabilities : sequence of ndarray (L, H, W)
        What the CRF refines, one for each image.
    labels : sequence of ndarray of int (H, W)
        The truth; `ignore` where it is unknown.
    start : CRFParams or name of a preset
        The parameters that are not searched.
    ranges : mapping of str to sequence of float
        The first round's values of each parameter that is searched, by the field of CRFParams. Every combination is
        tried: v2's ranges, the default, have 128. `PAPER_RANGES` has v1's too.
    rounds : int
        Each later one tries three values of each parameter, with half the step.
    score : callable
        Takes the confusion matrix of all images and returns what should be large, such as `mean_iou`.
    iterations : int, optional
        Steps of mean field, by default those of `start`.
    ignore : int
        Label of pixels that do not count.
    intensity_scale : float, optional
        As for `dense_crf`.
    counted : mapping, optional
        What an earlier search of the same images has counted, from `tell` or the result: it is not counted again.
    tell : callable
        Called with (counted, round, images done, images in all) after each image.

    Returns
    -------
    SearchedCRF

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Arguments that do not fit.

    Notes
    -----
    Cost: mean field for every image and combination, 128 and at most two times 26 with the defaults. On two cores an
    image of 500 × 375 with 21 labels takes some twenty seconds in the first round.

    Examples
    --------
    >>> truth = (np.arange(16) > 7).astype(int)[None].repeat(12, 0)
    >>> image = np.where(truth, 200, 50)[..., None]
    >>> rough = np.where(np.roll(truth, 2, 1), 0.7, 0.3)
    >>> found = search_crf([image], [np.stack([1 - rough, rough])], [truth], CRFParams(3, 5, 20, 1, 1, 5, "after"),
    ...     ranges={"bilateral_weight": (0, 1, 4)}, rounds=2)
    >>> found.params.bilateral_weight > 0, found.score > found.score_unrefined
    (True, True)
    """
    owner = "search_crf"
    params = resolved_params(owner, start, iterations, None, "start")
    ranges = _checked_ranges(owner, ranges)
    rounds = _check.integer(owner, "rounds", rounds, least=1)
    classes = _check_shapes(owner, images, probabilities, labels)
    # All counted points have the same fields, so that rounds of different ranges can share them.
    started: Point = tuple(getattr(params, name) for name in SEARCHABLE)
    found = dict(counted)
    for point, have in found.items():
        if len(point) != len(SEARCHABLE) or np.shape(have.matrix) != (classes, classes) or have.images > len(images):
            raise ParameterError(f"{owner}: counted is of another search: other images, labels or parameters.")

    def with_values(values):
        changed = params._replace(**dict(zip(ranges, values, strict=True)))
        return tuple(float(getattr(changed, name)) for name in SEARCHABLE)

    def count(points, number):
        """Count every image with the parameters that have not seen it."""
        nonlocal found
        points = sorted(set(points), key=lambda p: (p[1], p[2], p[4], p))
        for i in range(len(images)):
            todo = [p for p in points if p not in found or found[p].images <= i]
            if todo:
                unary = unary_from_probabilities(probabilities[i], owner=owner)
                image = checked_image(owner, np.asarray(images[i]), unary.shape, intensity_scale, f"images[{i}]")
                options = [params._replace(**dict(zip(SEARCHABLE, p, strict=True))) for p in todo]
                new = dict(found)
                for p, guess in zip(todo, _labellings(unary, image, options), strict=True):
                    before = found[p].matrix if p in found else 0
                    matrix = before + confusion_matrix(guess, labels[i], classes, ignore=ignore)
                    new[p] = Counted(i + 1, matrix)
                found = new
            tell(found, number, i + 1, len(images))

    def scores(values):
        nonlocal number
        number += 1
        points = [with_values(v) for v in values]
        count([*points, *([started, unrefined] if number == 1 else [])], number)
        return [score(found[p].matrix) for p in points]

    number = 0
    unrefined: Point = (0.0, *started[1:3], 0.0, started[4])
    tried = list(coarse_to_fine(scores, ranges, rounds))
    best = tried[-1].best
    first = tried[0]
    edge = [n for n, v in first.values.items() if len(v) > 1 and first.best[n] in (v[0], v[-1])]
    return SearchedCRF(
        params._replace(**best), float(tried[-1].scores.max()), score(found[started].matrix),
        score(found[unrefined].matrix), tried, edge, found,
    )  # fmt: skip
