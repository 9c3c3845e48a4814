"""How far the lattice is from the sum that it approximates, measured on some of the points.

Role: measurement.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.errors import ShapeError
from atrous.lattice.build import build_lattice, check_features
from atrous.lattice.diagonal import lattice_diagonal
from atrous.lattice.exact import gaussian_sum
from atrous.lattice.splat_blur_slice import lattice_filter


class LatticeError(NamedTuple):
    """The lattice against the exact Gaussian on sampled points."""

    rms: float
    """Root mean square difference of the filtered values, as a fraction of their range; see `normalization`."""
    largest: float
    """Largest difference, as a fraction of the same range."""
    row_sum_ratio: float
    """Mean of (ones filtered by the lattice)/(ones filtered by the Gaussian)."""
    self_weight: float
    """Mean weight of a point's own value in its result; 1 for the Gaussian."""
    samples: int
    """Points compared."""


@public
def lattice_error(
    features: FloatArray,
    values: FloatArray | None = None,
    *,
    samples: int = 256,
    normalization: str = "after",
    seed: int = 0,
) -> LatticeError:
    """Measure how far `lattice_filter` is from the exact Gaussian sum.

    Parameters
    ----------
    features : ndarray of shape (P, D), float32 or float64
        Points in units of standard deviations.
    values : ndarray of shape (P, V), optional
        Values to filter; by default one standard normal number per point, smoothed over 64 neighbours in the array,
        which is a harder test than most images.
    samples : int
        Number of points at which the exact sum is computed.
    normalization : {"after", "none"}
        Compare averages (sums divided by the sum of weights, as in DeepLab's code) or raw sums. Errors are relative to
        the range of `values`, or of the exact result for "none".
    seed : int
        Seed for the choice of points and default values.

    Returns
    -------
    LatticeError

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `build_lattice` and `lattice_filter`.

    Notes
    -----
    Cost: samples·P exponentials and one run of the filter.

    Examples
    --------
    >>> error = lattice_error(np.random.default_rng(0).uniform(0, 9, (2000, 2)))
    >>> error.rms < 0.05 < error.row_sum_ratio < 1
    True
    """
    owner = "lattice_error"
    features = check_features(owner, features)
    samples = min(_check.integer(owner, "samples", samples, least=1), len(features))
    _check.one_of(owner, "normalization", normalization, ("after", "none"))
    rng = np.random.default_rng(_check.integer("lattice_error", "seed", seed, least=0))
    if values is None:
        noise = rng.standard_normal(len(features))
        window = min(64, len(features))
        values = np.convolve(noise, np.full(window, window**-0.5), mode="same")[:, None].astype(features.dtype)
    values = _check.float_array(owner, "values", values, like=features)
    if values.ndim != 2 or len(values) != len(features):
        raise ShapeError(f"{owner}: values must be ({len(features)}, channels), got shape {values.shape}.")
    chosen = np.sort(rng.choice(len(features), samples, replace=False))
    with_ones = np.concatenate([values, np.ones((len(values), 1), values.dtype)], axis=1)
    lattice = build_lattice(features)
    found = lattice_filter(lattice, with_ones)[chosen].astype(np.float64)
    exact = gaussian_sum(features, with_ones, features[chosen]).astype(np.float64)
    ratio = float((found[:, -1] / exact[:, -1]).mean())
    if normalization == "after":
        difference = found[:, :-1] / found[:, -1:] - exact[:, :-1] / exact[:, -1:]
        span = float(np.ptp(values))
    else:
        difference = found[:, :-1] - exact[:, :-1]
        span = float(np.ptp(exact[:, :-1]))
    span = span or 1.0
    return LatticeError(
        float(np.sqrt(np.mean(difference**2))) / span,
        float(np.abs(difference).max()) / span,
        ratio,
        float(lattice_diagonal(lattice)[chosen].mean()),
        samples,
    )
