"""What every backward pass checks first: that the cache is its own, and that dy fits the output.

Role: checks, shared by the layers.
"""

from atrous import _check
from atrous.errors import ParameterError, ShapeError


def own(owner, cache, kind):
    """Return the cache if the forward pass of `owner` made it."""
    if not isinstance(cache, kind):
        forward = owner.replace("_backward", "_forward")
        raise ParameterError(f"{owner}: cache must come from {forward}, got {type(cache).__name__}.")
    return cache


def upstream(owner, dy, shape, like):
    """Return dy as an array of the output's shape and of the dtype of `like`."""
    dy = _check.float_array(owner, "dy", dy, like=like)
    if dy.shape != shape:
        raise ShapeError(f"{owner}: dy must have the shape of the output, {shape}, got {dy.shape}.")
    return dy
