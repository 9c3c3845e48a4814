"""From scores to a loss: softmax, cross-entropy with void labels, labels of another size, dropout before it all."""

import math
from pathlib import Path

import numpy as np
import pytest
from directions import assert_gradients
from tolerances import assert_close

from atrous.errors import AtrousError, DTypeError, ParameterError, ShapeError
from atrous.layers.dropout import dropout_backward, dropout_forward
from atrous.layers.loss import (
    cross_entropy_backward,
    cross_entropy_forward,
    segmentation_loss_backward,
    segmentation_loss_forward,
)
from atrous.layers.resize import bilinear_backward, bilinear_forward, resize_labels
from atrous.layers.softmax import (
    log_softmax_backward,
    log_softmax_forward,
    softmax_backward,
    softmax_forward,
)

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "layers.npz")
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SOFTMAXES = pytest.mark.parametrize(
    ("forward", "backward"),
    [(softmax_forward, softmax_backward), (log_softmax_forward, log_softmax_backward)],
    ids=["softmax", "log"],
)

# Softmax


@DTYPES
def test_softmax_equals_pytorch(dtype):
    x, y, dy, dx = (GOLDEN[f"softmax_c_{name}"] for name in ("x", "y", "dy", "dx"))
    out, cache = softmax_forward(x.astype(dtype))
    gradient = softmax_backward(dy.astype(dtype), cache)
    assert out.dtype == gradient.dtype == dtype
    assert_close(out, y, "golden")
    assert_close(gradient, dx, "golden")
    logarithm, cache = log_softmax_forward(x.astype(dtype))
    assert logarithm.dtype == log_softmax_backward(dy.astype(dtype), cache).dtype == dtype
    assert_close(logarithm, np.log(y), "golden")


@SOFTMAXES
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gradients_of_softmax(rng, forward, backward, axis):
    assert_gradients(lambda x: forward(x, axis=axis), backward, [rng.standard_normal((3, 4, 5))])


@SOFTMAXES
def test_softmax_of_far_and_infinite_scores(forward, backward):
    x = np.array([[1e4, 0.0], [-np.inf, 0.0], [np.nan, 0.0]])
    given = x.copy()
    y, cache = forward(x)
    p = np.exp(y) if forward is log_softmax_forward else y
    assert cache.y is y
    assert np.array_equal(p[:2], [[1, 0], [0, 1]])
    assert np.isnan(p[2]).all()
    assert np.array_equal(x, given, equal_nan=True)


# Cross-entropy


def by_definition(x, labels, ignore, weights):
    """Return (loss, dx), one position at a time."""
    places = [i for i in np.ndindex(labels.shape) if labels[i] != ignore]
    total = sum(weights[labels[i]] for i in places)
    loss, dx = 0.0, np.zeros_like(x)
    for n, *s in places:
        label = labels[n, *s]
        z = np.exp(x[n, :, *s])
        loss -= weights[label] * math.log(z[label] / z.sum()) / total
        dx[n, :, *s] = weights[label] * (z / z.sum() - np.eye(len(z))[label]) / total
    return loss, dx


def scene(rng, size=(5, 6), classes=4, ignore=255):
    """Return scores and labels with some void."""
    labels = rng.integers(0, classes, (2, *size)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.2] = ignore
    return 3 * rng.standard_normal((2, classes, *size)), labels


@DTYPES
def test_cross_entropy_equals_pytorch(dtype):
    x, labels, stored, dx = (GOLDEN[f"xent_{name}"] for name in ("x", "target", "loss", "dx"))
    loss, cache = cross_entropy_forward(x.astype(dtype), labels)
    gradient = cross_entropy_backward(1.0, cache)
    assert type(loss) is float
    assert gradient.dtype == dtype
    assert_close(np.array(loss), stored, "golden", dtype)
    assert_close(gradient, dx, "golden")


@pytest.mark.parametrize("size", [(), (7,), (5, 6), (2, 3, 2)])
@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 0.0, 3.0]])
def test_cross_entropy_equals_a_loop_over_positions(rng, size, weights):
    x, labels = scene(rng, size)
    labels[0] = 3
    expected, dx = by_definition(x, labels, 255, weights or [1.0] * 4)
    given = x.copy()
    loss, cache = cross_entropy_forward(x, labels, class_weights=weights)
    assert_close(np.array(loss), np.array(expected), "reordered")
    assert_close(cross_entropy_backward(2.5, cache), 2.5 * dx, "reordered")
    assert cache.logits is x
    assert cache.labels is labels
    assert np.array_equal(x, given)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint64])
def test_any_integers_and_any_void_label(rng, dtype):
    x, labels = scene(rng, ignore=127)
    expected = by_definition(x, labels, 127, [1.0] * 4)[0]
    assert_close(
        np.array(cross_entropy_forward(x, labels.astype(dtype), ignore=127)[0]), np.array(expected), "reordered"
    )
    signed = np.where(labels == 127, -100, labels.astype(np.int16))
    assert_close(np.array(cross_entropy_forward(x, signed, ignore=-100)[0]), np.array(expected), "reordered")
    # A class may be the one that is ignored.
    of_class = by_definition(x, np.where(labels == 127, 2, labels), 2, [1.0] * 4)[0]
    loss = cross_entropy_forward(x, np.where(labels == 127, 2, labels), ignore=2)[0]
    assert_close(np.array(loss), np.array(of_class), "reordered")


def test_gradients_of_cross_entropy(rng):
    x, labels = scene(rng)
    weights = rng.uniform(0.5, 2, 4)
    assert_gradients(
        lambda x: cross_entropy_forward(x, labels, class_weights=weights),
        cross_entropy_backward,
        [x],
    )


def test_nothing_counts_gives_zero(rng):
    x, labels = scene(rng)
    for void, weights in ((np.full_like(labels, 255), None), (np.zeros_like(labels), [0, 1, 1, 1])):
        loss, cache = cross_entropy_forward(x, void, class_weights=weights)
        assert loss == 0.0
        assert not cross_entropy_backward(1.0, cache).any()


def test_void_positions_reach_nothing_and_large_scores_do_not_overflow(rng):
    x, labels = scene(rng)
    expected, cache = cross_entropy_forward(x, labels)
    dx = cross_entropy_backward(1.0, cache)
    changed = np.where(labels[:, None] == 255, np.nan, x + 1e3)
    loss, cache = cross_entropy_forward(changed, labels)
    assert_close(np.array(loss), np.array(expected), "golden")
    assert_close(cross_entropy_backward(1.0, cache), dx, "golden")


# Labels of another size


@pytest.mark.parametrize("resize", ["labels", "logits"])
@pytest.mark.parametrize("align_corners", [True, False])
def test_gradients_of_the_segmentation_loss(rng, resize, align_corners):
    x, _ = scene(rng, (3, 4))
    _, labels = scene(rng, (9, 13))
    assert_gradients(
        lambda x: segmentation_loss_forward(x, labels, resize=resize, align_corners=align_corners),
        segmentation_loss_backward,
        [x],
    )


def test_labels_are_subsampled_or_scores_enlarged(rng):
    x, _ = scene(rng, (3, 4))
    _, labels = scene(rng, (17, 25))
    weights = rng.uniform(0.5, 2, 4)
    loss, cache = segmentation_loss_forward(x, labels, class_weights=weights)
    few = labels[:, ::8, ::8]
    expected, small = cross_entropy_forward(x, few, class_weights=weights)
    assert loss == expected
    assert cache.logits is x
    assert np.array_equal(segmentation_loss_backward(1.0, cache), cross_entropy_backward(1.0, small))
    centres = resize_labels(labels, (3, 4), align_corners=False)
    assert segmentation_loss_forward(x, labels, align_corners=False)[0] == cross_entropy_forward(x, centres)[0]
    for align_corners in (True, False):
        loss, cache = segmentation_loss_forward(
            x, labels, resize="logits", align_corners=align_corners, class_weights=weights
        )
        large, resized = bilinear_forward(x, (17, 25), align_corners=align_corners)
        expected, inner = cross_entropy_forward(large, labels, class_weights=weights)
        assert loss == expected
        assert cache.loss.logits is None
        gradient = bilinear_backward(cross_entropy_backward(1.0, inner), resized)
        assert np.array_equal(segmentation_loss_backward(1.0, cache), gradient)
    _, cache = segmentation_loss_forward(x.astype(np.float32), labels, resize="logits")
    assert segmentation_loss_backward(1.0, cache).dtype == np.float32


# Dropout


@DTYPES
def test_dropout_zeroes_a_share_and_enlarges_the_rest(dtype):
    x = np.full((3, 5, 40, 41), 3, dtype)
    y, cache = dropout_forward(x, 0.2, np.random.default_rng(1))
    assert y.dtype == dtype
    kept = y != 0
    assert abs(kept.mean() - 0.8) < 0.01
    assert_close(y[kept], np.full(kept.sum(), 3.75), "reordered")
    dx = dropout_backward(np.full_like(x, 4), cache)
    assert dx.dtype == dtype
    assert_close(dx, np.where(kept, 5.0, 0.0), "reordered")
    assert cache.mask.nbytes == math.ceil(x.size / 8)
    again, _ = dropout_forward(np.full(x.shape, 3.0), 0.2, np.random.default_rng(1))
    assert np.array_equal(again != 0, kept)
    other, _ = dropout_forward(x, 0.2, np.random.default_rng(2))
    assert not np.array_equal(other != 0, kept)


def test_gradients_of_dropout(rng):
    x = rng.standard_normal((2, 3, 5))
    assert_gradients(lambda x: dropout_forward(x, 0.4, np.random.default_rng(3)), dropout_backward, [x])


def test_dropout_leaves_everything_where_nothing_is_drawn(rng):
    x = rng.standard_normal((2, 3, 5))
    for y, cache in (dropout_forward(x, 0.5, None, train=False), dropout_forward(x, 0, None)):
        assert y is x
        assert np.array_equal(dropout_backward(2 * x, cache), 2 * x)


# Bad input

X, L = np.ones((2, 4, 5, 6)), np.zeros((2, 5, 6), int)
BAD = [
    ("axis", lambda: softmax_forward(X, axis=4), ParameterError, "below 4.*got 4"),
    ("axis of a vector", lambda: log_softmax_forward(X[0, 0, 0]), ParameterError, r"\(6,\); got 1"),
    ("softmax dy", lambda: softmax_backward(X[1:], softmax_forward(X)[1]), ShapeError, r"got \(1, 4, 5, 6\)"),
    ("softmax cache", lambda: log_softmax_backward(X, softmax_forward(X)[1]), ParameterError, "log_softmax_forward"),
    ("float labels", lambda: cross_entropy_forward(X, X[:, 0]), DTypeError, "labels must be integers, got float64"),
    ("integer logits", lambda: cross_entropy_forward(X.astype(int), L), DTypeError, "logits must be float32"),
    ("batch", lambda: cross_entropy_forward(X, L[:1]), ShapeError, r"\(2, 4, 5, 6\) and \(1, 5, 6\)"),
    ("axes", lambda: cross_entropy_forward(X, L[:, None]), ShapeError, r"labels \(N, \*S\)"),
    (
        "size",
        lambda: cross_entropy_forward(X, L[:, ::2]),
        ShapeError,
        r"\(5, 6\) in size, labels \(3, 6\).*Sub-sample.*upsample.*segmentation_loss_forward",
    ),
    ("label", lambda: cross_entropy_forward(X, L + 21), ParameterError, r"0 to 3 .*\(ignore=255\), got 21"),
    ("negative label", lambda: cross_entropy_forward(X, L - 1), ParameterError, "got -1"),
    ("void counts", lambda: cross_entropy_forward(X, L + 255, ignore=None), ParameterError, "ignore=None.* got 255"),
    ("ignore", lambda: cross_entropy_forward(X, L, ignore="void"), ParameterError, "ignore must be an integer"),
    ("weights", lambda: cross_entropy_forward(X, L, class_weights=np.ones(3)), ShapeError, r"\(4,\).*got \(3,\)"),
    ("weight", lambda: cross_entropy_forward(X, L, class_weights=[1, 1, -1, 1]), ParameterError, "not negative"),
    ("dloss", lambda: cross_entropy_backward(np.nan, cross_entropy_forward(X, L)[1]), ParameterError, "dloss"),
    ("loss cache", lambda: cross_entropy_backward(1.0, 3), ParameterError, "cross_entropy_forward, got int"),
    ("resize", lambda: segmentation_loss_forward(X, L, resize="both"), ParameterError, "'logits'; got 'both'"),
    ("one axis", lambda: segmentation_loss_forward(X[..., 0], L), ShapeError, r"\(N, H, W\), got \(2, 4, 5\)"),
    (
        "label of an image",
        lambda: segmentation_loss_forward(X, L + 9),
        ParameterError,
        "segmentation_loss_forward: labels .* got 9",
    ),
    ("probability", lambda: dropout_forward(X, 1.0, None), ParameterError, "below 1, got 1.0"),
    ("negative", lambda: dropout_forward(X, -0.1, None), ParameterError, "probability must be a finite"),
    ("no generator", lambda: dropout_forward(X, 0.5, 3), ParameterError, "rng .*default_rng.* got 3"),
    ("train", lambda: dropout_forward(X, 0.5, None, train="no"), ParameterError, "got 'no'"),
    ("mask", lambda: dropout_backward(X[0], dropout_forward(X, 0, None)[1]), ShapeError, r"got \(4, 5, 6\)"),
]


@pytest.mark.parametrize(("call", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_bad_input_gives_one_clear_error(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, AtrousError)
