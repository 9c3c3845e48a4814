"""Numba, or in its absence decorators that leave a function as it is.

Where Numba is not installed, in a browser for example, or switched off by NUMBA_DISABLE_JIT=1, the same functions run
as plain Python on NumPy arrays: slowly, but with the same results. Nothing outside `jit` imports Numba for the CPU.
"""

try:
    import numba
    from numba import njit
    from numba.extending import overload

    OFF = bool(numba.config.DISABLE_JIT)
except ImportError:
    numba, OFF = None, True

    def njit(function=None, **options):
        """Return the function, or a decorator that returns it."""
        return function or (lambda decorated: decorated)

    def overload(function, **options):
        """Return a decorator that does nothing: there is no compiler that would ask for another form."""
        return lambda typed: typed


__all__ = ["OFF", "njit", "numba", "overload"]
