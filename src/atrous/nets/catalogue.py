"""Every network by name: its builder, how its tiny sibling differs, and how its authors prepare images.

Role: public functions.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous.aspp.forms import RATES
from atrous.errors import ParameterError
from atrous.nets.classifiers import dense_resnet, dense_vgg16
from atrous.nets.deeplab_mobile import (
    deeplab_v3_mobilenet_v2,
    deeplab_v3plus_mobilenet_v2,
    torchvision_lraspp,
    torchvision_v3_mobilenet_v3,
    vainf_v3_mobilenet,
    vainf_v3plus_mobilenet,
)
from atrous.nets.deeplab_v1 import deeplab_v1
from atrous.nets.deeplab_v2 import deeplab_v2_resnet, deeplab_v2_vgg
from atrous.nets.deeplab_v3 import deeplab_v3, torchvision_v3, vainf_v3
from atrous.nets.deeplab_v3plus import deeplab_v3plus_resnet, deeplab_v3plus_xception, vainf_v3plus
from atrous.nets.jfzhang import jfzhang_resnet, jfzhang_xception
from atrous.nets.mmseg import mmseg_v3, mmseg_v3plus
from atrous.nets.network import Network
from atrous.nets.smp import smp_v3, smp_v3plus


class Entry(NamedTuple):
    """One entry of the catalogue."""

    builder: Callable[..., Any]
    options: dict[str, Any]
    tiny: dict[str, Any]
    preprocessing: str
    fusion: str
    remainder: int = 1


SMALL_VGG = {"widths": (4, 6, 8, 12, 12), "width": 16}
SMALL_MSC = {**SMALL_VGG, "multi_scale_width": 6}
SMALL_RESNET = {"units": (3, 2, 2, 3), "width": 3}
SMALL_HEAD = {**SMALL_RESNET, "aspp_width": 8}
SMALL_DECODER = {**SMALL_HEAD, "low_width": 6}
SMALL_WIDTHS = {"multiplier": 1 / 16, "multiple": 1}
SMALL_MOBILE = {**SMALL_WIDTHS, "aspp_width": 8}
SMALL_XCEPTION = {"middle": 2, "divisor": 32, "aspp_width": 8, "low_width": 6}


def _v1(**options):
    small = SMALL_MSC if options.get("multi_scale") else SMALL_VGG
    return Entry(deeplab_v1, options, small, "caffe", "max", 1 if options.get("large", True) else 2)


def _v2(rates):
    return Entry(deeplab_v2_vgg, {"rates": rates}, SMALL_VGG, "caffe", "max")


def _v2_resnet(rates):
    return Entry(deeplab_v2_resnet, {"rates": rates}, SMALL_RESNET, "caffe", "max")


CATALOGUE = {
    "deeplabv1_4x4": _v1(fc6=(4, 4), width=4096, large=False),
    "deeplabv1_7x7": _v1(fc6=(7, 4), width=4096, large=False),
    "deeplabv1_largefov": _v1(),
    "deeplabv1_msc": _v1(fc6=(4, 4), width=4096, large=False, multi_scale=True),
    "deeplabv1_msc_largefov": _v1(multi_scale=True),
    "deeplabv2_vgg16_largefov": _v2((12,)),
    "deeplabv2_vgg16_aspp_s": _v2((2, 4, 8, 12)),
    "deeplabv2_vgg16_aspp_l": _v2((6, 12, 18, 24)),
    "deeplabv2_resnet101_largefov": _v2_resnet((12,)),
    "deeplabv2_resnet101_aspp": _v2_resnet((6, 12, 18, 24)),
    "deeplabv3_resnet50": Entry(deeplab_v3, {"depth": 50}, SMALL_HEAD, "slim", "mean"),
    "deeplabv3_resnet101": Entry(deeplab_v3, {"depth": 101}, SMALL_HEAD, "slim", "mean"),
    "torchvision_deeplabv3_resnet50": Entry(torchvision_v3, {"depth": 50}, SMALL_HEAD, "torchvision", "mean", 0),
    "torchvision_deeplabv3_resnet101": Entry(torchvision_v3, {"depth": 101}, SMALL_HEAD, "torchvision", "mean", 0),
    "deeplabv3plus_resnet101": Entry(deeplab_v3plus_resnet, {"depth": 101}, SMALL_DECODER, "slim", "mean"),
    "deeplabv3plus_xception65": Entry(deeplab_v3plus_xception, {}, SMALL_XCEPTION, "xception", "mean"),
    "vainf_deeplabv3plus_resnet50": Entry(vainf_v3plus, {"depth": 50}, SMALL_DECODER, "torchvision", "mean", 0),
    "vainf_deeplabv3plus_resnet101": Entry(vainf_v3plus, {"depth": 101}, SMALL_DECODER, "torchvision", "mean", 0),
    "vainf_deeplabv3_resnet50": Entry(vainf_v3, {"depth": 50}, SMALL_HEAD, "torchvision", "mean", 0),
    "vainf_deeplabv3_resnet101": Entry(vainf_v3, {"depth": 101}, SMALL_HEAD, "torchvision", "mean", 0),
    "deeplabv3_mobilenetv2": Entry(deeplab_v3_mobilenet_v2, {}, SMALL_MOBILE, "xception", "mean"),
    "deeplabv3plus_mobilenetv2": Entry(
        deeplab_v3plus_mobilenet_v2, {}, {**SMALL_MOBILE, "low_width": 6}, "xception", "mean"
    ),
    "torchvision_deeplabv3_mobilenet_v3_large": Entry(
        torchvision_v3_mobilenet_v3, {}, SMALL_MOBILE, "torchvision", "mean", 0
    ),
    "torchvision_lraspp_mobilenet_v3_large": Entry(
        torchvision_lraspp, {}, {**SMALL_WIDTHS, "head_width": 8}, "torchvision", "mean", 0
    ),
    "vainf_deeplabv3_mobilenet": Entry(vainf_v3_mobilenet, {}, SMALL_MOBILE, "torchvision", "mean", 0),
    "vainf_deeplabv3plus_mobilenet": Entry(
        vainf_v3plus_mobilenet, {}, {**SMALL_MOBILE, "low_width": 6}, "torchvision", "mean", 0
    ),
    **{
        f"smp_{name}_resnet{depth}": Entry(builder, {"depth": depth}, small, "torchvision", "mean", 16)
        for name, builder, small in (
            ("deeplabv3", smp_v3, SMALL_HEAD),
            ("deeplabv3plus", smp_v3plus, SMALL_DECODER),
        )
        for depth in (18, 34, 50, 101, 152)
    },
    **{
        f"mmseg_{name}_resnet{depth}": Entry(builder, {"depth": depth}, small, "torchvision", "mean", 0)
        for name, builder, small in (
            ("deeplabv3", mmseg_v3, {**SMALL_HEAD, "width": 4}),
            ("deeplabv3plus", mmseg_v3plus, {**SMALL_DECODER, "width": 4}),
        )
        for depth in (50, 101)
    },
    "jfzhang_deeplabv3plus_resnet101": Entry(jfzhang_resnet, {"depth": 101}, SMALL_DECODER, "torchvision", "mean"),
    "jfzhang_deeplabv3plus_xception": Entry(jfzhang_xception, {}, SMALL_XCEPTION, "torchvision", "mean"),
    "dense_vgg16": Entry(dense_vgg16, {}, SMALL_VGG, "torchvision", "mean", 0),
    "dense_resnet50": Entry(dense_resnet, {"depth": 50}, SMALL_RESNET, "torchvision", "mean", 0),
    "dense_resnet101": Entry(dense_resnet, {"depth": 101}, SMALL_RESNET, "torchvision", "mean", 0),
}


@public
def networks() -> list[str]:
    """Return the names that `build` knows: the networks of the papers, then their tiny siblings.

    Returns
    -------
    list of str
        A ``tiny_`` sibling comes from the same builder with fewer channels and units: about ten thousand parameters.

    Examples
    --------
    >>> [name for name in networks() if "v3plus" in name and not name.startswith("tiny")][:2]
    ['deeplabv3plus_resnet101', 'deeplabv3plus_xception65']
    """
    return [*CATALOGUE, *(f"tiny_{name}" for name in CATALOGUE)]


@cache
def takes(name):
    """Return {option: default} of a network by its name."""
    entry = CATALOGUE[name.removeprefix("tiny_")]
    parameters = inspect.signature(entry.builder).parameters
    return {key: entry.options.get(key, p.default) for key, p in parameters.items()}


# The options that are numbers from 1 on.
COUNTS = (
    "output_stride", "blocks", "width", "aspp_width", "low_width", "multi_scale_width", "head_width", "middle",
    "multiple", "kernel",
)  # fmt: skip


def _checked_option(name, value):
    """Return the checked value of an option, a sequence of numbers as a tuple of ints."""
    if name in COUNTS:
        return _check.integer("build", name, value, least=1)
    if name == "multiplier":
        return _check.number("build", name, value, above=0, below=1e3)
    if value is None or name not in {"rates", "fc6", "multi_grid", "units", "widths"}:
        return value
    if isinstance(value, str):
        return RATES[_check.one_of("build", name, value, tuple(RATES) if name == "rates" else ())]
    numbers = value if np.ndim(value) else (value,)
    found = tuple(_check.integer("build", f"{name}[{i}]", n, least=1) for i, n in enumerate(numbers))
    if name == "fc6" and len(found) != 2:
        raise ParameterError(f"build: fc6 must be (kernel, rate), got {value!r}.")
    if name == "rates" and len(set(found)) < len(found):
        raise ParameterError(f"build: rates must be different integers, got {value!r}.")
    if name in {"units", "widths"} and len(found) != {"units": 4, "widths": 5}[name]:
        raise ParameterError(f"build: {name} must be {4 if name == 'units' else 5} numbers, got {value!r}.")
    return found if np.ndim(value) or name == "rates" else found[0]


@public
def build(name: str, classes: int | None = None, **options: Any) -> Network:
    """Return a network by name.

    Parameters
    ----------
    name : str
        One of `networks()`.
    classes : int, optional
        Channels of the scores; by default 21 (PASCAL VOC), 1000 for the ``dense_…`` classifiers.
    **options
        What the paper varies; the error for an unknown option lists the options of the network.

        =======  ===================================================================================================
        v1       ``fc6`` as (kernel, rate)
        v2       ``rates``; on a ResNet also ``output_stride``, ``multi_scale``, ``align_corners``, ``frozen``
        v3       ``output_stride`` 4 to 32 (to 256 with more blocks), ``rates``, ``multi_grid``, ``image_pooling``,
                 ``blocks`` 4 to 7 and ``aspp=False`` (the cascade), ``convention`` "caffe", "torchvision" or "slim",
                 ``stem`` "7x7" or "3x3"; torchvision's and mmsegmentation's variants: ``auxiliary``
        v3+      those of v3, ``separable``; on Xception ``decoder``, ``middle``
        mobile   ``multiplier`` of all widths, rounded to a ``multiple`` (8); on MobileNetV2 ``rates=()`` for v3 without
                 atrous branches; on V3 ``reduced_tail``, and ``auxiliary`` with v3's head
        sizes    ``units``, ``width``, ``widths``, ``aspp_width``, ``low_width``, ``head_width``
        =======  ===================================================================================================

    Returns
    -------
    Network

    Raises
    ------
    ParameterError
        An unknown name or option, or one outside its range.

    Notes
    -----
    Nothing is allocated: the arrays come from `init` or `load`.

    Examples
    --------
    >>> build("torchvision_deeplabv3_resnet101").parameter_count
    60996202
    >>> build("deeplabv1_largefov")
    <deeplabv1_largefov: 20,505,429 parameters; classes=21>
    """
    small = str(name).startswith("tiny_")
    entry = CATALOGUE.get(str(name).removeprefix("tiny_"))
    if entry is None:
        near = difflib.get_close_matches(str(name).lower().replace("v3+", "v3plus"), networks(), 3, 0.7)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        listed = ", ".join(CATALOGUE)
        raise ParameterError(f"build: name must be one of {listed}, or one with the prefix tiny_; got {name!r}.{meant}")
    known = [option for option in inspect.signature(entry.builder).parameters if option != "depth"]
    if unknown := [option for option in options if option not in known]:
        raise ParameterError(
            f"build: {name} has no option {', '.join(map(repr, unknown))}; it takes {', '.join(known)}."
        )
    options = {key: _checked_option(key, value) for key, value in options.items()}
    if classes is None:
        classes = 1000 if "dense" in name else 21
    classes = _check.integer("build", "classes", classes, least=1)
    body = entry.builder(classes, **{**entry.options, **(entry.tiny if small else {}), **options})
    return Network(name, classes, body, entry.preprocessing, entry.fusion, entry.remainder, dict(options))
