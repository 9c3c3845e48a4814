"""VGG-16 as DeepLab uses it: thirteen convolutions and five pools, the last two of which keep the size.

The released v1 and v2 networks replace the 2×2 pools of VGG by 3×3 pools and run conv5 at rate 2. Fine-tuning makes up
for the difference from the exact conversion, `classifiers.dense_vgg16`.

Role: description. Names are Caffe's.

References
----------
DeepLab v1, arXiv:1412.7062, Section 3.1; the layers as in the released prototxt files of v1 and v2.
"""

from atrous.compose.activation import RELU
from atrous.compose.chain import chain
from atrous.compose.leaves import Endpoint, Pool
from atrous.compose.styles import TORCH

WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = (2, 2, 3, 3, 3)
RATES = (1, 1, 1, 1, 2)
# (kernel, stride, padding) of the five pools, in the released LargeFOV networks and in the first, 4×4 network.
LARGE_POOLS = ((3, 2, 1), (3, 2, 1), (3, 2, 1), (3, 1, 1), (3, 1, 1))
FIRST_POOLS = ((2, 2, 1), (2, 2, 1), (2, 2, 1), (2, 1, 0), (3, 1, 1))


def trunk(widths=WIDTHS, pools=LARGE_POOLS, rates=RATES, *, average=False, pool_rates=(1,) * 5, size_rule="caffe"):
    """Return conv1_1 to pool5, and pool5a if `average`. The outputs of the first four pools are endpoints."""
    parts, c = [], 3
    for stage, (f, depth, rate) in enumerate(zip(widths, DEPTHS, rates, strict=True), start=1):
        block = []
        for i in range(1, depth + 1):
            block += [TORCH.conv(f"conv{stage}_{i}", c, f, bias=True, rate=rate), RELU]
            c = f
        kernel, stride, padding = pools[stage - 1]
        block.append(Pool("max", kernel, stride, pool_rates[stage - 1], padding, size_rule, f"pool{stage}"))
        parts += [chain(*block, name=f"conv{stage}"), Endpoint(f"pool{stage}") if stage < 5 else None]
    if average:
        parts.append(Pool("average", 3, 1, 1, 1, size_rule, "pool5a"))
    return chain(*parts)
