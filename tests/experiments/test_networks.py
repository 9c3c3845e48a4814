"""The small networks: what the experiments say of them, gradients, and the rivals against PyTorch."""

import numpy as np
import pytest
from directions import ENOUGH, directional_error
from tolerances import assert_close

import atrous
from atrous.experiments.catalogue import EXPERIMENTS, experiment_named
from atrous.experiments.networks import small
from atrous.experiments.rivals import NETWORKS

HEADS = {
    "fc6": {"kernel": 5, "rate": 2},
    "summed": {"rates": (1, 3)},
    "pyramid": {"rates": (2, 4), "stages": 4},
    "direct": {"stages": 5, "multi_grid": (1, 2)},
    "strided": {"stages": 5, "output_stride": 32, "start": "random"},
    "skips": {"stages": 5, "output_stride": 32},
    "hypercolumns": {"stages": 5, "output_stride": 32},
    "encoder_decoder": {"stages": 5, "output_stride": 32},
    "pooled": {"stages": 5},
}


def arrays(network, rng):
    """Return random parameters and statistics with positive variances."""
    params, state = network.init(rng, dtype=np.float64)
    params = {name: a + 0.1 * rng.standard_normal(a.shape) for name, a in params.items()}
    state = {name: np.abs(a + 0.2 * rng.standard_normal(a.shape)) + 0.3 for name, a in state.items()}
    return params, state


@pytest.mark.parametrize("head", HEADS)
def test_gradients_and_inference(head, rng):
    network = small(head, **HEADS[head])
    params, state = arrays(network, rng)
    x = rng.standard_normal((2, 3, 33, 37))
    y, cache, _ = network.forward(params, state, x)
    assert y.shape == (2, 6, 33, 37)
    assert_close(network.infer(params, state, x), y, "reordered")
    dy = rng.standard_normal(y.shape)
    dx, grads = network.backward(dy, cache)
    assert set(grads) == set(params)

    def loss(point):
        return np.vdot(network.infer({k: v for k, v in point.items() if k != "x"}, state, point["x"]), dy)

    assert directional_error(loss, {**params, "x": x}, {**grads, "x": dx}, rng) <= ENOUGH


@pytest.mark.torch
@pytest.mark.parametrize("size", [(65, 65), (40, 53)])
@pytest.mark.parametrize(
    ("head", "options"),
    [
        ("strided", {"start": "fixed"}),
        ("strided", {"start": "random"}),
        *((head, {}) for head in ("skips", "hypercolumns", "encoder_decoder", "pooled")),
    ],
)
def test_rivals_are_those_of_pytorch(head, options, size, rng):
    torch = pytest.importorskip("torch")
    from oracles import torch_rivals

    torch.set_num_threads(1)
    network = small(head, stages=5, output_stride=8 if head == "pooled" else 32, **options)
    params, state = arrays(network, rng)
    x, dy = rng.standard_normal((2, 3, *size)), rng.standard_normal((2, 6, *size))
    y, cache, _ = network.forward(params, state, x)
    dx, grads = network.backward(dy, cache)
    expected, expected_grads, expected_dx = torch_rivals.with_gradients(head, {**params, **state}, x, dy, **options)
    assert_close(y, expected, "golden")
    assert_close(dx, expected_dx, "golden")
    for name, g in grads.items():
        assert_close(g, expected_grads[name], "golden")


def test_rivals_have_equal_parameters():
    counts = [small(**options).parameter_count for options in NETWORKS.values()]
    assert max(counts) / min(counts) < 1.01
    assert 65_000 < min(counts) < 66_000


def test_a_deconvolution_is_in_the_table():
    table = small("strided", stages=5, output_stride=32, start="random").summary(65)
    (row,) = [row for row in table.rows if row.kind == "deconv"]
    assert (row.kernel, row.size, row.parameters) == (7, (9, 9), 6 * 6 * 49 + 6)
    assert row.macs == 6 * 6 * 49 * 9  # nine samples stamp 49 numbers for each pair of channels


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_networks_of_the_experiments_exist(name):
    experiment = experiment_named(name)
    for task in experiment.trainings.values():
        assert small(**task.network).parameter_count < 200_000
    for row in experiment.rows:
        trained = small(**experiment.trainings[row.training].network)
        tested = small(**{**experiment.trainings[row.training].network, **row.test.get("network", {})})
        shapes = [{k: a.shape for part in n.init(np.random.default_rng(0)) for k, a in part.items()}
                  for n in (trained, tested)]  # fmt: skip
        assert shapes[0] == shapes[1], row.label


def test_an_unknown_head_is_named():
    with pytest.raises(atrous.ParameterError, match=r"head must be one of fc6, .*, got 'x'"):
        small("x")
