"""The short-range CRF: against every labelling of small grids, at the edges of its domain, and where it fails."""

import re

import numpy as np
import pytest
from oracles import enumerate_grid
from tolerances import assert_close

from atrous.crf.grid import grid_crf
from atrous.crf.grid_cut import _integers, grid_cut
from atrous.crf.grid_inference import grid_icm, grid_mean_field
from atrous.crf.grid_model import grid_energy, grid_weights
from atrous.errors import AtrousError, DTypeError, ParameterError, ShapeError

kinds = pytest.mark.parametrize(
    ("neighbours", "contrast"), [(4, False), (8, False), (4, True), (8, True)], ids=["4", "8", "4 image", "8 image"]
)
METHODS = ["mean_field", "icm", "cut"]


def draw(rng, labels, size, neighbours, contrast, weight=None):
    """Return (unary, options for grid_weights, the same pairs as a list)."""
    weight = rng.uniform(0.2, 2) if weight is None else weight
    unary = 2 * rng.standard_normal((labels, *size))
    options = {"weight": weight, "neighbours": neighbours}
    if contrast:
        options |= {"image": rng.random((*size, 3)), "sigma": 0.6}
    pairs = enumerate_grid.neighbour_pairs(size, **options)
    return unary, options, pairs


def labels_of(result):
    return result.argmax(axis=0) if result.ndim == 3 else result


def softmax(z):
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


# Weights and energies


@pytest.mark.parametrize("size", [(3, 4), (1, 5), (5, 1), (1, 1), (2, 2)])
@kinds
def test_weights_hold_each_pair_once(size, neighbours, contrast, rng):
    unary, options, pairs = draw(rng, 2, size, neighbours, contrast)
    weights = grid_weights(unary, **options)
    expected = np.zeros((neighbours // 2, *size))
    steps = [(0, 1), (1, 0), (1, 1), (1, -1)]
    for a, b, w in pairs:
        expected[steps.index((b[0] - a[0], b[1] - a[1])), *a] = w
    np.testing.assert_allclose(weights, expected, rtol=1e-14)


@kinds
def test_energies_of_two_labels_equal_enumeration(neighbours, contrast, rng):
    unary, options, pairs = draw(rng, 2, (3, 3), neighbours, contrast)
    weights = grid_weights(unary, **options)
    everything = enumerate_grid.all_labellings(2, (3, 3))
    found = np.array([grid_energy(labels, unary, weights) for labels in everything])
    assert_close(found, enumerate_grid.energies(everything, unary, pairs), "reordered")


def test_energies_of_three_labels_equal_enumeration(rng):
    unary, options, pairs = draw(rng, 3, (3, 3), 8, True)
    weights = grid_weights(unary, **options)
    everything = enumerate_grid.all_labellings(3, (3, 3))
    found = np.array([grid_energy(labels, unary, weights) for labels in everything])
    assert_close(found, enumerate_grid.energies(everything, unary, pairs), "reordered")


def test_energy_counts_edges():
    unary = np.zeros((2, 3, 3))
    dot = np.zeros((3, 3), int)
    dot[1, 1] = 1
    assert grid_energy(dot, unary, grid_weights(unary, weight=0.5)) == 4 * 0.5
    assert grid_energy(dot, unary, grid_weights(unary, neighbours=8)) == pytest.approx(4 + 4 / np.sqrt(2))


def test_contrast_lowers_the_weight_as_a_gaussian():
    image = np.array([[0.0, 3.0, 3.0]])
    weights = grid_weights(np.zeros((2, 1, 3)), image, weight=2.0, sigma=3.0)
    np.testing.assert_allclose(weights[0], [[2 * np.exp(-0.5), 2.0, 0.0]])


def test_bytes_do_not_wrap_around():
    image = np.array([[[0, 255], [255, 0]]], np.uint8)
    unary = np.zeros((2, 1, 2))
    expected = grid_weights(unary, image.astype(float), sigma=200.0)
    assert np.array_equal(grid_weights(unary, image, sigma=200.0), expected)
    assert 0 < expected[0, 0, 0] < 0.5


def test_extreme_contrast_gives_no_nan_and_no_warning():
    image = np.array([[0.0, 1e200, 1e200]])
    weights = grid_weights(np.zeros((2, 1, 3)), image, sigma=1e-200)
    assert np.array_equal(weights[0], [[0.0, 1.0, 0.0]])


# The minimum cut


@pytest.mark.parametrize("seed", range(12))
@kinds
def test_cut_reaches_the_least_energy(seed, neighbours, contrast):
    rng = np.random.default_rng(seed)
    unary, options, pairs = draw(rng, 2, (3, 4), neighbours, contrast)
    weights = grid_weights(unary, **options)
    everything = enumerate_grid.all_labellings(2, (3, 4))
    values = enumerate_grid.energies(everything, unary, pairs)
    labels = grid_cut(unary, weights)
    assert np.array_equal(labels, everything[values.argmin()])
    assert grid_energy(labels, unary, weights) == pytest.approx(values.min(), rel=1e-12)


@kinds
def test_cut_of_float32_reaches_the_least_energy(neighbours, contrast, rng):
    unary, options, pairs = draw(rng, 2, (3, 4), neighbours, contrast)
    everything = enumerate_grid.all_labellings(2, (3, 4))
    values = enumerate_grid.energies(everything, unary, pairs)
    assert np.array_equal(grid_crf(unary.astype(np.float32), method="cut", **options), everything[values.argmin()])


@pytest.mark.parametrize("seed", range(6))
@kinds
def test_nothing_beats_the_cut(seed, neighbours, contrast):
    rng = np.random.default_rng(seed)
    unary, options, _ = draw(rng, 2, (17, 23), neighbours, contrast)
    weights = grid_weights(unary, **options)
    energy = {m: grid_energy(labels_of(grid_crf(unary, method=m, **options)), unary, weights) for m in METHODS}
    assert energy["cut"] <= energy["icm"] + 1e-4
    assert energy["cut"] <= energy["mean_field"] + 1e-4
    assert energy["cut"] < grid_energy(unary.argmin(axis=0), unary, weights)


@pytest.mark.parametrize("huge", [1e6, 1e12, 1e300, np.inf])
@pytest.mark.parametrize("seed", range(4))
def test_huge_unaries_cost_the_cut_no_accuracy(seed, huge):
    rng = np.random.default_rng(seed)
    unary, options, _ = draw(rng, 2, (3, 4), 8, True)
    unary[0, 0, 0] = unary[1, 2, 3] = huge
    pairs = enumerate_grid.neighbour_pairs((3, 4), **options)
    everything = enumerate_grid.all_labellings(2, (3, 4))
    everything = everything[(everything[:, 0, 0] == 1) & (everything[:, 2, 3] == 0)]
    values = enumerate_grid.energies(everything, unary, pairs)
    assert np.array_equal(grid_cut(unary, grid_weights(unary, **options)), everything[values.argmin()])


def test_rounding_of_the_cut_stays_within_its_bound(rng):
    """Weights over nine decades: small ones sink below the unit, the energy stays within a unit a term."""
    unary = rng.standard_normal((2, 3, 4)) * 10.0 ** rng.uniform(-9, 0, (1, 3, 4))
    weights = grid_weights(unary) * 10.0 ** rng.uniform(-9, 0, (2, 3, 4))
    everything = enumerate_grid.all_labellings(2, (3, 4))
    values = np.array([grid_energy(labels, unary, weights) for labels in everything])
    excess = grid_energy(grid_cut(unary, weights), unary, weights) - values.min()
    assert excess <= (12 + 17) * np.abs(unary).sum() / 2**31 + 1e-15


@pytest.mark.parametrize("scale", [1e-250, 1e-30, 1e-6, 1e6, 1e30])
def test_the_cut_does_not_depend_on_the_unit_of_energy(scale, rng):
    unary, options, _ = draw(rng, 2, (6, 7), 8, True)
    weights = grid_weights(unary, **options)
    assert np.array_equal(grid_cut(scale * unary, scale * weights), grid_cut(unary, weights))


@kinds
def test_capacities_use_int32_to_the_full_and_no_further(neighbours, contrast, rng):
    unary, options, _ = draw(rng, 2, (40, 41), neighbours, contrast, 10.0)
    unary[0, 3, 4] = np.inf
    gap, weights = _integers(unary[0] - unary[1], grid_weights(unary, **options))
    gap = gap.astype(np.int64)
    assert 2**30 < min(gap[gap > 0].sum(), -gap[gap < 0].sum()) < 2**31
    assert 0 < 2 * int(weights.max()) < 2**31


def test_cut_of_a_chessboard():
    """Every pixel disagrees with all its neighbours: all of the flow there can be."""
    y, x = np.indices((40, 41))
    unary = np.stack([1.0 * ((y + x) % 2), 1.0 * ((y + x) % 2 == 0)])
    assert len(np.unique(grid_cut(unary, grid_weights(unary, weight=10.0)))) == 1
    assert np.array_equal(grid_cut(unary, grid_weights(unary, weight=0.2)), unary.argmin(axis=0))


def test_equal_energies_take_label_zero():
    unary = np.ones((2, 3, 3))
    assert not grid_cut(unary, grid_weights(unary)).any()


def test_zero_weights_leave_every_method_at_its_start(rng):
    unary = rng.standard_normal((2, 5, 6)) * 10.0 ** rng.uniform(-12, 2, (1, 5, 6))
    for method in METHODS:
        assert np.array_equal(labels_of(grid_crf(unary, weight=0.0, method=method)), unary.argmin(axis=0))


# Iterated conditional modes


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("weight", [0.7, 3.0, -1.0])
@kinds
def test_icm_never_raises_the_energy_and_ends_where_no_pixel_can_improve(seed, weight, neighbours, contrast):
    rng = np.random.default_rng(seed)
    unary, options, _ = draw(rng, 4, (9, 8), neighbours, contrast, weight)
    weights = grid_weights(unary, **options)
    found = [grid_icm(unary, weights, iterations=n) for n in range(6)]
    energy = [grid_energy(labels, unary, weights) for labels in found]
    assert np.array_equal(found[0], unary.argmin(axis=0))
    assert np.all(np.diff(energy) <= 1e-12)
    assert energy[1] < energy[0]
    final = grid_icm(unary, weights)
    least = grid_energy(final, unary, weights)
    for y, x, label in np.ndindex(9, 8, 4):
        other = final.copy()
        other[y, x] = label
        assert grid_energy(other, unary, weights) >= least - 1e-12


def test_icm_keeps_a_label_that_is_as_good_as_another():
    unary = np.array([[[1.0, 0.0]], [[0.0, 5.0]]])
    assert np.array_equal(grid_icm(unary, grid_weights(unary)), [[1, 0]])


# Mean field


@kinds
def test_mean_field_updates_equal_the_definition(neighbours, contrast, rng):
    unary, options, pairs = draw(rng, 3, (4, 5), neighbours, contrast)
    weights = grid_weights(unary, **options)
    q = softmax(-unary)
    for n in range(1, 4):
        q = 0.3 * q + 0.7 * enumerate_grid.mean_field_step(q, unary, pairs)
        assert_close(grid_mean_field(unary, weights, iterations=n, damping=0.3), q, "reordered")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("neighbours", [4, 8])
def test_mean_field_without_weight_is_softmax(dtype, neighbours, rng):
    unary = rng.standard_normal((5, 6, 7)).astype(dtype)
    q = grid_crf(unary, weight=0.0, neighbours=neighbours)
    assert q.dtype == dtype
    assert_close(q, softmax(-unary.astype(float)), "reordered")


def test_mean_field_is_exact_where_pixels_stand_alone(rng):
    unary = rng.standard_normal((2, 3, 3))
    image = np.zeros((3, 3))
    image[1, 1] = 1e3
    options = {"image": image, "sigma": 1.0, "neighbours": 8}
    everything = enumerate_grid.all_labellings(2, (3, 3))
    values = enumerate_grid.energies(everything, unary, enumerate_grid.neighbour_pairs((3, 3), **options))
    exact = enumerate_grid.marginals(everything, values, 2)
    q = grid_crf(unary, **options)
    assert_close(q[:, 1, 1], exact[:, 1, 1], "reordered")
    assert np.abs(q - exact).max() > 0.01
    weak = grid_crf(unary, weight=1e-3)
    values = enumerate_grid.energies(everything, unary, enumerate_grid.neighbour_pairs((3, 3), 4, 1e-3))
    np.testing.assert_allclose(weak, enumerate_grid.marginals(everything, values, 2), atol=1e-5)


def test_marginals_sum_to_one(rng):
    q = grid_crf(5 * rng.standard_normal((4, 6, 5)), weight=3.0, neighbours=8)
    np.testing.assert_allclose(q.sum(axis=0), 1, rtol=1e-14)
    assert q.min() >= 0


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_a_constant_added_to_all_labels_changes_nothing(shift, rng):
    unary = rng.standard_normal((3, 5, 4))
    shifted = unary + shift * rng.random((5, 4))
    for method in ("mean_field", "icm"):
        np.testing.assert_allclose(grid_crf(shifted, method=method), grid_crf(unary, method=method), atol=1e-10)
    assert np.array_equal(grid_crf(shifted[:2], method="cut"), grid_crf(unary[:2], method="cut"))


def test_damping_stops_the_oscillation():
    """Two pixels, each sure of the other label: without damping they swap for ever."""
    unary = np.array([[[0.0, 3.0]], [[2.0, 0.0]]])
    weights = grid_weights(unary, weight=8.0)

    def late_change(damping):
        return np.abs(np.subtract(*(grid_mean_field(unary, weights, iterations=n, damping=damping) for n in (60, 61))))

    assert late_change(0.0).min() > 0.9
    assert late_change(0.5).max() < 1e-6


# Every method


@pytest.mark.parametrize("method", METHODS)
@kinds
def test_permuted_labels_permute_the_result(method, neighbours, contrast, rng):
    unary, options, _ = draw(rng, 2 if method == "cut" else 4, (6, 7), neighbours, contrast)
    order = np.roll(np.arange(len(unary)), 1)
    result, permuted = (grid_crf(u, method=method, **options) for u in (unary, unary[order]))
    if method == "mean_field":
        assert_close(permuted, result[order], "reordered")
    else:
        assert np.array_equal(order[permuted], result)


@pytest.mark.parametrize("method", METHODS)
@kinds
def test_a_mirrored_problem_has_the_mirrored_solution(method, neighbours, contrast, rng):
    """ICM depends on the order of its colours, which mirroring an odd size keeps."""
    unary, options, _ = draw(rng, 2, (7, 9), neighbours, contrast)
    result = grid_crf(unary, method=method, **options)
    if contrast:
        options["image"] = options["image"][:, ::-1]
    mirrored = grid_crf(unary[:, :, ::-1], method=method, **options)
    np.testing.assert_allclose(mirrored, result[..., ::-1], atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("neighbours", [4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2)])
def test_slim_images(method, neighbours, size, rng):
    unary = rng.standard_normal((2, *size))
    options = {"neighbours": neighbours, "weight": 50.0, "method": method}
    result = grid_crf(unary, **options)
    assert result.shape == (unary.shape if method == "mean_field" else size)
    if size == (1, 1):
        assert np.array_equal(labels_of(result), unary.argmin(axis=0))
    if method == "cut":
        assert np.all(result == unary.sum(axis=(1, 2)).argmin())


@pytest.mark.parametrize("method", ["mean_field", "icm"])
def test_one_label(method, rng):
    result = grid_crf(rng.standard_normal((1, 4, 5)), method=method)
    assert np.array_equal(result, np.ones((1, 4, 5)) if method == "mean_field" else np.zeros((4, 5)))


def test_three_hundred_labels(rng):
    unary = rng.random((300, 6, 5))
    unary[287] -= 0.4
    weights = grid_weights(unary, weight=2.0)
    assert np.all(grid_icm(unary, weights) == 287)
    pairs = enumerate_grid.neighbour_pairs((6, 5), 4, 2.0)
    expected = enumerate_grid.mean_field_step(softmax(-unary), unary, pairs)
    assert_close(grid_mean_field(unary, weights, iterations=1, damping=0.0), expected, "reordered")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("neighbours", [4, 8])
def test_forbidden_labels_stay_forbidden(method, neighbours, rng):
    unary = rng.standard_normal((2, 6, 7))
    wanted = rng.integers(0, 2, (6, 7))
    hard = rng.random((6, 7)) < 0.4
    hard[:2, :2], wanted[:2, :2] = True, [[0, 1], [1, 0]]
    unary[0][hard & (wanted == 1)] = np.inf
    unary[1][hard & (wanted == 0)] = np.inf
    result = grid_crf(unary, weight=30.0, neighbours=neighbours, method=method)
    assert np.array_equal(labels_of(result)[hard], wanted[hard])
    if method == "mean_field":
        assert np.array_equal(result[1][hard], wanted[hard])
        assert np.isfinite(result).all()
    assert np.isfinite(grid_energy(labels_of(result), unary, grid_weights(unary)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4", ">f8"])
def test_dtypes(dtype, rng):
    unary = rng.standard_normal((2, 4, 5)).astype(dtype)
    native = np.dtype(dtype).newbyteorder("=")
    image = rng.random((4, 5))
    assert grid_weights(unary, image, sigma=1.0).dtype == native
    assert grid_crf(unary, image, sigma=1.0).dtype == native
    assert grid_crf(unary, method="icm").dtype == np.int64
    assert grid_crf(unary, method="cut").dtype == np.int64


@pytest.mark.parametrize("method", METHODS)
def test_inputs_are_left_alone_and_may_have_any_layout(method, rng):
    unary, image = rng.standard_normal((2, 5, 6)), rng.random((5, 6, 3))
    unary.flags.writeable = image.flags.writeable = False
    strided = np.asfortranarray(unary), np.repeat(image, 2, axis=1)[:, ::2]
    result, again = (grid_crf(u, i, sigma=0.3, method=method) for u, i in [(unary, image), strided])
    np.testing.assert_allclose(again, result, atol=1e-12)


@pytest.mark.parametrize("method", ["mean_field", "icm"])
def test_options_reach_the_method(method, rng):
    unary = rng.standard_normal((3, 8, 8))
    weights = grid_weights(unary, weight=2.0)
    function = {"mean_field": grid_mean_field, "icm": grid_icm}[method]
    for n in range(3):
        result = grid_crf(unary, weight=2.0, method=method, iterations=n)
        assert np.array_equal(result, function(unary, weights, iterations=n))
    assert not np.array_equal(function(unary, weights, iterations=0), function(unary, weights, iterations=1))


# What DeepLab holds against it


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("method", ["cut", "mean_field"])
@pytest.mark.parametrize("neighbours", [4, 8])
def test_plain_smoothing_loses_a_thin_line_that_contrast_keeps(seed, method, neighbours):
    """A line of n pixels gains 1.6·n from its label and pays 2·n or more for its two sides, unless an edge is free."""
    rng = np.random.default_rng(seed)
    line = np.zeros((21, 40), bool)
    line[10, 3:37] = True
    evidence = np.where(line, 1.6, -1.6) + 0.8 * rng.standard_normal(line.shape)
    unary = np.logaddexp(0, np.stack([evidence, -evidence]))
    image = line + 0.05 * rng.standard_normal(line.shape)

    def kept_and_wrong(labels):
        return (labels[line] == 1).mean(), (labels[~line] == 1).mean()

    options = {"method": method, "neighbours": neighbours, "weight": 1.5}
    noisy = kept_and_wrong(unary.argmin(axis=0))
    plain = kept_and_wrong(labels_of(grid_crf(unary, **options)))
    contrast = kept_and_wrong(labels_of(grid_crf(unary, image, sigma=0.2, **options)))
    assert noisy[0] > 0.85
    assert noisy[1] > 0
    assert plain == (0, 0)
    assert contrast == (1, 0)


# Bad input

U = np.zeros((2, 4, 5))
W = np.ones((2, 4, 5))
IMAGE = np.zeros((4, 5, 3))


def at(value, array=U):
    """Return a copy with one entry replaced."""
    spoilt = array.copy()
    spoilt.flat[7] = value
    return spoilt


def crf(*arrays, **options):
    return lambda: grid_crf(*(arrays or (U,)), **options)


BAD = {
    "unary NaN": (crf(at(np.nan)), ParameterError, r"no NaN.*got \[nan *0.*at pixel \(1, 2\)"),
    "unary -inf": (crf(at(-np.inf)), ParameterError, "got \\[-inf"),
    "unary inf for all": (crf(U + np.inf), ParameterError, r"finite energy; got \[inf inf\] at pixel \(0, 0\)"),
    "unary ints": (crf(U.astype(int)), DTypeError, "unary must be float32 or float64, got int64"),
    "unary 2-D": (crf(U[0]), ShapeError, r"\(L, H, W\), got \(4, 5\)"),
    "unary batch": (crf(U[None]), ShapeError, r"\(L, H, W\), got \(1, 2, 4, 5\)"),
    "unary empty": (crf(U[:, :0]), ShapeError, "unary is empty"),
    "image size": (crf(U, IMAGE[:3], sigma=1.0), ShapeError, r"unary's size \(4, 5\), got \(3, 5, 3\)"),
    "image channels first": (crf(U, IMAGE.T, sigma=1.0), ShapeError, r"got \(3, 5, 4\). Channels come last"),
    "image 4-D": (crf(U, IMAGE[..., None], sigma=1.0), ShapeError, r"got \(4, 5, 3, 1\)"),
    "image ints": (crf(U, IMAGE.astype(int), sigma=1.0), DTypeError, "image must be float32 or float64, got int64"),
    "image NaN": (crf(U, at(np.nan, IMAGE), sigma=1.0), ParameterError, "image must be finite, got nan"),
    "image alone": (crf(U, IMAGE), ParameterError, "got image without sigma"),
    "sigma alone": (crf(U, sigma=1.0), ParameterError, "got sigma without image"),
    "sigma negative": (crf(U, IMAGE, sigma=-1.0), ParameterError, "sigma must be a finite number above 0, got -1.0"),
    "sigma 0": (crf(U, IMAGE, sigma=0), ParameterError, "sigma.*above 0, got 0"),
    "sigma NaN": (crf(U, IMAGE, sigma=np.nan), ParameterError, "sigma must be a finite number.*got nan"),
    "sigma inf": (crf(U, IMAGE, sigma=np.inf), ParameterError, "sigma must be a finite number.*got inf"),
    "sigma text": (crf(U, IMAGE, sigma="1"), ParameterError, "sigma must be a finite number.*got '1'"),
    "weight NaN": (crf(weight=np.nan), ParameterError, "weight must be a finite number, got nan"),
    "weight True": (crf(weight=True), ParameterError, "weight must be a finite number, got True"),
    "weight None": (crf(weight=None), ParameterError, "weight must be a finite number, got None"),
    "weight negative, cut": (crf(weight=-1.0, method="cut"), ParameterError, "not be negative.*got -1.0. Use grid_icm"),
    "neighbours": (crf(neighbours=6), ParameterError, "neighbours must be one of 4, 8; got 6"),
    "neighbours float": (crf(neighbours=4.0), ParameterError, "neighbours must be an integer, got 4.0"),
    "method": (crf(method="bp"), ParameterError, "method must be one of 'mean_field', 'icm', 'cut'; got 'bp'"),
    "three labels, cut": (crf(np.zeros((3, 4, 5)), method="cut"), ShapeError, r"two labels.*got \(3, 4, 5\)"),
    "one label, cut": (crf(U[:1], method="cut"), ShapeError, r"two labels.*got \(1, 4, 5\)"),
    "iterations, cut": (crf(method="cut", iterations=3), ParameterError, "'cut' takes no iterations, got 3"),
    "damping, icm": (crf(method="icm", damping=0.1), ParameterError, "'icm' takes no damping, got 0.1"),
    "damping 1": (crf(damping=1), ParameterError, "damping must be a finite number of at least 0 and below 1, got 1"),
    "damping negative": (crf(damping=-0.1), ParameterError, "damping.*got -0.1"),
    "iterations negative": (crf(iterations=-1), ParameterError, "iterations must be at least 0, got -1"),
    "iterations float": (crf(method="icm", iterations=2.0), ParameterError, "iterations must be an integer.*got 2.0"),
    "weights of another size": (lambda: grid_icm(U, W[:, :3]), ShapeError, r"\(2 or 4, 4, 5\), got \(2, 3, 5\)"),
    "three directions": (lambda: grid_cut(U, np.ones((3, 4, 5))), ShapeError, r"got \(3, 4, 5\)"),
    "weights inf": (lambda: grid_mean_field(U, at(np.inf, W)), ParameterError, "weights must be finite, got inf"),
    "weights float32": (lambda: grid_icm(U, W.astype("f4")), DTypeError, "dtype of the other arrays, float64"),
    "one weight negative": (lambda: grid_cut(U, at(-0.5, W)), ParameterError, "negative.*got -0.5"),
    "labels float": (lambda: grid_energy(U[0], U, W), DTypeError, "labels must be integers, got float64"),
    "labels size": (lambda: grid_energy(np.zeros((5, 4), int), U, W), ShapeError, r"\(4, 5\), got \(5, 4\)"),
    "labels void": (
        lambda: grid_energy(at(255, U[0].astype(int)), U, W), ParameterError, r"\[0, 2\), got 0 to 255"
    ),
    "labels negative": (lambda: grid_energy(at(-1, U[0].astype(int)), U, W), ParameterError, "got -1 to 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gives_one_clear_error(name):
    call, error, message = BAD[name]
    with pytest.raises(AtrousError) as caught:
        call()
    assert type(caught.value) is error
    assert re.search(message, str(caught.value)), str(caught.value)
    assert caught.value.__cause__ is None
