"""The layers that are timed: a sweep over rates, over sizes, and the atrous layers of the DeepLab networks."""

from typing import NamedTuple

import numpy as np

PASSES = ("forward", "dx", "dw")


class ConvCase(NamedTuple):
    """One square atrous layer, "same" padding, stride 1."""

    c: int
    f: int
    size: int
    rate: int
    n: int = 1
    kernel: int = 3
    groups: int = 1
    dtype: str = "float32"

    @property
    def name(self):
        """Short description for tables."""
        batch = f"{self.n} x " if self.n > 1 else ""
        channels = f"depthwise {self.c}" if self.groups > 1 else f"{self.c}->{self.f}"
        return f"{batch}{channels}, {self.size}x{self.size}, rate {self.rate}"

    @property
    def geometry(self):
        """The case as a ConvGeometry."""
        from atrous.conv.geometry import conv_geometry

        x, w = self.shapes
        return conv_geometry(x, w, rate=self.rate, groups=self.groups)

    @property
    def shapes(self):
        """Shapes of x and w."""
        return (self.n, self.c, self.size, self.size), (self.f, self.c // self.groups, self.kernel, self.kernel)

    def arrays(self):
        """Return x, w and dy, the same on every machine."""
        rng = np.random.default_rng([self.n, self.c, self.f, self.size, self.rate])
        x, w = self.shapes
        return [rng.standard_normal(s, np.float32).astype(self.dtype) for s in (x, w, (self.n, self.f, *x[2:]))]


RATES = (1, 2, 4, 6, 12, 18, 24)
SWEEP = [ConvCase(256, 256, 65, rate) for rate in RATES]
SIZES = [ConvCase(256, 256, size, 6) for size in (17, 33)]
CHANNELS = [
    ConvCase(512, 1024, 41, 12),
    ConvCase(2048, 256, 33, 6),
    ConvCase(2048, 21, 41, 6),
    ConvCase(64, 64, 129, 2),
]
BATCH = [ConvCase(64, 64, 64, 4, n=8)]
LARGE = [ConvCase(512, 1024, 65, 12), ConvCase(2048, 256, 65, 12)]
SHORT = [*SWEEP, *SIZES, *CHANNELS, *BATCH]
ALL = [*SHORT, *LARGE]
