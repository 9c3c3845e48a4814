"""The output-stride planner: how a network trades strides for rates without changing any number.

Once the accumulated stride has reached the output stride, each further stride s is removed: that layer runs at stride
1, and all later layers, pools too, spread their taps s times wider. Every output that the original network computed is
still computed, with the same value; new ones appear between them. Filter banks call this the noble identity, wavelets
the algorithme à trous.

Role: geometry. Every network of `atrous.nets` whose output stride can be chosen is planned here.

References
----------
DeepLab v2, arXiv:1606.00915, Section 3.1; DeepLab v3, arXiv:1706.05587, Section 3.2. The rule is that of
``stack_blocks_dense`` in TensorFlow's DeepLab.
"""

from __future__ import annotations

from collections.abc import Iterable

from atrous import _check
from atrous._kinds import public
from atrous.conv.receptive_field import Spatial, as_spatial
from atrous.errors import ParameterError


@public
def plan_output_stride(layers: Iterable[Spatial | tuple[int, ...]], output_stride: int) -> list[Spatial]:
    """Remove the strides beyond `output_stride` and widen the rates after them.

    Parameters
    ----------
    layers : iterable of Spatial or tuples
        The chain as it was trained, with its strides.
    output_stride : int
        Ratio of input to output resolution; must be a product of the chain's first strides.

    Returns
    -------
    list of Spatial
        The same layers with new strides, rates and zeros. Sub-sampled by the removed stride, their output equals that
        of the original chain, borders included, if every layer with a stride has "same" padding.

    Raises
    ------
    ParameterError
        The strides of the chain never multiply to `output_stride`.

    Examples
    --------
    >>> [(l.stride, l.rate) for l in plan_output_stride([(3, 2), (3, 2), (3, 1)], 2)]
    [(2, 1), (1, 1), (1, 2)]
    """
    owner = "plan_output_stride"
    output_stride = _check.integer(owner, "output_stride", output_stride, least=1)
    accumulated, rate, planned = 1, 1, []
    for layer in (as_spatial("plan_output_stride", layer) for layer in layers):
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
        raise ParameterError(
            f"{owner}: the strides of layers multiply to {accumulated}, less than output_stride={output_stride}. "
            f"Choose {accumulated} or less."
        )
    return planned
