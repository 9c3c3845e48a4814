"""The best labelling of the short-range CRF for two labels: a minimum cut of a graph (graph cut).

Role: public function over SciPy's maximum flow.
"""

from __future__ import annotations

import numpy as np

from atrous import _check
from atrous._types import Array, FloatArray
from atrous.crf.grid_model import ENDS, checked_model, neighbour_sum
from atrous.errors import ParameterError, ShapeError


def grid_cut(unary: FloatArray, weights: FloatArray) -> Array:
    """Return the labelling of least energy, for two labels, by a minimum cut.

    A pixel is connected to the source by U_0 − U_1 if that is positive, else to the sink by U_1 − U_0, and to its
    neighbours by w_ij. Pixels on the source's side of the minimum cut get label 1.

    Parameters
    ----------
    unary : ndarray of shape (2, H, W)
        Energy of each label, in nats; +inf forbids a label.
    weights : ndarray of shape (2 or 4, H, W)
        From `grid_weights`, none negative.

    Returns
    -------
    ndarray of int64 of shape (H, W)
        Labels 0 and 1; of all labellings of least energy, the one with the fewest ones.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        The number of labels is not two, arrays do not fit together, NaN, negative weights.

    Notes
    -----
    Cost: one maximum flow over H·W + 2 nodes and (2·K + 1)·H·W edges (Dinic's method, SciPy): milliseconds for 64²
    pixels, longer if weights are so large that pixels far apart affect each other.

    SciPy's flow is int32, so energies are rounded to multiples of a unit, the smallest for which neither an edge nor
    the flow can reach 2³¹. For all but tiny images it is min(Σ_source, Σ_sink) / 2³¹, from the sums of the capacities
    at the source and the sink. The result exceeds the least energy by at most one unit per pixel and per pair. A pixel
    whose |U_0 − U_1| exceeds the sum of its weights keeps its own label in every optimum; its capacity is reduced to
    this sum plus one unit, so large or infinite energies cost no accuracy.

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
    unary, weights = checked_model(owner, unary, weights)
    if len(unary) != 2:
        raise ShapeError(
            f"{owner}: unary must have two labels, shape (2, H, W), got {unary.shape}. Use grid_icm or grid_mean_field."
        )
    if weights.min() < 0:
        raise ParameterError(
            f"{owner}: weights must not be negative (a cut cannot prefer different labels), got {weights.min()}. "
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


def _integers(gap, weights):
    """Return gap and weights in the smallest unit for which neither an edge nor the flow can reach 2³¹."""
    around = neighbour_sum(np.ones_like(gap), weights)
    held = np.minimum(np.abs(gap), around)
    flow = min(held[gap > 0].sum(), held[gap < 0].sum())
    # Rounding adds at most 5 units per pixel: half a unit for each of 8 neighbours, and the one unit of `enough`.
    scale = (_check.LIMIT - 6 * gap.size) / max(flow, held.max(), 2 * weights.max(), 1e-290)
    weights = np.rint(scale * weights)
    enough = neighbour_sum(np.ones_like(gap), weights) + 1
    capacity = np.where(np.abs(gap) > around, enough, np.minimum(np.rint(scale * held), enough))
    return (np.sign(gap) * capacity).astype(np.int32), weights.astype(np.int32)


def _graph(gap, weights):
    """Return the capacities as a sparse matrix: one node per pixel, then the source, then the sink."""
    from scipy.sparse import csr_array

    node = np.arange(gap.size, dtype=np.int32).reshape(gap.shape)
    source = np.full_like(node, gap.size)
    edges = [(source, node, np.maximum(gap, 0)), (node, source + 1, np.maximum(-gap, 0))]
    for w, (here, there) in zip(weights, ENDS, strict=False):
        edges += [(node[here], node[there], w[here]), (node[there], node[here], w[here])]
    tail, head, capacity = (np.concatenate([part.ravel() for part in parts]) for parts in zip(*edges, strict=True))
    some = capacity > 0
    return csr_array((capacity[some], (tail[some], head[some])), shape=(gap.size + 2, gap.size + 2))
