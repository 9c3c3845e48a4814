"""Mean field: every form against matrices and enumeration, what must not change it, and what it must lower."""

import itertools
import json
import os
import re
import subprocess
import sys

import numba
import numpy as np
import pytest
from oracles import dense_gauss, enumerate_crf
from tolerances import assert_close

import atrous
from atrous import (
    Pairwise,
    bilateral_pairwise,
    build_lattice,
    exact_marginals,
    free_energy,
    labelling_energy,
    lattice_filter,
    mean_field,
    spatial_pairwise,
    unary_from_labels,
    unary_from_probabilities,
)
from atrous.crf.compatibility import agreement
from atrous.crf.layout import strip_order
from atrous.errors import AtrousError, BackendUnavailable, DTypeError, ParameterError, ShapeError
from atrous.jit.exponential import exp_nonpositive
from atrous.lattice import build

NORMALIZATIONS = ("none", "before", "after", "symmetric")
COMPATIBILITIES = ("number", "vector", "matrix")
dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
methods = pytest.mark.parametrize("method", ["lattice", "exact"])
each_normalization = pytest.mark.parametrize("normalization", NORMALIZATIONS)
each_compatibility = pytest.mark.parametrize("compatibility", COMPATIBILITIES)


def draw_compatibility(rng, kind, labels, scale=1.0):
    """Return a number or vector that rewards, or a matrix of costs that is not symmetric."""
    if kind == "number":
        return scale * rng.uniform(0.5, 2)
    return scale * rng.uniform(-1, 2, labels) if kind == "vector" else scale * rng.normal(0, 1.5, (labels, labels))


def draw(rng, labels=3, points=40, normalization="symmetric", compatibility="number", dtype=np.float64, spread=2.0):
    """Return (unary, pairwise): one term of two axes and one of three, of different sizes."""
    unary = 2 * rng.standard_normal((labels, points))
    found = []
    for axes, scale in ((2, 1.0), (3, 0.6)):
        features = np.cumsum(rng.normal(0, spread / 4, (points, axes)), axis=0)
        c = draw_compatibility(rng, compatibility, labels, scale * (0.2 if normalization == "none" else 1.0))
        found.append(Pairwise(features.astype(dtype), c, normalization))
    return unary.astype(dtype), found


def lattice_matrix(features):
    eye = np.eye(len(features), dtype=features.dtype)
    return lattice_filter(build_lattice(features), eye).astype(np.float64)


def oracle_terms(pairwise, labels, method="exact", *, self_message=True):
    """Return the pairwise terms as the oracles take them; for the lattice, with the matrix of its filter."""
    make = dense_gauss.gaussian_matrix if method == "exact" else lattice_matrix
    return [
        (
            dense_gauss.carrier(make(k.features), k.normalization, self_message=self_message),
            dense_gauss.costs(k.compatibility, labels),
        )
        for k in pairwise
    ]


def expect(unary, pairwise, iterations, method="exact", *, self_message=True, **options):
    found = oracle_terms(pairwise, len(unary), method, self_message=self_message)
    return dense_gauss.mean_field(unary, found, iterations, **options)


# Against matrices


@each_normalization
@each_compatibility
@pytest.mark.parametrize("self_message", [True, False], ids=["self", "others"])
@methods
def test_marginals_equal_those_of_matrices(method, normalization, compatibility, self_message, rng):
    unary, pairwise = draw(rng, 3, 40, normalization, compatibility)
    q = mean_field(unary, pairwise, iterations=3, method=method, self_message=self_message)
    assert_close(q, expect(unary, pairwise, 3, method, self_message=self_message), "reordered")


@each_normalization
@each_compatibility
@methods
def test_float32_is_as_near_as_it_can_be(method, normalization, compatibility, rng):
    unary, pairwise = draw(rng, 3, 40, normalization, compatibility, np.float32)
    q = mean_field(unary, pairwise, iterations=2, method=method)
    assert q.dtype == np.float32
    np.testing.assert_allclose(q, expect(unary, pairwise, 2, method), atol=1e-5)


@each_normalization
@each_compatibility
@dtypes
def test_one_pass_equals_step_by_step_over_many_blocks(normalization, compatibility, dtype, rng, monkeypatch):
    monkeypatch.setattr(build, "BLOCK", 192)
    points = 1500
    unary, pairwise = draw(rng, 4, points, "none", compatibility, dtype)
    pairwise = [k._replace(normalization=normalization) for k in pairwise]
    q = mean_field(unary, pairwise, iterations=3)
    lattices = [build_lattice(k.features) for k in pairwise]
    norms = [lattice_filter(lattice, np.ones((points, 1), dtype))[:, 0] for lattice in lattices]
    left, right = {"none": (0, 0), "before": (0, 1), "after": (1, 0), "symmetric": (0.5, 0.5)}[normalization]
    expected = softmax(-unary)
    for _ in range(3):
        logits = -unary
        for k, lattice, n in zip(pairwise, lattices, norms, strict=True):
            message = lattice_filter(lattice, np.ascontiguousarray((expected * n**-right).T)).T * n**-left
            logits = logits - (dense_gauss.costs(k.compatibility, 4) @ message).astype(dtype)
        expected = softmax(logits)
    np.testing.assert_allclose(q, expected, atol=1e-11 if dtype == np.float64 else 2e-5)


def softmax(z):
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


def test_kernels_of_different_normalizations_and_compatibilities_meet(rng):
    unary, (first, second) = draw(rng, 5, 60)
    for a, b in itertools.permutations(NORMALIZATIONS, 2):
        for c, d in itertools.permutations(COMPATIBILITIES, 2):
            pairwise = [
                first._replace(normalization=a, compatibility=draw_compatibility(rng, c, 5, 0.3)),
                second._replace(normalization=b, compatibility=draw_compatibility(rng, d, 5, 0.3)),
            ]
            q = mean_field(unary, pairwise, iterations=2)
            assert_close(q, expect(unary, pairwise, 2, "lattice"), "reordered")


@pytest.mark.parametrize(
    "axes", [(1,), (5,), (8, 1), (12,), *(pytest.param(a, marks=pytest.mark.slow) for a in [(1, 2, 5), (2, 2, 2, 2)])]
)
def test_any_number_of_kernels_and_axes(axes, rng):
    unary = rng.standard_normal((3, 50))
    pairwise = [Pairwise(rng.standard_normal((50, d)), 1.0, "after") for d in axes]
    assert_close(mean_field(unary, pairwise, iterations=2), expect(unary, pairwise, 2, "lattice"), "reordered")


@pytest.mark.parametrize("labels", [1, 2, 7, 8, 9, 21, 33, 300])
@each_compatibility
@dtypes
def test_any_number_of_labels(labels, compatibility, dtype, rng):
    scale = 1.0 if labels < 100 else 0.1
    unary = rng.standard_normal((labels, 30)).astype(dtype)
    features = rng.standard_normal((30, 2)).astype(dtype)
    pairwise = [Pairwise(features, draw_compatibility(rng, compatibility, labels, scale), "symmetric")]
    q = mean_field(unary, pairwise, iterations=2)
    np.testing.assert_allclose(q.sum(axis=0), 1, atol=1e-6 if dtype == np.float32 else 1e-13)
    atol = 1e-11 if dtype == np.float64 else 2e-5
    np.testing.assert_allclose(q, expect(unary, pairwise, 2, "lattice"), atol=atol)
    damped = mean_field(unary, pairwise, iterations=2, damping=1e-9)
    np.testing.assert_allclose(q, damped, atol=max(atol, 1e-8))


@pytest.mark.parametrize("shape", [(1,), (1, 1), (1, 9), (9, 1), (5, 7), (33, 40), (1, 1, 1), (3, 4, 5), (12, 1, 11)])
@dtypes
def test_grids_of_any_shape(shape, dtype, rng):
    unary = rng.standard_normal((3, *shape)).astype(dtype)
    image = rng.integers(0, 256, (*shape, 2))
    pairwise = [spatial_pairwise(shape, 2.9, 1.5, normalization="after", dtype=dtype)]
    if len(shape) > 1:
        pairwise.append(bilateral_pairwise(image, 5.3, 40, 2.0, dtype=dtype))
    q = mean_field(unary, pairwise, iterations=2)
    assert q.shape == unary.shape
    assert q.dtype == dtype
    flat = mean_field(unary.reshape(3, -1), pairwise, iterations=2)
    atol = 1e-11 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(q.reshape(3, -1), flat, atol=atol)
    if len(flat[0]) <= 400:
        np.testing.assert_allclose(flat, expect(unary.reshape(3, -1), pairwise, 2, "lattice"), atol=max(atol, 2e-5))


def test_kernels_lie_as_the_points_of_the_grid(rng):
    """Features in the order x, y, channels, each divided by its own sigma; points in the order of ravel."""
    image = rng.integers(0, 256, (4, 5, 3))
    term = bilateral_pairwise(image, (2.0, 4.0), (8, 16, 32), 1.0, spacing=(1.0, 0.5), dtype=np.float64)
    for point, (y, x) in zip(term.features, np.ndindex(4, 5), strict=True):
        np.testing.assert_allclose(point, [x * 0.5 / 4, y / 2, *image[y, x] / (8, 16, 32)], rtol=1e-14)
    term = spatial_pairwise((2, 3, 4), (1.0, 2.0, 4.0), 1.0, dtype=np.float64)
    for point, (z, y, x) in zip(term.features, np.ndindex(2, 3, 4), strict=True):
        assert point.tolist() == [x / 4, y / 2, z]
    assert spatial_pairwise((2, 3), 1.0, 1.0).features.dtype == np.float32


def test_voxel_spacing_is_a_scale_of_sigma(rng):
    shape, spacing, sigma = (4, 6, 5), (3.0, 0.7, 0.7), (6.0, 4.0, 2.0)
    unary, image = rng.standard_normal((2, *shape)), rng.normal(0, 50, (*shape, 1))
    scaled = np.divide(sigma, spacing)
    by_spacing = [
        spatial_pairwise(shape, sigma, 1.0, spacing=spacing, dtype=np.float64),
        bilateral_pairwise(image, sigma, 20.0, 2.0, spacing=spacing, dtype=np.float64),
    ]
    by_sigma = [
        spatial_pairwise(shape, scaled, 1.0, dtype=np.float64),
        bilateral_pairwise(image, scaled, 20.0, 2.0, dtype=np.float64),
    ]
    a, b = (mean_field(unary, pairwise, iterations=3) for pairwise in (by_spacing, by_sigma))
    assert_close(a, b, "reordered")
    assert np.abs(a - mean_field(unary, [k._replace(features=k.features / 2) for k in by_sigma])).max() > 1e-3


# Options


@methods
@pytest.mark.parametrize("damping", [0.0, 0.4])
def test_a_run_is_continued_from_its_marginals(method, damping, rng):
    unary, pairwise = draw(rng, 3, 50)
    options = {"method": method, "damping": damping}
    whole = mean_field(unary, pairwise, iterations=5, **options)
    part = mean_field(unary, pairwise, iterations=2, **options)
    assert_close(mean_field(unary, pairwise, iterations=3, start=part, **options), whole, "reordered")
    start = rng.dirichlet(np.ones(3), 50).T
    q = mean_field(unary, pairwise, iterations=2, start=start, **options)
    assert_close(q, expect(unary, pairwise, 2, method, start=start, damping=damping), "reordered")


@methods
@pytest.mark.parametrize("damping", [0.0, 0.4])
def test_no_step_returns_the_start(method, damping, rng):
    unary, pairwise = draw(rng, 3, 20)
    options = {"method": method, "damping": damping, "iterations": 0}
    assert_close(mean_field(unary, pairwise, **options), softmax(-unary), "reordered")
    start = rng.dirichlet(np.ones(3), 20).T
    assert_close(mean_field(unary, pairwise, start=start, **options), start, "reordered")


@methods
@pytest.mark.parametrize("self_message", [True, False])
def test_damping_keeps_a_share(method, self_message, rng):
    unary, pairwise = draw(rng, 3, 30)
    q = mean_field(unary, pairwise, iterations=4, method=method, damping=0.3, self_message=self_message)
    assert_close(q, expect(unary, pairwise, 4, method, damping=0.3, self_message=self_message), "reordered")


RUNS = [
    pytest.param({}, id="one pass"),
    pytest.param({"damping": 0.2}, id="steps"),
    pytest.param({"method": "exact"}, id="exact"),
    pytest.param({"method": "exact", "update": "sequential"}, id="sequential"),
    pytest.param({"self_message": False}, id="no self"),
]
runs = pytest.mark.parametrize("options", RUNS)


@runs
@pytest.mark.parametrize("with_ignored", [False, True])
def test_callback_sees_every_step(options, with_ignored, rng):
    shape = (3, 35, 4)
    unary = rng.standard_normal(shape)
    term = spatial_pairwise(shape[1:], 1.9, 2.0, dtype=np.float64)
    if with_ignored:
        options = options | {"ignore": rng.random(shape[1:]) < 0.3}
    seen, told = [], []

    def callback(step, q):
        seen.append((step, q.copy()))
        q[:] = np.nan  # a copy: what is done to it has no effect

    def progress(*what):
        told.append(what)

    q = mean_field(unary, term, iterations=3, callback=callback, progress=progress, **options)
    assert [step for step, _ in seen] == [1, 2, 3]
    assert told == [(1, 3, ""), (2, 3, ""), (3, 3, "")]
    np.testing.assert_array_equal(seen[-1][1], q)
    np.testing.assert_array_equal(q, mean_field(unary, term, iterations=3, **options))
    for step, marginals in seen[:-1]:
        assert_close(marginals, mean_field(unary, term, iterations=step, **options), "reordered")


@runs
def test_callback_may_end_the_run(options, rng):
    unary, pairwise = draw(rng, 3, 30, dtype=np.float64)
    steps = []

    def callback(step, q):
        steps.append(step)
        return step == 2

    q = mean_field(unary, pairwise[:1], iterations=9, callback=callback, **options)
    assert steps == [1, 2]
    assert_close(q, mean_field(unary, pairwise[:1], iterations=2, **options), "reordered")


@runs
def test_tolerance_ends_the_run(options, rng):
    unary, pairwise = draw(rng, 3, 30)
    path = []
    mean_field(unary, pairwise[:1], iterations=40, callback=lambda _, q: path.append(q), **options)
    changes = [np.abs(a - b).max() for a, b in itertools.pairwise(path)]
    limit = 1.5 * changes[2]
    wanted = next(i for i, change in enumerate(changes) if change <= limit) + 2
    steps = []
    q = mean_field(
        unary, pairwise[:1], iterations=40, tolerance=limit, callback=lambda step, _: steps.append(step), **options
    )
    assert steps[-1] == wanted
    assert_close(q, path[wanted - 1], "reordered")


@runs
def test_ignored_points_send_and_hear_nothing(options, rng):
    unary, ignore = rng.standard_normal((3, 72)), rng.random(72) < 0.4
    term = bilateral_pairwise(rng.normal(0, 30, (9, 8, 1)), 2.1, 25.0, 2.0, dtype=np.float64)
    start = rng.dirichlet(np.ones(3), 72).T
    q = mean_field(unary, term, iterations=3, ignore=ignore, start=start, **options)
    assert_close(q[:, ignore], softmax(-unary[:, ignore]), "reordered")
    rest = term._replace(features=term.features[~ignore])
    alone = mean_field(unary[:, ~ignore], rest, iterations=3, start=start[:, ~ignore], **options)
    assert_close(q[:, ~ignore], alone, "reordered")
    if options.get("update") != "sequential":  # whose result depends on the order of the points
        grid = {"ignore": ignore.reshape(9, 8), "start": start.reshape(3, 9, 8)}
        on_a_grid = mean_field(unary.reshape(3, 9, 8), term, iterations=3, **grid, **options)
        assert_close(on_a_grid.reshape(3, 72), q, "reordered")


@runs
def test_masks_that_are_empty_or_full(options, rng):
    unary = rng.standard_normal((3, 6, 5))
    term = spatial_pairwise((6, 5), 1.9, 2.0, dtype=np.float64)
    plain = mean_field(unary, term, iterations=2, **options)
    nobody = np.zeros((6, 5), bool)
    np.testing.assert_array_equal(mean_field(unary, term, iterations=2, ignore=nobody, **options), plain)
    free = np.full((6, 5), -1)
    np.testing.assert_array_equal(mean_field(unary, term, iterations=2, fixed=free, **options), plain)
    assert_close(mean_field(unary, term, iterations=2, ignore=~nobody, **options), softmax(-unary), "reordered")
    fixed = rng.integers(0, 3, (6, 5))
    q = mean_field(unary, term, iterations=2, fixed=fixed, **options)
    np.testing.assert_array_equal(q, np.arange(3)[:, None, None] == fixed)


@runs
def test_a_fixed_label_is_an_infinite_energy_of_the_others(options, rng):
    unary = rng.standard_normal((3, 6, 5))
    term = spatial_pairwise((6, 5), 1.9, -2.0 * np.eye(3), dtype=np.float64)
    fixed = np.where(rng.random((6, 5)) < 0.2, rng.integers(0, 3, (6, 5)), -1)
    excluded = unary.copy()
    excluded[(np.arange(3)[:, None, None] != fixed) & (fixed >= 0)] = np.inf
    q = mean_field(unary, term, iterations=3, fixed=fixed, **options)
    assert_close(q, mean_field(excluded, term, iterations=3, **options), "reordered")
    np.testing.assert_array_equal(q.argmax(axis=0)[fixed >= 0], fixed[fixed >= 0])
    assert np.abs(q - mean_field(unary, term, iterations=3, **options))[:, fixed < 0].max() > 1e-3


def test_an_excluded_label_stays_excluded(rng):
    for method, dtype in itertools.product(("lattice", "exact"), (np.float32, np.float64)):
        unary, pairwise = draw(rng, 3, 30, dtype=dtype)
        unary[2, 5:] = np.inf
        q = mean_field(unary, pairwise, iterations=3, method=method)
        assert not q[2, 5:].any()
        assert np.isfinite(q).all()


# What must not change the result


@methods
@dtypes
def test_without_weight_the_marginals_are_softmax(method, dtype, rng):
    unary, pairwise = draw(rng, 5, 40, dtype=dtype)
    for nothing in (0, np.zeros(5), np.zeros((5, 5))):
        q = mean_field(unary, [k._replace(compatibility=nothing) for k in pairwise], method=method)
        assert_close(q, softmax(-unary.astype(float)), "reordered")
    assert_close(mean_field(unary, [], method=method), softmax(-unary.astype(float)), "reordered")


@methods
@dtypes
def test_constant_marginals_send_their_own_constant_where_averages_are_taken(method, dtype, rng):
    p = rng.dirichlet(np.ones(4)).astype(dtype)
    unary = np.repeat(-np.log(p)[:, None], 50, axis=1)
    term = Pairwise(rng.standard_normal((50, 3)).astype(dtype), 1.7, "after")
    q = mean_field(unary, term, iterations=1, method=method)
    expected = softmax(np.log(p.astype(float)) + 1.7 * p)
    np.testing.assert_allclose(q, np.repeat(expected[:, None], 50, axis=1), rtol=1e-5 if dtype == np.float32 else 1e-12)


@methods
@pytest.mark.parametrize("shift", [-300.0, 300.0])
def test_a_constant_added_to_all_labels_of_a_point_changes_nothing(method, shift, rng):
    unary, pairwise = draw(rng, 3, 40, compatibility="matrix")
    shifted = unary + shift * rng.random(40)
    q = mean_field(unary, pairwise, iterations=3, method=method)
    np.testing.assert_allclose(mean_field(shifted, pairwise, iterations=3, method=method), q, atol=1e-10)


@methods
@each_compatibility
def test_permuted_labels_permute_the_result(method, compatibility, rng):
    unary, pairwise = draw(rng, 5, 40, compatibility=compatibility)
    order = rng.permutation(5)
    permuted = []
    for k in pairwise:
        c = np.asarray(k.compatibility)
        permuted.append(k._replace(compatibility=c if c.ndim == 0 else c[order] if c.ndim == 1 else c[order][:, order]))
    q = mean_field(unary, pairwise, iterations=3, method=method)
    assert_close(mean_field(unary[order], permuted, iterations=3, method=method), q[order], "reordered")


@methods
@each_normalization
def test_permuted_points_permute_the_result(method, normalization, rng, monkeypatch):
    monkeypatch.setattr(build, "BLOCK", 192)
    unary, pairwise = draw(rng, 3, 1500 if method == "lattice" else 60, normalization, "matrix", spread=0.5)
    if normalization == "none":
        pairwise = [k._replace(compatibility=k.compatibility / 40) for k in pairwise]
    order = rng.permutation(unary.shape[1])
    permuted = [k._replace(features=k.features[order]) for k in pairwise]
    a = mean_field(unary[:, order], permuted, iterations=3, method=method)
    np.testing.assert_allclose(a, mean_field(unary, pairwise, iterations=3, method=method)[:, order], atol=1e-9)


@methods
def test_three_ways_to_say_potts(method, rng):
    unary, pairwise = draw(rng, 4, 40)
    w = 1.3
    results = [
        mean_field(unary, [k._replace(compatibility=c) for k in pairwise], iterations=3, method=method)
        for c in (w, np.full(4, w), -w * np.eye(4), w * (1 - np.eye(4)))
    ]
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], atol=1e-11)


def test_a_matrix_counts_by_its_symmetric_half(rng):
    unary, pairwise = draw(rng, 4, 40, compatibility="matrix")
    turned = [k._replace(compatibility=k.compatibility.T) for k in pairwise]
    assert_close(mean_field(unary, turned), mean_field(unary, pairwise), "reordered")


def test_attraction_smooths_and_repulsion_does_not():
    unary = np.zeros((2, 1, 9))
    unary[1] = 1.0
    unary[1, 0, 4] = -1.0
    term = spatial_pairwise((1, 9), 2.0, 4.0, dtype=np.float64)
    assert not mean_field(unary, term).argmax(axis=0).any()
    assert mean_field(unary, term._replace(compatibility=-4.0), iterations=1)[0, 0, 1] < softmax(-unary)[0, 0, 1]


LAYOUTS = {
    "every other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "Fortran": np.asfortranarray,
    "labels last": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 0, -1)), -1, 0),
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "nested lists": np.ndarray.tolist,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_does_not_matter(layout, rng):
    unary = rng.standard_normal((3, 6, 5))
    start = np.moveaxis(rng.dirichlet(np.ones(3), (6, 5)), -1, 0)
    term = spatial_pairwise((6, 5), 1.9, rng.standard_normal((3, 3)), dtype=np.float64)
    change = LAYOUTS[layout]
    other = term._replace(features=change(term.features), compatibility=change(term.compatibility))
    for options in ({}, {"method": "exact"}, {"damping": 0.5}):
        expected = mean_field(unary, term, iterations=2, start=start, **options)
        found = mean_field(change(unary), other, iterations=2, start=change(start), **options)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.float64
        assert found.dtype.isnative


def test_inputs_are_left_alone(rng):
    unary, pairwise = draw(rng, 3, 30, compatibility="matrix")
    start, fixed = rng.dirichlet(np.ones(3), 30).T, np.full(30, -1)
    fixed[3] = 1
    arrays = [unary, start, fixed, *(k.features for k in pairwise), *(k.compatibility for k in pairwise)]
    kept = [a.copy() for a in arrays]
    for options in ({}, {"method": "exact"}, {"damping": 0.5}, {"method": "exact", "update": "sequential"}):
        for extra in ({}, {"start": start}, {"fixed": fixed}):
            q = mean_field(unary, pairwise, iterations=2, **extra, **options)
            assert not any(np.shares_memory(q, a) for a in arrays)
            assert q.flags.writeable
            for a, b in zip(arrays, kept, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("given", [np.float64, np.float32])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "exact"},
        {"method": "exact", "update": "sequential"},
        {"damping": 0.5},
        {"self_message": False},
        {"iterations": 0},
        {"tolerance": 0.01},
    ],
    ids=str,
)
def test_the_unary_takes_the_dtype_of_the_pairwise_terms(options, given, rng):
    wanted = np.float32 if given == np.float64 else np.float64
    unary = -np.log(np.moveaxis(rng.dirichlet(np.ones(3), (6, 5)), -1, 0)).astype(given)
    unary[0, 0, 0] = np.inf
    start = np.moveaxis(rng.dirichlet(np.ones(3), (6, 5)), -1, 0)
    fixed = np.full((6, 5), -1)
    fixed[2, 3] = 1
    image = rng.integers(0, 255, (6, 5, 3))
    terms = [spatial_pairwise((6, 5), 2.0, 3.0, dtype=wanted), bilateral_pairwise(image, 9.0, 40, 2.0, dtype=wanted)]
    for extra in ({}, {"start": start}, {"fixed": fixed}, {"ignore": rng.random((6, 5)) < 0.2}):
        seen = []
        q = mean_field(unary, terms, callback=lambda _, q, seen=seen: seen.append(q.dtype), **extra, **options)
        assert {q.dtype, *seen} == {np.dtype(wanted)}
        np.testing.assert_array_equal(q, mean_field(unary.astype(wanted), terms, **extra, **options))
    assert unary.dtype == given


def test_energies_take_the_dtype_of_the_pairwise_terms(rng):
    unary, terms = 2 * rng.standard_normal((2, 6)), [Pairwise(rng.standard_normal((6, 2)).astype("f4"), 1.5)]
    q, single = mean_field(unary, terms), unary.astype("f4")
    assert free_energy(q, unary, terms) == free_energy(q.astype("f8"), unary, terms) == free_energy(q, single, terms)
    assert labelling_energy([0, 1, 0, 1, 1, 0], unary, terms) == labelling_energy([0, 1, 0, 1, 1, 0], single, terms)
    marginals, log_z = exact_marginals(unary, terms)
    assert marginals.dtype == np.float32
    assert log_z == exact_marginals(single, terms)[1]
    assert mean_field(unary, []).dtype == np.float64


def test_an_energy_beyond_float32_excludes_its_label():
    unary = np.zeros((2, 1, 5))
    unary[1] = 1e300
    assert mean_field(unary, spatial_pairwise((1, 5), 1.0, 3.0)).tolist() == [[[1.0] * 5], [[0.0] * 5]]


THREADS = """
import hashlib, json
import numba
import numpy as np
from atrous import bilateral_pairwise, mean_field, spatial_pairwise

rng = np.random.default_rng(5)
found = {}
for dtype in (np.float32, np.float64):
    unary = rng.standard_normal((5, 70, 61)).astype(dtype)
    image = np.cumsum(rng.standard_normal((70, 61, 3)), axis=1) * 9
    pairwise = [bilateral_pairwise(image, 30, 20, 5.0, dtype=dtype),
               spatial_pairwise((70, 61), 3, -np.eye(5), normalization="after", dtype=dtype)]
    for threads in (1, 2, 3, 8):
        numba.set_num_threads(threads)
        for options in ({}, {"self_message": False}):
            q = mean_field(unary, pairwise, iterations=4, **options)
            name = f"{np.dtype(dtype).name} {options}"
            found.setdefault(name, []).append(hashlib.sha256(q.tobytes()).hexdigest())
print(json.dumps(found))
"""


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="threads exist in compiled loops only")
def test_the_same_bits_for_any_number_of_threads():
    done = subprocess.run(
        [sys.executable, "-c", THREADS], env=os.environ | {"NUMBA_NUM_THREADS": "8"},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for digests in json.loads(done.stdout).values():
        assert len(digests) == 4
        assert len(set(digests)) == 1


def test_the_order_of_a_grid_visits_each_point_once():
    for shape in ((1,), (50,), (1, 1), (33, 5), (64, 3), (100, 2), (1, 40), (11, 12, 13), (3, 25, 2), (10, 1, 30)):
        order = strip_order(shape)
        assert np.array_equal(np.sort(order), np.arange(np.prod(shape)))


def test_the_exponential_is_right_within_two_units_in_the_last_place(rng):
    x = np.concatenate([-np.geomspace(1e-9, 87.3, 4000), [0.0, -87.0, -np.log(2), -0.5 * np.log(2)]]).astype(np.float32)
    found = np.array([exp_nonpositive(v) for v in x])
    exact = np.exp(x.astype(np.float64))
    np.testing.assert_array_equal(found, found.astype(np.float32))
    assert np.abs(found / exact - 1).max() < 2.5e-7
    assert exp_nonpositive(np.float32(0)) == 1
    for far in (-88, -100, -1e30, -np.inf):
        assert exp_nonpositive(np.float32(far)) == 0


# Isolated points, and no self-message


@each_normalization
@methods
@dtypes
def test_a_point_that_hears_nobody_keeps_its_unary(dtype, method, normalization, rng):
    """Without itself the sum of its row is zero, up to rounding: the message must be zero, not 0/0."""
    features = (100 * rng.permutation(np.indices((8, 5)).reshape(2, 40).T) + rng.random((40, 2))).astype(dtype)
    unary = rng.standard_normal((3, 40)).astype(dtype)
    q = mean_field(unary, Pairwise(features, 2.0, normalization), iterations=3, method=method, self_message=False)
    np.testing.assert_allclose(q, softmax(-unary), atol=1e-5)


# Energies


def small_problem(rng, labels, normalization="symmetric", compatibility="number", scale=1.0):
    """Return (unary, pairwise) on a 3 by 3 grid."""
    unary = 1.5 * rng.standard_normal((labels, 3, 3))
    options = {"normalization": normalization, "dtype": np.float64}
    c, d = (draw_compatibility(rng, compatibility, labels, scale) for _ in range(2))
    return unary, [
        spatial_pairwise((3, 3), 1.2, c, **options),
        bilateral_pairwise(rng.normal(0, 30, (3, 3, 2)), 2.0, 25.0, d, **options),
    ]


def flat_terms(unary, pairwise):
    return oracle_terms(pairwise, len(unary), self_message=False)


@pytest.mark.parametrize("labels", [2, 3])
@each_normalization
@each_compatibility
def test_marginals_of_enumeration(labels, normalization, compatibility, rng):
    unary, pairwise = small_problem(rng, labels, normalization, compatibility)
    everything = enumerate_crf.all_labellings(labels, 9)
    values = enumerate_crf.energies(everything, unary.reshape(labels, 9), flat_terms(unary, pairwise))
    found, log_z = exact_marginals(unary, pairwise)
    assert found.shape == unary.shape
    expected = enumerate_crf.marginals(everything, values, labels)
    np.testing.assert_allclose(found.reshape(labels, 9), expected, atol=1e-12)
    assert log_z == pytest.approx(enumerate_crf.log_z(values), rel=1e-12)


def test_enumeration_in_several_pieces_and_with_large_energies(rng, monkeypatch):
    from atrous.crf import reference

    unary, pairwise = small_problem(rng, 2)
    expected = exact_marginals(unary, pairwise)
    whole = reference._labellings
    monkeypatch.setattr(reference, "_labellings", lambda labels, points: whole(labels, points, rows=37))
    found = exact_marginals(unary + 2000, pairwise)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-11)
    assert found[1] == pytest.approx(expected[1] - 9 * 2000, rel=1e-12)


@each_normalization
@each_compatibility
def test_energies_of_all_labellings(normalization, compatibility, rng):
    unary, pairwise = small_problem(rng, 2, normalization, compatibility)
    everything = enumerate_crf.all_labellings(2, 9)
    values = enumerate_crf.energies(everything, unary.reshape(2, 9), flat_terms(unary, pairwise))
    found = [labelling_energy(x.reshape(3, 3), unary, pairwise) for x in everything]
    np.testing.assert_allclose(found, values, atol=1e-12)
    one = enumerate_crf.energy(everything[77], unary.reshape(2, 9), flat_terms(unary, pairwise))
    assert labelling_energy(everything[77], unary, pairwise[::-1]) == pytest.approx(one, rel=1e-12)


def test_energy_with_the_self_message_counts_the_diagonal_once_halved(rng):
    unary, pairwise = small_problem(rng, 3, "none", "number")
    labels = rng.integers(0, 3, (3, 3))
    gain = sum(9 * k.compatibility / 2 for k in pairwise)
    with_self, without = (labelling_energy(labels, unary, pairwise, self_message=s) for s in (True, False))
    assert with_self == pytest.approx(without - gain, rel=1e-12)


@each_normalization
@each_compatibility
@pytest.mark.parametrize("self_message", [True, False], ids=["self", "others"])
@methods
def test_free_energy_is_its_formula(method, normalization, compatibility, self_message, rng):
    unary, pairwise = draw(rng, 3, 20, normalization, compatibility)
    q = rng.dirichlet(np.ones(3), 20).T
    q[:, 4] = [0, 1, 0]
    unary[0, 4] = np.inf
    found = free_energy(q, unary, pairwise, method=method, self_message=self_message)
    terms_of = oracle_terms(pairwise, 3, method, self_message=self_message)
    assert found == pytest.approx(dense_gauss.free_energy(q, unary, terms_of), rel=1e-10)


@pytest.mark.parametrize("seed", range(8))
@each_normalization
def test_free_energy_is_at_least_minus_log_z(seed, normalization):
    """With equality for the true distribution where it factorises."""
    rng = np.random.default_rng(seed)
    unary, pairwise = small_problem(rng, 2, normalization, "matrix")
    log_z = exact_marginals(unary, pairwise)[1]
    options = {"method": "exact", "self_message": False}
    for q in (
        mean_field(unary, pairwise, **options),
        mean_field(unary, pairwise, **options, update="sequential"),
        np.moveaxis(rng.dirichlet(np.ones(2), (3, 3)), -1, 0),
        exact_marginals(unary, pairwise)[0],
    ):
        assert free_energy(q, unary, pairwise, **options) >= -log_z - 1e-12
    apart = [k._replace(compatibility=0.0) for k in pairwise]
    q, log_z = exact_marginals(unary, apart)
    assert_close(q, mean_field(unary, apart, **options), "reordered")
    assert free_energy(q, unary, apart, **options) == pytest.approx(-log_z, rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("normalization", ["none", "symmetric"])
@each_compatibility
def test_free_energy_falls_at_every_sequential_update(seed, normalization, compatibility):
    rng = np.random.default_rng(seed)
    unary, pairwise = draw(rng, 3, 12, normalization, compatibility)
    options = {"method": "exact", "self_message": False}
    terms_of = oracle_terms(pairwise, 3, self_message=False)
    path = list(dense_gauss.sequential(unary, terms_of, sweeps=3))
    values = np.array([dense_gauss.free_energy(q, unary, terms_of) for q in path])
    assert np.diff(values).max() <= 1e-12
    assert values[-1] < values[0] - 1e-3
    q = None
    for sweep in range(1, 4):
        q = mean_field(unary, pairwise, iterations=1, start=q, update="sequential", **options)
        assert_close(q, path[12 * sweep], "reordered")
        assert free_energy(q, unary, pairwise, **options) == pytest.approx(values[12 * sweep], rel=1e-10)


@pytest.mark.parametrize("normalization", ["before", "after"])
def test_sequential_updates_descend_where_the_carrier_is_not_symmetric(normalization, rng):
    unary, pairwise = draw(rng, 3, 12, normalization, "matrix")
    options = {"method": "exact", "self_message": False}
    values, q = [], softmax(-unary)
    for _ in range(6):
        values.append(free_energy(q, unary, pairwise, **options))
        q = mean_field(unary, pairwise, iterations=1, start=q, update="sequential", **options)
    assert np.diff(values).max() <= 1e-12
    halves = [((carry + carry.T) / 2, cost) for carry, cost in oracle_terms(pairwise, 3, self_message=False)]
    assert_close(q, list(dense_gauss.sequential(unary, halves, sweeps=6))[-1], "reordered")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("self_message", [True, False])
def test_free_energy_falls_in_parallel_under_enough_damping(seed, self_message):
    rng = np.random.default_rng(seed)
    unary, pairwise = draw(rng, 3, 40, "symmetric", "number")
    options = {"method": "exact", "self_message": self_message}
    values = [free_energy(softmax(-unary), unary, pairwise, **options)]

    def callback(_, q):
        values.append(free_energy(q, unary, pairwise, **options))

    mean_field(unary, pairwise, iterations=15, damping=0.6, callback=callback, **options)
    assert len(values) == 16
    assert np.diff(values).max() <= 1e-12


def test_two_points_that_swap_for_ever_settle_under_damping():
    unary = np.array([[0.0, 3.0], [2.0, 0.0]])
    pair = Pairwise(np.zeros((2, 1)), 8.0, "none")
    late = {}
    for damping in (0.0, 0.5):
        a, b = (
            mean_field(unary, pair, iterations=n, damping=damping, method="exact", self_message=False) for n in (60, 61)
        )
        late[damping] = np.abs(a - b).max()
    assert late[0.0] > 0.9
    assert late[0.5] < 1e-6


# Unary terms


def test_unary_of_labels_gives_back_the_confidence(rng):
    labels = rng.integers(-1, 4, (5, 6))
    p = np.exp(-unary_from_labels(labels, 4, confidence=0.7, dtype=np.float64))
    np.testing.assert_allclose(p.sum(axis=0), 1, rtol=1e-12)
    for (y, x), label in np.ndenumerate(labels):
        expected = np.full(4, 0.25) if label < 0 else np.where(np.arange(4) == label, 0.7, 0.1)
        np.testing.assert_allclose(p[:, y, x], expected, rtol=1e-12)
    void = unary_from_labels(np.array([255, 1], np.uint8), 3, unknown=255)
    np.testing.assert_allclose(np.exp(-void), [[1 / 3, 0.15], [1 / 3, 0.7], [1 / 3, 0.15]], rtol=1e-6)
    assert not unary_from_labels(np.zeros(2, int), 1, confidence=0.9).any()


@pytest.mark.parametrize(
    ("dtype", "result"), [("f2", "f4"), ("f4", "f4"), ("f8", "f8"), ("i8", "f4"), ("?", "f4"), (">f8", "f8")]
)
def test_unary_of_probabilities_is_minus_log_of_what_is_clipped(dtype, result):
    p = np.array([[1, 0.5, 0.25], [0, 0.5, 0.75]])
    if np.dtype(dtype).kind in "ib":
        p = np.array([[1, 0, 1], [0, 1, 0]])
    found = unary_from_probabilities(p.astype(dtype))
    assert found.dtype == result
    np.testing.assert_allclose(found, -np.log(np.maximum(p, 1e-5)), rtol=1e-6, atol=1e-12)
    clipped = unary_from_probabilities(p.astype(dtype), clip=0.2)
    np.testing.assert_allclose(clipped, -np.log(np.maximum(p, 0.2)), rtol=1e-6)


# Bad input

U = np.zeros((2, 3, 4))
K = spatial_pairwise((3, 4), 2.0, 1.0, dtype=np.float64)
Q = np.full((2, 3, 4), 0.5)


def at(value, array=U):
    """Return a copy with one entry replaced."""
    spoilt = array.copy()
    spoilt.reshape(len(array), -1)[1, 7] = value
    return spoilt


def field(unary=U, pairwise=K, **options):
    return lambda: mean_field(unary, pairwise, **options)


def term(**changes):
    return lambda: mean_field(U, K._replace(**changes))


def space(shape=(3, 4), sigma=2.0, **options):
    return lambda: spatial_pairwise(shape, sigma, 1.0, **options)


def color(image, space=2.0, tone=9.0, **options):
    return lambda: bilateral_pairwise(image, space, tone, 1.0, **options)


IMAGE = np.zeros((3, 4, 2))
LABELS = np.zeros((3, 4), int)
BAD = {
    "unary NaN": (field(at(np.nan)), ParameterError, "unary holds NaN or -inf at point 7"),
    "unary -inf": (field(at(-np.inf)), ParameterError, "unary holds NaN or -inf at point 7"),
    "unary inf for all": (field(U + np.inf), ParameterError, r"excludes every label \(\+inf\) at point 0"),
    "unary ints": (field(U.astype(int)), DTypeError, "unary must be float32 or float64, got int64"),
    "unary one axis": (field(U[0, 0]), ShapeError, r"unary must be \(labels, points\).*got shape \(4,\)"),
    "unary empty": (field(U[:, :0]), ShapeError, "unary is empty"),
    "unary ragged": (field([[1.0], [2.0, 3.0]]), ShapeError, "unary must be one rectangular array"),
    "unary masked": (field(np.ma.array(U)), DTypeError, "unary must be a plain array"),
    "pairwise number": (field(pairwise=3), ParameterError, "pairwise must be a Pairwise"),
    "pairwise None": (field(pairwise=None), ParameterError, "pairwise must be a Pairwise"),
    "pairwise of numbers": (field(pairwise=[K, 3]), ParameterError, r"pairwise\[1\] must be a Pairwise.*, got 3"),
    "points": (field(pairwise=[K, K._replace(features=K.features[:5])]), ShapeError, r"\[1\].features.*12 points"),
    "features flat": (term(features=K.features[:, 0]), ShapeError, r"pairwise\[0\].features must be \(points, axes\)"),
    "features float32": (
        field(pairwise=[K, K._replace(features=K.features.astype("f4"))]),
        DTypeError, r"pairwise\[1\].features are float32, pairwise\[0\].features are float64. Make all terms with one",
    ),
    "features NaN": (term(features=K.features * np.nan), ParameterError, r"pairwise\[0\].features holds NaN"),
    "features 1e18": (term(features=K.features * 1e18), ParameterError, r"features reach .*larger sigma"),
    "normalization": (term(normalization="mean"), ParameterError, r"pairwise\[0\].normalization must be one of"),
    "compatibility length": (term(compatibility=np.ones(3)), ShapeError, r"vector \(2,\).*shape \(3,\)"),
    "compatibility matrix": (term(compatibility=np.ones((2, 3))), ShapeError, r"matrix \(2, 2\).*shape \(2, 3\)"),
    "compatibility NaN": (term(compatibility=np.nan), ParameterError, "compatibility holds NaN"),
    "compatibility text": (term(compatibility="a"), AtrousError, "compatibility must be a finite number"),
    "compatibility None": (term(compatibility=None), AtrousError, "compatibility must be a finite number"),
    "compatibility ragged": (term(compatibility=[[1, 2], [3]]), AtrousError, "compatibility"),
    "iterations": (field(iterations=-1), ParameterError, "iterations must be at least 0, got -1"),
    "iterations float": (field(iterations=2.0), ParameterError, "iterations must be an integer.*got 2.0"),
    "method": (field(method="fast"), ParameterError, "method must be one of 'auto'.*got 'fast'"),
    "update": (field(update="both"), ParameterError, "update must be one of 'parallel', 'sequential'; got 'both'"),
    "sequential lattice": (field(update="sequential"), ParameterError, 'update="sequential" needs method="exact"'),
    "sequential damped": (
        field(update="sequential", method="exact", damping=0.1), ParameterError, 'needs method="exact" and damping=0'
    ),
    "damping 1": (field(damping=1), ParameterError, "damping must be a finite number of at least 0 and below 1, got 1"),
    "damping -0.1": (field(damping=-0.1), ParameterError, "damping.*got -0.1"),
    "damping NaN": (field(damping=np.nan), ParameterError, "damping.*got nan"),
    "damping text": (field(damping="x"), ParameterError, "damping.*got 'x'"),
    "damping None": (field(damping=None), ParameterError, "damping.*got None"),
    "tolerance text": (field(tolerance="x"), ParameterError, "tolerance.*got 'x'"),
    "tolerance negative": (field(tolerance=-1), ParameterError, "tolerance.*got -1"),
    "tolerance NaN": (field(tolerance=np.nan), ParameterError, "tolerance.*got nan"),
    "callback": (field(callback=3), ParameterError, "callback must be a function or None, got 3"),
    "start shape": (field(start=Q[:, :2]), ShapeError, r"start must be .* \(2, 3, 4\), got float64 of \(2, 2, 4\)"),
    "start scores": (field(start=Q * 3), ParameterError, "start must be probabilities"),
    "start NaN": (field(start=at(np.nan, Q)), ParameterError, "start must be probabilities"),
    "start negative": (field(start=at(-0.1, Q)), ParameterError, "start must be probabilities"),
    "ignore shape": (field(ignore=np.zeros((4, 3), bool)), ShapeError, r"ignore must be bool of shape \(3, 4\)"),
    "ignore ints": (field(ignore=LABELS), ShapeError, "ignore must be bool of shape .* got int64"),
    "fixed shape": (field(fixed=LABELS.T), ShapeError, r"fixed must be integers of shape \(3, 4\), got"),
    "fixed floats": (field(fixed=LABELS * 1.0), ShapeError, "fixed must be integers .* got float64"),
    "fixed too high": (field(fixed=LABELS + 2), ParameterError, "fixed holds labels 0…1.*got 2…2"),
    "fixed -2": (field(fixed=LABELS - 2), ParameterError, "fixed holds labels 0…1.*got -2…-2"),
    "sigma 0": (space(sigma=0), ParameterError, "sigma must be positive and finite, got 0"),
    "sigma negative": (space(sigma=(1, -1)), ParameterError, r"sigma must be positive and finite, got \(1, -1\)"),
    "sigma of three": (space(sigma=(1, 2, 3)), ParameterError, r"sigma must be one number or 2"),
    "sigma text": (space(sigma="wide"), ParameterError, "sigma must be a finite number.*got .wide"),
    "sigma None": (space(sigma=None), ParameterError, "sigma must be a finite number.*got None"),
    "spacing 0": (space(spacing=0), ParameterError, "spacing must be positive and finite, got 0"),
    "shape 0": (space(shape=(3, 0)), ParameterError, r"shape\[1\] must be at least 1, got 0"),
    "shape float": (space(shape=(3.0, 4)), ParameterError, r"shape\[0\] must be an integer, got 3.0"),
    "term normalization": (space(normalization="mean"), ParameterError, "normalization must be one of"),
    "term dtype": (space(dtype=np.float16), ParameterError, "dtype must be float32 or float64, got .*float16"),
    "image flat": (color(IMAGE[0, :, 0]), ShapeError, r"image must be \(H, W, C\).*got shape \(4,\)"),
    "image empty": (color(IMAGE[:0]), ShapeError, r"image is empty, shape \(0, 4, 2\)"),
    "image NaN": (color(at(np.nan, IMAGE)), ParameterError, "image holds NaN or inf"),
    "image inf": (color(at(np.inf, IMAGE)), ParameterError, "image holds NaN or inf"),
    "image complex": (color(IMAGE * 1j), DTypeError, "image must hold real numbers, got complex128"),
    "sigma_color 0": (color(IMAGE, tone=0), ParameterError, "sigma_color must be positive and finite, got 0"),
    "sigma_color of three": (color(IMAGE, tone=(1, 2, 3)), ParameterError, "sigma_color must be one number or 2"),
    "sigma_space -1": (color(IMAGE, space=-1), ParameterError, "sigma_space must be positive and finite, got -1"),
    "labels too high": (lambda: labelling_energy(LABELS + 2, U, K), ParameterError, "labels must be 12 integers"),
    "labels float": (lambda: labelling_energy(LABELS * 1.0, U, K), ParameterError, "got float64"),
    "labels size": (lambda: labelling_energy(LABELS[:2], U, K), ParameterError, r"shape \(8,\)"),
    "labellings": (lambda: exact_marginals(np.zeros((2, 30)), []), ParameterError, "2 labels at 30 points make 1.07e"),
    "energy shapes": (lambda: free_energy(Q[:, :2], U, K), ShapeError, r"one shape, got \(2, 2, 4\) and \(2, 3, 4\)"),
    "energy dtype": (lambda: free_energy(Q, U.astype(int), K), DTypeError, "unary must be .* float64, got int64"),
    "energy method": (lambda: free_energy(Q, U, K, method="cuda"), ParameterError, "one of 'lattice', 'exact'"),
    "exact, many points": (
        lambda: mean_field(np.zeros((2, 22500), "f4"), spatial_pairwise((22500,), 2.0, 1.0), method="exact"),
        ParameterError, 'method="exact" takes at most 20000 points, got 22500',
    ),
    "confidence 1": (lambda: unary_from_labels(LABELS, 2, confidence=1), ParameterError, "confidence must be between"),
    "label 2 of 2": (lambda: unary_from_labels(LABELS + 2, 2), ParameterError, "labels must be 0…1 or .* got 2"),
    "labels of floats": (lambda: unary_from_labels(LABELS * 1.0, 2), DTypeError, "labels must be integers"),
    "clip 1": (lambda: unary_from_probabilities(Q, clip=1), ParameterError, r"clip must be in \[0, 1\), got 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gives_one_clear_error(name):
    call, error, message = BAD[name]
    with pytest.raises(AtrousError) as caught:
        call()
    text = str(caught.value)
    assert type(caught.value) is error or error is AtrousError
    assert re.search(message, text), text
    assert re.match(r"[a-z_]+: ", text)
    assert "\n" not in text


@pytest.mark.skipif(atrous.jit.gpu.why_not() is None, reason="a CUDA device, or its simulator, is here")
def test_cuda_says_what_is_missing():
    with pytest.raises(BackendUnavailable, match='method="cuda" needs a CUDA device'):
        mean_field(U, K, method="cuda")


def test_agreement_has_the_signs_that_are_promised(rng):
    filtered, matrix = rng.random((3, 7)), rng.standard_normal((3, 3))
    np.testing.assert_allclose(agreement(np.float64(2.0), filtered), 2 * filtered)
    vector = np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(agreement(vector, filtered), vector[:, None] * filtered)
    np.testing.assert_allclose(agreement(matrix, filtered), -(matrix / 2 + matrix.T / 2) @ filtered)


def test_a_numpy_bool_ends_the_run_too():
    """An early stop is usually written with NumPy, whose comparisons are not Python's bools."""
    seen = []
    unary = np.zeros((2, 3, 4), np.float32)
    atrous.mean_field(
        unary,
        atrous.spatial_pairwise((3, 4), 1.0, 1.0),
        callback=lambda step, q: seen.append(step) or np.bool_(step == 3),
    )
    assert seen == [1, 2, 3]
