"""The layout of a ResNet: its main path as a chain of layers, in three conventions for where a stage has its stride.

    caffe         on the first 1×1 of the first unit       (MSRA; DeepLab v2)
    torchvision   on the 3×3 of the first unit             (ResNet v1.5)
    slim          on the 3×3 of the last unit              (TensorFlow; DeepLab v3 and v3+)

The three are different networks. The planner (`conv.output_stride`) gives each of them any output stride.

Role: geometry.

References
----------
DeepLab v3, arXiv:1706.05587, Section 3.2 (cascaded blocks).
"""

from __future__ import annotations

from collections.abc import Sequence

from atrous import _check
from atrous._kinds import public
from atrous.conv.receptive_field import Spatial
from atrous.errors import ParameterError
from atrous.nets.multi_grid import multi_grid_rates

# The convolutions of a unit: of ResNet-50 and deeper ones, of ResNet-18 and -34.
BOTTLENECK, BASIC = (1, 3, 1), (3, 3)
# For each convention the unit that has the stride of its stage, and which of the unit's three convolutions.
CONVENTIONS = {"caffe": ("first", 0), "torchvision": ("first", 1), "slim": ("last", 1)}


@public
def resnet_chain(
    units: Sequence[int] = (3, 4, 23, 3),
    *,
    convention: str = "torchvision",
    multi_grid: int | Sequence[int] = 1,
    kernels: Sequence[int] = BOTTLENECK,
    owner: str = "resnet_chain",
) -> list[Spatial]:
    """Return the main path of a ResNet as a chain of layers, before any stride is traded for a rate.

    Parameters
    ----------
    units : sequence of int
        Bottleneck units of each stage; (3, 4, 6, 3) is ResNet-50, (3, 4, 23, 3) ResNet-101. Stages after the fourth
        repeat it (a cascade).
    convention : {"caffe", "torchvision", "slim"}
        Where a stage has its stride: on the first 1×1 of its first unit, on the 3×3 of its first unit, or on the 3×3 of
        its last unit (slim: in all stages except the last).
    multi_grid : int or one int per unit
        Rates of the units of block 4 and of the blocks after it, multiplied by the rate of the block.
    kernels : sequence of int, default (1, 3, 1)
        The convolutions of a unit; (3, 3) is the basic unit of ResNet-18 and -34, whose stride is on its first 3×3.
    owner : str
        The function named in error messages.

    Returns
    -------
    list of Spatial
        Named conv1, pool1, then ``stage.unit.layer``; with four stages the strides multiply to 32.

    Raises
    ------
    ParameterError
        Fewer than two stages, an unknown convention, or the wrong number of multi-grid rates.
    """
    units = tuple(_check.integer(owner, f"units[{i}]", n, least=1) for i, n in enumerate(units))
    if len(units) < 2 or sum(units) > 1000:
        raise ParameterError(
            f"{owner}: units must list the units of at least two stages, 1000 in all at most, got {units}."
        )
    which, place = CONVENTIONS[_check.one_of(owner, "convention", convention, tuple(CONVENTIONS))]
    if tuple(kernels) not in ((1, 3, 1), (3, 3)):
        raise ParameterError(f"{owner}: kernels must be (1, 3, 1) or (3, 3), got {tuple(kernels)!r}.")
    place = min(place, tuple(kernels).index(3))
    chain = [Spatial(7, 2, name="conv1"), Spatial(3, 2, name="pool1")]
    for stage, rates in enumerate(multi_grid_rates(owner, multi_grid, units), start=1):
        strided = stage > 1 if which == "first" else stage < len(units)
        for unit, rate in enumerate(rates, start=1):
            here = strided and unit == (1 if which == "first" else len(rates))
            for i, kernel in enumerate(kernels):
                stride = 2 if here and i == place else 1
                chain.append(Spatial(kernel, stride, rate if kernel == 3 else 1, name=f"{stage}.{unit}.{i + 1}"))
    return chain
