"""Figures are checked on what they draw, counts, positions and the claim each one makes, never on pixels."""

import base64
import io
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.text import Text
from PIL import Image

import atrous
from atrous import Scenes, Spatial, atrous_conv, examples, figures
from atrous.crf.search import Round
from atrous.data.classes import SCENE_CLASSES
from atrous.data.palettes import colourize
from atrous.errors import ParameterError
from atrous.examples.convolution import tap_tree
from atrous.examples.gradients import QUOTIENTS
from atrous.figures import draw, style

BENCH = {
    "schema": 1,
    "environment": {"cpu": "a processor", "threads": 2, "numpy": "2.0"},
    "limits": {"gemm_gflops": 80.0, "copy_gbps": 10.0},
    "rows": [
        {
            "case": f"{c}→8, {h}×9, rate {rate}", "n": n, "c": c, "f": 8, "size": [h, 9], "kernel": 3, "rate": rate,
            "dtype": "float32", "method": method, "pass": name, "seconds": rate / 1000, "extra_bytes": 0,
            "padded_work": 1.0, "gflops": 1.0,
        }
        for n, c, h, rates in ((1, 4, 9, (1, 2, 6)), (4, 2, 7, (12,)))
        for rate in rates for method in ("im2col", "interlace") for name in ("forward", "dx", "dw")
    ],
    "verdict": "They never cross.",
}  # fmt: skip
NAMES = sorted(name for name in figures.__all__ if name.startswith("figure_"))


BENCH_CRF = {
    "environment": BENCH["environment"],
    "limits": BENCH["limits"],
    "rows": [
        {"size": [w, h], "labels": n, "contestant": name, "seconds": w * h * n * t}
        for w, h, n in ((320, 240, 21), (500, 375, 2))
        for name, t in (("atrous", 1e-8), ("atrous, 1 thread", 2e-8), ("pydensecrf", 1e-7))
    ],
    "stages": {"stages": [["build both lattices", 0.02, None], ["softmax", 0.001, 10**7], ["blur", 0.002, 10**8]]},
}
ROOFS = {
    "environment": BENCH["environment"],
    "limits": {"peak_gflops": 200.0, "gemm_gflops": 80.0, "copy_gbps": 10.0},
    "rows": [
        {
            "n": 1, "c": c, "f": c, "size": [8, 8], "kernel": 3, "rate": rate, "method": method, "pass": "forward",
            "gflops": float(c + rate), "sweep": sweep,
        }
        for sweep, layers in (("rate", [(16, 1), (16, 2)]), ("channels", [(4, 2), (16, 2)]))
        for c, rate in layers for method in ("im2col", "winograd")
    ],
}  # fmt: skip
LOG = [{"step": i + 1, "loss": 2 / (i + 1), "rate": 0.1 * (1 - i / 40)} for i in range(40)]
SAMPLES = [*Scenes(2, size=(41, 33))]
SHEET = [
    (f"Picture {i}", "A sentence of a few words about it. " * (i + 1), np.eye(4 + i)[..., None] * np.ones(3))
    for i in range(5)
]
EXPERIMENT = {
    "rows": [
        {"label": "small field", "paper": "4 × 4", "printed": 59.8, "measures": {"mean_iou": [60.0, 61.0, 62.5]}},
        {"label": "wide field", "paper": "", "printed": None, "measures": {"mean_iou": [64.0, 65.0, 66.0]}},
    ]
}
ROUNDS = [
    Round({"bilateral_weight": (1, 2, 4), "sigma_alpha": (10, 20), "sigma_beta": (3, 6, 9)},
          np.arange(18.0).reshape(3, 2, 3) / 18, {"bilateral_weight": 4, "sigma_alpha": 20, "sigma_beta": 9}),
    {"values": {"bilateral_weight": (3, 4, 5), "sigma_alpha": (15, 20, 25), "sigma_beta": (7.5, 9, 10.5)},
     "scores": np.linspace(0.9, 1.0, 27).reshape(3, 3, 3).tolist(),
     "best": {"bilateral_weight": 5, "sigma_alpha": 25, "sigma_beta": 10.5}},
]  # fmt: skip
COSTS = np.array([[0.1, 1.0, 0.9], [1.0, 0.2, 0.4], [0.9, 0.4, -0.05]])
MESSAGES = {
    "rows": [
        {"photograph": name, "preset": preset, "way": way, "seconds": t * (1 + i), "extra_bytes": 10**7,
         "mean_error": 0.01 / (1 + i), "labels_differ": 0.01}
        for name, t in (("a", 0.06), ("b", 0.08)) for preset in ("densecrf", "deeplab-v2-resnet101")
        for i, way in enumerate(("lattice", "separable", "fine"))
    ] + [{"photograph": "a", "preset": "densecrf", "way": "exact"}]
}  # fmt: skip
RESULTS = {
    "figure_bench": [BENCH],
    "figure_bench_crf": [BENCH_CRF],
    "figure_contact_sheet": [SHEET],
    "figure_compatibility": [COSTS, ("background", "disc", "wire")],
    "figure_experiment": [EXPERIMENT],
    "figure_messages": [MESSAGES],
    "figure_predictions": [SAMPLES, [np.where(labels == 255, 0, labels) for _, labels in SAMPLES], SCENE_CLASSES],
    "figure_roofs": [ROOFS],
    "figure_search": [ROUNDS],
    "figure_training": [LOG],
}


@pytest.fixture(scope="module")
def drawn():
    """Return every figure, drawn with its defaults."""
    return {name: getattr(figures, name)(*RESULTS.get(name, [])) for name in NAMES}


def offsets(fig, role):
    return np.concatenate([np.asarray(artist.get_offsets()) for artist in figures.find(fig, role)])


def squares(fig, role):
    return sum(len(artist.get_paths()) for artist in figures.find(fig, role))


def words(fig):
    return [text.get_text() for text in fig.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_readable(drawn, name):
    fig = drawn[name]
    assert fig.get_figwidth() == style.WIDTH
    assert fig.get_figheight() < 9.5
    assert all(text.get_fontsize() >= 9 for text in fig.findobj(Text) if text.get_text().strip())


# Drawing all of them once more would cost a first run ten seconds.
QUICK = ("figure_bench", "figure_taps", "figure_aspp_taps")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NAMES])
def test_figures_are_deterministic(drawn, name):
    again = getattr(figures, name)(*RESULTS.get(name, []))
    for kind in ("png", "svg") if name == "figure_bench" else ("svg",):
        assert figures.image_bytes(drawn[name], kind, dpi=60) == figures.image_bytes(again, kind, dpi=60)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_off(drawn, name):
    fig = drawn[name]
    fig.draw_without_rendering()
    width, height = fig.get_size_inches() * fig.dpi
    titles = [text for ax in fig.axes for text in (ax._left_title, ax.title, ax.xaxis.label, ax.yaxis.label)]
    for text in [*fig.texts, *titles, *(text for ax in fig.axes for text in ax.texts)]:
        if text.get_text():
            box = text.get_window_extent()
            assert -1 <= box.x0 < box.x1 <= width + 1, text
            assert -1 <= box.y0 < box.y1 <= height + 1, text


def test_every_name_is_documented_and_none_is_a_module():
    for package in (figures, examples):
        for name in package.__all__:
            value = getattr(package, name)
            assert callable(value), name
            assert value.__doc__, name
            assert f"{package.__name__}.{name}" not in sys.modules
            assert getattr(package, name) is value
        with pytest.raises(AttributeError, match="no attribute 'figure_of_eight'"):
            _ = package.figure_of_eight


def test_files_carry_neither_date_nor_version(tmp_path):
    fig = figures.figure_holes()
    png, svg = (figures.save(fig, tmp_path / f"Größe 1.{kind}") for kind in ("png", "svg"))
    assert Image.open(png).text == {}
    assert "<dc:date>" not in svg.read_text()
    assert matplotlib.__version__ not in svg.read_text()


def test_the_users_settings_and_backend_stay_untouched():
    code = (
        "import sys, matplotlib; matplotlib.rcParams['lines.linewidth'] = 7;"
        "from atrous import examples, figures; figures.image_bytes(figures.figure_holes(), dpi=30);"
        "assert matplotlib.rcParams['lines.linewidth'] == 7; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_users_style_does_not_change_a_figure():
    plain = figures.image_bytes(figures.figure_taps(), dpi=50)
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 20, "savefig.facecolor": "red"}):
        assert figures.image_bytes(figures.figure_taps(), dpi=50) == plain


def test_show_is_wide_and_has_words():
    """Drawings are vectors, with a PNG for pages that do not trust them; all are 1000 pixels wide and have words."""
    line, facts = figures.show(figures.figure_holes())._repr_mimebundle_()
    photo, _ = figures.show(figures.figure_sparse_dense_2d())._repr_mimebundle_()
    assert facts["image/png"] == {"width": style.SHOWN, "alt": line["text/plain"]}
    for bundle in (line, photo):
        with Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))) as picture:
            assert picture.width >= (style.SHOWN if bundle is photo else 700)
    assert "image/svg+xml" not in photo
    assert photo["text/plain"].startswith("Responses of the sub-sampled image")
    head = line["image/svg+xml"].partition(">")[0]
    assert 'width="1000" height="357" style="max-width: 100%; height: auto"' in head
    assert 'aria-label="A filter with its holes at several rates' in head
    assert '<g id="' not in line["image/svg+xml"]


def test_no_letter_is_smaller_than_eleven_points_where_a_reader_sees_it(drawn):
    """A figure is 7 inches wide and shown 1000 pixels wide; 96 pixels are 72 points."""
    for name, fig in drawn.items():
        sizes = [text.get_fontsize() for text in fig.findobj(matplotlib.text.Text) if text.get_text().strip()]
        assert min(sizes, default=9) * style.SHOWN / (fig.get_figwidth() * 96) >= 11, name
        assert fig.get_label(), name


# One-dimensional


def test_sparse_outputs_are_dense_outputs(drawn):
    fig = drawn["figure_sparse_dense"]
    sparse, dense, rings = (offsets(fig, role) for role in ("sparse", "dense", "sparse in dense"))
    assert (len(sparse), len(dense)) == (7, 13)
    np.testing.assert_allclose(sparse[:, 0], dense[::2, 0])
    np.testing.assert_allclose(rings, dense[::2], atol=1e-12)
    assert len(figures.find(fig, "taps of sparse")) == 1
    assert len(figures.find(fig, "taps of dense")) == 2
    assert len(offsets(fig, "zeros")) == 2 + 4


@pytest.mark.parametrize("n", [12, 13, 14])
def test_sparse_and_dense_coincide_whatever_the_length(n, rng):
    fig = figures.figure_sparse_dense(rng.standard_normal(n), rng.standard_normal(5), rate=3, outputs=(3,))
    np.testing.assert_allclose(offsets(fig, "sparse in dense"), offsets(fig, "dense")[::3], atol=1e-12)


def test_holes(drawn):
    for rate in (1, 2, 3, 4):
        assert squares(drawn["figure_holes"], f"filter at rate {rate}") == 2 * rate + 1
    assert words(drawn["figure_holes"]).count("0") == 0 + 2 + 4 + 6


@pytest.mark.parametrize("rate", [1, 2, 3, 5])
def test_matrix_is_the_convolution(rate, rng):
    x, w = rng.standard_normal(12), rng.standard_normal(3)
    matrix = np.append(w, 0)[examples.convolution_matrix(12, 3, rate)]
    np.testing.assert_allclose(matrix @ x, examples.convolve(x, w, rate=rate), atol=1e-14)


def test_toeplitz_spreads_the_taps_and_adds_none(drawn):
    for rate in (1, 2, 3):
        assert squares(drawn["figure_toeplitz"], f"taps at rate {rate}") == 3 * 12 - 2 * rate


def test_stride_removal_keeps_the_outputs(drawn):
    fig = drawn["figure_stride_removal"]
    strided, planned, rings = (offsets(fig, role) for role in ("strided", "planned", "strided in planned"))
    assert (len(strided), len(planned)) == (9, 17)
    np.testing.assert_allclose(rings, planned[::2], atol=1e-12)
    np.testing.assert_allclose(strided[:, 1], planned[::2, 1], atol=1e-12)
    left, right = (sum(len(a.get_segments()) for a in figures.find(fig, "taps")[i : i + 3]) for i in (0, 3))
    assert left == right


def test_planes_add_up_to_the_signal(drawn):
    signal = examples.noisy_signal()
    smooth, detail = examples.wavelet_planes(signal)
    assert smooth.shape == (5, 256)
    np.testing.assert_allclose(detail.sum(axis=0) + smooth[-1], signal, atol=1e-14)
    (line,) = figures.find(drawn["figure_wavelet_planes"], "sum")
    np.testing.assert_allclose(line.get_ydata(), signal, atol=1e-14)
    spans = [np.ptp([s[0][0] for s in a.get_segments()]) for a in figures.find(drawn["figure_wavelet_planes"], "taps")]
    np.testing.assert_allclose(spans, [4, 8, 16, 32])


# Two-dimensional


def test_sparse_responses_fill_a_quarter(drawn):
    sparse, dense = (figures.find(drawn["figure_sparse_dense_2d"], r)[0].get_array() for r in ("sparse", "dense"))
    assert sparse.shape == dense.shape
    assert np.ma.count(sparse) * 4 == dense.size
    assert np.ma.count(dense) == dense.size
    np.testing.assert_allclose(sparse[::2, ::2], dense[::2, ::2], atol=1e-14)


def test_vertical_derivative_answers_to_horizontal_edges():
    w = examples.vertical_derivative()
    assert w.shape == (7, 7)
    np.testing.assert_allclose(w, -w[::-1])
    edge = np.where(np.arange(20)[:, None] < 10, 0.0, 1.0) * np.ones(20)
    answer = atrous_conv(edge[None, None], w[None, None], padding="valid")[0, 0]
    assert np.abs(answer).max() > 1
    np.testing.assert_allclose(atrous_conv(edge.T.copy()[None, None], w[None, None], padding="valid"), 0, atol=1e-12)


@pytest.mark.parametrize("shape", [(20, 18), (9, 40), (500, 30), (81, 82)])
def test_pictures_of_any_shape(shape):
    fig = figures.figure_sparse_dense_2d(examples.drawn_scene(shape), rate=3)
    assert figures.image_bytes(fig, dpi=40)[:4] == b"\x89PNG"
    size = tuple(n // 2 for n in shape) if max(shape) > 400 else shape
    ((image, _), (dense,), (sparse,)) = (
        [a.get_array() for a in figures.find(fig, r)] for r in ("image", "dense", "sparse")
    )
    assert image.shape == dense.shape == sparse.shape == size
    assert np.isfinite(dense).all()
    computed = np.zeros(size, bool)
    computed[::3, ::3] = True
    np.testing.assert_array_equal(np.isfinite(np.ma.filled(sparse, np.nan)), computed)


def test_photograph(tmp_path, monkeypatch):
    photo = examples.photograph()
    assert photo.shape == (600, 512)
    assert photo.dtype == np.float64
    Image.fromarray(np.full((4, 6, 3), (255, 0, 0), np.uint8)).save(tmp_path / "rot ä.png")
    np.testing.assert_allclose(examples.photograph(tmp_path / "rot ä.png"), np.full((4, 6), 0.299))
    with pytest.raises(ParameterError, match="there is no file"):
        examples.photograph(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ParameterError, match="not a picture"):
        examples.photograph(tmp_path / "text.png")
    monkeypatch.setattr("matplotlib.cbook.get_sample_data", lambda name, asfileobj: tmp_path / "gone" / name)
    np.testing.assert_array_equal(examples.photograph(), examples.drawn_scene())


def test_drawn_scene_is_a_picture():
    scene = examples.drawn_scene((120, 90), seed=3)
    assert scene.shape == (120, 90)
    assert 0 <= scene.min() < 0.2
    assert 0.9 < scene.max() <= 1
    np.testing.assert_array_equal(scene, examples.drawn_scene((120, 90), seed=3))


def test_taps_stand_at_the_rate(drawn):
    for rate in (1, 2, 3, 4):
        (taps,) = figures.find(drawn["figure_taps"], f"taps at rate {rate}")
        corners = np.array([path.vertices[0] for path in taps.get_paths()])
        side = np.ptp(taps.get_paths()[0].vertices[:, 0])
        assert len(corners) == 9
        np.testing.assert_allclose(np.ptp(corners, axis=0), 2 * rate * side)


@pytest.mark.notebooks
def test_a_filter_stands_on_what_an_output_reads():
    from xml.etree import ElementTree

    html = figures.moving_taps((1, 3), size=4, rate=3, output=6).data
    svg = ElementTree.fromstring(html.partition(">")[2].partition("</div>")[0])
    groups = {g.get("data-rate"): g for g in svg.findall(".//{*}g")}
    assert [r for r, g in groups.items() if g.get("visibility") != "hidden"] == ["3"]
    centres = np.array([(float(c.get("cx")), float(c.get("cy"))) for c in groups["3"]])
    assert len(centres) == 9
    np.testing.assert_allclose(np.diff(np.unique(centres[:, 0])), 3 * 22)
    assert groups["3"].get("transform") == "translate(44 22)"
    fills = [s.get("fill") for s in svg.findall(".//{*}rect") if s.get("data-output")]
    assert fills.count(style.OUTPUT) == 1
    assert fills.index(style.OUTPUT) == 6
    with pytest.raises(atrous.ParameterError, match="output from 0 to 15, got rate 2 and output 0"):
        figures.moving_taps((1, 3), size=4, rate=2, output=0)


def test_fields_of_stacked_layers(drawn):
    fig = drawn["figure_stacked"]
    assert len(offsets(fig, "field, growing rates")) == 2 ** (4 + 1) - 1
    assert len(offsets(fig, "field, rate 1")) == 2 * 4 + 1
    for field in (3, 5, 7, 9, 15, 31):
        assert f"sees {field}" in words(fig)


def test_tap_tree_counts_strides():
    tree = tap_tree([Spatial(3), Spatial(3, 2), Spatial(3)], 4)
    assert [o for o, _ in tree[-1]] == [8, 8, 8]
    assert [i for _, i in tree[-1]] == [6, 8, 10]
    assert (min(i for _, i in tree[0]), max(i for _, i in tree[0])) == (4, 12)


def test_gridding(drawn):
    assert "misses 120 of 169" in words(drawn["figure_gridding"])
    assert words(drawn["figure_gridding"]).count("on 1 of 4 nets") == 1
    (field,) = figures.find(drawn["figure_gridding"], "field of (2, 2, 2)")
    purple = [tuple(c) for c in field.get_facecolors() if c[2] > c[1]]
    assert sorted(purple.count(c) for c in set(purple)) == [36, 42, 42]
    assert "sees all 225" in words(drawn["figure_gridding"])
    np.testing.assert_array_equal(examples.path_counts((1,)), np.ones((3, 3)))
    assert examples.path_counts((1, 2, 4)).sum() == 9**3


# Methods and gradients


def test_col2im_shows_the_adjoint(drawn):
    image, _, _, y = examples.im2col_example()
    _, cache = atrous.conv_forward(image[None, None], np.ones((1, 1, 2, 2)), rate=2, padding="valid")
    counts = atrous.conv_backward(np.ones((1, 1, *y.shape)), cache).dx
    fig = drawn["figure_col2im"]
    numbers = [text for text in words(fig) if text.isdigit()]
    assert numbers[-25:] == [str(int(v)) for v in counts.ravel()]
    assert len(numbers) == 4 * 9 + 25 + 25
    assert len(figures.find(fig, "back")) == 4
    # The sum of all entries arrives.
    assert sum(map(int, numbers[:36])) == sum(map(int, numbers[36:61]))
    corner = figures.figure_col2im(row=0, column=4)
    assert len(figures.find(corner, "back")) == 1


def test_im2col_shows_the_true_numbers(drawn):
    image, w, columns, y = examples.im2col_example()
    np.testing.assert_array_equal(y, atrous_conv(image[None, None], w[None, None], rate=2, padding="valid")[0, 0])
    np.testing.assert_array_equal(w.ravel() @ columns, y.ravel())
    numbers = [text for text in words(drawn["figure_im2col"]) if text.isdigit()]
    assert len(numbers) == 25 + 4 + 9 + 4 + 4 * 9 + 9
    assert [str(int(v)) for v in y.ravel()] == numbers[-9:]


@pytest.mark.parametrize(("size", "rate"), [(6, 2), (7, 2), (7, 3)])
def test_interlace_moves_every_square_once(size, rate):
    fig = figures.figure_interlace(size, rate)
    for role in ("input", "phases", "convolved phases", "output"):
        assert squares(fig, role) == size**2
    letters = [text for text in words(fig) if len(text) == 1]
    assert len(letters) == 4 * size**2
    assert len(set(letters)) == rate**2


def test_bench_draws_every_time(drawn):
    fig = drawn["figure_bench"]
    assert len(fig.axes) == 2 * 3
    for method in ("im2col", "interlace"):
        lines = figures.find(fig, method)
        assert [len(line.get_xdata()) for line in lines] == [3, 3, 3, 1, 1, 1]
        np.testing.assert_allclose(lines[0].get_ydata(), [1, 2, 6])
    assert not any("never cross" in text for text in words(fig))
    assert len({ax.get_ylim() for ax in fig.axes[:3]}) == len({ax.get_xlim() for ax in fig.axes[3:]}) == 1
    assert any("a processor" in text for text in words(fig))
    assert words(fig).count("12 ms") == 3


def test_the_loss_of_every_step_is_drawn(drawn):
    fig = drawn["figure_training"]
    (loss,), (mean,), (rate,) = (figures.find(fig, role) for role in ("loss", "mean", "rate"))
    np.testing.assert_allclose(loss.get_ydata(), [row["loss"] for row in LOG])
    np.testing.assert_allclose(mean.get_ydata()[:2], [1.5, (2 + 1 + 2 / 3) / 3])
    np.testing.assert_allclose(rate.get_xydata()[-1], [40, LOG[-1]["rate"]])


def test_roofs_are_drawn_over_every_method(drawn):
    fig = drawn["figure_roofs"]
    over_rate, over_channels = figures.find(fig, "winograd")
    np.testing.assert_array_equal(over_rate.get_xydata(), [[1, 17], [2, 18]])
    np.testing.assert_array_equal(over_channels.get_xydata(), [[4, 6], [16, 18]])
    assert all(set(line.get_ydata()) == {200.0} for line in figures.find(fig, "peak"))
    flops, floats = 2 * 64 * 9 * 4 * 4, 64 * 8 + 9 * 4 * 4
    np.testing.assert_allclose(figures.find(fig, "copy")[1].get_ydata()[0], 10 * flops / (4 * floats))


def pictures_of(fig, role):
    return [np.asarray(artist.get_array()) for artist in figures.find(fig, role)]


def test_predictions_stand_beside_their_images(drawn):
    fig = drawn["figure_predictions"]
    images, truths, found = (pictures_of(fig, role) for role in ("image", "labels", "prediction"))
    for (image, labels), shown, truth, guess in zip(SAMPLES, images, truths, found, strict=True):
        np.testing.assert_array_equal(shown, image)
        np.testing.assert_array_equal(truth, colourize(labels))
        np.testing.assert_array_equal(guess, colourize(np.where(labels == 255, 0, labels)))
    assert {*SCENE_CLASSES, "void"} <= set(words(fig))
    assert len(figures.find(fig, "legend")) == 7


def test_a_page_of_scenes_has_no_scene_twice(drawn):
    scenes, labels = (pictures_of(drawn["figure_scenes"], role) for role in ("scene", "labels"))
    assert len(scenes) == len(labels) == 9
    assert len({picture.tobytes() for picture in scenes}) == 9


def test_the_system_is_drawn_from_its_arrays(drawn):
    fig, found = drawn["figure_system"], examples.whole_system()
    for role, picture in {
        "scene": found.image,
        "bilinear": colourize(found.enlarged.argmax(0)),
        "CRF": colourize(found.refined.argmax(0)),
        "truth": colourize(found.labels),
        "scores, 17 × 17": colourize(found.scores.argmax(0)),
    }.items():
        (shown,) = pictures_of(fig, role)
        np.testing.assert_array_equal(shown, picture)
    counts = np.bincount(found.labels[found.labels != 255])
    most = 1 + counts[1:].argmax()
    (belief,) = pictures_of(fig, "belief, CRF")
    np.testing.assert_allclose(belief, found.refined[most])


def test_the_contact_sheet_shows_every_picture_in_its_shape(drawn):
    fig = drawn["figure_contact_sheet"]
    shown = figures.find(fig, "thumbnail")
    assert len(shown) == len(SHEET)
    for artist, (_, _, picture) in zip(shown, SHEET, strict=True):
        np.testing.assert_array_equal(artist.get_array(), picture)
        box = artist.axes.get_window_extent()
        assert box.width / box.height == pytest.approx(picture.shape[1] / picture.shape[0], rel=0.01)
    said = " ".join(words(fig))
    assert all(title in said for title, *_ in SHEET)


def test_bench_crf_draws_every_run_and_stage(drawn):
    fig = drawn["figure_bench_crf"]
    for name, first in (("atrous", 16.128), ("pydensecrf", 161.28)):
        np.testing.assert_allclose([bar.get_width() for bar in figures.find(fig, name)], [first, first / 4.3008])
    assert "1.0, 10 GB/s" in [text.strip() for text in words(fig)]


def test_bench_relates_single_layers_to_im2col():
    rows = [{**r, "seconds": 3.0 if r["method"] == "interlace" else 2.0} for r in BENCH["rows"] if r["rate"] == 12]
    fig = figures.figure_bench({**BENCH, "rows": rows})
    assert [float(line.get_xdata()[0]) for line in figures.find(fig, "interlace")] == [1.5] * 3


def test_bench_with_passes_and_methods_missing():
    rows = [row for row in BENCH["rows"] if row["pass"] == "forward" and row["method"] == "interlace"]
    rows += [{**row, "method": "torch"} for row in rows if row["rate"] == 2]
    fig = figures.figure_bench({**BENCH, "rows": rows})
    figures.image_bytes(fig, dpi=40)
    assert len(figures.find(fig, "interlace")) == 6


def test_step_sizes(drawn):
    steps = np.ldexp(1.0, -np.arange(3, 51))
    errors = examples.step_errors(steps)
    best = {name: steps[np.argmin(values)] for name, values in errors.items()}
    assert 1e-9 < best["forward difference"] < 1e-6
    assert 1e-7 < best["central difference"] < 1e-4
    assert errors["complex step"][steps < 1e-9].max() < 1e-14
    for name in QUOTIENTS:
        (line,) = figures.find(drawn["figure_step_sizes"], name)
        assert len(line.get_xdata()) == len(steps)


def test_planted_fault_is_a_mirror_image(drawn):
    analytic, numeric = examples.planted_fault()
    np.testing.assert_allclose(analytic[::-1, ::-1], numeric, atol=1e-6)
    fig = drawn["figure_planted_fault"]
    (gap,) = figures.find(fig, "|analytic − numeric|")
    np.testing.assert_allclose(gap.get_array(), np.abs(analytic - numeric))
    assert gap.get_array()[2, 2] < 1e-6


def test_links_have_ends():
    fig, ax = style.canvas(2)
    lines = draw.links(ax, [(0, 0), (1, 0)], (0.5, 1), style.TAPS, role="taps")
    assert isinstance(lines, LineCollection)
    np.testing.assert_array_equal(lines.get_segments()[1], [(1, 0), (0.5, 1)])
    assert fig.axes == [ax]


def test_the_map_of_a_search_has_every_point_that_was_tried(drawn):
    fig = drawn["figure_search"]
    assert len(style.find(fig, "tile")) == 2 * 3 + 3 * 3
    assert len(style.find(fig, "best")) == 2
    (first, second) = style.find(fig, "curve")
    assert (len(first.get_xdata()), len(second.get_xdata())) == (3, 3)
    assert first.get_ydata()[-1] == pytest.approx(100 * 17 / 18), "the best over both widths"
    only = figures.figure_search([ROUNDS[0]._replace(values={**ROUNDS[0].values, "sigma_alpha": (10,)},
                                                     scores=ROUNDS[0].scores[:, :1])])  # fmt: skip
    assert not style.find(only, "tile")


def test_learned_costs_are_written_out(drawn):
    texts = [mark.get_text() for mark in style.find(drawn["figure_compatibility"], "cost")]
    assert len(texts) == 9
    assert texts[:2] == ["0.1", "1"]
    assert "−0.05" in texts


def test_the_figure_of_messages_has_a_point_for_each_photograph(drawn):
    fig = drawn["figure_messages"]
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["densecrf", "deeplab-v2-resnet101"]
    ways = style.find(fig, "way")
    assert len(ways) == 6
    assert all(len(way.get_xdata()) == 2 for way in ways)
