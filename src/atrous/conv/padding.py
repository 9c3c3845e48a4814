"""Zeros around the input: "same", "valid", numbers or pairs become zeros before and after each axis.

Role: geometry. The padded copy and its adjoint, the crop, are shared by the methods that copy.
"""

import numpy as np

from atrous import _check
from atrous.errors import ParameterError


def effective_kernel(kernel: int, rate: int = 1) -> int:
    """Return k_e = rate·(kernel − 1) + 1, the span of a filter whose taps are `rate` apart.

    Parameters
    ----------
    kernel : int
        Number of taps along one axis.
    rate : int, default 1
        Distance between neighbouring taps, in samples.

    Returns
    -------
    int
        Distance from first to last tap, both counted.

    References
    ----------
    Chen et al., DeepLab v2, arXiv:1606.00915, Section 3.1: k_e = k + (k − 1)(r − 1).

    Examples
    --------
    >>> effective_kernel(3, rate=12)
    25
    """
    kernel = _check.integer("effective_kernel", "kernel", kernel, least=1)
    rate = _check.integer("effective_kernel", "rate", rate, least=1)
    return rate * (kernel - 1) + 1


def same_padding(kernel: int, rate: int = 1) -> tuple[int, int]:
    """Return the zeros (before, after) that keep a stride-1 output as long as its input.

    k_e − 1 zeros in all; where that is odd, the odd one stands at the end. With a stride s the output is the
    stride-1 result ``[::s]``, whatever the input's length.

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


def resolve_padding(owner, padding, kernel, rate):
    """Return ((before, after), …), one pair for each axis, from any accepted form of `padding`."""
    axes = len(kernel)
    if isinstance(padding, str):
        _check.one_of(owner, "padding", padding, ("same", "valid"))
        if padding == "valid":
            return ((0, 0),) * axes
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
            f'{owner}: padding must be "same", "valid", one integer, {axes} integers, or {axes} pairs '
            f"(before, after) such as ({example}{',' if axes == 1 else ''}); got {padding!r}."
        )
    return tuple(
        tuple(_check.integer(owner, f"padding[{i}][{j}]", padding[i][j], least=0) for j in range(2))
        for i in range(axes)
    )


def padded(x, pad, span):
    """Return x (N, C, D, H, W) behind `pad` zeros and cut or filled up to `span`; a view where no zero is needed.

    The batch lies innermost in memory where it does so in `x`.
    """
    if not any(pad) and all(n >= length for n, length in zip(x.shape[2:], span, strict=True)):
        return x[:, :, : span[0], : span[1], : span[2]]
    out = zeros(x.shape[0], x.shape[1], span, x.dtype, innermost=batch_last(x))
    own, inner = _overlap(x.shape[2:], pad, span)
    out[own] = x[inner]
    return out


def padded_adjoint(dx_padded, pad, size):
    """Return dx (N, C, *size), the adjoint of `padded`: gradients that fell on zeros are dropped."""
    n, c, *span = dx_padded.shape
    dx = zeros(n, c, size, dx_padded.dtype, innermost=batch_last(dx_padded))
    own, inner = _overlap(size, pad, span)
    dx[inner] = dx_padded[own]
    return dx


def _overlap(size, pad, span):
    """Return the slices of the padded copy and of the input that show the same samples."""
    own, inner = [slice(None)] * 2, [slice(None)] * 2
    for n, before, length in zip(size, pad, span, strict=True):
        count = max(0, min(n, length - before))
        own.append(slice(before, before + count))
        inner.append(slice(0, count))
    return tuple(own), tuple(inner)


def batch_last(a):
    """Tell whether a (N, C, D, H, W) lies in memory with its batch axis innermost, as `interlace` lays it."""
    return a.shape[0] > 1 and a.strides[0] < min(a.strides[1:])


def zeros(n, c, size, dtype, *, innermost=False):
    """Return zeros (N, C, D, H, W), in memory with the batch axis first or innermost."""
    if innermost:
        return np.zeros((c, *size, n), dtype).transpose(4, 0, 1, 2, 3)
    return np.zeros((n, c, *size), dtype)
