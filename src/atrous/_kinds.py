"""What every public function does before its body runs: it checks that each argument is of the kind that it asks for.

    @public
    def lattice_filter(lattice: Lattice, values: FloatArray, *, reverse: bool = False) -> FloatArray:

The kinds are the annotations: an array, a number, a mapping, a function, a cache. The body then checks values: sizes,
bounds, choices. `public` also lets the errors of inner functions begin with the name of the function that was called;
those that come out of a user's own function, such as a callback, stay as they are.
"""

import contextlib
import functools
import inspect
import math
import operator
import os
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from atrous._check import no_array, told
from atrous.errors import AtrousError, ParameterError

Function = TypeVar("Function", bound=Callable[..., Any])


def _mismatch(owner, name, wanted, value):
    """Return the error for a value that is of another kind than the one wanted."""
    file = isinstance(value, (str, os.PathLike)) and "dictionary of arrays" in wanted
    fix = " Read a file with load_weights(file)." if file else ""
    return ParameterError(f"{owner}: {name} must be {wanted}, got {told(value)}.{fix}")


class Kind(NamedTuple):
    """What an argument may be: the test, its words for one and for many, and the error."""

    fits: Callable[[Any], bool]
    one: str
    many: str
    near: Callable[[Any], bool] = lambda value: False
    """Whether a value that does not fit has at least the right form; then `why` says what is wrong inside."""
    why: Callable[[str, str, Any], AtrousError] | None = None

    def error(self, owner, name, value):
        """Return the error for an argument that does not fit."""
        return self.why(owner, name, value) if self.why else _mismatch(owner, name, self.one, value)


def _is_integer(value):
    try:
        return not isinstance(value, (bool, np.bool_)) and -(2**63) <= operator.index(value) < 2**63
    except TypeError:
        return False


def _is_number(value):
    if isinstance(value, (bool, np.bool_, str, bytes, complex, np.complexfloating)) or getattr(value, "ndim", 0):
        return False
    try:
        return math.isfinite(value)
    except (TypeError, ValueError, OverflowError):
        return False


def _is_array(value):
    dtype = getattr(value, "dtype", None)
    try:
        # An array of another library or in a file is not read for its dtype.
        found = dtype if isinstance(dtype, np.dtype) else np.asarray(value).dtype
    except (TypeError, ValueError, OverflowError):
        return False
    return found.kind in "buif" and not isinstance(value, np.ma.MaskedArray)


def _is_float_type(value):
    try:
        return isinstance(value, (type, np.dtype, str)) and np.dtype(value) in (np.float32, np.float64)
    except TypeError:
        return False


def _is_sequence(value):
    if isinstance(value, np.ndarray):
        return value.ndim > 0 and value.dtype.names is None
    no = isinstance(value, (str, bytes, Mapping, type, np.generic)) or hasattr(value, "_fields")
    return not no and hasattr(value, "__len__") and hasattr(value, "__getitem__")


def _is_iterable(value):
    return _is_sequence(value) or (
        isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping, np.ndarray, np.generic))
    )


def _any_of(*kinds):
    """Return the kind of values that are of one of several kinds."""
    kinds = tuple(dict.fromkeys(kinds))
    if len(kinds) == 1:
        return kinds[0]
    one, many = (
        ", ".join(words[:-1]) + f" or {words[-1]}"
        for words in ([kind.one for kind in kinds], [kind.many for kind in kinds])
    )

    def near(value):
        return any(kind.near(value) for kind in kinds)

    def why(owner, name, value):
        nearest = [kind for kind in kinds if kind.near(value)]
        return nearest[0].error(owner, name, value) if len(nearest) == 1 else _mismatch(owner, name, one, value)

    return Kind(lambda value: any(kind.fits(value) for kind in kinds), one, many, near, why)


def _holds(form, one, many, wrong, otherwise=None):
    """Return the kind of values of a form whose items all fit; `wrong` finds the first that does not."""

    def why(owner, name, value):
        if form(value):
            place, kind, item = wrong(value)
            return kind.error(owner, name + place, item)
        return otherwise(owner, name, value) if otherwise else _mismatch(owner, name, one, value)

    def near(value):
        return form(value) and wrong(value) is not None

    return Kind(lambda value: form(value) and wrong(value) is None, one, many, near, why)


def _sequence(items):
    """Return the kind of sequences of any length; a lazy one, such as a data set, is not read."""

    def wrong(value):
        held = value if isinstance(value, (list, tuple, np.ndarray)) else ()
        return next(((f"[{i}]", items, v) for i, v in enumerate(held) if not items.fits(v)), None)

    return _holds(_is_sequence, f"a sequence of {items.many}", f"sequences of {items.many}", wrong)


def _tuple(*kinds):
    """Return the kind of sequences with one value of each kind."""
    words = f"{len(kinds)} {kinds[0].many}" if len(set(kinds)) == 1 else " and ".join(kind.one for kind in kinds)

    def fits(value):
        return (
            _is_sequence(value)
            and len(value) == len(kinds)
            and all(k.fits(v) for k, v in zip(kinds, value, strict=True))
        )

    return Kind(fits, f"a tuple of {words}", f"tuples of {words}")


def _mapping(keys, values):
    """Return the kind of mappings; one that is no dictionary, such as an open file, is not read."""

    def wrong(value):
        held = value if isinstance(value, dict) else {}
        key = next(((": every key", keys, k) for k in held if not keys.fits(k)), None)
        return key or next(((f"[{k!r}]", values, v) for k, v in held.items() if not values.fits(v)), None)

    def form(value):
        return isinstance(value, Mapping)

    return _holds(form, f"a dictionary of {values.many}", f"dictionaries of {values.many}", wrong)


REALS = Kind(
    _is_array, "an array of real numbers", "arrays of real numbers",
    near=lambda value: isinstance(value, (np.ndarray, list)), why=no_array,
)  # fmt: skip
FLOATS = REALS._replace(
    one="an array of float32 or float64", many="arrays of float32 or float64",
    why=functools.partial(no_array, floats=True),
)  # fmt: skip
SIMPLE = {
    type(None): Kind(lambda value: value is None, "None", "None"),
    bool: Kind(lambda value: isinstance(value, (bool, np.bool_)), "True or False", "booleans"),
    int: Kind(_is_integer, "an integer", "integers"),
    float: Kind(_is_number, "a finite number", "finite numbers"),
    str: Kind(lambda value: isinstance(value, str), "text", "texts"),
    type: Kind(_is_float_type, "float32 or float64", "dtypes"),
    os.PathLike: Kind(lambda value: isinstance(value, os.PathLike), "a path", "paths"),
    Callable: Kind(callable, "a function", "functions"),
    Any: Kind(lambda value: True, "anything", "values"),
    object: Kind(lambda value: True, "anything", "values"),
}  # fmt: skip


SOURCES = {
    "Generator": " such as numpy.random.default_rng(0)",
    "Lattice": ", as from build_lattice",
    "Network": ", as from build",
    "Step": ", as from training",
}


def _object(cls):
    """Return the kind of objects of a class: one of ours, or NumPy's random generator."""
    one = f"a {cls.__name__}{SOURCES.get(cls.__name__, '')}"

    def why(owner, name, value):
        wanted = f"must be {one}"
        if cls.__name__.endswith("Cache") and owner.endswith("_backward"):
            wanted = f"must come from {owner.removesuffix('_backward')}_forward"
        return ParameterError(f"{owner}: {name} {wanted}, got {type(value).__name__}.")

    many = f"{cls.__name__} objects"
    if not getattr(cls, "_field_defaults", None):
        return Kind(lambda value: isinstance(value, cls), one, many, lambda value: False, why)

    # A record with defaults is one that users write: its fields are checked as arguments are.
    @functools.cache
    def kinds():
        hints = typing.get_type_hints(cls)
        return {name: kind_of(hints[name]) for name in cls._fields}

    def wrong(value):
        fields = ((f".{name}", kind, getattr(value, name)) for name, kind in kinds().items())
        return next((field for field in fields if not field[1].fits(field[2])), None)

    return _holds(lambda value: isinstance(value, cls), one, many, wrong, why)


@functools.cache
def kind_of(hint):
    """Return the kind that an annotation asks for."""
    origin, parts = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin in SIMPLE:
        return SIMPLE[origin]
    if origin is np.ndarray:
        return FLOATS if "float" in str(parts) else REALS
    if origin is tuple and parts and Ellipsis not in parts:
        return _tuple(*map(kind_of, parts))
    if origin in (Sequence, list, tuple):
        return _sequence(kind_of(parts[0] if parts else Any))
    if origin in (Mapping, dict):
        return _mapping(*map(kind_of, parts or (Any, Any)))
    if origin in (typing.Union, types.UnionType):
        return _any_of(*map(kind_of, parts))
    if origin is Iterable:
        return Kind(_is_iterable, "something to iterate over", "iterables")
    return _object(origin)


OURS = {"atrous", "numpy", *sys.stdlib_module_names}


def _from_a_user(error):
    """Tell whether an error passed through a function that is not ours: a user's, called by us."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in OURS:
        trace = trace.tb_next
    return trace is not None


@contextlib.contextmanager
def _speaking_as(owner):
    """Let errors of inner functions begin with the name of the one that was called."""
    try:
        yield
    except AtrousError as error:
        inner, colon, rest = str(error).partition(":")
        if colon and inner != owner and inner.isidentifier() and not _from_a_user(error):
            error.args = (f"{owner}:{rest}", *error.args[1:])
        raise


def public(function: Function) -> Function:
    """Return the function with its arguments' kinds checked, its errors in its own name."""
    code, owner = inspect.unwrap(function).__code__, function.__name__
    if owner == "__init__":
        owner = function.__qualname__.partition(".")[0]
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    @functools.cache
    def kinds():
        hints = typing.get_type_hints(function)
        return {name: kind_of(hints[name]) for name in names if name in hints}

    def check(args, named):
        wanted = kinds()
        for name, value in (*zip(names, args, strict=False), *named.items()):
            kind = wanted.get(name)
            if kind is not None and not kind.fits(value):
                raise kind.error(owner, name, value)

    @functools.wraps(function)
    def checked(*args, **named):
        check(args, named)
        with _speaking_as(owner):
            return function(*args, **named)

    def iterate(found):
        with _speaking_as(owner):
            yield from found

    @functools.wraps(function)
    def checked_at_once(*args, **named):
        check(args, named)
        return iterate(function(*args, **named))

    return checked_at_once if inspect.isgeneratorfunction(function) else checked  # type: ignore[return-value]
