"""Learning a CRF: gradients of losses, sigmas and image, and parameters that are found again."""

import numpy as np
import pytest
from crf.test_gradient import quotient
from tolerances import relative_error

import atrous
from atrous import (
    CRFParams,
    Scenes,
    bilateral_backward,
    bilateral_pairwise,
    fit_crf,
    mean_field,
    mean_field_backward,
    mean_field_forward,
    spatial_backward,
    spatial_pairwise,
)
from atrous.crf.fit import _one
from atrous.crf.marginal_loss import (
    iou_loss_backward,
    iou_loss_forward,
    likelihood_loss_backward,
    likelihood_loss_forward,
)

TRUE = CRFParams(4.0, 6.0, 15.0, 1.5, 2.0, 5, "after")


def scene(seed, size=(22, 26), classes=3):
    """Return an image of a few noisy patches, weak probabilities for them, and their labels."""
    rng = np.random.default_rng(seed)
    centres, colours = rng.uniform(0, 1, (6, 2)) * size, rng.uniform(30, 220, (6, 3))
    grid = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1)
    patch = ((grid[:, :, None] - centres) ** 2).sum(-1).argmin(-1)
    image = np.clip(colours[patch] + 8 * rng.standard_normal((*size, 3)), 0, 255)
    labels = patch % classes
    logits = 0.8 * (labels == np.arange(classes)[:, None, None]) + 0.9 * rng.standard_normal((classes, *size))
    return image, atrous.softmax_forward(logits, axis=0)[0], labels


@pytest.mark.parametrize("pair", [(likelihood_loss_forward, likelihood_loss_backward),
                                  (iou_loss_forward, iou_loss_backward)])  # fmt: skip
@pytest.mark.parametrize("kind", ["labels", "shares"])
def test_losses(pair, kind, rng):
    forward, backward = pair
    q = rng.dirichlet(np.ones(4), (5, 6)).transpose(2, 0, 1)
    labels = rng.integers(0, 3, (5, 6))  # label 3 does not occur
    labels[1, 2:4] = 255
    if kind == "shares":
        labels = rng.dirichlet(np.ones(4), (5, 6)).transpose(2, 0, 1)
    atrous.assert_gradients(lambda q: forward(q, labels), lambda dy, cache: dy * backward(cache), [q], rtol=1e-6)


def test_what_the_losses_are(rng):
    q, labels = rng.dirichlet(np.ones(3), 40).T, rng.integers(0, 3, 40)
    expected = -np.log(q[labels, np.arange(40)]).mean()
    assert likelihood_loss_forward(q, labels)[0] == pytest.approx(expected)
    hard = np.eye(3)[:, q.argmax(0)]
    iou = atrous.mean_iou(atrous.confusion_matrix(q.argmax(0), labels, 3))
    assert iou_loss_forward(hard, labels)[0] == pytest.approx(1 - iou)
    with pytest.raises(atrous.ParameterError, match="every point has the label 255"):
        likelihood_loss_forward(q, np.full(40, 255))
    with pytest.raises(atrous.ParameterError, match="labels must be 0…2 or 255, got 0…7"):
        iou_loss_forward(q, np.append(labels[1:], 7))


@pytest.mark.parametrize("sigmas", [(3.0, 20.0, 2.0), ((3.0, 4.0), (20.0, 25.0, 30.0), (2.0, 3.0))])
def test_sigmas_and_image(sigmas, rng):
    image, p, _ = scene(3, (7, 6))
    unary, (space, color, smooth) = -np.log(p), sigmas
    d = rng.standard_normal(unary.shape)

    def terms(image=image, space=space, color=color, smooth=smooth):
        return [bilateral_pairwise(image, space, color, 3.0, dtype=np.float64),
                spatial_pairwise((7, 6), smooth, 1.0, dtype=np.float64)]  # fmt: skip

    def loss(**changes):
        return np.vdot(mean_field(unary, terms(**changes), iterations=3, method="exact"), d)

    first = terms()
    grads = mean_field_backward(d, mean_field_forward(unary, first, iterations=3, method="exact")[1])
    found = bilateral_backward(grads.features[0], first[0], image.shape, space, color)
    smoothed = spatial_backward(grads.features[1], first[1], smooth)
    for name, value, gradient in (
        ("image", image, found.image), ("space", space, found.sigma_space), ("color", color, found.sigma_color),
        ("smooth", smooth, smoothed),
    ):  # fmt: skip
        expected = quotient(lambda v, name=name: loss(**{name: v}), np.asarray(value, float))
        assert relative_error(np.asarray(gradient), expected) <= 1e-6, name


def test_how_far_the_lattices_gradients_are_from_the_exact_ones():
    """On a scene of 49 × 49: weights are near, σα and σβ are not, as the notes of `fit_crf` say."""
    image, labels = Scenes(1, seed=4, size=49, wires=0)[0]
    rng = np.random.default_rng(0)
    truth = np.stack([labels == i for i in range(6)]) + 0.8 * rng.random((6, 49, 49))
    unary = -np.log(truth / truth.sum(0))
    params, found = TRUE._replace(sigma_alpha=10.0), {}
    for method in ("lattice", "exact"):
        _, grads = _one(image.astype(float), unary, labels, params, None, method, 255, np.float64)
        found[method] = {name: grads[name] * getattr(params, name) for name in grads}
    for name in ("bilateral_weight", "spatial_weight"):
        assert found["lattice"][name] == pytest.approx(found["exact"][name], rel=0.1), name
    assert found["lattice"]["sigma_gamma"] == pytest.approx(found["exact"]["sigma_gamma"], rel=0.3)
    assert found["lattice"]["sigma_beta"] * found["exact"]["sigma_beta"] < 0


def planted(seeds, truth, matrix=None, method="exact"):
    images, probabilities, _ = zip(*(scene(s) for s in seeds), strict=True)
    costs = 1.0 if matrix is None else matrix
    options = {"normalization": "after", "dtype": np.float64}

    def terms(image):
        return [bilateral_pairwise(image, 6.0, 15.0, 4.0 * costs, **options),
                spatial_pairwise(image.shape[:2], 2.0, 1.5 * costs, **options)]  # fmt: skip

    targets = [
        mean_field(-np.log(p), terms(image), iterations=truth.iterations, method=method)
        for image, p in zip(images, probabilities, strict=True)
    ]
    return images, probabilities, targets


def test_planted_parameters_are_found():
    images, probabilities, targets = planted((1, 2), TRUE)
    start = CRFParams(1.5, 12.0, 30.0, 3.0, 1.2, 5, "after")
    told = []
    found = fit_crf(images, probabilities, targets, start, method="exact", dtype=np.float64, steps=80,
                    tell=lambda *args: told.append(args))  # fmt: skip
    for name in ("bilateral_weight", "sigma_alpha", "sigma_beta", "spatial_weight", "sigma_gamma"):
        assert getattr(found.params, name) == pytest.approx(getattr(TRUE, name), rel=0.1), name
        assert found.moved[name] == (getattr(start, name), getattr(found.params, name))
    assert found.loss < found.loss_before
    assert [loss for _, loss, _ in told] == found.history
    assert found.history[-1] == pytest.approx(found.loss)
    assert found.params.iterations == 5
    assert found.compatibility is None


def test_a_planted_compatibility_is_found():
    """Costs are known up to what softmax does not see: the same number for all labels of a row and its column."""
    matrix = np.array([[0.0, 1.5, 0.4], [1.5, 0.0, 1.0], [0.4, 1.0, 0.0]])
    images, probabilities, targets = planted((1, 2), TRUE, matrix)
    found = fit_crf(images, probabilities, targets, TRUE, what="compatibility", method="exact", dtype=np.float64)

    def seen(costs):
        """Return what mean field depends on: differences between rows, which a constant does not change."""
        return costs - costs.mean(0) - costs.mean(1)[:, None] + costs.mean()

    assert found.params == TRUE
    assert np.abs(seen(found.compatibility) - seen(matrix)).max() < 0.05
    q = mean_field(-np.log(probabilities[0]), found.terms(images[0], np.float64), iterations=5, method="exact")
    assert np.abs(q - targets[0]).max() < 0.02


@pytest.mark.slow
def test_a_wrong_start_is_mended_on_the_lattice():
    """From widths and weights far off, the likelihood of labels of images that were not seen rises."""
    data = [scene(s) for s in range(8)]
    train, test = zip(*data[:4], strict=True), list(zip(*data[4:], strict=True))
    start = CRFParams(0.3, 30.0, 80.0, 0.2, 6.0, 5, "after")
    found = fit_crf(*train, start, steps=15)
    assert found.loss < found.loss_before

    def held_out(params):
        losses = [likelihood_loss_forward(atrous.dense_crf(p, i, params, intensity_scale=1), y)[0]
                  for i, p, y in zip(*test, strict=True)]  # fmt: skip
        return np.mean(losses)

    assert held_out(found.params) < 0.9 * held_out(start)


def test_what_is_refused():
    image, p, labels = scene(0)
    with pytest.raises(atrous.ParameterError, match="what must be one of 'weights', 'sigmas', 'compatibility'"):
        fit_crf([image], [p], [labels], what=["weight"])
    with pytest.raises(atrous.ShapeError, match="must be as many, at least one; got 1, 1 and 0"):
        fit_crf([image], [p], [])
    with pytest.raises(atrous.ShapeError, match="labels must be integers of shape"):
        fit_crf([image], [p], [labels[1:]], steps=1)
    with pytest.raises(atrous.ShapeError, match="d_features must have shape"):
        spatial_backward(np.ones((3, 2)), spatial_pairwise((2, 2), 1.0, 1.0, dtype=np.float64), 1.0)
