"""The short-range CRF: only neighbouring pixels prefer equal labels, and the fewer edges the better.

Energy of a labelling x, with label energies U = −log P and each pair of neighbours counted once:

    E(x) = Σ_i U[x_i, i] + Σ_{i~j} w_ij·[x_i ≠ x_j]        P(x) ∝ exp(−E(x))

This is the model that DeepLab argues against: it smooths noisy, local classifiers well, yet pays for every pixel of a
boundary, so that thin parts vanish from score maps which are smooth already. A fully connected CRF recovers them.

Weights are arrays (K, H, W): K = 2 for four neighbours (right, below), 4 for eight (and below right, below left).

Role: public edge.

References
----------
DeepLab v1, arXiv:1412.7062, Section 4.2; DeepLab v2, arXiv:1606.00915, Section 3.3.
"""

from __future__ import annotations

import math

import numpy as np

from atrous import _check
from atrous._types import Array, FloatArray
from atrous.crf.reference import softmax
from atrous.errors import DTypeError, ParameterError, ShapeError

# For a step of 0, 1 or −1 along an axis: the pixels that have such a neighbour, and these neighbours.
ALONG = {
    0: (slice(None), slice(None)),
    1: (slice(None, -1), slice(1, None)),
    -1: (slice(1, None), slice(None, -1)),
}
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))
ENDS = [tuple(zip(ALONG[dy], ALONG[dx], strict=True)) for dy, dx in STEPS]


def grid_weights(
    unary: FloatArray,
    image: Array | None = None,
    *,
    weight: float = 1.0,
    neighbours: int = 4,
    sigma: float | None = None,
) -> FloatArray:
    """Return what each pair of neighbours pays for different labels.

    w_ij = weight / |i − j|, without an image; times exp(−‖I_i − I_j‖² / (2·sigma²)) with one (contrast-sensitive).

    Parameters
    ----------
    unary : ndarray of shape (L, H, W)
        Gives the size and the dtype.
    image : ndarray of shape (H, W) or (H, W, C), optional
        float32, float64 or uint8; comes together with `sigma`.
    weight : float, default 1.0
        Price of one edge, in units of the energy (nats); negative weights prefer different labels.
    neighbours : {4, 8}, default 4
        Diagonal pairs, a distance of √2 apart, weigh 1/√2, so that oblique boundaries cost about what straight ones do.
    sigma : float, optional
        Contrast, in units of the image, at which a pair's weight has fallen to exp(−1/2).

    Returns
    -------
    ndarray of shape (neighbours/2, H, W)
        ``[k, y, x]`` belongs to pixel (y, x) and its neighbour to the right, below, below right, below left; 0 where
        that lies outside. Dtype of `unary`.

    Raises
    ------
    ShapeError
        The image has another size than the unary, or no such axes.
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
    weight = _number(owner, "weight", weight, "a finite number", math.isfinite)
    neighbours = _check.integer(owner, "neighbours", neighbours, least=4)
    _check.one_of(owner, "neighbours", neighbours, (4, 8))
    if (image is None) != (sigma is None):
        given, missing = ("sigma", "image") if image is None else ("image", "sigma")
        raise ParameterError(f"{owner}: image and sigma go together, got {given} without {missing}. Give both or none.")
    if image is not None:
        image = _image(owner, image, unary.shape[1:])
        sigma = _number(owner, "sigma", sigma, "a finite number above 0", lambda s: 0 < s < math.inf)
    weights = np.zeros((neighbours // 2, *unary.shape[1:]))
    for w, (here, there), step in zip(weights, ENDS, STEPS, strict=False):
        w[here] = weight / math.hypot(*step)
        if image is not None:
            with np.errstate(over="ignore"):
                w[here] *= np.exp(-0.5 * (((image[here] - image[there]) / sigma) ** 2).sum(axis=-1))
    return weights.astype(unary.dtype)


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
        E, in nats; inf where a forbidden label is taken.

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
    unary, weights = _model(owner, unary, weights)
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise DTypeError(f"{owner}: labels must be integers, got {labels.dtype}. Convert them with labels.astype(int).")
    if labels.shape != unary.shape[1:]:
        raise ShapeError(f"{owner}: labels must have the unary's size {unary.shape[1:]}, got {labels.shape}.")
    if labels.min() < 0 or labels.max() >= len(unary):
        raise ParameterError(
            f"{owner}: labels must lie in [0, {len(unary)}), got {labels.min()} to {labels.max()}. "
            "Replace void labels first."
        )
    energy = np.take_along_axis(unary, labels[None], axis=0).sum(dtype=np.float64)
    for w, (here, there) in zip(weights, ENDS, strict=False):
        energy += w[here][labels[here] != labels[there]].sum(dtype=np.float64)
    return float(energy)


def grid_mean_field(
    unary: FloatArray, weights: FloatArray, *, iterations: int = 20, damping: float = 0.5
) -> FloatArray:
    """Approximate the marginals by independent pixels, all updated at once.

    Q_i(l) ← damping·Q_i(l) + (1 − damping)·softmax_l(−U_i(l) + Σ_j w_ij·Q_j(l)), from Q = softmax(−U).

    Parameters
    ----------
    unary, weights
        As for `grid_energy`; weights may be negative.
    iterations : int, default 20
        Number of updates; 0 gives softmax(−U).
    damping : float in [0, 1), default 0.5
        Share of the old Q that stays. At 0 the two colours of a chessboard never meet: they see only each other's past,
        and strong weights can make them swap for ever.

    Returns
    -------
    ndarray of shape (L, H, W)
        Q; sums to 1 over the labels. Dtype of `unary`.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Arrays that do not fit together, NaN, options outside their range.

    Notes
    -----
    Cost: about (4·K + 8)·L·H·W operations an iteration. Exact where all weights of a pixel are 0; elsewhere Q is
    usually too sure of its labels.

    References
    ----------
    .. [1] Koller and Friedman, Probabilistic Graphical Models, MIT Press 2009, Section 11.5.

    Examples
    --------
    >>> unary = np.array([[[2.0, 0.0, 2.0]], [[0.0, 1.0, 0.0]]])
    >>> grid_mean_field(unary, grid_weights(unary)).argmax(axis=0)
    array([[1, 1, 1]])
    """
    owner = "grid_mean_field"
    unary, weights = _model(owner, unary, weights)
    iterations = _check.integer(owner, "iterations", iterations, least=0)
    damping = _number(owner, "damping", damping, "a number in [0, 1)", lambda d: 0 <= d < 1)
    q = softmax(-unary)
    for _ in range(iterations):
        q = damping * q + (1 - damping) * softmax(_neighbour_sum(q, weights) - unary)
    return q


def grid_icm(unary: FloatArray, weights: FloatArray, *, iterations: int = 100) -> Array:
    """Descend from the best label of each pixel to a labelling that no single pixel can improve.

    Iterated conditional modes: each pixel takes the label that is best given its neighbours, one colour after the
    other. No two pixels of a colour are neighbours (2 colours for 4 neighbours, 4 for 8), hence E never rises.

    Parameters
    ----------
    unary, weights
        As for `grid_energy`; weights may be negative.
    iterations : int, default 100
        Sweeps over all colours at most; it stops as soon as nothing changes.

    Returns
    -------
    ndarray of int64 of shape (H, W)
        Labels; among equally good ones a pixel keeps its own.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Arrays that do not fit together, NaN, options outside their range.

    Notes
    -----
    Cost: about 4·K·L·H·W operations for each colour of a sweep. The result depends on the start and may be far from the
    least energy.

    References
    ----------
    .. [1] Besag, On the statistical analysis of dirty pictures, J. R. Statist. Soc. B 48, 1986.

    Examples
    --------
    >>> unary = np.array([[[2.0, 0.0, 2.0]], [[0.0, 1.0, 0.0]]])
    >>> grid_icm(unary, grid_weights(unary))
    array([[1, 1, 1]])
    """
    owner = "grid_icm"
    unary, weights = _model(owner, unary, weights)
    iterations = _check.integer(owner, "iterations", iterations, least=0)
    y, x = np.indices(unary.shape[1:])
    colour, colours = ((y + x) % 2, 2) if len(weights) == 2 else (2 * (y % 2) + x % 2, 4)
    labels = unary.argmin(axis=0)
    for _ in range(iterations):
        before = labels
        for c in range(colours):
            labels = np.where(colour == c, _best_labels(labels, unary, weights), labels)
        if np.array_equal(labels, before):
            break
    return labels.astype(np.int64, copy=False)


def grid_cut(unary: FloatArray, weights: FloatArray) -> Array:
    """Return the labelling of least energy, for two labels, by a minimum cut.

    A pixel is joined to the source by U_0 − U_1 if that is positive, else to the sink by U_1 − U_0, and to its
    neighbours by w_ij. What the minimum cut leaves on the source's side takes label 1.

    Parameters
    ----------
    unary : ndarray of shape (2, H, W)
        Energy of each label, in nats; +inf forbids a label, and the cut obeys.
    weights : ndarray of shape (2 or 4, H, W)
        From `grid_weights`, none negative.

    Returns
    -------
    ndarray of int64 of shape (H, W)
        Labels 0 and 1; of all labellings of least energy the one with the fewest ones.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Other than two labels, arrays that do not fit together, NaN, negative weights.

    Notes
    -----
    Cost: one maximum flow over H·W + 2 nodes and (2·K + 1)·H·W edges (Dinic's method, SciPy): milliseconds for 64²
    pixels, the longer the wider weights carry a compromise.

    SciPy counts flow in int32, so energies are rounded to multiples of a unit, the smallest for which neither an edge
    nor the flow can reach 2³¹: min(Σ_source, Σ_sink) / 2³¹ for all but tiny images, with the sums of the capacities on
    either side. The result exceeds the least energy by at most one unit for each pixel and each pair. A pixel whose
    |U_0 − U_1| exceeds all its weights together keeps its own label in every optimum; its capacity is cut to their sum
    and one unit, so that large or infinite energies cost no accuracy.

    References
    ----------
    .. [1] Greig, Porteous and Seheult, Exact maximum a posteriori estimation for binary images, J. R. Statist. Soc. B
       51, 1989.
    .. [2] Boykov and Kolmogorov, An experimental comparison of min-cut/max-flow algorithms, PAMI 26, 2004.

    Examples
    --------
    >>> unary = np.array([[[2.0, 0.0, 2.0, 0.0]], [[0.0, 1.0, 0.0, np.inf]]])
    >>> grid_cut(unary, grid_weights(unary))
    array([[1, 1, 1, 0]])
    """
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    owner = "grid_cut"
    unary, weights = _model(owner, unary, weights)
    if len(unary) != 2:
        raise ShapeError(
            f"{owner}: unary must have two labels, shape (2, H, W), got {unary.shape}. Use grid_icm or grid_mean_field."
        )
    if weights.min() < 0:
        raise ParameterError(
            f"{owner}: weights must not be negative, a cut cannot prefer different labels; got {weights.min()}. "
            "Use grid_icm or grid_mean_field."
        )
    size = unary[0].size
    if size > 2**27:
        raise ShapeError(f"{owner}: at most 2^27 pixels are handled, got {size}. Cut the image into tiles.")
    with np.errstate(over="ignore"):
        gap = unary[0].astype(np.float64) - unary[1]
    graph = _graph(*_integers(gap, weights.astype(np.float64)))
    left = graph - maximum_flow(graph, size, size + 1).flow
    left.eliminate_zeros()
    labels = np.zeros(size + 2, np.int64)
    labels[breadth_first_order(left, size, return_predecessors=False)] = 1
    return labels[:size].reshape(gap.shape)


# Name of a method -> (function, the options it takes)
METHODS = {
    "mean_field": (grid_mean_field, ("iterations", "damping")),
    "icm": (grid_icm, ("iterations",)),
    "cut": (grid_cut, ()),
}


def grid_crf(
    unary: FloatArray,
    image: Array | None = None,
    *,
    weight: float = 1.0,
    neighbours: int = 4,
    sigma: float | None = None,
    method: str = "mean_field",
    iterations: int | None = None,
    damping: float | None = None,
) -> Array:
    """Smooth label energies with a short-range Potts CRF, plain or contrast-sensitive.

    E(x) = Σ_i U[x_i, i] + Σ_{i~j} w_ij·[x_i ≠ x_j], each pair of neighbours once.

    Parameters
    ----------
    unary : ndarray of shape (L, H, W)
        Energy −log P of each label at each pixel, in nats, float32 or float64; +inf forbids a label.
    image, weight, neighbours, sigma
        As for `grid_weights`: diagonal neighbours weigh 1/√2.
    method : {"mean_field", "icm", "cut"}
        `grid_mean_field`, `grid_icm`, or `grid_cut` (two labels, exact).
    iterations : int, optional
        By default that of the method; not for "cut".
    damping : float in [0, 1), optional
        For "mean_field" only.

    Returns
    -------
    ndarray
        "mean_field": marginals (L, H, W), dtype of `unary`; otherwise labels (H, W), int64.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As the functions named above, and an option that the method does not take.

    References
    ----------
    .. [1] Chen et al., DeepLab v2, arXiv:1606.00915, Section 3.3, on why such a CRF is not enough.

    Examples
    --------
    >>> unary = np.array([[[2.0, 0.0, 2.0]], [[0.0, 1.0, 0.0]]])
    >>> grid_crf(unary, method="cut")
    array([[1, 1, 1]])
    >>> grid_crf(unary, np.array([[0.0, 9.0, 0.0]]), sigma=1.0, method="cut")
    array([[1, 0, 1]])
    """
    owner = "grid_crf"
    _check.one_of(owner, "method", method, tuple(METHODS))
    function, takes = METHODS[method]
    options = {"iterations": iterations, "damping": damping}
    options = {name: value for name, value in options.items() if value is not None}
    for name, value in options.items():
        if name not in takes:
            raise ParameterError(f"{owner}: method {method!r} takes no {name}, got {value!r}. Leave it out.")
    weights = grid_weights(unary, image, weight=weight, neighbours=neighbours, sigma=sigma)
    return function(unary, weights, **options)


# The steps


def _neighbour_sum(maps, weights):
    """Return Σ_j w_ij·maps[..., j] at every pixel i."""
    total = np.zeros_like(maps)
    for w, (here, there) in zip(weights, ENDS, strict=False):
        total[..., *here] += w[here] * maps[..., *there]
        total[..., *there] += w[here] * maps[..., *here]
    return total


def _best_labels(labels, unary, weights):
    """Return each pixel's best label while all others stay, its own among equals."""
    chosen = (labels == np.arange(len(unary))[:, None, None]).astype(unary.dtype)
    cost = unary - _neighbour_sum(chosen, weights)
    own = np.take_along_axis(cost, labels[None], axis=0)[0]
    return np.where(cost.min(axis=0) < own, cost.argmin(axis=0), labels)


def _integers(gap, weights):
    """Return gap and weights in the smallest unit for which neither an edge nor the flow can reach 2³¹."""
    around = _neighbour_sum(np.ones_like(gap), weights)
    held = np.minimum(np.abs(gap), around)
    flow = min(held[gap > 0].sum(), held[gap < 0].sum())
    # Rounding adds at most 5 units a pixel: 8 halves for its pairs, and the one that decides for a pixel.
    scale = (_check.LIMIT - 6 * gap.size) / max(flow, held.max(), 2 * weights.max(), 1e-290)
    weights = np.rint(scale * weights)
    enough = _neighbour_sum(np.ones_like(gap), weights) + 1
    capacity = np.where(np.abs(gap) > around, enough, np.minimum(np.rint(scale * held), enough))
    return (np.sign(gap) * capacity).astype(np.int32), weights.astype(np.int32)


def _graph(gap, weights):
    """Return the capacities as a sparse matrix, one node a pixel, then the source, then the sink."""
    from scipy.sparse import csr_array

    node = np.arange(gap.size, dtype=np.int32).reshape(gap.shape)
    source = np.full_like(node, gap.size)
    edges = [(source, node, np.maximum(gap, 0)), (node, source + 1, np.maximum(-gap, 0))]
    for w, (here, there) in zip(weights, ENDS, strict=False):
        edges += [(node[here], node[there], w[here]), (node[there], node[here], w[here])]
    tail, head, capacity = (np.concatenate([part.ravel() for part in parts]) for parts in zip(*edges, strict=True))
    some = capacity > 0
    return csr_array((capacity[some], (tail[some], head[some])), shape=(gap.size + 2, gap.size + 2))


# Checks


def _number(owner, name, value, wanted, fits):
    """Return `value` as a float for which `fits` holds; `wanted` says the same in words."""
    try:
        if isinstance(value, (bool, np.bool_, str)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not fits(number):
        raise ParameterError(f"{owner}: {name} must be {wanted}, got {value!r}.")
    return number


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


def _model(owner, unary, weights):
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
