"""Multiply first, shift afterwards: each tap is a matrix product over the samples that it really reads.

    y[:, o] = Σ_k P_k[:, s·o + r·k − p]          P_k = W_k · x, with W_k the (F, C/groups) weights of tap k

Each tap is a 1×1 convolution whose result is shifted and added. There are no columns and no zeros: a tap that extends
beyond the border is multiplied only for the samples it reads. At rate 12 on 41 samples, a 3×3 filter does 65 % of the
work; at rate 36 on 65 samples, 40 %. A tap that is always outside costs nothing (DeepLab v3, Section 3.3, counts such
taps).
The backward pass is the adjoint and shifts first: S_k is dy placed at the samples that tap k read, then

    dx = Σ_k W_kᵀ · S_k          dW_k = S_k · xᵀ

Several convolutions of one input are just more taps (`forward_all`).
BLAS needs a few hundred rows to be fast, so taps with few filters are stacked into one product over the whole input.

Role: transformation. NaN and inf reach exactly the y and dx that read them; in dw, stacked taps meet the zeros of S.
Cost: 2·macs flops in BLAS, less those on zeros if F is large; extra memory one copy of x without the columns that a tap
cannot read, and the products of about `ROWS` filters or of one tap.
"""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from atrous.conv.tap_range import reach

# BLAS is fast from this many rows on; products with fewer are stacked.
ROWS = 256


def reached(g, axis):
    """Return [(k, outputs, inputs), …] along an axis: the outputs at which tap k is inside, and what it reads."""
    sizes = g.stride[axis], g.size[axis], g.out[axis]
    found = ((k, reach(g.rate[axis] * k - g.pad[axis], *sizes)) for k in range(g.kernel[axis]))
    return [(k, *slices) for k, slices in found if slices]


class Tap(NamedTuple):
    """One tap of one of the convolutions: the outputs it writes, the inputs it reads, and its number of filters."""

    conv: int
    at: tuple[int, int, int]
    outputs: tuple[slice, slice, slice]
    inputs: tuple[slice, slice, slice]
    rows: int


class Product(NamedTuple):
    """Taps that are multiplied together over one box of the input; their `inputs` count from the corner of the box."""

    columns: slice
    rows: tuple[slice, slice]
    taps: list[Tap]


def products(geometries):
    """Return the Products that make up several convolutions of one input."""
    by_columns = defaultdict(list)
    for i, g in enumerate(geometries):
        for kz, oz, iz in reached(g, 0):
            for ky, oy, iy in reached(g, 1):
                for kx, ox, ix in reached(g, 2):
                    tap = Tap(i, (kz, ky, kx), (oz, oy, ox), (iz, iy, ix), g.f // g.groups)
                    by_columns[ix.start, ix.stop, ix.step].append(tap)
    whole = (0, geometries[0].size[2], 1)
    for columns in [c for c, taps in by_columns.items() if sum(t.rows for t in taps) < ROWS and c != whole]:
        by_columns[whole] += by_columns.pop(columns)
    found = [_product(slice(*columns), some) for columns, taps in by_columns.items() for some in _split(taps)]
    # Products of one tap are sorted by convolution, so that the filters of each are laid out once.
    return sorted(found, key=lambda product: product.taps[0].conv if len(product.taps) == 1 else -1)


def _split(taps):
    """Yield runs of taps with at least `ROWS` rows, except perhaps the last run."""
    run, rows = [], 0
    for tap in taps:
        run.append(tap)
        rows += tap.rows
        if rows >= ROWS:
            yield run
            run, rows = [], 0
    if run:
        yield run


def _product(columns, taps):
    """Return the Product of taps over the smallest box that contains what they read."""
    if len(taps) == 1:
        box = (*taps[0].inputs[:2], columns)
    else:
        reads = [[tap.inputs[axis] for tap in taps] for axis in (0, 1)]
        box = (*(slice(min(r.start for r in some), max(r.stop for r in some), 1) for some in reads), columns)
    inside = [tap._replace(inputs=tuple(map(_within, tap.inputs, box))) for tap in taps]
    return Product(columns, box[:2], inside)


def _within(part, box):
    """Return `part` as a slice of the samples of `box`."""
    step = part.step // box.step
    start = (part.start - box.start) // box.step
    return slice(start, start + (part.stop - part.start - 1) // part.step * step + 1, step)


def _covers(inputs, box):
    return all(s.start == 0 and s.step == 1 and s.stop == n for s, n in zip(inputs, box.shape[3:], strict=True))


def _grouped(a, g):
    """View (N, A, D, H, W) as (N, groups, A/groups, D, H, W)."""
    return a.reshape(g.n, g.groups, -1, *a.shape[2:])


def _matrix(a):
    """Return (N, groups, A, D, H, W) as (N, groups, A, positions), a view if possible."""
    return a.reshape(*a.shape[:3], -1)


def by_tap(w, g):
    """Return the weights (F, C/groups, KD, KH, KW) as (KD, KH, KW, groups, F/groups, C/groups)."""
    laid = np.empty((*w.shape[2:], *w.shape[:2]), w.dtype)
    # A few filters at a time, so that all their taps are in the cache.
    for f in range(0, len(w), 4):
        laid[:, :, :, f : f + 4] = w[f : f + 4].transpose(2, 3, 4, 0, 1)
    return laid.reshape(*w.shape[2:], g.groups, -1, w.shape[1])


def by_filter(laid, g):
    """Undo `by_tap`."""
    laid = laid.reshape(*laid.shape[:3], g.f, -1)
    w = np.empty((*laid.shape[3:], *laid.shape[:3]), laid.dtype)
    for f in range(0, len(w), 4):
        w[f : f + 4] = laid[:, :, :, f : f + 4].transpose(3, 4, 0, 1, 2)
    return w


def _stacked(weights, plan, geometries):
    """Yield the weights of each product as (groups, rows, C/groups)."""
    conv, laid = None, None
    for product in plan:
        first, *others = product.taps
        if not others:
            if first.conv != conv:
                conv, laid = first.conv, by_tap(weights[first.conv], geometries[first.conv])
            yield laid[first.at]
            continue
        groups = geometries[0].groups
        parts = (weights[tap.conv][:, :, *tap.at].reshape(groups, tap.rows, -1) for tap in product.taps)
        yield np.concatenate(list(parts), axis=1)


def _boxes(x, plan):
    """Yield (product, its box of x (N, groups, C/groups, D, H, W)); products with the same columns share one copy."""
    columns, copied = None, None
    for product in plan:
        if product.columns != columns:
            columns, copied = product.columns, np.ascontiguousarray(x[..., product.columns])
        yield product, copied[:, :, :, *product.rows]


def _shifted(dys, product, box):
    """Return S (N, groups, rows, D, H, W): for each tap, dy at the samples that it read, and zeros elsewhere."""
    first = product.taps[0]
    if len(product.taps) == 1 and _covers(first.inputs, box):
        return np.ascontiguousarray(dys[first.conv][:, :, :, *first.outputs])
    s = np.zeros((*box.shape[:2], sum(tap.rows for tap in product.taps), *box.shape[3:]), box.dtype)
    row = 0
    for tap in product.taps:
        s[:, :, row : row + tap.rows, *tap.inputs] = dys[tap.conv][:, :, :, *tap.outputs]
        row += tap.rows
    return s


def forward_all(x, weights, geometries):
    """Return [y, …] of several convolutions of one x (N, C, D, H, W) with different filters and rates."""
    g, plan = geometries[0], products(geometries)
    ys = [np.zeros((g.n, g.groups, o.f // o.groups, *o.out), x.dtype) for o in geometries]
    for (product, box), w in zip(_boxes(_grouped(x, g), plan), _stacked(weights, plan, geometries), strict=True):
        p = (w @ _matrix(box)).reshape(*box.shape[:2], -1, *box.shape[3:])
        row = 0
        for tap in product.taps:
            ys[tap.conv][:, :, :, *tap.outputs] += p[:, :, row : row + tap.rows, *tap.inputs]
            row += tap.rows
    return [y.reshape(o.n, o.f, *o.out) for y, o in zip(ys, geometries, strict=True)]


def backward_input_all(dys, weights, geometries):
    """Return dx (N, C, D, H, W), the sum over the convolutions."""
    g, plan = geometries[0], products(geometries)
    dx = np.zeros((g.n, g.groups, g.c // g.groups, *g.size), dys[0].dtype)
    dys = [_grouped(dy, g) for dy in dys]
    for product, w in zip(plan, _stacked(weights, plan, geometries), strict=True):
        box = dx[:, :, :, *product.rows, product.columns]
        box += (w.swapaxes(-1, -2) @ _matrix(_shifted(dys, product, box))).reshape(box.shape)
    return dx.reshape(g.n, g.c, *g.size)


def backward_weight_all(dys, x, geometries):
    """Return [dw, …], each (F, C/groups, KD, KH, KW) and summed over the batch in order."""
    g = geometries[0]
    dws = [np.zeros((*o.kernel, o.groups, o.f // o.groups, o.c // o.groups), x.dtype) for o in geometries]
    dys = [_grouped(dy, g) for dy in dys]
    for product, box in _boxes(_grouped(x, g), products(geometries)):
        dw = (_matrix(_shifted(dys, product, box)) @ _matrix(box).swapaxes(-1, -2)).sum(0)
        row = 0
        for tap in product.taps:
            dws[tap.conv][tap.at] = dw[:, row : row + tap.rows]
            row += tap.rows
    return [by_filter(dw, o) for dw, o in zip(dws, geometries, strict=True)]


def forward(x, w, g):
    """Return y (N, F, OD, OH, OW) from x (N, C, D, H, W) and w (F, C/groups, KD, KH, KW)."""
    return forward_all(x, [w], [g])[0]


def backward_input(dy, w, g):
    """Return dx (N, C, D, H, W)."""
    return backward_input_all([dy], [w], [g])


def backward_weight(dy, x, g):
    """Return dw (F, C/groups, KD, KH, KW)."""
    return backward_weight_all([dy], x, [g])[0]
