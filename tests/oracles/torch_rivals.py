"""A second opinion on the small networks of the experiments: PyTorch on flat dictionaries of tensors."""

import torch
from torch.nn import functional


def unit(p, name, x, stride=1, rate=1):
    """Return convolution, batch norm with running statistics, ReLU."""
    w = p[f"{name}.conv.weight"]
    y = functional.conv2d(x, w, stride=stride, dilation=rate, padding=rate * (w.shape[-1] - 1) // 2)
    ends = (p[f"{name}.norm.{end}"] for end in ("running_mean", "running_var", "weight", "bias"))
    return torch.relu(functional.batch_norm(y, *ends))


def scores(p, name, x):
    """Return a 1×1 convolution with bias."""
    return functional.conv2d(x, p[f"{name}.weight"], p[f"{name}.bias"])


def resize(x, size):
    """Return x at another size, corners aligned."""
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=True)


def grown(x, factor):
    """Return x at factor·(n − 1) + 1 samples an axis."""
    return resize(x, [factor * (n - 1) + 1 for n in x.shape[2:]])


def deconv(p, name, x, factor):
    """Return a transposed convolution that keeps the corners where they are."""
    w = p[f"{name}.weight"]
    return functional.conv_transpose2d(x, w, p[f"{name}.bias"], stride=factor, padding=factor - 1)


def stages(p, x, count=5, output_stride=32):
    """Return the maps of the stages, from 1 on."""
    found, stride, rate = [], 1, 1
    for s in range(1, count + 1):
        step = 2 if stride < output_stride else 1
        x = unit(p, f"stage{s}.0", x, step, rate)
        if step == 2:
            stride *= 2
        else:
            rate *= 2
        x = unit(p, f"stage{s}.1", x, 1, rate)
        found.append(x)
    return found


def strided(p, x, start):
    """Return FCN-32s' way."""
    low = scores(p, "fc8", unit(p, "fc6", stages(p, x)[-1]))
    return grown(low, 4) if start == "fixed" else deconv(p, "up", low, 4)


def skips(p, x):
    """Return FCN-8s' way."""
    maps = stages(p, x)
    y = scores(p, "fc8", unit(p, "fc6", maps[-1]))
    for s in (4, 3):
        side, y = scores(p, f"score{s}", maps[s - 1]), deconv(p, f"up{s}", y, 2)
        high, wide = (min(side.shape[axis], y.shape[axis]) for axis in (2, 3))
        y = y[:, :, :high, :wide] + side[:, :, :high, :wide]
    return y


def hypercolumns(p, x):
    """Return hyper-columns at a quarter of the size."""
    maps = stages(p, x)
    sides = [unit(p, f"side{s}", maps[s - 1]) for s in (2, 3, 4)]
    all_maps = [resize(y, sides[0].shape[2:]) for y in (unit(p, "fc6", maps[-1]), *sides)]
    return scores(p, "classifier", unit(p, "mix", torch.cat(all_maps, 1)))


def encoder_decoder(p, x):
    """Return a decoder of three steps."""
    maps = stages(p, x)
    y = maps[-1]
    for s in (4, 3, 2):
        low = unit(p, f"low{s}", maps[s - 1])
        y = unit(p, f"refine{s}", torch.cat([resize(y, low.shape[2:]), low], 1))
    return scores(p, "classifier", y)


def pooled(p, x):
    """Return spatial pyramid pooling at output stride 8."""
    y = stages(p, x, output_stride=8)[-1]
    branches = [unit(p, "pool1", y)]
    branches += [
        unit(p, f"pool{k}", functional.avg_pool2d(y, k, 1, k // 2, count_include_pad=False)) for k in (3, 5, 7)
    ]
    branches.append(unit(p, "pool", y.mean((2, 3), keepdim=True)).expand(-1, -1, *y.shape[2:]))
    return scores(p, "classifier", unit(p, "project", torch.cat(branches, 1)))


WAYS = {
    "strided": strided, "skips": skips, "hypercolumns": hypercolumns, "encoder_decoder": encoder_decoder,
    "pooled": pooled,
}  # fmt: skip


def with_gradients(head, p, x, dy, **options):
    """Return (scores at the size of the image, gradients by name, gradient to x) for NumPy arrays."""
    p = {name: torch.from_numpy(a) for name, a in p.items()}
    trained = {name: a.requires_grad_() for name, a in p.items() if "running" not in name}
    x = torch.from_numpy(x).requires_grad_()
    y = resize(WAYS[head](p, x, **options), x.shape[2:])
    *grads, dx = torch.autograd.grad(y, [*trained.values(), x], torch.from_numpy(dy), materialize_grads=True)
    return y.detach().numpy(), {name: g.numpy() for name, g in zip(trained, grads, strict=True)}, dx.numpy()
