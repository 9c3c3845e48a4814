"""Every network against PyTorch: stored numbers where it is missing, every entry of every gradient where it is not."""

from pathlib import Path

import numpy as np
import pytest
from oracles.drawn import CLASSES, STORED, STORED_SIZE, drawn, gradient_numbers, image_size, normal, sample
from tolerances import assert_close, relative_error

import atrous

# Networks of other projects have their own oracle (test_other_projects).
OTHERS = ("tiny_smp_", "tiny_mmseg_", "tiny_jfzhang_")
TINY = [name for name in atrous.networks() if name.startswith("tiny_") and not name.startswith(OTHERS)]
# Batch norms of v2 are frozen, those of VGG do not exist.
NORMED = [name for name in TINY if any(backbone in name for backbone in ("resnet", "xception", "mobilenet"))]
TRAINED = [name for name in NORMED if "deeplabv2" not in name]
MODES = [*((name, "eval") for name in TINY), *((name, "train") for name in TRAINED)]


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parents[1] / "golden" / "networks.npz") as archive:
        return dict(archive)


@pytest.fixture(autouse=True)
def without_dropout(monkeypatch):
    from atrous.compose import leaves

    drop = leaves.dropout_forward
    monkeypatch.setattr(leaves, "dropout_forward", lambda x, _, rng, train: drop(x, 0.0, rng, train=train))


def build(name, **options):
    """Return a network with parameters and running statistics that follow from their names."""
    network = atrous.build(name, classes=CLASSES, **options)
    arrays = [{key: drawn(key, a.shape) for key, a in part.items()} for part in network.init(np.random.default_rng(0))]
    return network, *arrays


def run(network, params, state, x, upstream, *, train):
    """Return (endpoints, gradients, gradient to x); what the gradients of endpoints do not reach has zeros."""
    endpoints = dict.fromkeys(network.endpoint_names[:-1])
    y, cache, _ = network.forward(params, state, x, train=train, rng=np.random.default_rng(0), endpoints=endpoints)
    below = {key: dy for key, dy in upstream.items() if key != "logits"}
    dx, grads = network.backward(upstream["logits"], cache, endpoints=below)
    return {**endpoints, "logits": y}, {key: grads.get(key, np.zeros_like(a)) for key, a in params.items()}, dx


@pytest.mark.parametrize(("name", "mode"), MODES)
def test_stored_results_of_pytorch(golden, name, mode):
    network, params, state = build(name)
    x = normal(name, (2, 3, *image_size(name, *STORED_SIZE)))
    dy = normal(f"{name} dy", (2, CLASSES, *x.shape[2:]))
    found, grads, dx = run(network, params, state, x, {"logits": dy}, train=mode == "train")
    ways = [found, network.endpoints(params, state, x)] if mode == "eval" else [found]
    for key, most in STORED[mode].items():
        for values in ways:
            assert_close(sample(values[key], most), golden[f"{name}/{mode}/{key}"], "golden")
    numbers, expected = gradient_numbers({**grads, "x": dx}), golden[f"{name}/{mode}/gradients"]
    norms = np.maximum(expected[:, 2:], 1e-3 * expected[:, 2].max())
    off = (np.abs(numbers - expected) > 1e-8 * norms).any(axis=1)
    assert not off.any(), [key for key, wrong in zip(sorted([*grads, "x"]), off, strict=True) if wrong]


def oracle():
    torch = pytest.importorskip("torch")
    from oracles import torch_networks

    torch.set_num_threads(1)  # waiting threads of two libraries would slow each other down tenfold
    return torch_networks


def compare(name, options, others, size, *, train):
    """Compare endpoints and gradients; every endpoint that both return sends a gradient back."""
    torch_networks = oracle()
    network, params, state = build(name, **options)
    x = normal(f"{name} live", (2 if train else 1, 3, *image_size(name, *size)))
    endpoints = network.endpoints(params, state, x)
    scores = [key for key in endpoints if "logits" in key]
    upstream = {key: normal(f"{name} {key}", endpoints[key].shape) for key in scores}
    found, grads, dx = run(network, params, state, x, upstream, train=train)
    values, expected, expected_dx = torch_networks.with_gradients(
        name, {**params, **state}, x, upstream, train=train, **others
    )
    for key in ("features", *scores):
        assert_close(found[key], values[key], "golden")
        if not train:
            assert_close(endpoints[key], values[key], "golden")
    assert relative_error(dx, expected_dx) <= 1e-9
    assert set(grads) == set(expected)
    largest = max(np.abs(g).max() for g in expected.values())
    for key, g in expected.items():
        assert np.abs(grads[key] - g).max() <= 1e-9 * max(np.abs(g).max(), 1e-3 * largest), key


@pytest.mark.torch
@pytest.mark.parametrize(("name", "mode"), MODES)
def test_every_gradient_equals_pytorch(name, mode):
    compare(name, {}, {}, (49, 57), train=mode == "train")


@pytest.mark.torch
@pytest.mark.parametrize("name", [name for name in NORMED if name not in TRAINED])
def test_frozen_norms_train_as_they_infer(name):
    torch_networks = oracle()
    network, params, state = build(name)
    x = normal(f"{name} frozen", (2, 3, 33, 41))
    upstream = {"logits": normal(f"{name} frozen dy", (2, CLASSES, 33, 41))}
    found, grads, dx = run(network, params, state, x, upstream, train=True)
    values, expected, expected_dx = torch_networks.with_gradients(name, {**params, **state}, x, upstream)
    assert_close(found["logits"], values["logits"], "golden")
    assert relative_error(dx, expected_dx) <= 1e-9
    for key, g in grads.items():
        if ".bn." in key:
            assert not g.any()
        else:
            assert relative_error(g, expected[key]) <= 1e-9, key


# (network, its options, the oracle's)
VARIANTS = [
    *(("deeplabv3_resnet50", {"output_stride": s}, {"output_stride": s}) for s in (4, 8, 32)),
    *(("deeplabv3_resnet50", {"convention": c}, {"convention": c}) for c in ("caffe", "torchvision")),
    ("deeplabv3_resnet50", {"stem": "3x3"}, {}),
    ("deeplabv3_resnet50", {"image_pooling": False}, {"image_pooling": False}),
    (
        "deeplabv3_resnet50",
        {"rates": (2, 4, 6, 8), "multi_grid": (1, 1, 1)},
        {"rates": (2, 4, 6, 8), "multi_grid": (1, 1, 1)},
    ),
    *(
        ("deeplabv3_resnet50", {"blocks": 7, "aspp": False, "output_stride": s}, {"cascade": True, "output_stride": s})
        for s in (16, 64, 256)
    ),
    ("deeplabv3plus_resnet101", {"separable": True, "output_stride": 8}, {"separable": True, "output_stride": 8}),
    *(("deeplabv3plus_xception65", {"output_stride": s}, {"output_stride": s}) for s in (8, 32)),
    ("deeplabv3plus_xception65", {"separable": False}, {"separable": False}),
    ("vainf_deeplabv3plus_resnet50", {"output_stride": 8}, {"output_stride": 8}),
    *(
        (f"{name}_mobilenet{of}", {"output_stride": s}, {"output_stride": s})
        for name, of, s in (
            ("deeplabv3", "v2", 4),
            ("deeplabv3plus", "v2", 32),
            ("vainf_deeplabv3plus", "", 8),
            ("torchvision_deeplabv3", "_v3_large", 8),
            ("torchvision_lraspp", "_v3_large", 32),
        )
    ),
    ("deeplabv3_mobilenetv2", {"rates": ()}, {"rates": ()}),
    ("deeplabv3plus_mobilenetv2", {"separable": True}, {"separable": True}),
    ("torchvision_lraspp_mobilenet_v3_large", {"reduced_tail": True}, {}),
    ("deeplabv2_resnet101_aspp", {"multi_scale": False}, {"multi_scale": False}),
    ("deeplabv1_4x4", {"fc6": (4, 8)}, {"rate": 8}),
    ("deeplabv2_vgg16_aspp_s", {"rates": (1, 2, 3)}, {"rates": (1, 2, 3)}),
    ("torchvision_deeplabv3_resnet50", {"auxiliary": False}, {}),
    ("dense_resnet50", {"output_stride": 8}, {"output_stride": 8}),
    ("dense_vgg16", {"output_stride": 8}, {"output_stride": 8}),
]


@pytest.mark.torch
@pytest.mark.parametrize(("name", "options", "others"), VARIANTS)
def test_variants_equal_pytorch(name, options, others):
    compare(f"tiny_{name}", options, others, (41, 49), train=False)


@pytest.mark.torch
@pytest.mark.parametrize("size", [(33, 314), (46, 51)])
@pytest.mark.parametrize("name", [name for name in TINY if "msc" not in name and "dense_vgg16" not in name])
def test_wide_and_even_images_equal_pytorch(name, size):
    compare(name, {}, {}, size, train=False)
