"""The newer figures of the papers, and drawing any figure by its name."""

import json

import numpy as np
import pytest
from matplotlib.text import Text

from atrous import build, figures, poly_schedule, trained
from atrous.cli import main
from atrous.errors import ParameterError
from atrous.figures.by_name import PAPERS, figure_named, named_figures


def words(fig):
    return [text.get_text() for text in fig.findobj(Text) if text.get_text()]


def squares(fig, role):
    return sum(len(artist.get_paths()) for artist in figures.find(fig, role))


@pytest.mark.parametrize("rate", [1, 2, 3])
def test_separable_has_a_square_for_each_weight(rate):
    fig = figures.figure_separable(channels=3, filters=4, rate=rate)
    assert squares(fig, "ordinary") == 3 * 4 * 9
    assert squares(fig, "depthwise") == 3 * 9
    assert squares(fig, "pointwise") == 3 * 4
    assert "39 weights in all," in words(fig)
    assert round(256 * 256 * 9 / (256 * 9 + 256 * 256), 1) == 8.7


def test_the_cascade_has_the_sizes_of_the_network():
    sizes = [int(text) for text in words(figures.figure_cascade()) if text.isdigit()]
    assert sizes == [513, 129, 65, 33, 17, 9, 5, 3, 3, 513, 129, 65, *[33] * 6]
    for stride, last in ((256, 3), (16, 33)):
        cascade = build("deeplabv3_resnet50", blocks=7, aspp=False, output_stride=stride)
        assert cascade.summary(513).rows[-1].size == (last, last)


def test_schedules_draw_what_the_functions_give():
    fig = figures.figure_schedules(total=1000, every=300)
    lines = {line.get_gid(): line.get_ydata() for line in fig.axes[0].lines}
    assert set(lines) == {"step", "poly", "poly, power 1"}
    assert lines["poly"][1000] == poly_schedule(500, base=1.0, total=1000)
    np.testing.assert_allclose(np.unique(np.round(lines["step"], 6)), [0.001, 0.01, 0.1, 1])


def test_the_trimap_draws_the_measured_curves():
    made = trained("shapes").made
    lines = {line.get_gid(): line.get_ydata() for line in figures.figure_trimap().axes[-1].lines}
    assert len(lines) == 2 * len(made["seeds"])
    np.testing.assert_allclose(
        lines["with the CRF, seed 0"], 100 * np.array(made["seeds"]["0"]["with the CRF"]["trimap"])
    )
    assert all(lines[f"with the CRF, seed {s}"][0] > lines[f"the network, seed {s}"][0] + 3 for s in made["seeds"])


def test_taps_of_the_paper():
    fig = figure_named("v3-fig1")
    for rate in (1, 6, 24):
        assert squares(fig, f"taps at rate {rate}") == 9
    assert "spans 49 × 49" in words(fig)


def test_every_name_is_a_figure():
    names = named_figures()
    assert list(names)[: len(PAPERS)] == list(PAPERS)
    assert all(callable(getattr(figures, found.function)) for found in names.values())
    drawn = {found.function for found in names.values()}
    left_out = {n for n in figures.__all__ if n.startswith("figure_")} - drawn
    # These draw what somebody has measured or trained.
    needs = {"bench", "bench_crf", "compatibility", "contact_sheet", "experiment", "messages", "predictions", "roofs"}
    needs |= {"search", "training"}
    assert left_out == {f"figure_{name}" for name in needs}
    with pytest.raises(ParameterError, match=r"no figure 'v9-fig1'. The names are v1-table2"):
        figure_named("v9-fig1")


@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
def test_a_figure_as_a_file(tmp_path, ending, capsys):
    path = tmp_path / f"poly.{ending}"
    assert main(["figure", "v2-poly", "-o", str(path)]) == 0
    assert path.read_bytes()[:5] in (b"<?xml", b"%PDF-", b"\x89PNG\r")
    assert str(path) in capsys.readouterr().out


def test_the_list_and_what_is_refused(tmp_path, capsys, monkeypatch):
    assert main(["figure", "list"]) == 0
    listed = capsys.readouterr().out
    assert "v2-fig2 " in listed
    assert "DeepLab v2, Figure 2" in listed
    assert main(["figure", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["v3-fig4"]["rebuilds"] == "DeepLab v3, Figure 4"
    assert main(["figure", "v2-fig2", "-o", str(tmp_path / "a.gif")]) == 2
    assert main(["figure", "v2-fig2", "-o", str(tmp_path / "none" / "a.svg")]) == 2
    assert main(["figure", "v9-fig1", "-o", str(tmp_path / "a.svg")]) == 1
    monkeypatch.setattr("atrous.figures.by_name.PAPERS", {"v2-poly": PAPERS["v2-poly"]})
    monkeypatch.setattr(figures, "__all__", ["figure_schedules", "figure_holes"])
    assert main(["figure", "all", "-o", str(tmp_path / "slides"), "--format", "pdf"]) == 0
    assert sorted(p.name for p in (tmp_path / "slides").iterdir()) == ["holes.pdf", "v2-poly.pdf"]
