"""Chains of layers: how far an output sees, and how a stride is traded for a rate without changing a number.

Receptive field: for each layer with kernel span k_e, stride s and p zeros before, starting from R = J = 1, S = 0,

    R ← R + (k_e − 1)·J        S ← S + ((k_e − 1)/2 − p)·J        J ← J·s

R is the field's size, J the distance between neighbouring outputs in input samples, S the centre of output 0.

Output stride: once the accumulated stride has reached the wanted one, every further stride s is removed (the layer runs
at stride 1) and all later layers, pooling too, spread their taps s times wider. Each kept output is the same number
as before; there are just more of them. (The noble identity of filter banks; "à trous" in wavelets.)

Role: geometry.

References
----------
DeepLab v2, arXiv:1606.00915, Section 3.1; DeepLab v3, arXiv:1706.05587, Section 3.2; the planner is the rule of
TensorFlow's DeepLab, ``stack_blocks_dense``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from atrous import _check
from atrous.conv.padding import effective_kernel, same_padding
from atrous.errors import ParameterError


class Spatial(NamedTuple):
    """One layer of a chain along one axis, a convolution or a pooling: what its window does, not what it computes.

    `padding` counts the zeros before the input; None means the "same" padding of kernel and rate.
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
    """What one output of a chain sees of the input, along one axis, in input samples."""

    size: int
    stride: int
    centre: float


def receptive_field(layers: Iterable[Spatial | tuple[int, ...]]) -> ReceptiveField:
    """Return the receptive field of a chain of layers.

    Parameters
    ----------
    layers : iterable of Spatial, or of tuples (kernel, stride, rate, padding)
        From the input on; trailing fields may be left out.

    Returns
    -------
    ReceptiveField
        `size` R, `stride` J between neighbouring outputs, `centre` S of output 0; output i is centred on S + J·i.

    Examples
    --------
    >>> receptive_field([(3, 1, 1), (3, 1, 2), (3, 1, 4)])
    ReceptiveField(size=15, stride=1, centre=0.0)
    """
    size, jump, centre = 1, 1, 0.0
    for layer in map(_spatial, layers):
        reach = effective_kernel(layer.kernel, layer.rate) - 1
        size += reach * jump
        centre += (reach / 2 - layer.pad) * jump
        jump *= layer.stride
    return ReceptiveField(size, jump, centre)


def plan_output_stride(layers: Iterable[Spatial | tuple[int, ...]], output_stride: int) -> list[Spatial]:
    """Remove strides beyond `output_stride` and widen the rates behind them.

    Parameters
    ----------
    layers : iterable of Spatial or tuples
        The chain as it was trained, strides in place.
    output_stride : int
        Wanted ratio of input to output resolution; a product of the chain's first strides.

    Returns
    -------
    list of Spatial
        The same layers with new strides, rates and zeros. Sub-sampled by the removed stride, their output equals the
        original chain's, borders included, when every strided layer has "same" padding.

    Raises
    ------
    ParameterError
        The chain's strides never multiply to `output_stride`.

    Examples
    --------
    >>> [(l.stride, l.rate) for l in plan_output_stride([(3, 2), (3, 2), (3, 1)], 2)]
    [(2, 1), (1, 1), (1, 2)]
    """
    owner = "plan_output_stride"
    output_stride = _check.integer(owner, "output_stride", output_stride, least=1)
    accumulated, rate, planned = 1, 1, []
    for layer in map(_spatial, layers):
        if layer.stride > 1 and accumulated < output_stride:
            if output_stride % (accumulated * layer.stride):
                raise ParameterError(
                    f"{owner}: the strides multiply to {accumulated}, then {accumulated * layer.stride}, and miss "
                    f"output_stride={output_stride}. Choose one of the products."
                )
            planned.append(layer)
            accumulated *= layer.stride
            continue
        pad = None if layer.padding is None and layer.kernel % 2 else layer.pad * rate
        planned.append(layer._replace(stride=1, rate=layer.rate * rate, padding=pad))
        rate *= layer.stride
    if accumulated != output_stride:
        raise ParameterError(f"{owner}: the strides multiply to {accumulated} only; output_stride={output_stride}.")
    return planned


# Where a stage of a ResNet keeps its stride: which unit of it, and which of the unit's three convolutions.
STRIDE_PLACES = {"caffe": ("first", 0), "torchvision": ("first", 1), "slim": ("last", 1)}


def resnet_chain(
    units: Sequence[int] = (3, 4, 23, 3),
    *,
    convention: str = "torchvision",
    multi_grid: int | Sequence[int] = 1,
) -> list[Spatial]:
    """Return the main path of a ResNet as a chain of layers, before any stride is traded for a rate.

    Parameters
    ----------
    units : sequence of int
        Bottleneck units of each stage; (3, 4, 6, 3) is ResNet-50, (3, 4, 23, 3) ResNet-101; more stages cascade.
    convention : {"caffe", "torchvision", "slim"}
        Where a stage's stride sits: on the first 1×1 of its first unit, on the 3×3 of its first unit, or on the 3×3 of
        its last unit (slim: stages 1 to 3, and none in stage 4). The three are different networks.
    multi_grid : int or one int per unit
        Rates of the last stage's units, multiplied with the stage's own (DeepLab v3, Section 3.2.1).

    Returns
    -------
    list of Spatial
        Named conv1, pool1, then ``stage.unit.layer``; the total stride is 32.
    """
    owner = "resnet_chain"
    units = tuple(_check.integer(owner, f"units[{i}]", n, least=1) for i, n in enumerate(units))
    if len(units) < 2:
        raise ParameterError(f"{owner}: units must name the units of at least two stages, got {units}.")
    _check.one_of(owner, "convention", convention, tuple(STRIDE_PLACES))
    multi_grid = (multi_grid,) * units[-1] if isinstance(multi_grid, int) else multi_grid
    multi_grid = tuple(_check.integer(owner, f"multi_grid[{i}]", r, least=1) for i, r in enumerate(multi_grid))
    if len(multi_grid) != units[-1]:
        raise ParameterError(
            f"{owner}: multi_grid needs one rate for each of the {units[-1]} units of the last stage, got {multi_grid}."
        )
    which, place = STRIDE_PLACES[convention]
    chain = [Spatial(7, 2, name="conv1"), Spatial(3, 2, name="pool1")]
    for stage, count in enumerate(units, start=1):
        strided = stage < len(units) if convention == "slim" else stage > 1
        for unit in range(1, count + 1):
            here = strided and unit == (1 if which == "first" else count)
            rate = multi_grid[unit - 1] if stage == len(units) else 1
            for i, kernel in enumerate((1, 3, 1)):
                stride = 2 if here and i == place else 1
                chain.append(Spatial(kernel, stride, rate if kernel == 3 else 1, name=f"{stage}.{unit}.{i + 1}"))
    return chain


def _spatial(layer):
    try:
        layer = layer if isinstance(layer, Spatial) else Spatial(*layer)
    except TypeError:
        raise ParameterError(
            f"chain: a layer must be a Spatial or a tuple (kernel, stride, rate, padding), got {layer!r}."
        ) from None
    for name in ("kernel", "stride", "rate"):
        _check.integer("chain", name, getattr(layer, name), least=1)
    if layer.padding is not None:
        _check.integer("chain", "padding", layer.padding, least=0)
    return layer
