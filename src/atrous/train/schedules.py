"""The learning rate over the steps of training.

    step        base · factor^⌊step / every⌋              DeepLab v1
    poly        base · (1 − step / total)^0.9             DeepLab v2, v3 and v3+

Both start at the base rate. The step policy keeps it for a while and then falls by jumps; poly falls from the first
step on, almost in a straight line, and reaches zero. With everything else equal, poly gained 1.17 points of mean IoU
(v2, Table 2).

Role: public functions, plain numbers.
"""

from __future__ import annotations

from atrous import _check
from atrous._kinds import public


@public
def poly_schedule(step: int, *, base: float, total: int, power: float = 0.9, end: float = 0.0) -> float:
    """Return the learning rate of the poly policy, end + (base − end)·(1 − step/total)^power.

    Parameters
    ----------
    step : int
        Steps done so far; from `total` on the rate is `end`.
    base : float
        Rate of the first step.
    total : int
        Steps of the whole training.
    power : float, default 0.9
        1 falls in a straight line, 0 stays at `base` until `total`.
    end : float, default 0.0
        Rate at the end.

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        A number is out of range.

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Section 4.1.2; DeepLab v3, arXiv:1706.05587, Section 4.1.

    Examples
    --------
    >>> [round(poly_schedule(step, base=0.007, total=30_000), 6) for step in (0, 15_000, 30_000)]
    [0.007, 0.003751, 0.0]
    """
    owner = "poly_schedule"
    step, total = _check.integer(owner, "step", step, least=0), _check.integer(owner, "total", total, least=1)
    base, power, end = (
        _check.number(owner, name, value, least=0) for name, value in (("base", base), ("power", power), ("end", end))
    )
    left = 1 - min(step, total) / total
    return end + (base - end) * (left**power if left else 0.0)


@public
def step_schedule(step: int, *, base: float, every: int, factor: float = 0.1) -> float:
    """Return the learning rate of the step policy, base·factor^⌊step/every⌋.

    Parameters
    ----------
    step : int
        Steps done so far.
    base : float
        Rate of the first step.
    every : int
        Steps after which the rate is multiplied by `factor`.
    factor : float, default 0.1

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        A number is out of range.

    References
    ----------
    DeepLab v1, arXiv:1412.7062, Section 5: 0.001, "multiplying the learning rate by 0.1 at every 2000 iterations".

    Examples
    --------
    >>> [round(step_schedule(step, base=0.001, every=2000), 9) for step in (0, 1999, 2000, 4000)]
    [0.001, 0.001, 0.0001, 1e-05]
    """
    owner = "step_schedule"
    step, every = _check.integer(owner, "step", step, least=0), _check.integer(owner, "every", every, least=1)
    base, factor = _check.number(owner, "base", base, least=0), _check.number(owner, "factor", factor, least=0)
    return base * factor ** (step // every)


@public
def warm_up(rate: float, step: int, *, steps: int, start: float = 0.0) -> float:
    """Return a rate that rises in a straight line from `start` to what a schedule gives, over the first steps.

    A large rate can ruin a network in the first steps, before batch norm and the new layers have settled.

    Parameters
    ----------
    rate : float
        The schedule's rate at this step.
    step : int
        Steps done so far.
    steps : int
        Length of the rise; from then on `rate` is returned unchanged. 0 leaves it out.
    start : float, default 0.0
        Rate of the first step.

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        A number is out of range.

    Examples
    --------
    >>> [warm_up(poly_schedule(i, base=1.0, total=100, power=0), i, steps=4) for i in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """
    owner = "warm_up"
    step, steps = _check.integer(owner, "step", step, least=0), _check.integer(owner, "steps", steps, least=0)
    rate, start = _check.number(owner, "rate", rate, least=0), _check.number(owner, "start", start, least=0)
    return rate if step >= steps else start + (rate - start) * step / steps
