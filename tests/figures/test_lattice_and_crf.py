"""Figures of the lattice and of the CRF: what they draw and what each one claims. `test_figures` covers the rest."""

import numpy as np
import pytest
from PIL import Image

from atrous import build_lattice, examples, figures, lattice_filter
from atrous.examples.lattice import plane_vertices
from atrous.lattice.geometry import elevate, project


@pytest.fixture(scope="module")
def small():
    """Return the portrait at a width of 64 pixels, refined."""
    return examples.refine_rough(*examples.portrait(64))


def only(fig, role):
    (artist,) = figures.find(fig, role)
    return artist


def offsets(fig, role):
    return np.concatenate([np.asarray(artist.get_offsets()) for artist in figures.find(fig, role)])


# The lattice


def test_points_lie_in_their_simplex(rng):
    for d in (1, 2, 5):
        points = 3 * rng.standard_normal((50, d))
        vertices, weights = examples.place_points(points)
        assert vertices.shape == (50, d + 1, d + 1)
        assert weights.min() > -1e-12
        np.testing.assert_allclose((weights[:, :, None] * vertices).sum(1), elevate(points), atol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_stages_are_the_filter(d, rng):
    points, values = rng.standard_normal((60, d)), rng.standard_normal(60)
    stages, sliced = examples.lattice_stages(points, values)
    assert len(stages) == d + 2
    assert sum(stages[0].values()) == pytest.approx(values.sum())
    np.testing.assert_allclose(sliced, lattice_filter(build_lattice(points), values[:, None])[:, 0], atol=1e-12)


def test_vertices_of_the_plane_are_one_apart():
    places = project(plane_vertices((-2, -2), (2, 2)))
    distance = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    assert len(places) > 12
    assert distance[distance > 1e-9].min() == pytest.approx(1)


def test_lattice_1d_draws_two_weights_a_point():
    fig = figures.figure_lattice_1d((-0.9, 0.4, 1.3))
    heads = offsets(fig, "weights").reshape(3, 2, 2)
    np.testing.assert_allclose((heads[:, :, 1] - 0.95).sum(1), 1.3)
    assert len(offsets(fig, "points")) == 3


def test_lattice_2d_draws_the_vertices_that_exist():
    fig = figures.figure_lattice_2d()
    lattice = build_lattice(examples.scattered_points())
    assert len(figures.find(fig, "vertices")[0].get_offsets()) == len(lattice.keys)
    parts = [a.get_xy()[:3] for a in figures.find(fig, "weight")]
    areas = np.array([np.abs(np.linalg.det(p[1:] - p[0])) / 2 for p in parts])
    weights = examples.place_points(examples.scattered_points())[1]
    np.testing.assert_allclose(areas / areas.sum(), weights[np.argmax(weights.min(1))])


def test_splat_blur_slice_spreads():
    fig = figures.figure_splat_blur_slice()
    assert [len(a.get_offsets()) for a in figures.find(fig, "reached")] == [3, 7, 15, 27]


def test_impulse_responses():
    x, response = examples.impulse_response(0.0)
    assert response.max() == response[len(x) // 2] == pytest.approx(1)
    np.testing.assert_allclose(response, response[::-1], atol=1e-12)
    lattice, gauss = examples.impulse_response_2d((0.3, 0.15))
    assert lattice.shape == gauss.shape
    assert np.abs(lattice - gauss).max() < 0.25


def test_errors_grow_with_the_dimension():
    found = examples.dimension_errors((1, 3, 5), count=400)
    ratios = [e.row_sum_ratio for e in found.values()]
    assert ratios == sorted(ratios, reverse=True)
    photo = examples.photo_errors((6.0, 24.0), width=48)
    assert all(e.rms < 0.02 for e in photo.values())
    fig = figures.figure_lattice_error(found, photo)
    assert [len(line.get_xdata()) for line in figures.find(fig, "rms")] == [3, 2]


def test_occupancy_is_counted():
    image = examples.colour_photograph(width=48)
    ((places, slots, missing),) = examples.occupancy(image, {"one": (20.0, 10.0)}).values()
    assert slots == image.shape[0] * image.shape[1] * 6
    assert 0 < places < slots
    assert 0 < missing < 1
    fig = figures.figure_occupancy({"one": (places, slots, missing)})
    widths = [np.ptp(only(fig, role).get_xy()[:, 0]) for role in ("vertices", "slots")]
    assert widths[0] / widths[1] == pytest.approx(places / slots)


# The CRF


def test_colour_photograph(tmp_path):
    photo = examples.colour_photograph()
    assert photo.shape == (300, 256, 3)
    assert photo.dtype == np.uint8
    Image.fromarray(np.full((40, 600, 3), (255, 0, 0), np.uint8)).save(tmp_path / "rot ä.png")
    np.testing.assert_array_equal(
        examples.colour_photograph(tmp_path / "rot ä.png"), np.full((17, 256, 3), (255, 0, 0), np.uint8)
    )
    Image.fromarray(np.full((50, 4), 65535, np.uint16)).save(tmp_path / "deep.png")
    tall = examples.colour_photograph(tmp_path / "deep.png", width=16)
    assert tall.shape == (20, 2, 3)
    assert tall.min() == 255


def test_rough_labels():
    assert set(np.unique(examples.rough_labels((60, 51)))) == {0, 1, 2}
    ellipse = examples.rough_labels((50, 40), None)
    assert ellipse.shape == (50, 40)
    assert 0.2 < ellipse.mean() < 0.35


def test_refinement_begins_with_the_labels_and_lowers_the_free_energy(small):
    np.testing.assert_array_equal(small.film[0].argmax(0), small.rough)
    assert small.film.shape == (11, 3, *small.rough.shape)
    assert np.all(np.diff(small.energies) < 1e-3 * np.ptp(small.energies))


def test_scores_are_log_odds(rng):
    q = rng.dirichlet((1, 1, 1), 7).T
    np.testing.assert_allclose(examples.scores(q, 1), np.log(q[1] / (1 - q[1])), atol=1e-9)
    assert np.isfinite(examples.scores(np.array([[1.0], [0.0]]), 0)).all()


def test_belief_maps_show_the_film(small):
    fig = figures.figure_belief_maps(small, label=2)
    for step in (0, 1, 2, 10):
        shown = only(fig, f"belief {step}").get_array()
        np.testing.assert_allclose(shown, small.film[step, 2], atol=1e-7)
    np.testing.assert_allclose(only(fig, "free energy").get_ydata(), small.energies / small.rough.size)


@pytest.mark.parametrize("shape", [(12, 60, 3), (60, 12, 3)])
def test_belief_maps_of_any_shape(shape, rng):
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    fig = figures.figure_belief_maps(examples.refine_rough(image, examples.rough_labels(shape[:2], None)))
    assert fig.get_figheight() < 9.5
    figures.image_bytes(fig, dpi=40)


def test_the_sum_without_the_half_rises(small):
    unary, term = examples.rising_problem()
    energies, doubled = examples.energy_by_step(unary, term, examples.film_of(unary, term, 12, method="exact"), "exact")
    assert np.diff(energies).max() < 0
    assert np.diff(doubled).max() > 1
    fig = figures.figure_free_energy(small)
    assert len(only(fig, "rises 0").get_xdata()) == 0
    np.testing.assert_array_equal(only(fig, "rises 1").get_xdata(), 1 + np.flatnonzero(np.diff(doubled) > 1e-3))


def test_thin_things_need_the_fully_connected_crf():
    scene = examples.thin_scene()
    np.testing.assert_allclose(scene.probabilities.sum(0), 1, rtol=1e-6)
    results = examples.thin_results(scene)
    iou = {name: examples.iou_of(labels, scene.truth) for name, labels in results.items()}
    assert iou["4 neighbours"] < iou["scores alone"] < iou["4 neighbours, contrast"] < 0.75
    assert iou["fully connected"] > 0.9
    fig = figures.figure_grid_against_dense(scene, results)
    right = (np.asarray(only(fig, "fully connected").get_array()) == (0, 158 / 255, 115 / 255)).all(-1)
    np.testing.assert_array_equal(right, (results["fully connected"] == 1) & (scene.truth == 1))


def test_parameters_show_one_result_a_pair(small):
    fig = figures.figure_parameters(small.image, small.rough, alphas=(4.0, 20.0), betas=(5.0, 20.0, 60.0))
    assert len(figures.find(fig, "result")) == 6


def test_mean_field_is_exact_without_pairs_and_overconfident_with_many():
    truth, found = examples.tiny_marginals(0.0, seed=3)
    np.testing.assert_allclose(found, truth, atol=1e-12)
    truth, found = examples.tiny_marginals(1.0, seed=3)
    assert np.abs(found - 0.5).mean() > np.abs(truth - 0.5).mean()
    fig = figures.figure_exact_against_mean_field(weights=(0.2, 0.5, 0.8), seeds=range(3))
    assert len(offsets(fig, "weight 0.5")) == 3 * 9
