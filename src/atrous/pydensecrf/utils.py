"""pydensecrf.utils: the same names, arguments and numbers, for code that imports them.

Results are equal to the last bit. Where pydensecrf raises, these functions raise an error that is also its built-in
one, or accept clear input: label maps of unsigned integers, lists. They also raise where pydensecrf accepts invalid
input: negative labels (which select the last rows there), scales of zero or below, too few scales.
"""

from __future__ import annotations

from collections.abc import Sequence
from logging import warning
from numbers import Number
from operator import index

import numpy as np

from atrous._types import Array
from atrous.errors import DTypeError, ParameterError, ShapeError


class CertaintyError(ParameterError, AssertionError):
    """A probability outside its range, where pydensecrf asserts."""


class LabelError(ParameterError, IndexError):
    """A label outside its range, where indexing fails in pydensecrf."""


class ZeroDivisorError(ParameterError, ZeroDivisionError):
    """A divisor of zero, where pydensecrf divides by it."""


class AxisCountError(ShapeError, IndexError):
    """An axis that does not exist, where indexing fails in pydensecrf."""


def unary_from_labels(labels: Array, n_labels: int, gt_prob: float, zero_unsure: bool = True) -> Array:
    """Return unary energies from a label map that is right with probability `gt_prob`.

    The label of a pixel has energy −ln gt_prob, and every other label −ln((1 − gt_prob) / (n_labels − 1)).

    Parameters
    ----------
    labels : ndarray of integers, any shape, N elements
        0 to n_labels − 1; with `zero_unsure`, 1 to n_labels, and 0 for unknown.
    n_labels : int
        Number of labels, at least 2; with `zero_unsure`, label 0 does not count.
    gt_prob : float
        Between 0 and 1, both excluded.
    zero_unsure : bool, default True
        Whether 0 means "unknown", with equal energies −ln(1 / n_labels), and label k has row k − 1.

    Returns
    -------
    ndarray of shape (n_labels, N)
        float32.

    Raises
    ------
    CertaintyError
        `gt_prob` outside (0, 1); also an AssertionError.
    LabelError
        A label outside its range, or labels that are not integers; also an IndexError.
    ZeroDivisorError
        `n_labels` is 1; also a ZeroDivisionError.
    DTypeError
        `n_labels` is not an integer.

    Notes
    -----
    Cost: 4·n_labels·N bytes and one pass. Source: pydensecrf, `utils.unary_from_labels`.

    Examples
    --------
    >>> from atrous.pydensecrf import utils
    >>> np.exp(-utils.unary_from_labels(np.array([1, 0, 2]), 2, gt_prob=0.75)).round(3)
    array([[0.75, 0.5 , 0.25],
           [0.25, 0.5 , 0.75]], dtype=float32)
    """
    if not 0 < gt_prob < 1:
        raise CertaintyError(f"`gt_prob must be in (0,1).` unary_from_labels: got {gt_prob!r}.")
    labels = np.asarray(labels).ravel()
    if labels.dtype.kind not in "iub":
        raise LabelError(f"unary_from_labels: labels must be integers, got {labels.dtype}. Convert with .astype(int).")
    try:
        n_labels = index(n_labels)
    except TypeError:
        raise DTypeError(f"unary_from_labels: n_labels must be an integer, got {n_labels!r}.") from None
    if n_labels == 1:
        raise ZeroDivisorError("unary_from_labels: n_labels must be at least 2, got 1: there is no second label.")
    if n_labels < 1:
        raise LabelError(f"unary_from_labels: n_labels must be at least 2, got {n_labels!r}.")
    first = 1 if zero_unsure else 0
    outside = (labels < 0) | (labels >= n_labels + first)
    if outside.any():
        raise LabelError(
            f"unary_from_labels: labels must be 0 to {n_labels - 1 + first}, got {labels[outside][0]}. Raise "
            "n_labels; unknown pixels are 0 with zero_unsure=True."
        )
    rows = labels.astype(np.int64)

    n_energy = -np.log((1.0 - gt_prob) / (n_labels - 1))
    p_energy = -np.log(gt_prob)
    U = np.full((n_labels, len(rows)), n_energy, dtype=np.float32)
    U[rows - first, np.arange(len(rows))] = p_energy
    if zero_unsure:
        U[:, rows == 0] = -np.log(1.0 / n_labels)
    return U


def compute_unary(labels: Array, M: int, GT_PROB: float = 0.5) -> Array:
    """Return `unary_from_labels` of the same arguments; deprecated in pydensecrf, so it logs a warning.

    Parameters
    ----------
    labels, M, GT_PROB
        `labels`, `n_labels` and `gt_prob` of `unary_from_labels`.

    Returns
    -------
    ndarray of shape (M, N)
        float32.
    """
    warning("pydensecrf.compute_unary is deprecated, use unary_from_labels instead.")
    return unary_from_labels(labels, M, GT_PROB)


def _whole(sm):
    """Return whether an array holds whole numbers only; the first row nearly always decides."""
    return sm.dtype.kind in "iub" or all((part == np.rint(part)).all() for part in (sm[0], sm))


def unary_from_softmax(sm: Array, scale: float | None = None, clip: float | None = 1e-5) -> Array:
    """Return unary energies −ln p from class probabilities.

    Parameters
    ----------
    sm : ndarray of shape (K, ...)
        Probabilities, classes first; N elements per class.
    scale : float, optional
        In (0, 1]: p = scale·sm + (1 − scale) / K instead of sm.
    clip : float or None, default 1e-5
        p is clipped to [clip, 1]. None: it is not clipped, and p = 0 gives inf.

    Returns
    -------
    ndarray of shape (K, N)
        float32. NaN stays NaN.

    Raises
    ------
    CertaintyError
        `scale` outside (0, 1]; also an AssertionError.
    ShapeError
        `sm` has no classes, or no axis for them.
    DTypeError
        `sm` does not hold real numbers.

    Notes
    -----
    A map of labels is accepted as in pydensecrf, and its result has no meaning; a warning is logged.

    Cost: a few passes in the dtype of `sm`, in float64 with `scale`. Source: pydensecrf, `utils.unary_from_softmax`.

    Examples
    --------
    >>> unary_from_softmax(np.array([[1.0, 0.5], [0.0, 0.5]])).round(3)
    array([[-0.   ,  0.693],
           [11.513,  0.693]], dtype=float32)
    """
    sm = np.asanyarray(sm)
    if sm.dtype.kind not in "iubf":
        raise DTypeError(f"unary_from_softmax: sm must hold real numbers, got {sm.dtype}.")
    if sm.ndim == 0 or sm.shape[0] == 0:
        raise AxisCountError(f"unary_from_softmax: sm must be (K, ...) with at least one class, got shape {sm.shape}.")
    classes = sm.shape[0]
    if _whole(sm) and not (sm.sum(axis=0) == 1).all():
        warning(
            f"unary_from_softmax: sm, shape {sm.shape}, must be probabilities (K, ...), but holds whole numbers that "
            "do not sum to 1 over the first axis. For a map of labels use unary_from_labels."
        )
    if scale is not None:
        if not 0 < scale <= 1:
            raise CertaintyError(f"`scale` needs to be in (0,1]. unary_from_softmax: got {scale!r}.")
        sm = scale * sm + (1 - scale) * (np.ones(sm.shape) / classes)
    if clip is not None:
        sm = np.clip(sm, clip, 1.0)
    with np.errstate(divide="ignore"):
        return -np.log(sm).reshape(classes, sm.size // classes).astype(np.float32)


def softmax_to_unary(sm: Array, GT_PROB: float = 1) -> Array:
    """Return `unary_from_softmax` without clipping; deprecated in pydensecrf, so it logs a warning.

    Parameters
    ----------
    sm, GT_PROB
        `sm` and `scale` of `unary_from_softmax`; 1 does not scale.

    Returns
    -------
    ndarray of shape (K, N)
        float32; inf where a probability is 0.
    """
    warning("pydensecrf.softmax_to_unary is deprecated, use unary_from_softmax instead.")
    return unary_from_softmax(sm, None if GT_PROB == 1 else GT_PROB, clip=None)


def _scales(owner, name, scales, count, what):
    """Return `scales` as a list of `count` positive numbers of unchanged dtype, which decides the rounding."""
    try:
        scales = list(scales)
    except TypeError:
        raise DTypeError(f"{owner}: {name} must be a sequence, one number for each {what}, got {scales!r}.") from None
    if len(scales) != count:
        raise AxisCountError(
            f"{owner}: {name} must have one number for each {what}, {count}, got {len(scales)}: {scales!r}."
        )
    for scale in scales:
        _positive(owner, name, scale)
    return scales


def _positive(owner, name, scale):
    """Refuse a scale that is not above 0."""
    if not isinstance(scale, Number) or isinstance(scale, complex):
        raise DTypeError(f"{owner}: {name} must be real numbers above 0, got {scale!r}.")
    if not scale > 0:
        error = ZeroDivisorError if scale == 0 else ParameterError
        raise error(f"{owner}: {name} must be above 0, got {scale!r}. To leave an axis out, use inf.")


def _mesh(scales, shape):
    """Return the scaled coordinates of a grid, float32 (len(shape), *shape)."""
    mesh = np.indices(shape, dtype=np.float32)
    for i, scale in enumerate(scales):
        mesh[i] /= scale
    return mesh


def _sizes(owner, shape):
    try:
        sizes = tuple(range(s).stop for s in shape)
    except TypeError:
        raise DTypeError(f"{owner}: shape must be a sequence of integers, got {shape!r}.") from None
    if not sizes or min(sizes) < 0:
        raise AxisCountError(f"{owner}: shape must have at least one axis, none below 0; got {shape!r}.")
    return sizes


def create_pairwise_gaussian(sdims: Sequence[float], shape: Sequence[int]) -> Array:
    """Return the features of a Gaussian over position: each point's coordinates, divided by the scales of the axes.

    Parameters
    ----------
    sdims : sequence of float
        Standard deviation along each axis, in samples, in the order of `shape`: rows first, whereas the methods of
        DenseCRF2D take (x, y).
    shape : sequence of int
        Shape of the grid, any number of axes.

    Returns
    -------
    ndarray of shape (len(shape), N)
        float32, points in C order.

    Raises
    ------
    AxisCountError
        The number of scales is not the number of axes; also an IndexError.
    ZeroDivisorError, ParameterError
        A scale of zero; a negative scale, or NaN.
    DTypeError
        `sdims` or `shape` is not a sequence of numbers.

    Notes
    -----
    Cost: 4·len(shape)·N bytes. Source: pydensecrf, `utils.create_pairwise_gaussian`.

    Examples
    --------
    >>> create_pairwise_gaussian((1, 2), (2, 2))
    array([[0. , 0. , 1. , 1. ],
           [0. , 0.5, 0. , 0.5]], dtype=float32)
    """
    sizes = _sizes("create_pairwise_gaussian", shape)
    mesh = _mesh(_scales("create_pairwise_gaussian", "sdims", sdims, len(sizes), "axis of shape"), sizes)
    return mesh.reshape(len(sizes), mesh[0].size)


def create_pairwise_bilateral(
    sdims: Sequence[float], schan: float | Sequence[float], img: Array, chdim: int = -1
) -> Array:
    """Return the features of a bilateral Gaussian: coordinates and channels, divided by their scales.

    Parameters
    ----------
    sdims : sequence of float
        Standard deviation along each spatial axis, in samples, in the order of the axes.
    schan : float or sequence of float
        Standard deviation of the channels, in units of `img`; one for all channels, or one for each.
    img : ndarray
        Any shape and numeric dtype. Never modified.
    chdim : int, default -1
        The axis of the channels; -1 means that there is none, not that it is the last.

    Returns
    -------
    ndarray of shape (D + C, N)
        float32; D coordinates, then C channels; points in C order.

    Raises
    ------
    AxisCountError
        The number of scales is not that of axes or channels, or `chdim` is not an axis; also an IndexError.
    ZeroDivisorError, ParameterError
        A scale of zero; a negative scale, or NaN.
    DTypeError
        `sdims` or `schan` does not hold real numbers, or `img` is complex or not numeric.

    Notes
    -----
    Cost: 8·(D + C)·N bytes. Source: pydensecrf, `utils.create_pairwise_bilateral`.

    Examples
    --------
    >>> create_pairwise_bilateral((1, 1), 10, np.array([[0, 50]], np.uint8))
    array([[0., 0.],
           [0., 1.],
           [0., 5.]], dtype=float32)
    """
    owner = "create_pairwise_bilateral"
    img = np.asarray(img)
    if img.dtype.kind not in "iubf":
        raise DTypeError(f"{owner}: img must hold real numbers, got {img.dtype}.")
    if chdim == -1:
        channels = img[None].astype(np.float32)
    elif -img.ndim <= chdim < img.ndim:
        channels = np.moveaxis(img, chdim, 0).astype(np.float32)
    else:
        raise AxisCountError(f"{owner}: chdim must be an axis of img, shape {img.shape}, or -1, got {chdim!r}.")
    if channels.ndim < 2:
        raise AxisCountError(f"{owner}: img must have at least one spatial axis, got shape {img.shape}, {chdim=}.")
    if isinstance(schan, Number):
        _positive(owner, "schan", schan)
        channels /= schan
    else:
        for i, scale in enumerate(_scales(owner, "schan", schan, len(channels), "channel of img")):
            channels[i] /= scale
    sizes = channels.shape[1:]
    mesh = _mesh(_scales(owner, "sdims", sdims, len(sizes), "spatial axis of img"), sizes)
    return np.concatenate([mesh, channels]).reshape(len(mesh) + len(channels), mesh[0].size)


def _create_pairwise_gaussian_2d(sx, sy, shape):
    """Return `create_pairwise_gaussian((sx, sy), shape)` divided in double precision; sx is for rows."""
    owner = "_create_pairwise_gaussian_2d"
    sizes = _sizes(owner, shape)
    if len(sizes) < 2:
        raise AxisCountError(f"{owner}: shape must have two axes, got {shape!r}.")
    _scales(owner, "sx, sy", (sx, sy), 2, "axis of shape")
    feats = np.zeros((2, *sizes[:2]), dtype=np.float32)
    feats[0] = np.array([i / sx for i in range(sizes[0])])[:, None]
    feats[1] = np.array([j / sy for j in range(sizes[1])])
    return feats.reshape(2, feats[0].size)


def _create_pairwise_bilateral_2d(sx, sy, sr, sg, sb, img):
    """Return `create_pairwise_bilateral((sx, sy), (sr, sg, sb), img, 2)`, coordinates divided in double precision."""
    owner = "_create_pairwise_bilateral_2d"
    img = np.asarray(img)
    if img.ndim != 3 or img.shape[2] < 3:
        raise AxisCountError(f"{owner}: img must be (H, W, 3), got shape {img.shape}.")
    _scales(owner, "sr, sg, sb", (sr, sg, sb), 3, "channel of img")
    feats = np.zeros((5, *img.shape[:2]), dtype=np.float32)
    feats[:2] = _create_pairwise_gaussian_2d(sx, sy, img.shape[:2]).reshape(2, *img.shape[:2])
    for i, scale in enumerate((sr, sg, sb)):
        feats[2 + i] = img[..., i] / scale
    return feats.reshape(5, feats[0].size)
