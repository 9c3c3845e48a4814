"""Chains of layers that several tests use: VGG-16 as trained and as released, random chains, and how one runs."""

import atrous
from atrous import Spatial, effective_kernel


def vgg(*, pool, pool4=None, pool5=None, conv5_rate=1):
    """Return VGG-16 up to pool5, with `pool` for the first pools and for those that are not named."""
    stages = [(2, pool), (2, pool), (3, pool), (3, pool4 or pool), (3, pool5 or pool)]
    chain = []
    for number, (convolutions, end) in enumerate(stages, start=1):
        rate = conv5_rate if number == 5 else 1
        chain += [Spatial(3, rate=rate, name=f"conv{number}_{i + 1}") for i in range(convolutions)]
        chain.append(end._replace(name=f"pool{number}"))
    return chain


FLAT_POOL = Spatial(3, 1)
# DeepLab v1 and v2 as released: 3x3 pools, the last two without a stride; and VGG-16 as it was trained.
RELEASED = vgg(pool=Spatial(3, 2), pool4=FLAT_POOL, pool5=FLAT_POOL, conv5_rate=2)
LARGE_FOV = [*RELEASED, FLAT_POOL._replace(name="pool5a"), Spatial(3, rate=12, name="fc6"), Spatial(1), Spatial(1)]
TRAINED_VGG = vgg(pool=Spatial(2, 2))
# The first DeepLab: 2x2 pools with one zero around, fc6 of 4x4 taps.
BASE = [
    *vgg(pool=Spatial(2, 2, padding=1), pool4=Spatial(2, 1, padding=0), pool5=FLAT_POOL, conv5_rate=2),
    Spatial(4, rate=4, padding=6, name="fc6"),
]


def convolve(x, layer, w):
    """Run one layer of a chain on x (N, C, *S) with the zeros that its `pad` implies."""
    before = layer.pad
    after = effective_kernel(layer.kernel, layer.rate) - 1 - before
    axes = x.ndim - 2
    return atrous.atrous_conv(x, w, rate=layer.rate, stride=layer.stride, padding=((before, after),) * axes)


def random_chain(rng, *, kernels, layers, longest_stride=2):
    pick = rng.integers
    return [
        Spatial(int(rng.choice(kernels)), int(pick(1, longest_stride + 1)), int(pick(1, 3)))
        for _ in range(int(pick(1, layers + 1)))
    ]
