"""Gradient checks for everybody: does a hand-written backward pass compute the derivative of its forward pass?

The check draws a random upstream gradient dy, takes the loss φ = Σ dy·y, and compares what the backward pass says about
∂φ/∂input with the difference quotient (φ(x + h) − φ(x − h)) / 2h, entry by entry. Linear maps have a sharper test without
any step: an operator and its adjoint satisfy ⟨A x, y⟩ = ⟨x, Aᵀ y⟩ to rounding (`adjoint_error`).

NumPy is all that this file needs.

References
----------
Stanford CS231n, course notes, "Gradient checks"; Griewank and Walther, Evaluating Derivatives, 2nd ed., 2008; Squire
and Trapp, SIAM Review 40(1), 1998 (complex step); Ridders, Advances in Engineering Software 4(2), 1982.
"""

import inspect
from dataclasses import asdict, dataclass, field

import numpy as np

from atrous import _check
from atrous._gradient_hints import diagnose
from atrous.errors import DTypeError, ParameterError, ShapeError

MODES = ("full", "sample", "directional")
METHODS = ("central", "complex", "ridders")
# Entries examined for kinks, and the size of the Jacobian from which a hint is still worked out.
MOST_KINKS = 256
MOST_JACOBIAN = 20_000_000


@dataclass(frozen=True)
class InputReport:
    """What the check found for one input."""

    name: str
    shape: tuple
    ok: bool
    checked: int
    failed: int
    kinks: int
    max_abs_error: float
    max_rel_error: float
    worst_index: tuple | None
    analytic: float | None
    numeric: float | None
    steps: tuple = ()
    hint_kind: str = ""
    hint: str = ""
    errors: np.ndarray | None = field(default=None, repr=False, compare=False)

    def __str__(self):
        verdict = "ok  " if self.ok else "FAIL"
        line = (
            f"{verdict} {self.name:<6} {self.shape!s:<18} largest error {self.max_abs_error:.1e} absolute, "
            f"{self.max_rel_error:.1e} relative; {self.checked} checked"
        )
        if self.kinks:
            line += f", {self.kinks} at a kink"
        if self.ok or self.worst_index is None:
            return line if self.ok or not self.hint else f"{line}\n       {self.hint}"
        at = ", ".join(map(str, self.worst_index))
        line += f", {self.failed} wrong\n       worst at [{at}]: analytic {self.analytic:.10g}, numeric {self.numeric:.10g}"
        if self.steps:
            line += "\n       numeric by step: " + ", ".join(f"{h:.0e} → {value:.10g}" for h, value in self.steps)
        return line + (f"\n       hint: {self.hint}" if self.hint else "")


@dataclass(frozen=True)
class GradcheckReport:
    """The verdict of a gradient check; true if everything agrees. Print it, or let a notebook show it."""

    ok: bool
    inputs: tuple
    problems: tuple
    mode: str
    method: str
    eps: float
    rtol: float
    atol: float
    seed: object

    def __bool__(self):
        return self.ok

    def __str__(self):
        lines = [f"gradient check: {'passed' if self.ok else 'FAILED'} ({self.mode}, {self.method} differences)"]
        lines += [f"  {line}" for result in self.inputs for line in str(result).splitlines()]
        lines += [f"  problem: {problem}" for problem in self.problems]
        if not self.ok:
            lines.append(f"  tolerance |a − n| ≤ {self.atol:g}·scale + {self.rtol:g}·max(|a|, |n|); rng={self.seed!r}")
        return "\n".join(lines)

    def raise_if_failed(self):
        """Raise AssertionError with the whole report unless the check passed; return the report."""
        if not self.ok:
            raise AssertionError(str(self))
        return self

    def to_dict(self):
        """Return the report as plain Python values, fit for JSON."""
        found = asdict(self)
        for result in found["inputs"]:
            del result["errors"]
        found["seed"] = self.seed if isinstance(self.seed, int) else repr(self.seed)
        return found

    def _repr_html_(self):
        from atrous._gradient_html import report_html

        return report_html(self)


def gradcheck(
    forward, backward, inputs, *, wrt=None, mode="full", method="central", eps=None, rtol=1e-6, atol=1e-8,
    n_samples=64, directions=4, rng=0, kink="skip", nondet_tol=0.0, allow_float32=False,
):  # fmt: skip
    """Compare a backward pass with difference quotients of its forward pass.

    Parameters
    ----------
    forward : callable
        ``forward(*inputs)`` returns y or (y, cache); y is an array or a number.
    backward : callable
        ``backward(dy, cache)``, or ``backward(dy, *inputs)`` where forward returns no cache. Returns the gradients in
        the order of the inputs (all inputs, or those that are arrays) as a tuple, NamedTuple, list or dict, or one array
        where there is one input. Dict keys may be the inputs' names, plain or as ``dx``, ``grad_x``, ``x_grad``.
    inputs : sequence
        Float64 arrays are checked; anything else (None, integers, labels, option dicts) is passed on untouched.
    wrt : sequence of int or str, optional
        Which inputs to check, by position or by forward's parameter name. All float arrays by default.
    mode : {"full", "sample", "directional"}
        Every entry; `n_samples` random entries of each input; or `directions` random directions of each input.
    method : {"central", "complex", "ridders"}
        Centred differences; the complex step, exact to rounding but only for forwards that carry complex numbers; or
        Ridders' extrapolation to step zero, for strongly curved functions.
    eps : float, optional
        Step, times max(1, |entry|): 1e-5 by default (1e-20 complex, 1e-2 Ridders' first).
    rtol, atol : float
        An entry passes if |a − n| ≤ atol·scale + rtol·max(|a|, |n|), with scale the larger of 1 and the largest |n|.
    n_samples, directions : int
        See `mode`.
    rng : int or numpy.random.Generator
        Seed of the upstream gradient, the samples and the directions.
    kink : {"skip", "report", "fail"}
        What to do with entries where the function has a corner within the step (ReLU at 0, a tie of a maximum): leave
        them out, leave them out and say so among the problems, or count them as wrong.
    nondet_tol : float
        Largest allowed difference between two runs on the same inputs.
    allow_float32 : bool
        Accept float32 inputs, with eps 1e-2 and tolerances of at least 1e-2.

    Returns
    -------
    GradcheckReport
        True if all is well; for each input the largest errors, the worst index with analytic and numeric value at
        several steps, and a hint at the likely mistake.

    Raises
    ------
    DTypeError
        An input is not float64 (a difference quotient in float32 has three digits).
    ParameterError
        An option or the number of gradients is wrong; nothing to check.

    Notes
    -----
    Cost: "full" runs forward twice for each entry. Inputs are copied; the caller's arrays are never touched.

    Examples
    --------
    >>> forward = lambda x, w: x @ w
    >>> backward = lambda dy, x, w: (dy @ w.T, x.T @ dy)
    >>> bool(gradcheck(forward, backward, [np.ones((2, 3)), np.eye(3)]))
    True
    """
    _check.one_of("gradcheck", "mode", mode, MODES)
    _check.one_of("gradcheck", "method", method, METHODS)
    _check.one_of("gradcheck", "kink", kink, ("skip", "report", "fail"))
    single = allow_float32 and any(_is_float(a) and a.dtype == np.float32 for a in _as_list(inputs))
    if eps is None:
        eps = {"central": 1e-2 if single else 1e-5, "complex": 1e-20, "ridders": 1e-2}[method]
    if not eps > 0:
        raise ParameterError(f"gradcheck: eps must be positive, got {eps!r}.")
    if single:
        rtol, atol = max(rtol, 1e-2), max(atol, 1e-2)
    pair = _Pair(forward, backward, _as_list(inputs), wrt, rng, nondet_tol, allow_float32)
    results = []
    for i in pair.checked:
        if pair.grads.get(i) is not None:
            results.append(_check_input(pair, i, mode, method, eps, rtol, atol, n_samples, directions, kink))
    results = _with_hints(pair, results)
    if kink == "report":
        pair.problems += [f"{r.name} has {r.kinks} entries at a kink, left out." for r in results if r.kinks]
    failed = [p for p in pair.problems if not p.endswith("left out.")]
    ok = not failed and all(result.ok for result in results)
    seed = rng if isinstance(rng, int) else "the generator given"
    return GradcheckReport(ok, tuple(results), tuple(pair.problems), mode, method, eps, rtol, atol, seed)


def assert_gradients(forward, backward, inputs, **options):
    """Raise AssertionError with a full report unless backward computes the gradient of forward.

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
    """
    __tracebackhide__ = True
    return gradcheck(forward, backward, inputs, **options).raise_if_failed()


def adjoint_error(apply, adjoint, x_shape, y_shape=None, *, rng=0):
    """Return |⟨A x, y⟩ − ⟨x, Aᵀ y⟩| / (‖A x‖·‖y‖) for random x and y; rounding level if `adjoint` is the adjoint.

    Parameters
    ----------
    apply, adjoint : callable
        The linear map A and what claims to be its adjoint Aᵀ, each from one float64 array to one.
    x_shape : tuple of int
        Shape of what `apply` takes and `adjoint` returns.
    y_shape : tuple of int, optional
        Shape of what `apply` returns; found by calling it if left out.
    rng : int or numpy.random.Generator
        Seed of x and y.

    Returns
    -------
    float
        Some 1e-16 for a right adjoint, of order 0.1 for a wrong one. No step size, no truncation: the sharpest test
        there is for linear maps.

    Raises
    ------
    ShapeError
        `apply` or `adjoint` returns another shape than named.

    Examples
    --------
    >>> a = np.arange(6.0).reshape(2, 3)
    >>> adjoint_error(lambda x: a @ x, lambda y: a.T @ y, (3,)) < 1e-15
    True
    """
    rng = np.random.default_rng(rng)
    x = rng.standard_normal(x_shape)
    ax = np.asarray(apply(x.copy()))
    y_shape = ax.shape if y_shape is None else tuple(y_shape)
    if ax.shape != y_shape:
        raise ShapeError(f"adjoint_error: apply returned shape {ax.shape}, y_shape is {y_shape}.")
    y = rng.standard_normal(y_shape)
    aty = np.asarray(adjoint(y.copy()))
    if aty.shape != x.shape:
        raise ShapeError(f"adjoint_error: adjoint returned shape {aty.shape}, x_shape is {x.shape}.")
    size = np.linalg.norm(ax) * np.linalg.norm(y) or np.linalg.norm(x) * np.linalg.norm(aty) or 1.0
    return float(abs(np.vdot(ax, y) - np.vdot(x, aty)) / size)


def _as_list(inputs):
    return [inputs] if isinstance(inputs, np.ndarray) else list(inputs)


def _is_float(a):
    return isinstance(a, np.ndarray) and np.issubdtype(a.dtype, np.floating)


def _copy(a):
    return a.copy(order="K") if isinstance(a, np.ndarray) else a


def _same(a, b):
    return not isinstance(a, np.ndarray) or np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def _split(out):
    """Return (y, has_cache, cache) from what a forward pass returned."""
    if isinstance(out, tuple) and len(out) == 2:
        return np.asarray(out[0]), True, out[1]
    return np.asarray(out), False, None


class _Pair:
    """A forward and a backward pass with their inputs, run once: output, upstream gradient, gradients, problems."""

    def __init__(self, forward, backward, inputs, wrt, rng, nondet_tol, allow_float32):
        self.forward, self.backward = forward, backward
        self.inputs = [_copy(a) for a in inputs]
        self.names = _names(forward, len(inputs))
        self.checked = self._choose(wrt, allow_float32)
        self.rng = np.random.default_rng(rng)
        self.problems = []
        given = [_copy(a) for a in self.inputs]
        y, self.has_cache, cache = _split(forward(*given))
        self._untouched("forward", given)
        if y.dtype.kind != "f":
            raise DTypeError(f"gradcheck: forward must return a float array y, or (y, cache); y has dtype {y.dtype}.")
        self.y = y.copy()
        again = self.value()
        if again.shape != self.y.shape or not np.all(np.abs(again - self.y) <= nondet_tol):
            self.problems.append("forward gives different results for the same inputs: it is not deterministic.")
        self.dy = np.asarray(self.rng.standard_normal(self.y.shape)).astype(y.dtype)
        given = [_copy(a) for a in self.inputs] if not self.has_cache else given
        dy = self.dy.copy()
        first = self._gradients(backward(dy, cache) if self.has_cache else backward(dy, *given))
        if not _same(dy, self.dy):
            self.problems.append("backward changes dy in place.")
        self._untouched("backward", given)
        self._compare_runs(first, self.gradients(self.dy), nondet_tol)
        self.grads = {i: self._well_formed(i, first.get(i)) for i in self.checked}

    def value(self, inputs=None):
        """Return a fresh copy of y; `inputs` replaces the stored ones."""
        given = self.inputs if inputs is None else inputs
        return np.array(_split(self.forward(*given))[0])

    def gradients(self, dy):
        """Return the backward pass's gradients for an upstream gradient, by input, from a fresh forward pass."""
        given = [_copy(a) for a in self.inputs]
        _, has_cache, cache = _split(self.forward(*given))
        return self._gradients(self.backward(dy.copy(), cache) if has_cache else self.backward(dy.copy(), *given))

    def _choose(self, wrt, allow_float32):
        if wrt is None:
            chosen = [i for i, a in enumerate(self.inputs) if _is_float(a)]
        else:
            wrt = [wrt] if isinstance(wrt, (int, str)) else list(wrt)
            unknown = [w for w in wrt if w not in self.names and w not in range(len(self.inputs))]
            if unknown:
                raise ParameterError(f"gradcheck: wrt names {unknown[0]!r}; the inputs are {', '.join(self.names)}.")
            chosen = [self.names.index(w) if isinstance(w, str) else w for w in wrt]
        if not chosen:
            raise ParameterError("gradcheck: no input is a float64 array; there is nothing to check.")
        for i in chosen:
            a, wanted = self.inputs[i], (np.float32, np.float64) if allow_float32 else (np.float64,)
            if not _is_float(a) or a.dtype not in wanted:
                kind = a.dtype if isinstance(a, np.ndarray) else type(a).__name__
                raise DTypeError(
                    f"gradcheck: input {self.names[i]} must be a float64 array, got {kind}. Convert it with "
                    "astype(np.float64); difference quotients in less precision prove little."
                )
        return chosen

    def _untouched(self, who, given):
        for name, a, original in zip(self.names, given, self.inputs, strict=True):
            if not _same(a, original):
                self.problems.append(f"{who} changes its input {name} in place.")

    def _compare_runs(self, first, second, nondet_tol):
        for i, a in first.items():
            b = second.get(i)
            if a is not None and (b is None or a.shape != b.shape or np.any(np.abs(a - b) > nondet_tol)):
                self.problems.append(f"backward gives different results for {self.names[i]} when run twice.")

    def _gradients(self, returned):
        """Return {input index: gradient array or None} from any of the forms that backward may return."""
        arrays = [i for i, a in enumerate(self.inputs) if isinstance(a, np.ndarray)]
        if isinstance(returned, dict):
            by_name = {}
            for i, name in enumerate(self.names):
                for key in (name, f"d{name}", f"grad_{name}", f"{name}_grad", f"d_{name}"):
                    if key in returned:
                        by_name[i] = returned[key]
            if len(by_name) == len(returned):
                return {i: None if g is None else np.asarray(g) for i, g in by_name.items()}
            returned = tuple(returned.values())
        returned = tuple(returned) if isinstance(returned, (tuple, list)) else (returned,)
        places = {len(self.inputs): range(len(self.inputs)), len(arrays): arrays, len(self.checked): self.checked}
        if len(returned) not in places:
            raise ParameterError(
                f"gradcheck: backward returned {len(returned)} gradients for {len(arrays)} array inputs "
                f"({', '.join(self.names[i] for i in arrays)}). Return one for each, in the inputs' order."
            )
        pairs = zip(places[len(returned)], returned, strict=True)
        return {i: None if g is None else np.asarray(g) for i, g in pairs}

    def _well_formed(self, i, gradient):
        name, a = self.names[i], self.inputs[i]
        if gradient is None:
            self.problems.append(f"backward returned no gradient for {name}.")
        elif gradient.shape != a.shape:
            turned = sorted(gradient.shape) == sorted(a.shape)
            self.problems.append(
                f"the gradient of {name} has shape {gradient.shape}, {name} has {a.shape}"
                + ("; is it transposed?" if turned else "; a sum over a broadcast axis may be missing.")
            )
        elif gradient.dtype != a.dtype:
            self.problems.append(f"the gradient of {name} has dtype {gradient.dtype}, {name} has {a.dtype}.")
        elif not np.all(np.isfinite(gradient)):
            self.problems.append(f"the gradient of {name} holds NaN or inf.")
        else:
            return gradient
        return None


def _names(forward, count):
    """Return the names of forward's first parameters, or numbers where it does not tell."""
    try:
        parameters = list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    plain = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return (plain + [f"input {i}" for i in range(len(plain), count)])[:count]


def _slope(pair, i, direction, step, method):
    """Return dy · ∂y/∂(input i along direction) by difference quotients of the given step."""
    dy = pair.dy.astype(np.float64)
    if method == "ridders":
        return _ridders(lambda h: _slope(pair, i, direction, h, "central"), step)
    inputs = list(pair.inputs)
    if method == "complex":
        inputs = [a.astype(np.complex128) if _is_float(a) else a for a in inputs]
        inputs[i] = inputs[i] + 1j * step * direction
        y = pair.value(inputs)
        if y.dtype.kind != "c":
            raise DTypeError('gradcheck: method="complex" needs a forward that carries complex numbers; use "central".')
        return float(np.sum(dy * (y.imag / step)))
    ends = []
    for sign in (1, -1):
        inputs[i] = (pair.inputs[i] + sign * step * direction).astype(pair.inputs[i].dtype)
        ends.append(pair.value(inputs).astype(np.float64))
    return float(np.sum(dy * ((ends[0] - ends[1]) / (2 * step))))


def _one_sided(pair, i, direction, step):
    """Return the forward and the backward difference quotient."""
    inputs, slopes = list(pair.inputs), []
    for sign in (1, -1):
        inputs[i] = pair.inputs[i] + sign * step * direction
        slopes.append(float(np.sum(pair.dy * ((pair.value(inputs) - pair.y) / (sign * step)))))
    return slopes


def _ridders(slope, step, shrink=1.4, levels=10):
    """Extrapolate slope(h) to h = 0 (Ridders' method): a Neville table in h², stopped where its error grows."""
    table, best, error = [slope(step)], None, np.inf
    for level in range(1, levels):
        step /= shrink
        row, factor = [slope(step)], shrink * shrink
        for previous in table:
            row.append((row[-1] * factor - previous) / (factor - 1))
            factor *= shrink * shrink
            estimate = max(abs(row[-1] - row[-2]), abs(row[-1] - previous))
            if estimate <= error:
                best, error = row[-1], estimate
        if level > 2 and abs(row[-1] - table[-1]) > 2 * error:
            break
        table = row
    return best


def _unit(a, index):
    direction = np.zeros_like(a)
    direction[index] = 1
    return direction


def _check_input(pair, i, mode, method, eps, rtol, atol, n_samples, directions, kink):
    """Compare analytic and numeric slopes of one input, entry by entry or along random directions."""
    a, gradient = pair.inputs[i], pair.grads[i]
    if mode == "directional":
        probes = [pair.rng.standard_normal(a.shape) for _ in range(directions)]
        probes = [(None, d.astype(a.dtype), eps * max(1.0, float(np.abs(a).max(initial=0)))) for d in probes]
    else:
        count = a.size if mode == "full" else min(a.size, n_samples)
        flat = np.arange(a.size) if count == a.size else np.sort(pair.rng.choice(a.size, count, replace=False))
        indices = [tuple(map(int, np.unravel_index(k, a.shape))) for k in flat]
        probes = ((index, None, eps * max(1.0, abs(float(a[index])))) for index in indices)
    analytic, numeric, places = [], [], []
    for index, direction, step in probes:
        direction = _unit(a, index) if direction is None else direction
        analytic.append(float(np.sum(gradient * direction)) if index is None else float(gradient[index]))
        numeric.append(_slope(pair, i, direction, step, method))
        places.append((index, direction if index is None else None, step))
    analytic, numeric = np.array(analytic), np.array(numeric)
    scale = max(1.0, float(np.abs(numeric).max(initial=0)))
    errors = np.abs(analytic - numeric)
    wrong = ~(errors <= atol * scale + rtol * np.maximum(np.abs(analytic), np.abs(numeric)))
    kinks = np.zeros_like(wrong)
    if kink != "fail" and method == "central":
        for k in np.flatnonzero(wrong)[:MOST_KINKS]:
            index, direction, step = places[k]
            direction = _unit(a, index) if direction is None else direction
            kinks[k] = _is_kink(pair, i, direction, step, analytic[k], numeric[k], atol * scale, rtol)
    wrong &= ~kinks
    kept = ~kinks
    relative = errors / np.maximum(np.maximum(np.abs(analytic), np.abs(numeric)), 1e-3 * scale)
    worst = int(np.argmax(np.where(wrong if wrong.any() else kept, errors, -1))) if errors.size else None
    steps = ()
    if wrong.any():
        index, direction, step = places[worst]
        direction = _unit(a, index) if direction is None else direction
        tried = [step * f for f in (100, 1, 0.01)]
        steps = tuple((h, _slope(pair, i, direction, h, "central" if method == "ridders" else method)) for h in tried)
    heat = None
    if mode != "directional":
        heat = np.full(a.shape, np.nan)
        for (index, _, _), error, keep in zip(places, errors, kept, strict=True):
            heat[index] = error if keep else np.nan
    index = places[worst][0] if worst is not None else None
    if index is None and worst is not None:
        index = (f"direction {worst}",)
    return InputReport(
        name=pair.names[i], shape=a.shape, ok=not wrong.any(), checked=int(kept.sum()), failed=int(wrong.sum()),
        kinks=int(kinks.sum()), max_abs_error=float(errors[kept].max(initial=0)),
        max_rel_error=float(relative[kept].max(initial=0)), worst_index=index,
        analytic=None if worst is None else float(analytic[worst]),
        numeric=None if worst is None else float(numeric[worst]), steps=steps, errors=heat,
    )  # fmt: skip


def _is_kink(pair, i, direction, step, analytic, numeric, atol, rtol):
    """Tell whether a disagreement comes from a corner of the function rather than from a wrong gradient.

    Either the corner lies within the step and a shorter step agrees with the gradient, or it lies at the point itself:
    the two one-sided slopes then stay apart however short the step, and any value between them is a subgradient.
    """
    close = atol + rtol * max(abs(analytic), abs(numeric))
    for shorter in (step / 30, step / 1000):
        slope = _slope(pair, i, direction, shorter, "central")
        # Rounding grows as the step shrinks, and is allowed for.
        if abs(slope - analytic) <= close + 1e-15 * np.abs(pair.y).max(initial=1) / shorter:
            return True
    gaps = []
    for h in (step, step / 30):
        low, high = sorted(_one_sided(pair, i, direction, h))
        gaps.append(high - low)
    apart = gaps[1] > 0.5 * gaps[0] and gaps[1] > 1e-4 * max(1.0, abs(low), abs(high))
    return apart and low - close <= analytic <= high + close


def _with_hints(pair, results):
    """Return the reports, those that failed with the likeliest mistake named."""
    failing = [r for r in results if not r.ok]
    if not failing:
        return results
    hinted = []
    for result in results:
        i = pair.names.index(result.name)
        if result.ok or pair.inputs[i].size * pair.y.size > MOST_JACOBIAN:
            hinted.append(result)
            continue
        kind, hint = diagnose(pair, i, _jacobian(pair, i), alone=len(failing) == 1 and len(results) > 1)
        hinted.append(InputReport(**{**vars(result), "hint_kind": kind, "hint": hint}))
    return hinted


def _jacobian(pair, i):
    """Return ∂y/∂(input i) by centred differences, shape (*input, *y)."""
    a, step = pair.inputs[i], 1e-5 if pair.inputs[i].dtype == np.float64 else 1e-2
    rows = np.empty((a.size, *pair.y.shape))
    inputs = list(pair.inputs)
    for k in range(a.size):
        ends = []
        for sign in (1, -1):
            inputs[i] = a.copy()
            inputs[i].flat[k] += sign * step
            ends.append(pair.value(inputs).astype(np.float64))
        rows[k] = (ends[0] - ends[1]) / (2 * step)
    return rows.reshape(*a.shape, *pair.y.shape)
