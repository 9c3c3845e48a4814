"""Stochastic gradient descent with momentum: parameters and momentum in, parameters and momentum out.

    g ← g + decay·p                                         weight decay pulls every parameter towards zero
    PyTorch     v ← coefficient·v + g,        p ← p − rate·v
    Caffe       v ← coefficient·v + rate·g,   p ← p − v

At a fixed rate both are the same, with v of another scale. When the rate falls, as it does all the time by the poly
policy, PyTorch's rule slows down at once, and Caffe's keeps the steps that it has gathered at the larger rate.

Some parameters learn at rates of their own. DeepLab v1 and v2 train the new classifier ten times as fast as the layers
that come from ImageNet, biases twice as fast again and without decay:

    multipliers={"*.b": (2, 0), "fc8.w": (10, 1), "fc8.b": (20, 0)}

Role: public functions, NumPy only.

References
----------
DeepLab v1, arXiv:1412.7062, Section 5; DeepLab v2, arXiv:1606.00915, Section 4.1; Sutskever et al., On the Importance
of Initialization and Momentum in Deep Learning, ICML 2013.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.errors import ParameterError, ShapeError

RULES = ("torch", "caffe")
Multiplier = float | tuple[float, float]


def multipliers_of(names, multipliers, owner="multipliers_of"):
    """Return {name: (of the rate, of the decay)}; the last pattern that matches a name counts."""
    found = dict.fromkeys(names, (1.0, 1.0))
    for pattern, value in (multipliers or {}).items():
        matched = [name for name in found if fnmatchcase(name, pattern)]
        if not matched:
            listed = ", ".join(sorted(found)[:8])
            raise ParameterError(
                f"{owner}: no parameter matches the pattern {pattern!r} of multipliers. Names are {listed}, …"
            )
        rate, decay = value if isinstance(value, tuple | list) else (value, 1.0)
        if not (0 <= rate < np.inf and 0 <= decay < np.inf):
            raise ParameterError(f"{owner}: multipliers must be finite and not negative, got {pattern!r}: {value!r}.")
        found.update(dict.fromkeys(matched, (float(rate), float(decay))))
    return found


@public
def sgd_step(
    params: Mapping[str, FloatArray],
    grads: Mapping[str, FloatArray],
    momentum: Mapping[str, FloatArray] | None,
    *,
    rate: float,
    decay: float = 0.0,
    coefficient: float = 0.9,
    rule: str = "torch",
    multipliers: Mapping[str, Multiplier] | None = None,
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Return the parameters and the momentum after one step.

    Parameters
    ----------
    params : mapping of str to ndarray
        Parameters by name, float32 or float64.
    grads : mapping of str to ndarray
        Gradient of the loss with respect to each; a parameter without one stays as it is.
    momentum : mapping of str to ndarray, or None
        From the step before; None at the start.
    rate : float
        Learning rate, from a schedule.
    decay : float, default 0.0
        Weight decay; DeepLab v1 and v2 take 5e-4, v3 takes 1e-4.
    coefficient : float, default 0.9
        How much of the momentum is kept.
    rule : {"torch", "caffe"}
        Whether the momentum gathers gradients, or gradients times the rate of their step.
    multipliers : mapping of str to (float or (float, float)), optional
        For names that match a pattern such as ``"*.b"``: the factor of the rate, or of the rate and of the decay. The
        last pattern that matches counts. A factor of 0 for the rate freezes a parameter.

    Returns
    -------
    params, momentum : dict of str to ndarray
        New arrays; those of parameters that stay as they are, are passed on.

    Raises
    ------
    ParameterError
        A gradient or momentum belongs to no parameter, a pattern matches none, or a number is out of range.
    ShapeError
        A gradient or momentum has another shape than its parameter.

    Notes
    -----
    Cost: a few passes over the parameters; memory for new parameters and momentum. Each parameter keeps its dtype.

    Examples
    --------
    >>> params, momentum = sgd_step({"w": np.array([1.0])}, {"w": np.array([0.5])}, None, rate=0.1)
    >>> params["w"], momentum["w"]
    (array([0.95]), array([0.5]))
    """
    owner = "sgd_step"
    _check.one_of(owner, "rule", rule, RULES)
    momentum = momentum or {}
    for what, arrays in (("gradient", grads), ("momentum", momentum)):
        for name, array in arrays.items():
            if name not in params:
                raise ParameterError(f"{owner}: there is a {what} of {name!r}, but params has no array of this name.")
            if np.shape(array) != np.shape(params[name]):
                raise ShapeError(
                    f"{owner}: the {what} of {name!r} has shape {np.shape(array)}, the parameter "
                    f"{np.shape(params[name])}."
                )
    rate, decay, coefficient = (
        _check.number(owner, name, value, least=0)
        for name, value in (("rate", rate), ("decay", decay), ("coefficient", coefficient))
    )
    factors = multipliers_of(params, multipliers, owner)
    new, kept = dict(params), dict(momentum)
    for name, g in grads.items():
        of_rate, of_decay = factors[name]
        if not of_rate:
            continue
        p = params[name]
        scalar = p.dtype.type
        v = g + scalar(decay * of_decay) * p
        if rule == "caffe":
            v *= scalar(rate * of_rate)
        if name in momentum:
            v += scalar(coefficient) * momentum[name]
        new[name] = p - (v if rule == "caffe" else scalar(rate * of_rate) * v)
        kept[name] = v
    return new, kept


@public
def clip_gradients(grads: Mapping[str, FloatArray], limit: float) -> tuple[dict[str, FloatArray], float]:
    """Scale all gradients so that their common Euclidean norm is at most `limit`; return them and the norm before.

    Parameters
    ----------
    grads : mapping of str to ndarray
    limit : float
        Largest norm; positive.

    Returns
    -------
    grads : dict of str to ndarray
        The same arrays if nothing must be scaled.
    norm : float
        Before scaling, summed in float64; NaN or inf if a gradient holds one, and then nothing is scaled.

    Raises
    ------
    ParameterError
        `limit` is not positive.

    Examples
    --------
    >>> grads, norm = clip_gradients({"w": np.array([3.0]), "b": np.array([4.0])}, 1.0)
    >>> norm, grads["b"]
    (5.0, array([0.8]))
    """
    limit = _check.number("clip_gradients", "limit", limit, above=0)
    norm = float(np.sqrt(sum(np.square(g, dtype=np.float64).sum() for g in grads.values())))
    if not limit < norm < np.inf:
        return dict(grads), norm
    return {name: g * g.dtype.type(limit / norm) for name, g in grads.items()}, norm


@public
def add_gradients(
    total: Mapping[str, FloatArray] | None, grads: Mapping[str, FloatArray], share: float = 1.0
) -> dict[str, FloatArray]:
    """Return total + share·grads: a large batch as several small ones, as with Caffe's iter_size.

    Parameters
    ----------
    total : mapping of str to ndarray, or None
        The sum so far; None at the start.
    grads : mapping of str to ndarray
    share : float, default 1.0
        1/n, if the losses of n batches are averaged.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    ParameterError
        The names differ.

    Examples
    --------
    >>> one = add_gradients(None, {"w": np.array([1.0])}, 0.5)
    >>> add_gradients(one, {"w": np.array([3.0])}, 0.5)
    {'w': array([2.])}
    """
    if total is not None and set(total) != set(grads):
        differing = sorted(set(total) ^ set(grads))
        raise ParameterError(f"add_gradients: only one of total and grads has {', '.join(map(repr, differing))}.")
    scaled = {name: g * g.dtype.type(share) for name, g in grads.items()}
    return scaled if total is None else {name: total[name] + g for name, g in scaled.items()}
