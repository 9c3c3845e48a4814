"""The search for a CRF's parameters: what it tries, what it finds, that it is `dense_crf`, and that it goes on."""

from itertools import product

import numpy as np
import pytest
from crf.test_fit import scene

import atrous
from atrous import PAPER_RANGES, CRFParams, confusion_matrix, dense_crf, mean_iou, search_crf
from atrous.crf.params_file import params_text, read_params
from atrous.crf.search import coarse_to_fine, finer

START = CRFParams(4.0, 6.0, 15.0, 1.5, 2.0, 3, "after")
RANGES = {"bilateral_weight": (1, 4), "sigma_alpha": (3, 8), "sigma_beta": (8, 30)}


@pytest.fixture(scope="module")
def data():
    """Three images with probabilities and labels."""
    images, probabilities, labels = zip(*(scene(seed) for seed in range(3)), strict=True)
    labels[1][2:5] = 255
    return images, probabilities, labels


def by_hand(data, params):
    """Return the mean IoU of `dense_crf`."""
    found = [dense_crf(p.astype(np.float32), image, params).argmax(0) for image, p, _ in zip(*data, strict=True)]
    return mean_iou(sum(confusion_matrix(a, b, 3) for a, b in zip(found, data[2], strict=True)))


@pytest.fixture(scope="module")
def found(data):
    """Return the search of two rounds."""
    images, probabilities, labels = data
    return search_crf(images, [p.astype(np.float32) for p in probabilities], labels, START, ranges=RANGES, rounds=2)


def test_every_score_is_that_of_dense_crf(found, data):
    for r in found.rounds:
        for place, point in zip(np.ndindex(r.scores.shape), product(*r.values.values()), strict=True):
            params = START._replace(**dict(zip(r.values, point, strict=True)))
            assert r.scores[place] == pytest.approx(by_hand(data, params), abs=1e-12), params
    assert found.score == found.rounds[-1].scores.max() == pytest.approx(by_hand(data, found.params), abs=1e-12)
    assert found.score_before == pytest.approx(by_hand(data, START), abs=1e-12)
    rough = sum(confusion_matrix(p.argmax(0), truth, 3) for p, truth in zip(data[1], data[2], strict=True))
    assert found.score_unrefined == pytest.approx(mean_iou(rough), abs=1e-12)
    assert found.rounds[1].scores.max() >= found.rounds[0].scores.max()
    assert found.score > found.score_unrefined


def test_rounds_halve_the_steps():
    assert finer((1, 2, 4, 8), 4) == (3, 4, 6)
    assert finer((1, 2, 4), 1) == (0.5, 1, 1.5)
    assert finer((1, 9), 1) == (0.5, 1, 5)  # nothing becomes zero or negative
    assert finer((1, 2, 4), 4) == (3, 4, 5)

    def scores(points):
        return [-((a - 3.1) ** 2) - (b - 40) ** 2 for a, b in points]

    rounds = list(coarse_to_fine(scores, {"a": (1, 2, 4, 8), "b": (10, 30, 50)}, 5))
    assert [r.scores.shape for r in rounds] == [(4, 3), *[(3, 3)] * 4]
    assert [r.best["b"] for r in rounds[:2]] == [30, 40]
    assert abs(rounds[-1].best["a"] - 3.1) <= 0.1
    best = [r.scores.max() for r in rounds]
    assert best == sorted(best)


def test_the_first_of_equal_scores_wins_and_edges_are_told(data):
    rounds = list(coarse_to_fine(lambda points: [1.0] * len(points), {"a": (1, 2, 3)}, 1))
    assert rounds[0].best == {"a": 1}
    images, probabilities, labels = data
    found = search_crf(
        images, probabilities, labels, START, ranges={"sigma_gamma": (1, 2), "spatial_weight": (0,)}, rounds=1
    )
    assert found.at_edge == ["sigma_gamma"]
    assert found.params.spatial_weight == 0
    found = search_crf(images, probabilities, labels, START, ranges={"spatial_weight": (1e-6, 2e-6, 1.5)}, rounds=1)
    assert found.at_edge == ["spatial_weight"]
    assert found.params.spatial_weight == 1.5


def test_nothing_is_counted_twice(found, data, monkeypatch):
    images, probabilities, labels = data
    probabilities = [p.astype(np.float32) for p in probabilities]
    told = []

    class Stopped(Exception):
        pass

    def stop(counted, number, done, total):
        told.append((counted, number, done, total))
        if len(told) == 4:
            raise Stopped

    with pytest.raises(Stopped):
        search_crf(images, probabilities, labels, START, ranges=RANGES, rounds=2, tell=stop)
    assert [t[1:] for t in told] == [(1, 1, 3), (1, 2, 3), (1, 3, 3), (2, 1, 3)]
    assert {c.images for c in told[1][0].values()} == {2}
    seen = []
    kept = atrous.crf.search._labellings
    monkeypatch.setattr("atrous.crf.search._labellings", lambda u, i, p: seen.extend(p) or kept(u, i, p))
    again = search_crf(images, probabilities, labels, START, ranges=RANGES, rounds=2, counted=told[-1][0])
    assert again.params == found.params
    assert all(np.array_equal(a.scores, b.scores) for a, b in zip(again.rounds, found.rounds, strict=True))
    fresh = [p for p in found.counted if p not in told[2][0]]
    assert len(seen) == 2 * len(fresh), "the last two images, with what the second round has new"
    with pytest.raises(atrous.ParameterError, match="counted is of another search"):
        search_crf(images[:2], probabilities[:2], labels[:2], START, ranges=RANGES, counted=found.counted)


def test_a_lattice_serves_all_weights(data, monkeypatch):
    built = []
    kept = atrous.crf.search.joined_lattices
    monkeypatch.setattr("atrous.crf.search.joined_lattices", lambda *args: built.append(1) or kept(*args))
    images, probabilities, labels = data
    search_crf(images[:1], probabilities[:1], labels[:1], START, rounds=1,
               ranges={"bilateral_weight": (1, 2, 3, 4), "sigma_alpha": (4, 8), "sigma_beta": (10, 20)})  # fmt: skip
    assert len(built) == 5, "four pairs of sigmas, and those of the start"


def test_what_may_be_asked(data):
    images, probabilities, labels = data
    assert search_crf(*data, START, ranges={"sigma_beta": (10,)}, rounds=1,
                      score=lambda m: float(m[0, 0])).score >= 0  # fmt: skip
    for ranges, words in (
        ({}, "ranges must name a parameter"),
        ({"w1": (1,)}, "ranges must be one of .*bilateral_weight"),
        ({"sigma_alpha": (0, 1)}, "must be positive numbers"),
        ({"bilateral_weight": (-1,)}, "must be nonnegative numbers"),
        ({"sigma_beta": "x"}, "sigma_beta.*must be a sequence of finite numbers"),
    ):
        with pytest.raises(atrous.ParameterError, match=words):
            search_crf(*data, START, ranges=ranges)
    with pytest.raises(atrous.ShapeError, match=r"images\[1\] must be"):
        search_crf(images, [probabilities[0], probabilities[1][:, 1:], probabilities[2]], labels, START)
    with pytest.raises(atrous.ShapeError, match="as many, at least one; got 3, 3 and 2"):
        search_crf(images, probabilities, labels[:2], START)
    assert [len(PAPER_RANGES["v1"][n]) for n in PAPER_RANGES["v1"]] == [6, 6, 8]


def test_parameters_in_a_file(tmp_path):
    path = tmp_path / "crf.toml"
    params = CRFParams(3.1, 41.5, 4.25, 2.0, 1.0, 7, "after")
    path.write_text(params_text(params, "two\nlines"), encoding="utf-8")
    assert path.read_text(encoding="utf-8").startswith("# two\n# lines\nbilateral_weight = 3.1\n")
    assert read_params(path) == params
    path.write_text("sigma_beta = 5\n")
    assert read_params(path) == CRFParams(sigma_beta=5)
    for text, words in (
        ("w1 = 3", "no field 'w1'"),
        ("sigma_beta = -1", "sigma_beta must be positive.* It stands in"),
        ("iterations = 'ten'", "iterations must be an integer.* It stands in"),
        ("sigma_beta 5", "is not TOML"),
    ):
        path.write_text(text)
        with pytest.raises(atrous.AtrousError, match=words):
            read_params(path)
    with pytest.raises(atrous.ParameterError, match="cannot read"):
        read_params(tmp_path / "none.toml")
