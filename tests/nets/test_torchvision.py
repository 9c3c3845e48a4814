"""torchvision's deeplabv3_resnet50, full size, by its own state dict: features, scores, side head."""

from pathlib import Path

import numpy as np
import pytest
from oracles.drawn import drawn

from atrous import build


@pytest.fixture(scope="module")
def stored():
    with np.load(Path(__file__).parents[1] / "golden" / "deeplabv3_resnet50.npz") as archive:
        return dict(archive)


@pytest.mark.slow
def test_deeplabv3_resnet50_of_torchvision(stored):
    shapes = [tuple(int(n) for n in text.split(",") if n) for text in stored["shapes"]]
    weights = {str(name): drawn(str(name), shape) for name, shape in zip(stored["names"], shapes, strict=True)}
    network = build("torchvision_deeplabv3_resnet50")
    params, state = network.load(weights)
    assert len(weights) == 370
    assert len(params) + len(state) == 370 - sum(name.endswith("num_batches_tracked") for name in weights)
    found = network.endpoints(params, state, stored["x"])
    for got, key in (
        (found["features"][0, ::64], "features_sample"),
        (found["low_logits"][0], "logits_low"),
        (found["logits"][0, :, ::8, ::8], "logits_sample"),
        (found["aux_logits"][0, :, ::8, ::8], "aux_sample"),
    ):
        assert got.dtype == np.float32
        assert np.abs(got - stored[key]).max() <= 1e-5 * np.abs(stored[key]).max(), key
