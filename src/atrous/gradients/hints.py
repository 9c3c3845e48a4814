"""From a wrong gradient to the likely mistake: patterns that hand-written backward passes fall into again and again."""

import itertools
from math import prod

import numpy as np


def diagnose(pair, i, jacobian, *, alone):
    """Return (kind, sentence) for input i of a gradient-checked pair, from its numeric Jacobian (*input, *y).

    `alone` says that this is the only input whose gradient is wrong.
    """
    name, wrong = pair.names[i], pair.grads[i].astype(np.float64)
    right = np.tensordot(jacobian, pair.dy.astype(np.float64), axes=pair.dy.ndim)
    batch = pair.y.shape[0] if pair.y.ndim > 1 else 1
    found = _whole(wrong, right, batch, max(1, prod(pair.y.shape[2:])), name)
    if found is None:
        found = _probed(pair, i, jacobian, name) or _where(wrong, right, name)
    if wrong.ndim <= 1 and alone:
        detail = f" ({found[1]})" if found else ""
        return "bias", f"only {name} is wrong: it is the sum of dy over the batch and all positions{detail}."
    return found or ("unknown", "none of the usual patterns; start at the worst entry above.")


def _equal(a, b):
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-4, atol=1e-5 * max(1e-30, np.abs(b).max(initial=0))))


def _whole(wrong, right, batch, positions, name):
    """Return a hint where the whole gradient is a simple transformation of the right one."""
    if not wrong.any():
        return "zero", f"the gradient of {name} is zero everywhere: it is never computed, or overwritten."
    factor = float(np.vdot(right, wrong) / max(np.vdot(right, right), 1e-300))
    if factor and _equal(wrong, factor * right):
        if abs(factor + 1) < 1e-4:
            return "sign", f"the gradient of {name} has the wrong sign."
        reasons = (
            (2, "a term is added twice"),
            (1 / batch, f"the mean over the batch of {batch} is taken where the sum belongs"),
            (0.5, "a factor 2 is missing"),
            (float(batch), f"the batch of {batch} is counted twice"),
            (1 / positions, "the mean over positions is taken where the sum belongs"),
            (1 / (batch * positions), "the mean over batch and positions is taken where the sum belongs"),
        )
        near = [text for value, text in reasons if value != 1 and abs(factor - value) < 1e-4 * value][:1]
        return "factor", f"the gradient of {name} is off by the constant factor {factor:.6g}" + (
            f": {near[0]}." if near else "."
        )
    for a, b in itertools.combinations(range(right.ndim), 2):
        if right.shape[a] == right.shape[b] and _equal(wrong, right.swapaxes(a, b)):
            return "transposed", f"the gradient of {name} is transposed: axes {a} and {b} are swapped."
    for count in range(1, min(right.ndim, 4) + 1):
        for axes in itertools.combinations(range(right.ndim), count):
            if _equal(wrong, np.flip(right, axes)):
                return "flipped", (
                    f"the gradient of {name} is flipped along {_axes(axes)}: a kernel is mirrored (convolution against "
                    "cross-correlation)."
                )
    for axis, by in itertools.product(range(right.ndim), (1, -1)):
        if right.shape[axis] > 2 and _equal(np.delete(wrong, 0 if by > 0 else -1, axis),
                                            np.delete(right, -1 if by > 0 else 0, axis)):  # fmt: skip
            return "shifted", f"the gradient of {name} is shifted by {by:+d} along axis {axis}: padding off by one."
    return None


def _probed(pair, i, jacobian, name):
    """Return a hint from the gradients of single outputs: where each pass looks."""
    outputs, wrong, right = _single_outputs(pair, i, jacobian)
    agree = [_equal(a, n) for a, n in zip(wrong, right, strict=True)]
    for output, a, n, same in zip(outputs, wrong, right, agree, strict=True):
        found = None if same else _taps(pair, i, a, n, output, name)
        if found:
            return found
    if any(agree) and not all(agree):
        bad = [o for o, same in zip(outputs, agree, strict=True) if not same]
        rightly = [o for o, same in zip(outputs, agree, strict=True) if same]
        first, good = bad[0], rightly[0]
        for axis, what in enumerate(("batch", "channel")):
            apart = not {o[axis] for o in bad} & {o[axis] for o in rightly}
            if pair.y.ndim > axis + 1 and apart:
                return what, (
                    f"outputs at index {first[axis]} of axis {axis} of y ({what}) reach {name} wrongly, those at "
                    f"{rightly[0][axis]} rightly: a sum over that axis or a broadcast is missing."
                )
        if _at_border(first, pair.y.shape) and not _at_border(good, pair.y.shape):
            return "borders", (
                f"outputs near the border (y{list(first)}) reach {name} wrongly, inner ones rightly: padding is "
                "handled differently in the backward pass."
            )
    return None


def _single_outputs(pair, i, jacobian):
    """Return outputs in the middle, at both ends of batch and channels and at a corner, with both their gradients."""
    shape = pair.y.shape
    middle = tuple(n // 2 for n in shape)
    inner = middle[2:] if len(shape) > 2 else middle[len(shape) - 1 :]
    ends = [(0, 0), (shape[0] - 1, shape[1] - 1), (0, shape[1] - 1)] if len(shape) > 2 else [(0,), (shape[0] - 1,)]
    outputs = [middle, *(e + inner for e in ends)] if len(shape) > 1 else [middle]
    if len(shape) > 2:
        outputs += [(*middle[:2], *(0 for _ in inner)), (*middle[:2], *(n - 1 for n in shape[2:]))]
    outputs = list(dict.fromkeys(outputs))
    wrong, right = [], []
    for output in outputs:
        dy = np.zeros_like(pair.dy)
        dy[output] = 1
        wrong.append(pair.gradients(dy)[i].astype(np.float64))
        right.append(jacobian[(..., *output)])
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
                    return "flipped", f"{what} applies the kernel flipped along {_axes(axes)}."
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
                f"{what} has its taps {gap_a} apart along spatial axis {axis - 2}, the forward pass {gap_n}: "
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
    """Return the places of another input whose values the two gradients hold: what a product's gradient has read.

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
    """Return a hint from where the wrong entries lie."""
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
        if lines.any() and not lines.all():
            listed = np.flatnonzero(lines)
            return "part", f"only indices {_listed(listed)} of axis {axis} of {name}'s gradient are wrong."
    return None


def _at_border(output, shape):
    return any(o in (0, n - 1) for o, n in zip(output[2:], shape[2:], strict=True))


def _axes(axes):
    return ("axis " if len(axes) == 1 else "axes ") + ", ".join(map(str, axes))


def _listed(numbers):
    return ", ".join(map(str, numbers[:6])) + (", …" if len(numbers) > 6 else "")
