"""Example problems for the fully connected CRF, and mean field on them step by step."""

import itertools
from typing import NamedTuple

import numpy as np

from atrous import (
    CRFParams,
    Pairwise,
    bilateral_pairwise,
    class_iou,
    confusion_matrix,
    dense_crf,
    exact_marginals,
    free_energy,
    grid_crf,
    joint_upsample,
    make_scene,
    mean_field,
    resize_bilinear,
    spatial_pairwise,
    unary_from_labels,
    unary_from_probabilities,
)
from atrous._types import Array, FloatArray
from atrous.examples.photographs import PORTRAIT_PARAMS, portrait

SCORE_LIMIT = 12.0


class Refinement(NamedTuple):
    """Mean field on rough labels, step by step."""

    image: Array
    """(H, W, 3) uint8."""
    rough: Array
    """(H, W), the labels that it starts from."""
    unary: FloatArray
    """(L, H, W) energies."""
    pairwise: list[Pairwise]
    film: FloatArray
    """(T + 1, L, H, W): the marginals after 0, 1, …, T steps."""
    energies: FloatArray
    """(T + 1,): the free energy of each."""


def film_of(unary, pairwise, iterations, **options):
    """Return the marginals (T + 1, L, …) after 0…T steps of `mean_field`."""
    film = [mean_field(unary, pairwise, iterations=0)]
    mean_field(unary, pairwise, iterations=iterations, callback=lambda _, q: film.append(q), **options)
    return np.array(film)


def refine_rough(image=None, rough=None, params=PORTRAIT_PARAMS):
    """Return the Refinement of rough labels by the fully connected CRF; of the portrait if no image is given."""
    if image is None:
        image, rough, params = portrait()
    unary = unary_from_labels(rough, int(rough.max()) + 1, confidence=0.7)
    how = {"normalization": params.normalization}
    pairwise = [
        spatial_pairwise(rough.shape, params.sigma_gamma, params.spatial_weight, **how),
        bilateral_pairwise(image, params.sigma_alpha, params.sigma_beta, params.bilateral_weight, **how),
    ]
    film = film_of(unary, pairwise, params.iterations)
    energies = np.array([free_energy(q, unary, pairwise) for q in film])
    return Refinement(image, rough, unary, pairwise, film, energies)


def scores(marginals, label):
    """Return log Q(label) − log(1 − Q(label)), the score before the softmax up to a constant, within ±12."""
    others = np.delete(marginals, label, axis=0).sum(0)
    least = np.exp(-SCORE_LIMIT)
    return np.clip(np.log(np.maximum(marginals[label], least) / np.maximum(others, least)), -SCORE_LIMIT, SCORE_LIMIT)


def rising_problem():
    """Return (unary, term), float64, of points on a line for which the sum without the ½ rises during inference."""
    rng = np.random.default_rng(2096)
    features = np.sort(2 * rng.standard_normal(18))[:, None]
    return 3 * rng.standard_normal((2, 18)), Pairwise(features, 3.0, "none")


def energy_by_step(unary, pairwise, film, method="lattice"):
    """Return the free energy of each step, and the same sum without the ½ before the pairwise part."""
    energies = np.array([free_energy(q, unary, pairwise, method=method) for q in film])
    alone = np.array([free_energy(q, unary, []) for q in film])
    return energies, 2 * energies - alone


def rising_energies():
    """Return `energy_by_step` of the `rising_problem`."""
    unary, term = rising_problem()
    return energy_by_step(unary, term, film_of(unary, term, 12, method="exact"), "exact")


def short_range_labels(found):
    """Return the labels (H, W) of a Refinement's picture by the short-range CRF."""
    return grid_crf(found.unary, found.image, weight=3.0, sigma=20.0, neighbours=8).argmax(0)


class ThinScene(NamedTuple):
    """A picture of a thin object, its true labels, and the smooth probabilities that a network might give."""

    image: Array
    """(H, W, 3) uint8."""
    truth: Array
    """(H, W), labels 0 and 1."""
    probabilities: FloatArray
    """(2, H, W) float32."""


def thin_scene():
    """Return a ThinScene: a wheel with spokes on a post, seen by a network with output stride 8."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(0)
    height, width = (120, 152)
    picture = Image.new("L", (4 * width, 4 * height), 0)
    pen = ImageDraw.Draw(picture)
    centre, radius = np.array([2.0 * width, 1.7 * height]), 1.35 * height
    pen.ellipse((*(centre - radius), *(centre + radius)), outline=255, width=18)
    for angle in np.linspace(0, np.pi, 4, endpoint=False) + 0.3:
        end = radius * np.array([np.cos(angle), np.sin(angle)])
        pen.line((*(centre - end), *(centre + end)), fill=255, width=9)
    pen.ellipse((*(centre - 26), *(centre + 26)), fill=255)
    pen.rectangle((centre[0] - 11, centre[1], centre[0] + 11, 4 * height), fill=255)
    cover = np.asarray(picture.resize((width, height), Image.Resampling.BOX), float)[..., None] / 255
    y = np.linspace(0, 1, height)[:, None, None]
    ground = np.array([150.0, 190.0, 225.0]) * (1 - y) + np.array([215.0, 205.0, 160.0]) * y + np.zeros((1, width, 1))
    scene = (1 - cover) * ground + cover * np.array([120.0, 35.0, 30.0]) + 3 * rng.standard_normal((height, width, 3))
    coarse = cover[: height // 8 * 8, : width // 8 * 8, 0]
    coarse = coarse.reshape(height // 8, 8, -1, 8).mean((1, 3)) + 0.03 * rng.standard_normal((height // 8, width // 8))
    smooth = resize_bilinear(coarse, (120, 152), align_corners=False)
    p = (1 / (1 + np.exp(-12 * (smooth - 0.3)))).astype(np.float32)
    truth = (cover[..., 0] > 0.5).astype(np.int64)
    return ThinScene(np.clip(np.rint(scene), 0, 255).astype(np.uint8), truth, np.stack([1 - p, p]))


THIN_PARAMS = CRFParams(bilateral_weight=8.0, sigma_alpha=30.0, sigma_beta=25.0, spatial_weight=1.0, sigma_gamma=1.0)


def thin_results(scene=None):
    """Return {name: labels (H, W)} of a ThinScene: the scores alone, two short-range CRFs (cut), the full CRF."""
    from atrous import dense_crf

    scene = thin_scene() if scene is None else scene
    unary = unary_from_probabilities(scene.probabilities)
    return {
        "scores alone": scene.probabilities.argmax(0),
        "4 neighbours": grid_crf(unary, weight=1.0, method="cut"),
        "4 neighbours, contrast": grid_crf(unary, scene.image, weight=3.0, sigma=25.0, method="cut"),
        "fully connected": dense_crf(scene.probabilities, scene.image, THIN_PARAMS).argmax(0),
    }


def iou_of(labels, truth):
    """Return the intersection over union of label 1."""
    return float(class_iou(confusion_matrix(labels, truth, 2))[1])


def refined_labels(image, rough, params=PORTRAIT_PARAMS):
    """Return the labels (H, W) that `dense_crf` computes from rough ones."""
    from atrous import dense_crf

    unary = unary_from_labels(rough, int(rough.max()) + 1, confidence=0.7)
    return dense_crf(np.exp(-unary), image, params).argmax(0)


def labels_by_width(alphas, betas, image=None, rough=None):
    """Return {(σ_α, σ_β): labels (H, W)} of `dense_crf`, and the rough labels; a small portrait by default."""
    if image is None:
        image, rough, _ = portrait(128)
    pairs = [(alpha, beta) for alpha in alphas for beta in betas]
    return {(a, b): refined_labels(image, rough, CRFParams(sigma_alpha=a, sigma_beta=b)) for a, b in pairs}, rough


def tiny_problem(weight=0.8, size=(3, 3), seed=0):
    """Return (unary, term), float64, of a grid so small that its labellings can be enumerated."""
    unary = 1.2 * np.random.default_rng(seed).standard_normal((2, *size))
    return unary, spatial_pairwise(size, 1.0, weight, normalization="none", dtype=np.float64)


def tiny_marginals(weight, seed=0, **options):
    """Return the marginals (L, H, W) of a `tiny_problem`: the exact ones, and mean field's."""
    unary, term = tiny_problem(weight, seed=seed, **options)
    found = mean_field(unary, term, iterations=100, method="exact", self_message=False, update="sequential")
    return exact_marginals(unary, term)[0], found


class EnlargedLabels(NamedTuple):
    """Labels of a coarse grid, enlarged in two ways."""

    image: Array
    """(H, W, 3) uint8."""
    coarse: Array
    """(H, W): the labels of the coarse grid, each repeated over its pixels."""
    bilinear: Array
    joint: Array
    truth: Array


def enlarged_labels(seed=3, size=97, stride=8):
    """Return the EnlargedLabels of a drawn scene: true labels at every eighth pixel, void taken as background."""
    image, labels = make_scene(np.random.default_rng([21, seed]), size=size)
    truth = np.where(labels == 255, 0, labels)
    coarse = truth[::stride, ::stride]
    shares = 1.0 * (coarse == np.arange(6)[:, None, None])
    bilinear = resize_bilinear(shares, truth.shape, align_corners=True)
    rows, columns = (np.minimum((np.arange(n) + stride // 2) // stride, len(coarse) - 1) for n in truth.shape)
    return EnlargedLabels(
        image, coarse[rows][:, columns], bilinear.argmax(0), joint_upsample(shares, image).argmax(0), truth
    )


def kept_of_wire(contrast, params, *, size=64, width=2, noise=8.0, seed=0):
    """Return the share of a thin wire's pixels that the CRF leaves in place, from labels that are right but unsure.

    The wire crosses a flat background `contrast` levels darker; both have noise of `noise` levels.
    """
    rng = np.random.default_rng(seed)
    wire = np.zeros((size, size), bool)
    wire[size // 2 : size // 2 + width] = True
    image = 100 + contrast * wire[..., None] + noise * rng.standard_normal((size, size, 3))
    sure = np.clip(0.65 + 0.1 * rng.standard_normal((size, size)), 0.51, 0.95)
    p = np.where(wire, sure, 1 - sure)
    found = dense_crf(np.stack([1 - p, p]), image, params, intensity_scale=1).argmax(0)
    return float(found[wire].mean())


def window_over_scene(frames=12, size=64, seed=9, noise=1.0):
    """Return (probabilities, image, labels) of each frame: a window moves a pixel a frame over a drawn scene.

    Scores and colours have new noise in every frame, as a network and a camera have.
    """
    rng = np.random.default_rng(seed)
    image, labels = make_scene(np.random.default_rng([22, seed]), size=size + frames)
    labels = np.where(labels == 255, 0, labels)
    found = []
    for i in range(frames):
        seen = np.s_[:size, i : i + size]
        scores_ = 1.5 * (labels[seen] == np.arange(6)[:, None, None]) + noise * rng.standard_normal((6, size, size))
        q = np.exp(scores_ - scores_.max(0))
        picture = np.clip(image[seen] + 4 * rng.standard_normal((size, size, 3)), 0, 255)
        found.append(((q / q.sum(0)).astype(np.float32), picture, labels[seen]))
    return found


def flicker(labelled):
    """Return the share of pixels whose label changes from a frame to the next, at the same place of the scene."""
    return float(np.mean([(a[:, 1:] != b[:, :-1]).mean() for a, b in itertools.pairwise(labelled)]))
