"""Sliders: where there is ipywidgets, they redraw; elsewhere the static figure stands for itself."""

import sys

import pytest

from atrous import figures
from atrous.errors import ParameterError


@pytest.fixture
def widgets(monkeypatch):
    monkeypatch.delenv("ATROUS_STATIC", raising=False)
    return pytest.importorskip("ipywidgets")


def test_nothing_without_widgets_or_where_it_is_static(monkeypatch):
    monkeypatch.setenv("ATROUS_STATIC", "1")
    assert figures.slide(figures.figure_taps, size=(11, 13)) is None
    monkeypatch.delenv("ATROUS_STATIC")
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert figures.slide(figures.figure_taps, size=(11, 13)) is None
    with pytest.raises(ParameterError, match="rate needs values to choose from"):
        figures.slide(figures.figure_taps, rate=())


def test_sliders_begin_where_they_should_and_redraw(widgets):
    calls = []

    def draw(**chosen):
        calls.append(chosen)
        return figures.figure_sampling(**chosen)

    moved = figures.slide(draw, rate=range(1, 6), padding=("valid", "same"), size=(12, 9))
    sliders = {child.description: child for child in moved.children if hasattr(child, "description")}
    assert (sliders["rate"].min, sliders["rate"].max, sliders["rate"].value) == (1, 5, 1)
    assert tuple(sliders["size"].options) == (9, 12)
    moved.update()
    sliders["rate"].value = 3
    assert calls[0] == {"rate": 1, "padding": "valid", "size": 12}
    assert calls[-1] == {"rate": 3, "padding": "valid", "size": 12}


def test_a_choice_that_cannot_be_drawn_says_why(widgets, capsys):
    moved = figures.slide(figures.figure_sampling, size=(3, 5), rate=(4, 1), padding=("valid",))
    moved.update()
    told = capsys.readouterr().out + "".join(o.get("text", "") for o in moved.out.outputs)
    assert "Lower the rate" in told
