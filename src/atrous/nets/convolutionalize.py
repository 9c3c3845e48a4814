"""A fully connected layer as a convolution, where DeepLab begins, and fc6 made smaller.

A fully connected layer on a k×k map is a k×k convolution evaluated at a single position. As a convolution it runs on
images of any size. fc6 of VGG-16 is large, so DeepLab keeps every second or third of its 7×7 taps and a quarter of
its filters.

Role: conversion of weights.

References
----------
Chen et al., DeepLab v1, arXiv:1412.7062, Section 3.1; v2, arXiv:1606.00915, Section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from atrous import _check
from atrous._check import told
from atrous._kinds import public
from atrous._types import FloatArray
from atrous.errors import ParameterError, ShapeError


@public
def convolutionalize(params: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Turn the fully connected layers of a classifier into convolutions.

    Parameters
    ----------
    params : dict of ndarray
        A classifier's weights in the order of its layers: convolutions (F, C, K, K), fully connected layers (F, D) on
        the flattened map before them. Other arrays are left alone. Caffe's old blobs (1, 1, F, D) become matrices.

    Returns
    -------
    dict of ndarray
        The same names. A layer (F, C·k²) after C channels becomes (F, C, k, k): VGG-16's fc6 (4096, 25088) becomes
        (4096, 512, 7, 7), fc7 (4096, 4096, 1, 1). Views where possible.

    Raises
    ------
    ShapeError
        The inputs of a layer are not channels times a square.

    Examples
    --------
    >>> found = convolutionalize({"conv.weight": np.ones((2, 3, 3, 3)), "fc.weight": np.ones((5, 18))})
    >>> found["fc.weight"].shape
    (5, 2, 3, 3)
    """
    found, channels = {}, None
    for name, array in params.items():
        array = np.asarray(array)  # noqa: PLW2901
        if array.ndim == 4 and array.shape[:2] == (1, 1) and channels not in {None, 1}:
            # Caffe's old files give every array four axes: biases (1, 1, 1, F), matrices (1, 1, F, D).
            array = array.reshape(-1) if array.shape[2] == 1 else array[0, 0]  # noqa: PLW2901
        if array.ndim == 2:
            f, inputs = array.shape
            channels = channels or inputs
            side = math.isqrt(inputs // channels) if inputs % channels == 0 else 0
            if side**2 * channels != inputs:
                raise ShapeError(
                    f"convolutionalize: {name} has {inputs} inputs, which are not a square map of the {channels} "
                    "channels before it. Are the layers in order?"
                )
            array = array.reshape(f, channels, side, side)  # noqa: PLW2901
        if array.ndim == 4:
            channels = array.shape[0]
        found[name] = array
    return found


def _chosen(owner, name, value, count):
    """Return indices below `count`."""
    found = np.asarray(value)
    if found.ndim != 1 or found.dtype.kind not in "iu" or found.size == 0 or found.min() < 0 or found.max() >= count:
        raise ParameterError(f"{owner}: {name} must be indices below {count}, got {told(value)}.")
    return found


@public
def decimate_kernel(
    w: FloatArray,
    kernel: int,
    *,
    filters: int | np.ndarray | None = None,
    channels: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
) -> tuple[FloatArray, np.ndarray]:
    """Keep evenly spaced taps of each filter, and some of the filters.

    Parameters
    ----------
    w : ndarray of shape (F, C, K, K)
        Filters, for example VGG's fc6 as a convolution.
    kernel : int
        Taps to keep along each axis, the outermost included, so K − 1 must be a multiple of kernel − 1. 7 → 4 keeps
        every second tap, 7 → 3 every third; at two or three times the rate they span the same samples as before.
    filters : int or array of int, optional
        How many filters to keep (`rng` draws them), or which ones; all by default.
    channels : array of int, optional
        Input channels to keep: the filters kept in the layer before.
    rng : Generator, optional
        Draws the filters if `filters` is a number.

    Returns
    -------
    w : ndarray of shape (filters, channels, kernel, kernel)
        A copy.
    kept : ndarray of int
        The filters that were kept, in order: `channels` of the next layer, and which entries of the bias to keep.

    Raises
    ------
    ShapeError, ParameterError
        Taps that cannot be spaced evenly, more filters than there are, or a number of filters without `rng`.

    Examples
    --------
    >>> w, kept = decimate_kernel(np.arange(49.0).reshape(1, 1, 7, 7), 3)
    >>> w[0, 0]
    array([[ 0.,  3.,  6.],
           [21., 24., 27.],
           [42., 45., 48.]])
    """
    owner = "decimate_kernel"
    w = _check.float_array(owner, "w", w)
    if w.ndim != 4 or w.shape[2] != w.shape[3]:
        raise ShapeError(f"{owner}: w must be (F, C, K, K), got {w.shape}. For a matrix use convolutionalize first.")
    kernel = _check.integer(owner, "kernel", kernel, least=1)
    k = w.shape[2]
    even = k % 2 == 1 if kernel == 1 else kernel <= k and (k - 1) % (kernel - 1) == 0
    if not even:
        raise ParameterError(f"{owner}: kernel={kernel} of {k} taps cannot be spaced evenly with the outermost kept.")
    taps = np.array([k // 2]) if kernel == 1 else np.arange(0, k, (k - 1) // (kernel - 1))
    if filters is None:
        kept = np.arange(len(w))
    elif np.ndim(filters) == 0:
        filters = _check.integer(owner, "filters", filters, least=1)
        if filters > len(w) or rng is None:
            raise ParameterError(
                f"{owner}: filters must be at most {len(w)}, the filters of w, and rng a Generator to draw them; got "
                f"filters={filters}, rng={rng!r}."
            )
        kept = np.sort(rng.choice(len(w), filters, replace=False))
    else:
        kept = _chosen(owner, "filters", filters, len(w))
    inputs = np.arange(w.shape[1]) if channels is None else _chosen(owner, "channels", channels, w.shape[1])
    return np.ascontiguousarray(w[np.ix_(kept, inputs, taps, taps)]), kept
