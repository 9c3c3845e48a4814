"""The modified aligned Xception of v3+: modules of three separable convolutions, the stride in the third.

Entry, middle and the first exit module begin each separable convolution with a ReLU and have none between depthwise and
pointwise; in the last module batch norm and ReLU follow both. (The paper's text has them follow every depthwise
convolution; the released code, and its weights, are as here.)

Role: description.

References
----------
Chen et al., DeepLab v3+, arXiv:1802.02611, Section 3.2, Fig. 4; TensorFlow's ``deeplab/core/xception.py``.
"""

from typing import NamedTuple

from atrous.compose.joins import Residual, chain
from atrous.compose.leaves import ReLU, Tap
from atrous.compose.styles import TORCH
from atrous.errors import ParameterError

EPS = 1e-3


class Module(NamedTuple):
    """A module: the channels of its three convolutions, its shortcut and its stride."""

    name: str
    depths: tuple[int, int, int]
    shortcut: str
    stride: int


def modules(middle=16, divisor=1):
    """Return the modules of Xception-65 (middle=16) or -41 (8), all channels divided by `divisor`."""
    table = [
        ("entry.1", (128, 128, 128), "conv", 2),
        ("entry.2", (256, 256, 256), "conv", 2),
        ("entry.3", (728, 728, 728), "conv", 2),
        *((f"middle.{i}", (728, 728, 728), "sum", 1) for i in range(1, middle + 1)),
        ("exit.1", (728, 1024, 1024), "conv", 2),
        ("exit.2", (1536, 1536, 2048), "none", 1),
    ]
    return [Module(name, tuple(d // divisor for d in depths), *rest) for name, depths, *rest in table]


def _separable(name, c, f, stride, rate, *, inside):
    """Return a separable convolution with its batch norms; `inside` puts ReLUs behind both, else one before."""
    return chain(
        None if inside else ReLU(),
        TORCH.conv_norm(
            f"{name}.depthwise", f"{name}.depthwise_bn", c, c, 3, groups=c, stride=stride, rate=rate, relu=inside,
            eps=EPS,
        ),
        TORCH.conv_norm(f"{name}.pointwise", f"{name}.pointwise_bn", c, f, relu=inside, eps=EPS),
    )  # fmt: skip


def _module(module, c, stride, rate, prefix, tap):
    parts = []
    for i, f in enumerate(module.depths, start=1):
        name = f"{prefix}{module.name}.sep{i}"
        parts.append(_separable(name, c if i == 1 else module.depths[i - 2], f, stride if i == 3 else 1, rate,
                                inside=module.shortcut == "none"))  # fmt: skip
        if tap == (module.name, i):
            parts.append(Tap("low_level"))
    body, name = chain(*parts), module.name.replace(".", " ")
    if module.shortcut == "none":
        return chain(*body.members, name=name)
    base = f"{prefix}{module.name}.shortcut"
    shortcut = (
        TORCH.conv_norm(base, f"{base}_bn", c, module.depths[-1], stride=stride, relu=False, eps=EPS)
        if module.shortcut == "conv"
        else None
    )
    return Residual(body, shortcut, relu=False, name=name)


def xception(*, output_stride=16, middle=16, divisor=1, prefix="backbone."):
    """Return (parts, channels): stem and modules; entry module 2 can be tapped as "low_level"."""
    if output_stride not in (4, 8, 16, 32):
        raise ParameterError(f"build: output_stride of Xception must be 4, 8, 16 or 32, got {output_stride}.")
    first, second = 32 // min(divisor, 8), 64 // min(divisor, 8)
    parts = [
        chain(
            TORCH.conv_norm(f"{prefix}conv1_1", f"{prefix}bn1_1", 3, first, 3, stride=2, eps=EPS),
            TORCH.conv_norm(f"{prefix}conv1_2", f"{prefix}bn1_2", first, second, 3, eps=EPS),
            name="conv1",
        )
    ]
    c, accumulated, rate = second, 2, 1
    for module in modules(middle, divisor):
        stride = module.stride
        if accumulated < output_stride:
            accumulated *= stride
        else:
            stride = 1
        parts.append(_module(module, c, stride, rate, prefix, ("entry.2", 2)))
        if stride < module.stride:
            rate *= module.stride
        c = module.depths[-1]
    return parts, c
