"""Tiles against the whole: equal where they must be, near where they may differ, in bounded memory."""

from itertools import pairwise

import numpy as np
import pytest

from atrous import CRF_PRESETS, CRFParams, dense_crf, dense_crf_tiled, resize_bilinear
from atrous.crf import tiles
from atrous.crf.dense import pairwise_terms
from atrous.errors import DTypeError, ParameterError, ShapeError

SMALL = CRFParams(4, 12, 6, 3, 2, 5)


def grace_hopper():
    from matplotlib.cbook import get_sample_data
    from PIL import Image

    return np.array(Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)))


def smooth_probabilities(labels, size, cell=64):
    """Return softmax(3·scores) of random scores on a coarse grid, enlarged."""
    H, W = size
    scores = 3 * np.random.default_rng(0).standard_normal((labels, 1 + H // cell, 1 + W // cell)).astype(np.float32)
    scores = resize_bilinear(scores, size)
    p = np.exp(scores - scores.max(0))
    return p / p.sum(0)


def scene(size=(70, 90), labels=3):
    rng = np.random.default_rng(3)
    image = resize_bilinear(rng.uniform(0, 255, (3, 8, 9)), size).transpose(1, 2, 0).astype(np.uint8)
    return smooth_probabilities(labels, size, cell=16), image


def difference(a, b):
    """Return (largest |ΔQ|, mean |ΔQ|, share of pixels whose argmax differs)."""
    gap = np.abs(a - b)
    return gap.max(), gap.mean(), (a.argmax(0) != b.argmax(0)).mean()


# What the docstring of dense_crf_tiled says, rounded up.
TOLD = {"densecrf": (0.16, 3e-4, 7e-4), "deeplab-v2-resnet101": (0.27, 6e-5, 1e-4)}


@pytest.mark.slow
@pytest.mark.parametrize("preset", TOLD)
def test_the_difference_is_as_small_as_told(preset):
    image = grace_hopper()
    p = smooth_probabilities(5, image.shape[:2])
    whole = dense_crf(p, image, preset)
    found = difference(dense_crf_tiled(p, image, preset, tile=256), whole)
    assert all(a <= b for a, b in zip(found, TOLD[preset], strict=True)), found
    near = difference(
        dense_crf_tiled(p, image, preset, tile=256, overlap=round(CRF_PRESETS[preset].sigma_alpha)), whole
    )
    assert near[1] > 10 * found[1]
    assert (whole.argmax(0) != p.argmax(0)).mean() > 0.1


def test_the_difference_shrinks_with_the_overlap():
    p, image = scene((120, 160))
    whole = dense_crf(p, image, SMALL)
    assert (whole.argmax(0) != p.argmax(0)).any()
    means = [
        difference(dense_crf_tiled(p, image, SMALL, tile=40, overlap=n), whole)[1] for n in (0, 12, 24, 36, 48, 160)
    ]
    assert all(far < near / 2 for near, far in pairwise(means[:5])), means
    assert means[3] < 1e-4
    assert means[5] == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [{"tile": 90}, {"tile": 1000, "overlap": 0}, {"tile": 13, "overlap": 90}])
def test_a_window_of_everything_gives_the_same_bits(dtype, options):
    p, image = scene()
    p = p.astype(dtype)
    q = dense_crf_tiled(p, image, SMALL, **options)
    assert q.dtype == dtype
    np.testing.assert_array_equal(q, dense_crf(p, image, SMALL))


def test_windows_see_positions_of_the_whole():
    _, image = scene()
    window = slice(20, 50), slice(33, 70)
    params = SMALL._replace(normalization="none")
    whole = pairwise_terms(image, params, np.dtype(np.float32))
    part = pairwise_terms(image[window], params, np.dtype(np.float32), (20, 33))
    for a, b in zip(part, whole, strict=True):
        np.testing.assert_array_equal(a.features.reshape(30, 37, -1), b.features.reshape(70, 90, -1)[window])


@pytest.mark.parametrize(("length", "tile"), [(1, 1), (10, 3), (100, 64), (129, 64), (64, 64), (5, 100)])
def test_cores_cover_each_pixel_once(length, tile):
    count = np.zeros(length, int)
    for core, window in tiles._windows(length, tile, 7):
        count[core] += 1
        assert core.stop - core.start <= tile
        assert window.start == max(0, core.start - 7)
        assert window.stop == min(length, core.stop + 7)
    assert (count == 1).all()
    assert len(tiles._windows(length, tile, 7)) == -(-length // tile)


class Watched:
    """An array that lets itself be read in slices only and remembers the largest."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim
        self.largest = 0

    def __getitem__(self, key):
        part = self.array[key]
        self.largest = max(self.largest, part.size)
        return part

    def __array__(self, *_, **__):
        raise AssertionError("the whole array was read")


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_only_slices_are_touched(kind):
    p, image = scene()
    expected = dense_crf_tiled(p, image, SMALL, tile=20, overlap=8)
    watched = Watched(p), Watched(image.astype(kind))
    np.testing.assert_array_equal(dense_crf_tiled(*watched, SMALL, tile=20, overlap=8), expected)
    assert watched[0].largest <= 3 * 36 * 36
    assert watched[1].largest <= max(3 * 36 * 36, 3 * 64 * 90)


def test_files_on_disk_in_and_out(tmp_path):
    p, image = scene()
    np.save(tmp_path / "p.npy", p)
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    out = np.lib.format.open_memmap(tmp_path / "q.npy", "w+", np.float32, p.shape)
    assert dense_crf_tiled(mapped, image, SMALL, tile=30, out=out) is out
    out.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "q.npy"), dense_crf_tiled(p, image, SMALL, tile=30))


def test_broadcast_probabilities_stay_small():
    _, image = scene()
    p = np.broadcast_to(np.float32([0.5, 0.3, 0.2])[:, None, None], (3, 70, 90))
    np.testing.assert_array_equal(
        dense_crf_tiled(p, image, SMALL, tile=30), dense_crf_tiled(p.copy(), image, SMALL, tile=30)
    )


def test_a_dark_corner_of_a_float_image_is_no_image_in_0_to_1():
    p, image = scene()
    image = image.astype(np.float32)
    image[:40, :40] = 0.5
    dense_crf_tiled(p, image, SMALL, tile=20, overlap=0)
    with pytest.raises(ParameterError, match="intensity_scale=255"):
        dense_crf_tiled(p, image / 255, SMALL, tile=20, overlap=0)
    scaled = dense_crf_tiled(p, image / 256, SMALL, tile=20, overlap=8, intensity_scale=256)
    np.testing.assert_array_equal(scaled, dense_crf_tiled(p, image, SMALL, tile=20, overlap=8))


def test_options_are_cut_with_the_tiles():
    p, image = scene()
    ignore = np.zeros((70, 90), bool)
    ignore[10:40, 20:50] = True
    fixed = np.full((70, 90), -1)
    fixed[5, :], fixed[60, 3:80] = 2, 1
    options = {"ignore": ignore, "fixed": fixed, "iterations": 2, "normalization": "after"}
    q = dense_crf_tiled(p, image, SMALL, tile=32, overlap=80, **options)
    np.testing.assert_array_equal(q, dense_crf(p, image, SMALL, **options))
    parts = dense_crf_tiled(p, image, SMALL, tile=32, overlap=4, **options)
    assert (parts[2, 5] == 1).all()
    np.testing.assert_allclose(parts[:, ignore], p[:, ignore], atol=1e-5)
    dense_crf_tiled(p, image, SMALL, tile=8, overlap=0, ignore=ignore)  # some tiles have nothing to do


def test_a_grey_image():
    p, image = scene()
    q = dense_crf_tiled(p, image[..., 0], SMALL, tile=40)
    np.testing.assert_array_equal(q, dense_crf_tiled(p, image[..., :1], SMALL, tile=40))


def test_progress_counts_the_tiles(capsys):
    p, image = scene()
    seen = []
    dense_crf_tiled(p, image, SMALL, tile=45, overlap=0, progress=lambda done, total, label: seen.append((done, total)))
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4)]
    dense_crf_tiled(p, image, SMALL, tile=45, overlap=0, progress=True)
    assert "dense_crf_tiled: 0/4" in capsys.readouterr().err


def test_the_default_overlap_is_three_sigma():
    p, image = scene()
    q = dense_crf_tiled(p, image, SMALL, tile=20)
    np.testing.assert_array_equal(q, dense_crf_tiled(p, image, SMALL, tile=20, overlap=36))
    short = SMALL._replace(sigma_alpha=2)
    q = dense_crf_tiled(p, image, short, tile=20)
    np.testing.assert_array_equal(q, dense_crf_tiled(p, image, short, tile=20, overlap=32))


def test_too_little_memory_for_a_tile(monkeypatch):
    p, image = scene()
    monkeypatch.setattr("atrous.crf.memory.available_memory", lambda: 500_000)
    with pytest.raises(ParameterError, match="tile below 1024"):
        dense_crf_tiled(p, image, SMALL)
    dense_crf_tiled(p, image, SMALL, tile=10, overlap=5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tile": 0}, ParameterError, "tile must be at least 1"),
        ({"tile": 2.5}, ParameterError, "tile must be an integer"),
        ({"overlap": -1}, ParameterError, "overlap must be at least 0"),
        ({"method": "fast"}, ParameterError, "method must be one of"),
        ({"params": "unheard of"}, ParameterError, "params must be one of"),
        ({"ignore": np.zeros((3, 3), bool)}, ShapeError, "ignore must have the size"),
        ({"fixed": np.zeros((90, 70), int)}, ShapeError, "fixed must have the size"),
        ({"out": np.zeros((3, 70, 91))}, ShapeError, "out must be"),
        ({"out": np.zeros((3, 70, 90), int)}, ShapeError, "out must be"),
        ({"image": np.zeros((90, 70, 3), np.uint8)}, ShapeError, "image must be"),
        ({"image": np.ma.zeros((70, 90, 3))}, DTypeError, "masked"),
        ({"probabilities": np.zeros((70, 90))}, ShapeError, "probabilities must be"),
        ({"probabilities": np.zeros((0, 70, 90))}, ShapeError, "empty"),
    ],
)
def test_bad_arguments(options, error, message):
    p, image = scene()
    with pytest.raises(error, match=message):
        dense_crf_tiled(**{"probabilities": p, "image": image, "params": SMALL, **options})


def test_another_order_of_axes_gets_the_hints_of_dense_crf():
    p, image = scene()
    for given, hint in ((np.moveaxis(p, 0, -1), "move the labels to the front"), (p.argmax(0), "unary_from_labels")):
        with pytest.raises(ShapeError, match=hint):
            dense_crf_tiled(given, image, SMALL)


def test_results_into_the_input_are_refused_and_a_bad_window_is_named():
    p, image = scene()
    with pytest.raises(ParameterError, match="memory of probabilities"):
        dense_crf_tiled(p, image, SMALL, tile=30, out=p)
    p[0, 65, 85] = 7
    with pytest.raises(ParameterError, match=r"sum to.*begins at row 46, column 60"):
        dense_crf_tiled(p, image, SMALL, tile=30, overlap=0)
