"""Every argument of every public function is replaced in turn by odd values: a result, or one sentence of our own.

The calls are made by this file run as a program with `-W error`, where a warning of NumPy is an error too, in a folder
of its own.
"""

import contextlib
import inspect
import io
import itertools
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import atrous
from atrous import AtrousError

ODD = {
    "None": None,
    "True": True,
    "0": 0,
    "-1": -1,
    "3": 3,
    "1.5": 1.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "1e308": 1e308,
    "-1e-320": -1e-320,
    "10**400": 10**400,
    "1j": 1j,
    "text": "nonesuch",
    "float64": "float64",
    "bytes": b"x",
    "control characters": "\x1b[2J\n",
    "()": (),
    "ragged": [[1.0, 2], [3]],
    "{}": {},
    "{'w': None}": {"w": None},
    "{3}": {3},
    "(10**6, 10**6)": (10**6, 10**6),
    "(None, None)": (None, None),
    "object": object(),
    "function": len,
    "type": int,
    "0-d array": np.array(1.5),
    "empty array": np.zeros((0, 3)),
    "6-D array": np.zeros((1, 2, 1, 2, 1, 2)),
    "integers": np.arange(6).reshape(2, 3),
    "booleans": np.array([True, False]),
    "texts": np.array(["a", "b"]),
    "complex array": np.zeros((2, 2), complex),
    "array of objects": np.array([[object()]]),
    "structured array": np.zeros(2, [("a", float), ("b", int)]),
    "dates": np.array(["2020-01-01"], "datetime64[D]"),
    "masked array": np.ma.masked_array(np.ones((2, 2)), [[True, False]] * 2),
    "NaN array": np.full((3, 5, 6), np.nan),
    "huge array": np.full((3, 5, 6), 1e308),
}
# What a function is told to write to, and a cache, which refers to the inputs.
WRITTEN = {"out", "cache", "endpoints"}
# A user's own function may raise what it likes.
FUNCTIONS = {"function", "type"}


def takes_a_function(function, parameter):
    """Tell whether an argument may be a function."""
    found = inspect.signature(function).parameters.get(parameter)
    return parameter in {"apply", "change"} or (found is not None and "Callable" in str(found.annotation))


def complaint(name, function, arguments, parameter):
    """Make one call; return what is wrong with its answer, or nothing."""
    value = arguments[parameter]
    try:
        found = function(**arguments)
        if inspect.isgenerator(found):
            list(itertools.islice(found, 2))
    except AtrousError as error:
        said = str(error)
        if not said.startswith(f"{name}:"):
            return f"names another function: {said}"
        names = {parameter, parameter.removesuffix("_shape"), parameter.removesuffix("s")}
        if isinstance(value, str):
            names.add(repr(value)[1:-1])
        if not any(name in said for name in names):
            return f"does not name {parameter}: {said}"
        if not said.isprintable():
            return f"is not one line of text: {said!r}"
    except Exception as error:
        return f"raises {type(error).__name__}: {error}"
    return None


def content(value):
    """Return what shows that a call changed an argument; random generators are there to be changed."""
    return None if callable(value) or isinstance(value, np.random.Generator) else pickle.dumps(value)


def every_call():
    """Yield (name in errors, function, valid arguments) of functions, constructors, methods and records."""
    import valid_calls as valid

    for name, arguments in valid.CALLS.items():
        yield name, getattr(atrous, name), arguments
    for name, arguments in valid.METHODS.items():
        yield name, getattr(valid.NETWORK, name), arguments
    for record, (name, function) in valid.RECORDS.items():
        yield name, function, valid.FIELDS[record]


def complaints():
    """Yield (function, argument, odd value, complaint)."""
    for name, function, arguments in every_call():
        before = {key: content(value) for key, value in arguments.items() if key not in WRITTEN}
        for parameter, (label, odd) in itertools.product(arguments, ODD.items()):
            if label in FUNCTIONS and takes_a_function(function, parameter):
                continue
            found = complaint(name, function, {**arguments, parameter: odd}, parameter)
            if found:
                yield name, parameter, label, found
        for key, value in before.items():
            if content(arguments[key]) != value:
                yield name, key, "", "was changed"


def test_every_public_function_has_a_valid_call():
    import valid_calls as valid

    functions = {name: getattr(atrous, name) for name in atrous.__all__ if inspect.isfunction(getattr(atrous, name))}
    methods = {name: f for name, f in vars(atrous.Network).items() if inspect.isfunction(f) and f.__annotations__}
    for owners, calls in ((functions, valid.CALLS), (methods, valid.METHODS)):
        for name, function in owners.items():
            if name[0] != "_" and name != "program":
                parameters = set(inspect.signature(function).parameters) - {"self", "options", "owner"}
                assert parameters <= set(calls.get(name, ())), name
                assert not parameters or hasattr(function, "__wrapped__"), f"{name} is not @public"


@pytest.mark.slow
def test_odd_arguments_give_a_result_or_one_sentence(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ATROUS_QUIET": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", os.path.abspath(__file__)],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["calls"] > 20_000
    assert not found["complaints"], "\n".join(map(str, found["complaints"]))


if __name__ == "__main__":
    with contextlib.redirect_stderr(io.StringIO()):
        wrong = list(complaints())
    number = sum(len(arguments) for *_, arguments in every_call()) * len(ODD)
    sys.stdout.write(json.dumps({"calls": number, "complaints": wrong}))
