"""A second opinion on whole networks that shares nothing with the package: PyTorch on flat dictionaries of tensors."""

import re
from typing import NamedTuple

import torch
from torch.nn import functional


def endpoints(name, p, x, *, train=False, **options):
    """Return the features, scores and auxiliary scores of a network by name.

    Dropout is off in either mode. In training the batch norms use the statistics of the batch and leave p as it is.
    """
    w = Weights(p, train)
    name = name.removeprefix("tiny_")
    for prefix, network in NETWORKS.items():
        if name.startswith(prefix):
            return network(w, x, name, **options)
    raise ValueError(name)


def with_gradients(name, p, x, upstream, *, train=False, **options):
    """Do as `endpoints` for NumPy arrays; return (endpoints, gradients by key, gradient to x).

    `upstream` holds gradients by endpoint. What they do not reach has zeros; running statistics have none.
    """
    p = {key: torch.from_numpy(a) for key, a in p.items()}
    x = torch.from_numpy(x).requires_grad_()
    trained = {key: a.requires_grad_() for key, a in p.items() if not key.rsplit(".", 1)[-1].startswith("running_")}
    found = endpoints(name, p, x, train=train, **options)
    outputs, dy = [found[key] for key in upstream], [torch.from_numpy(a) for a in upstream.values()]
    *grads, dx = torch.autograd.grad(outputs, [*trained.values(), x], dy, materialize_grads=True)
    found = {key: a.detach().numpy() for key, a in found.items()}
    return found, {key: g.numpy() for key, g in zip(trained, grads, strict=True)}, dx.numpy()


class Weights(NamedTuple):
    """Tensors by key, and whether batch norms use the statistics of the batch."""

    p: dict
    train: bool

    def __contains__(self, layer):
        return f"{layer}.weight" in self.p

    def numbers(self, prefix):
        """Return in order the numbers that follow a prefix in the keys."""
        found = (re.match(re.escape(prefix) + r"(\d+)\.", key) for key in self.p)
        return sorted({int(match[1]) for match in found if match})


# Layers


def conv(w, layer, x, stride=1, rate=1, pad=None):
    """Convolve; padding keeps the size, groups follow from the shapes."""
    weight = w.p[f"{layer}.weight"]
    if pad is None:
        pad = [rate * (k - 1) // 2 for k in weight.shape[2:]]
    groups = x.shape[1] // weight.shape[1]
    return functional.conv2d(x, weight, w.p.get(f"{layer}.bias"), stride, pad, rate, groups)


def norm(w, layer, x, eps=1e-5):
    gain, shift = w.p[f"{layer}.weight"], w.p[f"{layer}.bias"]
    if w.train:
        return functional.batch_norm(x, None, None, gain, shift, training=True, eps=eps)
    return functional.batch_norm(x, w.p[f"{layer}.running_mean"], w.p[f"{layer}.running_var"], gain, shift, eps=eps)


def conv_norm_relu(w, layers, x, stride=1, rate=1):
    return norm(w, layers[1], conv(w, layers[0], x, stride, rate)).relu()


def separable_norm_relu(w, layers, x, rate=1):
    """Do as `conv_norm_relu`, with every channel on its own first."""
    first = layers[0]
    x = conv_norm_relu(w, (f"{first}.depthwise", f"{first}.depthwise_bn"), x, rate=rate)
    return conv_norm_relu(w, (f"{first}.pointwise", layers[1]), x)


def caffe_max_pool(x, kernel, stride, pad):
    """Take maxima over windows, of which the last may reach beyond the padding but not begin in it."""
    edges = []
    for n in reversed(x.shape[2:]):
        out = -((kernel - n - 2 * pad) // stride) + 1
        if pad and (out - 1) * stride >= n + pad:
            out -= 1
        edges += [pad, (out - 1) * stride + kernel - n - pad]
    return functional.max_pool2d(functional.pad(x, edges, value=-torch.inf), kernel, stride)


def resize(x, size, *, align_corners=True):
    return functional.interpolate(x, size=tuple(size), mode="bilinear", align_corners=align_corners)


def remove_strides(strides, output_stride, reached):
    """Return (stride, rate, rate behind it) of layers that would stride, once the output stride is reached."""
    rate, found = 1, []
    for wanted in strides:
        stride = wanted if reached < output_stride else 1
        found.append((stride, rate, rate * wanted // stride))
        reached, rate = reached * stride, found[-1][2]
    return found


# VGG


def vgg(w, x, *, large):
    """Return the image and what each of the five pools gives: 3x3 windows, or 2x2 ones up to the fourth."""
    size, fourth_pad = (3, 1) if large else (2, 0)
    pools = [(size, 2, 1)] * 3 + [(size, 1, fourth_pad), (3, 1, 1)]
    seen = [x]
    for block, pool in enumerate(pools, start=1):
        for i in w.numbers(f"conv{block}_"):
            x = conv(w, f"conv{block}_{i}", x, rate=2 if block == 5 else 1).relu()
        x = caffe_max_pool(x, *pool)
        seen.append(x)
    return seen


def fully_connected(w, x, rate, suffix="", last="fc8_voc12", pad=None):
    x = conv(w, f"fc6{suffix}", x, rate=rate, pad=pad).relu()
    return conv(w, f"{last}{suffix}", conv(w, f"fc7{suffix}", x).relu())


def side_branch(w, i, x, *, one_less):
    if one_less:
        x = functional.pad(x, (1, 0, 1, 0))
    x = conv(w, f"ms{i}.conv1", x, stride=(8, 4, 2, 1, 1)[i], pad=0 if one_less else 1).relu()
    return conv(w, f"ms{i}.fc8", conv(w, f"ms{i}.conv2", x).relu())


def deeplab_v1(w, x, name, rate=None):
    large = name.endswith("largefov")
    seen = vgg(w, x, large=large)
    features = functional.avg_pool2d(seen[5], 3, 1, 1) if large else seen[5]
    scores = fully_connected(w, features, rate or (12 if large else 4))
    for i in w.numbers("ms"):
        scores = scores + side_branch(w, i, seen[i], one_less=i == 3 and not large)
    return ends(x, features, scores)


def deeplab_v2_vgg(w, x, name, rates=None):
    features = vgg(w, x, large=True)[5]
    kind = name.rsplit("_", 1)[1]
    rates = rates or {"largefov": (12,), "s": (2, 4, 8, 12), "l": (6, 12, 18, 24)}[kind]
    suffixes = [""] if kind == "largefov" else [f"_{b}" for b in range(1, len(rates) + 1)]
    scores = sum(fully_connected(w, features, r, s) for r, s in zip(rates, suffixes, strict=True))
    return ends(x, features, scores)


def dense_vgg(w, x, _, output_stride=32):
    """Run the classifier at every position; here alone pools have holes."""
    image, plan = x, remove_strides([2] * 5, output_stride, 1)
    for block, (stride, rate, _) in enumerate(plan, start=1):
        for i in w.numbers(f"conv{block}_"):
            x = conv(w, f"conv{block}_{i}", x, rate=rate).relu()
        x = functional.max_pool2d(x, 2, stride, dilation=rate)
    return ends(image, x, fully_connected(w, x, plan[-1][2], last="fc8", pad=0))


# ResNet


class Unit(NamedTuple):
    """Layers of a residual unit as (convolution, batch norm): 1x1, 3x3, 1x1, and the shortcut, which may not exist."""

    first: tuple
    middle: tuple
    last: tuple
    shortcut: tuple


def torchvision_stages(w):
    """Return the stages' units under torchvision's names."""

    def unit(prefix):
        layers = [(f"{prefix}.conv{i}", f"{prefix}.bn{i}") for i in (1, 2, 3)]
        return Unit(*layers, (f"{prefix}.downsample.0", f"{prefix}.downsample.1"))

    stages = [f"backbone.layer{i}." for i in w.numbers("backbone.layer")]
    return [[unit(f"{stage}{j}") for j in w.numbers(stage)] for stage in stages]


def caffe_stages(w):
    """Return the stages' units under the names that follow Caffe's."""

    def unit(prefix):
        layers = ("reduce", "conv3x3", "increase", "shortcut")
        return Unit(*((f"{prefix}.{layer}.conv", f"{prefix}.{layer}.bn") for layer in layers))

    stages = [f"base.layer{i}.block" for i in w.numbers("base.layer") if i > 1]
    return [[unit(f"{stage}{j}") for j in w.numbers(stage)] for stage in stages]


def residual(w, unit, x, stride, rate, *, stride_first):
    """Return a unit's branch, before the shortcut is added."""
    before, within = (stride, 1) if stride_first else (1, stride)
    branch = conv_norm_relu(w, unit.first, x, before)
    branch = conv_norm_relu(w, unit.middle, branch, within, rate)
    return norm(w, unit.last[1], conv(w, unit.last[0], branch))


def shortcut(w, unit, x, stride):
    if unit.shortcut[0] in w:
        return norm(w, unit.shortcut[1], conv(w, unit.shortcut[0], x, stride))
    return x[:, :, ::stride, ::stride]


def resnet(w, x, stages, convention, output_stride, multi_grid=(1, 1, 1)):
    """Run the stages on what the stem gives; return outputs of the stages, and the second branch of the first stage."""
    slim = convention == "slim"
    strides = []
    for i, stage in enumerate(stages):
        strided = i < len(stages) - 1 if slim else i > 0
        where = len(stage) - 1 if slim else 0
        strides += [2 if strided and j == where else 1 for j in range(len(stage))]
    plan = iter(remove_strides(strides, output_stride, 4))
    outputs, branches = [], []
    for i, stage in enumerate(stages):
        for j, unit in enumerate(stage):
            stride, rate, behind = next(plan)
            # Caffe's stride lies before the 3x3 of its unit.
            rate = behind if convention == "caffe" else rate
            rate *= multi_grid[j] if i >= 3 else 1
            branches.append(residual(w, unit, x, stride, rate, stride_first=convention == "caffe"))
            x = (branches[-1] + shortcut(w, unit, x, stride)).relu()
        outputs.append(x)
    return outputs, branches[1]


def stem(w, x):
    """Return what a 7x7 convolution or three 3x3 ones make of the image, pooled."""
    if "backbone.conv1" in w:
        x = conv_norm_relu(w, ("backbone.conv1", "backbone.bn1"), x, 2)
    else:
        for i, stride in ((1, 2), (2, 1), (3, 1)):
            x = conv_norm_relu(w, (f"backbone.conv1_{i}", f"backbone.bn1_{i}"), x, stride)
    return functional.max_pool2d(x, 3, 2, 1)


def deeplab_v2_resnet(w, x, name, output_stride=8, rates=None, multi_scale=True):
    rates = rates or ((12,) if name.endswith("largefov") else (6, 12, 18, 24))

    def one_scale(image):
        y = conv_norm_relu(w, ("base.layer1.conv1.conv", "base.layer1.conv1.bn"), image, 2)
        features = resnet(w, caffe_max_pool(y, 3, 2, 1), caffe_stages(w), "caffe", output_stride)[0][-1]
        return features, sum(conv(w, f"base.aspp.c{i}", features, rate=r) for i, r in enumerate(rates))

    features, scores = one_scale(x)
    if not multi_scale:
        return ends(x, features, scores)
    size = x.shape[2:]
    middle = one_scale(resize(x, [3 * ((n - 1) // 4) + 1 for n in size]))[1]
    small = one_scale(resize(x, [(n - 1) // 2 + 1 for n in size]))[1]
    largest = scores
    for other in (middle, small):
        largest = torch.maximum(largest, resize(other, scores.shape[2:]))
    more = {"low_logits_100": scores, "low_logits_075": middle, "low_logits_050": small}
    return {**ends(x, features, largest), **more}


def dense_resnet(w, x, _, output_stride=32):
    features = resnet(w, stem(w, x), torchvision_stages(w), "torchvision", output_stride)[0][-1]
    return ends(x, features, conv(w, "backbone.fc", features), align_corners=False)


# Xception


def xception_separable(w, name, x, stride, rate, *, relu_inside):
    x = norm(
        w, f"{name}.depthwise_bn", conv(w, f"{name}.depthwise", x if relu_inside else x.relu(), stride, rate), 1e-3
    )
    x = norm(w, f"{name}.pointwise_bn", conv(w, f"{name}.pointwise", x.relu() if relu_inside else x), 1e-3)
    return x.relu() if relu_inside else x


def xception_module(w, name, x, stride, rate):
    """Return a module's output and its second separable convolution's."""
    last = name == "backbone.exit.2"
    y, seen = x, []
    for i in (1, 2, 3):
        y = xception_separable(w, f"{name}.sep{i}", y, stride if i == 3 else 1, rate, relu_inside=last)
        seen.append(y)
    if last:
        return y, seen[1]
    if f"{name}.shortcut" in w:
        x = norm(w, f"{name}.shortcut_bn", conv(w, f"{name}.shortcut", x, stride), 1e-3)
    return x + y, seen[1]


def xception(w, x, output_stride):
    """Return the last module's output, and the low-level feature."""
    for i, stride in ((1, 2), (2, 1)):
        x = norm(w, f"backbone.bn1_{i}", conv(w, f"backbone.conv1_{i}", x, stride), 1e-3).relu()
    modules = {
        f"backbone.{flow}.{i}": flow for flow in ("entry", "middle", "exit") for i in w.numbers(f"backbone.{flow}.")
    }
    strides = [2 if flow == "entry" or name == "backbone.exit.1" else 1 for name, flow in modules.items()]
    plan = remove_strides(strides, output_stride, 2)
    for name, (stride, rate, _) in zip(modules, plan, strict=True):
        x, second = xception_module(w, name, x, stride, rate)
        if name == "backbone.entry.2":
            low = second
    return x, low


# MobileNets

V2_STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)
V3_STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1)


def unit_layers(w, base):
    """Return the (convolution, norm) pairs of an inverted residual, two or three, and its gate or None."""
    layers, gate = [], None
    inner = base + (".block." if w.numbers(f"{base}.block.") else ".conv.")
    for i in w.numbers(inner):
        if f"{inner}{i}.fc1" in w:
            gate = f"{inner}{i}"
        elif f"{inner}{i}.0" in w:
            layers.append((f"{inner}{i}.0", f"{inner}{i}.1"))
        elif w.p[f"{inner}{i}.weight"].ndim == 4:
            layers.append((f"{inner}{i}", f"{inner}{i + 1}"))
    return layers, gate


def inverted_residual(w, base, x, stride, rate, activation, eps, *, early_zeros):
    """Return (result without the shortcut, what the depthwise convolution gives)."""
    (*expand, depthwise, project), gate = unit_layers(w, base)
    zeros = rate * (w.p[f"{depthwise[0]}.weight"].shape[2] // 2)
    if early_zeros:
        x, zeros = functional.pad(x, (zeros,) * 4), 0
    for name, normed in expand:
        x = activation(norm(w, normed, conv(w, name, x), eps))
    x = inside = activation(norm(w, depthwise[1], conv(w, depthwise[0], x, stride, rate, zeros), eps))
    if gate:
        means = x.mean((2, 3), keepdim=True)
        # The slope of functional.hardsigmoid is a sixth in float32 only.
        x = x * (conv(w, f"{gate}.fc2", conv(w, f"{gate}.fc1", means).relu()) / 6 + 0.5).clamp(0, 1)
    return norm(w, project[1], conv(w, project[0], x), eps), inside


def mobilenet(w, x, bases, strides, activations, output_stride, eps, *, even=False, early_zeros=False):
    """Return of the stem and every unit (the result, what the depthwise convolution gives)."""
    first = conv(w, f"{bases[0]}.0", x, 2, pad=0 if early_zeros else None)
    seen = [(activations[0](norm(w, f"{bases[0]}.1", first, eps)), None)]
    plan = remove_strides(strides, output_stride, 2)
    for base, wanted, (stride, rate, behind), activation in zip(bases[1:], strides, plan, activations[1:], strict=True):
        x, rate = seen[-1][0], behind if even else rate  # noqa: PLW2901
        y, inside = inverted_residual(w, base, x, stride, rate, activation, eps, early_zeros=early_zeros)
        seen.append((x + y if wanted == 1 and x.shape == y.shape else y, inside))
    return seen


def mobilenet_v2(w, x, name, output_stride):
    """Return (features, low-level features)."""
    vainf = name.startswith("vainf")
    low, high = "backbone.low_level_features.", "backbone.high_level_features."
    if vainf:
        bases = [f"{prefix}{i}" for prefix in (low, high) for i in w.numbers(prefix)]
    else:
        bases = [f"backbone.{i}" for i in w.numbers("backbone.")]
    activations = [functional.relu6] * len(bases)
    eps = 1e-5 if vainf else 1e-3
    seen = mobilenet(w, x, bases, V2_STRIDES, activations, output_stride, eps, early_zeros=vainf)
    return seen[-1][0], seen[3][0 if vainf else 1]


def mobilenet_v3(w, x, output_stride):
    """Return (features, features of stride 8)."""
    *bases, last = [f"backbone.{i}" for i in w.numbers("backbone.")]
    activations = [functional.hardswish, *[functional.relu] * 6, *[functional.hardswish] * 9]
    seen = mobilenet(w, x, bases, V3_STRIDES, activations, output_stride, 1e-3, even=True)
    return functional.hardswish(norm(w, f"{last}.1", conv(w, f"{last}.0", seen[-1][0]), 1e-3)), seen[4][0]


# Heads of v3 and v3+


def aspp(w, name, x, rates, *, separable=False, image_pooling=True):
    """Return the projected branches: 1x1, a 3x3 at each rate, and the mean of the map."""

    def layers(i, first=0):
        return f"{name}.convs.{i}.{first}", f"{name}.convs.{i}.{first + 1}"

    three_by_three = separable_norm_relu if separable else conv_norm_relu
    branches = [conv_norm_relu(w, layers(0), x)]
    branches += [three_by_three(w, layers(i), x, rate=r) for i, r in enumerate(rates, start=1)]
    if image_pooling:
        mean = conv_norm_relu(w, layers(len(rates) + 1, 1), x.mean((2, 3), keepdim=True))
        branches.append(mean.expand(-1, -1, *x.shape[2:]))
    return conv_norm_relu(w, (f"{name}.project.0", f"{name}.project.1"), torch.cat(branches, 1))


def paper_rates(output_stride):
    return [6 * i * 16 // output_stride for i in (1, 2, 3)]


def deeplab_v3(
    w, x, _, output_stride=16, multi_grid=(1, 2, 4), rates=None, image_pooling=True, cascade=False, convention="slim"
):
    features = resnet(w, stem(w, x), torchvision_stages(w), convention, output_stride, multi_grid)[0][-1]
    head = features
    if not cascade:
        head = aspp(w, "classifier.0", features, rates or paper_rates(output_stride), image_pooling=image_pooling)
    return ends(x, features, conv(w, "classifier.4", head))


def deeplab_v3_mobilenet(w, x, name, output_stride=16, rates=None):
    features, _ = mobilenet_v2(w, x, name, output_stride)
    head = aspp(w, "classifier.0", features, paper_rates(output_stride) if rates is None else rates)
    return ends(x, features, conv(w, "classifier.4", head))


def vainf_v3(w, x, name, output_stride=16):
    if "mobilenet" in name:
        features, _ = mobilenet_v2(w, x, name, output_stride)
    else:
        features = resnet(w, stem(w, x), torchvision_stages(w), "torchvision", output_stride)[0][3]
    head = aspp(w, "classifier.classifier.0", features, paper_rates(output_stride))
    head = conv_norm_relu(w, ("classifier.classifier.1", "classifier.classifier.2"), head)
    return ends(x, features, conv(w, "classifier.classifier.4", head), align_corners=False)


def lraspp(w, x, _, output_stride=16):
    features, low = mobilenet_v3(w, x, output_stride)
    gate = conv(w, "classifier.scale.1", features.mean((2, 3), keepdim=True)).sigmoid()
    gated = gate * conv_norm_relu(w, ("classifier.cbr.0", "classifier.cbr.1"), features)
    scores = conv(w, "classifier.high_classifier", resize(gated, low.shape[2:], align_corners=False))
    return ends(x, features, scores + conv(w, "classifier.low_classifier", low), align_corners=False)


def torchvision_v3(w, x, name, output_stride=None, rates=(12, 24, 36)):
    if "mobilenet" in name:
        features, before = mobilenet_v3(w, x, output_stride or 16)
    else:
        stages = resnet(w, stem(w, x), torchvision_stages(w), "torchvision", output_stride or 8)[0]
        features, before = stages[3], stages[2]
    head = conv_norm_relu(w, ("classifier.1", "classifier.2"), aspp(w, "classifier.0", features, rates))
    found = ends(x, features, conv(w, "classifier.4", head), align_corners=False)
    if "aux_classifier.4" in w:
        side = conv_norm_relu(w, ("aux_classifier.0", "aux_classifier.1"), before)
        found["aux_logits"] = resize(conv(w, "aux_classifier.4", side), x.shape[2:], align_corners=False)
    return found


def deeplab_v3plus(
    w,
    x,
    name,
    output_stride=16,
    multi_grid=(1, 2, 4),
    rates=None,
    image_pooling=True,
    separable=None,
    convention="slim",
):
    if "xception" in name:
        features, low = xception(w, x, output_stride)
    elif "mobilenet" in name:
        features, low = mobilenet_v2(w, x, name, output_stride)
    else:
        stages, low = resnet(w, stem(w, x), torchvision_stages(w), convention, output_stride, multi_grid)
        features = stages[-1]
    separable = "xception" in name if separable is None else separable
    rates = rates or paper_rates(output_stride)
    encoded = aspp(w, "classifier.aspp", features, rates, separable=separable, image_pooling=image_pooling)
    low = conv_norm_relu(w, ("classifier.project.0", "classifier.project.1"), low)
    y = torch.cat([resize(encoded, low.shape[2:]), low], 1)
    for i in (0, 3):
        three_by_three = separable_norm_relu if separable else conv_norm_relu
        y = three_by_three(w, (f"classifier.classifier.{i}", f"classifier.classifier.{i + 1}"), y)
    return ends(x, features, conv(w, "classifier.classifier.6", y))


def vainf_v3plus(w, x, name, output_stride=16, rates=None):
    if "mobilenet" in name:
        features, low = mobilenet_v2(w, x, name, output_stride)
    else:
        low, *_, features = resnet(w, stem(w, x), torchvision_stages(w), "torchvision", output_stride)[0]
    encoded = aspp(w, "classifier.aspp", features, rates or paper_rates(output_stride))
    low = conv_norm_relu(w, ("classifier.project.0", "classifier.project.1"), low)
    y = torch.cat([low, resize(encoded, low.shape[2:], align_corners=False)], 1)
    y = conv_norm_relu(w, ("classifier.classifier.0", "classifier.classifier.1"), y)
    return ends(x, features, conv(w, "classifier.classifier.3", y), align_corners=False)


def ends(x, features, scores, *, align_corners=True):
    logits = resize(scores, x.shape[2:], align_corners=align_corners)
    return {"features": features, "low_logits": scores, "logits": logits}


NETWORKS = {
    "deeplabv1_": deeplab_v1,
    "deeplabv2_vgg16_": deeplab_v2_vgg,
    "deeplabv2_resnet101_": deeplab_v2_resnet,
    "deeplabv3_resnet": deeplab_v3,
    "deeplabv3_mobilenet": deeplab_v3_mobilenet,
    "torchvision_deeplabv3_": torchvision_v3,
    "torchvision_lraspp_": lraspp,
    "deeplabv3plus_": deeplab_v3plus,
    "vainf_deeplabv3_": vainf_v3,
    "vainf_deeplabv3plus_": vainf_v3plus,
    "dense_vgg16": dense_vgg,
    "dense_resnet": dense_resnet,
}
