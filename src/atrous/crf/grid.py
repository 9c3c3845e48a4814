"""`grid_crf`: smooth label energies with the short-range CRF of `grid_model`.

Role: public function.
"""

from __future__ import annotations

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.crf.grid_cut import grid_cut
from atrous.crf.grid_inference import grid_icm, grid_mean_field
from atrous.crf.grid_model import grid_weights
from atrous.errors import ParameterError

# Name of a method -> (function, the options it takes)
METHODS = {
    "mean_field": (grid_mean_field, ("iterations", "damping")),
    "icm": (grid_icm, ("iterations",)),
    "cut": (grid_cut, ()),
}


@public
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
        As for `grid_weights`; diagonal neighbours have weight 1/√2.
    method : {"mean_field", "icm", "cut"}
        `grid_mean_field`, `grid_icm`, or `grid_cut` (two labels, exact).
    iterations : int, optional
        By default the method's own; not for "cut".
    damping : float in [0, 1), optional
        For "mean_field" only.

    Returns
    -------
    ndarray
        "mean_field": marginals (L, H, W), dtype of `unary`; otherwise labels (H, W), int64.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for the functions above; also an option that the method does not have.

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
