"""How projects name the arrays of their networks, so that each network can load the files that people have.

Role: names.
"""

from __future__ import annotations

from typing import NamedTuple

from atrous.compose.activation import Activation
from atrous.compose.chain import chain
from atrous.compose.leaves import BatchNorm, Conv


class Style(NamedTuple):
    """The endings that follow a layer's name in the names of its arrays."""

    w: str = "weight"
    b: str = "bias"
    gamma: str = "weight"
    beta: str = "bias"
    mean: str = "running_mean"
    var: str = "running_var"

    def conv(self, name, c, f, kernel=3, *, bias=False, **options):
        """Return the convolution called `name`."""
        return Conv(f"{name}.{self.w}", f"{name}.{self.b}" if bias else None, c, f, kernel, **options)

    def norm(self, name, c, **options):
        """Return the batch norm called `name`."""
        return BatchNorm(*(f"{name}.{end}" for end in (self.gamma, self.beta, self.mean, self.var)), c, **options)

    def conv_norm(
        self, conv, norm, c, f, kernel=1, *, activation="relu", eps=1e-5, momentum=0.1, frozen=False, **options
    ):
        """Return convolution, batch norm and an activation, or none if `activation` is None."""
        norm = self.norm(norm, f, eps=eps, momentum=momentum, frozen=frozen)
        return chain(self.conv(conv, c, f, kernel, **options), norm, activation and Activation(activation))


# PyTorch's style, for every network, and the style of `aspp_forward`.
TORCH = Style()
SHORT = Style("w", "b", "gamma", "beta", "mean", "var")
