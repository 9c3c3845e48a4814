"""One table of tolerances: relative to the largest magnitude of what is compared, by dtype and by kind of work."""

import numpy as np

TABLE = {
    # the same sum in another order
    "reordered": {"float64": 1e-12, "float32": 1e-5},
    # sums of transformed numbers (Winograd), whose terms are larger than the sum
    "winograd": {"float64": 1e-12, "float32": 3e-5},
    # against numbers computed elsewhere
    "golden": {"float64": 1e-10, "float32": 1e-5},
    # analytic gradient against difference quotient; <A x, y> against <x, A' y>
    "gradient": {"float64": 1e-8},
    "adjoint": {"float64": 1e-12, "float32": 1e-5},
}


def relative_error(a, b):
    """Return max |a - b| / max |b|."""
    assert a.shape == b.shape, f"shapes differ: {a.shape} and {b.shape}"
    return float(np.abs(a.astype(np.float64) - b).max() / max(np.abs(b).max(), 1e-300))


def assert_close(a, b, kind, dtype=None):
    """Assert that a equals b to the tolerance of its kind and of a's dtype."""
    limit = TABLE[kind][np.dtype(dtype or a.dtype).name]
    error = relative_error(a, b)
    assert error <= limit, f"relative error {error:.2e} exceeds {limit:.0e}"
