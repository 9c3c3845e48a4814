"""Compare backward passes with difference quotients, and linear maps with their adjoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from atrous import _check
from atrous._check import told
from atrous._kinds import public
from atrous._types import Array
from atrous.errors import DTypeError, ParameterError, ShapeError
from atrous.gradients.differences import carries_complex, is_kink, slope, ties
from atrous.gradients.effect import notes
from atrous.gradients.hints import diagnose
from atrous.gradients.pair import Pair, as_list, generator, is_float
from atrous.gradients.report import GradcheckReport, InputReport

Inputs: TypeAlias = Sequence[Any] | Mapping[Any, Any] | Array
MODES = ("full", "sample", "directional")
METHODS = ("central", "complex", "ridders")
# Wrong entries to examine for kinks before all count as mistakes, entries of the largest Jacobian for a hint, and kinks
# to examine for ties.
FIRST_KINKS = 8
MOST_JACOBIAN = 20_000_000
MOST_TIES = 200
MOST_NUMBERS = 1 << 26


@public
def gradcheck(
    forward: Callable,
    backward: Callable | Inputs | None = None,
    inputs: Inputs | None = None,
    *,
    wrt: Sequence[int | str] | int | str | None = None,
    mode: str = "full",
    method: str = "central",
    eps: float | None = None,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    n_samples: int = 64,
    directions: int = 4,
    rng: int | np.random.Generator = 0,
    kink: str = "skip",
    nondet_tol: float = 0.0,
    allow_float32: bool = False,
    unused: str = "note",
) -> GradcheckReport:
    """Compare a backward pass with difference quotients of its forward pass.

    ``gradcheck(forward, backward, inputs)`` checks a pair of functions, ``gradcheck(loss_and_grads, inputs)`` one
    function that returns a loss and its gradients.

    Parameters
    ----------
    forward : callable
        ``forward(*inputs)`` returns y or (y, cache); y is an array or a number. Without `backward` it returns
        (loss, grads): one float, and the gradients in any of the forms below.
    backward : callable, left out if forward returns (loss, grads)
        ``backward(dy, cache)``, or ``backward(dy, *inputs)`` where forward returns no cache. Returns the gradients in
        the order of the inputs (all inputs, or those that are arrays) as a tuple, NamedTuple, list or dict, or one
        array where there is one input. Dict keys may be the inputs' names, plain or as ``dx``, ``grad_x``, ``x_grad``.
    inputs : sequence, ndarray or dict
        Float64 arrays are checked; anything else (None, integers, labels, option dicts) is passed on unchanged. A dict
        of parameters is passed as one argument, and its keys are the names of the inputs.
    wrt : sequence of int or str, optional
        Which inputs to check, by position or by name (forward's parameter, or the key in the dict). All float arrays by
        default.
    mode : {"full", "sample", "directional"}
        "full": every entry. "sample": `n_samples` random entries of each input, which may miss one wrong entry among
        many. "directional": `directions` random directions of each input, each of which mixes all entries.
    method : {"central", "complex", "ridders"}
        Centred differences; the complex step, exact up to rounding but only if forward accepts complex numbers; or
        Ridders' extrapolation to step zero, for strongly curved functions.
    eps : float, optional
        Step, multiplied by max(1, |entry|): 1e-5 by default, 1e-20 for "complex", 1e-2 as the first for "ridders".
    rtol, atol : float
        Analytic a and numeric n agree if |a − n| ≤ rtol·max(|a|, |n|) + atol·scale + noise; scale is the median of the
        nonzero |n|, and noise is the error that rounding in y can cause in the difference quotient.
    n_samples, directions : int
        See `mode`.
    rng : int or numpy.random.Generator
        Seed of the upstream gradient, the samples and the directions.
    kink : {"skip", "report", "fail"}
        What to do with entries where the function has a corner within the step (ReLU at 0, a tie in a maximum) and the
        gradient is between the slopes on the two sides: leave them out, leave them out and list them among the
        problems, or count them as wrong. An input with only kinks always fails. The gradient of a tie may go to one of
        its entries or be shared among them; if each gets all of it, the check fails.
    nondet_tol : float
        Largest allowed difference between two runs on the same inputs.
    allow_float32 : bool
        Accept float32 inputs, with eps 1e-2 and tolerances of at least 1e-2.
    unused : {"note", "error", "ignore"}
        What to do about an input without effect, whose gradient is zero at every entry checked, and about rows or
        columns that are dead on every sample: say so in the report, fail, or nothing. Both passes agree about them.

    Returns
    -------
    GradcheckReport
        True if the check passed. Holds, for each input, the largest errors, the worst index with its analytic and
        numeric values, the latter at several steps, and a hint about the likely mistake.

    Raises
    ------
    DTypeError
        An input is not float64 (a difference quotient in float32 has about three correct digits).
    ParameterError
        An option or the number of gradients is wrong, or there is nothing to check.

    Notes
    -----
    Cost: "full" runs forward twice for each entry. Inputs are copied; the caller's arrays are never modified.

    Examples
    --------
    >>> forward = lambda x, w: x @ w
    >>> backward = lambda dy, x, w: (dy @ w.T, x.T @ dy)
    >>> bool(gradcheck(forward, backward, [np.ones((2, 3)), np.eye(3)]))
    True

    A function that returns a loss and its gradients:

    >>> def loss_and_grads(params):
    ...     error = np.arange(6.0).reshape(2, 3) @ params["w"] - params["b"]
    ...     return (error**2).sum(), {"w": 2 * np.arange(6.0).reshape(2, 3).T @ error, "b": -2 * error}
    >>> bool(gradcheck(loss_and_grads, {"w": np.ones(3), "b": np.ones(2)}))
    True
    """
    if inputs is None and not callable(backward):
        backward, inputs = None, backward
    if inputs is None or not callable(forward) or not (backward is None or callable(backward)):
        raise ParameterError(
            f"gradcheck: pass (forward, backward, inputs), or (loss_and_grads, inputs) without a backward pass; got "
            f"{', '.join(type(a).__name__ for a in (forward, backward, inputs) if a is not None)}."
        )
    _check.one_of("gradcheck", "mode", mode, MODES)
    _check.one_of("gradcheck", "method", method, METHODS)
    _check.one_of("gradcheck", "kink", kink, ("skip", "report", "fail"))
    _check.one_of("gradcheck", "unused", unused, ("note", "error", "ignore"))
    single = allow_float32 and any(is_float(a) and a.dtype == np.float32 for a in as_list(inputs))
    if eps is None:
        eps = {"central": 1e-2 if single else 1e-5, "complex": 1e-20, "ridders": 1e-2}[method]
    _check.number("gradcheck", "eps", eps, above=0, below=1)
    for name, number in (("rtol", rtol), ("atol", atol), ("nondet_tol", nondet_tol)):
        _check.number("gradcheck", name, number, least=0, below=1e9)
    n_samples = _check.integer("gradcheck", "n_samples", n_samples, least=1)
    directions = _check.integer("gradcheck", "directions", directions, least=1)
    if single:
        rtol, atol = max(rtol, 1e-2), max(atol, 1e-2)
    pair = Pair(forward, backward, inputs, wrt, rng, nondet_tol, allow_float32)
    rule = _Rule(mode, method, eps, rtol, atol, n_samples, directions, kink, unused)
    results = _with_hints(pair, [_check_input(pair, i, rule) for i in pair.checked if pair.grads[i] is not None])
    remarks = [f"{r.name}: left out {r.kinks} entries at a kink." for r in results if r.kinks and kink == "report"]
    said = tuple(note for result in results for note in result.notes)
    if unused == "error":
        pair.problems.extend(said)
        said = ()
    ok = not pair.problems and all(result.ok for result in results)
    seed = int(rng) if isinstance(rng, (int, np.integer)) else "the given generator"
    return GradcheckReport(ok, tuple(results), (*pair.problems, *remarks), mode, method, eps, rtol, atol, seed, said)


@public
def assert_gradients(
    forward: Callable, backward: Callable | Inputs | None = None, inputs: Inputs | None = None, **options: Any
) -> GradcheckReport:
    """Raise AssertionError with a full report unless backward computes the gradient of forward.

    ``assert_gradients(loss_and_grads, inputs)`` checks a function that returns (loss, grads).

    Parameters
    ----------
    forward, backward, inputs, **options
        As for `gradcheck`.

    Returns
    -------
    GradcheckReport
        The report, if the check passed.

    Examples
    --------
    >>> def forward(x):
    ...     return np.maximum(x, 0), x
    >>> def backward(dy, x):
    ...     return dy * (x > 0)
    >>> bool(assert_gradients(forward, backward, [np.array([-1.0, 2.0])]))
    True
    >>> bool(assert_gradients(lambda w, x: (np.sum(w * x), [x, w]), [np.ones(3), np.arange(3.0)]))
    True
    """
    __tracebackhide__ = True
    return gradcheck(forward, backward, inputs, **options).raise_if_failed()


@public
def adjoint_error(
    apply: Callable[[Array], Array],
    adjoint: Callable[[Array], Array],
    x_shape: int | Sequence[int],
    y_shape: int | Sequence[int] | None = None,
    *,
    rng: int | np.random.Generator = 0,
) -> float:
    """Return |⟨A x, y⟩ − ⟨x, Aᵀ y⟩| / (‖A x‖·‖y‖) for random x and y: rounding error if `adjoint` is correct.

    Parameters
    ----------
    apply, adjoint : callable
        The linear map A and its supposed adjoint Aᵀ; each takes and returns one float64 array.
    x_shape : tuple of int
        Shape of the input of `apply` and of the output of `adjoint`.
    y_shape : tuple of int, optional
        Shape of the output of `apply`; by default found by calling it.
    rng : int or numpy.random.Generator
        Seed of x and y.

    Returns
    -------
    float
        About 1e-16 for a correct adjoint and about 0.1 for a wrong one. There is no step and no truncation error, so
        this is the sharpest test for linear maps.

    Raises
    ------
    ShapeError
        `apply` or `adjoint` returns an array of the wrong shape.

    Examples
    --------
    >>> a = np.arange(6.0).reshape(2, 3)
    >>> adjoint_error(lambda x: a @ x, lambda y: a.T @ y, (3,)) < 1e-15
    True
    """
    rng = generator(rng)
    for name, shape in (("x_shape", x_shape), ("y_shape", y_shape)):
        sizes = [] if shape is None else np.atleast_1d(shape).tolist()
        if any(n < 0 for n in sizes):
            raise ParameterError(f"adjoint_error: {name} must hold no negative sizes, got {told(shape)}.")
        count = math.prod(sizes)
        if count > MOST_NUMBERS:
            raise ParameterError(
                f"adjoint_error: {name} has {count:.3g} numbers; at most {MOST_NUMBERS:.3g} are checked. An adjoint "
                "that is right for small arrays is right for large ones: choose a smaller shape."
            )
    x = rng.standard_normal(x_shape)
    ax = np.asarray(apply(x.copy()))
    y_shape = ax.shape if y_shape is None else tuple(np.atleast_1d(y_shape).tolist())
    if ax.shape != y_shape:
        raise ShapeError(f"adjoint_error: apply returned shape {ax.shape} for x_shape {x.shape}, y_shape is {y_shape}.")
    y = rng.standard_normal(y_shape)
    aty = np.asarray(adjoint(y.copy()))
    if aty.shape != x.shape:
        raise ShapeError(f"adjoint_error: adjoint returned shape {aty.shape}, x_shape is {x.shape}.")
    size = np.linalg.norm(ax) * np.linalg.norm(y) or np.linalg.norm(x) * np.linalg.norm(aty) or 1.0
    return float(abs(np.vdot(ax, y) - np.vdot(x, aty)) / size)


class _Rule(NamedTuple):
    """The options of `gradcheck` on how to take slopes and which errors to accept."""

    mode: str
    method: str
    eps: float
    rtol: float
    atol: float
    n_samples: int
    directions: int
    kink: str
    unused: str


class _Probe(NamedTuple):
    """Where to take one slope of an input: along one entry or along a direction, and with which step."""

    index: tuple | None
    direction: np.ndarray | None
    step: float

    def along(self, a):
        """Return the direction as an array like `a`."""
        if self.direction is not None:
            return self.direction
        unit = np.zeros_like(a)
        unit[self.index] = 1
        return unit


def _probes(pair, a, rule):
    """Return where the slopes of input `a` are taken."""
    if rule.mode == "directional":
        step = rule.eps * max(1.0, float(np.abs(a).max()))
        return [_Probe(None, pair.rng.standard_normal(a.shape).astype(a.dtype), step) for _ in range(rule.directions)]
    count = a.size if rule.mode == "full" else min(a.size, rule.n_samples)
    flat = np.arange(a.size) if count == a.size else np.sort(pair.rng.choice(a.size, count, replace=False))
    indices = [tuple(map(int, np.unravel_index(k, a.shape))) for k in flat]
    return [_Probe(index, None, rule.eps * max(1.0, abs(float(a[index])))) for index in indices]


def _check_input(pair, i, rule):
    """Compare analytic and numeric slopes of one input."""
    a, gradient = pair.inputs[i], pair.grads[i]
    probes = _probes(pair, a, rule)
    analytic = [np.sum(gradient * p.along(a)) if p.index is None else gradient[p.index] for p in probes]
    analytic = np.array(analytic, dtype=np.float64)
    if rule.method == "complex" and not carries_complex(pair, i, pair.rng.standard_normal(a.shape)):
        raise DTypeError(
            "gradcheck: the complex step disagrees with a central difference; forward does not support complex "
            'numbers (does it use abs, conj or a comparison?). Use method="central".'
        )
    slopes = [_finite_slope(pair, i, p, rule.method) for p in probes]
    numeric, noise = np.array([s.value for s in slopes]), np.array([s.noise for s in slopes])
    if not np.all(np.isfinite(numeric)):
        at = probes[int(np.flatnonzero(~np.isfinite(numeric))[0])].index
        pair.problems.append(
            f"{pair.callers[0]} is not finite near {pair.names[i]}{list(at or ())}: choose another value there."
        )
    larger, errors = np.maximum(np.abs(analytic), np.abs(numeric)), np.abs(analytic - numeric)
    used = np.abs(numeric[numeric != 0])
    scale = float(np.median(used)) if used.size else 0.0
    close = rule.atol * scale + rule.rtol * larger + noise
    wrong = ~(errors <= close)
    kinks = _kinks(pair, i, probes, wrong, analytic, close, rule)
    tied = _ties(pair, i, probes, kinks, analytic, close)
    for group in tied:
        kinks[group] = False
    wrong &= ~kinks
    kept = ~kinks
    _judge(pair, i, analytic, noise, kept)
    said = ()
    if rule.unused != "ignore" and not wrong.any():
        indices = None if probes[0].index is None else [probe.index for probe in probes]
        said = tuple(notes(pair, i, indices, (analytic == 0) & (numeric == 0)))
    worst = int(np.argmax(np.where(wrong if wrong.any() else kept, np.nan_to_num(errors, nan=np.inf), -1)))
    steps = ()
    if wrong[worst]:
        plain = "complex" if rule.method == "complex" else "central"
        probe = probes[worst]
        tried = (100 * probe.step, probe.step, probe.step / 100)
        steps = tuple((h, slope(pair, i, probe.along(a), h, plain).value) for h in tried)
    relative = errors / np.maximum(np.maximum(larger, 1e-3 * scale), np.finfo(np.float64).tiny)
    return InputReport(
        name=pair.names[i],
        shape=a.shape,
        ok=not wrong.any(),
        checked=int(kept.sum()),
        failed=int(wrong.sum()),
        kinks=int(kinks.sum()),
        max_abs_error=float(errors[kept].max(initial=0)),
        max_rel_error=float(relative[kept].max(initial=0)),
        worst_index=(f"direction {worst}",) if probes[worst].index is None else probes[worst].index,
        analytic=float(analytic[worst]),
        numeric=float(numeric[worst]),
        steps=steps,
        errors=_error_map(a, probes, np.where(kept, errors, np.nan)),
        hint_kind="tie" if tied else "",
        hint=_tie_hint(pair.names[i], [probes[k] for k in tied[0]], analytic[tied[0]]) if tied else "",
        notes=said,
    )


def _finite_slope(pair, i, probe, method):
    """Return the numeric slope, with a much shorter step if the first one leaves the domain of the forward pass."""
    direction = probe.along(pair.inputs[i])
    for step in (probe.step, 1e-6 * probe.step, 1e-9 * probe.step):
        found = slope(pair, i, direction, step, method)
        if np.isfinite(found.value):
            break
    return found


def _judge(pair, i, analytic, noise, kept):
    """Add a problem if the comparison proves nothing: all entries are at kinks, or rounding hides the gradient."""
    name, largest, drowned = pair.names[i], float(np.abs(analytic).max()), float(noise.max())
    if not kept.any():
        pair.problems.append(f"every entry of {name} that was compared is at a kink: choose other inputs.")
    elif 1e-4 * drowned < largest < 3 * drowned:
        pair.problems.append(
            f"the gradient of {name} (largest {largest:.1e}) cannot be judged: the rounding of the forward pass gives "
            f"difference quotients an error of {drowned:.1e}. Subtract a constant from the output, or raise eps."
        )


def _kinks(pair, i, probes, wrong, analytic, close, rule):
    """Return which of the wrong slopes are corners of the function rather than mistakes."""
    kinks = np.zeros_like(wrong)
    if rule.kink == "fail":
        return kinks
    found = np.flatnonzero(wrong)
    for tried, k in enumerate(pair.rng.permutation(found)):
        # If none of the first few wrong entries is at a kink, the gradient is wrong; the rest need no examination.
        if tried == FIRST_KINKS and not kinks.any():
            break
        a = pair.inputs[i]
        step = probes[k].step if rule.method == "central" else 1e-5 * max(1.0, float(np.abs(a).max()))
        kinks[k] = is_kink(pair, i, probes[k].along(a), step, analytic[k], float(close[k]))
    return kinks


def _ties(pair, i, probes, kinks, analytic, close):
    """Return groups of kinks whose parts of the gradient do not add up, as lists of positions among the probes."""
    found = np.flatnonzero(kinks)[:MOST_TIES]
    if len(found) < 2 or probes[found[0]].index is None:
        return []
    a = pair.inputs[i]
    step = 1e-5 * max(1.0, float(np.abs(a).max()))
    directions = [probes[k].along(a) for k in found]
    return [found[group] for group in ties(pair, i, directions, step, analytic[found], close[found])]


def _tie_hint(name, tied, parts):
    places = ", ".join(f"[{', '.join(map(str, probe.index))}]" for probe in tied[:4]) + (", …" if len(tied) > 4 else "")
    return (
        f"{name} at {places} are tied, and the parts of their gradient, {parts.sum():.4g} in all, do not add up to one "
        "dy: a tie may give dy to one of its entries or share it among them, but not give all of it to each."
    )


def _error_map(a, probes, errors):
    """Return the errors in the shape of the input, NaN where nothing was compared; None for directions."""
    if any(p.index is None for p in probes):
        return None
    found = np.full(a.shape, np.nan)
    for probe, error in zip(probes, errors, strict=True):
        found[probe.index] = error
    return found


def _with_hints(pair, results):
    """Return the reports, with a hint about the likely mistake in those that failed."""
    failing = [r for r in results if not r.ok]
    hinted = []
    for result in results:
        i = pair.names.index(result.name)
        if not result.ok and not result.hint and pair.inputs[i].size * pair.y.size <= MOST_JACOBIAN:
            try:
                kind, hint = diagnose(pair, i, alone=len(failing) == 1 and len(results) > 1)
            except Exception as error:  # a hint must never hide the verdict
                kind, hint = "unknown", f"no hint: {type(error).__name__} while looking for one."
            result = replace(result, hint_kind=kind, hint=hint)  # noqa: PLW2901
        hinted.append(result)
    return hinted
