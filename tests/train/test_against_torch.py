"""Twenty steps of training against PyTorch's own loop: autograd, torch.optim.SGD, its cross-entropy."""

import numpy as np
import pytest
from oracles.drawn import drawn

from atrous import LossTerm, Recipe, Scenes, build, training
from atrous.nets.preparation import prepare_levels

SCENES = Scenes(8, seed=4, size=33)
# With batch norms, rounding grows from step to step: the more, the smaller the batch and the larger the rate.
RECIPE = Recipe(steps=20, batch=4, rate=0.001, decay=5e-4)
# v3+ with batch norms in training, v2 with frozen ones and scores at an eighth of the image.
CASES = {"tiny_deeplabv3plus_resnet101": "logits", "tiny_deeplabv2_resnet101_largefov": "low_logits"}


@pytest.fixture(autouse=True)
def without_dropout(monkeypatch):
    from atrous.compose import leaves

    drop = leaves.dropout_forward
    monkeypatch.setattr(leaves, "dropout_forward", lambda x, _, rng, train: drop(x, 0.0, rng, train=train))


def start(name):
    network = build(name, classes=6)
    return network, [{key: drawn(key, a.shape) for key, a in p.items()} for p in network.init(np.random.default_rng(0))]


def ours(name):
    network, (params, state) = start(name)
    recipe = RECIPE._replace(terms=[LossTerm(CASES[name])])
    return list(training(network, params, state, SCENES, recipe))


def theirs(name, samples):
    """Return the losses of PyTorch on the same batches, and its parameters at the end."""
    torch = pytest.importorskip("torch")
    from oracles import torch_networks

    torch.set_num_threads(1)
    network, (params, state) = start(name)
    tensors = {key: torch.tensor(a) for key, a in {**params, **state}.items()}
    frozen = {key for key in params if ".bn." in key} if "v2" in name else set()
    learned = {key: tensors[key].requires_grad_() for key in params if key not in frozen}
    optimizer = torch.optim.SGD(learned.values(), lr=RECIPE.rate, momentum=0.9, weight_decay=RECIPE.decay)
    policy = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: (1 - i / RECIPE.steps) ** 0.9)
    losses = []
    for chosen in samples:
        images = np.stack([SCENES[i][0] for i in chosen]).astype(np.float32)
        labels = torch.from_numpy(np.stack([SCENES[i][1] for i in chosen]).astype(np.int64))
        x = torch.from_numpy(prepare_levels(images, network.preprocessing, np.float64))
        scores = torch_networks.endpoints(name, tensors, x, train="v3" in name)[CASES[name]]
        labels = labels[:, ::8, ::8] if CASES[name] == "low_logits" else labels
        loss = torch.nn.functional.cross_entropy(scores, labels, ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        policy.step()
        losses.append(float(loss.detach()))
    return losses, {key: tensor.detach().numpy() for key, tensor in learned.items()}


@pytest.mark.torch
@pytest.mark.parametrize("name", CASES)
def test_losses_and_parameters_are_those_of_pytorch(name):
    steps = ours(name)
    losses, params = theirs(name, [step.samples for step in steps])
    np.testing.assert_allclose([step.loss for step in steps], losses, rtol=1e-7)
    for key, p in params.items():
        np.testing.assert_allclose(steps[-1].params[key], p, rtol=0, atol=1e-6 * np.abs(p).max(), err_msg=key)


@pytest.mark.parametrize("name", CASES)
def test_stored_losses_of_pytorch(name):
    np.testing.assert_allclose([step.loss for step in ours(name)], STORED[name], rtol=1e-5)


STORED = {
    "tiny_deeplabv3plus_resnet101": [
        1.8708844, 1.8874245, 1.8555756, 1.7669986, 1.8319875, 1.8017596, 1.7416678,
        1.9128593, 1.8430968, 1.9379488, 1.8905416, 1.7735161, 1.7975685, 1.8302872,
        1.8061912, 1.7419859, 1.8336287, 1.7280389, 1.7994386, 1.9481122,
    ],
    "tiny_deeplabv2_resnet101_largefov": [
        4.5571158, 7.3733971, 5.5755853, 5.4558603, 4.9868946, 4.1472098, 1.6594361,
        3.01341, 2.0421471, 2.2977728, 1.794507, 2.1170211, 2.1433034, 1.7314051,
        1.9239309, 1.6393929, 1.5427877, 1.6747365, 1.6775286, 1.4068668,
    ],
}  # fmt: skip
