"""Checks and conversions for public functions. Every message says what is wrong, what is expected and how to fix it."""

import contextlib
import math
import operator

import numpy as np

from atrous.errors import AtrousError, DTypeError, ParameterError, ShapeError

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
# Axis sizes and element counts stay below this, so that compiled functions can use 32-bit indices.
LIMIT = 2**31 - 1


@contextlib.contextmanager
def speaking_as(owner, *inner):
    """Let errors that begin with the name of an inner function begin with that of the one that the user called."""
    try:
        yield
    except AtrousError as error:
        name, colon, rest = str(error).partition(":")
        if not colon or name not in inner:
            raise
        raise type(error)(f"{owner}:{rest}") from error


def shown(name):
    """Return a name from a file with control characters escaped, which could move a terminal's cursor."""
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")


def float_array(owner, name, value, *, like=None):
    """Return `value` as an ndarray of native float32 or float64; with `like`, of the same dtype as that array."""
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(f"{owner}: {name} must be a plain array, got a masked one. Fill it: {name}.filled(0.0).")
    try:
        array = np.asarray(value)
    except ValueError:
        raise ShapeError(f"{owner}: {name} must be one rectangular array of numbers, got a ragged sequence.") from None
    if array.dtype.newbyteorder("=") not in FLOATS:
        fix = f"Convert it with {name}.astype(np.{'float32' if like is None else like.dtype})."
        if array.ndim == 0 and name == "b":
            fix = "The third argument is the bias; pass the others by name, as in rate=2."
        if array.dtype == object:
            fix = "Pass one rectangular array of numbers."
        raise DTypeError(f"{owner}: {name} must be float32 or float64, got {array.dtype}. {fix}")
    if like is not None and array.dtype.newbyteorder("=") != like.dtype:
        raise DTypeError(
            f"{owner}: {name} must have the dtype of the other arrays, {like.dtype}, got {array.dtype}. "
            f"Convert it with {name}.astype(np.{like.dtype})."
        )
    if array.size == 0:
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
        raise ParameterError(
            f"{owner}: {name} must be an integer, got {value!r} of type {type(value).__name__}."
        ) from None
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
        raise ParameterError(f"{owner}: {name} must be a finite number {wanted}".rstrip() + f", got {value!r}.")
    return found


def real_array(owner, name, value):
    """Return any array of real numbers; masked and ragged arrays are refused."""
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(f"{owner}: {name} must be a plain array, got a masked one. Fill it: {name}.filled(0.0).")
    try:
        array = np.asarray(value)
    except ValueError:
        raise ShapeError(f"{owner}: {name} must be one rectangular array of numbers, got a ragged sequence.") from None
    if array.dtype.kind not in "buif":
        raise DTypeError(f"{owner}: {name} must hold real numbers, got {array.dtype}.")
    if array.size == 0:
        raise ShapeError(f"{owner}: {name} is empty, shape {array.shape}. Every axis needs at least one element.")
    return array


def per_axis(owner, name, value, axes, *, least):
    """Return one int for each spatial axis from one int or a sequence of `axes` ints."""
    if np.ndim(value) == 0:
        return (integer(owner, name, value, least=least),) * axes
    values = tuple(value)
    if len(values) != axes:
        raise ParameterError(
            f"{owner}: {name} must be one integer or {axes}, one for each spatial axis, got {value!r}."
        )
    return tuple(integer(owner, f"{name}[{i}]", v, least=least) for i, v in enumerate(values))


def one_of(owner, name, value, choices):
    """Return `value` if it is among `choices`."""
    if value not in choices:
        listed = ", ".join(repr(c) for c in choices)
        raise ParameterError(f"{owner}: {name} must be one of {listed}; got {value!r}.")
    return value


def own_cache(owner, cache, kind):
    """Return the cache of a backward pass if it came from the forward pass of the same name."""
    if not isinstance(cache, kind):
        forward = owner.replace("backward", "forward")
        raise ParameterError(f"{owner}: cache must come from {forward}, got {type(cache).__name__}.")
    return cache


def upstream(owner, dy, shape, like, *, name="dy"):
    """Return the gradient with respect to an output: an array of its shape, with the dtype of `like`."""
    dy = float_array(owner, name, dy, like=like)
    if dy.shape != tuple(shape):
        raise ShapeError(f"{owner}: {name} must have the shape of the output, {tuple(shape)}, got {dy.shape}.")
    return dy
