"""The estimate behind ``method="auto"``: its counts, and its choices on layers that were measured."""

import json
from pathlib import Path

import numpy as np

from atrous.bench import fit
from atrous.bench.cases import ConvCase
from atrous.conv import cost_model
from atrous.conv.cost_model import COUNTS, LEAD, NANOSECONDS, candidates, counts
from atrous.conv.geometry import conv_geometry

STORED = Path(__file__).parents[2] / "benchmarks" / "results" / "fit.json"


def test_the_table_has_a_row_for_each_method():
    for rows in NANOSECONDS.values():
        assert list(rows) == list(COUNTS)
        assert all(len(row) == 5 and min(row) >= 0 < max(row) for row in rows.values())


def test_counts_by_hand():
    g = conv_geometry((2, 12, 6, 7), (18, 12, 3, 3), rate=2)
    outputs, taps = 2 * 6 * 7, 9
    assert counts("im2col", g, "forward") == (1, outputs * 12 * taps * 18, outputs * 12 * taps, outputs * 18, 0)
    # Of the taps along an axis of 6, two lose 2 outputs each to the zeros; of 7, likewise.
    read = 2 * (6 + 4 + 4) * (7 + 5 + 5)
    assert counts("shift", g, "forward") == (1, read * 12 * 18, read * 18, outputs * 12, 12 * 18 * taps)


def test_counts_fill_up_tiles():
    g = conv_geometry((1, 64, 5, 5), (20, 64, 1, 1))
    width, rows = cost_model._tile(20)[1], 6
    products = counts("implicit_gemm", g, "forward")[1]
    assert products == -(-25 // rows) * rows * width * 64
    assert width >= 20
    assert width % 16 == 0
    few = conv_geometry((1, 64, 5, 5), (20, 64, 3, 3))
    assert counts("stacked_taps", few, "forward")[1] == 25 * 64 * cost_model._tile(180)[1]


def test_a_fit_finds_what_was_planted():
    planted = {method: [900.0 * i, 0.01 * i, 0.3, 0.5, 0.2] for i, method in enumerate(COUNTS, 1)}
    planted["im2col"][4] = 0.0  # it has nothing to pack
    rows = []
    for which in fit.PASSES:
        for case in fit.shapes()[0]:
            g = case.geometry
            seconds = {m: float(np.dot(counts(m, g, which), planted[m])) * 1e-9 for m in candidates(g, exact=False)}
            rows.append({"case": list(case), "unseen": False, "pass": which, "seconds": seconds})
    for found in fit.fit(rows).values():
        for method, row in planted.items():
            np.testing.assert_allclose(found[method], row, rtol=0.01)


def test_what_is_stored_was_measured_with_this_table():
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    assert {which: {m: tuple(r) for m, r in rows.items()} for which, rows in stored["table"].items()} == NANOSECONDS
    for which in NANOSECONDS:
        found = fit.ratios(stored["rows"], which, NANOSECONDS)
        assert len(found) == fit.UNSEEN
        assert sum(ratio <= fit.NEAR for ratio in found) >= 0.9 * len(found)


def test_layers_of_the_fit_and_the_others_are_different():
    fitted, unseen = fit.shapes()
    assert (len(fitted), len(unseen)) == (fit.FITTED, fit.UNSEEN)
    assert not set(fitted) & set(unseen)


def test_only_methods_that_fit_are_candidates():
    ordinary = ConvCase(64, 64, 33, 2).geometry
    assert set(candidates(ordinary, exact=False)) == set(COUNTS)
    assert set(candidates(ordinary, exact=True)) == set(COUNTS) - {"winograd"}
    assert not set(candidates(ordinary, exact=False, ours=True)) & set(LEAD)
    stem = conv_geometry((1, 3, 65, 65), (64, 3, 7, 7), stride=2)
    assert candidates(stem, exact=False, ours=True) == ["implicit_gemm"]
    grouped = conv_geometry((1, 64, 33, 33), (64, 32, 3, 3), groups=2)
    assert "stacked_taps" not in candidates(grouped, exact=False)
    strided = conv_geometry((1, 64, 33, 33), (64, 64, 3, 3), stride=2)
    assert "winograd" not in candidates(strided, exact=False)


def test_blas_needs_a_lead():
    g = conv_geometry((1, 64, 9, 9), (64, 64, 1, 1))
    table = {"forward": {"im2col": (100, 0, 0, 0, 0), "implicit_gemm": (115, 0, 0, 0, 0)}}
    assert cost_model.choose(g, "forward", ["im2col", "implicit_gemm"], table) == "implicit_gemm"
    table["forward"]["implicit_gemm"] = (125, 0, 0, 0, 0)
    assert cost_model.choose(g, "forward", ["im2col", "implicit_gemm"], table) == "im2col"
