"""The decorator that compiles a function with Numba and keeps the machine code on disk.

Each compilation prints one line on standard error, because it makes the first call slow; a notebook prints a single
line, and ``ATROUS_QUIET=1`` none. After `expect`, the lines say how many are to come. The seconds of each compilation
are recorded in `compilations`.
"""

import contextlib
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from atrous.jit.numba_or_not import OFF, numba

if numba is not None:
    from atrous.jit.disk_cache import NullCache, exclusive, open_cache, source_digest

compilations = []  # (function, dtype, seconds) in this process, for `atrous bench compile`
_nested = []  # seconds spent on functions called by those now being compiled, innermost last
_stores = {}  # the _Store of every compiled function, by its label
_expected = SimpleNamespace(size=0, left=[], told=False)  # the labels that `expect` has found missing


def compiled(*, contract=True, inline=False):
    """Return a decorator that compiles a function of arrays and numbers, caches it, and releases the GIL while it runs.

    Parameters
    ----------
    contract : bool
        Allow a·b + c to become one instruction with one rounding. No other floating-point shortcut is allowed: NaN
        and inf keep their meaning, and sums keep their order.
    inline : bool
        Compile it as a part of the compiled function that calls it, instead of once by itself and once again there.
    """

    def decorate(function):
        if numba is None:
            return function
        options = {"fastmath": {"contract"} if contract else False, "inline": "always" if inline else "never"}
        dispatcher = numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True, **options)(function)
        if not OFF:
            dispatcher._cache = _Store(function, dispatcher)
        return dispatcher

    return decorate


def compile_seconds():
    """Return the seconds this process has spent compiling, which happens once per machine."""
    return sum(seconds for *_, seconds in compilations)


def expect(labels, dtype):
    """Count the functions that must be compiled for `dtype` among these, so that their lines can say "3 of 12".

    `labels` are modules and functions as the lines show them: "lattice.build.embed".
    """
    if not OFF and not _is_quiet():
        _expected.left = [label for label in labels if not _stores[label].has(np.dtype(dtype).name)]
        _expected.size = len(_expected.left)


def _is_quiet():
    return bool(os.environ.get("ATROUS_QUIET")) or sys.stderr is None


class _Store:
    """The cache object of a Numba dispatcher: looks on disk, announces a compilation, records what it cost."""

    def __init__(self, function, dispatcher):
        self.function, self.dispatcher = function, dispatcher
        self.label = f"{function.__module__.removeprefix('atrous.')}.{function.__name__.strip('_')}"
        # Computed now, while the files are still those that Python has just loaded; a later edit needs another digest.
        try:
            self.digest = source_digest(function.__code__.co_filename)
        except OSError:
            self.digest = None
        self._disk = None
        self._started = {}
        self._present = set()
        _stores[self.label] = self

    @property
    def disk(self):
        if self._disk is None:
            self._disk = open_cache(self.function, self.digest)
        return self._disk

    @property
    def cache_path(self):
        return getattr(self.disk, "cache_path", None)

    def load_overload(self, sig, target_context):
        try:
            found = self.disk.load_overload(sig, target_context)
        except Exception:  # a damaged file only costs a compilation
            found = None
            with contextlib.suppress(OSError):
                self.disk.flush()
        if found is None:
            self._announce(sig)
            self._started[sig] = time.perf_counter()
            _nested.append(0.0)
        return found

    def save_overload(self, sig, data):
        now = time.perf_counter()
        seconds = now - self._started.pop(sig, now)
        compilations.append((self.label, _dtype_of(sig), seconds - (_nested.pop() if _nested else 0.0)))
        if _nested:
            _nested[-1] += seconds
        if isinstance(self.disk, NullCache):
            return
        with contextlib.suppress(OSError), exclusive(Path(self.cache_path)) as ours:
            if ours:
                self.disk.save_overload(sig, data)

    def has(self, dtype):
        """Tell whether the function is loaded or on disk for this dtype; many do not depend on it."""
        if dtype not in self._present:
            known = list(self.dispatcher.overloads)
            with contextlib.suppress(Exception):  # a damaged index holds nothing
                known += [key[0] for key in self.disk._cache_file._load_index()]
            if any(dtype in str(sig) or "float" not in str(sig) for sig in known):
                self._present.add(dtype)
        return dtype in self._present

    def enable(self):
        self.disk.enable()

    def disable(self):
        self.disk.disable()

    def flush(self):
        self.disk.flush()

    def _announce(self, sig):
        if _is_quiet():
            return
        if "ipykernel.zmqshell" in sys.modules:
            # On red ground, where a notebook shows standard error, lines look like mistakes.
            if not _expected.told:
                print("Compiling for this machine, which happens once and takes up to a minute …", flush=True)
            _expected.told = True
            return
        kept = "once for this machine" if self.cache_path else "for this process; no cache folder is writable"
        if self.label in _expected.left:
            _expected.left.remove(self.label)
            kept = f"{_expected.size - len(_expected.left)} of {_expected.size}, {kept}"
        with contextlib.suppress(OSError, ValueError):
            print(f"atrous: compiling {self.label} for {_dtype_of(sig)} ({kept})", file=sys.stderr, flush=True)


def _dtype_of(sig):
    return next((str(a.dtype) for a in sig if isinstance(a, numba.types.Array)), "numbers")
