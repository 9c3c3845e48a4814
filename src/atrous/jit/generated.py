"""Functions whose text is written for one tile, so that each register has a name.

Numba tells functions of one name and one kind of arguments apart by a number, which each process counts anew. Machine
code from the cache comes from several processes, and where two functions share name and number, the linker takes one
for the other. So the name holds a digest of the text; equal texts must call equal functions.
"""

import hashlib

import numpy as np


def indented(lines):
    """Return lines of text, each one step further in."""
    return [f"    {line}" for line in lines]


def generated(text, *functions):
    """Return the function that `text` defines; it may call `functions` by their names, and ``uintp``."""
    scope = {function.__name__: function for function in functions} | {"uintp": np.uintp}
    known = set(scope)
    exec(text, scope)
    (function,) = (scope[name] for name in scope.keys() - known - {"__builtins__"})
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    function.__name__ = function.__qualname__ = f"{function.__name__}_{digest}"
    return function
