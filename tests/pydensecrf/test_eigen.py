"""The stand-ins for Eigen matrices: what NumPy sees, what is shared, what is refused and how."""

import numpy as np
import pytest

from atrous.errors import AtrousError
from atrous.pydensecrf import eigen
from atrous.pydensecrf.eigen import MatrixXf, VectorXf, matrixXf, require_buffer, vectorXf


@pytest.fixture
def a(rng):
    return rng.standard_normal((3, 5)).astype(np.float32)


def test_numpy_sees_a_column_major_float32_matrix(a):
    Q = matrixXf(a)
    assert type(Q) is MatrixXf
    for seen in (np.array(Q), np.asarray(Q), np.asarray(Q, dtype=np.float32)):
        assert type(seen) is np.ndarray
        assert seen.dtype == np.float32
        assert seen.shape == (3, 5)
        assert seen.strides == (4, 12)
        assert seen.flags.writeable
        assert np.array_equal(seen, a)
    assert np.array(Q, order="C").flags.c_contiguous


def test_functions_of_numpy_take_it_and_give_arrays(a):
    Q = matrixXf(a)
    best = np.argmax(Q, axis=0)
    assert type(best) is np.ndarray
    assert np.array_equal(best, a.argmax(axis=0))
    assert np.array_equal(np.exp(Q), np.exp(a))
    assert np.array_equal(np.array(Q).reshape((3, 5)), a)
    assert np.asarray(Q, dtype=np.float64).dtype == np.float64


def test_asarray_aliases_and_array_copies(a):
    Q = matrixXf(a)
    live, copied = np.asarray(Q), np.array(Q)
    live[1, 2] = 7
    assert np.asarray(Q)[1, 2] == 7
    assert np.asarray(Q, copy=False)[1, 2] == 7
    assert copied[1, 2] == a[1, 2] != 7
    live.shape = (3, 5, 1)
    assert np.asarray(Q).shape == (3, 5)
    with pytest.raises(ValueError, match="copy"):
        np.asarray(Q, dtype=np.float64, copy=False)


def test_it_copies_what_it_is_made_of(a):
    Q, v = matrixXf(a), vectorXf(a[0])
    kept = a.copy()
    a[:] = 0
    assert np.array_equal(Q, kept)
    assert np.array_equal(v, kept[0])


def test_around_shares_memory(a):
    live = np.asfortranarray(a)
    Q = MatrixXf.around(live)
    live[0, 0] = 9
    assert np.asarray(Q)[0, 0] == 9
    assert np.shares_memory(np.asarray(Q), live)
    for wrong in (a, live[0], live.astype(np.float64)):
        with pytest.raises(TypeError, match=r"MatrixXf\.around"):
            MatrixXf.around(wrong)


def test_empty_ones_take_any_arguments():
    assert np.asarray(MatrixXf()).shape == np.asarray(MatrixXf(3, 4, name=5)).shape == (0, 0)
    assert np.asarray(VectorXf()).shape == (0,)


def test_they_are_opaque(a):
    Q = matrixXf(a)
    for use in (lambda: Q[0], lambda: len(Q), lambda: Q + 1, lambda: iter(Q)):
        with pytest.raises(TypeError):
            use()
    with pytest.raises(AttributeError):
        _ = Q.shape
    assert Q


def test_vectors(a):
    v = vectorXf(a[1])
    assert np.asarray(v).strides == (4,)
    assert np.array_equal(v, a[1])
    assert np.array_equal(vectorXf(v), a[1])
    assert np.array_equal(vectorXf(memoryview(bytearray(8)).cast("f")), [0, 0])
    assert np.array_equal(matrixXf(matrixXf(a[:1])), a[:1])


def test_require_buffer_hands_the_same_memory_back(a):
    assert require_buffer(a, 2) is a
    image = np.zeros((2, 3, 3), np.uint8)
    assert require_buffer(image, 3, np.uint8) is image
    with pytest.raises(
        ValueError, match=r"^Buffer dtype mismatch, expected 'unsigned char' but got 'double'"
    ) as caught:
        require_buffer(image * 1.0, 3, np.uint8, name="rgbim")
    assert "rgbim.astype(np.uint8)" in str(caught.value)


F = np.ones((2, 3), np.float32)
READ_ONLY = np.ones((2, 3), np.float32)
READ_ONLY.flags.writeable = False
MISMATCH = "^Buffer dtype mismatch, expected 'float' but got "
BAD = [
    ("float64", F.astype(np.float64), ValueError, MISMATCH + "'double'"),
    ("int32", F.astype(np.intc), ValueError, MISMATCH + "'int'"),
    ("uint8", F.astype(np.uint8), ValueError, MISMATCH + "'unsigned char'"),
    ("bool", F > 0, ValueError, MISMATCH + "'bool'"),
    ("complex", F.astype(complex), ValueError, MISMATCH + "'complex double'"),
    ("object", F.astype(object), ValueError, MISMATCH + "Python object"),
    ("float16", F.astype(np.float16), ValueError, r"^Does not understand character buffer dtype.*\('e'\)"),
    ("byte order", F.astype(F.dtype.newbyteorder("S")), ValueError, "^Byte order"),
    ("one axis", F[0], ValueError, r"^Buffer has wrong number of dimensions \(expected 2, got 1\)"),
    ("three axes", F[None], ValueError, r"\(expected 2, got 3\)"),
    ("transposed", F.T, ValueError, "^ndarray is not C-contiguous"),
    ("Fortran", np.asfortranarray(F), ValueError, "^ndarray is not C-contiguous"),
    ("a matrix", matrixXf(F), ValueError, "contiguous"),
    ("read-only", READ_ONLY, ValueError, "^buffer source array is read-only"),
    ("read-only, not contiguous", READ_ONLY.T, ValueError, "^ndarray is not C-contiguous"),
    ("None", None, TypeError, "^Argument 'arr' must not be None"),
    ("list", F.tolist(), TypeError, "^a bytes-like object is required, not 'list'"),
    ("number", 5, TypeError, "not 'int'"),
    ("empty", F[:0], ValueError, r"empty, shape \(0, 3\)"),
    ("no columns", np.ones((2, 0), np.float32), ValueError, r"empty, shape \(2, 0\)"),
]


@pytest.mark.parametrize(("value", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_what_pydensecrf_refuses_is_refused_in_its_words(value, error, message):
    with pytest.raises(error, match=message) as caught:
        matrixXf(value)
    assert isinstance(caught.value, AtrousError)


def test_vectors_refuse_matrices_and_steps():
    with pytest.raises(ValueError, match=r"\(expected 1, got 2\)"):
        vectorXf(F)
    with pytest.raises(ValueError, match="not C-contiguous"):
        vectorXf(F[0, ::2])
    with pytest.raises(TypeError, match="arr"):
        matrixXf(arr=F)


def test_the_peer_says_the_same(a):
    peer = pytest.importorskip("pydensecrf.eigen")
    assert {n for n in dir(peer) if n.endswith("Xf")} <= set(dir(eigen))
    ours, theirs = np.array(matrixXf(a)), np.array(peer.matrixXf(a))
    assert ours.strides == theirs.strides
    assert np.array_equal(ours, theirs)
    for _, value, *_ in BAD[:-2]:
        if isinstance(value, MatrixXf):
            continue
        with pytest.raises((TypeError, ValueError)) as caught:
            peer.matrixXf(value)
        with pytest.raises(caught.type):
            matrixXf(value)
