"""torchvision's networks, full size, by their own state dicts: features, scores, side heads."""

from pathlib import Path

import numpy as np
import pytest
from oracles.drawn import drawn, normal

from atrous import build
from atrous.nets.guess import guess

GOLDEN = Path(__file__).parents[1] / "golden"


def stored(file):
    with np.load(GOLDEN / file) as archive:
        return dict(archive)


def weights_of(names, shapes):
    """Return a state dict of these names and shapes, written as "3,64" each."""
    shapes = [tuple(int(n) for n in text.split(",") if n) for text in shapes]
    return {str(name): drawn(str(name), shape) for name, shape in zip(names, shapes, strict=True)}


@pytest.mark.slow
def test_deeplabv3_resnet50():
    kept = stored("deeplabv3_resnet50.npz")
    weights = weights_of(kept["names"], kept["shapes"])
    network = build("torchvision_deeplabv3_resnet50")
    params, state = network.load(weights)
    assert len(weights) == 370
    assert len(params) + len(state) == 370 - sum(name.endswith("num_batches_tracked") for name in weights)
    found = network.endpoints(params, state, kept["x"])
    for got, key in (
        (found["features"][0, ::64], "features_sample"),
        (found["low_logits"][0], "logits_low"),
        (found["logits"][0, :, ::8, ::8], "logits_sample"),
        (found["aux_logits"][0, :, ::8, ::8], "aux_sample"),
    ):
        assert got.dtype == np.float32
        assert np.abs(got - kept[key]).max() <= 1e-5 * np.abs(kept[key]).max(), key


@pytest.mark.parametrize(
    ("head", "count", "side"),
    [("deeplabv3", 11_029_328, 3851), ("lraspp", 3_221_538, 0)],
)
def test_mobilenet_v3_large(head, count, side):
    kept = {key.partition("/")[2]: a for key, a in stored("mobilenet_v3_large.npz").items() if key.startswith(head)}
    weights, name = weights_of(kept["names"], kept["shapes"]), f"torchvision_{head}_mobilenet_v3_large"
    assert guess(weights) == [(name, {"classes": 21})]
    network = build(name)
    assert network.parameter_count == count
    if side:
        assert build(name, auxiliary=False).parameter_count == count - side
    params, state = network.load(weights)
    x = normal("mobilenet", (1, 3, 41, 641)).astype(np.float32)
    found = network.endpoints(params, state, x)
    found["features"] = found["features"][:, ::64]
    forward = network.forward(params, state, x)[0]
    for key in ("features", "logits", *(("aux_logits",) if side else ())):
        step = 1 if key == "features" else 8
        assert np.abs(found[key][0, :, ::step, ::step] - kept[key]).max() <= 1e-5 * np.abs(kept[key]).max(), key
    assert np.abs(forward - found["logits"]).max() <= 1e-5
