"""The gradients of mean field: exact mode and the lattice against difference quotients, of every input."""

import numpy as np
import pytest
from tolerances import assert_close, relative_error

import atrous
from atrous import Pairwise, build_lattice, lattice_filter, mean_field, mean_field_backward, mean_field_forward
from atrous.crf.kernels import Kernel
from atrous.crf.reference import pairwise_matrix
from atrous.lattice.geometry import barycentric_weights, elevate, enclosing_simplex
from atrous.lattice.gradient import (
    elevate_backward,
    exact_features_backward,
    lattice_features_backward,
    weights_backward,
)

NORMALIZATIONS = ("none", "before", "after", "symmetric")
POINTS, LABELS = 11, 3


def simplices(features):
    """Return the simplex of every point, as numbers to compare."""
    return np.concatenate(enclosing_simplex(elevate(features)), axis=1)


def inside(rng, dimension, count=POINTS, margin=3e-3):
    """Return features that stay in their simplices if they move by less than `margin` along an axis."""
    features = 0.7 * rng.standard_normal((count, dimension))
    while True:
        weights = barycentric_weights(elevate(features), *enclosing_simplex(elevate(features)))
        close = weights.min(1) < 4 * margin
        if not close.any():
            return features
        features[close] = 0.7 * rng.standard_normal((int(close.sum()), dimension))


def problem(rng, normalization="symmetric", dimension=2):
    """Return a unary and two terms: one with a matrix of costs, one with a vector of rewards."""
    unary = rng.standard_normal((LABELS, POINTS))
    matrix, vector = 0.6 * rng.standard_normal((LABELS, LABELS)), 0.3 * rng.standard_normal(LABELS)
    features = inside(rng, dimension), inside(rng, 1)
    return unary, [Pairwise(features[0], matrix, normalization), Pairwise(features[1], vector, "none")]


def quotient(loss, array, step=4e-4):
    """Return central differences of a loss for every entry, extrapolated from two steps."""
    found = np.zeros(array.shape)
    for index in np.ndindex(array.shape):
        values = []
        for h in (step, step / 2):
            ends = []
            for sign in (1, -1):
                moved = array.copy()
                moved[index] += sign * h
                ends.append(loss(moved))
            values.append((ends[0] - ends[1]) / (2 * h))
        found[index] = (4 * values[1] - values[0]) / 3
    return found


def replaced(terms, k, **changes):
    return [term._replace(**changes) if i == k else term for i, term in enumerate(terms)]


@pytest.mark.parametrize("dimension", [1, 2, 3, 5])
def test_weights_and_elevation_are_linear_maps(dimension, rng):
    """The adjoint of the way from features to weights: <d weights, dw> = <d features, df>, simplices fixed."""
    features = inside(rng, dimension)
    base, rank = enclosing_simplex(elevate(features))
    step, dw = rng.standard_normal(features.shape), rng.standard_normal((POINTS, dimension + 1))

    def weights(f):
        return barycentric_weights(elevate(f), base, rank)

    moved = np.vdot(weights(features + step) - weights(features), dw)
    assert moved == pytest.approx(np.vdot(elevate_backward(weights_backward(dw, rank)), step), rel=1e-11)


@pytest.mark.parametrize("dimension", [1, 2, 3, 5])
def test_the_lattice_to_its_features(dimension, rng):
    features = inside(rng, dimension)
    a, b = rng.standard_normal((2, POINTS, 35))  # more channels than are gathered at once

    def loss(f):
        assert np.array_equal(simplices(f), simplices(features)), "a point left its simplex"
        return np.vdot(a, lattice_filter(build_lattice(f), b))

    found = lattice_features_backward(build_lattice(features), features, a, b)
    assert_close(found, quotient(loss, features), "gradient")


def test_the_gaussian_to_its_features(rng):
    features, (a, b) = rng.standard_normal((POINTS, 3)), rng.standard_normal((2, POINTS, 4))
    found = exact_features_backward(features, a, b)
    assert_close(found, quotient(lambda f: np.vdot(a, atrous.gaussian_sum(f, b)), features), "gradient")


@pytest.mark.parametrize("method", ["lattice", "exact"])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_kernel_and_its_adjoint(method, normalization, rng):
    term = Pairwise(rng.standard_normal((POINTS, 2)), 1.0, normalization)
    kernel = Kernel(term, method)
    q, d = rng.standard_normal((2, LABELS, POINTS))
    assert np.vdot(kernel.forward(q), d) == pytest.approx(
        np.vdot(q, kernel.backward(d, q, kernel.forward(q))), rel=1e-12
    )
    if method == "exact":
        assert_close(kernel.forward(q), q @ pairwise_matrix(term).T, "reordered")


def agree(found, expected):
    """Several steps bend a loss more than one filter does: difference quotients are good to seven digits."""
    assert relative_error(found, expected) <= 3e-7


CASES = {
    "plain": {},
    "damped": {"damping": 0.3},
    "few are stored": {"store": False, "iterations": 5},
    "one step": {"iterations": 1},
    "masks": {"ignore": np.arange(POINTS) % 5 == 2, "fixed": np.where(np.arange(POINTS) % 7 == 3, 1, -1)},
    "from a start": {"start": True},
}


# Normalisation and options touch different lines: all pairs of them are for the slow tests.
PAIRS = [
    pytest.param(n, c, marks=() if c == "plain" or n == "symmetric" else pytest.mark.slow)
    for n in NORMALIZATIONS
    for c in CASES
]


@pytest.mark.parametrize("method", ["lattice", "exact"])
@pytest.mark.parametrize(("normalization", "case"), PAIRS)
def test_every_gradient(method, normalization, case, rng):
    options = {"iterations": 3, "method": method, **CASES[case]}
    unary, terms = problem(rng, normalization)
    start = rng.dirichlet(np.ones(LABELS), POINTS).T if options.pop("start", False) else None
    d = rng.standard_normal(unary.shape)

    def loss(unary=unary, terms=terms, start=start):
        if method == "lattice":
            for moved, term in zip(terms, first, strict=True):
                assert np.array_equal(simplices(moved.features), simplices(term.features)), "a point left its simplex"
        return np.vdot(mean_field_forward(unary, terms, start=start, **options)[0], d)

    first = terms
    q, cache = mean_field_forward(unary, terms, start=start, **options)
    plain = {name: value for name, value in options.items() if name != "store"}
    assert_close(q, mean_field(unary, terms, start=start, **plain), "reordered")
    grads = mean_field_backward(d, cache)
    agree(grads.unary, quotient(loss, unary))
    for k, term in enumerate(terms):
        expected = quotient(lambda c, k=k: loss(terms=replaced(terms, k, compatibility=c)), term.compatibility)
        agree(grads.compatibility[k], expected)
        expected = quotient(lambda f, k=k: loss(terms=replaced(terms, k, features=f)), term.features)
        agree(grads.features[k], expected)
    assert (grads.start is None) == (start is None)
    if start is not None:

        def along(direction):
            """Keep the sums at 1, as `start` must."""
            return lambda t: loss(start=start + t * direction)

        for _ in range(3):
            direction = rng.standard_normal(start.shape) * start.min(0)
            direction -= direction.mean(0)
            expected = quotient(along(direction), np.zeros(()))
            assert float(expected) == pytest.approx(np.vdot(grads.start, direction), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_without_the_self_message(normalization, rng):
    unary, terms = problem(rng, normalization)
    d, options = rng.standard_normal(unary.shape), {"iterations": 3, "method": "exact", "self_message": False}
    q, cache = mean_field_forward(unary, terms, **options)
    assert_close(q, mean_field(unary, terms, **options), "reordered")
    grads = mean_field_backward(d, cache)

    def loss(features):
        return np.vdot(mean_field_forward(unary, replaced(terms, 0, features=features), **options)[0], d)

    agree(grads.features[0], quotient(loss, terms[0].features))


def test_a_number_as_weight_and_a_grid(rng):
    unary = rng.standard_normal((2, 3, 4)).astype(np.float32)
    term = atrous.spatial_pairwise((3, 4), 1.5, 2.0)
    q, cache = mean_field_forward(unary, term, iterations=2)
    grads = mean_field_backward(np.ones_like(q), cache)
    assert q.dtype == grads.unary.dtype == grads.features[0].dtype == np.float32
    assert grads.unary.shape == (2, 3, 4)
    assert grads.compatibility[0].shape == ()
    assert grads.features[0].shape == (12, 2)


def test_nothing_to_do(rng):
    unary, terms = problem(rng)
    d = rng.standard_normal(unary.shape)
    for options in ({"iterations": 0}, {"ignore": np.ones(POINTS, bool)}):

        def loss(unary, options=options):
            return np.vdot(mean_field_forward(unary, terms, **options)[0], d)

        grads = mean_field_backward(d, mean_field_forward(unary, terms, **options)[1])
        agree(grads.unary, quotient(loss, unary))
        assert not any(g.any() for g in (*grads.features, *grads.compatibility))


def test_what_is_stored(rng):
    unary, terms = problem(rng)
    steps = [len(mean_field_forward(unary, terms, iterations=9, store=s)[1].kept) for s in (True, False)]
    assert steps == [9, 3]


def test_what_is_refused(rng):
    unary, terms = problem(rng)
    with pytest.raises(atrous.ParameterError, match='self_message=False needs method="exact"'):
        mean_field_forward(unary, terms, self_message=False)
    with pytest.raises(atrous.ParameterError, match="method must be one of 'lattice', 'exact'; got 'auto'"):
        mean_field_forward(unary, terms, method="auto")
    q, cache = mean_field_forward(unary, terms)
    with pytest.raises(atrous.ShapeError, match="d_marginals must have shape"):
        mean_field_backward(q[:, :-1], cache)
    with pytest.raises(atrous.ShapeError, match="a and b"):
        exact_features_backward(terms[0].features, q.T, q)


def test_gradients_without_those_to_the_features(rng):
    unary = rng.standard_normal((3, 4, 5))
    terms = [atrous.spatial_pairwise((4, 5), 1.5, 0.7, dtype=np.float64)]
    _, cache = atrous.mean_field_forward(unary, terms, iterations=3)
    d = rng.standard_normal(unary.shape)
    whole, part = (atrous.mean_field_backward(d, cache, features=features) for features in (True, False))
    assert part.features == ()
    assert np.array_equal(part.unary, whole.unary)
    assert np.array_equal(part.compatibility[0], whole.compatibility[0])
