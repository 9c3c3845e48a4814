"""The ways that DeepLab argues against, on the trunk of `networks`: descriptions like all others.

    strided           scores of the coarse map, enlarged; learned or fixed (FCN-32s, deconvolution)
    skips             scores of earlier stages added on the way up (FCN-8s)
    hypercolumns      features of all stages enlarged and concatenated
    encoder_decoder   stage by stage up again, features joined at each
    pooled            local means of several sizes (spatial pyramid pooling)

Role: description.

References
----------
Long et al., arXiv:1411.4038; Hariharan et al., arXiv:1411.5752; Ronneberger et al., arXiv:1505.04597; He et al.,
arXiv:1406.4729, and Zhao et al., arXiv:1612.01105; DeepLab v2, arXiv:1606.00915, Section 3.1; v3, arXiv:1706.05587,
Figure 2.
"""

from __future__ import annotations

from atrous.compose.chain import chain
from atrous.compose.enlarge import Deconv, Enlarge
from atrous.compose.image_pooling import ImagePooling
from atrous.compose.leaves import Pool
from atrous.compose.parallel import Parallel
from atrous.compose.skip_connections import SkipConnections
from atrous.compose.styles import TORCH


def unit(name, c, f, kernel=3, **options):
    """Return convolution, batch norm and ReLU."""
    return TORCH.conv_norm(f"{name}.conv", f"{name}.norm", c, f, kernel, **options)


def scores(name, c, classes):
    """Return the 1×1 convolution to scores."""
    return TORCH.conv(name, c, classes, 1, bias=True, sigma=0.01)


def _up(name, classes, factor, start):
    if start == "fixed":
        return Enlarge(factor)
    return Deconv(f"{name}.weight", f"{name}.bias", classes, classes, factor, start == "bilinear")


def strided(trunk, widths, classes, *, start="fixed", factor=4, width=32):
    """Return scores of the coarse map, enlarged by `factor`.

    `start` is "fixed" for bilinear interpolation, or how a learned transposed convolution begins: "bilinear" or
    "random".
    """
    return chain(
        *trunk, unit("fc6", widths[-1], width), scores("fc8", width, classes), _up("up", classes, factor, start)
    )


def skips(trunk, widths, classes, *, stages=(4, 3), width=32):
    """Return FCN-8s: scores go up by 2, those of an earlier stage are added, and again; filters begin as bilinear."""
    body = chain(*trunk, unit("fc6", widths[-1], width), scores("fc8", width, classes))
    for stage in stages:
        up = chain(body, _up(f"up{stage}", classes, 2, "bilinear"))
        side = f"stage {stage}", scores(f"score{stage}", widths[stage - 1], classes)
        body = SkipConnections(up, (side,), "sum", crop=True)
    return body


def hypercolumns(trunk, widths, classes, *, stages=(2, 3, 4), width=32):
    """Return scores of all stages' features at the resolution of the first of `stages`."""
    sides = tuple((f"stage {s}", unit(f"side{s}", widths[s - 1], width, 1)) for s in stages)
    joined = SkipConnections(chain(*trunk, unit("fc6", widths[-1], width)), sides)
    return chain(joined, unit("mix", width * (1 + len(stages)), width, 1), scores("classifier", width, classes))


def encoder_decoder(trunk, widths, classes, *, stages=(4, 3, 2), width=32):
    """Return a decoder that goes up stage by stage, with a convolution after each join."""
    body, c = chain(*trunk), widths[-1]
    for s in stages:
        project = unit(f"low{s}", widths[s - 1], width // 2, 1)
        joined = SkipConnections(body, ((f"stage {s}", project),), name="decoder")
        body, c = chain(joined, unit(f"refine{s}", c + width // 2, width)), width
    return chain(body, scores("classifier", c, classes))


def pooled(trunk, widths, classes, *, windows=(3, 5, 7), width=32):
    """Return spatial pyramid pooling: means over windows of several sizes in place of taps at several rates."""
    c = widths[-1]
    branches = [unit("pool1", c, width, 1)]
    branches += [
        chain(Pool("average", k, 1, 1, k // 2, name=f"mean {k}"), unit(f"pool{k}", c, width, 3)) for k in windows
    ]
    branches.append(ImagePooling(chain(unit("pool", c, width, 1))))
    joined = Parallel(tuple(branches), "concat", "spatial pyramid")
    return chain(*trunk, joined, unit("project", len(branches) * width, width, 1), scores("classifier", width, classes))


RIVALS = {
    "strided": strided,
    "skips": skips,
    "hypercolumns": hypercolumns,
    "encoder_decoder": encoder_decoder,
    "pooled": pooled,
}
