"""Schedules against the values of the papers."""

from itertools import pairwise

import pytest

from atrous import poly_schedule, step_schedule, warm_up
from atrous.errors import ParameterError


def test_rates_of_the_papers():
    v1 = [step_schedule(i, base=1e-3, every=2000) for i in (0, 1999, 2000, 3999, 4000, 5999)]
    assert v1 == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])
    v2 = [poly_schedule(i, base=2.5e-4, total=20_000) for i in (0, 10_000, 20_000)]
    assert v2 == pytest.approx([2.5e-4, 2.5e-4 * 0.5**0.9, 0.0])
    assert v2[1] / v2[0] == pytest.approx(0.536, abs=5e-4)
    v3 = [poly_schedule(i, base=0.007, total=30_000) for i in (1, 29_999)]
    assert v3 == pytest.approx([0.007 * (29_999 / 30_000) ** 0.9, 0.007 * (1 / 30_000) ** 0.9])


def test_poly_falls_to_its_end_and_stays_there():
    rates = [poly_schedule(i, base=1.0, total=50, end=0.1) for i in range(60)]
    assert rates[0] == 1.0
    assert all(a > b for a, b in pairwise(rates[:51]))
    assert rates[50:] == [0.1] * 10


def test_power_zero_is_constant_and_one_is_a_line():
    assert [poly_schedule(i, base=2.0, total=4, power=0) for i in range(4)] == [2.0] * 4
    assert [poly_schedule(i, base=2.0, total=4, power=1) for i in range(5)] == [2.0, 1.5, 1.0, 0.5, 0.0]


def test_warm_up_rises_to_the_schedule():
    rates = [warm_up(step_schedule(i, base=1.0, every=3, factor=0.5), i, steps=5, start=0.2) for i in range(8)]
    assert rates == pytest.approx([0.2, 0.36, 0.52, 0.38, 0.44, 0.5, 0.25, 0.25])
    assert warm_up(0.3, 0, steps=0) == 0.3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: poly_schedule(-1, base=1, total=2), "step must be"),
        (lambda: poly_schedule(0, base=1, total=0), "total must be"),
        (lambda: poly_schedule(0, base=-1, total=2), "base must be"),
        (lambda: poly_schedule(0, base=1, total=2, power=-1), "power must be"),
        (lambda: poly_schedule(0, base=1, total=2, end=float("nan")), "end must be"),
        (lambda: step_schedule(0, base=1, every=0), "every must be"),
        (lambda: step_schedule(0, base=1, every=2, factor=-0.1), "factor must be"),
        (lambda: step_schedule(1.5, base=1, every=2), "step must be an integer"),
        (lambda: warm_up(1.0, 0, steps=-1), "steps must be"),
        (lambda: warm_up(1.0, 0, steps=1, start=-1.0), "start must be"),
    ],
)
def test_bad_numbers_are_named(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
