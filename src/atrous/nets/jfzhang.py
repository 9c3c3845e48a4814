"""The networks of jfzhang95/pytorch-deeplab-xception: v3+ on ResNet-101 and on its own Xception, under its names.

Its ResNet has multi-grid rates, and a stage that loses its stride has one rate throughout. Its Xception differs from
the paper's: each module begins with a ReLU that its shortcut sees too, the last module has none inside its separable
convolutions, and the third convolution before it always has rate 1. ASPP and decoder are not separable.

Role: description.

References
----------
jfzhang95/pytorch-deeplab-xception: ``modeling/``.
"""

from atrous.aspp.forms import concatenated
from atrous.compose.activation import RELU
from atrous.compose.chain import chain
from atrous.compose.leaves import Dropout, Endpoint
from atrous.compose.residual import Residual
from atrous.compose.styles import TORCH
from atrous.conv.output_stride import plan_output_stride
from atrous.nets import resnet, xception
from atrous.nets.deeplab_v3 import scaled_rates
from atrous.nets.deeplab_v3plus import decoded


def _aspp_name(branch, piece):
    if branch == "proj":
        return "aspp.conv1" if piece == "conv" else "aspp.bn1"
    if branch == "pool":
        return f"aspp.global_avg_pool.{1 if piece == 'conv' else 2}"
    return f"aspp.aspp{branch + 1}.{'atrous_conv' if piece == 'conv' else 'bn'}"


def _v3plus(stages, c, low, classes, rates, width, low_width):
    encoder = chain(*stages, Endpoint("features"), concatenated(c, width, rates, _aspp_name), Dropout(0.5))
    project = TORCH.conv_norm("decoder.conv1", "decoder.bn1", low, low_width)
    named = [f"decoder.last_conv.{i}" for i in range(9)]
    return decoded(
        encoder, project,
        (
            TORCH.conv_norm(named[0], named[1], width + low_width, width, 3), Dropout(0.5),
            TORCH.conv_norm(named[4], named[5], width, width, 3), Dropout(0.1),
            TORCH.conv(named[8], width, classes, 1, bias=True, sigma=0.01),
        ),
    )  # fmt: skip


def jfzhang_resnet(
    classes, *, depth=101, output_stride=16, multi_grid=(1, 2, 4), rates=None, units=None, width=64, aspp_width=256,
    low_width=48,
):  # fmt: skip
    """Return its network on a ResNet."""
    stages, c = resnet.resnet(
        units or resnet.UNITS[depth], names=resnet.torchvision_names(), convention="torchvision",
        output_stride=output_stride, multi_grid=multi_grid, width=width, even_rates=True,
    )  # fmt: skip
    stages = [*stages[:2], Endpoint("low_level"), *stages[2:]]
    return _v3plus(stages, c, 4 * width, classes, scaled_rates(output_stride, rates), aspp_width, low_width)


def _separable(name, norm, c, f, layer):
    """Return a separable convolution: depthwise, pointwise, a batch norm after each."""
    return chain(
        TORCH.conv_norm(
            f"{name}.conv1", f"{name}.bn", c, c, 3, groups=c, stride=layer.stride, rate=layer.rate, activation=None
        ),
        TORCH.conv_norm(f"{name}.pointwise", norm, c, f, activation=None),
    )


def _module(index, module, c, layers):
    """Return module `index`, from 1, behind its ReLU."""
    base, parts = f"backbone.block{index}", []
    # The first two modules have their ReLU outside, so the numbers in their names begin one earlier.
    start = 0 if index <= 2 else 1
    before = (c, *module.depths[:-1])
    for i, layer in enumerate(layers):
        at = start + 3 * i
        named = f"{base}.rep.{at}", f"{base}.rep.{at + 1}"
        parts += [RELU if i else None, _separable(*named, before[i], module.depths[i], layer)]
    shortcut = None
    if module.shortcut == "conv":
        stride = layers[-1].stride
        named = f"{base}.skip", f"{base}.skipbn"
        shortcut = TORCH.conv_norm(*named, c, module.depths[-1], stride=stride, activation=None)
    return Residual(chain(*parts), shortcut, relu=False, name=base.removeprefix("backbone."))


def _xception(output_stride, middle, divisor):
    """Return (parts, channels); "low_level" is what the first module gives, behind a ReLU."""
    table = xception.modules(middle, divisor)
    xception.checked_stride(output_stride, (8, 16))
    planned = plan_output_stride(xception.layout(table), output_stride)[2:]
    first, c = xception.stem_widths(divisor)
    parts = [
        chain(
            TORCH.conv_norm("backbone.conv1", "backbone.bn1", 3, first, 3, stride=2),
            TORCH.conv_norm("backbone.conv2", "backbone.bn2", first, c, 3),
            name="conv1",
        )
    ]
    *modules, last = table
    for i, module in enumerate(modules, start=1):
        layers = planned[3 * i - 3 : 3 * i]
        if module.name == "exit.1":
            layers[2] = layers[2]._replace(rate=1)
        parts += [_module(i, module, c, layers), RELU, Endpoint("low_level") if i == 1 else None]
        c = module.depths[-1]
    for i, (f, layer) in enumerate(zip(last.depths, planned[-3:], strict=True), start=3):
        parts += [_separable(f"backbone.conv{i}", f"backbone.bn{i}", c, f, layer), RELU]
        c = f
    return parts, c


def jfzhang_xception(classes, *, output_stride=16, rates=None, middle=16, divisor=1, aspp_width=256, low_width=48):
    """Return its network on its Xception."""
    stages, c = _xception(output_stride, middle, divisor)
    low = 128 // divisor
    return _v3plus(stages, c, low, classes, scaled_rates(output_stride, rates), aspp_width, low_width)
