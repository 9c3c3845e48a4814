"""Ways to refine a network's probabilities, with parameters that are searched on scenes of their own.

    none            the most probable label
    grid            four neighbours, Potts
    grid, contrast  the same, weaker across edges of the image
    dense           fully connected
    segments        one label for each of the image's watershed segments, by vote
    best segments   the same, by vote of the truth: what no labelling of these segments can beat

The search is the papers', coarse to fine and one parameter at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from atrous.crf.dense import dense_crf
from atrous.crf.grid import grid_crf
from atrous.crf.params import CRFParams
from atrous.crf.unary import unary_from_probabilities
from atrous.data.classes import SCENE_CLASSES
from atrous.metrics import class_iou, confusion_matrix, mean_iou
from atrous.nets.segmentation import predict
from atrous.trimap import trimap_confusion

BANDS = (1, 2, 4)
SEARCHED = 20
"""Scenes on which parameters are chosen; they are none of those that are measured."""
STARTS = {
    "grid": {"weight": 1.0},
    "grid, contrast": {"weight": 2.0, "sigma": 20.0},
    "dense": {"w1": 4.0, "sigma_alpha": 20.0, "sigma_beta": 12.0},
}


def segments(image, side):
    """Return the number of each pixel's segment: SciPy's watershed from a grid of markers, one in `side`² pixels.

    A segment grows where the smoothed grey levels change least from pixel to pixel.
    """
    from scipy.ndimage import gaussian_filter, watershed_ift

    smooth = gaussian_filter(image @ np.array([0.299, 0.587, 0.114]), 0.7)
    markers = np.zeros(image.shape[:2], np.int32)
    markers[side // 2 :: side, side // 2 :: side] = 1
    markers[markers > 0] = np.arange(1, int(markers.sum()) + 1)
    return watershed_ift((64 * smooth).astype(np.uint16), markers)


def voted(numbers, votes):
    """Return the label with most votes (L, H, W) in each segment, at every pixel."""
    flat, count = numbers.ravel(), int(numbers.max()) + 1
    sums = np.stack([np.bincount(flat, layer.ravel(), count) for layer in votes])
    return sums.argmax(0)[numbers]


def refined(way: str, probabilities, image, labels, chosen: Mapping[str, Any]):
    """Return the labels of one scene."""
    if way == "none":
        return probabilities.argmax(0)
    if way == "dense":
        params = CRFParams(
            chosen["w1"], chosen["sigma_alpha"], chosen["sigma_beta"], 3.0, 3.0, chosen.get("iterations", 10), "after"
        )
        return dense_crf(probabilities, image, params, intensity_scale=1).argmax(0)
    if "segments" in way:
        votes = probabilities
        if way.startswith("best"):
            votes = np.stack([labels == label for label in range(len(SCENE_CLASSES))]).astype(float)
        return voted(segments(image, chosen["side"]), votes)
    contrast = "sigma" in chosen
    return grid_crf(unary_from_probabilities(probabilities), image if contrast else None, **chosen).argmax(0)


def confusions(seen, way, chosen, bands=()):
    """Return the confusion of scenes (probabilities, image, labels), all together and near boundaries."""
    classes = len(SCENE_CLASSES)
    matrix, near = np.zeros((classes, classes), np.int64), np.zeros((len(bands), classes, classes), np.int64)
    for probabilities, image, labels in seen:
        found = refined(way, probabilities, image, labels, chosen)
        matrix += confusion_matrix(found, labels, classes)
        if bands:
            near += trimap_confusion(found, labels, classes, bands)
    return matrix, near


def search(seen, way: str, rounds: int = 2) -> dict[str, float]:
    """Return the parameters with the best mean IoU: each changes by a factor of 2, in the next round by √2."""
    best = dict(STARTS[way])
    most = mean_iou(confusions(seen, way, best)[0])
    for factor in (2.0 ** (0.5**i) for i in range(rounds)):
        for name in STARTS[way]:
            for step in (1 / factor, factor):
                while True:
                    tried = {**best, name: best[name] * step}
                    found = mean_iou(confusions(seen, way, tried)[0])
                    if found <= most:
                        break
                    best, most = tried, found
    return best


def measured(network, weights, samples, *, way="none", **fixed) -> dict[str, float]:
    """Return the measures of one way, in per cent, and its parameters; `fixed` are those that are not searched."""
    seen = [(predict(image, network, weights), image, labels) for image, labels in samples]
    chosen = {**(search(seen[:SEARCHED], way) if way in STARTS else {}), **fixed}
    matrix, near = confusions(seen[SEARCHED:], way, chosen, BANDS)
    found = {"mean_iou": mean_iou(matrix)}
    found |= dict(zip(SCENE_CLASSES, class_iou(matrix).tolist(), strict=True))
    found |= {f"within_{width}": mean_iou(m) for width, m in zip(BANDS, near, strict=True)}
    found = {name: 100 * float(value) for name, value in found.items()}
    return found | {name: value for name, value in chosen.items() if name in STARTS["dense"]}
