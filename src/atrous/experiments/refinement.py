"""Ways to refine a network's probabilities, with parameters that are searched on scenes of their own.

    none            the most probable label
    grid            four neighbours, Potts
    grid, contrast  the same, weaker across edges of the image
    given, dense, fitted
                    fully connected, with parameters as they are, searched, or fitted to the likelihood by gradients
    segments        one label for each of the image's watershed segments, by vote
    best segments   the same, by vote of the truth: what no labelling of these segments can beat

The search is the papers': a grid, then two finer ones around its best point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from atrous.compose.crf_layer import CRFLayer
from atrous.crf.dense import dense_crf
from atrous.crf.fit import fit_crf
from atrous.crf.grid import grid_crf
from atrous.crf.params import CRFParams
from atrous.crf.search import Round, coarse_to_fine, search_crf
from atrous.crf.unary import unary_from_probabilities
from atrous.data.classes import SCENE_CLASSES
from atrous.metrics import class_iou, confusion_matrix, mean_iou
from atrous.nets.segmentation import predict
from atrous.trimap import trimap_confusion

BANDS = (1, 2, 4)
SEARCHED = 20
"""Scenes on which parameters are chosen; they are none of those that are measured."""
RANGES: dict[str, dict[str, Sequence[float]]] = {
    "grid": {"weight": (0.25, 0.5, 1, 2, 4)},
    "grid, contrast": {"weight": (0.5, 1, 2, 4, 8), "sigma": (5, 10, 20, 40)},
    "dense": {"bilateral_weight": (2, 8, 32, 128), "sigma_alpha": (5, 10, 20, 40), "sigma_beta": (3, 6, 12, 24)},
}
"""The first round; for images a fifth of the papers' size, σα is a fifth too."""
DENSE = CRFParams(4.0, 20.0, 12.0, 3.0, 3.0, 10, "after")


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
    if way in {"given", "dense", "fitted"}:
        return dense_crf(probabilities, image, DENSE._replace(**chosen), intensity_scale=1).argmax(0)
    if "segments" in way:
        votes = probabilities
        if way.startswith("best"):
            votes = np.stack([labels == label for label in range(len(SCENE_CLASSES))]).astype(float)
        return voted(segments(image, chosen["side"]), votes)
    contrast = "sigma" in chosen
    return grid_crf(unary_from_probabilities(probabilities), image if contrast else None, **chosen).argmax(0)


def counted(labelled, bands=()):
    """Return the confusion of pairs (labels found, labels), all together and near boundaries."""
    classes = len(SCENE_CLASSES)
    matrix, near = np.zeros((classes, classes), np.int64), np.zeros((len(bands), classes, classes), np.int64)
    for found, labels in labelled:
        matrix += confusion_matrix(found, labels, classes)
        if bands:
            near += trimap_confusion(found, labels, classes, bands)
    return matrix, near


def confusions(seen, way, chosen, bands=()):
    """Return the confusion of scenes (probabilities, image, labels) that are refined in one way, as `counted`."""
    return counted(((refined(way, p, image, labels, chosen), labels) for p, image, labels in seen), bands)


def measures_of(matrix, near):
    """Return mean IoU, IoU of each class and mean IoU near boundaries (BANDS) in per cent."""
    found = {"mean_iou": mean_iou(matrix), **dict(zip(SCENE_CLASSES, class_iou(matrix).tolist(), strict=True))}
    found |= {f"within_{width}": mean_iou(m) for width, m in zip(BANDS, near, strict=True)}
    return {name: 100 * float(value) for name, value in found.items()}


def search(seen, way: str, rounds: int = 3) -> list[Round]:
    """Return the rounds of the search for the parameters with the best mean IoU."""
    ranges = RANGES[way]
    if way == "dense":
        probabilities, images, labels = zip(*seen, strict=True)
        return search_crf(images, probabilities, labels, DENSE, ranges=ranges, rounds=rounds, intensity_scale=1).rounds

    def scores(points):
        options = (dict(zip(ranges, point, strict=True)) for point in points)
        return [mean_iou(confusions(seen, way, chosen)[0]) for chosen in options]

    return list(coarse_to_fine(scores, ranges, rounds))


def measured(network, weights, samples, *, way="none", **fixed) -> dict[str, Any]:
    """Return the measures of one way, in per cent, its parameters and the rounds of their search.

    `fixed` are parameters that are not searched.
    """
    seen = [(predict(image, network, weights), image, labels) for image, labels in samples]
    rounds = search(seen[:SEARCHED], way) if way in RANGES else []
    chosen = {**(rounds[-1].best if rounds else {}), **fixed}
    if way == "fitted":
        probabilities, images, truths = zip(*seen[:SEARCHED], strict=True)
        chosen = fit_crf(images, probabilities, truths, DENSE, intensity_scale=1).params._asdict()
    found: dict[str, Any] = measures_of(*confusions(seen[SEARCHED:], way, chosen, BANDS))
    if isinstance(network.body, CRFLayer):
        params, matrix = network.body.learned(weights)
        found |= {name: getattr(params, name) for name in RANGES["dense"]} | {"compatibility": matrix.round(3).tolist()}
    if way in {"given", "dense", "fitted"}:
        found |= {name: getattr(DENSE._replace(**chosen), name) for name in RANGES["dense"]}
        if rounds and not fixed:
            found["search"] = [{**r._asdict(), "scores": r.scores.round(5).tolist()} for r in rounds]
    return found
