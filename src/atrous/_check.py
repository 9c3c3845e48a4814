"""Checks and conversions for public functions. Every message says what is wrong, what is expected and how to fix it."""

import math
import operator
import os

import numpy as np

from atrous.errors import DTypeError, ParameterError, ShapeError

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
# Axis sizes and element counts stay below this, so that compiled functions can use 32-bit indices.
LIMIT = 2**31 - 1


def shown(name):
    """Return a name from a file with control characters escaped, which could move a terminal's cursor."""
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")


def told(value):
    """Return what a wrong argument is, in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    if isinstance(value, int) and abs(value) > 10**20:
        return f"an integer of {value.bit_length()} bits"
    words = " ".join(repr(value).split())
    words = words if len(words) <= 80 else f"{words[:77]}..."
    return f"{words} of type {type(value).__name__}" if isinstance(value, (int, float, str)) else words


def _as_array(value):
    """Return a value as an array, or None: a masked array, say, is none."""
    try:
        return None if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    except (TypeError, ValueError, OverflowError):
        return None


def no_array(owner, name, value, *, floats=False, like=None):
    """Return the error for what is no rectangular array of real numbers, or of floats."""
    if isinstance(value, np.ma.MaskedArray):
        return DTypeError(f"{owner}: {name} must be a plain array, got a masked one. Fill it: {name}.filled(0.0).")
    if isinstance(value, (str, os.PathLike)):
        fix = "Open a photograph first: np.asarray(PIL.Image.open(path))."
        return DTypeError(f"{owner}: {name} must be an array, got {told(value)}. {fix}")
    try:
        found = np.asarray(value).dtype
    except ValueError:
        return ShapeError(f"{owner}: {name} must be one rectangular array of numbers, got a ragged sequence.")
    except (TypeError, OverflowError) as error:
        return DTypeError(f"{owner}: {name} must be an array of numbers, got {told(value)}: {error}.")
    fix = ""
    if name == "b" and np.ndim(value) == 0:
        fix = " The third argument is the bias; pass the others by name, as in rate=2."
    elif found.kind == "O":
        fix = " Pass one rectangular array of numbers."
    elif floats:
        fix = f" Convert it with {name}.astype(np.{'float32' if like is None else like.dtype})."
    return DTypeError(
        f"{owner}: {name} must {'be float32 or float64' if floats else 'hold real numbers'}, got {found}.{fix}"
    )


def float_array(owner, name, value, *, like=None, batch=False):
    """Return `value` as an ndarray of native float32 or float64; with `like`, of the same dtype as that array.

    With `batch`, the first of several axes is a batch, which may be empty.
    """
    array = _as_array(value)
    if array is None or array.dtype.newbyteorder("=") not in FLOATS:
        raise no_array(owner, name, value, floats=True, like=like)
    if like is not None and array.dtype.newbyteorder("=") != like.dtype:
        raise DTypeError(
            f"{owner}: {name} must have the dtype of the other arrays, {like.dtype}, got {array.dtype}. "
            f"Convert it with {name}.astype(np.{like.dtype})."
        )
    if 0 in array.shape[1 if batch and array.ndim > 1 else 0 :]:
        raise ShapeError(f"{owner}: {name} is empty, shape {array.shape}. Every axis needs at least one element.")
    small_enough(owner, name, array.shape)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def small_enough(owner, name, shape):
    """Refuse shapes with more elements than 32-bit indices can count."""
    count = math.prod(map(int, shape))
    if count > LIMIT:
        raise ShapeError(
            f"{owner}: {name} of shape {tuple(map(int, shape))} has {count:.3g} elements; at most 2^31 - 1 are "
            "supported. Split the batch, or cut the image into tiles."
        )


def integer(owner, name, value, *, least):
    """Return `value` as an int of at least `least`; booleans and floats are refused."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise ParameterError(f"{owner}: {name} must be an integer, got {told(value)}.") from None
    if number < least:
        raise ParameterError(f"{owner}: {name} must be at least {least}, got {number}.")
    if number > LIMIT:
        raise ParameterError(f"{owner}: {name} must be below 2^31, got {number}.")
    return number


def number(owner, name, value, *, least=None, above=None, below=None):
    """Return `value` as a finite float within bounds; booleans and text are refused."""
    try:
        if isinstance(value, (bool, np.bool_, str, bytes)):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    bounds = (
        (least, found.__ge__, "of at least"), (above, found.__gt__, "above"), (below, found.__lt__, "below")
    )  # fmt: skip
    bounds = [bound for bound in bounds if bound[0] is not None]
    if not (math.isfinite(found) and all(fits(limit) for limit, fits, _ in bounds)):
        wanted = " and ".join(f"{words} {limit}" for limit, _, words in bounds)
        raise ParameterError(f"{owner}: {name} must be a finite number {wanted}".rstrip() + f", got {told(value)}.")
    return found


def real_array(owner, name, value, *, batch=False):
    """Return any array of real numbers; masked and ragged ones are refused. `batch` as for `float_array`."""
    array = _as_array(value)
    if array is None or array.dtype.kind not in "buif":
        raise no_array(owner, name, value)
    if 0 in array.shape[1 if batch and array.ndim > 1 else 0 :]:
        raise ShapeError(f"{owner}: {name} is empty, shape {array.shape}. Every axis needs at least one element.")
    return array


def per_axis(owner, name, value, axes, *, least):
    """Return one int for each spatial axis from one int or a sequence of `axes` ints."""
    if np.ndim(value) == 0:
        return (integer(owner, name, value, least=least),) * axes
    values = tuple(value)
    if len(values) != axes:
        raise ParameterError(
            f"{owner}: {name} must be one integer or {axes}, one for each spatial axis, got {told(value)}."
        )
    return tuple(integer(owner, f"{name}[{i}]", v, least=least) for i, v in enumerate(values))


def one_of(owner, name, value, choices):
    """Return `value` if it is among `choices`."""
    if value not in choices:
        listed = ", ".join(repr(c) for c in choices)
        raise ParameterError(f"{owner}: {name} must be one of {listed}; got {told(value)}.")
    return value


def upstream(owner, dy, shape, like, *, name="dy"):
    """Return the gradient with respect to an output: an array of its shape, with the dtype of `like`."""
    dy = float_array(owner, name, dy, like=like, batch=True)
    if dy.shape != tuple(shape):
        raise ShapeError(f"{owner}: {name} must have the shape of the output, {tuple(shape)}, got {dy.shape}.")
    return dy
