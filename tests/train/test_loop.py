"""The loop: what a step is, the same bits twice and after an interruption, and an end that loses nothing."""

from functools import partial

import numpy as np
import pytest

from atrous import (
    Recipe,
    Scenes,
    augment,
    build,
    confusion_matrix,
    learning_rate,
    mean_iou,
    objective,
    sgd_step,
    training,
)
from atrous.errors import ParameterError
from atrous.nets.preparation import prepare_levels
from atrous.train.loop import DivergedError

NETWORK = build("tiny_deeplabv3_resnet50", classes=6)
SCENES = Scenes(6, seed=1, size=33)
CHANGE = partial(augment, crop=33, scales=(0.75, 1.0, 1.25))


def start(seed=0):
    return NETWORK.init(np.random.default_rng(seed))


def same(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


def test_a_step_is_objective_and_gradient_descent():
    params, state = start()
    recipe = Recipe(steps=3, batch=2, rate=0.01, multipliers={"classifier*": (10, 0)})
    step = next(training(NETWORK, params, state, SCENES, recipe))
    images = np.stack([SCENES[i][0] for i in step.samples]).astype(np.float32)
    labels = np.stack([SCENES[i][1] for i in step.samples])
    x = prepare_levels(images, NETWORK.preprocessing)
    found = objective(NETWORK, params, state, x, labels, rng=np.random.default_rng([0, 0, 0]))
    assert (step.loss, step.rate) == (found.loss, 0.01)
    new, momentum = sgd_step(params, found.grads, None, rate=0.01, decay=1e-4, multipliers=recipe.multipliers)
    same(step.params, new)
    same(step.momentum, momentum)
    same(step.state, found.state)


def test_the_same_seed_gives_the_same_bits():
    recipe = Recipe(steps=5, batch=2, change=CHANGE)
    one, two = (list(training(NETWORK, *start(), SCENES, recipe))[-1] for _ in range(2))
    same(one.params, two.params)
    other = list(training(NETWORK, *start(), SCENES, recipe._replace(seed=1)))[-1]
    assert one.loss != other.loss


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_going_on_equals_not_stopping(stop):
    recipe = Recipe(steps=6, batch=2, change=CHANGE, accumulate=2)
    whole = list(training(NETWORK, *start(), SCENES, recipe))
    steps = training(NETWORK, *start(), SCENES, recipe)
    at = [next(steps) for _ in range(stop)][-1]
    steps.close()
    rest = list(training(NETWORK, at.params, at.state, SCENES, recipe, momentum=at.momentum, number=at.number))
    assert [s.number for s in rest] == list(range(stop + 1, 7))
    assert [(s.loss, s.samples) for s in rest] == [(s.loss, s.samples) for s in whole[stop:]]
    same(rest[-1].params, whole[-1].params)
    same(rest[-1].state, whole[-1].state)


def test_steps_that_were_kept_stay_as_they_were():
    kept, copies = [], []
    for step in training(NETWORK, *start(), SCENES, Recipe(steps=3, batch=2)):
        kept.append(step)
        copies.append({n: a.copy() for n, a in step.params.items()})
    for step, copy in zip(kept, copies, strict=True):
        same(step.params, copy)


def test_averaged_batches_are_one_large_batch():
    network = build("tiny_deeplabv2_resnet101_largefov", classes=6)  # without dropout, its batch norms frozen
    weights = network.init(np.random.default_rng(0), np.float64)
    recipe = Recipe(steps=1, batch=4)
    scenes = Scenes(4, seed=1, size=33, ring=0)  # without void, every image counts as much
    one = next(training(network, *weights, scenes, recipe))
    parts = next(training(network, *weights, scenes, recipe._replace(batch=2, accumulate=2)))
    assert one.samples == parts.samples
    assert parts.loss == pytest.approx(one.loss, rel=1e-12)
    for name, p in parts.params.items():
        np.testing.assert_allclose(p, one.params[name], rtol=1e-9, atol=1e-12)


def test_rates_of_a_recipe():
    recipe = Recipe(steps=10, policy="step", rate=1.0, every=4, warm_up=2)
    rates = [learning_rate(recipe, i) for i in range(10)]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01])
    found = [step.rate for step in training(NETWORK, *start(), SCENES, recipe._replace(batch=2, steps=3))]
    assert found == rates[:3]


def test_clipping_reaches_the_step():
    recipe = Recipe(steps=1, batch=2, decay=0.0)
    free, bound = (next(training(NETWORK, *start(), SCENES, recipe._replace(clip=c))) for c in (None, 0.01))
    assert free.norm == bound.norm > 0.01
    size = np.sqrt(sum(np.square(m, dtype=float).sum() for m in bound.momentum.values()))
    assert size == pytest.approx(0.01, rel=1e-4)


class Broken:
    def __len__(self):
        return 4

    def __getitem__(self, i):
        image, labels = SCENES[i]
        return (np.full(image.shape, np.nan) if i == 2 else image), labels


def test_a_loss_that_is_no_number_stops_and_names_its_samples():
    network, done = build("tiny_deeplabv2_resnet101_largefov", classes=6), []
    steps = training(network, *network.init(np.random.default_rng(0)), Broken(), Recipe(steps=4, batch=1))
    with pytest.raises(DivergedError, match=r"step \d gave a loss of nan .* from samples 2\."):
        done.extend(iter(lambda: next(steps), None))
    assert all(np.isfinite(a).all() for step in done for a in step.params.values())


def test_samples_with_names_are_named():
    samples = Broken()
    samples.name = "scene {}".format
    network = build("tiny_deeplabv2_resnet101_largefov", classes=6)
    steps = training(network, *network.init(np.random.default_rng(0)), samples, Recipe(steps=4, batch=1))
    with pytest.raises(DivergedError, match=r"from samples scene 2\."):
        list(steps)


def test_bad_recipes_are_named():
    with pytest.raises(ParameterError, match="a batch of 9 needs as many samples, got 6"):
        next(training(NETWORK, *start(), SCENES, Recipe(steps=1, batch=9)))
    with pytest.raises(ParameterError, match="'poly', 'step'"):
        next(training(NETWORK, *start(), SCENES, Recipe(steps=1, policy="cosine")))
    with pytest.raises(ParameterError, match="steps must be"):
        next(training(NETWORK, *start(), SCENES, Recipe(steps=0)))


@pytest.mark.slow
def test_four_images_are_learned_by_heart():
    scenes = Scenes(4, seed=3, size=65, wires=0, objects=3, noise=4.0, ring=2)
    network = build("tiny_deeplabv3plus_resnet101", classes=6)
    weights = network.init(np.random.default_rng(0))
    *_, step = training(network, *weights, scenes, Recipe(steps=1000, batch=4, rate=0.1, decay=0.0, clip=5.0))
    images, labels = (np.stack([scenes[i][k] for i in range(4)]) for k in (0, 1))
    found = network.infer(step.params, step.state, prepare_levels(images.astype(np.float32), network.preprocessing))
    assert mean_iou(confusion_matrix(found.argmax(1), labels, 6)) > 0.99
