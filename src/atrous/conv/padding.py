"""Padding: the zeros before and after each axis, from "same", "same_tf", "valid", numbers or pairs.

Role: geometry. The methods that copy x share the padded copy and its adjoint, the crop.
"""

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous.conv.effective_kernel import effective_kernel
from atrous.errors import ParameterError


@public
def same_padding(kernel: int, rate: int = 1) -> tuple[int, int]:
    """Return the zeros (before, after) that keep a stride-1 output as long as its input.

    k_e − 1 zeros in total. If that number is odd, the extra zero is at the end. With a stride s the output is the
    stride-1 result ``[::s]`` for any length of the input.

    Parameters
    ----------
    kernel : int
        Number of taps along one axis.
    rate : int, default 1
        Distance between neighbouring taps, in samples.

    Returns
    -------
    (int, int)
        Zeros before and after the samples.

    Examples
    --------
    >>> same_padding(3, rate=2), same_padding(4)
    ((2, 2), (1, 2))
    """
    total = effective_kernel(kernel, rate) - 1
    return total // 2, total - total // 2


def same_tf_padding(size: int, kernel: int, *, rate: int = 1, stride: int = 1) -> tuple[int, int]:
    """Return the zeros (before, after) of TensorFlow's SAME: just enough for ⌈size / stride⌉ outputs.

    max((⌈size / stride⌉ − 1)·stride + k_e − size, 0) zeros in total; if that number is odd, the extra zero is at the
    end. At stride 1 these are the zeros of `same_padding`. At a larger stride they depend on the size, and so do the
    samples that the outputs read.

    Parameters
    ----------
    size, kernel : int
        Samples of the input and taps of the filter.
    rate, stride : int
        Distance between taps, and between outputs, in input samples.

    Returns
    -------
    (int, int)
        Zeros before and after the samples.

    Examples
    --------
    >>> same_tf_padding(5, 3, stride=2), same_tf_padding(6, 3, stride=2)
    ((1, 1), (0, 1))
    """
    total = max((-(-size // stride) - 1) * stride + effective_kernel(kernel, rate) - size, 0)
    return total // 2, total - total // 2


def is_same_tf(padding):
    """Tell whether `padding` is TensorFlow's SAME, which depends on the size of the input."""
    return isinstance(padding, str) and padding == "same_tf"


def resolve_padding(owner, padding, kernel, rate, stride, size):
    """Return ((before, after), …), one pair per axis, from any accepted form of `padding`.

    kernel, rate, stride and size have one number per axis.
    """
    axes = len(kernel)
    if isinstance(padding, str):
        _check.one_of(owner, "padding", padding, ("same", "same_tf", "valid"))
        if padding == "valid":
            return ((0, 0),) * axes
        if is_same_tf(padding):
            per_axis = zip(size, kernel, rate, stride, strict=True)
            return tuple(same_tf_padding(n, k, rate=r, stride=s) for n, k, r, s in per_axis)
        return tuple(same_padding(k, r) for k, r in zip(kernel, rate, strict=True))
    try:
        depth = np.ndim(padding)
    except ValueError:
        depth = None
    if depth in (0, 1):
        return tuple((p, p) for p in _check.per_axis(owner, "padding", padding, axes, least=0))
    if depth != 2 or np.shape(padding) != (axes, 2):
        example = ", ".join(["(1, 1)"] * axes)
        raise ParameterError(
            f'{owner}: padding must be "same", "same_tf", "valid", one integer, {axes} integers, or {axes} pairs '
            f"(before, after) such as ({example}{',' if axes == 1 else ''}); got {padding!r}."
        )
    return tuple(
        tuple(_check.integer(owner, f"padding[{i}][{j}]", padding[i][j], least=0) for j in range(2))
        for i in range(axes)
    )


def padded(x, pad, span):
    """Return x (N, C, D, H, W) with `pad` zeros before it, cut or filled to length `span`; a view if no zero is needed.

    The batch axis is innermost in memory if it is in `x`.
    """
    if not any(pad) and all(n >= length for n, length in zip(x.shape[2:], span, strict=True)):
        return x[:, :, : span[0], : span[1], : span[2]]
    out = zeros(x.shape[0], x.shape[1], span, x.dtype, innermost=batch_last(x))
    own, inner = _overlap(x.shape[2:], pad, span)
    out[own] = x[inner]
    return out


def padded_adjoint(dx_padded, pad, size):
    """Return dx (N, C, *size), the adjoint of `padded`: gradients on the zeros are dropped."""
    n, c, *span = dx_padded.shape
    dx = zeros(n, c, size, dx_padded.dtype, innermost=batch_last(dx_padded))
    own, inner = _overlap(size, pad, span)
    dx[inner] = dx_padded[own]
    return dx


def _overlap(size, pad, span):
    """Return the slices of the padded copy and of the input that hold the same samples."""
    own, inner = [slice(None)] * 2, [slice(None)] * 2
    for n, before, length in zip(size, pad, span, strict=True):
        count = max(0, min(n, length - before))
        own.append(slice(before, before + count))
        inner.append(slice(0, count))
    return tuple(own), tuple(inner)


def batch_last(a):
    """Tell whether the batch axis of a (N, C, D, H, W) is innermost in memory, as `interlace` makes it."""
    return a.shape[0] > 1 and a.strides[0] < min(a.strides[1:])


def zeros(n, c, size, dtype, *, innermost=False):
    """Return zeros (N, C, D, H, W) with the batch axis first or innermost in memory."""
    if innermost:
        return np.zeros((c, *size, n), dtype).transpose(4, 0, 1, 2, 3)
    return np.zeros((n, c, *size), dtype)
