"""Stand-ins for pydensecrf's wrappers of Eigen matrices: opaque objects that NumPy reads and writes through.

``np.asarray(Q)`` is a float32 array on the same memory, column by column as Eigen stores it; ``np.array(Q)`` copies it.
Invalid arrays raise the same built-in exceptions as in pydensecrf, with messages that begin in the same words.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from atrous._types import Array
from atrous.errors import DTypeError, ParameterError, ShapeError

# C's names for the dtypes, as used in pydensecrf's messages.
C_NAMES = {
    "?": "bool", "b": "signed char", "B": "unsigned char", "h": "short", "H": "unsigned short", "i": "int",
    "I": "unsigned int", "l": "long", "L": "unsigned long", "q": "long long", "Q": "unsigned long long",
    "f": "float", "d": "double", "g": "long double", "F": "complex float", "D": "complex double",
}  # fmt: skip


class BufferDTypeError(DTypeError, ValueError):
    """An array of the wrong dtype where pydensecrf raises ValueError."""


def require_buffer(value: Any, ndim: int, dtype: type = np.float32, *, name: str = "arr") -> Array:
    """Return `value` as an array if pydensecrf would accept it: C-contiguous, writable, of that ndim and native dtype.

    Parameters
    ----------
    value : ndarray or other object with the buffer protocol
        The user's argument.
    ndim : int
        Required number of axes.
    dtype : type, default numpy.float32
        Required dtype.
    name : str
        The argument's name, for messages.

    Returns
    -------
    ndarray
        The same memory.

    Raises
    ------
    DTypeError
        `value` is None or has no buffer protocol; also a TypeError.
    BufferDTypeError
        Wrong dtype or byte order; also a ValueError and a TypeError.
    ShapeError, ParameterError
        Wrong number of axes; not C-contiguous, or read-only; also a ValueError.

    Examples
    --------
    >>> require_buffer(np.zeros((2, 3)), 2)
    Traceback (most recent call last):
        ...
    atrous.pydensecrf.eigen.BufferDTypeError: Buffer dtype mismatch, expected 'float' but got 'double'. Convert it with
    arr.astype(np.float32).
    """
    dtype = np.dtype(dtype)
    if value is None:
        raise DTypeError(f"Argument '{name}' must not be None. Pass a {dtype} array with {ndim} axes.")
    if isinstance(value, _Wrapper):
        value = np.asarray(value)
    try:
        array = np.asarray(value if isinstance(value, np.ndarray) else memoryview(value))
    except TypeError:
        raise DTypeError(
            f"a bytes-like object is required, not '{type(value).__name__}'. Convert it with np.array({name}, "
            f"dtype=np.{dtype})."
        ) from None
    if not array.flags.c_contiguous:
        raise ParameterError(f"ndarray is not C-contiguous. Pass np.ascontiguousarray({name}).")
    if not array.flags.writeable:
        raise ParameterError(f"buffer source array is read-only. Pass {name}.copy().")
    if array.ndim != ndim:
        raise ShapeError(
            f"Buffer has wrong number of dimensions (expected {ndim}, got {array.ndim}). {name} has shape "
            f"{array.shape}; reshape it."
        )
    if array.dtype != dtype:
        fix = f"Convert it with {name}.astype(np.{dtype})."
        if array.dtype.newbyteorder("=") == dtype:
            raise BufferDTypeError(f"Byte order {array.dtype.str!r} not supported. {fix}")
        if array.dtype.char not in C_NAMES and array.dtype.char != "O":
            raise BufferDTypeError(
                f"Does not understand character buffer dtype format string ('{array.dtype.char}'). {fix}"
            )
        received = "Python object" if array.dtype.char == "O" else f"'{C_NAMES[array.dtype.char]}'"
        raise BufferDTypeError(f"Buffer dtype mismatch, expected '{C_NAMES[dtype.char]}' but got {received}. {fix}")
    return array


class _Wrapper:
    """An opaque wrapper of one float32 array, stored column by column."""

    __slots__ = ("_array",)
    _ndim = 0

    def __init__(self, *_, **__):
        self._array = np.zeros((0,) * self._ndim, np.float32, order="F")

    @classmethod
    def around(cls, array):
        """Return a wrapper that shares the memory of a float32 array with column-major strides."""
        if array.dtype != np.float32 or array.ndim != cls._ndim or not array.flags.f_contiguous:
            raise DTypeError(
                f"{cls.__name__}.around: the array must be float32, column-major, with {cls._ndim} axes; got "
                f"{array.dtype}, shape {array.shape}, strides {array.strides}. Use np.asfortranarray."
            )
        wrapper = cls()
        wrapper._array = array
        return wrapper

    def __array__(self, dtype=None, copy=None):
        """Return a view if no copy is requested and the dtype fits, else what np.array returns."""
        if copy is None and dtype in (None, self._array.dtype):
            return self._array.view()
        return np.array(self._array, dtype=dtype, copy=copy)


class MatrixXf(_Wrapper):
    """A float32 matrix; for marginals, labels by variables. ``MatrixXf()`` is the empty one."""

    __slots__ = ()
    _ndim = 2


class VectorXf(_Wrapper):
    """A float32 vector. ``VectorXf()`` is the empty one."""

    __slots__ = ()
    _ndim = 1


def _copied(cls, arr):
    array = require_buffer(arr, cls._ndim)
    if array.size == 0:
        raise ShapeError(f"arr is empty, shape {array.shape}. Every axis needs at least one element.")
    return cls.around(array.copy(order="F"))


def matrixXf(arr: Array, /) -> MatrixXf:
    """Copy an array into a matrix.

    Parameters
    ----------
    arr : ndarray of shape (M, N)
        float32, C-contiguous, writable.

    Returns
    -------
    MatrixXf
        A copy.

    Raises
    ------
    DTypeError, ShapeError, ParameterError
        As for `require_buffer`; also an empty array.

    Examples
    --------
    >>> Q = matrixXf(np.array([[0, 5], [3, 4]], np.float32))
    >>> np.argmax(Q, axis=0)
    array([1, 0])
    >>> np.asarray(Q).strides
    (4, 8)
    """
    return _copied(MatrixXf, arr)


def vectorXf(arr: Array, /) -> VectorXf:
    """Copy an array into a vector.

    Parameters
    ----------
    arr : ndarray of shape (N,)
        float32, C-contiguous, writable.

    Returns
    -------
    VectorXf
        A copy.

    Raises
    ------
    DTypeError, ShapeError, ParameterError
        As for `matrixXf`.

    Examples
    --------
    >>> np.array(vectorXf(np.array([1, 2], np.float32)))
    array([1., 2.], dtype=float32)
    """
    return _copied(VectorXf, arr)
