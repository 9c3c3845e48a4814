"""Preparing images as each framework did for its networks.

Role: public functions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.errors import DTypeError, ParameterError, ShapeError


class Preparation(NamedTuple):
    """x = (level·scale − mean) / deviation, for levels 0 to 255 and channels in the order of `channels`."""

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


def affine(name):
    """Return (gain, offset) of a preparation, with red first: x = level·gain + offset."""
    how = PREPARATIONS[name]
    mean, deviation = (np.array(v[::-1] if how.channels == "BGR" else v) for v in (how.mean, how.deviation))
    return how.scale / deviation, -mean / deviation


def levels(owner: str, image: Array) -> FloatArray:
    """Return an image of any usual kind as (H, W, 3) float32 in levels from 0 to 255.

    Parameters
    ----------
    owner : str
        The function named in error messages.
    image : ndarray of shape (H, W) or (H, W, channels)
        1 to 4 channels, as uint8, as uint16 (65535 becomes 255), or as floats in levels from 0 to 255. Grey is copied
        to three channels; alpha is dropped.
    """
    image = _check.real_array(owner, "image", image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 2, 3, 4):
        fix = (
            " For channels first use np.moveaxis(image, 0, -1)." if image.ndim == 3 and image.shape[0] in (1, 3) else ""
        )
        raise ShapeError(
            f"{owner}: image must be (H, W) or (H, W, channels) with 1 to 4 channels, got {image.shape}.{fix}"
        )
    if image.dtype == np.uint16:
        found = image / np.float32(257)
    elif image.dtype == np.uint8:
        found = image.astype(np.float32)
    elif image.dtype.kind == "f":
        low, high = float(image.min()), float(image.max())
        if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > 255 or 0 < high <= 1:
            raise ParameterError(
                f"{owner}: an image of floats must have levels from 0 to 255, got {low:.3g} to {high:.3g}. "
                "If they are fractions of 1, pass 255 * image."
            )
        found = image.astype(np.float32)
    else:
        raise DTypeError(
            f"{owner}: image must be uint8, uint16 or floats in levels from 0 to 255, got {image.dtype}. Convert it "
            "with image.astype(np.uint8)."
        )
    return np.repeat(found[..., :1], 3, axis=2) if found.shape[2] < 3 else found[..., :3]


@public
def prepare(image: Array, preprocessing: str, dtype: type = np.float32) -> FloatArray:
    """Return an image in the form that a network expects.

    Parameters
    ----------
    image : ndarray of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)
        uint8, uint16, or floats in levels from 0 to 255; red first.
    preprocessing : {"caffe", "torchvision", "slim", "xception"}
        A network's `preprocessing`: Caffe's mean in BGR, ImageNet's mean and deviation, TensorFlow's mean in RGB, or
        levels scaled to −1 … 1.
    dtype : float32 or float64

    Returns
    -------
    ndarray of shape (1, 3, H, W)

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Another kind of image, or an unknown preprocessing.

    Examples
    --------
    >>> prepare(np.full((2, 2, 3), 255, np.uint8), "xception")[0, :, 0, 0]
    array([1., 1., 1.], dtype=float32)
    """
    _check.one_of("prepare", "preprocessing", preprocessing, tuple(PREPARATIONS))
    return prepare_levels(levels("prepare", image)[None], preprocessing, dtype)


def prepare_levels(images: FloatArray, preprocessing: str, dtype: type = np.float32) -> FloatArray:
    """Return images in levels from 0 to 255, (N, H, W, 3) with red first, as `prepare` would: (N, 3, H, W)."""
    how, dtype = PREPARATIONS[preprocessing], np.dtype(dtype).type
    found = images.astype(dtype, copy=False)
    if how.channels == "BGR":
        found = found[..., ::-1]
    found = (found * dtype(how.scale) - np.array(how.mean, dtype)) / np.array(how.deviation, dtype)
    return np.ascontiguousarray(found.transpose(0, 3, 1, 2))
