"""Mean field for any fully connected CRF: choose the algorithm, and do what options ask for between two steps.

Role: public function over `reference` (exact), `fused` (lattice) and the step-by-step form in this file, which takes
any filter and handles the options that the fused form does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.crf import fused, layout
from atrous.crf.compatibility import agreement
from atrous.crf.filtered import FilteredPairwise, check_filtered, filtered_operator, message_rows
from atrous.crf.joined import join
from atrous.crf.messages import exact_operator, lattice_operator
from atrous.crf.pairwise import Pairwise, check_pairwise, listed
from atrous.crf.reference import POINTS, pairwise_matrix, softmax
from atrous.crf.vertices import padded_rewards
from atrous.errors import ParameterError, ShapeError
from atrous.jit import gpu
from atrous.jit.compiler import expect

METHODS = ("auto", "lattice", "exact", "cuda")
ACCURACIES = ("lattice", "fine")
UPDATES = ("parallel", "sequential")
# What the fused form compiles, for the lines that count; the last two only if a term is normalised, or with a start.
COMPILED = (
    "lattice.build.embed",
    "lattice.build.sort_slots",
    "lattice.build.neighbours",
    "lattice.splat_blur_slice.gather_rows",
    "lattice.splat_blur_slice.blur_rows",
    "crf.vertices.mix",
    "crf.vertices.blur_vertices",
    "crf.fused.steps",
    "crf.layout.to_planes",
)
COMPILED_TO_NORMALIZE = ("crf.joined.splat_ones", "crf.joined.normalize")
COMPILED_TO_START = ("crf.fused.splat",)


def _steps(unary, pairwise, operators, iterations, start, damping, watch):
    """Run mean field with any operators; `watch(step, marginals)` may end it by returning True."""
    marginals = softmax(-unary) if start is None else start.copy()
    keep = unary.dtype.type(damping)
    for step in range(1, iterations + 1):
        logits = -unary
        for term, carry in zip(pairwise, operators, strict=True):
            logits += agreement(term.compatibility, carry(marginals))
        marginals = (1 - keep) * softmax(logits) + keep * marginals
        if watch(step, marginals):
            break
    return marginals


def _sequential(unary, pairwise, iterations, start, self_message, watch):
    """Update one point at a time while all others stay fixed: coordinate descent on the free energy."""
    matrices = [pairwise_matrix(term, self_message=self_message) for term in pairwise]
    # The energy counts a pair of points in both orders.
    matrices = [(m + m.T) / 2 for m in matrices]
    marginals = softmax(-unary) if start is None else start.copy()
    for step in range(1, iterations + 1):
        for i in range(unary.shape[1]):
            logits = -unary[:, i : i + 1]
            for term, m in zip(pairwise, matrices, strict=True):
                logits = logits + agreement(term.compatibility, (marginals @ m[i])[:, None])
            marginals[:, i] = softmax(logits)[:, 0]
        if watch(step, marginals):
            break
    return marginals


def joined_lattices(owner, pairwise, order, *, starts=False, ring=False, makes_rows="to_rows"):
    """Return the lattices of the terms on the points `order`: all of a model that its compatibilities do not change.

    `makes_rows` is the function of `layout` that will be compiled for the logits.
    """
    normalizes = any(term.normalization != "none" for term in pairwise)
    optional = (COMPILED_TO_NORMALIZE if normalizes else ()) + (COMPILED_TO_START if starts else ())
    expect((*COMPILED, f"crf.layout.{makes_rows}", *optional), pairwise[0].features.dtype)
    features = [np.take(term.features, order, axis=0) for term in pairwise]
    return join(owner, features, [term.normalization for term in pairwise], ring=ring)


def run_fused(built, logits, pairwise, filtered, order, out, iterations, start, tick, watch):
    """Run the compiled pass on `logits` (points, width) of the points `order`; write marginals to `out` (L, P).

    `built` are the `joined_lattices` of `pairwise`, of which no more than the compatibilities is read.
    """
    begin = None if start is None else layout.to_rows(start, order)
    seen = watch and (lambda step, rows: watch(step, layout.to_planes(rows, order, out)))
    also = None
    if filtered:
        also = message_rows(filtered, padded_rewards(filtered, len(out), logits.dtype), order, logits.dtype)
    options = {"start": begin, "tick": tick, "watch": seen}
    if pairwise:
        rewards = padded_rewards(pairwise, len(out), logits.dtype)
        rows = fused.iterate(*built, rewards, logits, iterations, also=also, **options)
    else:
        rows = fused.iterate_filters(logits, iterations, also, **options)
    return layout.to_planes(rows, order, out)


def _watcher(callback, tolerance):
    """Return the function to call with (step, marginals) after each step, or None if there is nothing to do."""
    if callback is None and tolerance is None:
        return None
    before = [None]

    def watch(step, marginals):
        ended = False
        if tolerance is not None:
            ended = before[0] is not None and float(np.abs(marginals - before[0]).max()) <= tolerance
            before[0] = marginals.copy()
        answer = callback is not None and callback(step, marginals.copy())
        return ended or (isinstance(answer, (bool, np.bool_)) and bool(answer))

    return watch


def _probabilities(owner, name, value, shape, dtype):
    value = np.asarray(value)
    if value.shape != shape or value.dtype.kind not in "fiu":
        raise ShapeError(f"{owner}: {name} must be an array of shape {shape}, got {value.dtype} of {value.shape}.")
    with np.errstate(over="ignore"):
        value = value.astype(dtype).reshape(shape[0], -1)
        sums = value.sum(0)
    if not (value >= 0).all() or not np.allclose(sums, 1, atol=0.01):
        raise ParameterError(f"{owner}: {name} must be probabilities that sum to 1 over the labels.")
    return value


def checked_terms(owner, unary, pairwise):
    """Return the unary (L, …) as (L, P) in the dtype of the terms, and all terms, checked, in their order."""
    labels, *grid = unary.shape
    terms = listed(pairwise)
    plain = [term for term in terms if not isinstance(term, FilteredPairwise)]
    energies, plain = check_pairwise(owner, unary.reshape(labels, -1), plain)
    left = iter(plain)
    return energies, [
        check_filtered(owner, i, term, labels, grid, energies.dtype)
        if isinstance(term, FilteredPairwise)
        else next(left)
        for i, term in enumerate(terms)
    ]


def _constrain(owner, unary, fixed, shape):
    """Return unary energies that leave only the fixed label where one is given."""
    fixed = np.asarray(fixed)
    if fixed.shape != shape or fixed.dtype.kind not in "iu":
        raise ShapeError(f"{owner}: fixed must be integers of shape {shape}, got {fixed.dtype} of {fixed.shape}.")
    fixed = fixed.reshape(-1).astype(np.int64)
    if fixed.max() >= len(unary) or fixed.min() < -1:
        raise ParameterError(
            f"{owner}: fixed holds labels 0…{len(unary) - 1}, or -1 where a point is free; "
            f"got {fixed.min()}…{fixed.max()}."
        )
    where = np.flatnonzero(fixed >= 0)
    unary = unary.copy()
    unary[:, where] = np.inf
    unary[fixed[where], where] = 0
    return unary


def _ignored(owner, ignore, grid):
    """Return which points are ignored, (P,)."""
    ignore = np.asarray(ignore)
    if ignore.shape != grid or ignore.dtype != bool:
        raise ShapeError(f"{owner}: ignore must be bool of shape {grid}, got {ignore.dtype} of {ignore.shape}.")
    return ignore.reshape(-1)


def few_enough(owner, points):
    """Refuse more points than a matrix of all pairs can handle."""
    if points > POINTS:
        raise ParameterError(
            f'{owner}: method="exact" takes at most {POINTS} points, got {points}. Use "lattice", and lattice_error to '
            "measure its error."
        )


def _check_energies(owner, energies):
    # The minimum over the labels is NaN or -inf where any is, and +inf where all are.
    low = energies.min(0)
    if not np.isfinite(low).all():
        point = int(np.flatnonzero(~np.isfinite(low))[0])
        what = "excludes every label (+inf)" if low[point] > 0 else "holds NaN or -inf"
        raise ParameterError(
            f"{owner}: unary {what} at point {point}. Energies are -log of probabilities; +inf excludes a label."
        )


@public
def mean_field(
    unary: FloatArray,
    pairwise: Pairwise | FilteredPairwise | Sequence[Pairwise | FilteredPairwise],
    *,
    iterations: int = 10,
    method: str = "auto",
    accuracy: str = "lattice",
    self_message: bool = True,
    damping: float = 0.0,
    update: str = "parallel",
    start: FloatArray | None = None,
    ignore: Array | None = None,
    fixed: Array | None = None,
    tolerance: float | None = None,
    callback: Callable[[int, FloatArray], object] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> FloatArray:
    """Return the mean-field marginals of a fully connected CRF with Gaussian pairwise terms.

    Parameters
    ----------
    unary : ndarray of shape (L, H, W), (L, D, H, W) or (L, P), float32 or float64
        Energy of each label at each point, as −log P; +inf excludes a label. It is converted to the dtype of the
        pairwise terms, which is float32 unless they are made with dtype=np.float64.
    pairwise : Pairwise, FilteredPairwise or list of them
        From `spatial_pairwise`, `bilateral_pairwise` or any features; `separable_pairwise` and
        `domain_transform_pairwise` need no lattice. Let K be the matrix of the Gaussian for all pairs
        of points, and n its row sums. A number w or a vector v as compatibility adds w·KQ or v⊙KQ to the logits, so
        positive numbers reward equal labels; a matrix M holds costs and adds −½(M + Mᵀ)·KQ. So w, w·(1, …, 1) and −w·I
        mean the same. (In pydensecrf a vector has the opposite sign.) Normalisation replaces K by K ("none"),
        K·diag(1/n) ("before"), diag(1/n)·K ("after": a weighted mean, as in DeepLab's code and CRF-RNN) or
        diag(1/√n)·K·diag(1/√n) ("symmetric", as in pydensecrf). With "none", messages grow with the Gaussian's area.
    iterations : int
        Maximum number of steps; 0 returns `start`, or softmax(−unary) without it.
    method : {"auto", "lattice", "exact", "cuda"}
        "lattice" filters in linear time with a few per cent of error, "exact" sums over all pairs, "cuda" runs the
        lattice on a GPU; "auto" is "lattice".
    accuracy : {"lattice", "fine"}
        Of the lattice: "fine" adds a ring of vertices, which halves the error where they are sparse; see
        `build_lattice`.
    self_message : bool
        Whether a point receives its own message. The model excludes it, but the usual implementations and the default
        keep it. If it is removed, it does not count in the normalisation either.
    damping : float
        Weight of the old marginals in the new ones, in [0, 1).
    update : {"parallel", "sequential"}
        "sequential" updates point by point, which never raises the free energy; needs method="exact" and no damping.
    start : ndarray, shape of `unary`, optional
        Marginals to start from, for example those of the last frame of a video.
    ignore : ndarray of bool, shape of the points, optional
        Points that neither send nor receive messages; their marginals are softmax(−unary).
    fixed : ndarray of int, shape of the points, optional
        Label of each point where it is known (a scribble), −1 elsewhere.
    tolerance : float, optional
        Stop when no marginal has changed by more than this in a step.
    callback : function of (step, marginals), optional
        Called after every step with a copy in the shape of `unary`; returning True ends the run.
    progress : function of (done, total, label), optional
        Called after every step.

    Returns
    -------
    ndarray
        Shape of `unary`, dtype of the pairwise terms; sums to 1 over the labels.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        An argument does not fit; the message says which, and how to fix it.
    BackendUnavailable
        method="cuda" without a GPU.

    Notes
    -----
    Lattice: O(iterations·P·Σ(D + 1)·L) time; for memory see `mean_field_bytes`. Equal bits for any number of threads.
    Exact: O(iterations·P²·L) time, P² numbers per term. Options that the fused form does not have (no self-message,
    damping) run step by step, several times slower. In a point cloud (L, P), neighbours in space should be neighbours
    in the array.

    References
    ----------
    .. [1] Krähenbühl, Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials",
       arXiv:1210.5644, Sec. 3, Algorithm 1. Normalisations as in the authors' code of 2013.

    Examples
    --------
    >>> from atrous import spatial_pairwise
    >>> unary = np.zeros((2, 1, 5), np.float32)
    >>> unary[1, 0, :] = [1, 1, -1, 1, 1]
    >>> mean_field(unary, spatial_pairwise((1, 5), 1.0, 3.0)).argmax(0).tolist()
    [[0, 0, 0, 0, 0]]
    """
    owner = "mean_field"
    unary = _check.float_array(owner, "unary", unary)
    if unary.ndim < 2:
        raise ShapeError(f"{owner}: unary must be (labels, points) or (labels, H, W), got shape {unary.shape}.")
    shape, grid = unary.shape, unary.shape[1:]
    energies, terms = checked_terms(owner, unary, pairwise)
    pairwise = [term for term in terms if isinstance(term, Pairwise)]
    filtered = [term for term in terms if isinstance(term, FilteredPairwise)]
    iterations = _check.integer(owner, "iterations", iterations, least=0)
    _check.one_of(owner, "method", method, METHODS)
    _check.one_of(owner, "update", update, UPDATES)
    damping = _check.number(owner, "damping", damping, least=0, below=1)
    if tolerance is not None:
        tolerance = _check.number(owner, "tolerance", tolerance, least=0)
    _check.one_of(owner, "accuracy", accuracy, ACCURACIES)
    if accuracy == "fine" and method in ("exact", "cuda"):
        raise ParameterError(f'{owner}: accuracy="fine" is of method="lattice", got method={method!r}.')
    if filtered and (method == "cuda" or update == "sequential"):
        raise ParameterError(
            f'{owner}: terms that a filter computes run with neither method="cuda" nor update="sequential". Use '
            "spatial_pairwise or bilateral_pairwise."
        )
    if not self_message and any(term.itself is None for term in filtered):
        raise ParameterError(f"{owner}: self_message=False needs terms other than the domain transform.")
    if update == "sequential" and (method != "exact" or damping):
        raise ParameterError(f'{owner}: update="sequential" needs method="exact" and damping=0.')
    if fixed is not None:
        energies = _constrain(owner, energies, fixed, grid)
    _check_energies(owner, energies)
    if start is not None:
        start = _probabilities(owner, "start", start, shape, energies.dtype)

    # A filter takes the grid row by row, which costs the lattice little.
    order = np.arange(energies.shape[1]) if filtered else layout.strip_order(grid)
    out = np.empty_like(energies)
    if ignore is not None:
        order = order[~_ignored(owner, ignore, grid)[order]]
        out = softmax(-energies)
    if len(order) == 0 or not (pairwise or filtered) or (iterations == 0 and start is None):
        return softmax(-energies).reshape(shape)
    if method == "exact":
        few_enough(owner, len(order))
    tick = (lambda step: progress(step, iterations, "")) if progress else None
    watch = _watcher(callback and (lambda step, q: callback(step, q.reshape(shape))), tolerance)
    if method in ("auto", "lattice") and self_message and not damping:
        built = None
        if pairwise:
            built = joined_lattices(owner, pairwise, order, starts=start is not None, ring=accuracy == "fine")
        logits = layout.to_rows(energies, order, sign=-1, padding=-np.inf)
        options = iterations, start, tick, watch
        return run_fused(built, logits, pairwise, filtered, order, out, *options).reshape(shape)

    def restored(part):
        """Return all marginals, with `part` at the points `order` that are not ignored."""
        out[:, order] = part
        return out

    picked = energies[:, order]
    chosen = [Pairwise(np.ascontiguousarray(term.features[order]), *term[1:]) for term in pairwise]
    begin = None if start is None else np.ascontiguousarray(start[:, order])

    def seen(step, part):
        if tick:
            tick(step)
        return watch is not None and watch(step, restored(part))

    if method == "cuda":
        gpu.require(owner)
        from atrous.crf import cuda

        found = cuda.iterate(picked, chosen, iterations, begin, seen, self_message=self_message, damping=damping)
    elif update == "sequential":
        found = _sequential(picked, chosen, iterations, begin, self_message, seen)
    else:
        operator = exact_operator if method == "exact" else partial(lattice_operator, ring=accuracy == "fine")
        operators = [operator(term, self_message=self_message) for term in chosen]
        operators += [filtered_operator(t, order, energies.dtype, self_message=self_message) for t in filtered]
        found = _steps(picked, [*chosen, *filtered], operators, iterations, begin, damping, seen)
    return restored(found).reshape(shape)
