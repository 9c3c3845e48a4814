"""The objective: the papers' terms, each against the loss computed by hand, and gradients of the whole."""

import numpy as np
import pytest

from atrous import LossTerm, build, loss_terms, objective
from atrous.errors import ParameterError, ShapeError
from atrous.layers.loss import cross_entropy_forward, segmentation_loss_forward
from atrous.layers.resize import resize_bilinear, resize_labels


def drawn(name, rng, size=33, classes=3, **options):
    network = build(name, classes=classes, **options)
    params, state = network.init(rng, np.float64)
    labels = rng.integers(0, classes, (2, size, size)).astype(np.uint8)
    labels[:, :5] = 255
    return network, params, state, rng.standard_normal((2, 3, size, size)), labels


def scores_of(network, params, state, x, names, rng):
    found = dict.fromkeys(set(names) - {"logits"})
    found["logits"], _, _ = network.forward(params, state, x, train=True, rng=rng, endpoints=found)
    return found


def test_v3_meets_the_labels_at_full_size(rng):
    network, params, state, x, labels = drawn("tiny_deeplabv3_resnet50", rng)
    found = objective(network, params, state, x, labels, rng=np.random.default_rng(1))
    logits, _, after = network.forward(params, state, x, train=True, rng=np.random.default_rng(1))
    assert found.loss == found.parts[0]
    assert found.loss == pytest.approx(cross_entropy_forward(logits, labels)[0], rel=1e-14)
    for name, value in after.items():
        np.testing.assert_array_equal(found.state[name], value)


def test_v1_samples_its_labels(rng):
    network, params, state, x, labels = drawn("tiny_deeplabv1_largefov", rng)
    found = objective(network, params, state, x, labels, rng=np.random.default_rng(1))
    low = scores_of(network, params, state, x, ["low_logits"], np.random.default_rng(1))["low_logits"]
    assert found.loss == pytest.approx(cross_entropy_forward(low, labels[:, ::8, ::8])[0], rel=1e-14)


def test_v2_has_four_terms(rng):
    network, params, state, x, labels = drawn("tiny_deeplabv2_resnet101_aspp", rng, 65)
    assert len(loss_terms(network)) == 4
    found = objective(network, params, state, x, labels)
    names = [f"low_logits{end}" for end in ("", "_100", "_075", "_050")]
    scores = scores_of(network, params, state, x, names, None)
    enlarged = resize_bilinear(scores["low_logits_075"], scores["low_logits"].shape[2:])
    expected = [
        cross_entropy_forward(scores["low_logits"], labels[:, ::8, ::8])[0],
        cross_entropy_forward(scores["low_logits_100"], labels[:, ::8, ::8])[0],
        cross_entropy_forward(enlarged, labels[:, ::8, ::8])[0],
        cross_entropy_forward(scores["low_logits_050"], resize_labels(labels, (5, 5)))[0],
    ]
    np.testing.assert_allclose(found.parts, expected, rtol=1e-14)
    assert found.loss == pytest.approx(sum(expected))


def test_an_auxiliary_head_counts_half(rng):
    network, params, state, x, labels = drawn("tiny_torchvision_deeplabv3_resnet50", rng)
    found = objective(network, params, state, x, labels, rng=rng)
    assert found.loss == pytest.approx(found.parts[0] + 0.5 * found.parts[1])
    assert any(name.startswith("aux") for name in found.grads)
    alone = objective(network, params, state, x, labels, rng=rng, terms=[LossTerm()])
    assert not any(name.startswith("aux") for name in alone.grads)


def test_class_weights_reach_every_term(rng):
    network, params, state, x, labels = drawn("tiny_torchvision_deeplabv3_resnet50", rng)
    found = objective(network, params, state, x, labels, rng=np.random.default_rng(1), class_weights=[1.0, 0.0, 3.0])
    scores = scores_of(network, params, state, x, ["logits", "aux_logits"], np.random.default_rng(1))
    expected = [
        segmentation_loss_forward(scores[name], labels, class_weights=[1.0, 0.0, 3.0])[0]
        for name in ("logits", "aux_logits")
    ]
    np.testing.assert_allclose(found.parts, expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("tiny_deeplabv1_largefov", 33),
        ("tiny_deeplabv2_resnet101_aspp", 65),
        ("tiny_torchvision_deeplabv3_resnet50", 33),
    ],
)
def test_gradients_of_the_whole(name, size, rng):
    network, params, state, x, labels = drawn(name, rng, size)
    # Where all channels are zero, a bias of zero lies on the kink of the ReLU after it.
    params = {n: p + 0.05 * rng.standard_normal(p.shape) for n, p in params.items()}

    def loss(params):
        return objective(network, params, state, x, labels, rng=np.random.default_rng(3), train=False)

    found = loss(params)
    names = [n for n in params if n in found.grads]
    # Steps in proportion to the parameters, so small that they cross hardly any kink of a ReLU or a maximum.
    directions = {n: (params[n].std() + 1e-3) * rng.standard_normal(params[n].shape) for n in names}
    slope = sum(float((found.grads[n] * directions[n]).sum()) for n in names)
    h = 1e-7
    ahead, behind = (loss({**params, **{n: params[n] + s * directions[n] for n in names}}).loss for s in (h, -h))
    assert slope == pytest.approx((ahead - behind) / (2 * h), rel=1e-6)
    assert abs(slope) > 1e-3


def test_bad_arguments(rng):
    network, params, state, x, labels = drawn("tiny_deeplabv3_resnet50", rng)
    with pytest.raises(ParameterError, match="no scores 'features'; it has low_logits, logits"):
        objective(network, params, state, x, labels, terms=[LossTerm("features")])
    with pytest.raises(ParameterError, match="no scores 'aux_logits'"):
        objective(network, params, state, x, labels, terms=[LossTerm("logits", 1.0, "aux_logits")])
    with pytest.raises(ParameterError, match="terms is empty"):
        objective(network, params, state, x, labels, terms=[])
    with pytest.raises(ParameterError, match="weight must be"):
        objective(network, params, state, x, labels, terms=[LossTerm(weight=-1.0)])
    with pytest.raises(ShapeError, match=r"labels must be \(2, 33, 33\)"):
        objective(network, params, state, x, labels[:, 1:])
