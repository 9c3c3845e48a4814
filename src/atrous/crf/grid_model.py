"""The short-range CRF: only neighbouring pixels prefer equal labels, so short boundaries have low energy.

Energy of a labelling x, with label energies U = −log P and each pair of neighbours counted once:

    E(x) = Σ_i U[x_i, i] + Σ_{i~j} w_ij·[x_i ≠ x_j]        P(x) ∝ exp(−E(x))

This is the model that DeepLab argues against: it smooths noisy local classifiers well, but every pixel of a boundary
costs energy, so thin parts vanish from score maps that are already smooth. A fully connected CRF recovers them.

Weights are arrays (K, H, W): K = 2 for four neighbours (right, below), 4 for eight (and below right, below left).

Role: definition.

References
----------
DeepLab v1, arXiv:1412.7062, Section 4.2; DeepLab v2, arXiv:1606.00915, Section 3.3.
"""

from __future__ import annotations

import math

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.errors import DTypeError, ParameterError, ShapeError

# For a step of 0, 1 or −1 along an axis: the pixels that have such a neighbour, and these neighbours.
ALONG = {
    0: (slice(None), slice(None)),
    1: (slice(None, -1), slice(1, None)),
    -1: (slice(1, None), slice(None, -1)),
}
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))
ENDS = [tuple(zip(ALONG[dy], ALONG[dx], strict=True)) for dy, dx in STEPS]


@public
def grid_weights(
    unary: FloatArray,
    image: Array | None = None,
    *,
    weight: float = 1.0,
    neighbours: int = 4,
    sigma: float | None = None,
) -> FloatArray:
    """Return the energy w_ij of different labels for each pair of neighbours.

    w_ij = weight / |i − j|; with an image, times exp(−‖I_i − I_j‖² / (2·sigma²)) (contrast-sensitive).

    Parameters
    ----------
    unary : ndarray of shape (L, H, W)
        Gives the size and the dtype.
    image : ndarray of shape (H, W) or (H, W, C), optional
        float32, float64 or uint8; needs `sigma`.
    weight : float, default 1.0
        Energy of one edge, in nats; negative weights prefer different labels.
    neighbours : {4, 8}, default 4
        Diagonal pairs are √2 apart and have weight 1/√2, so oblique boundaries cost about as much as straight ones.
    sigma : float, optional
        Contrast, in units of the image, at which a pair's weight has fallen to exp(−1/2).

    Returns
    -------
    ndarray of shape (neighbours/2, H, W)
        ``[k, y, x]`` is for pixel (y, x) and its neighbour to the right, below, below right or below left; 0 where
        that is outside the image. Dtype of `unary`.

    Raises
    ------
    ShapeError
        The image does not have the size of the unary, or has the wrong axes.
    DTypeError
        The image is not float32, float64 or uint8.
    ParameterError
        An option outside its range, `image` without `sigma` or the reverse, NaN or inf in the image, NaN in `unary`.

    Notes
    -----
    Cost: H·W·neighbours/2 exponentials.

    References
    ----------
    .. [1] Boykov and Jolly, Interactive graph cuts, ICCV 2001.

    Examples
    --------
    >>> image = np.array([[0.0, 0.0, 1.0]])
    >>> grid_weights(np.zeros((2, 1, 3)), image, sigma=0.5)[0].round(3)
    array([[1.   , 0.135, 0.   ]])
    """
    owner = "grid_weights"
    unary = _unary(owner, unary)
    weight = _check.number(owner, "weight", weight, above=-1e30, below=1e30)
    neighbours = _check.integer(owner, "neighbours", neighbours, least=4)
    _check.one_of(owner, "neighbours", neighbours, (4, 8))
    if (image is None) != (sigma is None):
        given, missing = ("sigma", "image") if image is None else ("image", "sigma")
        raise ParameterError(f"{owner}: image and sigma go together, got {given} without {missing}. Give both or none.")
    if image is not None:
        image = _image(owner, image, unary.shape[1:])
        sigma = _check.number(owner, "sigma", sigma, above=0)
    weights = np.zeros((neighbours // 2, *unary.shape[1:]))
    for w, (here, there), step in zip(weights, ENDS, STEPS, strict=False):
        w[here] = weight / math.hypot(*step)
        if image is not None:
            with np.errstate(over="ignore"):
                w[here] *= np.exp(-0.5 * (((image[here] - image[there]) / sigma) ** 2).sum(axis=-1))
    return weights.astype(unary.dtype)


@public
def grid_energy(labels: Array, unary: FloatArray, weights: FloatArray) -> float:
    """Return the energy E of one labelling, summed in float64.

    Parameters
    ----------
    labels : ndarray of int of shape (H, W)
        Label of each pixel, in [0, L).
    unary : ndarray of shape (L, H, W)
        Energy −log P of each label at each pixel, in nats; +inf forbids a label.
    weights : ndarray of shape (2 or 4, H, W)
        From `grid_weights`, dtype of `unary`.

    Returns
    -------
    float
        E, in nats; inf if a forbidden label is used.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Arrays that do not fit together, labels outside [0, L), NaN.

    Notes
    -----
    Cost: H·W·(1 + K) additions.

    Examples
    --------
    >>> unary = np.zeros((2, 2, 3))
    >>> grid_energy(np.array([[0, 0, 1], [0, 1, 1]]), unary, grid_weights(unary, weight=2.0))
    6.0
    """
    owner = "grid_energy"
    unary, weights = checked_model(owner, unary, weights)
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise DTypeError(f"{owner}: labels must be integers, got {labels.dtype}. Convert them with labels.astype(int).")
    if labels.shape != unary.shape[1:]:
        raise ShapeError(f"{owner}: labels must have the unary's size {unary.shape[1:]}, got {labels.shape}.")
    if labels.min() < 0 or labels.max() >= len(unary):
        raise ParameterError(
            f"{owner}: labels must be in [0, {len(unary)}), got {labels.min()} to {labels.max()}. "
            "Replace void labels first."
        )
    energy = np.take_along_axis(unary, labels[None], axis=0).sum(dtype=np.float64)
    for w, (here, there) in zip(weights, ENDS, strict=False):
        energy += w[here][labels[here] != labels[there]].sum(dtype=np.float64)
    return float(energy)


def neighbour_sum(maps, weights):
    """Return Σ_j w_ij·maps[..., j] at every pixel i."""
    total = np.zeros_like(maps)
    for w, (here, there) in zip(weights, ENDS, strict=False):
        total[..., *here] += w[here] * maps[..., *there]
        total[..., *there] += w[here] * maps[..., *here]
    return total


def _unary(owner, unary):
    unary = _check.float_array(owner, "unary", unary)
    if unary.ndim != 3:
        raise ShapeError(
            f"{owner}: unary must have shape (L, H, W), got {unary.shape}. Labels come first, and there is no batch."
        )
    least = unary.min(axis=0)
    if not np.isfinite(least).all():
        y, x = np.argwhere(~np.isfinite(least))[0]
        raise ParameterError(
            f"{owner}: unary may hold +inf, but no NaN and no -inf, and each pixel needs a label of finite energy; got "
            f"{unary[:, y, x]} at pixel ({y}, {x}). Take the logarithm of probabilities in (0, 1]."
        )
    return unary


def checked_model(owner, unary, weights):
    """Return unary and weights as arrays that fit together."""
    unary = _unary(owner, unary)
    weights = _check.float_array(owner, "weights", weights, like=unary)
    if weights.shape not in {(2, *unary.shape[1:]), (4, *unary.shape[1:])}:
        raise ShapeError(
            f"{owner}: weights must have shape (2 or 4, {unary.shape[1]}, {unary.shape[2]}), got {weights.shape}. "
            "Take them from grid_weights."
        )
    if not np.isfinite(weights).all():
        bad = weights[~np.isfinite(weights)][0]
        raise ParameterError(f"{owner}: weights must be finite, got {bad}. To forbid a label, give it unary +inf.")
    return unary, weights


def _image(owner, image, size):
    """Return the image as float64 of shape (H, W, C)."""
    if getattr(image, "dtype", None) == np.uint8:
        image = image.astype(np.float64)
    image = _check.float_array(owner, "image", image).astype(np.float64)
    if image.ndim not in {2, 3} or image.shape[:2] != size:
        raise ShapeError(
            f"{owner}: image must have shape (H, W) or (H, W, C) with the unary's size {size}, got {image.shape}. "
            "Channels come last."
        )
    if not np.isfinite(image).all():
        raise ParameterError(f"{owner}: image must be finite, got {image[~np.isfinite(image)][0]}.")
    return image if image.ndim == 3 else image[..., None]
