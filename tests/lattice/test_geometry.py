"""Where a point lies in the lattice: what the definition promises about elevation, simplex and weights."""

import numpy as np
import pytest
from lattice.cases import CASES

from atrous.lattice.geometry import (
    axis_scales,
    barycentric_weights,
    elevate,
    enclosing_simplex,
    project,
    simplex_vertices,
)

DIMENSIONS = [1, 2, 3, 4, 5, 6, 7, 8, 12, 20]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])


def slack(elevated):
    """Return an absolute tolerance: some roundings of the largest coordinate and of the weights."""
    return 40 * float(np.finfo(elevated.dtype).eps) * max(float(np.abs(elevated).max()), elevated.shape[1])


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_elevation_is_an_isometry_into_the_plane_up_to_scale(dimension):
    columns = elevate(np.eye(dimension))
    np.testing.assert_allclose(columns.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(columns @ columns.T, 2 / 3 * (dimension + 1) ** 2 * np.eye(dimension), atol=1e-11)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_the_filter_has_standard_deviation_one(dimension):
    """Along each axis of the features the blur has variance 3/4; splat and slice add 1/8 each on average."""
    rng = np.random.default_rng(dimension)
    points = rng.uniform(-50, 50, (4000, dimension))
    elevated = elevate(points)
    base, rank = enclosing_simplex(elevated)
    weights = barycentric_weights(elevated, base, rank)
    away = simplex_vertices(base, rank) - elevated[:, None]
    interpolation = np.einsum("pr,pri,prj->ij", weights, away, away) / len(points)
    steps = (dimension + 1) * np.eye(dimension + 1) - 1
    blur = steps @ steps / 2
    columns = elevate(np.eye(dimension)) / (2 / 3 * (dimension + 1) ** 2)
    np.testing.assert_allclose(columns @ blur @ columns.T, 0.75 * np.eye(dimension), atol=1e-12)
    np.testing.assert_allclose(columns @ interpolation @ columns.T, 0.125 * np.eye(dimension), atol=0.01)


def test_scales_are_the_published_ones():
    for dimension in DIMENSIONS:
        for i, scale in enumerate(axis_scales(dimension)):
            assert scale == pytest.approx((dimension + 1) * (2 / 3) ** 0.5 / ((i + 1) * (i + 2)) ** 0.5, rel=1e-15)


@each_case
@dtypes
def test_points_of_the_simplex(case, dtype, rng):
    features = case.draw(rng, dtype)
    corners = case.axes + 1
    elevated = elevate(features)
    assert elevated.dtype == dtype
    tolerance = slack(elevated)
    assert np.abs(elevated.sum(axis=1, dtype=np.float64)).max() <= tolerance

    base, rank = enclosing_simplex(elevated)
    assert not (base.sum(axis=1)).any()
    assert not (base % corners).any()
    assert np.array_equal(np.sort(rank, axis=1), np.broadcast_to(np.arange(corners), rank.shape))
    residual = elevated.astype(np.float64) - base
    by_rank = np.take_along_axis(residual, np.argsort(rank, axis=1), axis=1)
    assert np.diff(by_rank, axis=1).max(initial=-np.inf) <= tolerance

    weights = barycentric_weights(elevated, base, rank)
    assert weights.dtype == dtype
    assert weights.min() >= -tolerance
    assert weights.max() <= 1 + tolerance
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=tolerance)

    vertices = simplex_vertices(base, rank)
    assert not vertices.sum(axis=2).any()
    remainders = np.broadcast_to(np.arange(corners)[:, None], vertices.shape[1:])
    assert np.array_equal(vertices % corners, np.broadcast_to(remainders, vertices.shape))
    rebuilt = np.einsum("pr,pri->pi", weights.astype(np.float64), vertices)
    np.testing.assert_allclose(rebuilt, elevated, atol=corners * tolerance)


@each_case
def test_projection_undoes_elevation(case, rng):
    features = case.draw(rng)
    np.testing.assert_allclose(project(elevate(features)), features, atol=1e-11 * max(1, np.abs(features).max()))


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_a_vertex_is_its_own_simplex(dimension, rng):
    """A point on a vertex of remainder 0 has it as its base and all of its weight there."""
    corners = dimension + 1
    vertex = corners * rng.integers(-5, 6, (30, corners))
    vertex[:, 0] -= vertex.sum(axis=1)
    elevated = vertex.astype(float)
    base, rank = enclosing_simplex(elevated)
    assert np.array_equal(base, vertex)
    weights = barycentric_weights(elevated, base, rank)
    assert np.array_equal(weights, np.eye(1, corners)[[0] * 30])


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_moving_by_a_vertex_of_remainder_0_moves_the_simplex(dimension, rng):
    corners = dimension + 1
    elevated = elevate(rng.uniform(-3, 3, (50, dimension)))
    shift = corners * rng.integers(-4, 5, corners)
    shift[0] -= shift.sum()
    base, rank = enclosing_simplex(elevated)
    moved_base, moved_rank = enclosing_simplex(elevated + shift)
    assert np.array_equal(moved_base, base + shift)
    assert np.array_equal(moved_rank, rank)
