"""A forward and a backward pass as people write them, run on copies and held to their manners.

Accepted: forward returns y or (y, cache); backward takes (dy, cache) or (dy, *inputs) and returns a tuple, a
NamedTuple, a list, a dict or one array. Found: changed inputs, randomness, missing, mis-shaped or non-finite gradients.
"""

import inspect

import numpy as np

from atrous.errors import DTypeError, ParameterError


def is_float(a):
    """Tell whether `a` is an array of floating-point numbers."""
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


class Pair:
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
            chosen = [i for i, a in enumerate(self.inputs) if is_float(a)]
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
            if not is_float(a) or a.dtype not in wanted:
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
