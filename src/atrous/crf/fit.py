"""Learn a CRF's weights, standard deviations and compatibility from labelled images, by gradients through mean field.

Every number that must be positive is learned by its logarithm; the optimiser is SciPy's L-BFGS-B. The loss is the mean
of −log Q(label), so that a share of each label may be the target as well.

Role: public function.

References
----------
Krähenbühl, Koltun, "Parameter Learning and Convergent Inference for Dense Random Fields", ICML 2013, Sections 3 and 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.crf.dense import DEFAULT, checked_image, resolved_params
from atrous.crf.gradient import METHODS, mean_field_backward, mean_field_forward
from atrous.crf.marginal_loss import likelihood_loss_backward, likelihood_loss_forward
from atrous.crf.pairwise import Pairwise, bilateral_pairwise, spatial_pairwise
from atrous.crf.pairwise_gradient import bilateral_backward, spatial_backward
from atrous.crf.params import CRFParams
from atrous.crf.unary import unary_from_probabilities
from atrous.errors import ParameterError, ShapeError

WHAT = {
    "weights": ("bilateral_weight", "spatial_weight"),
    "sigmas": ("sigma_alpha", "sigma_beta", "sigma_gamma"),
    "compatibility": (),
}
# No parameter moves by more than this factor: where the loss is flat, the optimiser would run away.
FARTHEST = 32.0


class FittedCRF(NamedTuple):
    """What `fit_crf` returns."""

    params: CRFParams
    compatibility: FloatArray | None
    """(L, L) costs, symmetric, that both weights multiply, or None if they were not learned: 1 for unlike labels."""
    loss_before: float
    loss: float
    """Mean −log Q(label) on the images, with the parameters given and with those found."""
    moved: dict[str, tuple[float, float]]
    """Value before and after of every parameter that was learned."""
    history: list[float]
    """The loss at each step of the optimiser."""
    message: str
    """Why the optimiser ended, in its words."""

    def terms(self, image: Array, dtype: type = np.float32) -> list[Pairwise]:
        """Return the pairwise terms for an image (H, W, C), for `mean_field`."""
        return _terms(image, self.params, self.compatibility, dtype)


def _terms(image, params, compatibility, dtype):
    """Return the bilateral and the spatial term; costs are those of unlike labels unless they are given."""
    options = {"normalization": params.normalization, "dtype": dtype}
    costs = 1.0 if compatibility is None else compatibility
    return [
        bilateral_pairwise(image, params.sigma_alpha, params.sigma_beta, params.bilateral_weight * costs, **options),
        spatial_pairwise(image.shape[:2], params.sigma_gamma, params.spatial_weight * costs, **options),
    ]


def _one(image, unary, labels, params, compatibility, method, ignore, dtype, sigmas=True):
    """Return the loss of one image and its gradient by name of parameter; "compatibility" for the costs (L, L)."""
    terms = _terms(image, params, compatibility, dtype)
    q, cache = mean_field_forward(unary, terms, iterations=params.iterations, method=method)
    loss, held = likelihood_loss_forward(q, labels, ignore=ignore)
    grads, found = mean_field_backward(likelihood_loss_backward(held), cache, features=sigmas), {}
    if sigmas:
        bilateral = bilateral_backward(grads.features[0], terms[0], image.shape, params.sigma_alpha, params.sigma_beta)
        found = {
            "sigma_alpha": bilateral.sigma_space,
            "sigma_beta": bilateral.sigma_color,
            "sigma_gamma": spatial_backward(grads.features[1], terms[1], params.sigma_gamma),
        }
    weights = params.bilateral_weight, params.spatial_weight
    costs = np.ones(()) if compatibility is None else compatibility
    found |= {name: float((d * costs).sum()) for name, d in zip(WHAT["weights"], grads.compatibility, strict=True)}
    if compatibility is not None:
        found["compatibility"] = sum(w * d for w, d in zip(weights, grads.compatibility, strict=True))
    return loss, found


@public
def fit_crf(
    images: Sequence[Array],
    probabilities: Sequence[Array],
    labels: Sequence[Array],
    start: CRFParams | str = DEFAULT,
    *,
    what: str | Sequence[str] = ("weights", "sigmas"),
    method: str = "lattice",
    iterations: int | None = None,
    steps: int = 50,
    ignore: int = 255,
    dtype: type = np.float32,
    intensity_scale: float | None = None,
    tell: Callable[[int, float, CRFParams], None] = lambda step, loss, params: None,
) -> FittedCRF:
    """Return the parameters under which the labels of some images are most likely.

    Parameters
    ----------
    images : sequence of ndarray (H, W, C)
        As for `dense_crf`.
    probabilities : sequence of ndarray (L, H, W)
        What the CRF refines, one for each image.
    labels : sequence of ndarray of int (H, W), or of float (L, H, W)
        The truth; `ignore` where it is unknown.
    start : CRFParams or name of a preset
        Where the search begins; what is not learned keeps its value.
    what : sequence of {"weights", "sigmas", "compatibility"}
        What is learned. Weights that begin at 0 stay there.
    method : {"lattice", "exact"}
        As for `mean_field_forward`.
    iterations : int, optional
        Steps of mean field, by default those of `start`. Five are enough to learn by.
    steps : int
        Most steps of the optimiser.
    ignore : int
        Label of pixels that do not count.
    dtype : float32 or float64
        Of features and marginals.
    intensity_scale : float, optional
        As for `dense_crf`.
    tell : callable
        Called with (step, loss, parameters) after each step.

    Returns
    -------
    FittedCRF

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Arguments that do not fit.

    Notes
    -----
    Cost: about five times `mean_field` step by step for each image, once or twice a step.

    On the lattice the gradients are those of the lattice, which is what inference uses as well. They are not those of
    the Gaussian: on drawn scenes of 49 and 65 pixels a side, gradients to the weights were within 10 % of the exact
    ones and that to σγ within 30 %; those to σα and σβ, which were small, even differed in sign, because the lattice's
    own error changes with them. The loss also has small kinks in the sigmas, where points move between simplices.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = (np.arange(12) > 5).astype(int)[None].repeat(10, 0)
    >>> image = (100.0 * labels + 5 * rng.standard_normal(labels.shape))[..., None] + 50
    >>> noisy = np.clip(0.5 + 0.2 * (2 * labels - 1) + 0.25 * rng.standard_normal(labels.shape), 0.05, 0.95)
    >>> found = fit_crf([image], [np.stack([1 - noisy, noisy])], [labels], CRFParams(1, 5, 20, 1, 1, 5, "after"),
    ...     what=["weights"], method="exact", steps=5)
    >>> found.loss < found.loss_before, found.params.bilateral_weight > 1
    (True, True)
    """
    owner = "fit_crf"
    params = resolved_params(owner, start, iterations, None, "start")
    what = tuple(dict.fromkeys([what] if isinstance(what, str) else what))
    for name in what:
        _check.one_of(owner, "what", name, tuple(WHAT))
    if not what:
        raise ParameterError(f"{owner}: what must name something to learn, one of {', '.join(WHAT)}.")
    _check.one_of(owner, "method", method, METHODS)
    steps = _check.integer(owner, "steps", steps, least=1)
    if not len(images) == len(probabilities) == len(labels) > 0:
        raise ShapeError(
            f"{owner}: images, probabilities and labels must be as many, at least one; got {len(images)}, "
            f"{len(probabilities)} and {len(labels)}."
        )
    dtype, data = np.dtype(dtype).type, []
    for image, p, truth in zip(images, probabilities, labels, strict=True):
        unary = unary_from_probabilities(p, owner=owner).astype(dtype)
        levels = checked_image(owner, image, unary.shape, intensity_scale, f"images[{len(data)}]")
        data.append((levels, unary, np.asarray(truth)))
    count = len(data[0][1])
    if any(len(unary) != count for _, unary, _ in data):
        raise ShapeError(f"{owner}: all images must have the same labels, got {[len(u) for _, u, _ in data]}.")

    names = [name for part in what for name in WHAT[part] if getattr(params, name) > 0]
    upper = np.triu_indices(count)
    costs = 1 - np.eye(count) if "compatibility" in what else None

    def unpacked(point):
        logs, rest = point[: len(names)], point[len(names) :]
        changed = params._replace(**dict(zip(names, np.exp(logs).tolist(), strict=True)))
        if costs is None:
            return changed, None
        matrix = np.zeros((count, count))
        matrix[upper] = rest
        return changed, np.triu(matrix) + np.triu(matrix, 1).T

    def loss_and_gradient(point):
        at, matrix = unpacked(point)
        total, sums = 0.0, {}
        for image, unary, truth in data:
            loss, found = _one(image, unary, truth, at, matrix, method, ignore, dtype, "sigmas" in what)
            total += loss / len(data)
            sums = {name: sums.get(name, 0) + value / len(data) for name, value in found.items()}
        gradient = [sums[name] * getattr(at, name) for name in names]
        if matrix is not None:
            d = sums["compatibility"] + sums["compatibility"].T
            d[np.diag_indices(count)] /= 2
            gradient += d[upper].tolist()
        return total, np.array(gradient, np.float64)

    from scipy.optimize import minimize

    history: list[float] = []
    begin = np.log([getattr(params, name) for name in names])
    limits = [(b - np.log(FARTHEST), b + np.log(FARTHEST)) for b in begin]
    if costs is not None:
        begin, limits = np.concatenate([begin, costs[upper]]), limits + [(None, None)] * len(upper[0])

    def after(intermediate_result):
        history.append(float(intermediate_result.fun))
        tell(len(history), history[-1], unpacked(intermediate_result.x)[0])

    before = loss_and_gradient(begin)[0]
    found = minimize(
        loss_and_gradient, begin, jac=True, method="L-BFGS-B", bounds=limits, callback=after,
        options={"maxiter": steps},
    )  # fmt: skip
    point, loss = (found.x, float(found.fun)) if found.fun < before else (begin, before)
    at, matrix = unpacked(point)
    moved = {name: (float(getattr(params, name)), float(getattr(at, name))) for name in names}
    return FittedCRF(at, matrix, before, loss, moved, history, str(found.message))
