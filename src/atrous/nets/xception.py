"""The modified aligned Xception of v3+: modules of three separable convolutions, with the stride in the third.

In the entry, middle and first exit modules, each separable convolution begins with a ReLU and has none between
depthwise and pointwise. In the last module batch norm and ReLU follow both. (In the paper's text they follow every
depthwise convolution; this file follows the released code and weights.)

Role: description.

References
----------
Chen et al., DeepLab v3+, arXiv:1802.02611, Section 3.2, Fig. 4; TensorFlow's ``deeplab/core/xception.py``.
"""

from typing import NamedTuple

from atrous.compose.activation import RELU
from atrous.compose.chain import chain
from atrous.compose.leaves import Endpoint
from atrous.compose.residual import Residual
from atrous.compose.styles import TORCH
from atrous.conv.output_stride import plan_output_stride
from atrous.conv.receptive_field import Spatial
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
    """Return a separable convolution with batch norms; a ReLU after both convolutions if `inside`, else one before."""
    options = {"activation": "relu" if inside else None, "eps": EPS}
    return chain(
        None if inside else RELU,
        TORCH.conv_norm(
            f"{name}.depthwise", f"{name}.depthwise_bn", c, c, 3, groups=c, stride=stride, rate=rate, **options
        ),
        TORCH.conv_norm(f"{name}.pointwise", f"{name}.pointwise_bn", c, f, **options),
    )  # fmt: skip


def _module(module, c, layers, prefix, endpoint):
    """Return a module as a part; `layers` are its separable convolutions as planned."""
    parts = []
    for i, (f, layer) in enumerate(zip(module.depths, layers, strict=True), start=1):
        name = f"{prefix}{module.name}.sep{i}"
        inside = module.shortcut == "none"
        parts.append(
            _separable(name, c if i == 1 else module.depths[i - 2], f, layer.stride, layer.rate, inside=inside)
        )
        if endpoint == (module.name, i):
            parts.append(Endpoint("low_level"))
    body, name = chain(*parts), module.name.replace(".", " ")
    if module.shortcut == "none":
        return chain(*body.members, name=name)
    base, stride = f"{prefix}{module.name}.shortcut", layers[-1].stride
    shortcut = (
        TORCH.conv_norm(base, f"{base}_bn", c, module.depths[-1], stride=stride, activation=None, eps=EPS)
        if module.shortcut == "conv"
        else None
    )
    return Residual(body, shortcut, relu=False, name=name)


def layout(table):
    """Return stem and modules as a chain of layers, before any stride is traded for a rate."""
    separable = [Spatial(3, module.stride if i == 2 else 1) for module in table for i in range(3)]
    return [Spatial(3, 2), Spatial(3), *separable]


def checked_stride(output_stride, known):
    """Refuse an output stride that is not in `known`."""
    if output_stride not in known:
        listed = f"{', '.join(map(str, known[:-1]))} or {known[-1]}"
        raise ParameterError(f"build: output_stride of Xception must be {listed}, got {output_stride}.")


def stem_widths(divisor):
    """Return the channels of the first two convolutions."""
    return 32 // min(divisor, 8), 64 // min(divisor, 8)


def xception(*, output_stride=16, middle=16, divisor=1, prefix="backbone."):
    """Return (parts, channels): stem and modules; the endpoint "low_level" is in the second entry module."""
    checked_stride(output_stride, (4, 8, 16, 32))
    first, second = stem_widths(divisor)
    parts = [
        chain(
            TORCH.conv_norm(f"{prefix}conv1_1", f"{prefix}bn1_1", 3, first, 3, stride=2, eps=EPS),
            TORCH.conv_norm(f"{prefix}conv1_2", f"{prefix}bn1_2", first, second, 3, eps=EPS),
            name="conv1",
        )
    ]
    c, table = second, modules(middle, divisor)
    planned = plan_output_stride(layout(table), output_stride)[2:]
    for i, module in enumerate(table):
        parts.append(_module(module, c, planned[3 * i : 3 * i + 3], prefix, ("entry.2", 2)))
        c = module.depths[-1]
    return parts, c
