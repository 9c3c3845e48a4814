"""The case table that every method passes: small on purpose, awkward on purpose."""

from typing import NamedTuple

import numpy as np

from atrous.conv.geometry import conv_geometry
from atrous.conv.methods import FITS


class Case(NamedTuple):
    """One convolution: shapes of x and w, and the options of atrous_conv."""

    name: str
    x: tuple
    w: tuple
    rate: object = 1
    stride: object = 1
    padding: object = "same"
    groups: int = 1

    @property
    def options(self):
        return {"rate": self.rate, "stride": self.stride, "padding": self.padding, "groups": self.groups}

    def draw(self, rng, dtype=np.float64, *, integers=False):
        """Return x, w and b of the case; small integers make every order of summation exact."""
        shapes = (self.x, self.w, (self.w[0],))
        if integers:
            return [rng.integers(-4, 5, shape).astype(dtype) for shape in shapes]
        return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


CASES = [
    Case("plain", (2, 3, 7, 6), (4, 3, 3, 3)),
    Case("rate2", (1, 2, 9, 8), (3, 2, 3, 3), 2),
    Case("rate_per_axis", (1, 2, 8, 11), (2, 2, 3, 3), (3, 2)),
    Case("stride2_rate4", (1, 2, 13, 11), (2, 2, 3, 3), 4, 2),
    Case("stride4_rate2", (1, 2, 13, 11), (2, 2, 3, 3), 2, 4),
    Case("stride4_rate6", (1, 1, 17, 14), (2, 1, 3, 3), 6, 4),
    Case("stride3_rate6", (1, 1, 16, 13), (2, 1, 3, 3), 6, 3),
    Case("stride6_rate4", (1, 1, 17, 15), (2, 1, 3, 3), 4, 6),
    Case("stride6_rate3", (1, 1, 15, 13), (2, 1, 2, 3), 3, 6),
    Case("stride5_rate3", (2, 1, 14, 11), (1, 1, 3, 3), 3, 5),
    Case("unequal_phases", (2, 2, 10, 7), (2, 2, 3, 3), 4),
    Case("one_sided", (1, 2, 8, 9), (2, 2, 3, 3), 2, 1, ((4, 0), (0, 3))),
    Case("one_sided_stride", (1, 1, 9, 12), (2, 1, 3, 2), (2, 3), (2, 3), ((0, 5), (3, 0))),
    Case("even_kernel", (1, 2, 9, 10), (2, 2, 4, 2), (2, 3)),
    Case("even_kernel_stride", (1, 2, 10, 10), (2, 2, 2, 4), (3, 2), 2),
    Case("valid", (1, 2, 11, 9), (2, 2, 3, 3), 3, 1, "valid"),
    Case("valid_one_output", (1, 1, 7, 5), (2, 1, 3, 3), (3, 2), 1, "valid"),
    Case("beyond_input", (1, 2, 5, 4), (2, 2, 3, 3), 9),
    Case("beyond_input_stride", (1, 1, 6, 5), (2, 1, 3, 3), 8, 3),
    Case("wide_padding", (1, 1, 3, 4), (1, 1, 2, 2), 2, 1, 5),
    Case("pointwise", (2, 3, 5, 4), (4, 3, 1, 1)),
    Case("pointwise_stride", (1, 3, 7, 6), (2, 3, 1, 1), 1, 2),
    Case("pointwise_groups", (2, 4, 3, 3), (6, 2, 1, 1), 1, 1, "same", 2),
    Case("pointwise_3d", (2, 3, 4, 5, 6), (4, 3, 1, 1, 1)),
    Case("groups", (2, 4, 7, 8), (6, 2, 3, 3), 2, 1, "same", 2),
    Case("depthwise", (1, 4, 8, 7), (4, 1, 3, 3), 2, 1, "same", 4),
    Case("depthwise_multiplier_stride", (2, 3, 9, 8), (6, 1, 3, 3), 2, 2, "same", 3),
    Case("batch", (5, 2, 4, 3), (3, 2, 3, 2), (1, 2)),
    Case("one_sample", (1, 1, 1, 1), (1, 1, 1, 1)),
    Case("same_tf", (1, 2, 6, 5), (2, 2, 3, 3), 1, 2, "same_tf"),
    Case("same_tf_rates", (2, 2, 13, 16), (2, 2, 3, 2), (2, 3), (3, 4), "same_tf"),
    Case("same_tf_depthwise", (1, 3, 9, 12), (6, 1, 4, 1), (1, 5), (4, 3), "same_tf", 3),
    Case("same_tf_1d", (1, 1, 13), (2, 1, 6), 1, 5, "same_tf"),
    Case("1d", (2, 3, 13), (4, 3, 3), 3),
    Case("1d_stride", (1, 2, 17), (2, 2, 5), 3, 2, ((4, 7),)),
    Case("3d", (1, 2, 5, 6, 7), (2, 2, 3, 2, 3), (2, 1, 2)),
    Case("3d_stride_groups", (1, 2, 6, 5, 7), (4, 1, 2, 3, 2), (2, 1, 3), (3, 2, 2), ((1, 0), (2, 2), (0, 3)), 2),
]
BY_NAME = {case.name: case for case in CASES}


def usable(method, case):
    """Tell whether a method can be used for a case: all but two can always."""
    fits = FITS.get(method.partition(":")[0])
    return fits is None or fits(conv_geometry(case.x, case.w, **case.options))


def usable_case(method, name):
    """Return the case of that name, or one like it that the method can be used for."""
    return next(case for case in (BY_NAME[name], BY_NAME["rate2"], BY_NAME["depthwise"]) if usable(method, case))


def random_case(rng, rank):
    """Draw a case within reach of the reference: every combination of option is possible."""
    pick = rng.integers
    groups = int(pick(1, 4))
    kernel = [int(pick(1, 5)) for _ in range(rank)]
    rate = [int(pick(1, 7)) for _ in range(rank)]
    pads, size = [], []
    for k, r in zip(kernel, rate, strict=True):
        pads.append((int(pick(0, 6)), int(pick(0, 6))))
        size.append(max(1, r * (k - 1) + 1 - sum(pads[-1])) + int(pick(0, (9, 7, 4)[rank - 1])))
    per_group = int(pick(1, 3))
    x = (int(pick(1, 4)), groups * per_group, *size)
    w = (groups * int(pick(1, 3)), per_group, *kernel)
    return Case("random", x, w, tuple(rate), tuple(int(pick(1, 5)) for _ in range(rank)), tuple(pads), groups)


# What may follow a convolution in the same pass, in plain NumPy.
ACTIVATIONS = {
    None: lambda v: v,
    "relu": lambda v: np.maximum(v, 0),
    "relu6": lambda v: np.minimum(np.maximum(v, 0), 6),
    "hard_swish": lambda v: v * np.clip((v + 3) / 6, 0, 1),
}
