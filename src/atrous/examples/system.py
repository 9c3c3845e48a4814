"""The whole system on a scene: network, coarse scores, bilinear interpolation, fully connected CRF."""

from typing import NamedTuple

from atrous import dense_crf, prepare, resize_bilinear, softmax_forward, trained
from atrous._types import Array, FloatArray


class System(NamedTuple):
    """One image on its way through DeepLab."""

    image: Array
    """(H, W, 3) uint8."""
    labels: Array
    """(H, W), the truth; 255 is void."""
    scores: FloatArray
    """(classes, h, w), at an eighth of the size."""
    enlarged: FloatArray
    """(classes, H, W), probabilities after bilinear interpolation."""
    refined: FloatArray
    """(classes, H, W), probabilities after the CRF."""


def whole_system(index=3, shapes=None):
    """Return the System of a held-out scene by the trained network, each stage by itself."""
    shapes = shapes or trained("shapes")
    image, labels = shapes.held_out[index]
    x = prepare(image, shapes.network.preprocessing)
    scores = shapes.network.endpoints(shapes.params, shapes.state, x)["low_logits"]
    enlarged = softmax_forward(resize_bilinear(scores, image.shape[:2]))[0][0]
    return System(image, labels, scores[0], enlarged, dense_crf(enlarged, image, shapes.crf, intensity_scale=1))
