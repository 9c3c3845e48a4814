"""Filters whose packing or transform is paid once.

Fast methods lay the filters out anew before they multiply: `implicit_gemm` packs them in panels, `winograd` transforms
them. For one image of 65² and 256 filters that is a tenth of the time. `prepare_filter` returns an object that stands
wherever ``w`` does and keeps each layout once it has been made. Which layouts a filter needs depends on the method that
"auto" takes, and so on the size of the image; the first call with a size makes what it needs.

Role: public functions; `kept` is for the methods.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import FloatArray, Padding, PerAxis
from atrous.conv.effective_kernel import effective_kernel
from atrous.conv.geometry import conv_geometry, lift
from atrous.errors import ParameterError, ShapeError

DEFAULTS = {"rate": 1, "stride": 1, "padding": "same", "groups": 1, "method": "auto"}


class Filter:
    """The filters of a convolution with its options, and the layouts made of them so far.

    Attributes
    ----------
    w : ndarray of shape (F, C/groups, *K)
        The filters; do not change them.
    options : dict
        rate, stride, padding, groups and method.
    made : dict
        Layouts, by the names that the methods give them.
    """

    __slots__ = ("lifted", "made", "options", "w")

    def __init__(self, w: FloatArray, options: dict[str, Any]):
        self.w, self.options, self.made = w, options, {}
        self.lifted = lift(w)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the filters."""
        return self.w.shape

    @property
    def dtype(self) -> np.dtype:
        """Their dtype."""
        return self.w.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the filters and of the layouts made so far."""
        return self.w.nbytes + sum(array.nbytes for array in self.made.values())

    def __array__(self, dtype=None, copy=None):
        """Return the filters, for code that knows arrays only."""
        return np.array(self.w, dtype) if copy or self.w.dtype != (dtype or self.w.dtype) else self.w

    def __repr__(self) -> str:
        told = ", ".join(f"{key}={value!r}" for key, value in self.options.items() if value != DEFAULTS[key])
        return f"Filter({self.shape}, {self.dtype}{', ' if told else ''}{told})"


@public
def prepare_filter(
    w: FloatArray,
    *,
    rate: PerAxis = 1,
    stride: PerAxis = 1,
    padding: Padding = "same",
    groups: int = 1,
    method: str = "auto",
) -> Filter:
    """Return filters that many calls share, so that their packing or transform is paid once.

    Parameters
    ----------
    w : ndarray of shape (F, C/groups, *K)
        Filters, float32 or float64. They are referred to, not copied: do not change them afterwards.
    rate, stride, padding, groups, method
        As for `atrous_conv`, which then takes them from here.

    Returns
    -------
    Filter
        For ``w`` in `atrous_conv` and `conv_forward`.

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `atrous_conv`.

    Notes
    -----
    Extra memory: a copy of the filters with "implicit_gemm", up to four times their size with "winograd", and as much
    again for the gradient of the input.

    Examples
    --------
    >>> f = prepare_filter(np.ones((1, 1, 3)), rate=2)
    >>> atrous_conv(np.arange(7.0).reshape(1, 1, 7), f)
    array([[[ 2.,  4.,  6.,  9., 12.,  8., 10.]]])
    """
    owner = "prepare_filter"
    w = _check.float_array(owner, "w", w)
    if w.ndim not in (3, 4, 5):
        raise ShapeError(f"{owner}: w must be (F, C/groups, *K) with 1 to 3 axes of taps, got shape {w.shape}.")
    groups = _check.integer(owner, "groups", groups, least=1)
    rates = _check.per_axis(owner, "rate", rate, w.ndim - 2, least=1)
    smallest = (1, w.shape[1] * groups, *map(effective_kernel, w.shape[2:], rates))
    conv_geometry(smallest, w.shape, rate=rate, stride=stride, padding=padding, groups=groups, owner=owner)
    return Filter(w, {"rate": rate, "stride": stride, "padding": padding, "groups": groups, "method": method})


def options_of(owner: str, w: FloatArray | Filter, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a convolution: those of a Filter, which none given may contradict, or the given ones."""
    if not isinstance(w, Filter):
        return options
    for name, value in options.items():
        if value not in (DEFAULTS[name], w.options[name]):
            raise ParameterError(
                f"{owner}: the filter was prepared with {name}={w.options[name]!r}, got {name}={value!r}. Leave {name} "
                "out, or prepare another filter."
            )
    return w.options


def kept(w, key, make):
    """Return ``make(filters)``; of a Filter it is made once and kept under `key`."""
    if not isinstance(w, Filter):
        return make(w)
    if key not in w.made:
        w.made[key] = make(w.lifted)
    return w.made[key]
