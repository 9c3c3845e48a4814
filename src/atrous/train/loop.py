"""The loop of training, as a generator: it gives each step to whoever iterates, who prints, draws, saves or stops.

    for step in training(network, params, state, samples, Recipe(steps=2000)):
        print(step.number, step.loss)

A step is a batch, its objective, and one step of gradient descent. What a step does depends on the recipe, on its
number, and on the parameters, running statistics and momentum before it: training that goes on from a saved step gives
the same bits as training that never stopped, at the same number of threads.

Role: public functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.errors import AtrousError, ParameterError
from atrous.nets.network import Network
from atrous.nets.preparation import prepare_levels
from atrous.train.batches import batches
from atrous.train.objective import LossTerm, objective
from atrous.train.schedules import poly_schedule, step_schedule, warm_up
from atrous.train.sgd import add_gradients, clip_gradients, sgd_step


class DivergedError(AtrousError, ArithmeticError):
    """The loss or a gradient is NaN or inf; the parameters of the step before are still good."""


class Recipe(NamedTuple):
    """How to train: everything but the network and the samples."""

    steps: int
    batch: int = 4
    accumulate: int = 1
    """Batches whose gradients are averaged for one step, as Caffe's iter_size."""
    policy: str = "poly"
    """"poly" or "step"."""
    rate: float = 0.007
    power: float = 0.9
    every: int = 2000
    """Steps after which the policy "step" multiplies the rate by 0.1."""
    warm_up: int = 0
    decay: float = 1e-4
    coefficient: float = 0.9
    rule: str = "torch"
    multipliers: Mapping[str, Any] | None = None
    clip: float | None = None
    """Largest norm of all gradients together."""
    terms: Sequence[LossTerm] | None = None
    class_weights: Array | None = None
    ignore: int | None = 255
    change: Callable[[Array, Array, np.random.Generator], tuple[Array, Array]] | None = None
    """What is done to each sample, such as `augment`."""
    seed: int = 0


class Step(NamedTuple):
    """What `training` gives after each step."""

    number: int
    """Steps done so far; pass it, with `params`, `state` and `momentum`, to go on from here."""
    loss: float
    rate: float
    norm: float
    """Of all gradients together, before clipping."""
    samples: tuple[int, ...]
    params: dict[str, FloatArray]
    state: dict[str, FloatArray]
    momentum: dict[str, FloatArray]


@public
def learning_rate(recipe: Recipe, number: int) -> float:
    """Return the rate of step `number` + 1.

    Parameters
    ----------
    recipe : Recipe
    number : int
        Steps done so far.

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        The policy is unknown, or a number of the recipe is out of range.

    Examples
    --------
    >>> [round(learning_rate(Recipe(steps=100, rate=1.0), i), 3) for i in (0, 50, 100)]
    [1.0, 0.536, 0.0]
    """
    number = _check.integer("learning_rate", "number", number, least=0)
    _check.one_of("Recipe", "policy", recipe.policy, ("poly", "step"))
    _check.integer("Recipe", "warm_up", recipe.warm_up, least=0)
    if recipe.policy == "poly":
        rate = poly_schedule(number, base=recipe.rate, total=recipe.steps, power=recipe.power)
    else:
        rate = step_schedule(number, base=recipe.rate, every=recipe.every)
    return warm_up(rate, number, steps=recipe.warm_up)


def keep_freed_memory():
    """Let glibc keep up to 60 MB of what is freed for the next arrays, rather than hand it back after every step.

    glibc does so as soon as one array of half this size has been freed. Pages that are handed back and asked for again
    cost a tenth of the step of a small network.
    """
    np.empty(31 << 20, np.uint8)


def _endless(samples, recipe, first):
    """Give batches from batch number `first` on, epoch after epoch."""
    each = len(samples) // recipe.batch
    if not each:
        raise ParameterError(f"training: a batch of {recipe.batch} needs as many samples, got {len(samples)}.")
    epoch, first = divmod(first, each)
    while True:
        yield from batches(samples, recipe.batch, seed=recipe.seed, epoch=epoch, first=first, change=recipe.change)
        epoch, first = epoch + 1, 0


@public
def training(
    network: Network,
    params: Mapping[str, FloatArray],
    state: Mapping[str, FloatArray],
    samples: Sequence[tuple[Array, Array]],
    recipe: Recipe,
    *,
    momentum: Mapping[str, FloatArray] | None = None,
    number: int = 0,
) -> Iterator[Step]:
    """Train a network, and give each step.

    Parameters
    ----------
    network, params, state
        From `build` and `Network.init` or `load`.
    samples : sequence of (image, labels)
        As for `batches`; images in levels from 0 to 255.
    recipe : Recipe
    momentum, number
        Of the `Step` to go on from, whose `params` and `state` come first; by default training begins.

    Returns
    -------
    iterator of Step
        It ends after ``recipe.steps`` steps in all.

    Raises
    ------
    DivergedError
        The loss or a gradient is NaN or inf. The message names the step and the samples.
    ShapeError, DTypeError, ParameterError
        As for `batches`, `objective` and `sgd_step`.

    Notes
    -----
    Arrays are never overwritten: a step that was kept stays as it was.

    Examples
    --------
    >>> from atrous import Scenes, build
    >>> network = build("tiny_deeplabv3_resnet50", classes=6)
    >>> weights = network.init(np.random.default_rng(0))
    >>> steps = list(training(network, *weights, Scenes(4, size=33), Recipe(steps=2, batch=2)))
    >>> [step.number for step in steps]
    [1, 2]
    """
    for name in ("steps", "batch", "accumulate"):
        _check.integer("Recipe", name, getattr(recipe, name), least=1)
    for name in ("rate", "decay", "coefficient"):
        _check.number("Recipe", name, getattr(recipe, name), least=0, below=1e30)
    if recipe.clip is not None:
        _check.number("Recipe", "clip", recipe.clip, above=0)
    accumulate, total = recipe.accumulate, recipe.steps
    source = _endless(samples, recipe, number * accumulate)
    keep_freed_memory()
    params, state = dict(params), dict(state)
    if not params:
        raise ParameterError("training: params is empty. Pass what network.init or network.load gives.")
    dtype = next(iter(params.values())).dtype.type
    try:
        while number < total:
            rate = learning_rate(recipe, number)
            grads, loss, used = None, 0.0, ()
            for part in range(accumulate):
                batch = next(source)
                found = objective(
                    network, params, state, prepare_levels(batch.images, network.preprocessing, dtype), batch.labels,
                    terms=recipe.terms, ignore=recipe.ignore, class_weights=recipe.class_weights,
                    rng=np.random.default_rng([recipe.seed, number, part]),
                )  # fmt: skip
                grads = add_gradients(grads, found.grads, 1 / accumulate) if accumulate > 1 else found.grads
                loss, state, used = loss + found.loss / accumulate, found.state, (*used, *batch.samples)
            grads, norm = clip_gradients(grads, recipe.clip or np.finfo(np.float64).max)
            if not (np.isfinite(loss) and np.isfinite(norm)):
                names = ", ".join(map(getattr(samples, "name", str), used))
                raise DivergedError(
                    f"training: step {number + 1} gave a loss of {loss:.4g} and gradients of norm {norm:.4g}, from "
                    f"samples {names}. The parameters before it are still good. Try a smaller rate "
                    f"than {rate:.3g}, a warm-up, or clip; or look whether these samples are broken."
                )
            params, momentum = sgd_step(
                params, grads, momentum, rate=rate, decay=recipe.decay, coefficient=recipe.coefficient,
                rule=recipe.rule, multipliers=recipe.multipliers,
            )  # fmt: skip
            number += 1
            yield Step(number, loss, rate, norm, used, params, state, momentum)
    finally:
        source.close()
