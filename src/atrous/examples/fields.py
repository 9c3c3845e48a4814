"""What one score of a small network depends on: gradients to the image, averaged over untrained networks."""

import numpy as np

from atrous.experiments.networks import small

# The four ways of DeepLab v3, Figure 2.
WAYS = {
    "image pyramid": {"head": "fc6", "stages": 4, "rate": 1, "multi_scale": True},
    "encoder-decoder": {"head": "encoder_decoder", "stages": 5, "output_stride": 32},
    "deeper, with rates": {"head": "direct", "stages": 6, "output_stride": 8},
    "ASPP": {"head": "pyramid", "stages": 4, "rates": (2, 4, 6)},
}


def seen_by(options, size=97, seeds=8):
    """Return the mean absolute gradient (size, size) of the middle score to the image, and the nominal field.

    Parameters
    ----------
    options : dict
        Of `atrous.experiments.networks.small`.
    size : int
        Pixels a side, an odd number.
    seeds : int
        Networks with random weights, and as many random images.
    """
    network, total = small(**options), np.zeros((size, size))
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        params, state = network.init(rng)
        x = rng.standard_normal((1, 3, size, size), np.float32)
        y, cache, _ = network.forward(params, state, x)
        dy = np.zeros_like(y)
        dy[:, :, size // 2, size // 2] = rng.standard_normal(y.shape[1])
        total += np.abs(network.backward(dy, cache)[0][0]).mean(0)
    return total / seeds, network.summary(size).field
