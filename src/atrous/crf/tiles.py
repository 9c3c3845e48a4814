"""`dense_crf` on images that are too large for it: tile by tile, each with its surroundings.

A tile is computed together with a margin, the overlap, and only its core is kept. Positions are measured from the
corner of the whole image, so that all tiles use the same lattice. With positions from their own corners, the lattices
would be shifted against each other, and no overlap could make the results agree.

Role: public function.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.crf.dense import (
    check_image_shape,
    checked_image,
    label_axis_hint,
    pairwise_terms,
    resolved_params,
    unit_range_error,
)
from atrous.crf.mean_field import METHODS, mean_field
from atrous.crf.memory import mean_field_bytes, refuse_too_large
from atrous.crf.params import CRFParams
from atrous.crf.unary import unary_from_probabilities
from atrous.errors import AtrousError, DTypeError, ParameterError, ShapeError
from atrous.progress import ProgressLine

LEAST_OVERLAP = 32


def _cuts(length, tile):
    """Return the ends of equal parts that are no longer than `tile`: 0, …, length."""
    parts = -(-length // tile)
    return [length * i // parts for i in range(parts + 1)]


def _windows(length, tile, overlap):
    """Return (core, window) along one axis as pairs of slices; the window is the core with its overlap."""
    return [
        (slice(begin, end), slice(max(0, begin - overlap), min(length, end + overlap)))
        for begin, end in pairwise(_cuts(length, tile))
    ]


def _scale(owner, image, wanted, intensity_scale):
    """Return the intensity scale of all windows, after reading the whole image a few rows at a time.

    Only the whole image shows whether its values go to 1 or to 255: a window of the latter may be black.
    """
    check_image_shape(owner, np.shape(image), wanted)
    if image.dtype.kind != "f" or intensity_scale is not None:
        return intensity_scale
    highest = -np.inf
    for begin in range(0, wanted[1], 64):
        highest = np.maximum(highest, np.asarray(image[begin : begin + 64]).max())
        if not highest <= 1:
            return 1.0
    raise unit_range_error(owner, image.dtype, highest)


def _checked_out(owner, out, shape, dtype, probabilities):
    if out is None:
        return np.empty(shape, dtype)
    if np.shape(out) != shape or getattr(out, "dtype", None) not in _check.FLOATS:
        raise ShapeError(
            f"{owner}: out must be a float32 or float64 array of shape {shape}, got "
            f"{getattr(out, 'dtype', type(out).__name__)} of shape {np.shape(out)}."
        )
    if all(isinstance(a, np.ndarray) for a in (out, probabilities)) and np.may_share_memory(out, probabilities):
        raise ParameterError(
            f"{owner}: out must not share the memory of probabilities, which the next tile reads. Pass another array."
        )
    return out


@public
def dense_crf_tiled(
    probabilities: Array,
    image: Array,
    params: CRFParams | str = CRFParams(),  # noqa: B008 (immutable)
    *,
    tile: int = 1024,
    overlap: int | None = None,
    iterations: int | None = None,
    normalization: str | None = None,
    method: str = "auto",
    intensity_scale: float | None = None,
    ignore: Array | None = None,
    fixed: Array | None = None,
    out: Array | None = None,
    progress: bool | Callable[[int, int, str], None] = False,
) -> FloatArray:
    """Refine label probabilities nearly as `dense_crf` does, with the memory that one tile needs.

    Parameters
    ----------
    probabilities : ndarray of shape (L, H, W), any real dtype
        As in `dense_crf`. Only slices are read, so memory-mapped and broadcast arrays are never copied as a whole.
    image : ndarray of shape (H, W, 3) or (H, W), any real dtype
        As in `dense_crf`, read in the same way.
    params : CRFParams or str
        As in `dense_crf`.
    tile : int
        Most pixels along a side of a tile's core; the image is cut into equal parts.
    overlap : int, optional
        Pixels to compute on each side of a core and then discard; by default 3·sigma_alpha, but at least 32.
    iterations, normalization, method, intensity_scale, ignore, fixed
        As in `dense_crf`.
    out : ndarray of shape (L, H, W), float32 or float64, optional
        Receives the marginals; it may be a memory-mapped file.
    progress : bool or function of (done, total, label)
        Show a line on standard error, or call a function, before each tile.

    Returns
    -------
    ndarray of shape (L, H, W)
        `out`, or a new array; float64 if `probabilities` are, otherwise float32.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `dense_crf`; also a tile that needs more memory than is free.

    Notes
    -----
    This is an approximation: the fully connected model couples every pixel to every other, but here only to those of
    its window. In one iteration the Gaussian falls off with sigma_alpha; over several iterations a change travels
    farther, so an overlap of one sigma_alpha is not enough.

    Difference from `dense_crf` with tile=256 on Matplotlib's grace_hopper.jpg (600 × 512). Five labels have random
    scores on a 10 × 9 grid, enlarged to the image; the CRF changes softmax(3·scores) at 31 % and 19 % of the pixels:

    ======================  =======================  ============  =============  ================
    preset                  overlap in sigma_alpha   largest |ΔQ|  mean |ΔQ|      argmax differs
    ======================  =======================  ============  =============  ================
    "densecrf"              1                        0.996         1.3e-2         3.1 % of pixels
    "densecrf"              2                        0.974         4.3e-3         1.0 %
    "densecrf"              3, the default           0.153         2.7e-4         0.06 %
    "deeplab-v2-resnet101"  1                        0.954         3.4e-3         0.83 %
    "deeplab-v2-resnet101"  2                        0.801         5.8e-4         0.13 %
    "deeplab-v2-resnet101"  3, the default           0.261         5.6e-5         0.009 %
    ======================  =======================  ============  =============  ================

    One tile that covers the image gives the bits of `dense_crf`. Memory: `mean_field_bytes` of (tile + 2·overlap)²
    pixels, and the result unless `out` is a file. Cost: ((tile + 2·overlap) / tile)² times that of `dense_crf`, so
    tiles should be a few times longer than the overlap.

    References
    ----------
    .. [1] Krähenbühl, Koltun, arXiv:1210.5644.

    Examples
    --------
    >>> image = np.zeros((6, 80, 3), np.uint8)
    >>> image[:, 40:] = 200
    >>> p = np.full((2, 6, 80), 0.5)
    >>> p[:, :, 30], p[:, :, 50] = [[0.9], [0.1]], [[0.1], [0.9]]
    >>> q = dense_crf_tiled(p, image, CRFParams(sigma_alpha=10), tile=20)
    >>> q.argmax(0)[3, [0, 39, 40, 79]].tolist()
    [0, 0, 1, 1]
    """
    owner = "dense_crf_tiled"
    if isinstance(probabilities, (list, tuple)):
        probabilities = np.asarray(probabilities)
    shape = tuple(map(int, np.shape(probabilities)))
    if len(shape) != 3:
        raise ShapeError(
            f"{owner}: probabilities must be (labels, height, width), got shape {shape}. "
            + (label_axis_hint(np.asarray(probabilities).dtype) if len(shape) < 3 else "Pass one image at a time.")
        )
    if 0 in shape:
        raise ShapeError(f"{owner}: probabilities is empty, shape {shape}.")
    for name, value in (("probabilities", probabilities), ("image", image)):
        if isinstance(value, np.ma.MaskedArray):
            raise DTypeError(f"{owner}: {name} must be a plain array, got a masked one. Fill it: {name}.filled(0).")
    image = np.asarray(image) if isinstance(image, (list, tuple)) else image
    params = resolved_params(owner, params, iterations, normalization)
    _check.one_of(owner, "method", method, METHODS)
    tile = _check.integer(owner, "tile", tile, least=1)
    if overlap is None:
        overlap = max(LEAST_OVERLAP, round(3 * float(params.sigma_alpha)))
    overlap = _check.integer(owner, "overlap", overlap, least=0)
    size = shape[1:]
    intensity_scale = _scale(owner, image, shape, intensity_scale)
    for name, value in (("ignore", ignore), ("fixed", fixed)):
        if value is not None and np.shape(value) != size:
            raise ShapeError(f"{owner}: {name} must have the size of the image, {size}, got {np.shape(value)}.")
    ignore, fixed = (None if value is None else np.asarray(value) for value in (ignore, fixed))

    dtype = np.dtype(np.float64 if probabilities.dtype == np.float64 else np.float32)
    windows = [[*_windows(length, tile, overlap)] for length in size]
    if method != "exact":
        points = np.prod([max(w.stop - w.start for _, w in axis) for axis in windows])
        channels = np.shape(image)[2] if np.ndim(image) == 3 else 1
        needed = mean_field_bytes(int(points), shape[0], (2, 2 + channels), dtype.itemsize)
        refuse_too_large(owner, needed, f"Use a tile below {tile}, or an overlap below {overlap}.")
    out = _checked_out(owner, out, shape, dtype, probabilities)

    line = ProgressLine(owner) if progress is True else None
    tell = line or progress or (lambda *_: None)
    with contextlib.closing(line) if line else contextlib.nullcontext():
        total, done = len(windows[0]) * len(windows[1]), 0
        for core_rows, rows in windows[0]:
            for core_columns, columns in windows[1]:
                tell(done, total, "tiles")
                within = rows, columns
                try:
                    unary = unary_from_probabilities(np.asarray(probabilities[:, rows, columns]), owner=owner)
                    window = checked_image(owner, image[within], unary.shape, intensity_scale)
                    found = mean_field(
                        unary,
                        pairwise_terms(window, params, dtype, (rows.start, columns.start)),
                        iterations=params.iterations,
                        method=method,
                        ignore=None if ignore is None else ignore[within],
                        fixed=None if fixed is None else fixed[within],
                    )
                except AtrousError as error:
                    if total == 1:
                        raise
                    where = f"(In the window that begins at row {rows.start}, column {columns.start}.)"
                    raise type(error)(f"{error} {where}") from error
                inside = (
                    slice(core_rows.start - rows.start, core_rows.stop - rows.start),
                    slice(core_columns.start - columns.start, core_columns.stop - columns.start),
                )
                out[:, core_rows, core_columns] = found[:, *inside]
                done += 1
    return out
