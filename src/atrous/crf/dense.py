"""`dense_crf`: refine label probabilities with a photograph; the usual way to run the CRF.

Role: public function.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.crf import layout
from atrous.crf.filtered import check_filtered, separable_pairwise
from atrous.crf.mean_field import ACCURACIES, METHODS, few_enough, joined_lattices, mean_field, run_fused
from atrous.crf.memory import mean_field_bytes, refuse_too_large
from atrous.crf.pairwise import (
    NORMALIZATIONS,
    Pairwise,
    bilateral_pairwise,
    check_pairwise,
    positive_sigmas,
    spatial_pairwise,
)
from atrous.crf.params import CRF_PRESETS, CRFParams
from atrous.crf.unary import CLIP, as_float, unary_from_probabilities
from atrous.crf.upsample import joint_upsample
from atrous.errors import ParameterError, ShapeError
from atrous.layers.resize import resize_bilinear
from atrous.progress import ProgressLine

DEFAULT = CRFParams()
FLOAT32_MAX = float(np.finfo(np.float32).max)
UPSAMPLING = ("bilinear", "lattice")


def resolved_params(owner, params, iterations, normalization, name="params"):
    """Return checked CRFParams: from a preset's name or as given, with the fields that other arguments replace."""
    if isinstance(params, str):
        params = CRF_PRESETS[_check.one_of(owner, name, params, tuple(CRF_PRESETS))]
    changed = {"iterations": iterations, "normalization": normalization}
    params = params._replace(**{k: v for k, v in changed.items() if v is not None})
    _check.one_of(owner, "normalization", params.normalization, NORMALIZATIONS)
    _check.integer(owner, "iterations", params.iterations, least=0)
    for field in ("sigma_alpha", "sigma_beta", "sigma_gamma"):
        positive_sigmas(owner, field, getattr(params, field), 1)
    for field in ("bilateral_weight", "spatial_weight"):
        _check.number(owner, field, getattr(params, field), above=-FLOAT32_MAX, below=FLOAT32_MAX)
    return params


def check_image_shape(owner, shape, wanted, name="image"):
    """Raise ShapeError, with the likely fix, unless an image of this shape fits probabilities of shape `wanted`."""
    if len(shape) in (2, 3) and shape[:2] == wanted[1:] and 0 not in shape:
        return
    channels_first, labels_last = shape[1:] == wanted[1:], shape[:2] == wanted[:2]
    if channels_first and labels_last:  # as many channels as labels; the shorter end of the shape holds them
        channels_first = shape[0] < shape[-1]
        labels_last = not channels_first
    if labels_last:
        raise ShapeError(
            f"{owner}: probabilities must be (labels, height, width), got shape {wanted} with an image of shape "
            f"{shape}. If they are (height, width, labels), move the labels to the front: np.moveaxis(p, -1, 0)."
        )
    if channels_first:
        fix = "Move its channels to the end: np.moveaxis(image, 0, -1)."
    else:
        fix = "Resize one to the other; the order is (height, width)."
    raise ShapeError(
        f"{owner}: {name} must be {wanted[1:]} + (channels,) like the probabilities (L, H, W), got shape {shape}. {fix}"
    )


def label_axis_hint(dtype):
    """Return how to make probabilities (L, H, W) of an array (H, W): it holds labels, or one foreground's share."""
    if dtype.kind == "f":
        return "For a foreground map p, pass np.stack([1 - p, p])."
    return "For a map of labels, pass np.exp(-unary_from_labels(labels, classes))."


def unit_range_error(owner, dtype, highest, name="image"):
    """Return the error for a floating-point image without values above 1, which cannot be in levels from 0 to 255."""
    return ParameterError(
        f"{owner}: {name} is {dtype} with a maximum of {highest:.3g}, but sigma_beta is in levels from 0 to 255. "
        "Pass intensity_scale=255 for an image in [0, 1], or 1 if it is in levels already."
    )


def checked_image(owner, image, wanted, intensity_scale, name="image"):
    """Return the image as (H, W, C) of real numbers in levels 0–255, for probabilities of shape `wanted`."""
    image = _check.real_array(owner, name, image)
    check_image_shape(owner, image.shape, wanted, name)
    if image.ndim == 2:
        image = image[..., None]
    if intensity_scale is not None:
        intensity_scale = _check.number(owner, "intensity_scale", intensity_scale, above=0, below=1e30)
        return image * (np.float32(intensity_scale) if image.dtype != np.float64 else float(intensity_scale))
    if image.dtype.kind == "f" and image.max() <= 1:
        raise unit_range_error(owner, image.dtype, image.max(), name)
    return image


def pairwise_terms(image, params, dtype, corner=(0, 0), accuracy="lattice"):
    """Return the terms of `params` for an image (H, W, C) whose first pixel is pixel `corner` of the whole image.

    Positions are those in the whole image, so that all tiles use the same lattice. With accuracy="fine", the spatial
    term has none.
    """
    shape, options = image.shape[:2], {"normalization": params.normalization, "dtype": dtype}
    found, exact = [], []
    if params.spatial_weight and accuracy == "fine":
        mode = params.normalization
        exact = [separable_pairwise(shape, params.sigma_gamma, params.spatial_weight, normalization=mode)]
    elif params.spatial_weight:
        term = spatial_pairwise(shape, params.sigma_gamma, params.spatial_weight, **options)
        found.append((term, params.sigma_gamma))
    if params.bilateral_weight:
        sigmas = params.sigma_alpha, params.sigma_beta
        found.append((bilateral_pairwise(image, *sigmas, params.bilateral_weight, **options), params.sigma_alpha))
    if corner != (0, 0):
        y, x = (np.arange(at, at + n, dtype=dtype) for at, n in zip(corner, shape, strict=True))
        for term, sigma in found:
            grid = term.features.reshape(*shape, -1)
            grid[..., 0], grid[..., 1] = x / dtype.type(sigma), (y / dtype.type(sigma))[:, None]
    return [*exact, *(term for term, _ in found)]


def enlarged(owner, probabilities, size, image, upsample):
    """Return probabilities at the size of the image, from those of a coarse grid with the same corners."""
    _check.one_of(owner, "upsample", upsample, UPSAMPLING)
    if probabilities.dtype not in _check.FLOATS:
        probabilities = probabilities.astype(np.float32)
    if probabilities.shape[1:] == size:
        return probabilities
    if upsample == "bilinear":
        return resize_bilinear(probabilities, size, align_corners=True)
    return joint_upsample(probabilities, image)


def _batch(owner, probabilities, images, params, shared, batches):
    """Return the marginals of each image of a batch; `batches` has the arguments that are batches too, or None."""
    count, given = len(probabilities), {name: batch for name, batch in batches.items() if batch is not None}
    for name, batch in {"image": images, **given}.items():
        if len(batch) != count:
            raise ShapeError(
                f"{owner}: a batch of {count} probabilities needs as many of {name}, got shape {np.shape(batch)}. For "
                "one image pass probabilities[0]; for images of different sizes call dense_crf for each."
            )
    rest = [{name: batch[i] for name, batch in given.items()} for i in range(count)]
    found = [dense_crf(probabilities[i], images[i], params, **shared, **rest[i]) for i in range(count)]
    if not found:
        return np.empty((0, probabilities.shape[1], *np.shape(images)[1:3]), probabilities.dtype)
    return np.stack(found)


def _direct(owner, probabilities, image, params, line, accuracy):
    """Return what `mean_field` does, bit for bit, without planes of energies; None if these are no probabilities."""
    (labels, *grid), dtype = probabilities.shape, probabilities.dtype
    terms = pairwise_terms(image, params, dtype, accuracy=accuracy)
    if not terms:
        return None
    plain = [term for term in terms if isinstance(term, Pairwise)]
    # Shape and dtype are all that is read of the energies.
    _, plain = check_pairwise(owner, np.broadcast_to(dtype.type(0), (labels, math.prod(grid))), plain)
    others = [check_filtered(owner, 0, t, labels, grid, dtype) for t in terms if not isinstance(t, Pairwise)]
    order = np.arange(math.prod(grid)) if others else layout.strip_order(tuple(grid))
    ring, built = accuracy == "fine", None
    if plain:
        built = joined_lattices(owner, plain, order, ring=ring, makes_rows="to_clipped_rows")
    # The lattices are all that is needed of the features, whose memory is free again.
    plain = [term._replace(features=None) for term in plain]
    del terms
    planes = np.ascontiguousarray(probabilities).reshape(labels, -1)
    logits = layout.log_rows(planes, order, CLIP)
    if logits is None:
        return None
    tick = line and (lambda step: line(step, params.iterations, ""))
    out = np.empty(planes.shape, dtype)
    found = run_fused(built, logits, plain, others, order, out, params.iterations, None, tick, None)
    return found.reshape(probabilities.shape)


@public
def dense_crf(
    probabilities: Array,
    image: Array,
    params: CRFParams | str = DEFAULT,
    *,
    iterations: int | None = None,
    normalization: str | None = None,
    method: str = "auto",
    accuracy: str = "lattice",
    upsample: str | None = None,
    intensity_scale: float | None = None,
    start: FloatArray | None = None,
    ignore: Array | None = None,
    fixed: Array | None = None,
    callback: Callable[[int, FloatArray], object] | None = None,
    progress: bool = False,
) -> FloatArray:
    """Refine label probabilities with DeepLab's fully connected CRF.

    Parameters
    ----------
    probabilities : ndarray of shape (L, H, W) or (N, L, H, W), any real dtype
        Probability of each label at each pixel, summing to 1; values below 1e-5 are raised to 1e-5. A batch is refined
        image by image, and all other arguments that have the size of the image are batches too.
    image : ndarray of shape (H, W, 3), any real dtype
        In levels 0–255; grey (H, W) and any number of channels are accepted too.
    params : CRFParams or str
        Weights, standard deviations, iterations and normalisation, or a key of `CRF_PRESETS`.
    iterations, normalization : optional
        Replace those in `params`.
    method : {"auto", "lattice", "exact", "cuda"}
        As in `mean_field`.
    accuracy : {"lattice", "fine"}
        "fine" adds a ring of vertices to the bilateral lattice and sums the spatial term exactly, in 1.2 to 3 times the
        time. With DeepLab's narrow σβ of 3 to 5 the error of the marginals is 15 to 45 % smaller; with wide ones, such
        as those of "densecrf", nothing is gained.
    upsample : {"bilinear", "lattice"}, optional
        Enlarge probabilities of a coarse grid, such as a network's at an eighth of the image, with corners aligned:
        bilinearly, or along the image's edges (`joint_upsample`), which often is as good as the CRF by itself.
    intensity_scale : float, optional
        Factor that converts the image to levels: 255 for an image in [0, 1].
    start, ignore, fixed, callback
        As in `mean_field`.
    progress : bool
        Show a line on standard error.

    Returns
    -------
    ndarray of shape (L, H, W) or (N, L, H, W)
        Marginals; float64 if `probabilities` are, otherwise float32. `argmax(0)` is the segmentation.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        An argument does not fit, or the run would need more memory than is free; see `dense_crf_tiled`.

    Notes
    -----
    Cost: 500 × 375 pixels with 21 labels and 10 iterations take about 0.1 s on two cores. Memory: see
    `mean_field_bytes`. The result agrees with pydensecrf's DenseCRF2D within 1e-5 and has equal bits for any number of
    threads.

    References
    ----------
    .. [1] Krähenbühl, Koltun, arXiv:1210.5644. Chen et al., arXiv:1412.7062, Sec. 4.2; arXiv:1606.00915, Sec. 3.3.

    Examples
    --------
    >>> image = np.zeros((6, 8, 3), np.uint8)
    >>> image[:, 4:] = 200
    >>> p = np.full((2, 6, 8), 0.5)
    >>> p[0, :, 0], p[1, :, 0], p[0, :, 7], p[1, :, 7] = 0.9, 0.1, 0.1, 0.9
    >>> dense_crf(p, image, iterations=5).argmax(0)[3].tolist()
    [0, 0, 0, 0, 1, 1, 1, 1]
    """
    owner = "dense_crf"
    probabilities = _check.real_array(owner, "probabilities", probabilities, batch=np.ndim(probabilities) == 4)
    shape = probabilities.shape
    if len(shape) == 4:
        shared = {
            "iterations": iterations, "normalization": normalization, "method": method, "accuracy": accuracy,
            "upsample": upsample, "intensity_scale": intensity_scale, "callback": callback, "progress": progress,
        }  # fmt: skip
        return _batch(owner, probabilities, image, params, shared, {"start": start, "ignore": ignore, "fixed": fixed})
    if len(shape) != 3:
        raise ShapeError(
            f"{owner}: probabilities must be (labels, height, width), got shape {shape}. "
            + (label_axis_hint(probabilities.dtype) if len(shape) < 3 else "A batch is (N, labels, height, width).")
        )
    image = _check.real_array(owner, "image", image)
    if upsample is None:
        check_image_shape(owner, image.shape, shape)
    else:
        levels = checked_image(owner, image, (shape[0], *image.shape[:2]), intensity_scale)
        probabilities = enlarged(owner, probabilities, image.shape[:2], levels, upsample)
        shape = probabilities.shape
    params = resolved_params(owner, params, iterations, normalization)
    itemsize = 8 if probabilities.dtype.kind == "f" and probabilities.dtype.itemsize >= 8 else 4
    _check.one_of(owner, "method", method, METHODS)
    _check.one_of(owner, "accuracy", accuracy, ACCURACIES)
    if method == "exact":
        few_enough(owner, shape[1] * shape[2])
    else:
        channels = image.shape[2:] or (1,)
        needed = mean_field_bytes(shape[1] * shape[2], shape[0], (2, 2 + channels[0]), itemsize)
        refuse_too_large(owner, needed, "Use dense_crf_tiled, fewer labels or a smaller image.")
    image = checked_image(owner, image, shape, intensity_scale)
    probabilities = as_float(owner, "probabilities", probabilities)
    options = {"accuracy": accuracy, "start": start, "ignore": ignore, "fixed": fixed, "callback": callback}
    plain = method in ("auto", "lattice") and not any(value is not None for value in (start, ignore, fixed, callback))
    shows = contextlib.closing(ProgressLine("dense_crf")) if progress else contextlib.nullcontext()
    with shows as line:
        if plain and params.iterations:
            found = _direct(owner, probabilities, image, params, line, accuracy)
            if found is not None:
                return found
        unary = unary_from_probabilities(probabilities, owner=owner)
        pairwise = pairwise_terms(image, params, unary.dtype, accuracy=accuracy)
        return mean_field(unary, pairwise, iterations=params.iterations, method=method, progress=line, **options)
