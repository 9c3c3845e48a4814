"""Confusion matrix, accuracy and intersection over union against sets of positions."""

import numpy as np
import pytest
from oracles import sets_iou

from atrous.errors import AtrousError, DTypeError, ParameterError, ShapeError
from atrous.metrics import (
    class_accuracy,
    class_iou,
    confusion_matrix,
    frequency_weighted_iou,
    mean_iou,
    pixel_accuracy,
)


def or_nan(value):
    return np.nan if value is None else value


@pytest.mark.parametrize("ignore", [255, None, 0, -1])
@pytest.mark.parametrize("classes", [1, 2, 5, 21])
def test_measures_equal_those_of_sets(rng, classes, ignore):
    for dtype in (np.uint8, np.int16, np.int64, np.uint64):
        # A few classes of many, so that some are absent.
        target = rng.choice(rng.integers(0, classes, 3), (9, 11)).astype(dtype)
        guess = rng.integers(0, classes, target.shape).astype(dtype)
        prediction = np.where(rng.random(target.shape) < 0.6, target, guess)
        if ignore == 255:
            target[rng.random(target.shape) < 0.2] = ignore
            prediction[0] = 200
            target[0] = ignore
        counts, accuracy, iou, mean = sets_iou.measures(
            prediction.ravel().tolist(), target.ravel().tolist(), classes, ignore
        )
        matrix = confusion_matrix(prediction, target, classes, ignore=ignore)
        assert matrix.dtype == np.int64
        assert np.array_equal(matrix, counts)
        np.testing.assert_allclose(pixel_accuracy(matrix), or_nan(accuracy), rtol=1e-15)
        np.testing.assert_allclose(class_iou(matrix), [or_nan(v) for v in iou], rtol=1e-15)
        np.testing.assert_allclose(mean_iou(matrix), or_nan(mean), rtol=1e-14)
        accuracies, weighted = sets_iou.by_class(prediction.ravel().tolist(), target.ravel().tolist(), classes, ignore)
        np.testing.assert_allclose(class_accuracy(matrix), [or_nan(v) for v in accuracies], rtol=1e-15)
        np.testing.assert_allclose(frequency_weighted_iou(matrix), or_nan(weighted), rtol=1e-14)


def test_rows_are_the_target():
    assert confusion_matrix([1, 1, 0], [0, 0, 0], 2).tolist() == [[1, 2], [0, 0]]


def test_matrices_of_images_add_up(rng):
    p, t = rng.integers(0, 4, (2, 3, 8, 8))
    assert np.array_equal(sum(confusion_matrix(a, b, 4) for a, b in zip(p, t, strict=True)), confusion_matrix(p, t, 4))


def test_bools_are_two_classes():
    assert confusion_matrix(np.array([True, False]), np.array([True, True]), 2).tolist() == [[0, 0], [1, 1]]


def test_absent_classes_are_left_out():
    matrix = np.diag([3, 0, 5])
    assert np.isnan(class_iou(matrix)).tolist() == [False, True, False]
    assert mean_iou(matrix) == 1
    # Present in the prediction alone: counts, and is wrong.
    matrix[0, 1] = 3
    assert mean_iou(matrix) == (0.5 + 0 + 1) / 3


def test_no_pixel_counted_gives_nan():
    matrix = confusion_matrix(np.zeros(4, int), np.full(4, 255), 3)
    assert matrix.sum() == 0
    assert np.isnan([pixel_accuracy(matrix), mean_iou(matrix), *class_iou(matrix)]).all()
    assert np.isnan([frequency_weighted_iou(matrix), *class_accuracy(matrix)]).all()


P, T, M = np.array([[0, 1], [2, 0]]), np.array([[0, 1], [2, 255]]), np.diag([1, 2])
BAD = [
    ("shapes", lambda: confusion_matrix(P, T[0], 3), ShapeError, r"\(2, 2\) and \(2,\)"),
    ("empty", lambda: confusion_matrix(P[:0], T[:0], 3), ShapeError, "prediction is empty"),
    ("scores", lambda: confusion_matrix(P * 0.5, T, 3), DTypeError, "argmax"),
    ("NaN", lambda: confusion_matrix(P, T * np.nan, 3), DTypeError, "target.*float64"),
    ("strings", lambda: confusion_matrix(P.astype(str), T, 3), DTypeError, "prediction must hold real numbers"),
    ("too few classes", lambda: confusion_matrix(P, T, 2), ParameterError, "prediction must be 0 to 1.*got 2"),
    ("negative", lambda: confusion_matrix(P - 1, T, 3), ParameterError, "got -1"),
    ("void first", lambda: confusion_matrix(T, P, 3), ParameterError, r"prediction is 255 .*prediction comes first"),
    ("void first, -1", lambda: confusion_matrix(-P, P, 3, ignore=-1), ParameterError, "only the target may hold -1"),
    ("void counted", lambda: confusion_matrix(P, T, 3, ignore=None), ParameterError, "target.*got 255"),
    ("huge", lambda: confusion_matrix(P, T.astype(np.uint64) + np.uint64(2**63), 3), ParameterError, "target"),
    ("classes", lambda: confusion_matrix(P, T, 0), ParameterError, "classes must be at least 1"),
    ("many classes", lambda: confusion_matrix(P, T, 10**5), ShapeError, "the matrix"),
    ("ignore", lambda: confusion_matrix(P, T, 3, ignore="void"), ParameterError, "got 'void'"),
    *(
        (f"{measure.__name__}, {name}", lambda measure=measure, matrix=matrix: measure(matrix), error, message)
        for measure in (pixel_accuracy, class_iou, mean_iou, class_accuracy, frequency_weighted_iou)
        for name, matrix, error, message in [
            ("not square", M[:1], ShapeError, r"\(1, 2\)"),
            ("one axis", M[0], ShapeError, r"\(2,\)"),
            ("empty", M[:0, :0], ShapeError, r"\(0, 0\)"),
            ("NaN", M * np.nan, ParameterError, "nan"),
            ("negative", -M, ParameterError, "got -2"),
            ("complex", M * 1j, DTypeError, "complex128"),
        ]
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_bad_input_gives_one_clear_error(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, AtrousError)
