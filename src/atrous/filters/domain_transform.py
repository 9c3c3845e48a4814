"""The domain transform: an edge-aware filter that runs along rows and columns and needs no lattice.

Between neighbours on a line the image changes by G levels, summed over its channels. Their distance is taken as
1/σₛ + G/σᵣ, so an edge moves the two sides apart, and a recursive filter along the line gives the next sample the share

    k = exp(−√2/cᵢ · (1/σₛ + G/σᵣ)),      yₙ ← yₙ + kₙ·(yₙ₋₁ − yₙ),

once forwards and once backwards. Rows are filtered, then columns, N times, with shrinking widths
cᵢ = √3·2^(N−i)/√(4^N − 1), so that no stripes stay and the variances add up to σₛ². Weights sum to one.

`reference` is the definition, a loop over NumPy rows; the compiled loops beside it do the same for all rows at once.

Role: public functions.

References
----------
Gastal, Oliveira, "Domain Transform for Edge-Aware Image and Video Processing", ACM Trans. Graphics 30(4), 2011, Eqs.
(11), (14), (21) and Appendix; Chen et al., arXiv:1511.03328, which puts it after DeepLab and trains through it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.errors import ParameterError, ShapeError
from atrous.jit import lanes
from atrous.jit.compiler import compiled
from atrous.jit.threads import launch
from atrous.lattice.rows import NONE, ONE, padded


class DomainTransformCache(NamedTuple):
    """What `domain_transform_backward` needs: the inputs."""

    image: Array
    values: FloatArray
    sigma_s: float
    sigma_r: float
    iterations: int


class DomainTransformGrads(NamedTuple):
    """Gradients of a loss with respect to what `domain_transform_forward` takes."""

    values: FloatArray
    image: FloatArray
    sigma_s: float
    sigma_r: float


def _changes(image: Array, dtype) -> tuple[FloatArray, FloatArray]:
    """Return G to the left of and above each pixel of an image (H, W, C), 0 at the border."""
    image = image.astype(dtype, copy=False)
    across, down = (np.zeros(image.shape[:2], dtype) for _ in range(2))
    across[:, 1:] = np.abs(np.diff(image, axis=1)).sum(-1)
    down[1:] = np.abs(np.diff(image, axis=0)).sum(-1)
    return across, down


def _rates(iterations: int) -> Iterator[float]:
    """Yield √2/cᵢ for each iteration."""
    for i in range(1, iterations + 1):
        yield math.sqrt(2) * math.sqrt(4**iterations - 1) / (math.sqrt(3) * 2 ** (iterations - i))


def _shares(image, sigma_s, sigma_r, iterations, dtype):
    """Yield (axis, k of each pixel, rate) for each pass: rows (axis 1), then columns (axis 0), for each iteration."""
    changes = _changes(image, dtype)
    for rate in _rates(iterations):
        for axis, change in zip((1, 0), changes, strict=True):
            yield axis, np.exp(-rate * (1 / sigma_s + change / sigma_r)).astype(dtype), rate


def _lines(array, axis):
    """Return a view with `axis` first, so that item n holds the samples n of all lines."""
    return np.moveaxis(array, axis, 0)


def reference(image, values, sigma_s, sigma_r, iterations=3):
    """Filter `values` (H, W, V) as `domain_transform` does: the definition."""
    y = values.copy()
    for axis, shares, _ in _shares(image, sigma_s, sigma_r, iterations, values.dtype):
        lines, k = _lines(y, axis), _lines(shares, axis)[..., None]
        for n in range(1, len(lines)):
            lines[n] += k[n] * (lines[n - 1] - lines[n])
        for n in range(len(lines) - 2, -1, -1):
            lines[n] += k[n + 1] * (lines[n + 1] - lines[n])
    return y


@compiled(inline=True)
def _mix(y, here, there, share, width):
    """Move the row of `width` numbers at `here` towards the one at `there`."""
    for j in range(NONE, width, ONE):
        own = lanes.load(y, here + j)
        away = lanes.add_scaled(lanes.load(y, there + j), y.dtype.type(-1), own)
        lanes.store(y, here + j, lanes.add_scaled(own, share, away))


@compiled()
def _along_rows(head, tail, y, shares):
    """Filter rows head…tail − 1 of y (H, W, width), forwards and backwards."""
    n, width = y.shape[1], np.uintp(y.shape[2])
    for row in range(head, tail):
        start = np.uintp(row * n) * width
        for x in range(1, n):
            here = start + np.uintp(x) * width
            _mix(y, here, here - width, shares[row, x], width)
        for x in range(n - 2, -1, -1):
            here = start + np.uintp(x) * width
            _mix(y, here, here + width, shares[row, x + 1], width)


@compiled()
def _along_columns(head, tail, y, shares):
    """Filter columns head…tail − 1, all of them one step at a time."""
    rows, n, width = y.shape[0], y.shape[1], np.uintp(y.shape[2])
    step = np.uintp(n) * width
    for row in range(1, rows):
        for x in range(head, tail):
            here = np.uintp(row * n + x) * width
            _mix(y, here, here - step, shares[row, x], width)
    for row in range(rows - 2, -1, -1):
        for x in range(head, tail):
            here = np.uintp(row * n + x) * width
            _mix(y, here, here + step, shares[row + 1, x], width)


def passes(image, sigma_s, sigma_r, iterations, dtype):
    """Return (axis, k of each pixel) for each pass: all that the filter depends on but its values."""
    return [(axis, shares) for axis, shares, _ in _shares(image, sigma_s, sigma_r, iterations, dtype)]


def domain_transform_rows(rows, made):
    """Filter `rows` (points, width), width a multiple of eight, of the pixels in C order, with `passes`."""
    y = rows.reshape(*made[0][1].shape, rows.shape[1]).copy()
    for axis, shares in made:
        if axis == 1:
            launch(_along_rows, y.shape[0], y, shares)
        else:
            launch(_along_columns, y.shape[1], y, shares)
    return y.reshape(rows.shape)


def adjoint_rows(rows, made):
    """Return the adjoint of `domain_transform_rows` applied to rows (points, V): each step transposed, in reverse."""
    g = rows.reshape(*made[0][1].shape, rows.shape[1]).copy()
    for axis, shares in reversed(made):
        lines, k = _lines(g, axis), _lines(shares, axis)[..., None]
        for n in range(len(lines) - 1):
            lines[n + 1] += k[n + 1] * lines[n]
            lines[n] *= 1 - k[n + 1]
        for n in range(len(lines) - 1, 0, -1):
            lines[n - 1] += k[n] * lines[n]
            lines[n] *= 1 - k[n]
    return g.reshape(rows.shape)


def checked(owner, image, values, sigma_s, sigma_r, iterations):
    """Return checked arguments: image (H, W, C), values (H, W, V), numbers."""
    image = _check.real_array(owner, "image", image)
    values = _check.float_array(owner, "values", values)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or values.ndim != 3 or values.shape[:2] != image.shape[:2] or 0 in values.shape:
        raise ShapeError(
            f"{owner}: image must be (H, W, C) and values (H, W, channels) of the same size, got {image.shape} and "
            f"{values.shape}. For planes (channels, H, W) use np.moveaxis(values, 0, -1)."
        )
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ParameterError(f"{owner}: image holds NaN or inf. Fill these pixels first.")
    sigma_s, sigma_r = (
        _check.number(owner, name, s, above=0, below=1e30) for name, s in (("sigma_s", sigma_s), ("sigma_r", sigma_r))
    )
    return image, values, sigma_s, sigma_r, _check.integer(owner, "iterations", iterations, least=1)


@public
def domain_transform(
    image: Array, values: FloatArray, sigma_s: float, sigma_r: float, iterations: int = 3
) -> FloatArray:
    """Smooth values over an image without crossing its edges: the recursive domain transform.

    Parameters
    ----------
    image : ndarray of shape (H, W, C) or (H, W), any real dtype
        Whose edges are kept.
    values : ndarray of shape (H, W, V), float32 or float64
        What is smoothed: scores, probabilities, or the image itself.
    sigma_s : float
        Standard deviation in pixels where the image is flat.
    sigma_r : float
        Change of the image, in its own units and summed over its channels, that counts as much as `sigma_s` pixels.
    iterations : int
        Rounds of rows and columns.

    Returns
    -------
    ndarray of shape (H, W, V)
        Weighted means of the values; a constant stays constant.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Arguments that do not fit.

    Notes
    -----
    Cost: 4·iterations passes over the values, whatever the sigmas are; memory for one copy. Equal bits for any number
    of threads. The filter is not symmetric: it runs along rows first.

    References
    ----------
    .. [1] Gastal, Oliveira, ACM Trans. Graphics 30(4), 2011, Section 5, recursive filtering.

    Examples
    --------
    >>> image = np.array([[0.0, 0.0, 200.0, 200.0]])
    >>> rough = np.array([[[0.9], [0.7], [0.1], [0.3]]])
    >>> domain_transform(image, rough, 10.0, 20.0)[0, :, 0].round(2).tolist()
    [0.87, 0.87, 0.13, 0.13]
    """
    return domain_transform_forward(image, values, sigma_s, sigma_r, iterations)[0]


@public
def domain_transform_forward(
    image: Array, values: FloatArray, sigma_s: float, sigma_r: float, iterations: int = 3
) -> tuple[FloatArray, DomainTransformCache]:
    """Return `domain_transform`, and what its backward pass needs.

    Parameters and errors are those of `domain_transform`.
    """
    image, values, sigma_s, sigma_r, iterations = checked(
        "domain_transform", image, values, sigma_s, sigma_r, iterations
    )
    h, w, channels = values.shape
    rows = np.zeros((h * w, padded(channels)), values.dtype)
    rows[:, :channels] = values.reshape(-1, channels)
    found = domain_transform_rows(rows, passes(image, sigma_s, sigma_r, iterations, values.dtype))
    y = np.ascontiguousarray(found[:, :channels]).reshape(values.shape)
    return y, DomainTransformCache(image, values, sigma_s, sigma_r, iterations)


@public
def domain_transform_backward(dy: FloatArray, cache: DomainTransformCache) -> DomainTransformGrads:
    """Return the gradients of a loss from its gradient with respect to the smoothed values.

    Parameters
    ----------
    dy : ndarray of shape (H, W, V)
    cache : DomainTransformCache
        From `domain_transform_forward`.

    Returns
    -------
    DomainTransformGrads
        The image's has the shape of the image; where neighbours are equal, |ΔI| has a kink and gets 0.

    Notes
    -----
    Back through yₙ = (1 − kₙ)·xₙ + kₙ·yₙ₋₁, from the last sample to the first, with the gradient g of y:
    dkₙ = Σ gₙ·(yₙ₋₁ − xₙ), gₙ₋₁ += kₙ·gₙ, dxₙ = (1 − kₙ)·gₙ. Cost: some ten times the forward pass, in NumPy; memory
    for 4·iterations copies of the values.
    """
    owner = "domain_transform_backward"
    image, values, sigma_s, sigma_r, iterations = cache
    dy = _check.upstream(owner, dy, values.shape, values)
    passes, x = [], values
    for axis, shares, rate in _shares(image, sigma_s, sigma_r, iterations, values.dtype):
        k = _lines(shares, axis)
        forwards = _lines(x, axis).copy()
        for n in range(1, len(k)):
            forwards[n] += k[n][..., None] * (forwards[n - 1] - forwards[n])
        both = forwards.copy()
        for n in range(len(k) - 2, -1, -1):
            both[n] += k[n + 1][..., None] * (both[n + 1] - both[n])
        passes.append((axis, k, rate, _lines(x, axis), forwards, both))
        x = np.moveaxis(both, 0, axis)
    changes = _changes(image, values.dtype)
    d_changes, d_s, d_r = [np.zeros_like(c) for c in changes], 0.0, 0.0
    g = dy.copy()
    for axis, k, rate, before, forwards, both in reversed(passes):
        lines, dk = _lines(g, axis), np.zeros_like(k)
        for n in range(len(k) - 1):
            dk[n + 1] += (lines[n] * (both[n + 1] - forwards[n])).sum(-1)
            lines[n + 1] += k[n + 1][..., None] * lines[n]
            lines[n] *= 1 - k[n + 1][..., None]
        for n in range(len(k) - 1, 0, -1):
            dk[n] += (lines[n] * (forwards[n - 1] - before[n])).sum(-1)
            lines[n - 1] += k[n][..., None] * lines[n]
            lines[n] *= 1 - k[n][..., None]
        d_distance = -rate * np.moveaxis(dk * k, 0, axis)
        which = 1 - axis
        d_changes[which] += d_distance / sigma_r
        d_s -= float(d_distance.sum()) / sigma_s**2
        d_r -= float((d_distance * changes[which]).sum()) / sigma_r**2
    return DomainTransformGrads(g, _changes_backward(d_changes, image, values.dtype), d_s, d_r)


def _changes_backward(d_changes, image, dtype):
    """Return the gradient to the image from those to G, across and down."""
    image = image.astype(dtype, copy=False)
    d_image = np.zeros(image.shape, dtype)
    for axis, d in zip((1, 0), d_changes, strict=True):
        lines, found = _lines(image, axis), _lines(d_image, axis)
        to_difference = np.sign(np.diff(lines, axis=0)) * _lines(d, axis)[1:, :, None]
        found[1:] += to_difference
        found[:-1] -= to_difference
    return d_image
