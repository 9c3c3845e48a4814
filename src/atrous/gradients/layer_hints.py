"""Mistakes in the backward passes of layers, recognised by how a wrong gradient differs from the right one.

Each function gets a `Case` and returns (kind, sentence), or None if the gradient shows no trace of its mistake. The
sentences name what was left out, so each test asks for more than one sign of it.
"""

import itertools
from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """A wrong gradient of one input beside the right one."""

    name: str
    x: np.ndarray
    others: dict
    """The other inputs that are arrays, by name."""
    wrong: np.ndarray
    right: np.ndarray
    dy: np.ndarray
    jacobian: np.ndarray
    """∂y/∂x, shape (*x, *y)."""


def equal(a, b):
    """Tell whether two arrays agree as closely as difference quotients can tell."""
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-4, atol=1e-5 * max(1e-30, np.abs(b).max(initial=0))))


def layer_hint(case):
    """Return the first hint that fits, or None."""
    if case.x.ndim == 0:
        return None
    found = (hint(case) for hint in HINTS)
    return next((hint for hint in found if hint), None)


def _skip(case):
    """Notice that of y = f(x) + x only the path through f is there."""
    # Where each y depends on its own x alone, 1 may be missing for another reason, as in 1 − y² of tanh.
    if case.x.shape == case.dy.shape and equal(case.wrong, case.right - case.dy) and not _is_entrywise(case):
        return "skip", f"the gradient of {case.name} is short of dy itself: the path of the shortcut is missing."
    return None


def _label(case):
    """Notice that cross-entropy lacks the −1: one entry of each position is off, and by the same number."""
    if case.dy.size > 1:
        return None
    off = (case.wrong - case.right) * np.sign(case.dy)
    large = np.abs(off) > 1e-3 * np.abs(off).max()
    if large.sum() < 2 or off[large].min() < 0 or np.ptp(off[large]) > 1e-4 * np.abs(off).max():
        return None
    labels = [a for a in case.others.values() if a.dtype.kind in "iu"]
    for axis in range(case.x.ndim):
        places = np.argmax(large, axis=axis).ravel()
        if case.x.shape[axis] > 1 and any(np.array_equal(a.ravel(), places) for a in labels):
            return "label", (
                f"the gradient of {case.name} is off by the same number at the label of each position, along axis "
                f"{axis}, and right elsewhere: the −1 at the label is missing."
            )
    return None


def _slope(case):
    """Notice a rectifier with the slope of another one below 0, or a mask that compares with another number."""
    if case.x.shape != case.dy.shape or not _is_entrywise(case):
        return None
    x, ratio = case.x, case.wrong / np.where(case.dy == 0, np.inf, case.dy)
    true = case.right / np.where(case.dy == 0, np.inf, case.dy)
    same = np.isclose(ratio, true, rtol=1e-4, atol=1e-6)
    below, above = x < 0, x > 0
    if above.any() and below.any() and same[above].all() and not same[below].any():
        wrong, right = ratio[below], true[below]
        if np.ptp(wrong) < 1e-4 and np.ptp(right) < 1e-4 and not np.allclose((wrong[0], right[0]), (1, 0)):
            return "slope", (
                f"the gradient of {case.name} is right where {case.name} is positive. Where it is negative, the slope "
                f"is {right.mean():.3g}, and {wrong.mean():.3g} was used."
            )
    bad = x[~same]
    good = x[same]
    between = bad.size > 3 and np.ptp(bad) > 0 and good.size and good.min() < bad.min() and bad.max() < good.max()
    if between and not np.any((good > bad.min()) & (good < bad.max())) and np.ptp(ratio[~same]) < 1e-4:
        low, high = (f"{v:.3g}" for v in (bad.min(), bad.max()))
        return "threshold", (
            f"the gradient of {case.name} is wrong only where {case.name} is between {low} and {high}: a mask compares "
            "with another number than the forward pass."
        )
    return None


def _is_entrywise(case):
    """Tell whether each y depends on the x of its own place alone."""
    square = case.jacobian.reshape(case.x.size, -1)
    return square.shape[0] == square.shape[1] and not np.any(square[~np.eye(len(square), dtype=bool)])


def _statistics(case):
    """Notice that a normalisation lacks the paths through the mean and the variance of x."""
    off, space = case.wrong - case.right, range(2, case.x.ndim)
    candidates = ((0, *space), tuple(space), (case.x.ndim - 1,), tuple(range(1, case.x.ndim)), (0,))
    for axes in dict.fromkeys(candidates):
        groups = np.prod([case.x.shape[axis] for axis in axes], dtype=int)
        if not axes or groups < 4:
            continue
        centred = case.x - case.x.mean(axis=axes, keepdims=True)
        # What is normalised does not change if x is shifted or scaled.
        sums = (case.right * a for a in (np.ones_like(centred), centred))
        still = [np.abs(s.sum(axis=axes)) <= 1e-3 * np.abs(s).sum(axis=axes) for s in sums]
        if not np.all(still) or not centred.any(axis=axes).all():
            continue
        mean = off.mean(axis=axes, keepdims=True)
        slope = (off * centred).sum(axis=axes, keepdims=True) / (centred**2).sum(axis=axes, keepdims=True)
        if not equal(mean + slope * centred, off):
            continue
        by_mean, by_slope = (np.abs(a).max() > 1e-3 * np.abs(off).max() for a in (mean, slope * centred))
        along = f"over {in_words(axes)}"
        if by_mean and by_slope:
            return "statistics", (
                f"the gradient of {case.name} lacks the paths through the mean and the variance {along}: they depend "
                f"on {case.name} too."
            )
        if by_slope:
            return "variance", (
                f"the gradient of {case.name} is off by a multiple of {case.name} − its mean {along}: the path "
                "through the variance is missing."
            )
    return None


def _scale(case):
    """Notice that a factor per channel is left out, such as the γ of batch norm."""
    for name, factor in case.others.items():
        if factor.dtype.kind != "f" or factor.ndim != 1:
            continue
        for axis in range(case.x.ndim):
            if case.x.shape[axis] != factor.size or np.ptp(factor) == 0:
                continue
            wide = factor.reshape(-1, *(1,) * (case.x.ndim - 1 - axis))
            if equal(case.wrong * wide, case.right):
                return "scale", f"the gradient of {case.name} is not multiplied by {name}."
            if equal(case.wrong, case.right * wide):
                return "scale", f"the gradient of {case.name} is multiplied by {name} once too often."
    return None


def _bias(case):
    """Notice a sum of dy over other axes than those along which a bias is spread."""
    if case.x.ndim != 1:
        return None
    every = range(case.dy.ndim)
    kept = [axis for axis in every if equal(case.dy.sum(axis=tuple(a for a in every if a != axis)), case.right)]
    if len(kept) != 1:
        return None
    wanted = tuple(a for a in every if a != kept[0])
    for count in range(case.dy.ndim + 1):
        for axes in itertools.combinations(every, count):
            found = case.dy.sum(axis=axes)
            if axes != wanted and found.size in (1, case.x.size) and equal(case.wrong, found + np.zeros(case.x.size)):
                return "axes", (
                    f"the gradient of {case.name} is the sum of dy over {in_words(axes)}; it must be the sum over "
                    f"{in_words(wanted)}."
                )
    return None


def _overwritten(case):
    """Notice = in place of +=: where several outputs read an entry, only what one of them sends back is there."""
    if case.x.ndim < 2 or case.dy.ndim < 2:
        return None
    jac, dy = case.jacobian.reshape(case.x.size, *case.dy.shape), case.dy
    sent = jac * dy
    parts = (sent.sum(axis=2) if dy.ndim > 2 else sent).reshape(case.x.size, -1)
    wrong, right = case.wrong.ravel(), case.right.ravel()
    tolerance = 1e-5 * max(1e-30, np.abs(right).max())
    several = (np.abs(parts) > tolerance).sum(axis=1) > 1
    off = np.abs(wrong - right) > 10 * tolerance
    one_part = (np.abs(parts - wrong[:, None]) <= 10 * tolerance + 1e-4 * np.abs(parts)).any(axis=1)
    if off.any() and several[off].any() and one_part[off].all() and np.all(wrong[off & several] != 0):
        return "overwritten", (
            f"where several outputs read an entry of {case.name}, its gradient holds what one of them sends back: = "
            "stands where += belongs."
        )
    return None


def _resizing(before, after, corners):
    """Return the matrix of bilinear interpolation along one axis, from `before` to `after` samples."""
    i = np.arange(after)
    at = i * (before - 1) / max(1, after - 1) if corners else (i + 0.5) * before / after - 0.5
    return np.array([np.interp(at, np.arange(before), row) for row in np.eye(before)]).T


def _enlarged(case):
    """Notice that enlarging is undone by shrinking, or by the adjoint of another rule for corners."""
    if case.x.ndim != 4 or case.dy.ndim != 4 or case.x.shape[:2] != case.dy.shape[:2]:
        return None
    sizes = [*zip(case.x.shape[2:], case.dy.shape[2:], strict=True)]
    if all(a == b for a, b in sizes):
        return None

    def adjoint(corners):
        down, across = (_resizing(a, b, corners) for a, b in sizes)
        return down.T @ case.dy @ across

    rules = {True: "aligned corners", False: "half-pixel centres"}
    rule = next((corners for corners in rules if equal(adjoint(corners), case.right)), None)
    if rule is None:
        return None
    if equal(adjoint(not rule), case.wrong):
        return "corners", (
            f"the gradient of {case.name} is that of resizing with {rules[not rule]}; the forward pass has "
            f"{rules[rule]}."
        )
    shrunk = [(_resizing(b, a, c) for a, b in sizes) for c in rules]
    picked = [np.eye(b)[np.rint(np.linspace(0, b - 1, a)).astype(int)] for a, b in sizes]
    steps = [np.eye(b)[np.minimum(np.arange(a) * (b // max(1, a)), b - 1)] for a, b in sizes]
    for down, across in (*shrunk, picked, steps):
        if equal(down @ case.dy @ across.T, case.wrong):
            return "resized", (
                f"the gradient of {case.name} is dy made small again; each dy must be added to the four entries that "
                "it was interpolated from, with their weights."
            )
    return None


def in_words(axes):
    """Return "axis 2" or "axes 0, 1"."""
    return ("axis " if len(axes) == 1 else "axes ") + (", ".join(map(str, axes)) or "(none)")


HINTS = (_skip, _label, _slope, _scale, _statistics, _bias, _enlarged, _overwritten)
