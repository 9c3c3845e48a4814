"""From an image to labels: preparation, scales and flips fused as in the network's paper, and a CRF.

Role: public functions.

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
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.compose.match import mismatch
from atrous.crf.dense import dense_crf
from atrous.crf.params import CRFParams
from atrous.errors import ParameterError, ShapeError
from atrous.layers.resize import resize_bilinear
from atrous.layers.softmax import softmax_forward
from atrous.nets.network import Network
from atrous.nets.preparation import levels, prepare


class Segmentation(NamedTuple):
    """What `segment` returns: the most probable class of each pixel (H, W), and all probabilities (classes, H, W)."""

    labels: Array
    probabilities: FloatArray


def _weights(network, params):
    """Return (params, state) from this pair, or from one dictionary of both."""
    if isinstance(params, Mapping):
        if wrong := mismatch(network.variables(), params):
            raise ShapeError(
                f"segment: params do not fit {network.name}: {wrong}. Pass what network.load or network.init returns."
            )
        return network.split(params)
    return tuple(params)


def _scores(network, params, state, x):
    """Return the scores of prepared images, padded with the mean (zero) at the end to a size that fits the network."""
    h, w = x.shape[2:]
    wanted = network.fitting((h, w))
    x = np.pad(x, [(0, 0), (0, 0), (0, wanted[0] - h), (0, wanted[1] - w)])
    return network.infer(params, state, np.ascontiguousarray(x))[:, :, :h, :w]


@public
def predict(
    image: Array,
    network: Network,
    params: Mapping[str, FloatArray] | tuple[Mapping[str, FloatArray], Mapping[str, FloatArray]],
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> FloatArray:
    """Return the probability of each class at each pixel, fused over scales and mirror images.

    Parameters
    ----------
    image : ndarray of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)
        As for `prepare`; any size.
    network : Network
    params : (params, state), or one flat dictionary of both
        What `Network.load` or `Network.init` returns.
    scales : sequence of float
        Sizes at which the network sees the image: n becomes ⌊(n − 1)·s⌋ + 1, with corners aligned.
    flip : bool, default False
        Use the mirror image too, at every scale.

    Returns
    -------
    ndarray of shape (classes, H, W)
        They sum to 1 over the classes. A network with one class, as for a mask of the foreground, gives two:
        background, and foreground by the sigmoid of its score. Fused as in the network's paper (`network.fusion`): the
        maximum of the scores, then softmax; or softmax, then the mean.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        An image that `prepare` rejects, arrays that do not fit, scales that are not positive.

    Notes
    -----
    Cost: one pass per scale, two with `flip`; memory for one set of scores and for their fusion. If corners are
    aligned, the image is padded with the mean at its right and lower edges, as in the papers' code, to the next size
    that fits the network's grid (`Network.fitting`), and the scores are cropped.
    """
    owner = "predict"
    params, state = _weights(network, params)
    dtype = np.asarray(next(iter(params.values()))).dtype.type
    x = prepare(image, network.preprocessing, dtype)
    size = x.shape[2:]
    scales = [
        _check.number(owner, f"scales[{i}]", s, above=0, below=1e6)
        for i, s in enumerate(np.atleast_1d(scales).tolist())
    ]
    if not scales:
        raise ParameterError(f"{owner}: scales must be positive numbers, at least one, got {scales}.")
    if len(scales) > 1 or flip:
        params = network.prepare(params)
    fused, seen = None, 0
    for scale in scales:
        at = tuple(int((n - 1) * scale + 1e-9) + 1 for n in size)
        _check.small_enough(owner, "the image in one of these scales,", (3, *at))
        scaled = x if at == size else resize_bilinear(x, at)
        for mirrored in (False, True) if flip else (False,):
            scores = _scores(network, params, state, scaled[..., ::-1] if mirrored else scaled)
            if mirrored:
                scores = scores[..., ::-1]
            scores = np.ascontiguousarray(scores) if at == size else resize_bilinear(scores, size)
            if scores.shape[1] == 1:
                # The softmax of (0, s) is the sigmoid of s.
                scores = np.concatenate([np.zeros_like(scores), scores], 1)
            if network.fusion == "max":
                fused = scores if fused is None else np.maximum(fused, scores, out=fused)
            else:
                p = softmax_forward(scores)[0]
                fused = p if fused is None else np.add(fused, p, out=fused)
            seen += 1
    if network.fusion == "max":
        return softmax_forward(fused)[0][0]
    return (fused / seen)[0]


@public
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
        Refine the probabilities with the fully connected CRF and these parameters (`CRF_PRESETS`), as v1 and v2 do.

    Returns
    -------
    Segmentation
        ``labels`` (H, W), uint8 if there are at most 256 classes, and ``probabilities`` (classes, H, W); background
        and foreground if the network has one class.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `predict` and `dense_crf`.

    Examples
    --------
    >>> network = build("tiny_torchvision_deeplabv3_resnet50", classes=3)
    >>> found = segment(np.zeros((33, 41, 3), np.uint8), network, network.init(np.random.default_rng(0)))
    >>> found.labels.shape, found.probabilities.shape
    ((33, 41), (3, 33, 41))
    """
    probabilities = predict(image, network, params, scales=scales, flip=flip)
    if crf is not None:
        photo = levels("segment", image)
        probabilities = dense_crf(probabilities, photo, crf, intensity_scale=1)
    labels = probabilities.argmax(0)
    return Segmentation(labels.astype(np.uint8) if len(probabilities) <= 256 else labels, probabilities)
