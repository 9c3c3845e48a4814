"""Bilinear resizing and Interp: PyTorch's numbers, the papers' sizes, the adjoint, what must come out exactly."""

from pathlib import Path

import numpy as np
import pytest
from directions import assert_gradients
from tolerances import TABLE, assert_close

from atrous import adjoint_error
from atrous.errors import AtrousError, DTypeError, ParameterError, ShapeError
from atrous.layers.interp import interp_backward, interp_forward, interp_size
from atrous.layers.resize import (
    bilinear_backward,
    bilinear_forward,
    resize_bilinear,
    resize_labels,
)

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "layers.npz")
CASES = [("bilinear_corners_33x49", True), ("bilinear_halfpixel_33x49", False), ("bilinear_corners_5x7", True)]
SIZES = [
    ((5, 7), (33, 49)),
    ((33, 49), (5, 7)),
    ((6, 5), (6, 5)),
    ((1, 1), (4, 3)),
    ((4, 3), (1, 1)),
    ((1, 6), (5, 1)),
    ((7, 2), (3, 9)),
    ((9, 10), (10, 9)),
]
BOTH = pytest.mark.parametrize("align_corners", [True, False])


def by_definition(x, size, align_corners):
    """Return x (H, W) resized, one output at a time."""
    y = np.empty(size)
    for o in np.ndindex(*size):
        corners = []
        for k, n, m in zip(o, x.shape, size, strict=True):
            at = (k * (n - 1) / (m - 1) if m > 1 else 0.0) if align_corners else (k + 0.5) * n / m - 0.5
            at = min(max(at, 0.0), n - 1)
            low = int(at)
            corners.append([(low, 1 - (at - low)), (min(low + 1, n - 1), at - low)])
        y[o] = sum(a * b * x[i, j] for i, a in corners[0] for j, b in corners[1])
    return y


@pytest.mark.parametrize(("case", "align_corners"), CASES)
def test_forward_and_backward_equal_pytorch(case, align_corners):
    x, y, dy, dx = (GOLDEN[f"{case}_{name}"] for name in ("x", "y", "dy", "dx"))
    out, cache = bilinear_forward(x, y.shape[-2:], align_corners=align_corners)
    assert_close(out, y, "golden")
    assert_close(bilinear_backward(dy, cache), dx, "golden")
    single, cache = bilinear_forward(x.astype(np.float32), y.shape[-2:], align_corners=align_corners)
    assert single.dtype == np.float32
    assert_close(single, y, "golden")
    assert_close(bilinear_backward(dy.astype(np.float32), cache), dx, "golden")


@BOTH
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_resize_equals_the_definition(rng, old, new, align_corners):
    x = rng.standard_normal(old)
    assert_close(
        resize_bilinear(x, new, align_corners=align_corners), by_definition(x, new, align_corners), "reordered"
    )


@BOTH
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_backward_is_the_adjoint(old, new, align_corners):
    cache = bilinear_forward(np.ones((2, *old)), new, align_corners=align_corners)[1]
    error = adjoint_error(
        lambda x: resize_bilinear(x, new, align_corners=align_corners),
        lambda dy: bilinear_backward(dy, cache),
        (2, *old),
        (2, *new),
    )
    assert error <= TABLE["adjoint"]["float64"]


@BOTH
@pytest.mark.parametrize(("old", "new"), SIZES[:4])
def test_gradients(rng, old, new, align_corners):
    assert_gradients(
        lambda x: bilinear_forward(x, new, align_corners=align_corners), bilinear_backward, [rng.standard_normal(old)]
    )


def test_enlarging_by_eight_keeps_every_eighth_sample(rng):
    scores = rng.standard_normal((2, 41, 41)).astype(np.float32)
    large = resize_bilinear(scores, 8 * (41 - 1) + 1)
    assert large.shape == (2, 321, 321)
    assert np.array_equal(large[..., ::8, ::8], scores)
    assert_close(large[..., 4, ::8][..., :-1], (scores[..., 0, :-1] + scores[..., 1, :-1]) / 2, "reordered")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shrinking_by_eight_takes_every_eighth_sample(rng, dtype):
    labels = rng.integers(0, 256, (3, 8 * 9 + 1, 8 * 4 + 1))
    assert np.array_equal(resize_bilinear(labels.astype(dtype), (10, 5)), labels[..., ::8, ::8])
    assert np.array_equal(resize_labels(labels, (10, 5)), labels[..., ::8, ::8])


@BOTH
def test_equal_size_copies(rng, align_corners):
    x = rng.standard_normal((4, 6))
    y = resize_bilinear(x, (4, 6), align_corners=align_corners)
    assert np.array_equal(y, x)
    assert not np.shares_memory(y, x)


def test_a_single_sample_spreads_and_a_single_output_reads_the_first_or_the_middle(rng):
    x = rng.standard_normal((1, 1))
    assert np.array_equal(resize_bilinear(x, (3, 5)), np.broadcast_to(x, (3, 5)))
    line = np.array([[1.0, 2.0, 4.0, 8.0]])
    assert resize_bilinear(line, (1, 1)) == 1
    assert resize_bilinear(line, (1, 1), align_corners=False) == 3


@BOTH
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_inf_stay_where_they_are_read(rng, value, align_corners):
    x = rng.standard_normal((6, 6))
    read = np.zeros_like(x)
    x[2, 3], read[2, 3] = value, 1
    y = resize_bilinear(x, (11, 11), align_corners=align_corners)
    touched = resize_bilinear(read, (11, 11), align_corners=align_corners) > 0
    assert np.array_equal(~np.isfinite(y), touched)
    assert np.array_equal(np.isnan(y), touched & np.isnan(value))


def test_the_cache_holds_no_bulk_and_works_again(rng):
    y, cache = bilinear_forward(rng.standard_normal((2, 3, 5, 7)), (9, 4))
    assert not any(isinstance(part, np.ndarray) for part in cache)
    assert np.array_equal(bilinear_backward(y, cache), bilinear_backward(y, cache))


def test_layouts_and_integers_of_numpy(rng):
    x = rng.standard_normal((5, 4, 3))
    expected = resize_bilinear(np.ascontiguousarray(x.T), (7, 6))
    assert np.array_equal(resize_bilinear(x.T, (np.int64(7), 6)), expected)
    assert np.array_equal(resize_bilinear(x.T.astype(">f8"), (7, 6)), expected)
    frozen = x.T.copy()
    frozen.flags.writeable = False
    assert np.array_equal(resize_bilinear(frozen, (7, 6)), expected)


# Labels


def nearest_by_definition(labels, size, align_corners):
    out = np.empty(size, labels.dtype)
    for o in np.ndindex(*size):
        at = []
        for k, n, m in zip(o, labels.shape, size, strict=True):
            # Twice the position as a fraction, so that halves are exact.
            top, bottom = (k * (n - 1), max(m - 1, 1)) if align_corners else ((2 * k + 1) * n - m, 2 * m)
            at.append(min(max((2 * top + bottom) // (2 * bottom), 0), n - 1))
        out[o] = labels[tuple(at)]
    return out


@BOTH
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_labels_take_the_nearest(rng, old, new, align_corners):
    labels = rng.integers(0, 256, old).astype(np.uint8)
    out = resize_labels(labels, new, align_corners=align_corners)
    assert out.dtype == np.uint8
    assert np.array_equal(out, nearest_by_definition(labels, new, align_corners))
    assert not np.shares_memory(out, labels)


# Interp

INTERPS = [
    {},
    {"zoom": 8},
    {"shrink": 2},
    {"shrink": 3, "zoom": 2},
    {"crop": (1, 0), "shrink": 2},
    {"crop": (2, 3), "zoom": 3},
]


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        (65, {"zoom": 8}, (513, 513)),
        (321, {"shrink": 8}, (41, 41)),
        ((306, 320), {"shrink": 8, "crop": (1, 0)}, (39, 40)),
        (9, {"shrink": 5, "zoom": 4}, (5, 5)),
        ((7, 9), {"shrink": 2, "crop": (0, 1)}, (3, 4)),
        ((7, 9), {"zoom": 3, "crop": (2, 3)}, (4, 10)),
        (1, {"shrink": 2, "zoom": 3}, (1, 1)),
    ],
)
def test_interp_gives_caffes_sizes(size, options, expected):
    assert interp_size(size, **options) == expected


@pytest.mark.parametrize("options", INTERPS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_interp_crops_then_resizes_once(rng, options, dtype):
    x = rng.standard_normal((2, 7, 9)).astype(dtype)
    given = x.copy()
    begin, end = options.get("crop", (0, 0))
    y, cache = interp_forward(x, **options)
    expected = [by_definition(a[begin : 7 - end, begin : 9 - end], interp_size((7, 9), **options), True) for a in x]
    assert_close(y, np.array(expected), "reordered")
    dx = interp_backward(y, cache)
    assert y.dtype == dx.dtype == dtype
    outside = np.ones((7, 9), bool)
    outside[begin : 7 - end, begin : 9 - end] = False
    assert not dx[:, outside].any()
    assert np.array_equal(x, given)


@pytest.mark.parametrize("options", INTERPS)
def test_interp_backward_is_the_adjoint(options):
    cache = interp_forward(np.ones((2, 7, 9)), **options)[1]
    error = adjoint_error(lambda x: interp_forward(x, **options)[0], lambda dy: interp_backward(dy, cache), (2, 7, 9))
    assert error <= TABLE["adjoint"]["float64"]


def test_gradients_of_interp(rng):
    x = rng.standard_normal((5, 6))
    assert_gradients(lambda x: interp_forward(x, zoom=2, crop=(1, 0)), interp_backward, [x])


def test_interp_shrinks_by_taking_every_eighth(rng):
    labels = rng.integers(0, 256, (17, 25)).astype(float)
    assert np.array_equal(interp_forward(labels, shrink=8)[0], labels[::8, ::8])


# Bad input

X = np.ones((2, 5, 7))
BAD = [
    ("one axis", lambda: resize_bilinear(X[0, 0], 3), ShapeError, r"\(\.\.\., H, W\).*\(7,\)"),
    ("empty", lambda: resize_bilinear(X[..., :0], 3), ShapeError, "empty"),
    ("integers", lambda: resize_bilinear(X.astype(int), 3), DTypeError, "int64"),
    ("masked", lambda: resize_bilinear(np.ma.array(X), 3), DTypeError, "masked"),
    ("size 0", lambda: resize_bilinear(X, (0, 3)), ParameterError, r"size\[0\].*got 0"),
    ("size 2.0", lambda: resize_bilinear(X, 2.0), ParameterError, "integer.*got 2.0"),
    ("size of three", lambda: resize_bilinear(X, (2, 3, 4)), ParameterError, r"got \(2, 3, 4\)"),
    ("size too large", lambda: resize_bilinear(X, (2**16, 2**16)), ShapeError, "the result"),
    ("align_corners", lambda: resize_bilinear(X, 3, align_corners="yes"), ParameterError, "got 'yes'"),
    ("dy shape", lambda: bilinear_backward(X, bilinear_forward(X, 3)[1]), ShapeError, r"\(2, 3, 3\), got \(2, 5, 7\)"),
    (
        "dy dtype",
        lambda: bilinear_backward(np.ones((2, 3, 3), np.float32), bilinear_forward(X, 3)[1]),
        DTypeError,
        "float64, got float32",
    ),
    ("cache", lambda: bilinear_backward(X, (1, 2)), ParameterError, "bilinear_forward, got tuple"),
    ("interp of one axis", lambda: interp_forward(X[0, 0]), ShapeError, r"interp_forward: .*\(7,\)"),
    ("zoom", lambda: interp_forward(X, zoom=0), ParameterError, "zoom must be at least 1, got 0"),
    ("shrink", lambda: interp_size(5, shrink=0.5), ParameterError, "shrink must be an integer, got 0.5"),
    ("crop", lambda: interp_forward(X, crop=1), ParameterError, "crop must be a tuple of 2 integers, got 1"),
    ("padding", lambda: interp_size(5, crop=(-1, 0)), ParameterError, r"crop\[0\] must be at least 0, got -1"),
    ("all cropped", lambda: interp_forward(X, crop=(2, 3)), ShapeError, r"crop \(2, 3\) leaves nothing of \(5, 7\)"),
    (
        "interp dy",
        lambda: interp_backward(X, interp_forward(X, zoom=2)[1]),
        ShapeError,
        r"interp_backward: dy .*\(2, 9, 13\), got",
    ),
    ("interp cache", lambda: interp_backward(X, bilinear_forward(X, 3)[1]), ParameterError, "interp_forward, got"),
    ("float labels", lambda: resize_labels(X, 3), DTypeError, "float64"),
    ("empty labels", lambda: resize_labels(np.zeros((0, 3), int), 3), ShapeError, "empty"),
    ("labels of one axis", lambda: resize_labels(np.zeros(3, int), 3), ShapeError, r"\(3,\)"),
]


@pytest.mark.parametrize(("call", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_bad_input_gives_one_clear_error(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, AtrousError)
