"""The compiled lattice: equal to the definition, to its own adjoint, to itself in any order and on any machine."""

import json
import os
import re
import subprocess
import sys

import numba
import numpy as np
import pytest
from lattice.cases import BY_NAME, CASES, SMALL
from oracles import dense_gauss
from tolerances import assert_close

import atrous
from atrous import build_lattice, gaussian_sum, lattice_diagonal, lattice_error, lattice_filter
from atrous.errors import AtrousError, DTypeError, ParameterError, ShapeError
from atrous.lattice import build, exact, geometry
from atrous.lattice.reference import reference_filter

each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
each_small = pytest.mark.parametrize("case", SMALL, ids=lambda c: c.name)
dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Let the larger cases consist of many blocks of points."""
    monkeypatch.setattr(build, "BLOCK", 192)


@pytest.fixture
def published(monkeypatch):
    """Let the definition round its scales as Krähenbühl's and Koltun's float32 code does, so that ties fall alike."""

    def scales(dimension):
        inverse = np.float64(np.float32(np.sqrt(2.0 / 3.0) * (dimension + 1)))
        return np.array([np.float32(1.0 / np.sqrt((i + 1) * (i + 2.0)) * inverse) for i in range(dimension)])

    def use(dtype):
        if dtype == np.float32:
            monkeypatch.setattr(geometry, "axis_scales", scales)

    return use


def placed(features):
    """Return (vertices (P, D + 1, D + 1), weights) of the definition."""
    elevated = geometry.elevate(features)
    base, rank = geometry.enclosing_simplex(elevated)
    return geometry.simplex_vertices(base, rank), geometry.barycentric_weights(elevated, base, rank)


def matrix(features, **options):
    """Return the filter as a float64 matrix."""
    eye = np.eye(len(features), dtype=features.dtype)
    return lattice_filter(build_lattice(features), eye, **options).astype(np.float64)


# What is built


@each_case
@dtypes
def test_each_point_touches_the_vertices_of_the_definition(case, dtype, published, rng):
    published(dtype)
    features = case.draw(rng, dtype)
    vertices, weights = placed(features)
    lattice = build_lattice(features)
    assert lattice.weights.dtype == dtype
    np.testing.assert_array_equal(lattice.weights, weights)
    assert np.array_equal(lattice.keys[lattice.vertices()], vertices[:, :, :-1])


@each_case
def test_vertices_are_those_that_points_touch_sorted_and_distinct(case, rng):
    features = case.draw(rng)
    lattice = build_lattice(features)
    touched = placed(features)[0][:, :, :-1].reshape(-1, case.axes)
    assert np.array_equal(lattice.keys, np.unique(touched, axis=0))
    assert lattice.keys.dtype == np.int64
    assert np.array_equal(np.unique(lattice.vertices()), np.arange(len(lattice.keys)))


@each_case
def test_neighbours_are_one_step_away(case, rng):
    lattice = build_lattice(case.draw(rng))
    count, corners = len(lattice.keys), case.axes + 1
    number = {tuple(key): v for v, key in enumerate(lattice.keys.tolist())}
    assert lattice.neighbours.shape == (corners, count, 2)
    for axis in range(corners):
        step = np.full(corners, -1)
        step[axis] = case.axes
        for side, keys in enumerate((lattice.keys + step[:-1], lattice.keys - step[:-1])):
            expected = [number.get(tuple(key), count) for key in keys.tolist()]
            assert lattice.neighbours[axis, :, side].tolist() == expected


@each_case
def test_slots_are_the_vertices_of_each_block(case, rng):
    lattice = build_lattice(case.draw(rng))
    vertices = lattice.vertices()
    assert len(lattice.starts) == -(-case.points // lattice.block) + 1
    for b, (begin, end) in enumerate(zip(lattice.starts[:-1], lattice.starts[1:], strict=True)):
        mine = vertices[b * lattice.block : (b + 1) * lattice.block]
        assert np.array_equal(np.sort(lattice.slots[begin:end]), np.unique(mine))
    order = np.lexsort((np.arange(len(lattice.slots)), lattice.slots))
    assert np.array_equal(lattice.members, order)
    assert np.array_equal(lattice.first, np.searchsorted(lattice.slots[order], np.arange(len(lattice.keys) + 1)))


def test_the_table_has_keys_of_one_word_and_of_several(rng):
    words = []
    for case in CASES:
        features = case.draw(rng)
        words.append(build.packing("test", features, *build.feature_bounds(features)).words)
    assert min(words) == 1
    assert len(set(words)) >= 4


def test_identical_points_share_one_simplex(rng):
    lattice = build_lattice(BY_NAME["3d_identical"].draw(rng))
    assert len(lattice.keys) == len(lattice.slots) == 4


@pytest.mark.parametrize("axes", [1, 5, 63, 64, 100, 255])
def test_slots_of_a_block_fit_into_16_bits(axes, monkeypatch):
    monkeypatch.undo()
    points = build.block_points(axes + 1)
    assert 1 <= points <= build.BLOCK
    assert points * (axes + 1) < 2**16


@pytest.mark.parametrize("axes", [5, 40])
def test_blocks_of_their_own_size(axes, rng, monkeypatch):
    """More points than one full block holds, every point in a simplex of its own: as many slots as can be."""
    monkeypatch.undo()
    features = rng.uniform(-1e4, 1e4, (build.block_points(axes + 1) + 70, axes))
    lattice = build_lattice(features)
    assert len(lattice.starts) == 3
    vertices, weights = placed(features)
    assert np.array_equal(lattice.keys[lattice.vertices()], vertices[:, :, :-1])
    np.testing.assert_array_equal(lattice.weights, weights)


# The filter


@each_case
@dtypes
@pytest.mark.parametrize("reverse", [False, True], ids=["", "reverse"])
def test_filter_equals_the_definition(case, dtype, reverse, published, rng):
    published(dtype)
    features = case.draw(rng, dtype)
    values = rng.standard_normal((case.points, 3)).astype(dtype)
    found = lattice_filter(build_lattice(features), values, reverse=reverse)
    assert found.dtype == dtype
    assert found.flags.c_contiguous
    assert_close(found, reference_filter(features, values.astype(np.float64), reverse=reverse), "reordered")


@each_case
def test_reverse_is_the_exact_adjoint(case, rng):
    lattice = build_lattice(case.draw(rng))
    shape = (case.points, 3)
    error = atrous.adjoint_error(
        lambda a: lattice_filter(lattice, a), lambda a: lattice_filter(lattice, a, reverse=True), shape, shape
    )
    assert error <= 1e-12


@each_small
def test_reverse_is_the_transposed_matrix(case, rng):
    features = case.draw(rng)
    assert_close(matrix(features, reverse=True), matrix(features).T, "reordered")


def test_the_order_of_the_axes_matters_where_vertices_are_missing(rng):
    features = BY_NAME["5d"].draw(rng)
    k = matrix(features)
    assert np.abs(k - k.T).max() > 1e-3


@each_case
def test_filter_is_linear(case, rng):
    lattice = build_lattice(case.draw(rng))
    x, y = rng.standard_normal((2, case.points, 2))
    combined = lattice_filter(lattice, 2 * x - 3 * y)
    assert_close(combined, 2 * lattice_filter(lattice, x) - 3 * lattice_filter(lattice, y), "reordered")


@each_case
@dtypes
def test_permuted_points_give_permuted_values(case, dtype, rng):
    """Also across blocks, where every slot changes."""
    features = case.draw(rng, dtype)
    values = rng.standard_normal((case.points, 2)).astype(dtype)
    order = rng.permutation(case.points)
    result = lattice_filter(build_lattice(features), values)
    lattice = build_lattice(features[order])
    assert_close(lattice_filter(lattice, values[order]), result[order], "reordered")


def test_many_axes_in_smaller_blocks(rng):
    features = 2 * rng.standard_normal((500, 70))
    values = rng.standard_normal((500, 2))
    lattice = build_lattice(features)
    assert lattice.block < 500
    order = rng.permutation(500)
    result = lattice_filter(build_lattice(features[order]), values[order])
    assert_close(result, lattice_filter(lattice, values)[order], "reordered")


@each_small
def test_no_weight_is_negative_or_above_one(case, rng):
    k = matrix(case.draw(rng))
    assert k.min() >= -1e-15
    assert k.max() <= 1 + 1e-12
    assert np.diag(k).min() > 0


@dtypes
@pytest.mark.parametrize("channels", [1, 7, 8, 9, 24, 25, 33, 600])
def test_each_channel_is_filtered_alone(channels, dtype, rng):
    case = BY_NAME["4d_ties"]
    features = case.draw(rng, dtype)
    lattice = build_lattice(features)
    values = rng.standard_normal((case.points, channels)).astype(dtype)
    found = lattice_filter(lattice, values)
    assert found.shape == values.shape
    assert found.flags.c_contiguous
    some = sorted({0, channels // 2, channels - 1, min(511, channels - 1), min(512, channels - 1)})
    alone = np.concatenate([lattice_filter(lattice, values[:, c : c + 1]) for c in some], axis=1)
    assert_close(found[:, some], alone, "reordered")
    assert_close(found, matrix(features) @ values, "reordered", dtype)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_stays_in_its_channel(bad, rng):
    case = BY_NAME["2d"]
    lattice = build_lattice(case.draw(rng))
    values = rng.standard_normal((case.points, 11))
    clean = lattice_filter(lattice, values)
    values[17, 4] = bad
    found = lattice_filter(lattice, values)
    others = np.arange(11) != 4
    assert not np.isfinite(found[17, 4])
    np.testing.assert_array_equal(found[:, others], clean[:, others])


@each_small
@dtypes
def test_diagonal_is_what_each_point_hears_of_itself(case, dtype, rng):
    features = case.draw(rng, dtype)
    diagonal = lattice_diagonal(build_lattice(features))
    assert diagonal.dtype == dtype
    assert_close(diagonal, np.diag(matrix(features)), "reordered")


def test_diagonal_of_many_points(rng):
    case = BY_NAME["5d_grid"]
    lattice = build_lattice(case.draw(rng))
    diagonal = lattice_diagonal(lattice)
    some = rng.choice(case.points, 40, replace=False)
    impulses = np.zeros((case.points, 40))
    impulses[some, np.arange(40)] = 1
    assert_close(lattice_filter(lattice, impulses)[some, np.arange(40)], diagonal[some], "reordered")


def test_the_filter_is_a_gaussian_of_standard_deviation_1(rng):
    """Where no vertex is missing, the row of a point is the Gaussian within some per cent, and has its variance."""
    line = np.linspace(-6, 6, 61)
    features = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2) + rng.uniform(0, 1, 2)
    impulse = np.zeros((len(features), 1))
    centre = len(features) // 2
    impulse[centre] = 1
    found = lattice_filter(build_lattice(features), impulse)[:, 0]
    away = features - features[centre]
    expected = np.exp(-(away**2).sum(axis=1) / 2)
    assert np.abs(found / found.sum() - expected / expected.sum()).max() < 0.6 * expected.max() / expected.sum()
    assert found.sum() / expected.sum() == pytest.approx(0.9, abs=0.25)
    np.testing.assert_allclose((found[:, None] * away**2).sum(axis=0) / found.sum(), 1, atol=0.2)


# Any number of threads

THREADS = """
import hashlib, json
import numba
import numpy as np
from atrous import build_lattice, lattice_diagonal, lattice_filter

rng = np.random.default_rng(5)
found = {}
for dtype in (np.float32, np.float64):
    features = (np.cumsum(rng.standard_normal((6000, 5)), axis=0) / 20).astype(dtype)
    values = rng.standard_normal((6000, 21)).astype(dtype)
    for threads in (1, 2, 3, 8):
        numba.set_num_threads(threads)
        lattice = build_lattice(features)
        parts = [*lattice[:-1], lattice_filter(lattice, values), lattice_filter(lattice, values, reverse=True)]
        digest = hashlib.sha256()
        for part in (*parts, lattice_diagonal(lattice)):
            digest.update(np.ascontiguousarray(part).tobytes())
        found.setdefault(np.dtype(dtype).name, []).append(digest.hexdigest())
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


# The exact sum, and how far the lattice is from it


@pytest.mark.parametrize("case", SMALL[:12], ids=lambda c: c.name)
@dtypes
def test_gaussian_sum_is_its_definition(case, dtype, rng, monkeypatch):
    features = case.draw(rng, dtype)
    queries = case.draw(rng, dtype)[: 1 + case.points // 3]
    values = rng.standard_normal((case.points, 2)).astype(dtype)
    for where in (features, queries):
        expected = dense_gauss.gaussian_matrix(where, features) @ values
        found = gaussian_sum(features, values, where)
        assert found.dtype == dtype
        assert_close(found, expected, "reordered")
    assert np.array_equal(gaussian_sum(features, values), gaussian_sum(features, values, features))
    monkeypatch.setattr(exact, "BLOCK_BYTES", 1)
    assert_close(gaussian_sum(features, values, queries), expected, "reordered")


def test_lattice_error_measures_what_it_says(rng):
    features, values = rng.uniform(0, 6, (300, 2)), rng.standard_normal((300, 2))
    k, g = matrix(features), dense_gauss.gaussian_matrix(features)
    for normalization in ("after", "none"):
        found = lattice_error(features, values, samples=1000, normalization=normalization)
        if normalization == "after":
            differences = k @ values / k.sum(axis=1)[:, None] - g @ values / g.sum(axis=1)[:, None]
            span = np.ptp(values)
        else:
            differences, span = k @ values - g @ values, np.ptp(g @ values)
        assert found.rms == pytest.approx(np.sqrt((differences**2).mean()) / span, rel=1e-9)
        assert found.largest == pytest.approx(np.abs(differences).max() / span, rel=1e-9)
        assert found.row_sum_ratio == pytest.approx((k.sum(axis=1) / g.sum(axis=1)).mean(), rel=1e-9)
        assert found.self_weight == pytest.approx(np.diag(k).mean(), rel=1e-9)
        assert found.samples == 300


@dtypes
def test_lattice_error_stays_within_known_bounds(dtype, rng):
    """As measured elsewhere: rows sum to nine tenths in a full plane, to six tenths where vertices are missing."""
    y, x = np.divmod(np.arange(60 * 60), 60)
    plane = lattice_error(np.stack([x / 3, y / 3], axis=1).astype(dtype))
    assert plane.samples == 256
    assert plane.rms < 0.01
    assert plane.largest < 0.05
    assert plane.row_sum_ratio == pytest.approx(0.88, abs=0.05)
    noisy = 40 * np.sin(x / 9 + rng.random((3, 1))).T + rng.normal(0, 8, (3600, 3))
    color = lattice_error(np.concatenate([np.stack([x, y], 1) / 80, noisy / 13], axis=1).astype(dtype))
    assert color.rms < 0.05
    assert 0.3 < color.row_sum_ratio < plane.row_sum_ratio
    assert color == lattice_error(np.concatenate([np.stack([x, y], 1) / 80, noisy / 13], axis=1).astype(dtype))


@pytest.mark.parametrize(("axes", "weight"), [(1, 0.78), (2, 0.67), (3, 0.59), (5, 0.46), (6, 0.41)])
def test_the_self_weight_of_isolated_points_is_the_published_one(axes, weight):
    features = np.random.default_rng(axes).uniform(-1e4, 1e4, (2000, axes))
    assert lattice_error(features).self_weight == pytest.approx(weight, abs=0.015)


# Unusual but good input

LAYOUTS = {
    "every other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "Fortran": np.asfortranarray,
    "negative strides": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "nested lists": np.ndarray.tolist,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_does_not_matter(layout, rng):
    case = BY_NAME["3d_clusters"]
    features, values = case.draw(rng), rng.standard_normal((case.points, 5))
    expected = lattice_filter(build_lattice(features), values)
    lattice = build_lattice(LAYOUTS[layout](features))
    found = lattice_filter(lattice, LAYOUTS[layout](values))
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, expected)
    found = gaussian_sum(LAYOUTS[layout](features), LAYOUTS[layout](values))
    np.testing.assert_array_equal(found, gaussian_sum(features, values))


@dtypes
def test_inputs_are_left_alone(dtype, rng):
    case = BY_NAME["2d"]
    features, values = case.draw(rng, dtype), rng.standard_normal((case.points, 8)).astype(dtype)
    kept = features.copy(), values.copy()
    values.flags.writeable = False
    found = lattice_filter(build_lattice(features), values)
    gaussian_sum(features, values)
    lattice_error(features, values)
    assert not np.shares_memory(found, values)
    assert np.array_equal(features, kept[0])
    assert np.array_equal(values, kept[1])


@pytest.mark.slow  # the compiler takes read-only features for another type
def test_read_only_features(rng):
    features = BY_NAME["2d"].draw(rng)
    expected = build_lattice(features)
    features.flags.writeable = False
    for a, e in zip(build_lattice(features), expected, strict=True):
        assert np.array_equal(a, e)


# Bad input

F, V = np.zeros((6, 2)), np.ones((6, 3))


def at(value):
    spoilt = F.copy()
    spoilt[4, 1] = value
    return spoilt


def bad_features(function):
    name = function.__name__
    rows = {
        "NaN": (at(np.nan), ParameterError, "features must be finite, got nan at point 4, axis 1"),
        "inf": (at(np.inf), ParameterError, "features must be finite, got inf at point 4, axis 1"),
        "-inf": (at(-np.inf), ParameterError, "got -inf at point 4, axis 1"),
        "no points": (F[:0], ShapeError, r"features is empty, shape \(0, 2\)"),
        "no axes": (F[:, :0], ShapeError, r"features is empty, shape \(6, 0\)"),
        "one axis": (F[0], ShapeError, r"must be \(points, axes\), got shape \(2,\)"),
        "a grid": (F.reshape(2, 3, 2), ShapeError, r"got shape \(2, 3, 2\).*features.reshape"),
        "a number": (np.float64(3), ShapeError, r"got shape \(\)"),
        "ints": (F.astype(int), DTypeError, "features must be float32 or float64, got int64"),
        "float16": (F.astype(np.float16), DTypeError, "got float16"),
        "complex": (F * 1j, DTypeError, "got complex128"),
        "objects": (F.astype(object), DTypeError, "got object.*rectangular"),
        "None": (None, DTypeError, "got object"),
        "text": ("x", DTypeError, "must be an array, got .x."),
        "ragged": ([[1.0, 2.0], [3.0]], ShapeError, "features must be one rectangular array"),
        "masked": (np.ma.array(F), DTypeError, r"features must be a plain array.*features.filled\(0.0\)"),
        "1e12 float32": (at(1e12).astype("f4"), ParameterError, r"reach 1e\+12 .* axis 1; float32.*pass float64"),
        "1e18": (at(-1e18), ParameterError, r"reach 1e\+18 .* on axis 1; float64 .* larger sigma\.$"),
        "1e300": (at(1e300), ParameterError, r"reach 1e\+300"),
        "1e38 float32": (at(1e38).astype("f4"), ParameterError, r"reach 1e\+38"),
        "256 axes": (np.zeros((3, 256)), ShapeError, "features must have at most 255 axes, got 256"),
        "too many": (np.broadcast_to(1.0, (2**30, 2)), ShapeError, r"features of shape \(1073741824, 2\)"),
    }
    return [
        pytest.param(lambda value=value: function(value), name, error, message, id=f"{name} {what}")
        for what, (value, error, message) in rows.items()
    ]


def filtered(values):
    return lambda: lattice_filter(build_lattice(F), values)


BAD_VALUES = {
    "fewer points": (filtered(V[:5]), ShapeError, r"values must be \(points, channels\) with 6 points, got shape \(5"),
    "one axis": (filtered(V[:, 0]), ShapeError, r"got shape \(6,\)"),
    "three axes": (filtered(V[None]), ShapeError, r"got shape \(1, 6, 3\)"),
    "transposed": (filtered(V.T), ShapeError, r"got shape \(3, 6\)"),
    "no channels": (filtered(V[:, :0]), ShapeError, r"values is empty, shape \(6, 0\)"),
    "float32": (filtered(V.astype("f4")), DTypeError, "values must have the dtype of the other arrays, float64"),
    "ints": (filtered(V.astype(int)), DTypeError, "values must be float32 or float64, got int64"),
    "masked": (filtered(np.ma.array(V)), DTypeError, "values must be a plain array"),
    "None": (filtered(None), DTypeError, "got object"),
    "sum: fewer": (lambda: gaussian_sum(F, V[:5]), ShapeError, r"as many rows as values"),
    "sum: axes": (lambda: gaussian_sum(F, V, V), ShapeError, r"features \(6, 2\), .* queries \(6, 3\)"),
    "sum: flat": (lambda: gaussian_sum(F, V[:, 0]), ShapeError, r"\(6, 2\), \(6,\) and \(6, 2\)"),
    "sum: dtype": (lambda: gaussian_sum(F, V, F.astype("f4")), DTypeError, "queries must have .* float64, got float32"),
    "error: values": (lambda: lattice_error(F, V[:5]), ShapeError, r"values must be \(6, channels\), got"),
    "error: samples": (lambda: lattice_error(F, samples=0), ParameterError, "samples must be at least 1, got 0"),
    "error: normalization": (
        lambda: lattice_error(F, normalization="symmetric"), ParameterError, "one of 'after', 'none'; got 'symmetric'"
    ),
}  # fmt: skip
OWNERS = {"sum": "gaussian_sum", "err": "lattice_error"}
ROWS = [
    *bad_features(build_lattice),
    *bad_features(lattice_error),
    *(
        pytest.param(call, OWNERS.get(what[:3], "lattice_filter"), error, message, id=what)
        for what, (call, error, message) in BAD_VALUES.items()
    ),
]


@pytest.mark.parametrize(("call", "owner", "error", "message"), ROWS)
def test_bad_input_gives_one_clear_error(call, owner, error, message):
    with pytest.raises(AtrousError) as caught:
        call()
    text = str(caught.value)
    assert type(caught.value) is error
    assert re.search(message, text), text
    # lattice_error builds a lattice, which speaks for itself about what only the building finds.
    assert text.startswith((f"{owner}: ", "build_lattice: "))
    assert "\n" not in text


def test_large_features_are_taken_up_to_the_promised_reach():
    for dtype, reach in ((np.float32, 4e4), (np.float64, 1e13)):
        features = np.array([[0.0, 0.0], [reach, -reach], [reach, -reach]], dtype)
        found = lattice_filter(build_lattice(features), np.ones((3, 1), dtype))
        np.testing.assert_allclose(found[1], 2 * found[0], rtol=0.5)
