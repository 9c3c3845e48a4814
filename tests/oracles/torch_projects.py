"""Networks of other projects in PyTorch, small: the same layers in the same order under the same names.

Each is written from its project's definition, with widths as arguments: by default those of our tiny siblings.
"""

import torch
from torch import nn
from torch.nn import functional as f


def conv(c, out, kernel=1, stride=1, rate=1, groups=1, *, bias=False):
    return nn.Conv2d(c, out, kernel, stride, rate * (kernel // 2), rate, groups, bias=bias)


def layers(c, out, kernel=1, rate=1):
    """Convolution, batch norm, ReLU as three numbered modules."""
    return [conv(c, out, kernel, rate=rate), nn.BatchNorm2d(out), nn.ReLU()]


def resize(x, size, *, align_corners):
    return f.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


class Bottleneck(nn.Module):
    """conv1 to conv3 and bn1 to bn3; `first`: the stride is on the 1x1."""

    grow = 4

    def __init__(self, c, mid, stride, rate, *, first=False, shortcut=False):
        super().__init__()
        before, within = (stride, 1) if first else (1, stride)
        self.conv1, self.bn1 = conv(c, mid, 1, before), nn.BatchNorm2d(mid)
        self.conv2, self.bn2 = conv(mid, mid, 3, within, rate), nn.BatchNorm2d(mid)
        self.conv3, self.bn3 = conv(mid, 4 * mid), nn.BatchNorm2d(4 * mid)
        if shortcut:
            self.downsample = nn.Sequential(conv(c, 4 * mid, 1, stride), nn.BatchNorm2d(4 * mid))

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn3(self.conv3(self.bn2(self.conv2(y)).relu()))
        return (y + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()


class Basic(nn.Module):
    grow = 1

    def __init__(self, c, mid, stride, rate, *, shortcut=False):
        super().__init__()
        self.conv1, self.bn1 = conv(c, mid, 3, stride, rate), nn.BatchNorm2d(mid)
        self.conv2, self.bn2 = conv(mid, mid, 3, 1, rate), nn.BatchNorm2d(mid)
        if shortcut:
            self.downsample = nn.Sequential(conv(c, mid, 1, stride), nn.BatchNorm2d(mid))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()


class ResNet(nn.Module):
    """Stages from lists: `strides` and `rates` of each, `first_rates` of its first unit, `grid` in the last stage."""

    def __init__(
        self, units, width, strides, rates, *, first_rates=None, grid=None, block=Bottleneck, deep=False, ceil=False,
        first=False,
    ):  # fmt: skip
        super().__init__()
        if deep:
            half = width // 2
            sizes = ((3, half, 2), (half, half, 1), (half, width, 1))
            modules = [m for c, out, s in sizes for m in (conv(c, out, 3, s), nn.BatchNorm2d(out), nn.ReLU())]
            self.stem = nn.Sequential(*modules)
        else:
            self.conv1, self.bn1 = conv(3, width, 7, 2), nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, 2, 1, ceil_mode=ceil)
        c, more = width, {"first": True} if first else {}
        for i, count in enumerate(units):
            mid, blocks = width * 2**i, []
            for j in range(count):
                rate = (first_rates or rates)[i] if j == 0 else rates[i]
                rate *= grid[j] if grid and i == 3 else 1
                stride = strides[i] if j == 0 else 1
                shortcut = j == 0 and (stride > 1 or c != mid * block.grow)
                blocks.append(block(c, mid, stride, rate, shortcut=shortcut, **more))
                c = mid * block.grow
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))

    def forward(self, x):
        x = self.stem(x) if hasattr(self, "stem") else self.bn1(self.conv1(x)).relu()
        x, seen = self.pool(x), []
        for i in (1, 2, 3, 4):
            x = getattr(self, f"layer{i}")(x)
            seen.append(x)
        return seen


def dilated(output_stride):
    """Return (strides, rates, rates of first units that keep the rate before)."""
    if output_stride == 16:
        return (1, 2, 2, 1), (1, 1, 1, 2), (1, 1, 1, 1)
    return (1, 2, 1, 1), (1, 1, 2, 4), (1, 1, 1, 2)


class ASPP(nn.Module):
    """torchvision's modules; `three` makes the convolution of a rate."""

    def __init__(self, c, width, rates, three=None):
        super().__init__()
        three = three or (lambda c, out, rate: conv(c, out, 3, rate=rate))
        branches = [nn.Sequential(*layers(c, width))]
        branches += [nn.Sequential(three(c, width, r), nn.BatchNorm2d(width), nn.ReLU()) for r in rates]
        branches.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), *layers(c, width)))
        self.convs = nn.ModuleList(branches)
        self.project = nn.Sequential(*layers((len(rates) + 2) * width, width))

    def forward(self, x):
        ys = [branch(x) for branch in self.convs]
        ys[-1] = ys[-1].expand(-1, -1, *x.shape[2:])
        return self.project(torch.cat(ys, 1))


def separable(c, out, rate=1):
    return nn.Sequential(conv(c, c, 3, rate=rate, groups=c), conv(c, out))


# segmentation_models.pytorch


class SmpV3Decoder(nn.Module):
    def __init__(self, c, width, three):
        super().__init__()
        self.aspp = ASPP(c, width, (12, 24, 36), three)
        self.conv, self.bn = conv(width, width, 3), nn.BatchNorm2d(width)

    def forward(self, features):
        return self.bn(self.conv(self.aspp(features[-1]))).relu()


class SmpV3PlusDecoder(nn.Module):
    def __init__(self, c, low, width, low_width, scale, three):
        super().__init__()
        self.aspp = nn.Sequential(
            ASPP(c, width, (12, 24, 36), three), separable(width, width), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.up = nn.UpsamplingBilinear2d(scale_factor=scale)
        self.block1 = nn.Sequential(*layers(low, low_width))
        self.block2 = nn.Sequential(separable(low_width + width, width), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, features):
        return self.block2(torch.cat([self.up(self.aspp(features[-1])), self.block1(features[0])], 1))


class Smp(nn.Module):
    def __init__(self, classes, *, plus, basic, units, output_stride, separate=None, width=3, aspp=8, low_width=6):
        super().__init__()
        block = Basic if basic else Bottleneck
        strides, rates, _ = dilated(output_stride)
        self.encoder = ResNet(units, width, strides, rates, block=block)
        c, low = 8 * width * block.grow, width * block.grow
        three = separable if (plus if separate is None else separate) else None
        if plus:
            self.decoder = SmpV3PlusDecoder(c, low, aspp, low_width, output_stride // 4, three)
        else:
            self.decoder = SmpV3Decoder(c, aspp, three)
        scale = 4 if plus else output_stride
        self.segmentation_head = nn.Sequential(
            conv(aspp, classes, bias=True), nn.UpsamplingBilinear2d(scale_factor=scale), nn.Identity()
        )

    def forward(self, x):
        return self.segmentation_head(self.decoder(self.encoder(x)))


# jfzhang95/pytorch-deeplab-xception


class JfASPP(nn.Module):
    def __init__(self, c, width, rates):
        super().__init__()
        for i, rate in enumerate((1, *rates), start=1):
            branch = {"atrous_conv": conv(c, width, 1 if i == 1 else 3, rate=rate), "bn": nn.BatchNorm2d(width)}
            setattr(self, f"aspp{i}", nn.ModuleDict(branch))
        self.global_avg_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), *layers(c, width))
        self.conv1, self.bn1 = conv(5 * width, width), nn.BatchNorm2d(width)

    def forward(self, x):
        branches = [getattr(self, f"aspp{i}") for i in (1, 2, 3, 4)]
        ys = [branch["bn"](branch["atrous_conv"](x)).relu() for branch in branches]
        ys.append(resize(self.global_avg_pool(x), x.shape[2:], align_corners=True))
        return self.bn1(self.conv1(torch.cat(ys, 1))).relu()


class JfDecoder(nn.Module):
    def __init__(self, low, width, low_width, classes, *, dropout=True):
        super().__init__()
        self.conv1, self.bn1 = conv(low, low_width), nn.BatchNorm2d(low_width)
        drop = [nn.Dropout(0.5)] if dropout else []
        self.last_conv = nn.Sequential(
            *layers(width + low_width, width, 3), *drop, *layers(width, width, 3), *drop,
            conv(width, classes, bias=True),
        )  # fmt: skip

    def forward(self, x, low):
        low = self.bn1(self.conv1(low)).relu()
        return self.last_conv(torch.cat([resize(x, low.shape[2:], align_corners=True), low], 1))


class JfSeparable(nn.Module):
    def __init__(self, c, out, stride=1, rate=1):
        super().__init__()
        self.conv1, self.bn = conv(c, c, 3, stride, rate, c), nn.BatchNorm2d(c)
        self.pointwise = conv(c, out)

    def forward(self, x):
        return self.pointwise(self.bn(self.conv1(x)))


class JfBlock(nn.Module):
    """A module of the Xception: its first ReLU works in place, so that the shortcut sees it too."""

    def __init__(self, c, out, stride, rates, *, grow_first=True, relu_first=True):
        super().__init__()
        if c != out or stride > 1:
            self.skip, self.skipbn = conv(c, out, 1, stride), nn.BatchNorm2d(out)
        widths = [(c, out), (out, out), (out, out)] if grow_first else [(c, c), (c, out), (out, out)]
        modules = []
        for i, ((a, b), rate) in enumerate(zip(widths, rates, strict=True)):
            modules += [nn.ReLU(inplace=True), JfSeparable(a, b, stride if i == 2 else 1, rate), nn.BatchNorm2d(b)]
        self.rep = nn.Sequential(*(modules if relu_first else modules[1:]))

    def forward(self, x):
        y = self.rep(x)
        return y + (self.skipbn(self.skip(x)) if hasattr(self, "skip") else x)


class JfXception(nn.Module):
    def __init__(self, output_stride, middle, divisor):
        super().__init__()
        d, few = divisor, min(divisor, 8)
        self.conv1, self.bn1 = conv(3, 32 // few, 3, 2), nn.BatchNorm2d(32 // few)
        self.conv2, self.bn2 = conv(32 // few, 64 // few, 3), nn.BatchNorm2d(64 // few)
        third, rate, exits = (2, 1, (1, 2)) if output_stride == 16 else (1, 2, (2, 4))
        self.block1 = JfBlock(64 // few, 128 // d, 2, (1, 1, 1), relu_first=False)
        self.block2 = JfBlock(128 // d, 256 // d, 2, (1, 1, 1), relu_first=False)
        self.block3 = JfBlock(256 // d, 728 // d, third, (1, 1, 1))
        for i in range(4, 4 + middle):
            setattr(self, f"block{i}", JfBlock(728 // d, 728 // d, 1, (rate,) * 3))
        self.last = 4 + middle
        out = JfBlock(728 // d, 1024 // d, 1, (exits[0], exits[0], 1), grow_first=False)
        setattr(self, f"block{self.last}", out)
        for i, (a, b) in enumerate(((1024, 1536), (1536, 1536), (1536, 2048)), start=3):
            setattr(self, f"conv{i}", JfSeparable(a // d, b // d, rate=exits[1]))
            setattr(self, f"bn{i}", nn.BatchNorm2d(b // d))

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        x = self.bn2(self.conv2(x)).relu()
        low = x = self.block1(x).relu()
        for i in range(2, self.last + 1):
            x = getattr(self, f"block{i}")(x)
        x = x.relu()
        for i in (3, 4, 5):
            x = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)).relu()
        return low, x


class Jfzhang(nn.Module):
    def __init__(
        self, classes, *, units=None, middle=None, divisor=32, output_stride=16, width=3, aspp=8, low_width=6,
        dropout=True,
    ):  # fmt: skip
        super().__init__()
        if units:
            strides, rates, _ = dilated(output_stride)
            self.backbone = ResNet(units, width, strides, rates, grid=(1, 2, 4))
            c, low = 32 * width, 4 * width
        else:
            self.backbone = JfXception(output_stride, middle, divisor)
            c, low = 2048 // divisor, 128 // divisor
        self.aspp = JfASPP(c, aspp, (6, 12, 18) if output_stride == 16 else (12, 24, 36))
        self.decoder = JfDecoder(low, aspp, low_width, classes, dropout=dropout)

    def forward(self, x):
        low, *_, features = self.backbone(x)
        return resize(self.decoder(self.aspp(features), low), x.shape[2:], align_corners=True)


# mmsegmentation


class Module(nn.Module):
    def __init__(self, c, out, kernel=1, rate=1, groups=1):
        super().__init__()
        self.conv, self.bn = conv(c, out, kernel, rate=rate, groups=groups), nn.BatchNorm2d(out)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class SeparableModule(nn.Module):
    def __init__(self, c, out, rate=1):
        super().__init__()
        self.depthwise_conv, self.pointwise_conv = Module(c, c, 3, rate, c), Module(c, out)

    def forward(self, x):
        return self.pointwise_conv(self.depthwise_conv(x))


class MmsegHead(nn.Module):
    def __init__(self, c, low, width, low_width, classes, *, plus):
        super().__init__()
        self.conv_seg = conv(width, classes, bias=True)
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), Module(c, width))
        three = SeparableModule if plus else lambda c, out, rate: Module(c, out, 3, rate)
        self.aspp_modules = nn.ModuleList([Module(c, width), *(three(c, width, r) for r in (12, 24, 36))])
        self.bottleneck = Module(5 * width, width, 3)
        self.plus = plus
        if plus:
            self.c1_bottleneck = Module(low, low_width)
            self.sep_bottleneck = nn.Sequential(
                SeparableModule(width + low_width, width), SeparableModule(width, width)
            )

    def forward(self, features):
        x = features[-1]
        ys = [resize(self.image_pool(x), x.shape[2:], align_corners=False), *(m(x) for m in self.aspp_modules)]
        y = self.bottleneck(torch.cat(ys, 1))
        if self.plus:
            low = self.c1_bottleneck(features[0])
            y = self.sep_bottleneck(torch.cat([resize(y, low.shape[2:], align_corners=False), low], 1))
        return self.conv_seg(y)


class MmsegSide(nn.Module):
    def __init__(self, c, width, classes):
        super().__init__()
        self.conv_seg = conv(width, classes, bias=True)
        self.convs = nn.Sequential(Module(c, width, 3))

    def forward(self, features):
        return self.conv_seg(self.convs(features[2]))


class Mmseg(nn.Module):
    def __init__(self, classes, *, plus, units, width=4, aspp=8, low_width=6):
        super().__init__()
        strides, rates, first = dilated(8)
        self.backbone = ResNet(units, width, strides, rates, first_rates=first, deep=True)
        self.decode_head = MmsegHead(32 * width, 4 * width, aspp, low_width, classes, plus=plus)
        self.auxiliary_head = MmsegSide(16 * width, 4 * width, classes)

    def forward(self, x):
        features = self.backbone(x)
        heads = (self.decode_head(features), self.auxiliary_head(features))
        return tuple(resize(y, x.shape[2:], align_corners=False) for y in heads)


# VainF


class VainfSeparable(nn.Module):
    def __init__(self, c, out, rate=1):
        super().__init__()
        self.body = separable(c, out, rate)

    def forward(self, x):
        return self.body(x)


class VainfPlus(nn.Module):
    """The head of v3+; `three` makes its convolutions that are not 1x1."""

    def __init__(self, c, low, width, low_width, classes, rates, three=None):
        super().__init__()
        self.project = nn.Sequential(*layers(low, low_width))
        self.aspp = ASPP(c, width, rates, three)
        first = three(width + low_width, width) if three else conv(width + low_width, width, 3)
        self.classifier = nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU(), conv(width, classes, bias=True))

    def forward(self, features):
        low = self.project(features[0])
        y = resize(self.aspp(features[-1]), low.shape[2:], align_corners=False)
        return self.classifier(torch.cat([low, y], 1))


class Vainf(nn.Module):
    def __init__(self, classes, *, units, output_stride=16, width=3, aspp=8, low_width=6):
        super().__init__()
        strides, rates, first = dilated(output_stride)
        self.backbone = ResNet(units, width, strides, rates, first_rates=first)
        rates = (6, 12, 18) if output_stride == 16 else (12, 24, 36)
        self.classifier = VainfPlus(32 * width, 4 * width, aspp, low_width, classes, rates, VainfSeparable)

    def forward(self, x):
        return resize(self.classifier(self.backbone(x)), x.shape[2:], align_corners=False)


def relu6_layers(c, out, kernel=1, stride=1, rate=1, groups=1):
    """Without zeros: they are put around the input of the unit."""
    convolution = nn.Conv2d(c, out, kernel, stride, 0, rate, groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU6())


class VainfInverted(nn.Module):
    def __init__(self, c, out, stride, rate, times):
        super().__init__()
        wide = times * c
        expand = [relu6_layers(c, wide)] if times > 1 else []
        self.conv = nn.Sequential(
            *expand, relu6_layers(wide, wide, 3, stride, rate, wide), conv(wide, out), nn.BatchNorm2d(out)
        )
        self.rate, self.shortcut = rate, stride == 1 and c == out

    def forward(self, x):
        y = self.conv(f.pad(x, (self.rate,) * 4))
        return x + y if self.shortcut else y


class VainfMobile(nn.Module):
    """v3, or v3+ if `plus`, on MobileNetV2; `widths` are those of the stem and of the seven kinds of units."""

    def __init__(self, classes, *, plus, widths=(2, 1, 2, 2, 4, 6, 10, 20), output_stride=16, aspp=8, low_width=6):
        super().__init__()
        units, (c, *widths) = [relu6_layers(3, widths[0], 3, 2)], widths
        strides, reached, rate = (1, 2, 2, 2, 1, 2, 1), 2, 1
        for i, (out, count, wanted) in enumerate(zip(widths, (1, 2, 3, 4, 3, 3, 1), strides, strict=True)):
            stride, first = (1, rate) if reached == output_stride else (wanted, rate)
            rate, reached = (rate * wanted, reached) if reached == output_stride else (rate, reached * wanted)
            for j in range(count):
                units.append(VainfInverted(c, out, stride if j == 0 else 1, first if j == 0 else rate, 6 if i else 1))
                c = out
        self.backbone = nn.Module()
        parts = nn.Sequential(*units)
        self.backbone.low_level_features, self.backbone.high_level_features = parts[:4], parts[4:]
        rates = (6, 12, 18) if output_stride == 16 else (12, 24, 36)
        self.classifier = VainfPlus(c, widths[1], aspp, low_width, classes, rates) if plus else nn.Module()
        if not plus:
            last = (conv(aspp, aspp, 3), nn.BatchNorm2d(aspp), nn.ReLU(), conv(aspp, classes, bias=True))
            self.classifier.classifier = nn.Sequential(ASPP(c, aspp, rates), *last)

    def forward(self, x):
        low = self.backbone.low_level_features(x)
        features = self.backbone.high_level_features(low)
        plus = isinstance(self.classifier, VainfPlus)
        scores = self.classifier((low, features)) if plus else self.classifier.classifier(features)
        return resize(scores, x.shape[2:], align_corners=False)


# isht7/pytorch-deeplab-resnet and those that follow it


class Sum(nn.Module):
    """The sum of the scores at four rates, or of the first two as one project has it."""

    def __init__(self, c, classes, used):
        super().__init__()
        self.conv2d_list = nn.ModuleList(conv(c, classes, 3, rate=r, bias=True) for r in (6, 12, 18, 24))
        self.used = used

    def forward(self, x):
        return sum(self.conv2d_list[i](x) for i in range(self.used))


class V2(ResNet):
    def __init__(self, classes, *, units, width=3, used=4):
        super().__init__(units, width, *dilated(8)[:2], ceil=True, first=True)
        self.layer5 = Sum(32 * width, classes, used)

    def forward(self, x):
        return self.layer5(super().forward(x)[-1])


class V2Scales(nn.Module):
    def __init__(self, classes, **options):
        super().__init__()
        self.Scale = V2(classes, **options)

    def forward(self, x):
        first = self.Scale(x)
        for part in (0.75, 0.5):
            size = [int(n * part) + 1 for n in x.shape[2:]]
            scores = self.Scale(resize(x, size, align_corners=True))
            first = torch.maximum(first, resize(scores, first.shape[2:], align_corners=True))
        return first
