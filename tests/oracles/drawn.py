"""Parameters, images and probes that follow from names alone, so that two programs draw the same ones."""

import math
import zlib

import numpy as np

CLASSES = 5
# Wide enough for the largest rates to reach something: 36 samples at 1/8, 18 at 1/16.
STORED_SIZE = (41, 313)
# How many entries of each endpoint are stored.
STORED = {
    "eval": {"low_logits": 200, "features": 60, "logits": 60},
    "train": {"low_logits": 100, "logits": 60},
}


def generator(name):
    return np.random.default_rng(zlib.crc32(name.encode()))


def drawn(name, shape):
    """Return a parameter or running statistic in float64."""
    rng, leaf = generator(name), name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_var" or (leaf == "weight" and len(shape) == 1):
        return rng.uniform(0.5, 1.5, shape)
    if leaf in ("bias", "running_mean"):
        return 0.1 * rng.normal(size=shape)
    return rng.normal(size=shape) * math.sqrt(1 / math.prod(shape[1:]))


def normal(name, shape):
    """Return an image, or a gradient to start from."""
    return generator(name).normal(size=shape)


def image_size(name, height, width):
    """Return a size at which the network runs, from one of the form 8 k + 1."""
    if name.endswith("deeplabv1_msc"):
        more = 1  # behind 2x2 pools the branches fit each other at 8 k + 2
    elif name.endswith("dense_vgg16"):
        more = 184  # the first layer of the classifier has seven taps, 32 pixels apart, and no padding
    else:
        more = 0
    return height + more, width + more


def sample(a, most):
    """Return up to so many entries of an array, evenly spread."""
    return a.ravel()[:: -(-a.size // most) | 1]


def gradient_numbers(gradients):
    """Return for each gradient, in the order of the names, its sum, its product with a probe, and its norm."""
    rows = []
    for key in sorted(gradients):
        g = gradients[key]
        rows.append((g.sum(), np.vdot(g, normal(f"{key}probe", g.shape)), np.linalg.norm(g)))
    return np.array(rows)
