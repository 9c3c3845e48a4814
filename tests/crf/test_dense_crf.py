"""`dense_crf`: the everyday call against its parts and against pydensecrf's interface; what it takes and refuses."""

import re
import time

import numpy as np
import pytest
from oracles import dense_gauss

import atrous
import atrous.pydensecrf.densecrf as dcrf
from atrous import CRF_PRESETS, CRFParams, bilateral_pairwise, dense_crf, mean_field, mean_field_bytes, spatial_pairwise
from atrous.crf import dense, memory
from atrous.crf.dense import pairwise_terms
from atrous.crf.unary import unary_from_probabilities
from atrous.errors import AtrousError, BackendUnavailable, DTypeError, ParameterError, ShapeError
from atrous.pydensecrf.utils import unary_from_softmax

SIZE = (18, 24)
PARAMS = CRFParams(5.0, 21.0, 17.0, 2.0, 2.3, 4, "symmetric")
MODES = {
    "none": dcrf.NO_NORMALIZATION,
    "before": dcrf.NORMALIZE_BEFORE,
    "after": dcrf.NORMALIZE_AFTER,
    "symmetric": dcrf.NORMALIZE_SYMMETRIC,
}


def photograph(rng, size=SIZE, channels=3):
    """Return uint8 levels of two smooth halves and some noise."""
    y, x = np.indices(size)
    levels = 60 + 80 * (x > size[1] / 2)[..., None] + 2 * y[..., None] + rng.normal(0, 6, (*size, channels))
    return levels.clip(0, 255).astype(np.uint8)


def guesses(rng, labels=3, size=SIZE, dtype=np.float32):
    return np.moveaxis(rng.dirichlet(np.ones(labels), size), -1, 0).astype(dtype)


@pytest.fixture
def p(rng):
    return guesses(rng)


@pytest.fixture
def image(rng):
    return photograph(rng)


def shim(p, image, params):
    """Return the marginals of the same model through pydensecrf's interface."""
    labels, height, width = p.shape
    crf = dcrf.DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(unary_from_softmax(p))
    mode = MODES[params.normalization]
    crf.addPairwiseGaussian(sxy=params.sigma_gamma, compat=params.spatial_weight, normalization=mode)
    crf.addPairwiseBilateral(
        sxy=params.sigma_alpha, srgb=params.sigma_beta, rgbim=image, compat=params.bilateral_weight, normalization=mode
    )
    return np.array(crf.inference(params.iterations)).reshape(p.shape)


# Against its parts


@pytest.mark.parametrize("normalization", MODES)
@pytest.mark.parametrize("labels", [1, 2, 3, 8, 21])
def test_it_is_what_pydensecrf_computes(labels, normalization, rng):
    p, image = guesses(rng, labels), photograph(rng)
    params = PARAMS._replace(normalization=normalization)
    if normalization == "none":
        params = params._replace(bilateral_weight=0.05, spatial_weight=0.1)
    q = dense_crf(p, image, params)
    assert q.dtype == np.float32
    np.testing.assert_allclose(q, shim(p, image, params), atol=1e-5)
    np.testing.assert_allclose(q.sum(axis=0), 1, atol=1e-6)


def test_it_is_mean_field_with_two_terms(p, image):
    p = p.astype(np.float64)
    p[:, 3, 4] = 0, 1, 0
    pairwise = [
        spatial_pairwise(SIZE, PARAMS.sigma_gamma, PARAMS.spatial_weight, dtype=np.float64),
        bilateral_pairwise(image, PARAMS.sigma_alpha, PARAMS.sigma_beta, PARAMS.bilateral_weight, dtype=np.float64),
    ]
    q = dense_crf(p, image, PARAMS)
    assert q.dtype == np.float64
    np.testing.assert_array_equal(q, mean_field(-np.log(np.maximum(p, 1e-5)), pairwise, iterations=4))


def test_the_exact_method_equals_matrices(rng):
    size = (5, 7)
    p, image = guesses(rng, size=size, dtype=np.float64), photograph(rng, size)
    y, x = np.divmod(np.arange(35), 7)
    position = np.stack([x, y], axis=1)
    spatial = position / PARAMS.sigma_gamma
    both = np.concatenate([position / PARAMS.sigma_alpha, image.reshape(-1, 3) / PARAMS.sigma_beta], axis=1)
    terms = [
        (dense_gauss.carrier(dense_gauss.gaussian_matrix(f), "symmetric"), -w * np.eye(3))
        for f, w in ((spatial, PARAMS.spatial_weight), (both, PARAMS.bilateral_weight))
    ]
    expected = dense_gauss.mean_field(-np.log(p).reshape(3, -1), terms, 4)
    q = dense_crf(p, image, PARAMS, method="exact")
    np.testing.assert_allclose(q.reshape(3, -1), expected, atol=1e-12)
    lattice = dense_crf(p, image, PARAMS)
    assert 0 < np.abs(q - lattice).max() < 0.3


def test_iterations_and_normalization_stand_instead_of_those_of_the_parameters(p, image):
    other = PARAMS._replace(iterations=2, normalization="after")
    q = dense_crf(p, image, PARAMS, iterations=2, normalization="after")
    np.testing.assert_array_equal(q, dense_crf(p, image, other))
    assert not np.array_equal(q, dense_crf(p, image, PARAMS))
    np.testing.assert_allclose(dense_crf(p, image, PARAMS, iterations=0), np.maximum(p, 1e-5), rtol=2e-4, atol=1e-7)


def test_a_term_of_weight_zero_is_left_out(p, image):
    for name, sigma in (("bilateral_weight", "sigma_alpha"), ("spatial_weight", "sigma_gamma")):
        off = PARAMS._replace(**{name: 0})
        q = dense_crf(p, image, off)
        np.testing.assert_array_equal(q, dense_crf(p, image, off._replace(**{sigma: 1.0})))
        assert not np.array_equal(q, dense_crf(p, image, PARAMS))
    off = PARAMS._replace(bilateral_weight=0, spatial_weight=0)
    np.testing.assert_allclose(dense_crf(p, image, off), p, rtol=1e-4, atol=2e-5)


def test_each_sigma_belongs_to_its_axis():
    """A step in the image stops the bilateral term alone; sigma_alpha and sigma_gamma reach as far as they say."""
    image = np.zeros((1, 41, 3), np.uint8)
    image[:, 21:] = 200
    p = np.full((2, 1, 41), 0.5)
    p[:, 0, 20] = 0.9, 0.1

    def change(**params):
        zero = CRFParams(0.0, 8.0, 20.0, 0.0, 8.0, 1, "none")
        return dense_crf(p, image, zero._replace(**params), method="exact")[0, 0] - 0.5

    plain, edge = change(spatial_weight=0.5), change(bilateral_weight=0.5)
    np.testing.assert_allclose(plain[:20], edge[:20], atol=1e-12)
    assert plain[21] > 0.05
    assert abs(edge[21]) < 1e-6
    near, far = change(spatial_weight=0.5, sigma_gamma=2.0), change(bilateral_weight=0.5, sigma_alpha=2.0)
    np.testing.assert_allclose(near[:20], far[:20], atol=1e-12)
    assert near[10] < 1e-4 < plain[10]
    assert change(bilateral_weight=0.5, sigma_beta=500.0)[21] > 0.05


def test_options_reach_mean_field(p, image, rng):
    ignore = rng.random(SIZE) < 0.3
    q = dense_crf(p, image, PARAMS, ignore=ignore)
    np.testing.assert_allclose(q[:, ignore], np.maximum(p, 1e-5)[:, ignore], rtol=2e-4)
    fixed = np.full(SIZE, -1)
    fixed[3, 4] = 2
    np.testing.assert_array_equal(dense_crf(p, image, PARAMS, fixed=fixed)[:, 3, 4], [0, 0, 1])
    steps = []

    def callback(step, q):
        steps.append((step, q.shape))
        return step == 2

    q = dense_crf(p, image, PARAMS, callback=callback)
    assert steps == [(1, p.shape), (2, p.shape)]
    np.testing.assert_array_equal(q, dense_crf(p, image, PARAMS, iterations=2))


def test_progress_is_told_on_standard_error(p, image, capsys):
    quiet = dense_crf(p, image, PARAMS)
    assert capsys.readouterr() == ("", "")
    told = dense_crf(p, image, PARAMS, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dense_crf: 1/4")
    np.testing.assert_array_equal(told, quiet)


def test_it_sharpens_along_the_edge_of_the_image(rng):
    truth = np.indices(SIZE)[1] > SIZE[1] / 2
    image = photograph(rng)
    noisy = np.where(rng.random(SIZE) < 0.25, ~truth, truth)
    p = np.where(noisy, 0.7, 0.3)
    q = dense_crf(np.stack([1 - p, p]), image)
    assert (noisy == truth).mean() < 0.8
    assert np.array_equal(q.argmax(axis=0), truth)


# Parameters

# weights and sigmas of the bilateral term, then of the spatial one; None: what the released code takes, 3 and 3
PUBLISHED = {
    "deeplab-v1": (5, 50, 10, 3, 3),
    "deeplab-v1-msc": (3, 95, 3, 3, 3),
    "deeplab-v1-coco": (5, 67, 3, 3, 3),
    "deeplab-v1-largefov": (4, 121, 5, 3, 3),
    "deeplab-v1-msc-largefov": (4, 83, 5, 3, 3),
    "deeplab-v1-coco-largefov": (5, 69, 5, 3, 3),
    "deeplab-v1-msc-coco-largefov": (4, 59, 5, 3, 3),
    "deeplab-v2-vgg16": (4, 49, 5, 3, 3),
    "deeplab-v2-resnet101": (4, 67, 3, 3, 1),
}
# Elsewhere: the same five, then iterations and normalisation.
ELSEWHERE = {
    "deeplab-densecrf-defaults": (10, 60, 20, 3, 3, 10, "after"),
    "densecrf": (10, 80, 13, 3, 3, 5, "symmetric"),
    "crf-rnn": (5, 160, 3, 3, 3, 10, "after"),
    "deeplab-pytorch": (4, 67, 3, 3, 1, 10, "symmetric"),
    "deeplab-v1-pytorch": (5, 140, 5, 3, 3, 10, "symmetric"),
    "heiwang": (10, 60, 20, 3, 3, 10, "after"),
    "simplecrf": (10, 80, 13, 3, 3, 5, "symmetric"),
}


def test_presets_hold_the_published_numbers():
    table = {name: (*five, 10, "after") for name, five in PUBLISHED.items()} | ELSEWHERE
    assert {name: tuple(params) for name, params in CRF_PRESETS.items()} == table
    with pytest.raises(TypeError):
        CRF_PRESETS["mine"] = CRFParams()


def test_the_default_is_the_example_program():
    assert tuple(CRFParams()) == (10, 80, 13, 3, 3, 10, "symmetric")


@pytest.mark.parametrize("name", CRF_PRESETS)
def test_every_preset_runs_by_its_name(name, p, image):
    q = dense_crf(p, image, name)
    np.testing.assert_array_equal(q, dense_crf(p, image, CRF_PRESETS[name]))
    assert np.isfinite(q).all()
    assert np.abs(q - p).max() > 0.1


# What it takes


def relabelled(p):
    """Return probabilities of 0 and 1."""
    return np.arange(len(p))[:, None, None] == p.argmax(axis=0)


@pytest.mark.parametrize(
    ("change", "result"),
    [
        (lambda p: p.astype(np.float16), np.float32),
        (lambda p: p.astype(np.float64), np.float64),
        (lambda p: p.astype(">f8"), np.float64),
        (lambda p: p.astype(">f4"), np.float32),
        (relabelled, np.float32),
        (lambda p: relabelled(p).astype(np.int64), np.float32),
        (lambda p: relabelled(p).astype(np.uint8), np.float32),
        (np.asfortranarray, np.float32),
        (lambda p: p.tolist(), np.float64),
    ],
    ids=["float16", "float64", ">f8", ">f4", "bool", "int64", "uint8", "Fortran", "lists"],
)
def test_probabilities_of_any_real_dtype(change, result, p, image):
    changed = change(p)
    q = dense_crf(changed, image, PARAMS)
    assert q.dtype == result
    assert q.dtype.isnative
    plain = np.asarray(changed).astype(result)
    np.testing.assert_allclose(q, dense_crf(plain, image, PARAMS), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64, np.float16, np.float32, np.float64, ">u2"])
def test_images_of_any_real_dtype(dtype, p, image):
    np.testing.assert_array_equal(dense_crf(p, image.astype(dtype), PARAMS), dense_crf(p, image, PARAMS))


@pytest.mark.parametrize("layout", ["Fortran", "strided", "channels first", "read-only", "lists"])
def test_layouts_of_the_image(layout, p, image):
    kept, expected = image.copy(), dense_crf(p, image, PARAMS)
    changed = {
        "Fortran": np.asfortranarray,
        "strided": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        "channels first": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, -1, 0)), 0, -1),
        "read-only": lambda a: np.broadcast_to(a, a.shape),
        "lists": np.ndarray.tolist,
    }[layout](image)
    np.testing.assert_array_equal(dense_crf(p, changed, PARAMS), expected)
    assert np.array_equal(image, kept)


def test_inputs_are_left_alone(p, image):
    for dtype in (np.float32, np.float64):
        probabilities, levels = p.astype(dtype), image.astype(dtype)
        probabilities[:, 0, 0] = 1, 0, 0
        kept = probabilities.copy(), levels.copy()
        dense_crf(probabilities, levels, PARAMS, intensity_scale=1)
        assert np.array_equal(probabilities, kept[0])
        assert np.array_equal(levels, kept[1])


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_any_number_of_channels(channels, p, rng):
    image = photograph(rng, channels=channels)
    q = dense_crf(p, image, PARAMS)
    pairwise = [
        spatial_pairwise(SIZE, PARAMS.sigma_gamma, PARAMS.spatial_weight),
        bilateral_pairwise(image, PARAMS.sigma_alpha, PARAMS.sigma_beta, PARAMS.bilateral_weight),
    ]
    expected = mean_field(unary_from_softmax(p).reshape(p.shape), pairwise, iterations=4)
    np.testing.assert_allclose(q, expected, atol=1e-6)
    if channels == 1:
        np.testing.assert_array_equal(dense_crf(p, image[..., 0], PARAMS), q)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_image_in_zero_to_one_needs_its_scale(dtype, p, image):
    unit = (image / 255).astype(dtype)
    with pytest.raises(ParameterError, match=r"dense_crf: image .*intensity_scale=255"):
        dense_crf(p, unit, PARAMS)
    atol = 0.02 if dtype == np.float16 else 1e-5
    expected = dense_crf(p, image, PARAMS)
    np.testing.assert_allclose(dense_crf(p, unit, PARAMS, intensity_scale=255), expected, atol=atol)
    np.testing.assert_allclose(dense_crf(p, unit, PARAMS, intensity_scale=255.0), expected, atol=atol)
    levels = dense_crf(p, unit, PARAMS, intensity_scale=1)
    assert not np.allclose(levels, expected, atol=0.01)
    # Integers up to 1 are a drawing of two levels, not a photograph in [0, 1].
    assert np.isfinite(dense_crf(p, (image > 100).astype(np.uint8), PARAMS)).all()


def test_sixteen_bits_are_scaled_down(p, image):
    scaled = dense_crf(p, image.astype(np.uint16) * 257, PARAMS, intensity_scale=1 / 257)
    np.testing.assert_allclose(scaled, dense_crf(p, image, PARAMS), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (65, 2)])
def test_slim_images(size, rng):
    p, image = guesses(rng, size=size), photograph(rng, size)
    q = dense_crf(p, image, PARAMS)
    np.testing.assert_allclose(q.sum(axis=0), 1, atol=1e-6)
    if size == (1, 1):
        np.testing.assert_array_equal(q.argmax(axis=0), p.argmax(axis=0))


def test_probabilities_of_zero_are_not_final(image):
    p = np.zeros((2, *SIZE))
    p[0] = 1
    p[:, 3, 4] = 0, 1
    assert dense_crf(p, image).argmax(axis=0)[3, 4] == 0


# Memory


def test_the_estimate_of_memory_counts_everything():
    base = mean_field_bytes(10_000, 21, (2, 5))
    assert mean_field_bytes(20_000, 21, (2, 5)) == 2 * base
    assert base > 10_000 * 4 * (3 * 21 + 2 * 7 + 9)
    assert 1.5 * base < mean_field_bytes(10_000, 21, (2, 5), 8) < 2 * base
    assert mean_field_bytes(10_000, 22, (2, 5)) > base
    assert mean_field_bytes(10_000, 21, (2, 6)) > base


@pytest.mark.parametrize("method", ["auto", "lattice", "exact"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_a_giant_image_is_refused_before_anything_is_allocated(method, dtype, monkeypatch):
    def unreachable(*_, **__):
        raise AssertionError("the probabilities were touched")

    monkeypatch.setattr(dense, "unary_from_probabilities", unreachable)
    monkeypatch.setattr(memory, "available_memory", lambda: 64e9)
    p = np.broadcast_to(dtype(1), (2, 30000, 30000))
    image = np.broadcast_to(np.uint8(3), (30000, 30000, 3))
    start = time.perf_counter()
    with pytest.raises(ParameterError) as caught:
        dense_crf(p, image, method=method)
    assert time.perf_counter() - start < 1
    text = str(caught.value)
    wanted = "points" if method == "exact" else "GB of memory, 64.0 GB are free. Use dense_crf_tiled"
    assert wanted in text


def test_where_the_system_does_not_say_nothing_is_refused(p, image, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    assert np.isfinite(dense_crf(p, image, PARAMS)).all()
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(ParameterError, match="of memory"):
        dense_crf(p, image, PARAMS)


def test_free_memory_is_a_number_of_bytes_or_unknown():
    free = memory.available_memory()
    assert free is None or 1e6 < free < 1e15


# Bad input

P = np.full((3, 4, 5), 1 / 3, np.float32)
IMAGE = np.zeros((4, 5, 3), np.uint8)


def at(value, array=P):
    """Return a copy with one entry replaced."""
    spoilt = array.copy()
    spoilt[1, 2, 0] = value
    return spoilt


def crf(p=P, image=IMAGE, *rest, **options):
    return lambda: dense_crf(p, image, *rest, **options)


def params(**changes):
    return lambda: dense_crf(P, IMAGE, CRFParams()._replace(**changes))


FLOATS = np.linspace(0, 200, 60).reshape(4, 5, 3)
BAD = {
    "p NaN": (crf(at(np.nan)), ParameterError, "probabilities hold NaN"),
    "p negative": (crf(at(-0.1)), ParameterError, "probabilities hold negative numbers"),
    "p inf": (crf(at(np.inf)), ParameterError, r"probabilities must sum to 1 .* inf at \(2, 0\)"),
    "p of scores": (crf(P * 6 - 1), ParameterError, r"probabilities must sum to 1 .*\(3 labels\), but sum to 3"),
    "p of one pixel": (crf(at(0.5)), ParameterError, r"probabilities must sum to 1.* sum to 1.167 at \(2, 0\)"),
    "p all zero": (crf(P * 0), ParameterError, "probabilities must sum to 1.* sum to 0"),
    "labels last": (
        crf(np.moveaxis(P, 0, -1)),
        ShapeError, r"probabilities must be .*got shape \(4, 5, 3\).*labels to the front: np.moveaxis\(p, -1, 0\)",
    ),
    "labels last, grey image": (crf(np.moveaxis(P, 0, -1), IMAGE[..., 0]), ShapeError, r"np.moveaxis\(p, -1, 0\)"),
    "labels last, two": (crf(np.moveaxis(P[:2], 0, -1)), ShapeError, r"np.moveaxis\(p, -1, 0\)"),
    "labels last, exact": (crf(np.moveaxis(P, 0, -1), method="exact"), ShapeError, r"np.moveaxis\(p, -1, 0\)"),
    "labels last, same size": (
        crf(np.moveaxis(guesses(np.random.default_rng(1), 4, (4, 4)), 0, -1), np.zeros((4, 4, 3), np.uint8)),
        ParameterError, r"probabilities must sum to 1 .*over the last axis: move .*np.moveaxis\(p, -1, 0\)",
    ),
    "p a map of labels": (crf(np.zeros((4, 5), np.uint8)), ShapeError, r"np.exp\(-unary_from_labels\(labels, classes"),
    "p a foreground map": (crf(P[0]), ShapeError, r"np.stack\(\[1 - p, p\]\)"),
    "p of two axes": (crf(P[0]), ShapeError, r"probabilities must be \(labels, height, width\), got shape \(4, 5\)"),
    "p negative, sum 1": (crf(np.where(np.arange(3)[:, None, None] > 0, 0.6, -0.2) * np.ones_like(P)), ParameterError,
                          "hold negative numbers, such as -0.2"),
    "p of a batch": (crf(P[None]), ShapeError, r"as many of image, got shape .* pass probabilities\[0\]"),
    "p without pixels": (crf(P[:, :0], IMAGE[:0]), ShapeError, r"probabilities is empty, shape \(3, 0, 5\)"),
    "p without labels": (crf(P[:0]), ShapeError, r"probabilities is empty, shape \(0, 4, 5\)"),
    "p None": (crf(None), DTypeError, "probabilities must hold real numbers, got object"),
    "p complex": (crf(P + 0j), DTypeError, "probabilities must hold real numbers, got complex64"),
    "p objects": (crf(P.astype(object)), DTypeError, "probabilities must hold real numbers, got object"),
    "p text": (crf(P.astype(str)), DTypeError, "probabilities must hold real numbers, got <U"),
    "p masked": (crf(np.ma.array(P)), DTypeError, "probabilities must be a plain array, got a masked one"),
    "p ragged": (crf([[[0.5], [0.5, 0.5]]]), AtrousError, "probabilities"),
    "image rows": (crf(P, IMAGE[:3]), ShapeError, r"image must be \(4, 5\).*got shape \(3, 5, 3\)"),
    "image width first": (crf(P, IMAGE.swapaxes(0, 1)), ShapeError, r"got shape \(5, 4, 3\).*\(height, width\)"),
    "image channels first": (
        crf(P, np.moveaxis(IMAGE, -1, 0)), ShapeError, r"got shape \(3, 4, 5\).*np.moveaxis\(image, 0, -1\)",
    ),
    "image channels first, two labels": (
        crf(P[:2] * 1.5, np.moveaxis(IMAGE, -1, 0)), ShapeError, r"np.moveaxis\(image, 0, -1\)",
    ),
    "image without channels": (crf(P, IMAGE[..., :0]), ShapeError, r"image is empty, shape \(4, 5, 0\)"),
    "image of four axes": (crf(P, IMAGE[None]), ShapeError, r"image.*got shape \(1, 4, 5, 3\)"),
    "image None": (crf(P, None), DTypeError, "image must hold real numbers, got object"),
    "image complex": (crf(P, IMAGE + 0j), DTypeError, "image must hold real numbers, got complex"),
    "image objects": (crf(P, IMAGE.astype(object)), DTypeError, "image must hold real numbers, got object"),
    "image ragged": (crf(P, [[[1, 2], [3]]]), AtrousError, "image"),
    "image masked": (crf(P, np.ma.array(IMAGE, mask=IMAGE == 0)), DTypeError, "image must be a plain array"),
    "image NaN": (crf(P, at(np.nan, FLOATS)), ParameterError, "image holds NaN or inf"),
    "image inf": (crf(P, at(np.inf, FLOATS)), ParameterError, "image holds NaN or inf"),
    "image only NaN": (crf(P, FLOATS * np.nan), ParameterError, "image holds NaN or inf"),
    "image in [0, 1]": (crf(P, FLOATS / 255), ParameterError, "maximum of 0.784.*intensity_scale=255"),
    "scale 0": (crf(P, FLOATS, intensity_scale=0), ParameterError, "intensity_scale must be .* above 0.* got 0"),
    "scale negative": (crf(P, FLOATS, intensity_scale=-2), ParameterError, "intensity_scale .* got -2"),
    "scale NaN": (crf(P, FLOATS, intensity_scale=np.nan), ParameterError, "intensity_scale .* got nan"),
    "scale list": (crf(P, FLOATS, intensity_scale=[1, 2]), ParameterError, r"intensity_scale .* got \[1, 2\]"),
    "scale text": (crf(P, FLOATS, intensity_scale="255"), ParameterError, "intensity_scale .* got '255'"),
    "params name": (crf(P, IMAGE, "deeplab"), ParameterError, "params must be one of 'deeplab-v1'.*got 'deeplab'"),
    "params tuple": (crf(P, IMAGE, (1, 2)), ParameterError, r"params must be a CRFParams or .* got \(1, 2\)"),
    "params None": (crf(P, IMAGE, None), ParameterError, "params must be .* got None"),
    "iterations -1": (crf(iterations=-1), ParameterError, "iterations must be at least 0, got -1"),
    "iterations 2.0": (crf(iterations=2.0), ParameterError, "iterations must be an integer.*got 2.0"),
    "iterations in params": (params(iterations=None), ParameterError, "iterations must be an integer, got None"),
    "normalization": (crf(normalization="mean"), ParameterError, "normalization must be one of 'none'.*got 'mean'"),
    "normalization 3": (params(normalization=3), ParameterError, "normalization must be text, got 3"),
    "method": (crf(method="fast"), ParameterError, "method must be one of 'auto'.*got 'fast'"),
    "ignore": (crf(ignore=np.zeros((5, 4), bool)), ShapeError, r"ignore must be bool of shape \(4, 5\)"),
    "fixed": (crf(fixed=np.full((4, 5), 3)), ParameterError, "fixed holds labels 0…2"),
    "callback": (crf(callback=3), ParameterError, "callback must be a function or None, got 3"),
}  # fmt: skip
for sigma in ("sigma_alpha", "sigma_beta", "sigma_gamma"):
    for value in (0, -1.5, np.nan, np.inf, None):
        BAD[f"{sigma}={value}"] = (
            params(**{sigma: value}), ParameterError, f"{sigma} must be .*finite.*, got {value}"
        )  # fmt: skip
    BAD[f"{sigma}=(3, 4)"] = params(**{sigma: (3, 4)}), ParameterError, rf"{sigma} must be .*got \(3, 4\)"
for weight in ("bilateral_weight", "spatial_weight"):
    for value in (np.nan, np.inf, None, "3", (3, 4)):
        BAD[f"{weight}={value}"] = (
            params(**{weight: value}), ParameterError, f"{weight} must be a finite number, got {re.escape(repr(value))}"
        )  # fmt: skip


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


@pytest.mark.parametrize(("sigma", "axis"), [("sigma_alpha", "[01]"), ("sigma_beta", "[234]"), ("sigma_gamma", "[01]")])
def test_a_tiny_sigma_is_refused_where_vertices_could_not_be_told_apart(sigma, axis):
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3))
    tiny = CRFParams()._replace(**{sigma: 1e-8})
    with pytest.raises(ParameterError, match=rf"features reach .* on axis {axis}; float32 .*Use a larger sigma or"):
        dense_crf(P, image, tiny)
    q = dense_crf(P.astype(np.float64), image, tiny)
    assert np.isfinite(q).all()


@pytest.mark.skipif(atrous.jit.gpu.why_not() is None, reason="a CUDA device, or its simulator, is here")
def test_cuda_says_what_is_missing():
    with pytest.raises(BackendUnavailable, match='method="cuda" needs a CUDA device'):
        dense_crf(P, IMAGE, method="cuda")


SCORES = np.random.default_rng(3).normal(0, 4, (3, 4, 5))
MASK = (np.indices((6, 7)).sum(0) > 5).astype(np.uint8)
PROBABLE = guesses(np.random.default_rng(1), 3, (4, 5))
HINTS = {
    "logits": (SCORES, "negative numbers, such as -.* logits .*softmax_forward"),
    "logits above 0": (SCORES + 20, "sum to .* logits .*softmax_forward"),
    "labels": (np.arange(42).reshape(6, 7) % 5, "unary_from_labels"),
    "labels, -1 unknown": (MASK.astype(int) - 1, "unary_from_labels"),
    "mask of 0 and 1": (MASK, "unary_from_labels"),
    "mask of booleans": (MASK > 0, "unary_from_labels"),
    "mask of 0 and 255": (MASK * 255, "unary_from_labels"),
    "levels": (np.rint(PROBABLE * 2550), "Divide by their sum"),
    "percent": (PROBABLE * 100, "Divide by their sum"),
    "sigmoids": (1 / (1 + np.exp(-SCORES)), "Divide by their sum"),
    "nothing known": (PROBABLE * (PROBABLE[:1] < 0.5), "give every label the same probability"),
    "labels last": (np.moveaxis(PROBABLE, 0, -1), r"np.moveaxis\(p, -1, 0\)"),
    "NaN": (at(np.nan), "Look where they come from"),
    "inf": (at(np.inf), "Look where they come from"),
}


@pytest.mark.parametrize(("given", "message"), [pytest.param(*row, id=name) for name, row in HINTS.items()])
def test_what_is_no_probability_gets_the_hint_that_fits(given, message):
    with pytest.raises(ParameterError, match=message):
        unary_from_probabilities(given)


def test_the_hints_lead_to_probabilities():
    """What they advise is accepted."""
    softmax = atrous.softmax_forward(SCORES, axis=0)[0]
    labels = np.exp(-atrous.unary_from_labels(MASK, 2))
    for p in (softmax, labels, PROBABLE * 100 / (PROBABLE * 100).sum(0)):
        unary_from_probabilities(p)


def test_255_in_labels_points_to_unknown():
    with pytest.raises(ParameterError, match=r"got 255\. Pass unknown=255"):
        atrous.unary_from_labels(np.array([0, 255, 1]), 2)


@pytest.mark.parametrize("labels", [1, 2, 5, 21])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("accuracy", ["lattice", "fine"])
def test_the_short_way_has_the_bits_of_the_long_one(labels, accuracy, dtype, rng):
    """Without options, probabilities become rows of logits at once; the general function goes over energies."""
    p = rng.dirichlet(np.ones(labels), (23, 31)).transpose(2, 0, 1).astype(dtype)
    p[:, :2] = np.eye(labels, dtype=dtype)[:, :1, None]  # zeros are raised, in both ways
    image = rng.integers(0, 255, (23, 31, 3), dtype=np.uint8)
    params = CRFParams(4, 9, 20, 2, 1.5, 4)
    found = dense_crf(p, image, params, accuracy=accuracy)
    terms = pairwise_terms(image, params, np.dtype(dtype), accuracy=accuracy)
    expected = mean_field(unary_from_probabilities(p), terms, iterations=4, accuracy=accuracy)
    assert np.array_equal(found, expected)
    seen = []
    assert np.array_equal(
        dense_crf(p, image, params, accuracy=accuracy, callback=lambda i, q: seen.append(i)), expected
    )
    assert seen == [1, 2, 3, 4]


@pytest.mark.filterwarnings("error")
def test_numbers_at_the_ends_of_the_range():
    """No warning of NumPy comes before a right answer or before our error, and nothing becomes NaN in silence."""
    p, image = np.full((2, 6, 7), 0.5, np.float32), np.zeros((6, 7, 3))
    params = CRFParams(10, 5, 13, 3, 3, 5)
    assert np.isfinite(dense_crf(p, image, params._replace(sigma_alpha=1e300), intensity_scale=1)).all()
    for changed in ({"sigma_alpha": 1e-320}, {"bilateral_weight": 3e38}):
        with pytest.raises(ParameterError, match=r"^dense_crf: "):
            dense_crf(p, image, params._replace(**changed), intensity_scale=1)
    with pytest.raises(ParameterError, match=r"^dense_crf: "):
        dense_crf(p, np.full((6, 7, 3), 1e308), params, intensity_scale=1)
    largest = np.finfo(np.float32).max / (16 * 2 * 42)
    for weight in (0.99 * largest, 1e30):
        found = mean_field(np.log(p), spatial_pairwise((6, 7), 1.0, weight))
        assert np.isfinite(found).all()
    with pytest.raises(ParameterError, match=r"compatibility reaches 1e.38; with 42 points .* beyond 2\.5e.35"):
        mean_field(np.log(p), spatial_pairwise((6, 7), 1.0, 1e38))


def test_errors_name_the_function_that_was_called():
    p, image = np.full((2, 6, 7), 0.5, np.float32), np.full((6, 7, 3), 100, np.uint8)
    for options in ({}, {"start": p}, {"accuracy": "fine"}):
        with pytest.raises(ParameterError, match=r"^dense_crf: "):
            dense_crf(p, image, CRFParams(sigma_beta=1e-30), **options)
    with pytest.raises(ParameterError, match=r"^dense_crf: image holds NaN or inf"):
        dense_crf(p, np.full((6, 7, 3), np.inf), intensity_scale=1)
    with pytest.raises(ShapeError, match=r"^dense_crf: start must be an array of shape"):
        dense_crf(p, image, start=p[:, :3])
