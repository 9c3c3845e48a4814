"""The geometry of a convolution: sizes, kernel, strides, rates and zeros as one NamedTuple of ints.

The public functions view signals and images with three spatial axes, so that every method is written only once. NumPy
code, Numba loops and CUDA kernels all take a tuple of ints as an argument.

Role: geometry.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from atrous import _check
from atrous._kinds import public
from atrous._types import Padding, PerAxis
from atrous.conv.effective_kernel import effective_kernel
from atrous.conv.padding import resolve_padding
from atrous.errors import ParameterError, ShapeError


class ConvGeometry(NamedTuple):
    """Everything about an atrous convolution except its numbers; the spatial axes are depth, height and width."""

    n: int
    c: int
    f: int
    groups: int
    d: int
    h: int
    w: int
    kd: int
    kh: int
    kw: int
    od: int
    oh: int
    ow: int
    sd: int
    sh: int
    sw: int
    rd: int
    rh: int
    rw: int
    pd: int
    ph: int
    pw: int

    @property
    def size(self):
        """Input size (D, H, W)."""
        return self.d, self.h, self.w

    @property
    def kernel(self):
        """Number of taps along each axis."""
        return self.kd, self.kh, self.kw

    @property
    def out(self):
        """Output size."""
        return self.od, self.oh, self.ow

    @property
    def stride(self):
        """Distance between outputs, in input samples."""
        return self.sd, self.sh, self.sw

    @property
    def rate(self):
        """Distance between taps, in input samples."""
        return self.rd, self.rh, self.rw

    @property
    def pad(self):
        """Zeros before the input; those after it follow from the output size."""
        return self.pd, self.ph, self.pw

    @property
    def span(self):
        """Length of the padded input that the taps read: (out − 1)·stride + k_e."""
        return tuple(
            (o - 1) * s + r * (k - 1) + 1
            for o, s, r, k in zip(self.out, self.stride, self.rate, self.kernel, strict=True)
        )

    @property
    def macs(self):
        """Multiply-adds of the convolution, including taps on zeros."""
        return self.n * self.f * (self.c // self.groups) * math.prod(self.kernel) * math.prod(self.out)


def geometry(n, c, f, groups, *, size, kernel, out, stride, rate, pad):
    """Return the ConvGeometry of these sizes; the last six are triples."""
    return ConvGeometry(n, c, f, groups, *size, *kernel, *out, *stride, *rate, *pad)


def in_plane(g):
    """Tell whether the stride is 1 and the slices of the first axis stay apart."""
    return g.stride == (1, 1, 1) and (g.kd, g.pd, g.od) == (1, 0, g.d)


def by_channels(g):
    """Tell whether `stacked_taps` puts the taps with the channels; otherwise, at stride 1 only, with the filters."""
    return g.c <= g.f or g.stride != (1, 1, 1)


def mirrored(g):
    """Return the geometry of dx, for stride 1, as a convolution of dy with the mirrored filters."""
    pad = tuple(r * (k - 1) - p for r, k, p in zip(g.rate, g.kernel, g.pad, strict=True))
    return geometry(
        g.n, g.f, g.c, g.groups, size=g.out, kernel=g.kernel, out=g.size, stride=g.stride, rate=g.rate, pad=pad
    )


@public
def conv_geometry(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    *,
    rate: PerAxis = 1,
    stride: PerAxis = 1,
    padding: Padding = "same",
    groups: int = 1,
    owner: str = "conv_geometry",
) -> ConvGeometry:
    """Check shapes and options and return their geometry.

    Parameters
    ----------
    x_shape : tuple of int
        (N, C, *S), 1 to 3 spatial axes.
    w_shape : tuple of int
        (F, C/groups, *K).
    rate, stride : int or one int per axis
        Distance between taps, and between outputs, in input samples.
    padding : "same", "same_tf", "valid", int, ints or pairs (before, after)
        Zeros around the input, as for `atrous_conv`.
    groups : int
        Channel groups, each convolved separately.
    owner : str
        The function named in error messages.

    Returns
    -------
    ConvGeometry
        With three spatial axes; missing ones have length 1.

    Raises
    ------
    ShapeError
        Axes or channels do not fit, or the filter spans more than the padded input.
    ParameterError
        A rate, stride, padding or number of groups outside its range.
    """
    rank = len(x_shape) - 2
    if rank not in (1, 2, 3):
        raise ShapeError(
            f"{owner}: x must be (N, C, *S) with 1, 2 or 3 spatial axes, got shape {tuple(x_shape)}. "
            "For one grey image use x[None, None]."
        )
    if len(w_shape) == rank + 3:
        raise ShapeError(
            f"{owner}: x has no batch axis: it must be (N, C, *S) with {len(w_shape)} axes for w of shape "
            f"{tuple(w_shape)}, got shape {tuple(x_shape)}. For one image use x[None]."
        )
    if len(w_shape) != rank + 2:
        raise ShapeError(
            f"{owner}: w must be (F, C/groups, *K) with {rank + 2} axes like x, got shape {tuple(w_shape)}; "
            f"x is {tuple(x_shape)}."
        )
    n, c, *size = (_check.integer(owner, f"x_shape[{i}]", v, least=min(i, 1)) for i, v in enumerate(x_shape))
    f, c_group, *kernel = (_check.integer(owner, f"w_shape[{i}]", v, least=1) for i, v in enumerate(w_shape))
    groups = _check.integer(owner, "groups", groups, least=1)
    if c % groups or f % groups:
        raise ParameterError(f"{owner}: groups must divide the {c} channels of x and the {f} filters, got {groups}.")
    if c_group * groups != c:
        last = " Are the channels last? Use np.moveaxis(x, -1, 1)." if size[-1] == c_group * groups else ""
        raise ShapeError(
            f"{owner}: w has {c_group} channels in each of {groups} group(s), so x needs {c_group * groups}, but x "
            f"has {c}; x is {tuple(x_shape)}, w is {tuple(w_shape)}.{last}"
        )
    rate = _check.per_axis(owner, "rate", rate, rank, least=1)
    stride = _check.per_axis(owner, "stride", stride, rank, least=1)
    pads = resolve_padding(owner, padding, kernel, rate, stride, size)
    out, spans = [], []
    for axis, (length, k, r, s, pair) in enumerate(zip(size, kernel, rate, stride, pads, strict=True)):
        span, room = effective_kernel(k, r), length + sum(pair)
        if max(span, room) > _check.LIMIT:
            raise ShapeError(
                f"{owner}: spatial axis {axis} of length {length} needs {max(span, room)} samples with kernel {k}, "
                f"rate {r} and padding {pair}; sizes must stay below 2^31. Lower the rate."
            )
        if span > room:
            raise ShapeError(
                f"{owner}: the kernel spans {span} samples of spatial axis {axis} (kernel {k}, rate {r}), but the "
                f'padded input has {room}. Lower the rate or use padding="same".'
            )
        out.append((room - span) // s + 1)
        spans.append((out[-1] - 1) * s + span)
    _check.small_enough(owner, "the output of this rate, stride and padding,", (n, f, *out))
    _check.small_enough(owner, "the input with the zeros of this rate and padding,", (n, c, *spans))
    fill = (1,) * (3 - rank)
    return geometry(
        n, c, f, groups,
        size=(*fill, *size), kernel=(*fill, *kernel), out=(*fill, *out),
        stride=(*fill, *stride), rate=(*fill, *rate), pad=(*(0,) * (3 - rank), *(before for before, _ in pads)),
    )  # fmt: skip


@public
def output_size(
    size: int, kernel: int, *, rate: int = 1, stride: int = 1, padding: str | int | tuple[int, int] = "same"
) -> int:
    """Return the output length along one axis: ⌊(size + zeros − k_e) / stride⌋ + 1.

    Parameters
    ----------
    size, kernel : int
        Samples of the input and taps of the filter.
    rate, stride : int
        Distance between taps, and between outputs, in input samples.
    padding : "same", "same_tf", "valid", int or (before, after)
        Zeros around the input, as for `atrous_conv`.

    Returns
    -------
    int

    Examples
    --------
    >>> output_size(321, 3, stride=2), output_size(33, 3, rate=6, padding="valid")
    (161, 21)
    """
    size = _check.integer("output_size", "size", size, least=1)
    kernel = _check.integer("output_size", "kernel", kernel, least=1)
    pair = (tuple(padding),) if isinstance(padding, (tuple, list)) else padding
    return conv_geometry((1, 1, size), (1, 1, kernel), rate=rate, stride=stride, padding=pair, owner="output_size").ow


def lift(a):
    """View (A, B, *S) with 1 to 3 spatial axes as (A, B, D, H, W); missing axes have length 1."""
    return a.reshape(*a.shape[:2], *(1,) * (5 - a.ndim), *a.shape[2:])


def drop(a, rank):
    """Undo `lift`: view (A, B, D, H, W) with `rank` spatial axes."""
    return a.reshape(*a.shape[:2], *a.shape[5 - rank :])
