"""Pairwise terms: a Gaussian over features of two points, times the compatibility of their labels.

Role: definition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.errors import DTypeError, ParameterError, ShapeError

NORMALIZATIONS = ("none", "before", "after", "symmetric")
# Each divides by powers of the row sums: (of the output, of the input).
POWERS = {"none": (0, 0), "before": (0, -1), "after": (-1, 0), "symmetric": (-0.5, -0.5)}
# A sigma or an image value beyond the dtype gives 0 or inf, which is right or refused; NumPy's warning helps nobody.
QUIET = np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore")
TINY = 1e-20  # added to row sums before division, as in Krähenbühl's and Koltun's code


class Pairwise(NamedTuple):
    """One pairwise term of a fully connected CRF over P points.

    Attributes
    ----------
    features : ndarray of shape (P, D)
        In units of standard deviations; points in C order of the grid.
    compatibility : float or ndarray
        A number w (Potts) or a vector (L,) rewards equal labels, a matrix (L, L) holds costs; see `mean_field`.
    normalization : {"symmetric", "none", "before", "after"}
        How the Gaussian is divided by its row sums; see `mean_field`.
    """

    features: FloatArray
    compatibility: float | Array
    normalization: str = "symmetric"


def positive_sigmas(owner, name, sigma, count):
    """Return `count` positive finite numbers from one number or a sequence of them."""
    try:
        if np.asarray(sigma).dtype.kind not in "iuf":
            raise TypeError
        values = np.asarray(sigma, np.float64)
    except (TypeError, ValueError):
        raise ParameterError(
            f"{owner}: {name} must be positive and finite, got {sigma!r}. Pass one number, or {count}."
        ) from None
    if values.ndim > 1 or (values.ndim == 1 and values.size != count):
        raise ParameterError(f"{owner}: {name} must be one number or {count}, one for each axis, got {sigma!r}.")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ParameterError(
            f"{owner}: {name} must be positive and finite, got {sigma!r}. To leave a term out, set its weight to 0."
        )
    return np.broadcast_to(values, (count,))


def _positions(shape, sigmas, dtype):
    """Yield position/σ of every grid point, flattened, for the last axis first: x, then y."""
    for axis in reversed(range(len(shape))):
        line = np.arange(shape[axis], dtype=dtype) / dtype.type(sigmas[axis])
        view = line.reshape((-1,) + (1,) * (len(shape) - 1 - axis))
        yield np.broadcast_to(view, shape).reshape(-1)


def _dtype(owner, dtype):
    dtype = np.dtype(dtype)
    if dtype not in _check.FLOATS:
        raise DTypeError(f"{owner}: dtype must be float32 or float64, got {dtype}.")
    return dtype


@public
@QUIET
def spatial_pairwise(
    shape: Sequence[int],
    sigma: float | Sequence[float],
    compatibility: float | Array,
    *,
    spacing: float | Sequence[float] = 1.0,
    normalization: str = "symmetric",
    dtype: type = np.float32,
) -> Pairwise:
    """Return the smoothness term exp(−|pᵢ − pⱼ|²/2σ²) of a grid.

    Parameters
    ----------
    shape : sequence of int
        Shape of the grid: (H, W), (D, H, W), …
    sigma : float or sequence of float
        Standard deviation in the unit of `spacing`, one for all axes or one for each in the order of `shape`.
    compatibility : float, (L,) or (L, L) array
        See `mean_field`.
    spacing : float or sequence of float
        Distance of grid points along each axis: 1 for pixels, millimetres for a scan.
    normalization : {"symmetric", "none", "before", "after"}
        See `mean_field`.
    dtype : float32 or float64
        dtype of the features.

    Returns
    -------
    Pairwise
        Features in the order x, y, z: the last axis of the grid first, as in pydensecrf's DenseCRF2D.

    Raises
    ------
    ParameterError
        A sigma or a spacing is not positive.

    References
    ----------
    .. [1] Krähenbühl, Koltun, arXiv:1210.5644, Eq. (3).

    Examples
    --------
    >>> spatial_pairwise((2, 2), 2.0, 3.0).features.tolist()
    [[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.5, 0.5]]
    """
    owner = "spatial_pairwise"
    shape = tuple(_check.integer(owner, f"shape[{i}]", n, least=1) for i, n in enumerate(shape))
    values = len(shape) * math.prod(shape)
    if not 0 < values <= _check.LIMIT:
        raise ParameterError(
            f"{owner}: shape must have an axis and at most 2^31 - 1 features, got {shape}, whose features would take "
            f"{values * np.dtype(dtype).itemsize / 1e9:.3g} GB. `dense_crf_tiled` cuts an image into tiles."
        )
    _check.one_of(owner, "normalization", normalization, NORMALIZATIONS)
    dtype = _dtype(owner, dtype)
    sigmas = positive_sigmas(owner, "sigma", sigma, len(shape)) / positive_sigmas(owner, "spacing", spacing, len(shape))
    return Pairwise(np.stack(list(_positions(shape, sigmas, dtype)), axis=1), compatibility, normalization)


@public
@QUIET
def bilateral_pairwise(
    image: Array,
    sigma_space: float | Sequence[float],
    sigma_color: float | Sequence[float],
    compatibility: float | Array,
    *,
    spacing: float | Sequence[float] = 1.0,
    normalization: str = "symmetric",
    dtype: type = np.float32,
) -> Pairwise:
    """Return the appearance term exp(−|pᵢ − pⱼ|²/2σ_α² − |Iᵢ − Iⱼ|²/2σ_β²) of an image or a volume.

    Parameters
    ----------
    image : ndarray of shape (H, W, C) or (D, H, W, C), any real dtype
        Channels last; a grey image has a last axis of 1.
    sigma_space : float or sequence of float
        Standard deviation in the unit of `spacing`, one for all axes or one for each in the order of the image's axes.
    sigma_color : float or sequence of float
        Standard deviation in the unit of the image's values, one for all channels or one for each.
    compatibility, spacing, normalization, dtype
        As in `spatial_pairwise`.

    Returns
    -------
    Pairwise
        Features in the order x, y, then channels.

    Raises
    ------
    ShapeError
        The image has no channel axis.
    DTypeError
        The image is complex or not numeric.
    ParameterError
        A sigma is not positive, or the image holds NaN or inf.

    References
    ----------
    .. [1] Krähenbühl, Koltun, arXiv:1210.5644, Eq. (3); Chen et al., arXiv:1606.00915, Sec. 3.3, Eq. (3).

    Examples
    --------
    >>> bilateral_pairwise(np.full((1, 2, 1), 26), 80, 13, 10.0).features.tolist()
    [[0.0, 0.0, 2.0], [0.012500000186264515, 0.0, 2.0]]
    """
    owner = "bilateral_pairwise"
    image = _check.real_array(owner, "image", image)
    if image.ndim < 3:
        raise ShapeError(
            f"{owner}: image must be (H, W, C) or (D, H, W, C), got shape {image.shape}. Grey: image[..., None]."
        )
    _check.one_of(owner, "normalization", normalization, NORMALIZATIONS)
    dtype = _dtype(owner, dtype)
    shape = image.shape[:-1]
    sigmas = positive_sigmas(owner, "sigma_space", sigma_space, len(shape)) / positive_sigmas(
        owner, "spacing", spacing, len(shape)
    )
    colors = positive_sigmas(owner, "sigma_color", sigma_color, image.shape[-1])
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ParameterError(f"{owner}: image holds NaN or inf. Fill or mask these pixels first (see `ignore`).")
    features = np.empty((int(np.prod(shape)), len(shape) + image.shape[-1]), dtype)
    for axis, column in enumerate(_positions(shape, sigmas, dtype)):
        features[:, axis] = column
    channels = image.reshape(-1, image.shape[-1])
    for c, sigma in enumerate(colors):
        features[:, len(shape) + c] = channels[:, c].astype(dtype) / dtype.type(sigma)
    return Pairwise(features, compatibility, normalization)


def checked_compatibility(where, compatibility, labels, dtype, points):
    """Return a compatibility as an array of `dtype` that fits labels and points; `where` begins the errors.

    No message is larger than the number of points, so that sums of a few terms stay finite.
    """
    try:
        found = np.asarray(compatibility)
    except ValueError:
        raise ShapeError(f"{where}.compatibility must be an array, got a ragged sequence.") from None
    if found.dtype.kind not in "buif" or found.shape not in ((), (labels,), (labels, labels)):
        raise ShapeError(
            f"{where}.compatibility must be a number, a vector ({labels},) or a matrix ({labels}, {labels}), got "
            f"{found.dtype} of shape {found.shape}."
        )
    with np.errstate(over="ignore"):
        found = found.astype(dtype)
    if not np.isfinite(found).all():
        raise ParameterError(f"{where}.compatibility holds NaN or inf, or numbers beyond {dtype}.")
    most = np.finfo(found.dtype).max / (16 * labels * points)
    if found.size and np.abs(found).max() > most:
        wider = " or float64" if found.dtype == np.float32 else ""
        raise ParameterError(
            f"{where}.compatibility reaches {np.abs(found).max():.3g}; with {points} points its products may overflow "
            f"{dtype} beyond {most:.1e}. Use smaller weights{wider}."
        )
    return found


def listed(pairwise):
    """Return the terms as a list, of one or of several."""
    # A term is a tuple itself, and knows its compatibility.
    return [pairwise] if hasattr(pairwise, "compatibility") else list(pairwise)


def check_pairwise(owner, unary, pairwise):
    """Return the unary (L, P) in the dtype of the terms, and the terms as a list with shapes and dtypes that fit."""
    labels, points = unary.shape
    dtype, checked = None, []
    for i, term in enumerate(listed(pairwise)):
        features = _check.float_array(owner, f"pairwise[{i}].features", term.features)
        dtype = dtype or features.dtype
        if features.dtype != dtype:
            raise DTypeError(
                f"{owner}: pairwise[{i}].features are {features.dtype}, pairwise[0].features are {dtype}. Make all "
                f"terms with one dtype, for example dtype=np.{dtype}."
            )
        if features.ndim != 2 or len(features) != points:
            raise ShapeError(
                f"{owner}: pairwise[{i}].features must be (points, axes) with {points} points as in unary, got "
                f"{features.shape}."
            )
        if not np.isfinite(features).all():
            raise ParameterError(f"{owner}: pairwise[{i}].features holds NaN or inf.")
        _check.one_of(owner, f"pairwise[{i}].normalization", term.normalization, NORMALIZATIONS)
        compatibility = checked_compatibility(f"{owner}: pairwise[{i}]", term.compatibility, labels, dtype, points)
        checked.append(Pairwise(np.ascontiguousarray(features), compatibility, term.normalization))
    with np.errstate(over="ignore"):  # an energy beyond float32 excludes its label in float64 too
        return unary.astype(dtype or unary.dtype, copy=False), checked
