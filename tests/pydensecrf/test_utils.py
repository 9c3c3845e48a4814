"""The helpers of pydensecrf: its stored numbers, its formulas one element at a time, its exceptions."""

import logging
from pathlib import Path

import numpy as np
import pytest
from tolerances import assert_close

from atrous.errors import AtrousError
from atrous.pydensecrf import utils

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(params=["densecrf.npz", "densecrf_odd.npz"])
def golden(request):
    with np.load(GOLDEN / request.param) as file:
        return {name: file[name] for name in ("labels", "probs", "unary", *(n for n in file if "unary_from" in n))}


# Unary energies


def test_unaries_equal_the_stored_ones(golden):
    labels, probs = golden["labels"], golden["probs"]
    n = len(probs)
    pairs = {
        "unary_from_labels": utils.unary_from_labels(labels, n, 0.7, zero_unsure=False),
        "unary_from_labels_unsure": utils.unary_from_labels(labels, n - 1, 0.7),
        "unary_from_softmax_scaled": utils.unary_from_softmax(probs, scale=0.8),
        "unary": utils.unary_from_softmax(probs),
    }
    for name, found in pairs.items():
        stored = golden[name]
        assert found.dtype == np.float32
        assert found.shape == (len(stored), labels.size)
        assert np.array_equal(found, stored.reshape(found.shape)), name


@pytest.mark.parametrize("zero_unsure", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, np.uint64, bool])
def test_unary_from_labels_is_its_formula(rng, dtype, zero_unsure):
    n, p = 2 if dtype is bool else 5, 0.6
    labels = rng.integers(0, n, (3, 4, 2)).astype(dtype)
    U = utils.unary_from_labels(labels, n, p, zero_unsure)
    for (row, i), energy in np.ndenumerate(U):
        label = int(labels.flat[i])
        unsure = zero_unsure and label == 0
        right = row == label - zero_unsure
        probability = 1 / n if unsure else p if right else (1 - p) / (n - 1)
        assert energy == np.float32(-np.log(probability))


def test_the_highest_label_counts_from_one_where_zero_is_unsure():
    U = utils.unary_from_labels([3, 1], 3, 0.5)
    assert U.argmin(axis=0).tolist() == [2, 0]
    assert utils.unary_from_labels(np.zeros(0, int), 3, 0.5).shape == (3, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unary_from_softmax_is_its_formula(rng, dtype):
    sm = np.moveaxis(rng.dirichlet(np.ones(3), (4, 5)), -1, 0).astype(dtype)
    sm[0, 0] = 0
    kept = sm.copy()
    flat = sm.reshape(3, -1).astype(np.float64)
    assert_close(utils.unary_from_softmax(sm), -np.log(np.clip(flat, 1e-5, 1)), "golden")
    assert_close(utils.unary_from_softmax(sm, scale=0.5), -np.log(0.5 * flat + 0.5 / 3), "golden")
    assert_close(utils.unary_from_softmax(sm, clip=0.2), -np.log(np.clip(flat, 0.2, 1)), "golden")
    without = utils.unary_from_softmax(sm, clip=None)
    assert np.array_equal(np.isinf(without), flat == 0)
    assert np.array_equal(sm, kept)
    assert np.isnan(utils.unary_from_softmax(sm * np.nan)).all()
    assert utils.unary_from_softmax(sm[:, 0, 0]).shape == (3, 1)
    assert utils.unary_from_softmax(sm[:, :0]).shape == (3, 0)


def test_the_old_names_warn_through_logging(rng, caplog):
    labels, sm = rng.integers(0, 4, (3, 4)), rng.dirichlet(np.ones(3), 6).T
    sm[0, 0] = 0
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(utils.compute_unary(labels, 3), utils.unary_from_labels(labels, 3, 0.5))
        assert np.array_equal(utils.compute_unary(labels, 3, 0.9), utils.unary_from_labels(labels, 3, 0.9))
        assert np.array_equal(utils.softmax_to_unary(sm), utils.unary_from_softmax(sm, clip=None))
        assert np.array_equal(utils.softmax_to_unary(sm, 0.5), utils.unary_from_softmax(sm, 0.5, clip=None))
    assert len(caplog.records) == 4
    assert all(r.name == "root" and "is deprecated, use unary_from_" in r.message for r in caplog.records)


def test_a_map_of_labels_as_softmax_is_accepted_but_pointed_out(caplog):
    """pydensecrf accepts it, so the result stays its formula."""
    mask = np.array([[0, 1, 1], [2, 0, 1]])
    with caplog.at_level(logging.WARNING):
        for sm in (mask, mask.astype(np.float32), mask > 0, mask[None]):
            flat = sm.reshape(len(sm), -1).astype(np.float64)
            assert_close(utils.unary_from_softmax(sm), -np.log(np.clip(flat, 1e-5, 1)), "golden")
    assert len(caplog.records) == 4
    assert all("use unary_from_labels" in r.message for r in caplog.records)


def test_probabilities_as_softmax_log_nothing(caplog):
    one_hot = np.eye(3, dtype=np.uint8)[:, [0, 2, 1, 1]]
    half = np.full((2, 3), 0.5)
    for sm in (one_hot, one_hot * 1.0, half, half[:, :0], half * 0.3, half * np.nan):
        utils.unary_from_softmax(sm)
    assert not caplog.records


# Pairwise features


@pytest.mark.parametrize("shape", [(7,), (4, 5), (2, 3, 4), (1, 1), (0, 3)])
def test_gaussian_features_are_scaled_coordinates(shape):
    sdims = [0.5, 3, 7.5][: len(shape)]
    features = utils.create_pairwise_gaussian(sdims, shape)
    assert features.dtype == np.float32
    assert features.shape == (len(shape), np.prod(shape))
    for i, at in enumerate(np.ndindex(*shape)):
        assert features[:, i].tolist() == [np.float32(k) / np.float32(s) for k, s in zip(at, sdims, strict=True)]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("chdim", [0, 1, 2, -2, -3])
def test_bilateral_features_are_coordinates_then_channels(rng, chdim, dtype):
    last = rng.integers(0, 256, (4, 5, 3)).astype(dtype)
    img = np.ascontiguousarray(np.moveaxis(last, -1, chdim))
    kept = img.copy()
    features = utils.create_pairwise_bilateral((2, 3), (10, 20, 40), img, chdim)
    assert features.dtype == np.float32
    assert features.shape == (5, 20)
    assert features.flags.c_contiguous
    for i, (r, c) in enumerate(np.ndindex(4, 5)):
        wanted = [r / 2, c / 3, *(last[r, c] / (10, 20, 40))]
        np.testing.assert_allclose(features[:, i], wanted, rtol=2e-7)
    assert np.array_equal(img, kept)


def test_minus_one_means_no_channels_and_one_number_serves_all(rng):
    img = rng.random((2, 3, 4))
    flat = utils.create_pairwise_bilateral((1, 1, 1), (0.5,), img)
    assert flat.shape == (4, 24)
    assert np.array_equal(flat[3], img.astype(np.float32).ravel() / np.float32(0.5))
    assert np.array_equal(flat, utils.create_pairwise_bilateral((1, 1, 1), 0.5, img, chdim=-1))
    one = utils.create_pairwise_bilateral((1, 1), 0.5, img, chdim=2)
    assert np.array_equal(one, utils.create_pairwise_bilateral((1, 1), [0.5] * 4, img, chdim=2))


def test_an_infinite_scale_leaves_an_axis_out():
    assert not utils.create_pairwise_gaussian((np.inf, 1), (3, 2))[0].any()


def test_the_slow_references_agree(rng):
    img = rng.integers(0, 256, (4, 6, 3)).astype(np.uint8)
    slow = utils._create_pairwise_gaussian_2d(3, 0.7, (4, 6))
    assert slow.dtype == np.float32
    np.testing.assert_allclose(slow, utils.create_pairwise_gaussian((3, 0.7), (4, 6)), rtol=2e-7)
    slow = utils._create_pairwise_bilateral_2d(3, 0.7, 13, 7, 1.5, img)
    assert slow.dtype == np.float32
    np.testing.assert_allclose(slow, utils.create_pairwise_bilateral((3, 0.7), (13, 7, 1.5), img, chdim=2), rtol=2e-7)


# Bad input: pydensecrf's built-in exception, and ours

L, S = np.array([[0, 1], [2, 1]]), np.full((2, 3), 0.5)
labels, softmax = utils.unary_from_labels, utils.unary_from_softmax
gaussian, bilateral = utils.create_pairwise_gaussian, utils.create_pairwise_bilateral
BAD = [
    ("gt_prob 0", lambda: labels(L, 3, 0), AssertionError, r"^`gt_prob must be in \(0,1\).*got 0"),
    ("gt_prob 1", lambda: labels(L, 3, 1.0), AssertionError, "got 1.0"),
    ("gt_prob NaN", lambda: labels(L, 3, np.nan), AssertionError, "got nan"),
    ("label too high", lambda: labels(L, 2, 0.5, False), IndexError, "0 to 1, got 2"),
    ("label too high, unsure", lambda: labels(L + 1, 2, 0.5), IndexError, "0 to 2, got 3"),
    ("label negative", lambda: labels(L - 1, 3, 0.5), IndexError, "got -1"),
    ("labels of floats", lambda: labels(L * 1.0, 3, 0.5), IndexError, "float64"),
    ("labels NaN", lambda: labels(L * np.nan, 3, 0.5), IndexError, "float64"),
    ("one label", lambda: labels(L * 0, 1, 0.5), ZeroDivisionError, "at least 2, got 1"),
    ("no label", lambda: labels(L, 0, 0.5), IndexError, "at least 2, got 0"),
    ("labels -2", lambda: labels(L, -2, 0.5), ValueError, "got -2"),
    ("n_labels 3.0", lambda: labels(L, 3.0, 0.5), TypeError, "got 3.0"),
    ("scale 0", lambda: softmax(S, 0), AssertionError, r"^`scale` needs to be in \(0,1\].*got 0"),
    ("scale 1.5", lambda: softmax(S, scale=1.5), AssertionError, "got 1.5"),
    ("scale NaN", lambda: softmax(S, np.nan), AssertionError, "got nan"),
    ("GT_PROB 2", lambda: utils.softmax_to_unary(S, 2), AssertionError, "got 2"),
    ("no classes", lambda: softmax(S[:0]), ValueError, r"\(0, 3\)"),
    ("no axis", lambda: softmax(0.5), IndexError, r"\(\)"),
    ("softmax of strings", lambda: softmax(["a"]), TypeError, "<U1"),
    ("more scales", lambda: gaussian((1, 2, 3), (2, 2)), IndexError, "2, got 3"),
    ("fewer scales", lambda: gaussian((1,), (2, 2)), ValueError, "2, got 1"),
    ("scale a number", lambda: gaussian(3, (2, 2)), TypeError, "got 3"),
    ("scale 0.0", lambda: gaussian((0.0, 1), (2, 2)), ZeroDivisionError, "above 0, got 0.0"),
    ("scale negative", lambda: gaussian((1, -2), (2, 2)), ValueError, "got -2"),
    ("sdims NaN", lambda: gaussian((1, np.nan), (2, 2)), ValueError, "got nan"),
    ("sdims strings", lambda: gaussian("ab", (2, 2)), TypeError, "got 'a'"),
    ("shape of floats", lambda: gaussian((1, 1), (2.0, 2)), TypeError, "2.0"),
    ("shape a number", lambda: gaussian((1,), 5), TypeError, "got 5"),
    ("shape negative", lambda: gaussian((1, 1), (2, -2)), ValueError, "-2"),
    ("shape empty", lambda: gaussian((), ()), ValueError, r"got \(\)"),
    ("more channels", lambda: bilateral((1, 1), (1, 2), S), IndexError, "schan.*1, got 2"),
    ("fewer channels", lambda: bilateral((1,), (1, 2), S, 1), ValueError, "schan.*3, got 2"),
    ("schan 0", lambda: bilateral((1, 1), 0, S), ZeroDivisionError, "schan"),
    ("schan None", lambda: bilateral((1, 1), None, S), TypeError, "schan.*None"),
    ("sdims fewer", lambda: bilateral((1,), 1, S), ValueError, "sdims.*2, got 1"),
    ("sdims more", lambda: bilateral((1, 1, 1), 1, S), IndexError, "sdims.*2, got 3"),
    ("chdim", lambda: bilateral((1,), 1, S, 5), IndexError, r"\(2, 3\), or -1, got 5"),
    ("img of no axis", lambda: bilateral((), 1, 3.0), IndexError, "spatial axis"),
    ("img complex", lambda: bilateral((1, 1), 1, S * 1j), TypeError, "complex128"),
    ("2d scale", lambda: utils._create_pairwise_gaussian_2d(0, 1, (2, 2)), ZeroDivisionError, "got 0"),
    ("2d shape", lambda: utils._create_pairwise_gaussian_2d(1, 1, (2,)), IndexError, "two axes"),
    ("2d grey", lambda: utils._create_pairwise_bilateral_2d(1, 1, 1, 1, 1, S), IndexError, r"\(2, 3\)"),
    ("2d sr", lambda: utils._create_pairwise_bilateral_2d(1, 1, -1, 1, 1, L[..., None] * [1, 1, 1]), ValueError, "-1"),
]


@pytest.mark.parametrize(("call", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_bad_input_raises_the_built_in_error_and_ours(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, AtrousError)


# The peer itself, where it is installed


def test_random_calls_equal_the_peer_to_the_last_bit(rng):
    peer = pytest.importorskip("pydensecrf.utils")
    for _ in range(30):
        n, shape = int(rng.integers(2, 7)), tuple(rng.integers(1, 7, 2))
        label_map, p = rng.integers(1, n + 1, shape), rng.uniform(0.01, 0.99)
        sm = np.moveaxis(rng.dirichlet(np.ones(n), shape), -1, 0).astype(np.float32)
        img, s = rng.integers(0, 256, (*shape, 3)).astype(np.uint8), rng.uniform(0.3, 30, 5)
        for name, arguments in {
            "unary_from_labels": (label_map, n, p),
            "unary_from_softmax": (sm, p),
            "create_pairwise_gaussian": (s[:2], shape),
            "create_pairwise_bilateral": (s[:2], s[2:].tolist(), img, 2),
            "_create_pairwise_gaussian_2d": (*s[:2], shape),
            "_create_pairwise_bilateral_2d": (*s, img),
        }.items():
            ours, theirs = (getattr(module, name)(*arguments) for module in (utils, peer))
            assert ours.dtype == theirs.dtype
            assert ours.strides == theirs.strides
            assert np.array_equal(ours, theirs), name
