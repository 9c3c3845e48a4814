"""Coarse scores enlarged bilinearly or along the image's edges, with and without the CRF (v2's Section 2, Figure 1)."""

import time

import numpy as np

from atrous.crf.dense import dense_crf
from atrous.crf.upsample import joint_upsample
from atrous.experiments.crf import LARGE_FOV
from atrous.experiments.design import Claim, Experiment, Row
from atrous.experiments.refinement import BANDS, DENSE, counted, measures_of
from atrous.layers.resize import resize_bilinear
from atrous.layers.softmax import softmax_forward
from atrous.nets.preparation import prepare

CRF = DENSE._replace(bilateral_weight=8.0, sigma_alpha=10.0, sigma_beta=6.0)


def measured(network, weights, samples, *, upsample="bilinear", crf=False):
    """Return the measures of one way, in per cent, and its milliseconds for a scene without those of the network."""
    params, state = network.split(weights)
    seconds, labelled = [], []
    for image, labels in samples:
        scores = network.endpoints(params, state, prepare(image, network.preprocessing))["low_logits"][0]
        begun = time.perf_counter()
        # Each is enlarged in the form that is better: scores bilinearly, probabilities along edges.
        if upsample == "bilinear":
            p = softmax_forward(resize_bilinear(scores, image.shape[:2], align_corners=True), axis=0)[0]
        else:
            p = joint_upsample(softmax_forward(scores, axis=0)[0], image)
        found = (dense_crf(p, image, CRF, intensity_scale=1) if crf else p).argmax(0)
        seconds.append(time.perf_counter() - begun)
        labelled.append((found, labels))
    return measures_of(*counted(labelled, BANDS)) | {"ms": 1e3 * float(np.median(seconds))}


EXPERIMENT = Experiment(
    title="From an eighth of the image to all of it",
    source="DeepLab v2, Sections 2 and 3.1, Figure 1; Kopf et al. 2007 for the edges",
    question="Bilinear interpolation and a CRF bring coarse scores to the image. Can one filter along its edges do it?",
    trainings={"LargeFOV": LARGE_FOV},
    rows=(
        Row("bilinear", "LargeFOV"),
        Row("bilinear, CRF", "LargeFOV", test={"crf": True}),
        Row("along edges", "LargeFOV", test={"upsample": "lattice"}),
        Row("along edges, CRF", "LargeFOV", test={"upsample": "lattice", "crf": True}),
    ),
    claims=(
        Claim("The CRF after bilinear interpolation", "bilinear, CRF", "bilinear"),
        Claim("Along edges against bilinear", "along edges", "bilinear", ours=True),
        Claim("Along edges alone against bilinear and CRF", "along edges", "bilinear, CRF", ours=True),
        Claim("The CRF after enlarging along edges", "along edges, CRF", "along edges", ours=True),
        Claim("Within a pixel of a boundary", "along edges", "bilinear", "within_1", ours=True),
    ),
    columns={"mean_iou": "mean IoU", "wire": "wire", "within_1": "within 1 px", "within_4": "4 px", "ms": "ms"},
    measure=measured,
    remark=(
        f"The CRF has w₁ = {CRF.bilateral_weight:g}, σα = {CRF.sigma_alpha:g} and σβ = {CRF.sigma_beta:g}, ten steps; "
        "nothing is searched. Times are those of one thread for a scene of 97 × 97, without the network. The papers do "
        "not enlarge along edges; what is compared with them is the first claim alone."
    ),
)  # fmt: skip
