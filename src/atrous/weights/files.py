"""Weights as files: a flat dictionary of names and arrays, read from four formats and written to two.

Role: public edge. Files are told apart by what they hold, not by their names, since weights travel under any; only
a .caffemodel has no mark of its own.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from atrous._atomic import replacing
from atrous._types import Array
from atrous.errors import DTypeError, ParameterError
from atrous.weights.archive import read_npz, write_npz
from atrous.weights.caffemodel import flat
from atrous.weights.dtypes import native, plain
from atrous.weights.errors import WeightsError, as_path, told
from atrous.weights.safetensors_file import is_safetensors, read_safetensors, safetensors_library, write_safetensors
from atrous.weights.torch_zip import is_torch, read_torch

PathLike: TypeAlias = str | os.PathLike[str]

READ = ".npz, .safetensors, .pth of PyTorch and .caffemodel"
# What files begin with that are taken for weights and are none.
NO_WEIGHTS = [
    (rb"version https://git-lfs", "it is a git-lfs pointer, not the weights. Fetch them: git lfs pull."),
    (rb"\s*<(!doctype|html|head|\?xml)", "it is a web page, not weights. Download the file that the page leads to."),
    (
        rb"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.|.{257}ustar",
        "it is PyTorch's format from before version 1.6. Convert it in PyTorch, if you trust it: "
        "torch.save(torch.load('old.pth', map_location='cpu'), 'new.pth').",
    ),
    (
        rb"\x80[\x01-\x05]",
        "it is a pickle, which could run anything when loaded. Where you trust it, load it and save an .npz.",
    ),
    (rb"\x93NUMPY", "it is one array without a name. Save it by its name: save_weights({'name': array}, 'new.npz')."),
    (rb"\x89HDF", "it is HDF5, which is not read. Load it where it was made and save an .npz."),
    (rb"\x1f\x8b", "it is compressed by gzip. Unpack it first."),
]


def load_weights(path: PathLike) -> dict[str, Array]:
    """Read named arrays from a file of NumPy, safetensors, PyTorch or Caffe; the file is not trusted.

    Parameters
    ----------
    path : str or path
        An .npz, .safetensors, .pth (PyTorch since 1.6) or .caffemodel file. All but the last are known by what they
        hold, whatever their names.

    Returns
    -------
    dict of str to ndarray
        In the file's order, in this machine's byte order. bfloat16, and float16 of PyTorch and safetensors, become
        float32. From a training checkpoint only the weights, without a common ``module.`` before their names; tensors
        that share memory there share it here. From Caffe "layer.0", "layer.1", … for the arrays of a layer.

    Raises
    ------
    WeightsError
        The file is missing, of another format, broken, cut short, claims more than it has, or asks to run code; also
        a ValueError.
    ParameterError
        `path` is no path.

    Notes
    -----
    Cost: one copy of the file; what a file claims is compared with its size before memory is asked for. Nothing in a
    file is ever run: pickles are followed as far as they describe tensors, and refused beyond.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights({"conv1.bias": np.zeros(3, np.float32)}, f"{folder}/net.npz")
    ...     load_weights(f"{folder}/net.npz")
    {'conv1.bias': array([0., 0., 0.], dtype=float32)}
    """
    path = as_path("load_weights", path)
    with told("load_weights", "read", path):
        if path.exists() and not path.is_file():
            raise WeightsError("it is a folder, or no plain file. Name a file.")
        with path.open("rb") as file:
            found = _read(file, path.suffix.lower())
        if not found or "" in found:
            raise WeightsError("it holds no arrays, or one without a name.")
        return found


def _read(file, suffix):
    size = os.fstat(file.fileno()).st_size
    head = file.read(512)
    file.seek(0)
    if not head:
        raise WeightsError("it is empty. Download it again.")
    if head[:4] in (b"PK\3\4", b"PK\5\6"):
        with zipfile.ZipFile(file) as archive:
            return (read_torch if is_torch(archive) else read_npz)(archive, size)
    # Before the others: a header of 384 bytes begins as pickles do.
    if is_safetensors(head, size):
        return read_safetensors(file, size)
    for start, message in NO_WEIGHTS:
        if re.match(start, head, re.IGNORECASE | re.DOTALL):
            raise WeightsError(message)
    if suffix == ".caffemodel":
        return flat(file)
    raise WeightsError(f"its format is unknown, or it is cut short. Read are {READ}.")


def save_weights(weights: Mapping[str, Array], path: PathLike, *, overwrite: bool = True) -> None:
    """Write named arrays as .npz or .safetensors, whole or not at all.

    Parameters
    ----------
    weights : mapping of str to ndarray
        Names, any but the empty one, and arrays of truth values, integers or floats. Never modified.
    path : str or path
        Its ending, .npz or .safetensors, is the format. A file of that name is replaced only when everything is
        written.
    overwrite : bool, default True
        Whether to replace a file that is there.

    Returns
    -------
    None
        The file is the result.

    Raises
    ------
    ParameterError, DTypeError
        Another ending; no weights, a name that is no text or empty, an array of another kind.
    WeightsError
        The file cannot be written, or is there and `overwrite` is false; also a ValueError.
    BackendUnavailable
        .safetensors without the library: ``pip install "atrous[weights]"``.

    Notes
    -----
    Cost: one pass, for .safetensors a copy of all arrays in memory. An .npz is what `numpy.savez`
    writes, uncompressed, and `numpy.load` reads it; equal weights give equal files.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights({"fc6/weight": np.ones((2, 3))}, f"{folder}/net.npz")
    ...     np.load(f"{folder}/net.npz")["fc6/weight"].shape
    (2, 3)
    """
    owner = "save_weights"
    path = as_path(owner, path)
    suffix = path.suffix.lower()
    if suffix not in (".npz", ".safetensors"):
        mend = "These formats are only read. " if suffix in (".pth", ".pt", ".caffemodel") else ""
        raise ParameterError(
            f"{owner}: the file's name must end in .npz or .safetensors, got {path.name!r}. {mend}"
            f"Write {path.stem + '.npz'!r}."
        )
    arrays = _arrays(owner, weights)
    if suffix == ".safetensors":
        safetensors_library()
    with told(owner, "write", path):
        if path.exists() and not (overwrite and path.is_file()):
            raise WeightsError("it is there already. Choose another name, or pass overwrite=True to replace a file.")
        with replacing(path) as (partial,):
            (write_npz if suffix == ".npz" else write_safetensors)(arrays, partial)


def _arrays(owner, weights):
    """Return name → native array, checked."""
    if not isinstance(weights, Mapping) or not weights:
        raise ParameterError(
            f"{owner}: weights must map names to arrays, at least one, got {type(weights).__name__} of "
            f"{len(weights) if hasattr(weights, '__len__') else 'no'} elements. A pair (params, state) is saved as "
            "{**params, **state}."
        )
    found = {}
    for name, value in weights.items():
        if not isinstance(name, str) or not name or "\0" in name:
            raise ParameterError(f"{owner}: names must be text, not empty and without NUL, got {name!r}.")
        if not isinstance(value, (np.ndarray, np.generic)) or isinstance(value, np.ma.MaskedArray):
            raise DTypeError(
                f"{owner}: {name} must be a plain NumPy array, got {type(value).__name__}. Convert it: np.asarray(…)."
            )
        if not plain(value.dtype):
            raise DTypeError(
                f"{owner}: {name} must hold truth values, integers or floats of at most 8 bytes, got {value.dtype}. "
                "Convert it: .astype(np.float32)."
            )
        found[name] = native(np.asarray(value))
    return found
