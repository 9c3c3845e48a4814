"""Joint upsampling: scores of a coarse grid, enlarged along the edges of the full image.

The coarse samples and the pixels are points of one lattice, by position and colour. The samples splat their values, all
points take part in the blur, and the pixels slice: each gets a mean of the samples that are near and look like it.

Role: public function.

References
----------
Kopf et al., "Joint Bilateral Upsampling", ACM Trans. Graphics 26(3), 2007; Adams, Baek, Davis 2010, Section 5.2. That
splatting and slicing need not use the same points: Krähenbühl's and Koltun's code of 2011 (BipartiteDenseCRF).
"""

from __future__ import annotations

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.crf import layout
from atrous.crf.pairwise import bilateral_pairwise
from atrous.errors import ShapeError
from atrous.lattice.build import build_lattice
from atrous.lattice.splat_blur_slice import lattice_filter
from atrous.layers.resize import resize_bilinear

SPACINGS = 1.5
SIGMA_COLOR = 18.0
# What the bilinear value counts beside the samples' weights, which are about one where a sample looks like the pixel.
BILINEAR = 0.01


@public
def joint_upsample(
    values: FloatArray, image: Array, sigma_space: float | None = None, sigma_color: float = SIGMA_COLOR
) -> FloatArray:
    """Enlarge values to the size of an image along its edges.

    Parameters
    ----------
    values : ndarray of shape (V, h, w), float32 or float64
        Scores or probabilities on a coarse grid, corners aligned with those of the image, as DeepLab's are.
    image : ndarray of shape (H, W, C) or (H, W), any real dtype
        In levels 0–255.
    sigma_space : float, optional
        Standard deviation of position in pixels; by default one and a half times the distance of the samples.
    sigma_color : float
        Standard deviation of colour in levels: about what an object varies by, noise included.

    Returns
    -------
    ndarray of shape (V, H, W)
        Weighted means of the values, so probabilities stay probabilities. Where no sample is near in position and
        colour, the bilinear value takes over.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Arguments that do not fit, or a grid larger than the image.

    Notes
    -----
    Cost: one lattice and one filter, about as long as two steps of mean field.

    Examples
    --------
    >>> image = np.zeros((9, 9))
    >>> image[:, 6:] = 200
    >>> left = np.array([[[1.0, 0.0], [1.0, 0.0]]])
    >>> joint_upsample(left, image)[0, 4].round(1).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    """
    owner = "joint_upsample"
    values = _check.float_array(owner, "values", values)
    image = _check.real_array(owner, "image", image)
    if image.ndim == 2:
        image = image[..., None]
    if values.ndim != 3 or image.ndim != 3 or 0 in values.shape or not all(
        1 <= n <= m for n, m in zip(values.shape[1:], image.shape[:2], strict=True)
    ):  # fmt: skip
        raise ShapeError(
            f"{owner}: values must be (channels, h, w) and image (H, W, C) with H ≥ h and W ≥ w, got {values.shape} "
            f"and {image.shape}."
        )
    (channels, *coarse), size = values.shape, image.shape[:2]
    spacing = [(m - 1) / (n - 1) if n > 1 else float(m) for n, m in zip(coarse, size, strict=True)]
    sigmas = [SPACINGS * s for s in spacing] if sigma_space is None else sigma_space
    fine = bilateral_pairwise(image, sigmas, sigma_color, 1.0, dtype=values.dtype).features
    planes = np.ascontiguousarray(np.moveaxis(image, -1, 0), values.dtype)
    seen = np.moveaxis(resize_bilinear(planes, coarse, align_corners=True), 0, -1)
    few = bilateral_pairwise(seen, sigmas, sigma_color, 1.0, spacing=spacing, dtype=values.dtype).features
    order = layout.strip_order(size)
    points = np.concatenate([fine[order], few])
    splatted = np.zeros((len(points), channels + 1), values.dtype)
    splatted[len(order) :, :channels] = values.reshape(channels, -1).T
    splatted[len(order) :, channels] = 1
    found = lattice_filter(build_lattice(points), splatted)[: len(order)]
    bilinear = resize_bilinear(values, size, align_corners=True).reshape(channels, -1)
    out, kept = np.empty_like(bilinear), values.dtype.type(BILINEAR)
    out[:, order] = (found[:, :channels].T + kept * bilinear[:, order]) / (found[:, channels] + kept)
    return out.reshape(channels, *size)
