"""Atrous spatial pyramid pooling for users, in the four forms of the papers, forward and backward.

Role: public functions. The branches share a pass over the input (`conv.branches`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.aspp.forms import RATES, concatenated, summed, summed_vgg
from atrous.compose.match import mismatch
from atrous.compose.part import Part
from atrous.compose.styles import SHORT
from atrous.errors import ParameterError, ShapeError

FORMS = ("v2", "v2vgg", "v3", "v3plus")


class ASPPCache(NamedTuple):
    """What `aspp_backward` needs: the block's description and the caches of its layers.

    The caches refer to inputs and outputs of layers, including y. Do not change those before the backward pass.
    """

    block: Part
    held: Any
    shape: tuple[int, ...]
    dtype: np.dtype


def _named_by_rate(rates):
    return lambda branch, piece: f"r{rates[branch]}" + ("" if piece == "conv" else f".{piece}")


def _named_by_branch(branch, piece):
    name = f"b{branch}" if isinstance(branch, int) else branch
    return f"{name}.dw" if piece.startswith("depthwise") else name


def _width(owner, params, name):
    """Return the number of channels of an array in `params`, even if other arrays are wrong."""
    if np.ndim(params.get(name)) != 4:
        raise ParameterError(
            f"{owner}: params must have filters {name!r} of shape (F, C, K, K); it has "
            f"{sorted(params)[:6] or 'nothing'}."
        )
    return len(params[name])


def _block(owner, x, params, rates, form):
    """Return the description of a block from the shapes of its arrays."""
    c = x.shape[1]
    if form == "v2":
        return summed(c, _width(owner, params, f"r{rates[0]}.w"), rates, _named_by_rate(rates), style=SHORT)
    if form == "v2vgg":
        width = _width(owner, params, f"r{rates[0]}.fc6.w")
        classes = _width(owner, params, f"r{rates[0]}.fc8.w")
        return summed_vgg(c, width, classes, rates, _named_by_rate(rates), style=SHORT)
    return concatenated(
        c, _width(owner, params, "b0.w"), rates, _named_by_branch, style=SHORT, separate=form == "v3plus",
        pool="pool.w" in params, out=_width(owner, params, "proj.w"),
    )  # fmt: skip


def _rates(owner, rates):
    if isinstance(rates, str):
        return RATES[_check.one_of(owner, "rates", rates, tuple(RATES))]
    found = tuple(_check.integer(owner, f"rates[{i}]", r, least=1) for i, r in enumerate(np.atleast_1d(rates).tolist()))
    if not found or len(set(found)) < len(found):
        raise ParameterError(f"{owner}: rates must be different positive integers, at least one, got {rates!r}.")
    return found


@public
def aspp_forward(
    x: FloatArray,
    params: Mapping[str, FloatArray],
    *,
    rates: Sequence[int] | str,
    form: str,
    state: Mapping[str, FloatArray] | None = None,
    train: bool = False,
) -> tuple[FloatArray, ASPPCache, dict[str, FloatArray]]:
    """Apply atrous spatial pyramid pooling in one of the papers' forms.

    Parameters
    ----------
    x : ndarray of shape (N, C, H, W)
        Feature map, float32 or float64.
    params : dict of ndarray, dtype of `x`
        Flat, by name; see the notes.
    rates : sequence of int, or "ASPP-S" (2, 4, 8, 12), or "ASPP-L" (6, 12, 18, 24)
        Distance between the taps of each branch, in samples of `x`; all different.
    form : {"v2", "v2vgg", "v3", "v3plus"}
        v2 and v2vgg sum their branches; v3 and v3plus concatenate and project them.
    state : dict of ndarray, optional
        Running ``.mean`` and ``.var`` of the batch norms; zeros and ones by default.
    train : bool, default False
        Normalise with the statistics of the batch and update the running ones (momentum 0.1).

    Returns
    -------
    y : ndarray of shape (N, F, H, W)
        Scores (v2), or features (v3).
    cache : ASPPCache
        Refers to inputs and outputs of the layers, including `x` and `y`.
    state : dict of ndarray
        The running statistics, updated if `train`; empty for v2.

    Raises
    ------
    ShapeError
        Arrays are missing, unexpected or of the wrong shape (all are listed), or x is not (N, C, H, W).
    DTypeError, ParameterError
        An array has another dtype than `x`; an unknown form; rates that are not different positive integers.

    Notes
    -----
    Convolutions have arrays ``.w`` (F, C, K, K) and, in v2, ``.b`` (F,); batch norms ``.gamma`` and ``.beta`` (F,):

    ========  ==================================================================================================
    v2        ``r6`` …: one 3×3 per rate, to the classes
    v2vgg     ``r6.fc6`` 3×3, ReLU, ``r6.fc7`` 1×1, ReLU, ``r6.fc8`` 1×1 …
    v3        ``b0`` 1×1; ``b1`` … one 3×3 per rate; ``pool`` (optional: image pooling); ``proj`` 1×1
    v3plus    as v3, with ``b1.dw`` … depthwise (C, 1, 3, 3) and its batch norm before a 1×1 ``b1`` …
    ========  ==================================================================================================

    Cost: 2·N·C·F·ΠK·H·W flops for each branch, less those of taps on zeros; no padded copy and no columns. Dropout
    belongs to the network, not to this block.

    References
    ----------
    .. [1] Chen et al., DeepLab v2, arXiv:1606.00915, Section 3.2, Figs. 4 and 7.
    .. [2] Chen et al., DeepLab v3, arXiv:1706.05587, Section 3.3, Fig. 5.
    .. [3] Chen et al., DeepLab v3+, arXiv:1802.02611, Section 3.1.

    Examples
    --------
    One 3×3 convolution for each rate, and their sum:

    >>> from atrous import aspp_backward, atrous_conv
    >>> draw = np.random.default_rng(0).standard_normal
    >>> x, params = draw((1, 4, 9, 9)), {}
    >>> for rate in (6, 12):
    ...     params[f"r{rate}.w"], params[f"r{rate}.b"] = draw((2, 4, 3, 3)), draw(2)
    >>> y, cache, _ = aspp_forward(x, params, rates=(6, 12), form="v2")
    >>> branches = [atrous_conv(x, params[f"r{rate}.w"], params[f"r{rate}.b"], rate=rate) for rate in (6, 12)]
    >>> [branch.shape for branch in branches], y.shape
    ([(1, 2, 9, 9), (1, 2, 9, 9)], (1, 2, 9, 9))
    >>> bool(np.allclose(y, sum(branches)))
    True
    >>> dx, grads = aspp_backward(y, cache)
    >>> dx.shape, {name: grad.shape for name, grad in grads.items()}
    ((1, 4, 9, 9), {'r6.w': (2, 4, 3, 3), 'r6.b': (2,), 'r12.w': (2, 4, 3, 3), 'r12.b': (2,)})
    """
    owner = "aspp_forward"
    x = _check.float_array(owner, "x", x, batch=True)
    if x.ndim != 4:
        raise ShapeError(f"{owner}: x must be (N, C, H, W), got shape {x.shape}. For one map use x[None].")
    _check.one_of(owner, "form", form, FORMS)
    rates = _rates(owner, rates)
    params = dict(params)
    block = _block(owner, x, params, rates, form)
    variables = block.variables()
    trained = {name: v for name, v in variables.items() if v.trained}
    running = {name: v for name, v in variables.items() if not v.trained}
    if state is None:
        state = {name: v.draw(None, x.dtype) for name, v in running.items()}
    for word, expected, given in (("params", trained, params), ("state", running, state)):
        if wrong := mismatch(expected, given):
            raise ShapeError(
                f"{owner}: {word} do not fit a block of form {form!r} with rates {rates} for {x.shape[1]} channels: "
                f"{wrong}."
            )
    params = {name: _check.float_array(owner, f"params[{name!r}]", params[name], like=x) for name in trained}
    state = {name: _check.float_array(owner, f"state[{name!r}]", state[name], like=x) for name in running}
    y, held, state = block.forward(params, state, x, train=bool(train))
    return y, ASPPCache(block, held, y.shape, x.dtype), state


@public
def aspp_backward(dy: FloatArray, cache: ASPPCache) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Return the gradients of a loss with respect to the x and the params of `aspp_forward`.

    Parameters
    ----------
    dy : ndarray of shape (N, F, H, W)
        Gradient of the loss with respect to the output, dtype of x.
    cache : ASPPCache
        From `aspp_forward`; may be used again.

    Returns
    -------
    dx : ndarray of shape (N, C, H, W)
        The sum over the branches.
    grads : dict of ndarray
        By the names of the parameters.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        `dy` does not match the output, or `cache` is not from `aspp_forward`.
    """
    owner = "aspp_backward"
    dy = _check.upstream(owner, dy, cache.shape, cache)
    return cache.block.backward(dy, cache.held)
