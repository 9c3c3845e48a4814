"""From a wrong gradient to the likely mistake: patterns of errors that are common in hand-written backward passes."""

import itertools
from math import prod

import numpy as np

from atrous.gradients.differences import jacobian
from atrous.gradients.layer_hints import Case, in_words, layer_hint
from atrous.gradients.layer_hints import equal as _equal


def diagnose(pair, i, *, alone):
    """Return (kind, sentence) for input i of a gradient-checked pair; `alone` if no other gradient is wrong."""
    name, wrong, jac = pair.names[i], pair.grads[i].astype(np.float64), jacobian(pair, i)
    dy = pair.dy.astype(np.float64)
    right = np.tensordot(jac, dy, axes=dy.ndim)
    found = None
    if wrong.any() and _equal(pair.gradients(-2 * pair.dy)[i].astype(np.float64), wrong):
        found = "dy", f"the gradient of {name} ignores dy: it stays the same whatever dy is."
    found = found or _whole(pair, i, wrong, right, name) or _order(pair, i, wrong, name)
    if found is None:
        others = {pair.names[j]: a for j, a in enumerate(pair.inputs) if j != i and isinstance(a, np.ndarray)}
        found = layer_hint(Case(name, pair.inputs[i].astype(np.float64), others, wrong, right, dy, jac))
    if found is None:
        found = _probed(pair, i, jac, name) or _turned(pair, i, wrong, dy, name) or _where(wrong, right, name)
    if wrong.ndim <= 1 and alone and (found or ("",))[0] != "axes":
        detail = f" Here {found[1]}" if found else ""
        return "bias", f"only {name} is wrong: a bias gets the sum of dy over the batch and all positions.{detail}"
    return found or ("unknown", "none of the usual patterns; start at the worst entry above.")


def _order(pair, i, wrong, name):
    """Return a hint where the gradient is that of another input of the same shape."""
    for j in pair.checked:
        if j != i and pair.inputs[j].shape == wrong.shape:
            other = np.tensordot(jacobian(pair, j), pair.dy.astype(np.float64), axes=pair.dy.ndim)
            if _equal(wrong, other):
                return "order", (
                    f"what was returned for {name} is the gradient of {pair.names[j]}: d{pair.names[j]} stands where "
                    f"d{name} belongs."
                )
    return None


def _turned(pair, i, wrong, dy, name):
    """Return a hint where another input, a square matrix, was used transposed."""
    for j, other in enumerate(pair.inputs):
        if j != i and isinstance(other, np.ndarray) and other.ndim == 2 and other.shape[0] == other.shape[1]:
            inputs = list(pair.inputs)
            inputs[j] = np.ascontiguousarray(other.T)
            if _equal(wrong, np.tensordot(jacobian(pair, i, inputs), dy, axes=dy.ndim)):
                return "transposed", f"the gradient of {name} uses {pair.names[j]} transposed."
    return None


@np.errstate(over="ignore", invalid="ignore")
def _whole(pair, i, wrong, right, name):
    """Return a hint where the whole gradient is a simple transformation of the right one."""
    if not wrong.any():
        return "zero", f"the gradient of {name} is zero everywhere: it is never computed, or overwritten."
    factor = float(np.vdot(right, wrong) / max(np.vdot(right, right), 1e-300))
    # The factor must explain the error, not merely leave the rest as it was.
    if factor and np.linalg.norm(wrong - factor * right) <= 0.05 * np.linalg.norm(wrong - right):
        if abs(factor + 1) < 1e-4:
            return "sign", f"the gradient of {name} has the wrong sign."
        return "factor", f"the gradient of {name} is off by the constant factor {factor:.6g}{_reason(pair, factor)}."
    for a, b in itertools.combinations(range(right.ndim), 2):
        if right.shape[a] == right.shape[b] and _equal(wrong, right.swapaxes(a, b)):
            return "transposed", f"the gradient of {name} is transposed: axes {a} and {b} are swapped."
    for count in range(1, min(right.ndim, 4) + 1):
        for axes in itertools.combinations(range(right.ndim), count):
            if _equal(wrong, np.flip(right, axes)):
                return "flipped", (
                    f"the gradient of {name} is flipped along {in_words(axes)}: a kernel is mirrored (convolution "
                    "against cross-correlation)."
                )
    for axis, by in itertools.product(range(right.ndim), (1, -1)):
        if right.shape[axis] > 2 and _equal(np.delete(wrong, 0 if by > 0 else -1, axis),
                                            np.delete(right, -1 if by > 0 else 0, axis)):  # fmt: skip
            return "shifted", f"the gradient of {name} is shifted by {by:+d} along axis {axis}: padding off by one."
    return None


def _reason(pair, factor):
    """Return a colon and the likely reason for a constant factor, or an empty string."""
    arrays = (pair.y, *pair.inputs) if pair.keys is None else (pair.y,)  # parameters have no batch axis
    shape = next((a.shape for a in arrays if isinstance(a, np.ndarray) and a.ndim > 1), (1,))
    batch, positions = shape[0], max(1, prod(pair.y.shape[2:]))
    reasons = (
        (2, "a term is added twice"),
        (1 / batch, f"the mean over the batch of {batch} is taken where the sum belongs"),
        (batch, f"the division by the batch of {batch} is missing, or the batch is counted twice"),
        (0.5, "a factor 2 is missing"),
        (1 / positions, "the mean over positions is taken where the sum belongs"),
        (1 / (batch * positions), "the mean over batch and positions is taken where the sum belongs"),
    )
    return next((f": {text}" for value, text in reasons if value != 1 and abs(factor - value) < 1e-4 * value), "")


def _probed(pair, i, jac, name):
    """Return a hint from the gradients of single outputs, which show the inputs that each pass uses."""
    outputs, wrong, right = _single_outputs(pair, i, jac)
    agree = [_equal(a, n) for a, n in zip(wrong, right, strict=True)]
    for output, a, n, same in zip(outputs, wrong, right, agree, strict=True):
        found = None if same else _taps(pair, i, a, n, output, name)
        if found:
            return found
    if any(agree) and not all(agree):
        bad = [o for o, same in zip(outputs, agree, strict=True) if not same]
        rightly = [o for o, same in zip(outputs, agree, strict=True) if same]
        first, good = bad[0], rightly[0]
        for axis, what in enumerate(("batch", "channel")[: max(0, pair.y.ndim - 1)]):
            apart = not {o[axis] for o in bad} & {o[axis] for o in rightly}
            if apart and _right_without(pair, i, jac, axis, {o[axis] for o in bad}):
                return what, (
                    f"the gradient of {name} is wrong for outputs at index {first[axis]} of axis {axis} of y ({what}), "
                    f"right for those at {rightly[0][axis]}: a sum over that axis or a broadcast is missing."
                )
        if _at_border(first, pair.y.shape) and not _at_border(good, pair.y.shape):
            return "borders", (
                f"the gradient of {name} is wrong for outputs near the border (y{list(first)}), right for inner ones: "
                "padding is handled differently in the backward pass."
            )
    return None


def _right_without(pair, i, jac, axis, indices):
    """Tell whether the gradient is right for all outputs except those at `indices` of an axis."""
    dy = pair.dy.copy()
    dy[(slice(None),) * axis + (sorted(indices),)] = 0
    right = np.tensordot(jac, dy.astype(np.float64), axes=dy.ndim)
    return bool(dy.any()) and _equal(pair.gradients(dy)[i].astype(np.float64), right)


def _single_outputs(pair, i, jac):
    """Return outputs in the middle, at both ends of batch and channels and at corners, with both gradients of each."""
    shape = pair.y.shape
    middle = tuple(n // 2 for n in shape)
    lead, inner = (2, middle[2:]) if len(shape) > 2 else (1, middle[1:])
    last = tuple(n - 1 for n in shape)
    outputs = [middle, (0,) * min(lead, len(shape)) + inner, last[:lead] + inner]
    if len(shape) > 2:
        outputs += [(0, last[1], *inner), (*middle[:2], *(0 for _ in inner)), (*middle[:2], *last[2:])]
    outputs = list(dict.fromkeys(outputs))
    wrong, right = [], []
    for output in outputs:
        dy = np.zeros_like(pair.dy)
        dy[output] = 1
        wrong.append(pair.gradients(dy)[i].astype(np.float64))
        right.append(jac[(..., *output)])
    return outputs, wrong, right


def _taps(pair, i, wrong, right, output, name):
    """Return a hint from the places that one output's gradient touches."""
    what = f"for output y{list(output)}, the backward pass of {name}"
    same_support = np.array_equal(_support(wrong), _support(right))
    if same_support and right.ndim > 2:
        box = _box(right)
        for count in range(1, right.ndim - 1):
            for axes in itertools.combinations(range(2, right.ndim), count):
                if _equal(wrong[box], np.flip(right[box], axes)) and not _equal(wrong, right):
                    return "flipped", f"{what} applies the kernel flipped along {in_words(axes)}."
    if same_support and right.ndim > 1 and _equal(np.sort(wrong, axis=1), np.sort(right, axis=1)):
        return "transposed", f"{what} takes the right weights in the wrong channels: a transposed or reordered filter."
    touched = [_support(wrong), _support(right)]
    if right.ndim < 3 or not all(len(t) for t in touched) or same_support:
        touched = _read_from(pair, i, wrong, right)
    if touched is None or not all(len(t) for t in touched):
        return None
    for axis in range(2, touched[0].shape[1]):
        a, n = (np.unique(t[:, axis]) for t in touched)
        gap_a, gap_n = (int(np.diff(u).min()) if len(u) > 1 else 0 for u in (a, n))
        if gap_a and gap_n and gap_a != gap_n:
            return "rate", (
                f"{what} has taps {gap_a} apart along spatial axis {axis - 2}, the forward pass {gap_n} apart: "
                f"{'the rate is off by one' if abs(gap_a - gap_n) == 1 else 'another rate or a stride is used'}."
            )
    for axis in range(2, touched[0].shape[1]):
        a, n = (np.unique(t[:, axis]) for t in touched)
        if len(a) == len(n) and len(set(a - n)) == 1 and a[0] != n[0]:
            return "shifted", f"{what} is shifted by {int(a[0] - n[0]):+d} along spatial axis {axis - 2}: padding."
    return None


def _support(a):
    return np.argwhere(np.abs(a) > 1e-6 * max(1e-30, np.abs(a).max(initial=0)))


def _box(a):
    places = _support(a)
    if not len(places):
        return (slice(None),) * a.ndim
    low, high = places.min(axis=0), places.max(axis=0) + 1
    return (slice(None), slice(None), *(slice(int(x), int(y)) for x, y in zip(low[2:], high[2:], strict=True)))


def _read_from(pair, i, wrong, right):
    """Return the places of another input whose values appear in the two gradients.

    In a bilinear map the gradient of the filter for one output consists of input samples; random samples are unique.
    """
    for j, other in enumerate(pair.inputs):
        if j == i or not isinstance(other, np.ndarray) or other.dtype.kind != "f" or other.ndim < 3:
            continue
        places = []
        for a in (wrong, right):
            values = a[np.abs(a) > 1e-6 * max(1e-30, np.abs(a).max(initial=0))]
            hits = [np.argwhere(np.abs(other - v) < 1e-7) for v in values[:64]]
            found = [h[0] for h in hits if len(h) == 1]
            places.append(
                np.array(found) if values.size and len(found) >= 0.7 * len(hits) else np.empty((0, other.ndim))
            )
        if all(len(p) for p in places):
            return places
    return None


def _where(wrong, right, name):
    """Return a hint from the positions of the wrong entries, or from what is missing in them."""
    zero = np.abs(right) <= 1e-6 * np.abs(right).max(initial=0)
    if zero.any() and not zero.all() and _equal(np.where(zero, 0, wrong), right):
        return "mask", f"the gradient of {name} is right where it is not 0, but must be 0 elsewhere: a mask is missing."
    if zero.any() and np.any(np.abs(wrong[zero]) > 1e-3 * np.abs(right).max(initial=0)):
        count = int((zero & (wrong != 0)).sum())
        return "spread", (
            f"the gradient of {name} is not 0 at {count} entries on which y does not depend here: a mask or a "
            "selection is missing or wrong."
        )
    for axis in range(right.ndim):
        lacking = wrong - right
        if right.shape[axis] > 2 and _equal(lacking, np.broadcast_to(lacking.mean(axis, keepdims=True), right.shape)):
            return "mean", (
                f"the gradient of {name} is off by a constant along axis {axis}: the path through a mean or a sum over "
                "that axis is missing."
            )
    bad = np.abs(wrong - right) > 1e-5 * max(1e-30, np.abs(right).max(initial=0))
    if right.ndim > 2:
        for margin in range(1, max(2, max(right.shape[2:]) // 2)):
            inside = (slice(None), slice(None), *(slice(margin, n - margin) if n > 2 * margin else slice(None)
                                                  for n in right.shape[2:]))  # fmt: skip
            if bad[inside].size < bad.size and not bad[inside].any() and bad[inside].size:
                return "borders", (
                    f"only entries of {name} within {margin} of the border are wrong: padding is handled "
                    "differently in the backward pass."
                )
    for axis in range(right.ndim):
        lines = bad.any(axis=tuple(a for a in range(right.ndim) if a != axis))
        listed = np.flatnonzero(lines)
        # Scattered indices are where the mistake happens to show, not where it is.
        if 0 < 2 * listed.size <= lines.size and np.ptp(listed) < listed.size:
            return "part", f"only indices {_listed(listed)} of axis {axis} of {name}'s gradient are wrong."
    return None


def _at_border(output, shape):
    return any(o in (0, n - 1) for o, n in zip(output[2:], shape[2:], strict=True))


def _listed(numbers):
    return ", ".join(map(str, numbers[:6])) + (", …" if len(numbers) > 6 else "")
