"""The CRF as a layer: what it computes, its gradients, its arrays, and training with it."""

import numpy as np
import pytest
from tolerances import assert_close

import atrous
from atrous import CRFParams, Recipe, Scenes, build, dense_crf, prepare, read_setup, training
from atrous.compose.crf_layer import CRFLayer
from atrous.compose.leaves import Conv
from atrous.nets.guess import choose, describe

SMALL = CRFParams(4.0, 5.0, 12.0, 2.0, 1.5, 3, "after")


def layer(method="lattice", **options):
    """Return a CRF over the scores of one 3×3 convolution, which see three channels of levels."""
    levels = ((0.01, -1.0), (0.005, -0.5), (0.02, -1.5))
    return CRFLayer(Conv("w", "b", 3, 4, sigma=0.3), 4, SMALL, levels, True, method=method, **options)


def arrays(part, rng):
    """Return all arrays of a part, and a batch of two images that look like something."""
    found = {name: v.draw(rng, np.float64) for name, v in part.variables().items()}
    found["crf.compatibility"] = found["crf.compatibility"] + 0.1 * rng.random((4, 4))
    patches = rng.uniform(20, 220, (2, 3, 2, 2)).repeat(4, 2).repeat(4, 3)[:, :, :7, :8]
    gain, offset = np.array(part.levels).T[:, :, None, None]
    return found, (patches + 8 * rng.standard_normal(patches.shape)) * gain + offset


@pytest.mark.parametrize("preprocessing", ["caffe", "torchvision", "slim", "xception"])
def test_it_is_the_crf_of_the_scores_and_the_photograph(preprocessing, rng):
    """Whatever the network makes of the image, sigma_beta is in levels."""
    name = {"caffe": "deeplabv1_largefov", "torchvision": "torchvision_deeplabv3_resnet50",
            "slim": "deeplabv3_resnet50", "xception": "deeplabv3plus_xception65"}[preprocessing]  # fmt: skip
    plain = build(f"tiny_{name}", classes=3)
    network = plain.with_crf(SMALL)
    assert network.preprocessing == preprocessing
    params, state = network.init(rng, np.float64)
    image = Scenes(1, seed=3, size=33)[0][0]
    x = prepare(image, preprocessing, np.float64)
    body = {n: a for n, a in params.items() if not n.startswith("crf.")}
    logits = plain.forward(body, {n: a for n, a in state.items() if not n.startswith("crf.")}, x)[0]
    q = atrous.softmax_forward(logits[0], axis=0)[0]
    expected = dense_crf(q, image.astype(float), SMALL, intensity_scale=1)
    y, _, _ = network.forward(params, state, x)
    # Levels come back to rounding, which may add a vertex of the lattice that carries next to nothing.
    assert np.abs(np.exp(y[0]) - expected).max() < 1e-5
    assert_close(network.infer(params, state, x), y, "reordered")
    assert network.summary(33).field == np.inf
    pair = np.concatenate([x, x])
    trained = network.forward(params, state, pair, train=True, rng=rng)[0]
    assert trained.shape == (2, 3, 33, 33)


@pytest.mark.parametrize("sigmas", [False, True])
def test_gradients_of_all_arrays(sigmas, rng):
    part = layer("exact", learns_sigmas=sigmas)
    found, x = arrays(part, rng)
    names = [n for n, v in part.variables().items() if v.trained]
    assert ("crf.log_sigmas" in names) == sigmas
    fixed = {n: a for n, a in found.items() if n not in names}

    def forward(x, *values):
        y, cache, _ = part.forward(dict(zip(names, values, strict=True)), fixed, x, train=True)
        return y, cache

    def backward(dy, cache):
        dx, grads = part.backward(dy, cache)
        return dx, *(grads[n] for n in names)

    atrous.assert_gradients(forward, backward, [x, *(found[n] for n in names)], rtol=1e-6)


def test_on_the_lattice_too(rng):
    """The lattice is linear in the marginals, so all gradients but those to the features are exact."""
    part = layer()
    found, x = arrays(part, rng)
    names = ("w", "crf.log_weights", "crf.compatibility")

    def forward(*values):
        y, cache, _ = part.forward({**found, **dict(zip(names, values, strict=True))}, {}, x, train=True)
        return y, cache

    def backward(dy, cache):
        dx, grads = part.backward(dy, cache, needs_dx=False)
        assert dx is None or dx.shape == x.shape
        return tuple(grads[n] for n in names)

    atrous.assert_gradients(forward, backward, [found[n] for n in names], rtol=1e-6)


def test_a_label_that_is_ruled_out_gets_no_gradient(rng):
    part = layer()
    found, x = arrays(part, rng)
    found["b"] = np.array([0.0, 0.0, 0.0, -200.0])
    y, cache, _ = part.forward(found, found, x)
    assert y[:, 3].max() < -40
    _, grads = part.backward(np.ones_like(y), cache)
    assert all(np.isfinite(g).all() for g in grads.values())
    assert abs(grads["b"][3]) < 1e-12


def test_training_takes_its_own_number_of_steps(rng):
    found, x = arrays(layer(), rng)
    one, three = (layer(training_steps=n) for n in (1, 3))
    in_training = [part.forward(found, found, x, train=True)[0] for part in (one, three)]
    assert not np.allclose(*in_training)
    assert np.array_equal(in_training[1], three.forward(found, found, x)[0])


def test_what_it_refuses(rng):
    network = build("tiny_deeplabv1_largefov", classes=3)
    with pytest.raises(atrous.ParameterError, match="has a CRF layer already"):
        network.with_crf().with_crf()
    with pytest.raises(atrous.ParameterError, match="two classes or more"):
        build("tiny_deeplabv1_largefov", classes=1).with_crf()
    with pytest.raises(atrous.ParameterError, match="bilateral_weight must be a finite number above 0"):
        network.with_crf(SMALL._replace(bilateral_weight=0.0))
    with pytest.raises(atrous.ParameterError, match="params must be one of"):
        network.with_crf("none")
    part = layer()
    found, x = arrays(part, rng)
    with pytest.raises(atrous.ShapeError, match="refines 4 scores at the size of an image of 3 channels"):
        part._fits((5, 7, 8), (3, 7, 8))
    broken = {**found, "crf.compatibility": np.zeros((3, 3))}
    with pytest.raises(atrous.ShapeError, match=r"crf\.compatibility"):
        part.forward(broken, broken, x)


def test_weights_of_the_network_without_it(tmp_path, rng):
    plain = build("tiny_deeplabv1_largefov", classes=3)
    network = plain.with_crf("deeplab-v1")
    before, _ = plain.init(rng)
    with pytest.raises(atrous.WeightsError, match="To initialise the crf, pass fresh='crf'"):
        network.load(before)
    params, state = network.load(before, fresh="crf", rng=rng)
    assert all(np.array_equal(params[name], a) for name, a in before.items())
    assert set(params) - set(before) == {"crf.log_weights", "crf.compatibility"}
    assert list(state) == ["crf.log_sigmas"]
    assert np.exp(state["crf.log_sigmas"]).tolist() == pytest.approx([50, 10, 3], rel=1e-6)
    learned, costs = network.body.learned(params | state)
    assert learned[:5] == pytest.approx(atrous.CRF_PRESETS["deeplab-v1"][:5], rel=1e-6)
    assert np.array_equal(costs, 1 - np.eye(3))
    assert network.fresh_names("classifier") == (
        "fc8_voc12.weight", "fc8_voc12.bias", "crf.log_weights", "crf.log_sigmas", "crf.compatibility",
    )  # fmt: skip
    with pytest.raises(atrous.ParameterError, match="fresh must be"):
        plain.load(before, fresh="crf", rng=rng)

    path = tmp_path / "weights.npz"
    atrous.save_weights(params | state, path)
    arrays = atrous.load_weights(path)
    found = choose(arrays, "tiny_deeplabv1_largefov")
    assert found == build(found.name, classes=3, **found.options).with_crf()
    assert found.name == "tiny_deeplabv1_largefov"
    again, kept = found.load(arrays)
    x = rng.standard_normal((1, 3, 17, 17)).astype(np.float32)
    assert np.array_equal(found.infer(again, kept, x), network.infer(params, state, x))
    described = describe(path)
    assert described["crf"]
    assert "tiny_deeplabv1_largefov" in [n["name"] for n in described["networks"]]


def test_drawing_has_the_layer_in_the_network():
    plain, network = (n.drawing()._repr_svg_() for n in (
        build("tiny_deeplabv1_largefov"), build("tiny_deeplabv1_largefov").with_crf()))  # fmt: skip
    assert "afterwards" in plain
    assert "afterwards" not in network
    assert "10 steps" in network


def test_training_with_it(rng):
    """Scores that are the colour, noisy: the CRF's weights grow from nearly nothing and the loss falls."""
    network = build("tiny_deeplabv3_resnet50", classes=6).with_crf(SMALL._replace(bilateral_weight=0.1))
    params, state = network.init(np.random.default_rng(0))
    first, losses = params, []
    for step in training(network, params, state, Scenes(8, seed=1, size=33), Recipe(steps=6, batch=2, rate=0.02)):
        params, state = step.params, step.state
        losses.append(step.loss)
    assert np.isfinite(losses).all()
    for name in ("crf.log_weights", "crf.compatibility", "classifier.4.weight"):
        assert not np.array_equal(params[name], first[name]), name
    assert np.exp(state["crf.log_sigmas"]).tolist() == pytest.approx([5, 12, 1.5], rel=1e-6)


def test_a_setup_asks_for_it():
    data = {"kind": "scenes", "count": 4}
    network = {"name": "tiny_deeplabv3_resnet50", "classes": 6}

    def setup(crf):
        return read_setup({"network": {**network, "crf": crf}, "data": data, "recipe": {"steps": 1}}).network

    body = setup("deeplab-v1").body
    assert (body.start.sigma_alpha, body.start.normalization, body.training_steps) == (50, "after", 5)
    body = setup({"preset": "deeplab-v1", "sigma_beta": 7, "training_steps": 3, "learn_sigmas": True}).body
    assert (body.start.sigma_alpha, body.start.sigma_beta, body.training_steps, body.learns_sigmas) == (50, 7, 3, True)
    for crf, words in (
        ("deeplab-v9", "preset must be one of"),
        ({"sigma": 3}, "has no field 'sigma'"),
        (3, "must be the name of a preset or a table"),
        ({"sigma_beta": -1}, "sigma_beta must be positive"),
    ):
        with pytest.raises(atrous.ParameterError, match=words):
            setup(crf)
