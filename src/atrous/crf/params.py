"""Parameters of DeepLab's fully connected CRF, and presets with the sources of published ones.

Role: definition.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple


class CRFParams(NamedTuple):
    """Weights, standard deviations, iterations and normalisation of a CRF with two pairwise terms.

    E(x) = Σᵢ −log P(xᵢ) + Σ_{i<j} [xᵢ ≠ xⱼ] (w₁ exp(−|pᵢ−pⱼ|²/2σ_α² − |Iᵢ−Iⱼ|²/2σ_β²) + w₂ exp(−|pᵢ−pⱼ|²/2σ_γ²)),
    DeepLab v2, Sec. 3.3, Eq. (3). The defaults are those of the reference code's example program, with DeepLab's ten
    iterations; `CRF_PRESETS["densecrf"]` has the program's own five.
    """

    bilateral_weight: float = 10.0
    """w₁, of the Gaussian over position and colour."""
    sigma_alpha: float = 80.0
    """Pixels."""
    sigma_beta: float = 13.0
    """Colour levels, 0 to 255."""
    spatial_weight: float = 3.0
    """w₂, of the Gaussian over position alone."""
    sigma_gamma: float = 3.0
    """Pixels."""
    iterations: int = 10
    normalization: str = "symmetric"
    """"none", "before", "after" (DeepLab's released code) or "symmetric" (pydensecrf's default)."""


def _deeplab(bilateral_weight, sigma_alpha, sigma_beta, sigma_gamma=3.0):
    return CRFParams(bilateral_weight, sigma_alpha, sigma_beta, 3.0, sigma_gamma, 10, "after")


CRF_PRESETS = MappingProxyType({
    # DeepLab's released code divides by the sum of the Gaussian after filtering and runs ten steps.
    "deeplab-v1": _deeplab(5, 50, 10),
    "deeplab-v1-msc": _deeplab(3, 95, 3),
    "deeplab-v1-coco": _deeplab(5, 67, 3),
    "deeplab-v1-largefov": _deeplab(4, 121, 5),
    "deeplab-v1-msc-largefov": _deeplab(4, 83, 5),
    "deeplab-v1-coco-largefov": _deeplab(5, 69, 5),
    "deeplab-v1-msc-coco-largefov": _deeplab(4, 59, 5),
    "deeplab-v2-vgg16": _deeplab(4, 49, 5),
    "deeplab-v2-resnet101": _deeplab(4, 67, 3, sigma_gamma=1.0),
    "deeplab-densecrf-defaults": _deeplab(10, 60, 20),
    # Example program of Krähenbühl's and Koltun's code, and pydensecrf's.
    "densecrf": CRFParams(10, 80, 13, 3, 3, 5, "symmetric"),
    "crf-rnn": CRFParams(5, 160, 3, 3, 3, 10, "after"),
    # kazuto1011's PyTorch DeepLab uses pydensecrf with its default normalisation.
    "deeplab-pytorch": CRFParams(4, 67, 3, 3, 1, 10, "symmetric"),
    "deeplab-v1-pytorch": CRFParams(5, 140, 5, 3, 3, 10, "symmetric"),
    "heiwang": CRFParams(10, 60, 20, 3, 3, 10, "after"),
    "simplecrf": CRFParams(10, 80, 13, 3, 3, 5, "symmetric"),
})  # fmt: skip
