"""The methods of convolution by name, and which one ``method="auto"`` takes.

Each method is a module with the same three functions on the same geometry:

method       idea                                                       extra memory
reference    the definition: slide a sparse window                      a padded copy
upsampled    write the holes as zeros; r² times the work                wider columns than im2col
im2col       sparse samples as columns, one matrix product              a padded copy, at most 64 MiB of columns
interlace    r² phases, dense convolution, interlace                    the phases and their outputs
shift        one matrix product per tap, shifted into place             a cropped copy, the product of one tap
direct       compiled loops that own their output                       none
cuda         the same loops on a GPU, one thread per output             copies on the GPU

"interlace:direct" names interlace's inner convolution. NaN reaches only the outputs that read it, except in upsampled
and in the weight gradients of interlace and shift.

Role: choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import NamedTuple

import numpy as np

from atrous._types import FloatArray
from atrous.conv.shift import reached
from atrous.errors import ParameterError
from atrous.jit import gpu

METHODS = ("reference", "upsampled", "im2col", "interlace", "shift", "direct", "cuda")


class Method(NamedTuple):
    """The three functions of a method, from arrays (N, C, D, H, W) and a ConvGeometry to an array."""

    forward: Callable[..., FloatArray]
    backward_input: Callable[..., FloatArray]
    backward_weight: Callable[..., FloatArray]


def available_methods():
    """Return the names of the methods that can be used on this machine."""
    return METHODS if gpu.why_not() is None else METHODS[:-1]


def choose_method(g):
    """Return the method that ``method="auto"`` takes, which depends on the geometry alone.

    ``direct`` if every group has a single input channel (depthwise: there is no sum over channels for BLAS to speed
    up). ``shift`` if there are at least 128 channels, the stride is 1, and either a tenth or more of the taps are on
    zeros or the columns of im2col would be larger than the output by far (C ≥ 4 F). Otherwise ``im2col``.
    """
    if g.c == g.groups and g.c > 1:
        return "direct"
    if g.groups == 1 and g.c >= 128 and g.stride == (1, 1, 1) and g.kernel != (1, 1, 1):
        read = math.prod(
            sum(o.stop - o.start for _, o, _ in reached(g, axis)) / (g.kernel[axis] * g.out[axis]) for axis in range(3)
        )
        if read <= 0.9 or g.c >= 4 * g.f:
            return "shift"
    return "im2col"


def method_named(owner, name, g):
    """Return the Method of that name; "interlace:direct" is interlace with direct as the inner convolution."""
    name = choose_method(g) if name == "auto" else name
    outer, colon, inner = str(name).partition(":")
    if outer not in METHODS or (colon and (outer != "interlace" or inner not in METHODS or inner == "interlace")):
        listed = ", ".join(repr(m) for m in ("auto", *METHODS))
        raise ParameterError(
            f"{owner}: method must be one of {listed}, or 'interlace:' and one of the others; got {name!r}."
        )
    if "cuda" in (outer, inner):
        gpu.require(owner)
    module = import_module(f"atrous.conv.{outer}")
    maps = [module.forward, module.backward_input, module.backward_weight]
    if inner:
        maps = [partial(a_map, inner=import_module(f"atrous.conv.{inner}")) for a_map in maps]
    return Method(*map(_quiet, maps))


def _quiet(a_map):
    """Silence NumPy's warnings about NaN, inf and overflow: BLAS can cause them in lanes that are never used."""

    def run(*arguments):
        with np.errstate(invalid="ignore", over="ignore"):
            return a_map(*arguments)

    return run
