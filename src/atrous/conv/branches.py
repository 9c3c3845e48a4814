"""Several atrous convolutions of one input: the branches of ASPP.

With few filters and many channels (v2: 21 scores from 2048 channels), the taps of all branches are stacked into one
product with x (see `stacked_taps`), since 21 filters alone leave a third of a tile empty. Otherwise (v3: 256 filters),
each branch is a convolution of its own by the method that is best at its rate, on one copy of x with the channels last.

Role: public functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.conv.channels_last import as_map, channels_last
from atrous.conv.geometry import ConvGeometry, conv_geometry, drop, lift
from atrous.conv.methods import method_named
from atrous.errors import ParameterError, ShapeError

# The taps of branches are stacked if they have fewer filters than this, and x at least so many channels.
FILTERS = 32
CHANNELS = {"forward": 256, "backward": 512}


class BranchesCache(NamedTuple):
    """What `branches_backward` needs: references to x and the filters, and the geometries."""

    x: FloatArray
    weights: tuple[FloatArray, ...]
    biased: tuple[bool, ...]
    geometries: tuple[ConvGeometry, ...]


def _share(geometries, direction):
    """Tell whether the branches share products."""
    return geometries[0].c >= CHANNELS[direction] and max(g.f for g in geometries) < FILTERS


@public
def branches_forward(
    x: FloatArray,
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray | None] | None = None,
    *,
    rates: Sequence[int],
) -> tuple[list[FloatArray], BranchesCache]:
    """Convolve one input with several filters, each at its own rate, stride 1, "same" zeros.

    Parameters
    ----------
    x : ndarray of shape (N, C, *S)
        float32 or float64, 1 to 3 spatial axes.
    weights : sequence of ndarray of shape (F, C, *K)
        The filters of each branch, dtype of `x`; F and K may differ.
    biases : sequence of (ndarray of shape (F,) or None), optional
        The bias of each branch.
    rates : sequence of int
        Distance between taps of each branch, in samples of `x`.

    Returns
    -------
    ys : list of ndarray of shape (N, F, *S)
        What `atrous_conv` gives for each branch, to rounding.
    cache : BranchesCache
        References to `x` and `weights`.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `atrous_conv`; also if there is not one rate and one bias (or None) per branch.

    Notes
    -----
    Cost: 2·N·ΣF·C·ΠK·ΠS flops, less those of taps on zeros and those that Winograd's algorithm saves. In float32 a NaN
    in x may reach more outputs than those that read it (see `atrous_conv`).

    Examples
    --------
    >>> ys, _ = branches_forward(np.ones((1, 1, 5)), [np.ones((1, 1, 3))] * 2, rates=(1, 2))
    >>> ys[0][0, 0], ys[1][0, 0]
    (array([2., 3., 3., 3., 2.]), array([2., 2., 3., 2., 2.]))
    """
    owner = "branches_forward"
    x = _check.float_array(owner, "x", x, batch=True)
    weights = tuple(_check.float_array(owner, f"weights[{i}]", w, like=x) for i, w in enumerate(weights))
    biases = (None,) * len(weights) if biases is None else tuple(biases)
    rates = tuple(rates)
    if not weights or len(rates) != len(weights) or len(biases) != len(weights):
        raise ParameterError(
            f"{owner}: each branch needs weights, a rate and a bias or None; got {len(weights)} weights, {len(rates)} "
            f"rates and {len(biases)} biases."
        )
    geometries = tuple(
        conv_geometry(x.shape, w.shape, rate=r, owner=owner) for w, r in zip(weights, rates, strict=True)
    )
    lifted, filters = lift(x), [lift(w) for w in weights]
    if _share(geometries, "forward"):
        from atrous.conv import stacked_taps

        ys = stacked_taps.forward_all(lifted, filters, geometries)
    else:
        maps = [method_named(owner, "auto", g, x.dtype) for g in geometries]
        if sum(m.prepares for m in maps) > 1:
            lifted = as_map(channels_last(lifted, 0), lifted.shape)
        ys = [m.forward(lifted, w, g) for m, w, g in zip(maps, filters, geometries, strict=True)]
    for i, (y, b) in enumerate(zip(ys, biases, strict=True)):
        if b is not None:
            b = _check.float_array(owner, f"biases[{i}]", b, like=x)  # noqa: PLW2901
            if b.shape != (y.shape[1],):
                raise ShapeError(f"{owner}: biases[{i}] must have shape ({y.shape[1]},), got {b.shape}.")
            y += b[:, None, None, None]  # noqa: PLW2901
    rank = x.ndim - 2
    cache = BranchesCache(x, weights, tuple(b is not None for b in biases), geometries)
    return [drop(y, rank) for y in ys], cache


@public
def branches_backward(
    dys: Sequence[FloatArray], cache: BranchesCache
) -> tuple[FloatArray, list[FloatArray], list[FloatArray | None]]:
    """Return the gradients with respect to x, the filters and the biases of `branches_forward`.

    Parameters
    ----------
    dys : sequence of ndarray of shape (N, F, *S)
        Gradient of the loss with respect to the output of each branch, dtype of x.
    cache : BranchesCache
        From `branches_forward`; may be used again.

    Returns
    -------
    dx : ndarray of shape (N, C, *S)
        The sum over the branches.
    dweights, dbiases : list
        One for each branch; None where a branch has no bias.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        `dys` do not match the outputs, or `cache` comes from elsewhere.
    """
    owner = "branches_backward"
    x, weights, biased, geometries = cache
    rank = x.ndim - 2
    dys = [_check.float_array(owner, f"dys[{i}]", dy, like=x, batch=True) for i, dy in enumerate(dys)]
    expected = [(g.n, g.f, *g.out[3 - rank :]) for g in geometries]
    if [dy.shape for dy in dys] != expected:
        raise ShapeError(
            f"{owner}: dys must have the shapes of the outputs, {expected}, got {[dy.shape for dy in dys]}."
        )
    lifted = [lift(dy) for dy in dys]
    filters = [lift(w) for w in weights]
    if _share(geometries, "backward"):
        from atrous.conv import stacked_taps

        dx = stacked_taps.backward_input_all(lifted, filters, geometries)
        dws = stacked_taps.backward_weight_all(lifted, lift(x), geometries)
    else:
        branches = [(method_named(owner, "auto", g, x.dtype), g) for g in geometries]
        parts = (m.backward_input(dy, w, g) for (m, g), dy, w in zip(branches, lifted, filters, strict=True))
        dx = next(parts)
        for part in parts:
            dx += part
        dws = [m.backward_weight(dy, lift(x), g) for (m, g), dy in zip(branches, lifted, strict=True)]
    dbs = [dy.sum(axis=(0, *range(2, dy.ndim))) if has else None for dy, has in zip(dys, biased, strict=True)]
    return drop(dx, rank), [drop(dw, rank) for dw in dws], dbs
