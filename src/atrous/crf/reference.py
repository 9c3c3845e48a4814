"""Mean field by its definition: matrices over all pairs of points, in plain NumPy.

Role: definition. O(P²) memory and time; the fast forms must give the same result.
"""

from __future__ import annotations

import itertools

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.crf.compatibility import agreement, reward_matrix
from atrous.crf.pairwise import Pairwise, check_pairwise
from atrous.errors import ParameterError, ShapeError
from atrous.lattice.exact import gaussian_matrix

POINTS = 20000  # one float64 matrix then has 3 GB
LABELLINGS = 2_000_000


def softmax(logits: FloatArray) -> FloatArray:
    """Return the softmax over the first axis.

    Examples
    --------
    >>> softmax(np.zeros((2, 1))).tolist()
    [[0.5], [0.5]]
    """
    e = np.exp(logits - logits.max(0))
    return e / e.sum(0)


def pairwise_matrix(term: Pairwise, *, self_message: bool = True) -> FloatArray:
    """Return the (P, P) matrix from values to messages: the Gaussian K, normalised as the term specifies.

    With row sums n: "before" K·diag(1/n), "after" diag(1/n)·K, "symmetric" diag(1/√n)·K·diag(1/√n).
    """
    matrix = gaussian_matrix(term.features)
    if not self_message:
        np.fill_diagonal(matrix, 0)
    norm = matrix.sum(1) + matrix.dtype.type(1e-20)
    if term.normalization == "before":
        return matrix / norm
    if term.normalization == "after":
        return matrix / norm[:, None]
    if term.normalization == "symmetric":
        return matrix / np.sqrt(norm * norm[:, None])
    return matrix


def reference_mean_field(
    unary: FloatArray, pairwise: list[Pairwise], iterations: int, *, self_message: bool = True
) -> FloatArray:
    """Return marginals (L, P): Q ← softmax(−U), then repeatedly Q ← softmax(−U + Σₖ agreement(μₖ, KₖQ)).

    Examples
    --------
    >>> unary = np.array([[0.0, 0.0], [1.0, -0.2]])
    >>> both = Pairwise(np.zeros((2, 1)), np.float64(1.0), "none")
    >>> reference_mean_field(unary, [both], 1).round(3).tolist()
    [[0.796, 0.541], [0.204, 0.459]]
    """
    matrices = [pairwise_matrix(term, self_message=self_message) for term in pairwise]
    marginals = softmax(-unary)
    for _ in range(iterations):
        logits = -unary
        for term, matrix in zip(pairwise, matrices, strict=True):
            logits = logits + agreement(np.asarray(term.compatibility), marginals @ matrix.T)
        marginals = softmax(logits)
    return marginals


@public
def labelling_energy(
    labels: Array, unary: FloatArray, pairwise: Pairwise | list[Pairwise], *, self_message: bool = False
) -> float:
    """Return E(x) = Σᵢ U(xᵢ) + ½ Σ_{i≠j} Kᵢⱼ μ(xᵢ, xⱼ) of one labelling, exactly.

    Parameters
    ----------
    labels : ndarray of int, of the grid's shape or (P,)
        One label in 0…L − 1 for each point.
    unary : ndarray of shape (L, ...), float32 or float64
        Energies of the labels.
    pairwise : Pairwise or list of Pairwise
        As for `mean_field`: a number or vector rewards equal labels (μ = −w), a matrix holds costs.
    self_message : bool
        Include i = j in the sum, as implementations that keep the self-message do.

    Returns
    -------
    float

    Raises
    ------
    ShapeError, ParameterError
        Labels do not fit the unary, or there are too many points for all pairs.

    Notes
    -----
    Cost: O(P²).

    References
    ----------
    .. [1] Krähenbühl, Koltun, arXiv:1210.5644, Eq. (1).

    Examples
    --------
    >>> term = Pairwise(np.zeros((2, 1)), 3.0, "none")
    >>> unary = np.array([[0.0, 1.0], [2.0, 0.5]])
    >>> labelling_energy([0, 1], unary, term), labelling_energy([0, 0], unary, term)
    (0.5, -2.0)
    """
    unary, pairwise = _problem("labelling_energy", unary, pairwise)
    labels = np.asarray(labels).reshape(-1)
    if (
        labels.shape != unary.shape[1:]
        or labels.dtype.kind not in "iu"
        or not ((labels >= 0) & (labels < len(unary))).all()
    ):
        raise ParameterError(
            f"labelling_energy: labels must be {unary.shape[1]} integers in 0…{len(unary) - 1}, got {labels.dtype} of "
            f"shape {labels.shape}."
        )
    chosen = np.zeros_like(unary)
    chosen[labels, np.arange(labels.size)] = 1
    matrices = [pairwise_matrix(term, self_message=self_message) for term in pairwise]
    return float(unary[labels, np.arange(labels.size)].sum() + _pairwise_energy(chosen, pairwise, matrices))


def _pairwise_energy(marginals, pairwise, matrices):
    """Return −½ Σₖ Σ Q ⊙ agreement(μₖ, KₖQ)."""
    pairs = zip(pairwise, matrices, strict=True)
    return (
        -sum((marginals * agreement(term.compatibility, marginals @ m.T)).sum(dtype=np.float64) for term, m in pairs)
        / 2
    )


def _problem(owner, unary, pairwise):
    unary = _check.float_array(owner, "unary", unary)
    if unary.ndim < 2:
        raise ShapeError(f"{owner}: unary must have shape (L, …), with an axis of labels first, got {unary.shape}.")
    unary = unary.reshape(len(unary), -1)
    if unary.shape[1] > POINTS:
        raise ParameterError(
            f"{owner}: a sum over all pairs takes at most {POINTS} points, got {unary.shape[1]}. "
            'Use method="lattice", or a smaller image.'
        )
    return check_pairwise(owner, unary, pairwise)


@public
def exact_marginals(unary: FloatArray, pairwise: Pairwise | list[Pairwise]) -> tuple[FloatArray, float]:
    """Return the true marginals of the CRF by enumerating all labellings, and log Z.

    Parameters
    ----------
    unary : ndarray of shape (L, ...), float32 or float64
        Energies; Lᴾ may be at most two million.
    pairwise : Pairwise or list of Pairwise
        As for `mean_field`. The self-message is not part of the model.

    Returns
    -------
    marginals : ndarray, shape of `unary`
    log_z : float
        Logarithm of Σₓ exp(−E(x)), with the energy of `labelling_energy`.

    Raises
    ------
    ParameterError
        There are too many labellings.

    Notes
    -----
    Cost: O(Lᴾ·P²).

    Examples
    --------
    >>> q, log_z = exact_marginals(np.array([[0.0], [1.0]]), [])
    >>> q.round(3).ravel().tolist(), round(log_z, 3)
    ([0.731, 0.269], 0.313)
    """
    shape = np.shape(unary)
    unary, pairwise = _problem("exact_marginals", unary, pairwise)
    labels, points = unary.shape
    if labels**points > LABELLINGS:
        raise ParameterError(
            f"exact_marginals: {labels} labels at {points} points make {float(labels) ** points:.3g} labellings; "
            f"at most {LABELLINGS} are enumerated."
        )
    matrices = [pairwise_matrix(term, self_message=False) for term in pairwise]
    # The energy counts a pair of points in both orders.
    costs = [
        ((m + m.T) / 2, -reward_matrix(term.compatibility, labels)) for term, m in zip(pairwise, matrices, strict=True)
    ]
    total, marginals, top = 0.0, np.zeros((labels, points)), None
    for chunk in _labellings(labels, points):
        energy = unary[chunk, np.arange(points)].sum(1, dtype=np.float64)
        for both, cost in costs:
            for i, j in itertools.combinations(range(points), 2):
                energy += both[i, j] * cost[chunk[:, i], chunk[:, j]]
        low = energy.min()
        if top is None or low < top:
            scale = 0.0 if top is None else np.exp(low - top)
            total, marginals, top = total * scale, marginals * scale, low
        weight = np.exp(top - energy)
        total += weight.sum()
        for label in range(labels):
            marginals[label] += weight @ (chunk == label)
    return (marginals / total).astype(unary.dtype).reshape(shape), float(np.log(total) - top)


def _labellings(labels, points, rows=1 << 15):
    """Yield all labellings as arrays (rows, points)."""
    powers = labels ** np.arange(points, dtype=np.int64)
    for start in range(0, labels**points, rows):
        index = np.arange(start, min(labels**points, start + rows))[:, None]
        yield index // powers % labels
