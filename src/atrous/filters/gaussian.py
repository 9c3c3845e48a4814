"""The Gaussian of positions on a grid: a product of one-dimensional ones, so one axis is filtered after the other.

A permutohedral lattice approximates this sum with some tenths of a per cent of error. On a grid it needs none: taps
beyond which the Gaussian is below rounding are left out, 2·5.7σ + 1 along an axis in float32.

Role: public function and its loop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.crf.pairwise import positive_sigmas
from atrous.errors import ShapeError
from atrous.jit import lanes
from atrous.jit.compiler import compiled
from atrous.jit.numba_or_not import njit
from atrous.jit.threads import launch
from atrous.lattice.rows import ONE, THREE, TWO, padded

CHUNK = 384  # numbers: a few dozen lines of them stay in the second cache


def gaussian_taps(sigma: float, most: int, dtype: np.dtype) -> FloatArray:
    """Return exp(−t²/2σ²) for t = 0, 1, … as far as it is above rounding, at most `most` taps.

    Examples
    --------
    >>> gaussian_taps(1.0, 3, np.dtype(np.float64)).round(4).tolist()
    [1.0, 0.6065, 0.1353]
    """
    reach = math.sqrt(-2 * math.log(np.finfo(dtype).eps)) * min(sigma, most)
    return np.exp(-0.5 * (np.arange(min(most, int(reach) + 1)) / sigma) ** 2).astype(dtype)


@njit(nogil=True, error_model="numpy")
def _sum_lines(source, at, step, taps, both, before, after, target):
    """Write 3·8 sums around `at`: `both` pairs of lines on both sides, `step` apart, then those of the longer side."""
    a, b, c = lanes.load(source, at), lanes.load(source, at + ONE), lanes.load(source, at + TWO)
    for t in range(np.uintp(1), np.uintp(both + 1)):
        up, down = at - t * step, at + t * step
        a = lanes.add_scaled(a, taps[t], lanes.add(lanes.load(source, up), lanes.load(source, down)))
        b = lanes.add_scaled(b, taps[t], lanes.add(lanes.load(source, up + ONE), lanes.load(source, down + ONE)))
        c = lanes.add_scaled(c, taps[t], lanes.add(lanes.load(source, up + TWO), lanes.load(source, down + TWO)))
    for t in range(np.uintp(both + 1), np.uintp(max(before, after) + 1)):
        line = at - t * step if before > both else at + t * step
        a = lanes.add_scaled(a, taps[t], lanes.load(source, line))
        b = lanes.add_scaled(b, taps[t], lanes.load(source, line + ONE))
        c = lanes.add_scaled(c, taps[t], lanes.load(source, line + TWO))
    lanes.store(target, at, a)
    lanes.store(target, at + ONE, b)
    lanes.store(target, at + TWO, c)


@njit(nogil=True, error_model="numpy")
def _sum_line(source, at, step, taps, both, before, after, target):
    """Write 8 sums around `at`, as `_sum_lines` does."""
    total = lanes.load(source, at)
    for t in range(np.uintp(1), np.uintp(both + 1)):
        sides = lanes.add(lanes.load(source, at - t * step), lanes.load(source, at + t * step))
        total = lanes.add_scaled(total, taps[t], sides)
    for t in range(np.uintp(both + 1), np.uintp(max(before, after) + 1)):
        line = at - t * step if before > both else at + t * step
        total = lanes.add_scaled(total, taps[t], lanes.load(source, line))
    lanes.store(target, at, total)


@compiled()
def _along(head, tail, source, taps, target):
    """Filter along the middle axis of `source` (outer, n, inner), inner a multiple of eight.

    A job is a strip of CHUNK numbers of one outer index: the lines that neighbouring samples share stay in the cache.
    """
    n, inner = source.shape[1], source.shape[2]
    chunks = -(-inner // CHUNK)
    for job in range(head, tail):
        left = job % chunks * CHUNK
        right = min(inner, left + CHUNK)
        for i in range(n):
            before, after = min(i, taps.size - 1), min(n - 1 - i, taps.size - 1)
            row = np.uintp(job // chunks * n + i) * np.uintp(inner)
            both, j, end = min(before, after), row + np.uintp(left), row + np.uintp(right)
            while j + THREE <= end:
                _sum_lines(source, j, np.uintp(inner), taps, both, before, after, target)
                j += THREE
            while j < end:
                _sum_line(source, j, np.uintp(inner), taps, both, before, after, target)
                j += ONE


def gaussian_rows(rows: FloatArray, shape: Sequence[int], sigmas: Sequence[float]) -> FloatArray:
    """Filter `rows` (points, width), width a multiple of eight, of the points of a grid in C order."""
    source, width = rows, rows.shape[1]
    for axis, (n, sigma) in enumerate(zip(shape, sigmas, strict=True)):
        inner = math.prod(shape[axis + 1 :]) * width
        target = np.empty_like(source)
        view = source.reshape(-1, n, inner)
        jobs = len(view) * -(-inner // CHUNK)
        launch(_along, jobs, view, gaussian_taps(sigma, n, rows.dtype), target.reshape(view.shape))
        source = target
    return source


@public
def gaussian_on_grid(values: FloatArray, sigma: float | Sequence[float]) -> FloatArray:
    """Filter values on a grid with the Gaussian of their positions: Σⱼ exp(−|pᵢ − pⱼ|²/2σ²)·valuesⱼ, not normalised.

    Parameters
    ----------
    values : ndarray of shape (*grid, V), float32 or float64
        V channels at each point of a grid of one or more axes.
    sigma : float or sequence of float
        Standard deviation in samples, one for all axes or one for each.

    Returns
    -------
    ndarray
        Shape and dtype of `values`.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        `values` has no axis of channels or is not floating, or a sigma is not positive.

    Notes
    -----
    The exact sum to rounding, equal bits for any number of threads; the map is its own adjoint. Cost: O(P·V·σ) for each
    axis, and memory for two copies.

    References
    ----------
    .. [1] Krähenbühl, Koltun, arXiv:1210.5644, Eq. (3), the smoothness kernel.

    Examples
    --------
    >>> line = np.zeros((5, 1))
    >>> line[2] = 1
    >>> gaussian_on_grid(line, 1.0)[:, 0].round(4).tolist()
    [0.1353, 0.6065, 1.0, 0.6065, 0.1353]
    """
    owner = "gaussian_on_grid"
    values = _check.float_array(owner, "values", values)
    if values.ndim < 2 or 0 in values.shape:
        raise ShapeError(
            f"{owner}: values must be (*grid, channels), got shape {values.shape}. Add an axis: v[..., None]."
        )
    *grid, channels = values.shape
    sigmas = positive_sigmas(owner, "sigma", sigma, len(grid))
    rows = np.zeros((math.prod(grid), padded(channels)), values.dtype)
    rows[:, :channels] = values.reshape(-1, channels)
    return np.ascontiguousarray(gaussian_rows(rows, grid, sigmas)[:, :channels]).reshape(values.shape)
