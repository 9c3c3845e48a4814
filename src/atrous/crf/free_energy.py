"""The free energy that mean field lowers.

Role: definition, with any filter.
"""

from __future__ import annotations

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.crf.compatibility import agreement
from atrous.crf.messages import exact_operator, lattice_operator
from atrous.crf.pairwise import Pairwise, check_pairwise
from atrous.errors import ShapeError


@public
def free_energy(
    marginals: FloatArray,
    unary: FloatArray,
    pairwise: Pairwise | list[Pairwise],
    *,
    method: str = "lattice",
    self_message: bool = True,
) -> float:
    """Return F(Q) = Σ Q log Q + Σ Q·U + ½ Σₖ Σ Q ⊙ μₖKₖQ, where term k has the Gaussian matrix Kₖ.

    Parameters
    ----------
    marginals : ndarray of shape (L, ...)
        Probabilities.
    unary : ndarray of the same shape
        Energies; +inf only where the marginal is 0. It is converted to the dtype of the pairwise terms, as the
        marginals are.
    pairwise : Pairwise or list of Pairwise
        As for `mean_field`.
    method : {"lattice", "exact"}
        How messages are summed.
    self_message : bool
        As in `mean_field`.

    Returns
    -------
    float
        Without the self-message, F is KL(Q‖P) − log Z, so at least −log Z. pydensecrf's klDivergence is the same sum
        without the ½.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        Arguments do not fit together.

    Notes
    -----
    Cost: one mean-field step. With method="exact", no self-message and a symmetric Gaussian (normalisation "none" or
    "symmetric"), no sequential update raises F. The lattice does not guarantee this.

    References
    ----------
    .. [1] Krähenbühl, Koltun, arXiv:1210.5644, Sec. 3; the ½ because the model's sum counts each pair once.

    Examples
    --------
    >>> q = np.full((2, 3), 0.5)
    >>> round(free_energy(q, np.zeros((2, 3)), []), 4)
    -2.0794
    """
    owner = "free_energy"
    marginals = _check.float_array(owner, "marginals", marginals)
    unary = _check.float_array(owner, "unary", unary)
    if marginals.shape != unary.shape or unary.ndim < 2:
        raise ShapeError(f"{owner}: marginals and unary must have one shape, got {marginals.shape} and {unary.shape}.")
    _check.one_of(owner, "method", method, ("lattice", "exact"))
    marginals, unary = marginals.reshape(len(unary), -1), unary.reshape(len(unary), -1)
    unary, pairwise = check_pairwise(owner, unary, pairwise)
    marginals = marginals.astype(unary.dtype, copy=False)
    operator = exact_operator if method == "exact" else lattice_operator
    used = marginals > 0
    q = marginals[used].astype(np.float64)
    total = (q * np.log(q)).sum() + (q * unary[used]).sum()
    for term in pairwise:
        message = agreement(term.compatibility, operator(term, self_message=self_message)(marginals))
        total -= (marginals * message).sum(dtype=np.float64) / 2
    return float(total)
