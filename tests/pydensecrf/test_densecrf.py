"""pydensecrf's classes: its stored results, its names and exceptions, and what is refused where it would crash."""

import enum
import inspect
from pathlib import Path

import numpy as np
import pytest
from oracles import dense_gauss

import atrous.pydensecrf.densecrf as dcrf
from atrous import Pairwise, build_lattice, free_energy, lattice_filter, mean_field
from atrous.errors import AtrousError
from atrous.pydensecrf import utils
from atrous.pydensecrf.eigen import MatrixXf, matrixXf

GOLDEN = Path(__file__).parents[1] / "golden"
MODES = {
    "none": dcrf.NO_NORMALIZATION,
    "before": dcrf.NORMALIZE_BEFORE,
    "after": dcrf.NORMALIZE_AFTER,
    "symmetric": dcrf.NORMALIZE_SYMMETRIC,
}


@pytest.fixture(scope="module", params=["densecrf.npz", "densecrf_odd.npz"])
def golden(request):
    with np.load(GOLDEN / request.param) as file:
        return dict(file)


def compatibility(golden, name):
    return {"potts": 5.0, "diag": -golden["compat_diag"], "full": golden["compat_full"]}[name]


def stored_problem(golden, normalization, compat):
    """Return the CRF whose results are stored."""
    labels, height, width = golden["probs"].shape
    crf = dcrf.DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(golden["unary"].reshape(labels, -1))
    mode = MODES[normalization]
    crf.addPairwiseGaussian(sxy=(2, 3), compat=1.5, kernel=dcrf.DIAG_KERNEL, normalization=mode)
    crf.addPairwiseBilateral(
        sxy=(20, 14.7), srgb=(20, 25, 30), rgbim=golden["image"], compat=compatibility(golden, compat),
        kernel=dcrf.DIAG_KERNEL, normalization=mode,
    )  # fmt: skip
    return crf


# Stored results


@pytest.mark.parametrize("normalization", MODES)
@pytest.mark.parametrize("compat", ["potts", "diag", "full"])
def test_marginals_and_divergences_equal_the_stored_ones(golden, normalization, compat):
    crf = stored_problem(golden, normalization, compat)
    Q, tmp1, tmp2 = crf.startInference()
    divergences = [crf.klDivergence(Q)]
    steps = {}
    for step in range(1, 6):
        crf.stepInference(Q, tmp1, tmp2)
        divergences.append(crf.klDivergence(Q))
        steps[step] = np.array(Q)
    for step in (1, 5):
        stored = golden[f"q{step}_{normalization}_{compat}"]
        flat = stored.reshape(len(stored), -1)
        for found in (np.array(crf.inference(step)), steps[step]):
            assert np.abs(found - flat).max() <= 1e-4
            assert np.array_equal(found.argmax(axis=0), flat.argmax(axis=0))
    stored = golden[f"kl_{normalization}_{compat}"]
    np.testing.assert_allclose(divergences, stored, rtol=1e-5, atol=1e-5 * np.abs(stored).max())


def test_volume_equals_the_stored_one(golden):
    volume, probs = golden["volume"], golden["volume_probs"]
    crf = dcrf.DenseCRF(volume.size, len(probs))
    crf.setUnaryEnergy(utils.unary_from_softmax(probs))
    crf.addPairwiseEnergy(utils.create_pairwise_gaussian((2, 2, 2), volume.shape), compat=2)
    crf.addPairwiseEnergy(utils.create_pairwise_bilateral((6, 8, 8), (10,), volume), compat=4)
    found = np.array(crf.inference(5)).reshape(probs.shape)
    assert np.abs(found - golden["volume_q5"]).max() <= 1e-4
    assert np.array_equal(found.argmax(axis=0), golden["volume_q5"].argmax(axis=0))


@pytest.mark.parametrize("points", [24, 25, 26, 27])
def test_silent_points_own_vertices_and_say_nothing(points, rng):
    """The C++ fills up fours with points at the origin: blurs pass through their vertices, nothing comes from them."""
    unary = rng.standard_normal((3, points)).astype("f4")
    features = rng.uniform(0.5, 1.2, (points, 3)).astype("f4") * rng.choice([-1, 1], (points, 3)).astype("f4")
    crf = dcrf.DenseCRF(points, 3)
    crf.setUnaryEnergy(unary)
    crf.addPairwiseEnergy(np.ascontiguousarray(features.T), 3.0)
    filled = np.concatenate([features, np.zeros((-points % 4, 3), "f4")])
    k = lattice_filter(build_lattice(filled), np.eye(len(filled), dtype="f4"))[:points, :points]
    expected = dense_gauss.mean_field(unary, [(dense_gauss.carrier(k, "symmetric"), dense_gauss.costs(3.0, 3))], 2)
    np.testing.assert_allclose(np.array(crf.inference(2)), expected, atol=1e-5)
    without = mean_field(unary, Pairwise(features, 3.0, "symmetric"), iterations=2)
    assert (np.abs(without - expected).max() > 1e-3) == (points % 4 > 0)


# Against this package and against matrices


def draw(rng, labels=3, points=24, axes=2):
    unary = rng.standard_normal((labels, points)).astype(np.float32)
    features = rng.standard_normal((axes, points)).astype(np.float32)
    return unary, features


@pytest.mark.parametrize("normalization", MODES)
def test_signs_of_the_compatibilities(normalization, rng):
    """A number rewards, a vector costs, a matrix costs: the first two have opposite signs in this package's terms."""
    unary, features = draw(rng)
    vector, matrix = rng.random(3).astype("f4"), rng.standard_normal((3, 3)).astype("f4")
    for compat, ours in ((0.7, 0.7), (vector, -vector), (matrix, matrix), (np.float64(0.7), 0.7), (True, 1.0)):
        crf = dcrf.DenseCRF(24, 3)
        crf.setUnaryEnergy(unary)
        crf.addPairwiseEnergy(features, compat, normalization=MODES[normalization])
        term = Pairwise(np.ascontiguousarray(features.T), ours, normalization)
        np.testing.assert_allclose(np.array(crf.inference(3)), mean_field(unary, term, iterations=3), atol=1e-5)


def test_the_divergence_counts_pairs_twice(rng):
    unary, features = draw(rng)
    crf = dcrf.DenseCRF(24, 3)
    crf.setUnaryEnergy(unary)
    crf.addPairwiseEnergy(features, 2.0)
    term = Pairwise(np.ascontiguousarray(features.T), 2.0, "symmetric")
    q = rng.dirichlet(np.ones(3), 24).T.astype("f4")
    apart = free_energy(q, unary, [])
    twice = apart + 2 * (free_energy(q, unary, term) - apart)
    assert crf.klDivergence(matrixXf(np.ascontiguousarray(q))) == pytest.approx(twice, rel=1e-5)
    k = lattice_filter(build_lattice(term.features), np.eye(24, dtype="f4"))
    same = (dense_gauss.carrier(k, "symmetric"), dense_gauss.costs(2.0, 3))
    assert free_energy(q, unary, term) == pytest.approx(dense_gauss.free_energy(q, unary, [same]), rel=1e-5)


@pytest.mark.parametrize("points", [1, 2, 3, 4, 5, 1023, 1026])
def test_generic_equals_two_dimensional(points, rng):
    unary = rng.standard_normal((3, points)).astype("f4")
    plane, generic = dcrf.DenseCRF2D(points, 1, 3), dcrf.DenseCRF(points, 3)
    features = np.stack([np.arange(points) / 3, np.zeros(points)]).astype("f4")
    for crf in (plane, generic):
        crf.setUnaryEnergy(unary)
    plane.addPairwiseGaussian(sxy=3, compat=2)
    generic.addPairwiseEnergy(features, 2)
    np.testing.assert_allclose(np.array(plane.inference(4)), np.array(generic.inference(4)), atol=1e-5)


def test_width_comes_first_and_x_is_the_first_axis(rng):
    image = rng.integers(0, 256, (5, 8, 3)).astype(np.uint8)
    unary = rng.standard_normal((2, 40)).astype("f4")
    plane, generic = dcrf.DenseCRF2D(8, 5, 2), dcrf.DenseCRF(40, 2)
    for crf in (plane, generic):
        crf.setUnaryEnergy(unary)
    plane.addPairwiseGaussian(sxy=(1.5, 2.6), compat=1)
    plane.addPairwiseBilateral((5, 7), (31, 41, 53), image, 2)
    y, x = np.divmod(np.arange(40), 8)
    generic.addPairwiseEnergy(np.stack([x / 1.5, y / 2.6]).astype("f4"), 1)
    colors = image.reshape(40, 3).T / np.array([[31], [41], [53]])
    generic.addPairwiseEnergy(np.concatenate([[x / 5, y / 7], colors]).astype("f4"), 2)
    np.testing.assert_allclose(np.array(plane.inference(3)), np.array(generic.inference(3)), atol=1e-5)


# Inference


def test_steps_make_up_an_inference(golden):
    crf = stored_problem(golden, "symmetric", "full")
    Q, tmp1, tmp2 = crf.startInference()
    assert all(type(m) is MatrixXf for m in (Q, tmp1, tmp2))
    live, kept = np.asarray(Q), np.array(Q)
    assert np.array_equal(kept, np.array(crf.inference(0)))
    for step in range(1, 4):
        assert crf.stepInference(Q, tmp1, tmp2) is None
        np.testing.assert_allclose(np.asarray(Q), np.array(crf.inference(step)), atol=2e-6)
    assert np.array_equal(live, np.asarray(Q))
    assert not np.array_equal(kept, live)


def test_inference_leaves_the_problem_as_it_was(golden):
    crf = stored_problem(golden, "symmetric", "potts")
    first = np.array(crf.inference(3))
    assert np.array_equal(np.array(crf.inference(3)), first)
    found = crf.inference(3)
    assert type(found) is MatrixXf
    assert np.asarray(found).strides == (4, 4 * len(first))
    crf.addPairwiseGaussian(sxy=9, compat=3)
    assert not np.array_equal(np.array(crf.inference(3)), first)


def test_no_steps_give_the_softmax_of_the_unary(rng):
    unary, features = draw(rng)
    crf = dcrf.DenseCRF(24, 3)
    crf.setUnaryEnergy(unary)
    expected = dense_gauss.independent(unary)
    np.testing.assert_allclose(np.array(crf.inference(0)), expected, atol=1e-6)
    np.testing.assert_allclose(np.array(crf.inference(7)), expected, atol=1e-6)
    crf.addPairwiseEnergy(features, 1)
    for nothing in (0, -3):
        np.testing.assert_allclose(np.array(crf.inference(nothing)), expected, atol=1e-6)


def test_without_a_unary_inference_starts_uniform_and_steps_start_at_zero(rng):
    _, features = draw(rng)
    for with_term in (False, True):
        crf = dcrf.DenseCRF(24, 3)
        if with_term:
            crf.addPairwiseEnergy(features, rng.standard_normal((3, 3)).astype("f4"))
        np.testing.assert_allclose(np.array(crf.inference(0)), 1 / 3, atol=1e-6)
        Q, tmp1, tmp2 = crf.startInference()
        assert np.array_equal(np.array(Q), np.zeros((3, 24)))
        crf.stepInference(Q, tmp1, tmp2)
        np.testing.assert_allclose(np.array(Q), 1 / 3, atol=1e-6)
        assert crf.klDivergence(matrixXf(np.full((3, 24), 1 / 3, "f4"))) < 24
    crf.stepInference(Q, tmp1, tmp2)
    assert np.abs(np.array(Q) - 1 / 3).max() > 1e-3


def test_logistic_unary_is_a_product(rng):
    L, f = rng.standard_normal((3, 5)).astype("f4"), rng.standard_normal((5, 24)).astype("f4")
    results = []
    for unary in (dcrf.LogisticUnary(L, f), dcrf.ConstUnary(L @ f)):
        crf = dcrf.DenseCRF(24, 3)
        crf.setUnary(unary)
        results.append(np.array(crf.inference(2)))
    crf = dcrf.DenseCRF(24, 3)
    crf.setUnaryEnergy(L, f)
    results.append(np.array(crf.inference(2)))
    for other in results[1:]:
        assert np.array_equal(other, results[0])


def test_the_example_program(rng):
    """Rough labels, some unknown, of a drawn image; both terms; ten steps; a map: as in pydensecrf's README."""
    y, x = np.indices((40, 50))
    truth = 1 + ((x - 25) ** 2 + (y - 20) ** 2 < 150)
    image = np.where(truth[..., None] == 2, (200, 60, 40), (40, 90, 180)) + rng.normal(0, 8, (40, 50, 3))
    image = image.clip(0, 255).astype(np.uint8)
    annotation = np.where(rng.random((40, 50)) < 0.5, 0, np.where(rng.random((40, 50)) < 0.2, 3 - truth, truth))
    colors, labels = np.unique(annotation, return_inverse=True)
    n_labels = len(colors) - 1

    d = dcrf.DenseCRF2D(image.shape[1], image.shape[0], n_labels)
    U = utils.unary_from_labels(labels, n_labels, gt_prob=0.7, zero_unsure=True)
    d.setUnaryEnergy(U)
    d.addPairwiseGaussian(sxy=(3, 3), compat=3, kernel=dcrf.DIAG_KERNEL, normalization=dcrf.NORMALIZE_SYMMETRIC)
    d.addPairwiseBilateral(
        sxy=(80, 80), srgb=(13, 13, 13), rgbim=image, compat=10, kernel=dcrf.DIAG_KERNEL,
        normalization=dcrf.NORMALIZE_SYMMETRIC,
    )  # fmt: skip
    Q, tmp1, tmp2 = d.startInference()
    divergences = []
    for _ in range(5):
        divergences.append(d.klDivergence(Q))
        d.stepInference(Q, tmp1, tmp2)
    assert divergences[-1] < divergences[0]
    MAP = np.argmax(Q, axis=0)
    assert np.array_equal(1 + MAP.reshape(truth.shape), truth)
    assert np.array_equal(np.argmax(d.inference(5), axis=0), MAP)

    # The same through features made by hand, with the axes of utils: rows first.
    d = dcrf.DenseCRF(image.shape[1] * image.shape[0], n_labels)
    d.setUnaryEnergy(U)
    d.addPairwiseEnergy(utils.create_pairwise_gaussian(sdims=(3, 3), shape=image.shape[:2]), compat=3)
    feats = utils.create_pairwise_bilateral(sdims=(80, 80), schan=(13, 13, 13), img=image, chdim=2)
    d.addPairwiseEnergy(feats, compat=10, kernel=dcrf.DIAG_KERNEL, normalization=dcrf.NORMALIZE_SYMMETRIC)
    assert np.array_equal(1 + np.argmax(d.inference(5), axis=0).reshape(truth.shape), truth)


# Names, signatures, constants


def test_constants_are_the_numbers_of_pydensecrf():
    names = {
        "NO_NORMALIZATION": 0, "NORMALIZE_BEFORE": 1, "NORMALIZE_AFTER": 2, "NORMALIZE_SYMMETRIC": 3,
        "CONST_KERNEL": 0, "DIAG_KERNEL": 1, "FULL_KERNEL": 2,
    }  # fmt: skip
    for name, number in names.items():
        value = getattr(dcrf, name)
        assert value == number
        assert isinstance(value, (int, enum.IntEnum))


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        (dcrf.ConstUnary, ["u"]),
        (dcrf.LogisticUnary, ["L", "f"]),
        (dcrf.DenseCRF, ["nvar", "nlabels", "_", "__"]),
        (dcrf.DenseCRF2D, ["w", "h", "nlabels", "_", "__"]),
        (dcrf.DenseCRF.addPairwiseEnergy, ["self", "features", "compat", "kernel", "normalization"]),
        (dcrf.DenseCRF2D.addPairwiseGaussian, ["self", "sxy", "compat", "kernel", "normalization"]),
        (dcrf.DenseCRF2D.addPairwiseBilateral, ["self", "sxy", "srgb", "rgbim", "compat", "kernel", "normalization"]),
        (dcrf.DenseCRF.setUnary, ["self", "u"]),
        (dcrf.DenseCRF.setUnaryEnergy, ["self", "u", "f"]),
        (dcrf.DenseCRF.inference, ["self", "niter"]),
        (dcrf.DenseCRF.startInference, ["self"]),
        (dcrf.DenseCRF.stepInference, ["self", "Q", "tmp1", "tmp2"]),
        (dcrf.DenseCRF.klDivergence, ["self", "Q"]),
    ],
    ids=lambda v: getattr(v, "__qualname__", ""),
)
def test_signatures_are_those_of_pydensecrf(function, signature):
    found = inspect.signature(function).parameters
    assert list(found) == signature
    if "kernel" in found:
        assert found["kernel"].default == dcrf.DIAG_KERNEL
        assert found["normalization"].default == dcrf.NORMALIZE_SYMMETRIC
    assert issubclass(dcrf.DenseCRF2D, dcrf.DenseCRF)


def test_the_form_of_the_kernel_changes_nothing(rng):
    unary, features = draw(rng)
    results = []
    for kernel in (dcrf.CONST_KERNEL, dcrf.DIAG_KERNEL, dcrf.FULL_KERNEL, 2):
        crf = dcrf.DenseCRF(24, 3, "ignored", also="ignored")
        crf.setUnaryEnergy(unary)
        crf.addPairwiseEnergy(features, 1.0, kernel, 3)
        results.append(np.array(crf.inference(2)))
    assert all(np.array_equal(r, results[0]) for r in results)


# What is converted


def convert_layouts():
    read_only = lambda a: np.broadcast_to(a, a.shape)  # noqa: E731
    strided = lambda a: np.repeat(a, 2, axis=-1)[..., ::2]  # noqa: E731
    return {
        "float64": lambda a: a.astype(np.float64),
        "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
        "Fortran": np.asfortranarray,
        "strided": strided,
        "read-only": read_only,
        "lists": np.ndarray.tolist,
    }


@pytest.mark.parametrize("layout", convert_layouts())
def test_arrays_are_converted_where_pydensecrf_refuses_them(layout, rng):
    change = convert_layouts()[layout]
    unary = rng.standard_normal((3, 24)).astype("f4")
    image = rng.integers(2, 256, (4, 6, 3)).astype(np.uint8)
    features = rng.standard_normal((2, 24)).astype("f4")
    L, f = rng.standard_normal((3, 2)).astype("f4"), features.copy()
    kept = [a.copy() for a in (unary, image, features, L)]
    results = []
    for way in (lambda a: a, change):
        crf = dcrf.DenseCRF2D(6, 4, 3)
        crf.setUnaryEnergy(way(unary))
        crf.addPairwiseBilateral(4, 30, way(image), 2)
        crf.addPairwiseEnergy(way(features), 1)
        results.append(np.array(crf.inference(2)))
        crf.setUnary(dcrf.LogisticUnary(way(L), way(f)))
        results.append(np.array(crf.inference(2)))
    np.testing.assert_array_equal(results[2], results[0])
    np.testing.assert_allclose(results[3], results[1], atol=1e-5)
    for a, b in zip((unary, image, features, L), kept, strict=True):
        assert np.array_equal(a, b)


def test_half_precision_and_integers_are_taken_too(rng):
    unary = rng.integers(0, 5, (3, 24))
    results = []
    for dtype in (np.float32, np.float16, np.int64, np.uint8):
        crf = dcrf.DenseCRF2D(6, 4, 3)
        crf.setUnaryEnergy(unary.astype(dtype))
        crf.addPairwiseGaussian(2, 1)
        results.append(np.array(crf.inference(2)))
    assert all(np.array_equal(r, results[0]) for r in results)


def test_the_unary_is_kept_as_it_was_given(rng):
    unary, features = draw(rng)
    crf = dcrf.DenseCRF(24, 3)
    compat = rng.random(3).astype("f4")
    crf.addPairwiseEnergy(features, compat)
    crf.setUnaryEnergy(unary.astype(np.float64))
    before = np.array(crf.inference(2))
    features[:], compat[:] = 0, 0
    assert np.array_equal(np.array(crf.inference(2)), before)


# Bad input: pydensecrf's built-in exception, and ours

U, F = np.zeros((3, 24), np.float32), np.zeros((2, 24), np.float32)
IMAGE = np.zeros((4, 6, 3), np.uint8)
V = np.ones(3, np.float32)


def crf2d():
    return dcrf.DenseCRF2D(6, 4, 3)


def unary(u, f=None):
    return lambda: crf2d().setUnaryEnergy(u, f)


def pairwise(features=F, compat=1, **options):
    return lambda: crf2d().addPairwiseEnergy(features, compat, **options)


def gauss(sxy, compat=1, **options):
    return lambda: crf2d().addPairwiseGaussian(sxy, compat, **options)


def bilateral(image=IMAGE, sxy=3, srgb=5, compat=1):
    return lambda: crf2d().addPairwiseBilateral(sxy, srgb, image, compat)


def divergence(Q):
    return lambda: crf2d().klDivergence(Q)


BAD = {
    "unary transposed": (unary(U.T), ValueError, r"^Bad shape for unary energy \(Need \(3, 24\), got \(24, 3\)\)"),
    "unary short": (unary(U[:, :20]), ValueError, r"Need \(3, 24\), got \(3, 20\)"),
    "unary of an image": (
        unary(U.reshape(3, 4, 6)), ValueError, r"^Buffer has wrong number of dimensions \(expected 2, got 3\)"
    ),
    "unary None": (unary(None), TypeError, "must not be None"),
    "unary NaN": (unary(U * np.nan), ValueError, "NaN"),
    "unary complex": (unary(U * 1j), ValueError, "complex64"),
    "unary text": (unary(U.astype(str)), ValueError, "real numbers"),
    "logistic": (unary(np.ones((3, 2)), np.ones((4, 24))), ValueError, r"inner axis.*\(3, 2\) and \(4, 24\)"),
    "logistic shape": (unary(np.ones((2, 2)), np.ones((2, 24))), ValueError, r"Need \(3, 24\), got \(2, 24\)"),
    "setUnary None": (lambda: crf2d().setUnary(None), TypeError, "NoneType"),
    "setUnary array": (lambda: crf2d().setUnary(U), TypeError, "ndarray"),
    "setUnary base": (lambda: crf2d().setUnary(dcrf.Unary()), TypeError, "Unary"),
    "features short": (
        pairwise(F[:, :20]), ValueError, r"^Bad shape for pairwise energy \(Need \(\?, 24\), got \(2, 20\)\)"
    ),
    "features transposed": (pairwise(F.T), ValueError, r"Need \(\?, 24\), got \(24, 2\)"),
    "features of one axis": (pairwise(F[0]), ValueError, r"expected 2, got 1"),
    "features None": (pairwise(None), TypeError, "must not be None"),
    "features NaN": (pairwise(F * np.nan), ValueError, "NaN"),
    "features inf": (pairwise(F + np.inf), ValueError, "inf"),
    "compat float64": (
        pairwise(compat=V.astype(float)), ValueError, "^Buffer dtype mismatch, expected 'float' but got 'double'"
    ),
    "compat int": (pairwise(compat=V.astype(np.intc)), ValueError, "expected 'float' but got 'int'"),
    "compat float16": (pairwise(compat=V.astype("f2")), ValueError, r"character buffer dtype format string \('e'\)"),
    "compat strided": (pairwise(compat=np.ones(6, "f4")[::2]), ValueError, "^ndarray is not C-contiguous"),
    "compat read-only": (pairwise(compat=np.broadcast_to(V, 3)), ValueError, "read-only|C-contiguous"),
    "compat list": (pairwise(compat=[1.0, 1.0, 1.0]), TypeError, "must be a number or a float32 array .* got list"),
    "compat None": (pairwise(compat=None), TypeError, "NoneType"),
    "compat text": (pairwise(compat="5"), TypeError, "must be a number or a float32 array .* got str"),
    "compat no axis": (
        pairwise(compat=np.array(1, "f4")), ValueError, "^LabelCompatibility of dimension >2 not meaningful"
    ),
    "compat three axes": (pairwise(compat=np.ones((3, 3, 3), "f4")), ValueError, "dimension >2 not meaningful"),
    "compat length": (pairwise(compat=np.ones(4, "f4")), ValueError, r"Need \(3,\) or \(3, 3\), got \(4,\)"),
    "compat matrix": (pairwise(compat=np.ones((3, 2), "f4")), ValueError, r"got \(3, 2\)"),
    "compat NaN": (pairwise(compat=np.nan), ValueError, "compat must be finite"),
    "compat vector NaN": (pairwise(compat=V * np.nan), ValueError, "compat must be finite"),
    "compat 1j": (pairwise(compat=1j), TypeError, "compat"),
    "normalization 4": (pairwise(normalization=4), ValueError, "4 is not a valid NormalizationType"),
    "kernel 3": (pairwise(kernel=3), ValueError, "3 is not a valid KernelType"),
    "sxy 0": (gauss(0), ValueError, "sxy must be positive and finite, got 0"),
    "sxy negative": (gauss((3, -3)), ValueError, r"sxy must be positive and finite, got \(3, -3\)"),
    "sxy NaN": (gauss(np.nan), ValueError, "sxy must be positive and finite, got nan"),
    "sxy text": (gauss("33"), TypeError, "sxy must be a real number or 2 of them"),
    "sxy one of two": (gauss((3,)), TypeError, r"sxy must be .* got \(3,\)"),
    "sxy None": (gauss(None), TypeError, "sxy"),
    "srgb 0": (bilateral(srgb=(5, 0, 5)), ValueError, "srgb must be positive"),
    "srgb two": (bilateral(srgb=(5, 5)), TypeError, "srgb must be a real number or 3"),
    "image size": (
        bilateral(IMAGE.swapaxes(0, 1)), ValueError, r"^Bad shape for pairwise bilateral \(Need \(4, 6, 3\), got"
    ),
    "image grey": (bilateral(IMAGE[..., 0]), ValueError, r"^Buffer has wrong number of dimensions \(expected 3"),
    "image RGBA": (bilateral(np.zeros((4, 6, 4), np.uint8)), ValueError, "only works for RGB images"),
    "image None": (bilateral(None), TypeError, "must not be None"),
    "image in [0, 1]": (bilateral(IMAGE + 0.5), ValueError, "maximum of at most 1"),
    "image NaN": (bilateral(IMAGE * np.nan), ValueError, "NaN"),
    "divergence array": (divergence(U), TypeError, "expected MatrixXf, got ndarray"),
    "divergence None": (divergence(None), TypeError, "expected MatrixXf, got NoneType"),
    "divergence shape": (divergence(matrixXf(np.ones((2, 24), "f4"))), ValueError, r"Need \(3, 24\), got \(2, 24\)"),
    "step array": (lambda: crf2d().stepInference(U, MatrixXf(), MatrixXf()), TypeError, "'Q' has incorrect type"),
    "step tmp": (lambda: crf2d().stepInference(matrixXf(U + 1), None, MatrixXf()), TypeError, "'tmp1' has incorrect"),
    "niter text": (lambda: crf2d().inference("x"), TypeError, "an integer is required for niter"),
    "niter None": (lambda: crf2d().inference(None), TypeError, "an integer is required for niter"),
    "nvar 0": (lambda: dcrf.DenseCRF(0, 3), ValueError, "nvar must be at least 1, got 0"),
    "nlabels -1": (lambda: dcrf.DenseCRF(5, -1), ValueError, "nlabels must be at least 1, got -1"),
    "nvar text": (lambda: dcrf.DenseCRF("5", 3), TypeError, "an integer is required for nvar"),
    "nvar 2.5": (lambda: dcrf.DenseCRF(2.5, 3), TypeError, "an integer is required for nvar"),
    "nvar None": (lambda: dcrf.DenseCRF(None, 3), TypeError, "an integer is required for nvar"),
    "h 0": (lambda: dcrf.DenseCRF2D(5, 0, 3), ValueError, "at least 1, got 0"),
    "nvar NaN": (lambda: dcrf.DenseCRF(np.nan, 3), (TypeError, ValueError), "nvar"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_raises_the_built_in_error_and_ours(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, AtrousError)


def test_features_out_of_reach_are_refused_at_inference():
    crf = crf2d()
    crf.setUnaryEnergy(U)
    crf.addPairwiseEnergy(F + 1e9, 1)
    with pytest.raises(ValueError, match="DenseCRF2D: features reach") as caught:
        crf.inference(1)
    assert isinstance(caught.value, AtrousError)


# The peer itself, where it is installed


def test_random_problems_equal_the_peer(rng):
    peer = pytest.importorskip("pydensecrf.densecrf")
    for _ in range(10):
        labels, (h, w) = int(rng.integers(2, 9)), (int(rng.integers(3, 30)), int(rng.integers(3, 30)))
        u = rng.standard_normal((labels, h * w)).astype("f4")
        image = np.cumsum(rng.integers(0, 5, (h, w, 3)), axis=1).astype(np.uint8)
        mode, sxy, sigmas = int(rng.integers(1, 4)), rng.uniform(1, 9, 2).tolist(), rng.uniform(5, 60, 3).tolist()
        matrix = rng.standard_normal((labels, labels)).astype("f4")
        found = []
        for module in (dcrf, peer):
            crf = module.DenseCRF2D(w, h, labels)
            crf.setUnaryEnergy(u)
            crf.addPairwiseGaussian(sxy, matrix, normalization=mode)
            crf.addPairwiseBilateral(sxy[0], sigmas, image, 2.5, normalization=mode)
            Q = crf.inference(4)
            found.append((np.array(Q), crf.klDivergence(Q)))
        np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-4)
        assert found[0][1] == pytest.approx(found[1][1], rel=1e-4, abs=1e-3)
