"""The methods of convolution by name, and which one ``method="auto"`` takes.

Each method is a module with the same three functions on the same geometry:

method          idea                                                       extra memory
reference       the definition: slide a sparse window                      a padded copy
upsampled       write the holes as zeros; r² times the work                wider columns than im2col
im2col          sparse samples as columns, one matrix product              a padded copy, at most 64 MiB of columns
interlace       r² phases, dense convolution, interlace                    the phases and their outputs
shift           one matrix product per tap, shifted into place             a cropped copy, the product of one tap
direct          compiled loops that own their output                       none
implicit_gemm   the product of im2col without its columns                  x with channels last, packed filters
stacked_taps    the taps of few channels or few filters as channels        columns for the smaller of x and y
winograd        fewer products, on tiles of one phase                      as implicit_gemm, a block of tiles
depthwise       one channel for each filter, a line at a time              a padded plane per thread
cuda            the same loops as direct on a GPU, one thread per output   copies on the GPU

"interlace:direct" names interlace's inner convolution, "winograd:2" the size of Winograd's tiles. NaN reaches only the
outputs that read it, except in upsampled, in winograd (whole tiles) and in the weight gradients of interlace and shift.

Role: choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import NamedTuple

import numpy as np

from atrous._types import FloatArray
from atrous.conv import cost_model, winograd_tiles
from atrous.conv.geometry import in_plane
from atrous.errors import ParameterError
from atrous.jit import gpu

METHODS = (
    *("reference", "upsampled", "im2col", "interlace", "shift", "direct"),
    *("implicit_gemm", "stacked_taps", "winograd", "depthwise", "cuda"),
)
# Weights that fit into the registers beside the sums of `depthwise`, or nearly so.
TAPS = 25


# What a method needs, as a test of the geometry and in words.
FITS = {
    "stacked_taps": lambda g: g.groups == 1,
    "winograd": winograd_tiles.fits,
    "depthwise": lambda g: g.c == g.groups and in_plane(g) and g.kh * g.kw <= TAPS,
}
NEEDS = {
    "stacked_taps": "one group",
    "winograd": "3 × 3 taps in the plane and stride 1",
    "depthwise": f"one channel for each group, stride 1 and at most {TAPS} taps in the plane",
}
PREPARES = ("implicit_gemm", "stacked_taps", "winograd")
# Fewer multiply-adds are not worth a thread. If the columns also have fewer rows, taps times channels, than this, NumPy
# does them at once, and nothing needs to be compiled first.
SMALL = 1 << 22
DEEP = {"forward": 200, "dw": 50}
# OpenBLAS multiplies on one thread up to so many multiply-adds; beyond, its threads would wait against ours.
ONE_THREAD = 1 << 18


def compiles():
    """Tell whether Numba is installed. It is imported only when it may be needed, because it is slow to import."""
    from atrous.jit.numba_or_not import numba

    return numba is not None


class Method(NamedTuple):
    """The three functions of a method, from arrays (N, C, D, H, W) and a ConvGeometry to an array."""

    forward: Callable[..., FloatArray]
    backward_input: Callable[..., FloatArray]
    backward_weight: Callable[..., FloatArray]
    prepares: bool
    """Whether they keep layouts in a Filter, and whether `forward` takes an Epilogue and where to write."""


EMPTY_BATCH = Method(
    lambda x, w, g: np.zeros((0, g.f, *g.out), x.dtype),
    lambda dy, w, g: np.zeros((0, g.c, *g.size), dy.dtype),
    lambda dy, x, g: np.zeros((g.f, g.c // g.groups, *g.kernel), dy.dtype),
    prepares=False,
)
"""Every method of a batch without samples: empty maps, and a gradient of filters that is a sum of nothing."""


def available_methods(g=None):
    """Return the names of the methods that can be used on this machine, with g only those that fit this geometry."""
    here = METHODS if gpu.why_not() is None else METHODS[:-1]
    return here if g is None else tuple(name for name in here if name not in FITS or FITS[name](g))


@lru_cache
def choose_method(g, dtype="float32", which="forward", *, ours=False):
    """Return the method that ``method="auto"`` takes; which is "forward", for y and dx, or "dw".

    ``depthwise``, or ``direct`` with other strides and for small inputs, if every group has a single input channel.
    ``im2col`` if there is little to do, or ``implicit_gemm`` if that has many channels. Otherwise that of the least
    cost by `cost_model`: ``winograd`` in float32 only, since float64 is for checks, in which a zero must stay exactly
    zero. Without Numba always ``im2col``. With `ours`, as in a network, where work without BLAS comes next, only
    methods that do without it.
    """
    found = _choose(g, dtype, which, ours)
    return found if found == "im2col" or compiles() else "im2col"


def _choose(g, dtype, which, ours):
    if g.c == g.groups and g.c > 1:
        return "depthwise" if FITS["depthwise"](g) and g.macs >= SMALL else "direct"
    if g.macs < SMALL:
        deep = g.kernel != (1, 1, 1) and g.c // g.groups * math.prod(g.kernel) >= DEEP[which]
        return "implicit_gemm" if deep or (ours and g.macs >= ONE_THREAD) else "im2col"
    return cost_model.choose(g, which, cost_model.candidates(g, exact=dtype != "float32", ours=ours))


def method_named(owner, name, g, dtype, *, ours=False):
    """Return the Method of that name; "interlace:direct" is interlace with direct as the inner convolution."""
    if name in ("cuda", "interlace:cuda"):
        gpu.require(owner)
    if not g.n:
        _method(owner, "reference" if name in ("auto", "exact") else name, g)
        return EMPTY_BATCH
    return _found(owner, name, g, np.dtype(dtype), ours) if isinstance(name, str) else _method(owner, name, g)


@lru_cache(maxsize=4096)
def _found(owner, name, g, dtype, ours):
    if name in ("auto", "exact"):
        dtype = "float64" if name == "exact" else dtype.name
        ys, dws = (_method(owner, choose_method(g, dtype, which, ours=ours), g) for which in ("forward", "dw"))
        return ys._replace(backward_weight=dws.backward_weight)
    return _method(owner, name, g)


def _method(owner, name, g):
    outer, colon, inner = str(name).partition(":")
    inners = {
        "interlace": [m for m in METHODS if m != "interlace"],
        "winograd": [str(m) for m in winograd_tiles.OUTPUTS],
    }
    if outer not in METHODS or (colon and inner not in inners.get(outer, ())):
        listed = ", ".join(repr(m) for m in ("auto", "exact", *METHODS))
        raise ParameterError(
            f"{owner}: method must be one of {listed}, 'interlace:' and one of the others, or 'winograd:' and 2, 3 or "
            f"4; got {name!r}."
        )
    modules = [import_module(f"atrous.conv.{m}") for m in (outer, inner) if m in METHODS]
    for method in (outer, inner):
        if method in FITS and not FITS[method](g):
            raise ParameterError(
                f"{owner}: method {method!r} needs {NEEDS[method]}, got {g.kernel[0]} × {g.kernel[1]} × {g.kernel[2]} "
                f'taps, stride {g.stride} and {g.c // g.groups} channels in each of {g.groups} groups. Use "auto".'
            )
    option = {}
    if inner:
        option = {"inner": modules[1]} if outer == "interlace" else {"outputs": int(inner)}
    maps = (_quiet(modules[0], name, option) for name in ("forward", "backward_input", "backward_weight"))
    return Method(*maps, outer in PREPARES)


def _quiet(module, name, option):
    """Silence NumPy's warnings about NaN, inf and overflow: BLAS can cause them in lanes that are never used."""

    def run(*arguments):
        with np.errstate(invalid="ignore", over="ignore"):
            return getattr(module, name)(*arguments, **option)

    return run
