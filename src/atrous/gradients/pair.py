"""A forward and a backward pass in any of the usual forms, run on copies and checked for side effects.

Accepted: forward returns y or (y, cache); backward takes (dy, cache), (dy, *inputs) or dy alone, and returns a tuple, a
NamedTuple, a list, a dict or one array. Instead of the two, one function that returns (loss, grads): the loss is y, the
gradients are the cache, and the backward pass multiplies them by dy, which is 1. Inputs in a dict are passed as a dict.
Reported: changed inputs, randomness, missing, misshaped or infinite gradients.
"""

import inspect

import numpy as np

from atrous._check import told
from atrous.errors import DTypeError, ParameterError

# Combined with the seed, so that dy differs from inputs that a user has drawn with the same seed.
STREAM = 0xA7205


def generator(rng):
    """Return a Generator from a seed or from a Generator."""
    if isinstance(rng, (int, np.integer)) and rng < 0:
        raise ParameterError(f"gradcheck: rng must be a Generator or a seed of at least 0, got {rng}.")
    return (
        np.random.default_rng([int(rng), STREAM]) if isinstance(rng, (int, np.integer)) else np.random.default_rng(rng)
    )


def is_float(a):
    """Tell whether `a` is an array of floating-point numbers."""
    return isinstance(a, np.ndarray) and np.issubdtype(a.dtype, np.floating)


def _copy(a):
    return a.copy(order="K") if isinstance(a, np.ndarray) else a


def _same(a, b):
    return not isinstance(a, np.ndarray) or np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def _split(out):
    """Return (y, has_cache, cache) from what a forward pass returned."""
    if isinstance(out, (tuple, list)) and not (isinstance(out, list) and np.ndim(out[0]) == 0):
        if len(out) != 2:
            raise ParameterError(
                f"gradcheck: forward must return y or (y, cache), got {len(out)} values. Put all but y into one tuple."
            )
        return np.asarray(out[0]), True, out[1]
    return np.asarray(out), False, None


def _positional(function):
    """Return the names of a function's positional parameters, None if they are unknown or of any number."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind == p.VAR_POSITIONAL for p in parameters):
        return None
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def as_list(inputs):
    """Return the inputs, which may be one array, any sequence or a dict, as a list."""
    if isinstance(inputs, np.ndarray):
        inputs = [inputs]
    if not isinstance(inputs, (list, tuple, dict)) and not hasattr(inputs, "__iter__"):
        raise ParameterError(
            f"gradcheck: inputs must be an array, a sequence or a dictionary of arrays, got {told(inputs)}."
        )
    found = list(inputs.values() if isinstance(inputs, dict) else inputs)
    if any(isinstance(a, np.ma.MaskedArray) for a in found):
        raise DTypeError("gradcheck: inputs must be plain arrays, got a masked one. Fill it: a.filled(0.0).")
    return found


def _loss_and_grads(function):
    """Return the function with a check that it returns (loss, grads)."""

    def forward(*inputs):
        out = function(*inputs)
        if not isinstance(out, (tuple, list)):
            got = f"one value of type {type(out).__name__}"
        elif len(out) != 2:
            got = f"{len(out)} values"
        elif np.size(out[0]) == 1 and np.asarray(out[0]).dtype.kind in "fc":
            return np.asarray(out[0]).reshape(()), out[1]
        else:
            got = f"a first value of shape {np.shape(out[0])}, {np.asarray(out[0]).dtype}"
        raise ParameterError(
            "gradcheck: a function without a backward pass must return (loss, grads), the loss one float, grads in the "
            f"order of the inputs or a dict by their names; got {got}. If it returns y or (y, cache), pass the "
            "backward pass as well: gradcheck(forward, backward, inputs)."
        )

    return forward


def _scaled(dy, grads):
    """Return the gradients that came with a loss, times dy."""
    if isinstance(grads, dict):
        return {key: _scaled_one(dy, g) for key, g in grads.items()}
    return [_scaled_one(dy, g) for g in grads] if isinstance(grads, (tuple, list)) else _scaled_one(dy, grads)


def _scaled_one(dy, gradient):
    try:
        found = None if gradient is None else np.asarray(gradient)
    except ValueError:
        found = np.array(gradient, object)
    if found is not None and found.dtype.kind not in "fciub":
        raise ParameterError(
            f"gradcheck: each gradient must be one array, got {type(gradient).__name__}. Return them in a flat list or "
            "tuple, or in a dict by the names of the inputs."
        )
    return None if found is None else found * found.dtype.type(dy)


class Pair:
    """A forward and a backward pass with their inputs, run to find y, the upstream gradient, gradients and problems.

    If `backward` is None, `forward` returns (loss, grads).
    """

    def __init__(self, forward, backward, inputs, wrt, rng, nondet_tol, allow_float32):
        alone = backward is None
        self.callers = ("the function",) * 2 if alone else ("forward", "backward")
        self.forward, self.backward = (_loss_and_grads(forward), _scaled) if alone else (forward, backward)
        self.keys = list(inputs) if isinstance(inputs, dict) else None
        inputs = as_list(inputs)
        self.inputs = [_copy(a) for a in inputs]
        names = (_positional(forward) or []) if self.keys is None else [str(key) for key in self.keys]
        self.names = (names + [f"input {i}" for i in range(len(names), len(inputs))])[: len(inputs)]
        self.checked = self._choose(wrt, allow_float32)
        self.rng = generator(rng)
        self.problems = []
        given = [_copy(a) for a in self.inputs]
        y, has_cache, cache = self._run_forward(given)
        self._untouched(self.callers[0], given)
        if y.dtype.kind != "f":
            raise DTypeError(f"gradcheck: forward must return a float array y, or (y, cache); y has dtype {y.dtype}.")
        self.y = y.copy()
        if not np.all(np.isfinite(self.y)):
            raise ParameterError(
                "gradcheck: forward gives NaN or inf at these inputs; choose inputs inside its domain."
            )
        again = self.value()
        if again.shape != self.y.shape or not np.all(np.abs(again - self.y) <= nondet_tol):
            self.problems.append(
                f"{self.callers[0]} gives another result for the same inputs: it is not deterministic."
            )
        self.dy = np.asarray(1 if alone else self.rng.standard_normal(self.y.shape)).astype(y.dtype)
        dy = self.dy.copy()
        given = given if has_cache else [_copy(a) for a in self.inputs]
        first = self._gradients(self._run_backward(dy, has_cache, cache, given))
        if not _same(dy, self.dy):
            self.problems.append("backward changes dy in place.")
        if not alone:
            self._untouched("backward", given)
        self._compare_runs(first, self.gradients(self.dy), nondet_tol)
        self.grads = {i: self._well_formed(i, first.get(i)) for i in self.checked}

    def value(self, inputs=None):
        """Return a fresh copy of y; `inputs` replaces the stored ones."""
        given = [_copy(a) for a in (self.inputs if inputs is None else inputs)]
        return np.array(self._run_forward(given)[0])

    def gradients(self, dy):
        """Return the gradient for each input from a new forward and backward pass with the upstream gradient dy."""
        given = [_copy(a) for a in self.inputs]
        _, has_cache, cache = self._run_forward(given)
        return self._gradients(self._run_backward(dy.copy(), has_cache, cache, given))

    def _arguments(self, given):
        return given if self.keys is None else [dict(zip(self.keys, given, strict=True))]

    def _run_forward(self, given):
        return _split(self.forward(*self._arguments(given)))

    def _run_backward(self, dy, has_cache, cache, given):
        names = _positional(self.backward)
        if names is not None and len(names) == 1:
            return self.backward(dy)
        return self.backward(dy, cache) if has_cache else self.backward(dy, *self._arguments(given))

    def _choose(self, wrt, allow_float32):
        if wrt is None:
            chosen = [i for i, a in enumerate(self.inputs) if is_float(a)]
        else:
            wrt = [wrt] if isinstance(wrt, (int, str, np.integer)) else list(wrt)
            places = {**dict(enumerate(range(len(self.inputs)))), **{name: i for i, name in enumerate(self.names)}}
            unknown = [w for w in wrt if isinstance(w, bool) or w not in places]
            if unknown:
                raise ParameterError(f"gradcheck: wrt names {unknown[0]!r}; the inputs are {', '.join(self.names)}.")
            chosen = list(dict.fromkeys(places[w] for w in wrt))
        if not chosen:
            raise ParameterError(
                "gradcheck: none of inputs, or of those that wrt names, is a float64 array; there is nothing to check. "
                "Convert one with astype(float)."
            )
        for i in chosen:
            a, wanted = self.inputs[i], (np.float32, np.float64) if allow_float32 else (np.float64,)
            if not is_float(a) or a.dtype not in wanted:
                kind = a.dtype if isinstance(a, np.ndarray) else type(a).__name__
                raise DTypeError(
                    f"gradcheck: inputs: {self.names[i]} must be a float64 array, got {kind}. Convert it with "
                    "astype(np.float64); difference quotients in less precision prove little."
                )
            if a.size == 0:
                raise ParameterError(f"gradcheck: inputs: {self.names[i]} is empty, shape {a.shape}; nothing to check.")
        return chosen

    def _untouched(self, who, given):
        for name, a, original in zip(self.names, given, self.inputs, strict=True):
            if not _same(a, original):
                self.problems.append(f"{who} changes its input {name} in place.")

    def _compare_runs(self, first, second, nondet_tol):
        for i, a in first.items():
            b = second.get(i)
            differ = a is not None and (b is None or a.shape != b.shape or np.any(np.abs(a - b) > nondet_tol))
            if differ:
                self.problems.append(f"{self.callers[1]} gives different gradients of {self.names[i]} when run twice.")

    def _gradients(self, returned):
        """Return {input index: gradient array or None} from any of the forms that backward may return."""
        if isinstance(returned, dict):
            places = self._places_of_keys(returned)
            found = zip(places, returned.values(), strict=True)
        else:
            returned = tuple(returned) if isinstance(returned, (tuple, list)) else (returned,)
            arrays = [i for i, a in enumerate(self.inputs) if isinstance(a, np.ndarray)]
            every = range(len(self.inputs))
            places = {len(self.checked): self.checked, len(arrays): arrays, len(every): every}.get(len(returned))
            if places is None:
                raise ParameterError(
                    f"gradcheck: {self.callers[1]} returned {len(returned)} gradients for {len(arrays)} array inputs "
                    f"({', '.join(self.names[i] for i in arrays)}). Return one for each, in the inputs' order, or name "
                    "the inputs that have one: wrt=[...]."
                )
            found = zip(places, returned, strict=True)
        # Copies, because a backward pass may return the same buffers again.
        return {i: None if g is None else np.array(g) for i, g in found}

    def _places_of_keys(self, returned):
        """Return the index of the input that each key of a dict of gradients refers to."""
        known = dict(enumerate(range(len(self.inputs))))
        for i, name in enumerate(self.names):
            name = name.casefold()  # noqa: PLW2901
            known |= dict.fromkeys((name, f"d{name}", f"grad_{name}", f"{name}_grad", f"d_{name}"), i)
        # Names as they are come first: "w" and "W" may be two parameters, and "db" one of its own.
        known |= {name: i for i, name in enumerate(self.names if self.keys is None else self.keys)}
        places = [known.get(key, known.get(key.casefold()) if isinstance(key, str) else None) for key in returned]
        if None in places or len(set(places)) < len(places):
            fix = "Name each gradient after its input, plain or with a d in front."
            if any(isinstance(a, dict) for a in self.inputs):
                fix = "A dict of parameters must be the only input: gradcheck(lambda params: f(params, x), params)."
            raise ParameterError(
                f"gradcheck: {self.callers[1]} returned a dict with the keys {', '.join(map(repr, returned))}, the "
                f"inputs are {', '.join(self.names)}. {fix}"
            )
        return places

    def _well_formed(self, i, gradient):
        name, a = self.names[i], self.inputs[i]
        if gradient is None:
            self.problems.append(f"{self.callers[1]} returned no gradient for {name}.")
        elif gradient.shape != a.shape:
            turned = sorted(gradient.shape) == sorted(a.shape)
            other = next((j for j in self.checked if j != i and self.inputs[j].shape == gradient.shape), None)
            reason = "is it transposed?" if turned else "a sum over a broadcast axis may be missing."
            if other is not None and not turned:
                reason = f"that is the shape of {self.names[other]}: are the gradients in the order of the inputs?"
            self.problems.append(f"the gradient of {name} has shape {gradient.shape}, {name} has {a.shape}; {reason}")
        elif gradient.dtype != a.dtype:
            self.problems.append(f"the gradient of {name} has dtype {gradient.dtype}, {name} has {a.dtype}.")
        elif not np.all(np.isfinite(gradient)):
            self.problems.append(f"the gradient of {name} holds NaN or inf.")
        else:
            return gradient
        return None
