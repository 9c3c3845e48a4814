"""The decorator that compiles a function with Numba and keeps the machine code on disk.

Each compilation prints one line on standard error, because it makes the first call slow; ``ATROUS_QUIET=1`` turns the
lines off. The seconds of each compilation are recorded in `compilations`.
"""

import contextlib
import os
import sys
import time
from pathlib import Path

import numba

from atrous.jit.disk_cache import NullCache, exclusive, open_cache, source_digest

compilations = []  # (function, dtype, seconds) in this process, for `atrous bench compile`
_nested = []  # seconds spent on functions called by those now being compiled, innermost last


def compiled(*, contract=True):
    """Return a decorator that compiles a function of arrays and numbers, caches it, and releases the GIL while it runs.

    Parameters
    ----------
    contract : bool
        Allow a·b + c to become one instruction with one rounding. No other floating-point shortcut is allowed: NaN
        and inf keep their meaning, and sums keep their order.
    """

    def decorate(function):
        flags = {"contract"} if contract else False
        dispatcher = numba.njit(nogil=True, error_model="numpy", fastmath=flags)(function)
        if not numba.config.DISABLE_JIT:
            dispatcher._cache = _Store(function)
        return dispatcher

    return decorate


def compile_seconds():
    """Return the seconds this process has spent compiling, which happens once per machine."""
    return sum(seconds for *_, seconds in compilations)


class _Store:
    """The cache object of a Numba dispatcher: looks on disk, announces a compilation, records what it cost."""

    def __init__(self, function):
        self.function = function
        self.label = f"{function.__module__.removeprefix('atrous.')}.{function.__name__.strip('_')}"
        # Computed now, while the files are still those that Python has just loaded; a later edit needs another digest.
        try:
            self.digest = source_digest(function.__code__.co_filename)
        except OSError:
            self.digest = None
        self._disk = None
        self._started = {}

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

    def enable(self):
        self.disk.enable()

    def disable(self):
        self.disk.disable()

    def flush(self):
        self.disk.flush()

    def _announce(self, sig):
        if os.environ.get("ATROUS_QUIET") or sys.stderr is None:
            return
        kept = "once for this machine" if self.cache_path else "for this process; no cache folder is writable"
        with contextlib.suppress(OSError, ValueError):
            print(f"atrous: compiling {self.label} for {_dtype_of(sig)} ({kept})", file=sys.stderr, flush=True)


def _dtype_of(sig):
    return next((str(a.dtype) for a in sig if hasattr(a, "dtype")), "numbers")
