"""What `public` promises: kinds by annotations, errors in the name of the function called, no data set read."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pytest

import atrous
from atrous import ParameterError, ShapeError
from atrous._kinds import public
from atrous._types import Array
from atrous.errors import AtrousError, DTypeError


@public
def count(values: Sequence[Array], names: Mapping[str, int], *, axes: int | tuple[int, int] = 1) -> int:
    return len(values) + len(names)


@public
def stream(values: Iterable[int]):
    yield from values


X = np.ones(2)


def test_errors_begin_with_the_function_that_was_called():
    x, w = np.ones((1, 2, 4, 4)), np.ones((2, 1, 3, 3))
    with pytest.raises(ShapeError, match=r"^separable_conv: b must have shape"):
        atrous.separable_conv(x, w, np.ones((3, 2, 1, 1)), np.ones(2))
    with pytest.raises(ShapeError, match=r"^dense_crf_frames: probabilities must be"):
        next(atrous.dense_crf_frames([(np.ones(3), np.ones((4, 4, 3)))]))


def test_errors_of_a_users_function_stay_as_they_are():
    with pytest.raises(DTypeError, match=r"^relu_forward: x must be float32 or float64"):
        atrous.adjoint_error(lambda x: atrous.relu_forward(x.astype(int)), lambda y: y, (3,))
    with pytest.raises(ZeroDivisionError):
        atrous.adjoint_error(lambda x: 1 // 0, lambda y: y, (3,))


def test_a_generator_function_checks_at_the_call():
    with pytest.raises(ParameterError, match="stream: values must be something to iterate over, got 3"):
        stream(3)
    assert list(stream(iter([1, 2]))) == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([X, "x"], {}), r"values\[1\] must be an array, got 'x'"),
        (([X, [[1], [2, 3]]], {}), r"values\[1\] must be one rectangular array"),
        (([X], {"a": 1, "b": 2.5}), r"names\['b'\] must be an integer, got 2.5"),
        (([X], {1: 1}), "names: every key must be text, got 1"),
        (([X], [1]), r"names must be a dictionary of integers, got \[1\]"),
        (({"a": X}, {}), "values must be a sequence of arrays of real numbers"),
        (([X], {}, (1, 2)), None),
        ((np.ones((2, 3)), {}), None),
    ],
)
def test_the_first_item_that_does_not_fit_is_named(arguments, message):
    if message is None:
        assert count(*arguments[:2], **dict(zip(["axes"], arguments[2:], strict=False))) == len(arguments[0])
        return
    with pytest.raises(AtrousError, match=f"^count: {message}"):
        count(*arguments)


def test_a_tuple_has_as_many_values_as_its_annotation():
    for axes in ((1,), (1, 2, 3), (1, None)):
        with pytest.raises(ParameterError, match="axes must be an integer or a tuple of 2 integers"):
            count([X], {}, axes=axes)


def test_data_sets_are_not_read():
    class Lazy:
        def __len__(self):
            return 3

        def __getitem__(self, index):
            raise AssertionError("was read")

    assert count(Lazy(), {}) == 3


def test_fields_of_a_record_are_checked():
    params = atrous.CRFParams(sigma_alpha="wide")
    with pytest.raises(ParameterError, match=r"params\.sigma_alpha must be a finite number, got 'wide'"):
        atrous.dense_crf(np.full((2, 4, 4), 0.5), np.zeros((4, 4, 3), np.uint8), params)


def test_unknown_arguments_stay_pythons_errors():
    with pytest.raises(TypeError, match="unexpected keyword argument 'stride'"):
        count([X], {}, stride=2)


def test_masked_arrays_and_photographs_have_a_way_out():
    with pytest.raises(DTypeError, match=r"Fill it: x\.filled\(0\.0\)"):
        atrous.relu_forward(np.ma.masked_array(X, [True, False]))
    with pytest.raises(DTypeError, match=r"Open a photograph first: np\.asarray\(PIL\.Image\.open\(path\)\)"):
        atrous.relu_forward("photo.jpg")
    with pytest.raises(ParameterError, match=r"Read a file with load_weights\(file\)"):
        atrous.convolutionalize("vgg16.pth")
