"""Measure a network on labelled images: what `atrous evaluate` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from atrous.crf.params import CRFParams
from atrous.metrics import class_accuracy, class_iou, confusion_matrix, frequency_weighted_iou, mean_iou, pixel_accuracy
from atrous.nets.network import Network
from atrous.nets.segmentation import segment
from atrous.trimap import trimap_confusion

# DeepLab v1 and v2 draw bands of 1 to 40 pixels.
WIDTHS = (1, 2, 3, 5, 10, 20, 30, 40)


def evenly(count: int, most: int) -> range:
    """Return at most `most` of `count` numbers, from 0 on in equal steps."""
    return range(0, count, max(1, -(-count // most)))


def _percent(value):
    return "–" if np.isnan(value) else f"{value:.2%}"


def measure_lines(found: dict[str, Any], names: Sequence[str]) -> list[str]:
    """Return the measures that `evaluate` found as lines of text, a row for each class."""
    width = max(5, *map(len, names))
    lines = [f"{'class':<{width}}  {'IoU':>7}  {'accuracy':>8}"]
    for name, c in zip(names, found["classes"], strict=False):
        lines.append(f"{name:<{width}}  {_percent(c['iou']):>7}  {_percent(c['accuracy']):>8}")
    lines += [
        "",
        f"mean IoU {found['mean_iou']:.2%}, pixel accuracy {found['pixel_accuracy']:.2%}, class accuracy "
        f"{found['class_accuracy']:.2%}, frequency-weighted IoU {found['frequency_weighted_iou']:.2%}",
    ]
    for band in found["trimap"]:
        unit = "pixel" if band["width"] == 1 else "pixels"
        lines.append(f"within {band['width']} {unit} of a boundary: mean IoU {band['mean_iou']:.2%}")
    return lines


def evaluate(
    network: Network,
    params,
    samples: Sequence[Any],
    *,
    crf: str | CRFParams | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    widths: Sequence[int] = (),
    most: int | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Return the measures of a network on all samples, counted together, as plain values.

    Parameters
    ----------
    network, params, crf, scales, flip
        As for `segment`.
    samples : sequence of (image, labels)
        Labels at the size of the image, 255 where there is none.
    widths : sequence of int
        Bands around void pixels within which the mean IoU is measured too; () leaves them out.
    most : int, optional
        Measure on at most so many images, evenly chosen.
    tell : callable
        Called with (done, total).
    """
    classes = max(network.classes, 2)
    matrix, bands = np.zeros((classes, classes), np.int64), np.zeros((len(widths), classes, classes), np.int64)
    chosen = evenly(len(samples), most or len(samples))
    for done, i in enumerate(chosen, start=1):
        image, labels = samples[i]
        found = segment(image, network, params, crf, scales=scales, flip=flip).labels
        matrix += confusion_matrix(found, labels, classes)
        if len(widths):
            bands += trimap_confusion(found, labels, classes, widths)
        if tell:
            tell(done, len(chosen))
    accuracy, iou = class_accuracy(matrix), class_iou(matrix)
    return {
        "images": len(chosen),
        "mean_iou": mean_iou(matrix),
        "pixel_accuracy": pixel_accuracy(matrix),
        "class_accuracy": float(np.nanmean(accuracy)) if matrix.any() else float("nan"),
        "frequency_weighted_iou": frequency_weighted_iou(matrix),
        "classes": [{"iou": float(i), "accuracy": float(a)} for i, a in zip(iou, accuracy, strict=True)],
        "trimap": [{"width": int(w), "mean_iou": mean_iou(m)} for w, m in zip(widths, bands, strict=True)],
        "confusion": matrix.tolist(),
    }
