"""Figures of ASPP and of whole networks: what they draw, and the numbers that they draw it from."""

import numpy as np
import pytest

from atrous import build, examples, figures, resize_bilinear
from atrous.examples.networks import BUILT, PRINTED


def offsets(fig, role):
    return np.concatenate([np.asarray(artist.get_offsets()) for artist in figures.find(fig, role)])


def spans(fig, role):
    return [np.ptp(path.vertices, axis=0)[0] for artist in figures.find(fig, role) for path in artist.get_paths()]


def words(fig):
    return " ".join(text.get_text() for ax in fig.axes for text in ax.texts)


def closed_form(n, rate):
    """Return the fractions by the counts of positions along an axis that see 3, 2 and 1 taps."""
    b = max(0, n - 2 * rate)
    o = 2 * max(0, n - rate) - 2 * b
    z = n - b - o
    return {9: b * b, 6: 2 * b * o, 4: o * o, 3: 2 * b * z, 2: 2 * o * z, 1: z * z}


@pytest.mark.parametrize("n", [65, 33])
def test_valid_taps_are_counted_as_the_formula_says(n):
    for rate in range(1, n + 15):
        found = examples.valid_taps(n, rate)
        assert found == pytest.approx({number: count / n**2 for number, count in closed_form(n, rate).items()})
        assert sum(found.values()) == pytest.approx(1)
        assert found[3] == 0


def test_valid_taps_of_the_paper():
    at = examples.valid_taps
    assert [round(at(65, rate)[9], 3) for rate in (1, 6, 12, 18, 24)] == [0.939, 0.665, 0.398, 0.199, 0.068]
    assert round(at(65, 32)[4], 4) == round(at(65, 33)[4], 4) == 0.9695
    assert at(65, 65)[1] == 1
    assert [round(at(33, rate)[9], 3) for rate in (6, 12, 18)] == [0.405, 0.074, 0]


def test_valid_taps_are_drawn():
    fig = figures.figure_valid_taps(33)
    for number in (9, 6, 4, 2, 1):
        (line,) = figures.find(fig, f"{number} taps")
        assert line.get_ydata()[17] == examples.valid_taps(33, 18)[number]
        assert line.get_xdata()[-1] > 33


def test_aspp_taps_stand_at_the_rates():
    fig = figures.figure_aspp_taps()
    unit = spans(fig, "field at rate 6")[0] / 13
    for rate, span in ((6, 13), (12, 25), (18, 37), (24, 49)):
        np.testing.assert_allclose(spans(fig, f"field at rate {rate}"), span * unit)
        taps = offsets(fig, f"taps at rate {rate}")
        assert len(taps) == 9
        np.testing.assert_allclose(np.ptp(taps, axis=0), 2 * rate * unit)


def test_branches_answer_an_impulse_where_they_read_it():
    found = examples.impulse_answers((41, 39), (6, 12, 18), (20, 19))
    assert [np.count_nonzero(values) for values in found.values()] == [1, 9, 9, 9, 41 * 39]
    for rate in (6, 12, 18):
        rows, columns = np.nonzero(found[f"rate {rate}"])
        assert set(rows - 20) == set(columns - 19) == {-rate, 0, rate}
    assert np.ptp(found["image pooling"]) == 0


def test_branches_answer_an_image():
    image = examples.drawn_scene((30, 31))
    found = examples.branch_answers(image, (2, 40))
    np.testing.assert_array_equal(found["1 × 1"], image)
    np.testing.assert_allclose(found["rate 2"][10, 11], image[8:13:2, 9:14:2].mean())
    np.testing.assert_allclose(found["rate 40"], image / 9)
    np.testing.assert_allclose(found["image pooling"], image.mean())


@pytest.mark.parametrize("shape", [(9, 40), (500, 30), (8, 8), (1, 3)])
def test_responses_over_pictures_of_any_shape(shape):
    fig = figures.figure_aspp_responses(examples.drawn_scene(shape))
    assert len(figures.find(fig, "answer to the image")) == 5
    assert 0 < fig.get_figheight() < 9


def test_field_table_is_the_papers():
    rows = examples.field_table()
    assert [row[:3] for row in rows] == [(7, 4, 224), (4, 4, 128), (4, 8, 224), (3, 12, 224)]
    assert [row[3] for row in rows] == [404, 308, 404, 435]
    assert [row[4] for row in rows] == [134346581, 65140565, 65140565, 20505429]
    fig = figures.figure_field_table()
    for i, (kernel, rate, nominal, true, _) in enumerate(rows):
        (inner,), (outer,) = spans(fig, f"nominal of row {i}"), spans(fig, f"true of row {i}")
        assert outer / inner == pytest.approx(true / nominal)
        taps = offsets(fig, f"taps of row {i}")
        assert len(taps) == kernel**2
        assert np.ptp(taps[:, 0]) / inner == pytest.approx(8 * rate * (kernel - 1) / nominal)


def test_costs_over_the_output_stride():
    costs = examples.stride_costs()
    assert [round(costs[s][0] / 1e9, 2) for s in (16, 8, 32)] == [80.83, 275.94, 52.25]
    assert all(costs[s][0] / 1e9 == pytest.approx(printed, rel=0.005) for s, printed in PRINTED.items())
    assert costs[1][0] == 4 * costs[2][0] == 16 * costs[4][0]
    fig = figures.figure_output_strides()
    assert len(figures.find(fig, "cost 0, built")) == len(BUILT)
    assert len(figures.find(fig, "cost 1, computed")) == 2
    np.testing.assert_allclose(offsets(fig, "printed")[:, 1], list(PRINTED.values()))


def test_four_ways_to_context():
    fig = figures.figure_context_ways()
    assert [letter in words(fig) for letter in ("(a)", "(b)", "(c)", "(d)")] == [True] * 4
    assert len(figures.find(fig, "image")) == 3 + 1 + 1 + 1
    assert len(figures.find(fig, "branch")) == 5


def test_features_land_where_resizing_puts_them():
    for corners in (True, False):
        places = examples.feature_places(65, 513, align_corners=corners)
        weights = resize_bilinear(np.eye(65)[:, None, None], (1, 513), align_corners=corners)[:, 0, 0]
        # A ramp is resized to the places' inverse; between the first and the last feature it is linear.
        ramp = np.arange(65) @ weights
        np.testing.assert_allclose(np.interp(places[1:-1], np.arange(513), ramp), np.arange(1, 64), atol=1e-9)
    np.testing.assert_allclose(examples.feature_places(65, 513), 8 * np.arange(65))
    error = places - 8 * np.arange(65)
    assert (round(error[0], 2), round(error[-1], 2)) == (3.45, -3.45)
    np.testing.assert_allclose(places, 513 / 65 * (np.arange(65) + 0.5) - 0.5)


def test_alignment_draws_the_errors():
    fig = figures.figure_alignment(17, 129)
    (aligned,), (half,) = (figures.find(fig, f"error, {name}") for name in ("corners aligned", "half-pixel centres"))
    assert np.ptp(aligned.get_ydata()) == 0
    assert half.get_ydata()[0] == pytest.approx(-half.get_ydata()[-1])


@pytest.mark.parametrize(
    "name", ["deeplabv1_largefov", "deeplabv2_resnet101_aspp", "deeplabv3_resnet101", "deeplabv3plus_xception65"]
)
def test_drawings_of_the_four_papers(name):
    drawing = build(name).drawing()
    width = int(drawing.svg.partition('viewBox="0 0 ')[2].partition(" ")[0])
    assert width <= 780
    assert 'role="img" aria-label="The blocks of ' + name in drawing.svg
    assert ("dense CRF" in drawing.svg) == name.startswith(("deeplabv1", "deeplabv2"))
    assert ("1/4, 129²" in drawing.svg) == ("plus" in name)
    assert drawing.svg.count("marker-end") >= 9
    assert len(repr(drawing)) < 60
    assert ("rate 18" in drawing.svg) == (name != "deeplabv1_largefov")
    assert ">1/8<" in drawing.svg or ">1/16<" in drawing.svg
