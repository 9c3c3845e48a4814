"""The receptive field of a chain of layers: how many input samples one output sees.

For each layer with effective kernel k_e, stride s and p zeros before the input, starting from R = J = 1 and S = 0:

    R ← R + (k_e − 1)·J        S ← S + ((k_e − 1)/2 − p)·J        J ← J·s

R is the size of the field. J is the distance between the centres of neighbouring outputs, S the centre of output 0,
both in input samples.

Role: geometry.

References
----------
DeepLab v1, arXiv:1412.7062, Table 2; DeepLab v2, arXiv:1606.00915, Table 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from atrous import _check
from atrous._check import told
from atrous._kinds import public
from atrous.conv.effective_kernel import effective_kernel
from atrous.conv.padding import same_padding
from atrous.errors import ParameterError


class Spatial(NamedTuple):
    """One layer of a chain along one axis: the window of a convolution or a pool, without what it computes.

    `padding` counts the zeros before the input; None means "same" padding for this kernel and rate.
    """

    kernel: int
    stride: int = 1
    rate: int = 1
    padding: int | None = None
    name: str = ""

    @property
    def pad(self):
        """Zeros before the input."""
        return same_padding(self.kernel, self.rate)[0] if self.padding is None else self.padding


class ReceptiveField(NamedTuple):
    """What one output of a chain sees of the input along one axis, in input samples; size inf is the whole image."""

    size: float = 1
    stride: int = 1
    centre: float = 0.0

    def after(self, layer: Spatial) -> ReceptiveField:
        """Return the field of the same chain with one more layer."""
        reach = effective_kernel(layer.kernel, layer.rate) - 1
        centre = self.centre + (reach / 2 - layer.pad) * self.stride
        return ReceptiveField(self.size + reach * self.stride, self.stride * layer.stride, centre)


@public
def receptive_field(layers: Iterable[Spatial | tuple[int, ...]]) -> ReceptiveField:
    """Return the receptive field of a chain of layers.

    Parameters
    ----------
    layers : iterable of Spatial, or of tuples (kernel, stride, rate, padding)
        Starting at the input; trailing fields may be left out.

    Returns
    -------
    ReceptiveField
        `size` R, `stride` J between neighbouring outputs, `centre` S of output 0; output i is centred on S + J·i.

    Examples
    --------
    >>> receptive_field([(3, 1, 1), (3, 1, 2), (3, 1, 4)])
    ReceptiveField(size=15, stride=1, centre=0.0)
    """
    field = ReceptiveField()
    for layer in layers:
        field = field.after(as_spatial("receptive_field", layer))
    return field


def as_spatial(owner: str, layer: Spatial | tuple[int, ...]) -> Spatial:
    """Return a checked Spatial from one, or from a tuple of its first fields."""
    try:
        layer = layer if isinstance(layer, Spatial) else Spatial(*layer)
    except TypeError:
        raise ParameterError(
            f"{owner}: layers must be Spatial or tuples (kernel, stride, rate, padding), got {told(layer)}."
        ) from None
    for name in ("kernel", "stride", "rate"):
        _check.integer(owner, f"layers: {name}", getattr(layer, name), least=1)
    if layer.padding is not None:
        _check.integer(owner, "layers: padding", layer.padding, least=0)
    return layer
