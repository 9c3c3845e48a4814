"""Any image in, labels out: preparation as each framework does it, scales and flips as each paper fuses them, a CRF.

Role: public edge.

References
----------
DeepLab v2, arXiv:1606.00915, Section 4.1.2 (maximum over scales); v3, arXiv:1706.05587, Section 4.1, and TensorFlow's
``predict_labels_multi_scale`` (mean of probabilities over scales and flips).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._types import Array, FloatArray
from atrous.compose.match import mismatch
from atrous.crf.dense import dense_crf
from atrous.crf.params import CRFParams
from atrous.errors import DTypeError, ParameterError, ShapeError
from atrous.layers.resize import resize_bilinear
from atrous.layers.softmax import softmax_forward
from atrous.nets.network import Network


class Preparation(NamedTuple):
    """x = (level·scale − mean) / deviation, channels in the order of `channels`, levels 0 to 255."""

    channels: str
    scale: float
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)


PREPARATIONS = {
    "caffe": Preparation("BGR", 1.0, (104.008, 116.669, 122.675)),
    "torchvision": Preparation("RGB", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "slim": Preparation("RGB", 1.0, (123.15, 115.90, 103.06)),
    "xception": Preparation("RGB", 2 / 255, (1.0, 1.0, 1.0)),
}


class Segmentation(NamedTuple):
    """What `segment` returns: labels (H, W) and the probabilities (classes, H, W) that they are the largest of."""

    labels: Array
    probabilities: FloatArray


def levels(image: Array) -> FloatArray:
    """Return an image of any usual kind as (H, W, 3) float32 in levels of 0 to 255.

    Parameters
    ----------
    image : ndarray of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)
        uint8; uint16, whose 65535 becomes 255; or floats in levels of 0 to 255. Grey is repeated, alpha dropped.
    """
    owner = "segment"
    if isinstance(image, (str, bytes)) or hasattr(image, "__fspath__"):
        raise DTypeError(
            f"{owner}: image must be an array, got a path. Open it first: np.asarray(PIL.Image.open(path))."
        )
    image = _check.real_array(owner, "image", image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        mend = (
            " For channels first use np.moveaxis(image, 0, -1)." if image.ndim == 3 and image.shape[0] in (1, 3) else ""
        )
        raise ShapeError(
            f"{owner}: image must be (H, W) or (H, W, channels) with 1, 3 or 4 channels, got {image.shape}.{mend}"
        )
    if image.dtype == np.uint16:
        found = image / np.float32(257)
    elif image.dtype == np.uint8:
        found = image.astype(np.float32)
    elif image.dtype.kind == "f":
        low, high = float(image.min()), float(image.max())
        if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > 255 or 0 < high <= 1:
            raise ParameterError(
                f"{owner}: an image of floats must hold levels of 0 to 255, got {low:.3g} to {high:.3g}. "
                "If they are fractions of 1, pass 255 * image."
            )
        found = image.astype(np.float32)
    else:
        raise DTypeError(
            f"{owner}: image must be uint8, uint16 or floats in levels of 0 to 255, got {image.dtype}. Convert it with "
            "image.astype(np.uint8)."
        )
    return np.repeat(found, 3, axis=2) if found.shape[2] == 1 else found[..., :3]


def prepare(image: Array, preprocessing: str, dtype: type = np.float32) -> FloatArray:
    """Return an image as a network wants it.

    Parameters
    ----------
    image : ndarray of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)
        uint8, uint16, or floats in levels of 0 to 255; red first.
    preprocessing : {"caffe", "torchvision", "slim", "xception"}
        A network's `preprocessing`: Caffe's mean of BGR, ImageNet's mean and deviation, TensorFlow's mean of RGB, or
        levels brought to −1 … 1.
    dtype : float32 or float64

    Returns
    -------
    ndarray of shape (1, 3, H, W)

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        The image is none of these, or the preprocessing is unknown.

    Examples
    --------
    >>> prepare(np.full((2, 2, 3), 255, np.uint8), "xception")[0, :, 0, 0]
    array([1., 1., 1.], dtype=float32)
    """
    how = PREPARATIONS[_check.one_of("prepare", "preprocessing", preprocessing, tuple(PREPARATIONS))]
    found = levels(image).astype(dtype, copy=False)
    if how.channels == "BGR":
        found = found[..., ::-1]
    found = (found * dtype(how.scale) - np.array(how.mean, dtype)) / np.array(how.deviation, dtype)
    return np.ascontiguousarray(found.transpose(2, 0, 1))[None]


def _weights(network, params):
    """Return (params, state) from the pair or from one dictionary that holds all."""
    if isinstance(params, Mapping):
        if wrong := mismatch(network.variables(), params):
            raise ShapeError(
                f"segment: params do not fit {network.name}: {wrong}. Pass what network.load or network.init returns."
            )
        return network._split(params)
    if not (isinstance(params, (tuple, list)) and len(params) == 2 and all(isinstance(p, Mapping) for p in params)):
        raise ParameterError(
            f"segment: params must be the pair (params, state) or one dictionary of both, got {type(params).__name__}. "
            "For a file use network.load(file)."
        )
    return tuple(params)


def _scores(network, params, state, x):
    """Return the scores of prepared images, which the mean (zero) fills at the end up to a size that fits."""
    h, w = x.shape[2:]
    wanted = network.fitting((h, w))
    x = np.pad(x, [(0, 0), (0, 0), (0, wanted[0] - h), (0, wanted[1] - w)])
    return network.infer(params, state, np.ascontiguousarray(x))[:, :, :h, :w]


def predict(
    image: Array,
    network: Network,
    params: Mapping[str, FloatArray] | tuple[Mapping[str, FloatArray], Mapping[str, FloatArray]],
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> FloatArray:
    """Return the probabilities of an image's classes, fused over scales and mirror images.

    Parameters
    ----------
    image : ndarray of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)
        As for `prepare`; any size.
    network : Network
    params : (params, state), or one flat dictionary of both
        What `Network.load` or `Network.init` returns.
    scales : sequence of float
        Sizes relative to the image at which the network sees it: n becomes ⌊(n − 1)·s⌋ + 1, corners aligned.
    flip : bool, default False
        See the mirror image too, at every scale.

    Returns
    -------
    ndarray of shape (classes, H, W)
        Sum 1. Of the scores the maximum is taken and then the softmax, or the softmax and then the mean, as the
        network's paper does (`network.fusion`).

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        An image that `prepare` refuses, arrays that do not fit, scales that are not positive.

    Notes
    -----
    Cost: one pass a scale, two with `flip`; memory for the scores of one at a time and their fusion. Where corners are
    aligned the image is filled up with the mean at its right and lower end, as the papers' code does, to the next size
    that the network's grid fits (`Network.fitting`), and the scores are cropped.
    """
    owner = "predict"
    if not isinstance(network, Network):
        raise ParameterError(f"{owner}: network must come from build, got {type(network).__name__}.")
    params, state = _weights(network, params)
    dtype = np.asarray(next(iter(params.values()))).dtype.type
    x = prepare(image, network.preprocessing, dtype)
    size = x.shape[2:]
    scales = [_check.number(owner, f"scales[{i}]", s) for i, s in enumerate(np.atleast_1d(scales).tolist())]
    if not scales or min(scales) <= 0:
        raise ParameterError(f"{owner}: scales must be positive numbers, at least one, got {scales}.")
    fused, seen = None, 0
    for scale in scales:
        at = tuple(int((n - 1) * scale + 1e-9) + 1 for n in size)
        scaled = x if at == size else resize_bilinear(x, at)
        for mirrored in (False, True) if flip else (False,):
            scores = _scores(network, params, state, scaled[..., ::-1] if mirrored else scaled)
            if mirrored:
                scores = scores[..., ::-1]
            scores = np.ascontiguousarray(scores) if at == size else resize_bilinear(scores, size)
            if network.fusion == "max":
                fused = scores if fused is None else np.maximum(fused, scores, out=fused)
            else:
                p = softmax_forward(scores)[0]
                fused = p if fused is None else np.add(fused, p, out=fused)
            seen += 1
    if network.fusion == "max":
        return softmax_forward(fused)[0][0]
    return (fused / seen)[0]


def segment(
    image: Array,
    network: Network,
    params: Mapping[str, FloatArray] | tuple[Mapping[str, FloatArray], Mapping[str, FloatArray]],
    crf: str | CRFParams | None = None,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> Segmentation:
    """Label every pixel of an image.

    Parameters
    ----------
    image, network, params, scales, flip
        As for `predict`.
    crf : str or CRFParams, optional
        Sharpen the probabilities by the fully connected CRF with these parameters (`CRF_PRESETS`), as v1 and v2 do.

    Returns
    -------
    Segmentation
        ``labels`` (H, W), uint8 where there are at most 256 classes, and ``probabilities`` (classes, H, W).

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As `predict` and `dense_crf`.

    Examples
    --------
    >>> network = build("tiny_torchvision_deeplabv3_resnet50", classes=3)
    >>> found = segment(np.zeros((33, 41, 3), np.uint8), network, network.init(np.random.default_rng(0)))
    >>> found.labels.shape, found.probabilities.shape
    ((33, 41), (3, 33, 41))
    """
    probabilities = predict(image, network, params, scales=scales, flip=flip)
    if crf is not None:
        photo = levels(image)
        probabilities = dense_crf(probabilities, photo, crf, intensity_scale=1)
    labels = probabilities.argmax(0)
    return Segmentation(labels.astype(np.uint8) if len(probabilities) <= 256 else labels, probabilities)
