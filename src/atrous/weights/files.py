"""Weights as files: a flat dictionary from names to arrays, read from four formats and written to two.

Role: public functions. The format is recognised by the first bytes, since weight files come with all sorts of names;
only a .caffemodel, which starts with no fixed bytes, is recognised by its name.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from functools import partial

import numpy as np

from atrous._atomic import replacing
from atrous._kinds import public
from atrous._types import Array, PathLike
from atrous.errors import DTypeError, ParameterError
from atrous.weights.archive import read_npz, write_npz
from atrous.weights.caffemodel import flat
from atrous.weights.dtypes import native, plain
from atrous.weights.errors import WeightsError, as_path, told
from atrous.weights.safetensors_file import is_safetensors, read_safetensors, safetensors_library, write_safetensors
from atrous.weights.torch_legacy import is_legacy, read_legacy
from atrous.weights.torch_tar import is_tar, read_tar
from atrous.weights.torch_zip import is_torch, read_torch

READ = ".npz, .safetensors, PyTorch's .pth and .caffemodel"
# The first bytes of files that are often mistaken for weights.
NO_WEIGHTS = [
    (rb"version https://git-lfs", "it is a git-lfs pointer, not the weights. Fetch them: git lfs pull."),
    (rb"\s*<(!doctype|html|head|\?xml)", "it is a web page, not weights. Download the file that the page links to."),
    (
        rb"\x80[\x01-\x05]",
        "it is a pickle, which can run any code when loaded. If you trust it, load it and save an .npz.",
    ),
    (rb"\x93NUMPY", "it is one array without a name. Save it under a name: save_weights({'name': array}, 'new.npz')."),
    (rb"\x89HDF", "it is HDF5, which cannot be read. Load it in the program that made it and save an .npz."),
    (rb"\x1f\x8b", "it is compressed with gzip. Unpack it first."),
]


@public
def load_weights(path: PathLike) -> dict[str, Array]:
    """Read named arrays from a file of NumPy, safetensors, PyTorch or Caffe; the file is not trusted.

    Parameters
    ----------
    path : str or path
        An .npz, .safetensors, .pth (of any version of PyTorch) or .caffemodel file. All but the last are recognised
        by their content, whatever their names.

    Returns
    -------
    dict of str to ndarray
        In the file's order and this machine's byte order. bfloat16, and float16 from PyTorch and safetensors, become
        float32. A training checkpoint gives only its weights, without a common prefix ``module.``; tensors that share
        memory in the file share it here too. A layer of a Caffe model gives "layer.0", "layer.1", ….

    Raises
    ------
    WeightsError
        The file is missing, broken or cut short, has another format, claims more than it has, or asks to run code. It
        is also a ValueError.
    ParameterError
        `path` is not a path.

    Notes
    -----
    Cost: one copy of the file; the sizes that a file claims are checked before memory is allocated. No code in a file
    is ever run: a pickle that asks for more than state dicts need is refused.

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
            raise WeightsError("it is a folder, or not a regular file. Pass a file.")
        with path.open("rb") as file:
            _, size, read = _recognised(file, path.suffix.lower())
            file.seek(0)
            found = read(file, size)
        if not found or "" in found:
            raise WeightsError("it has no arrays, or one without a name.")
        return found


def weights_format(path):
    """Return the name of the format of a file that `load_weights` reads."""
    with path.open("rb") as file:
        return _recognised(file, path.suffix.lower())[0]


def _read_zip(read, file, size):
    with zipfile.ZipFile(file) as archive:
        return read(archive, size)


def _recognised(file, suffix):
    """Return (name, size, reader) of an open file by its first bytes, or raise an error that says what it is."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(512)
    file.seek(0)
    if not head:
        raise WeightsError("it is empty. Download it again.")
    if head[:4] in (b"PK\3\4", b"PK\5\6"):
        with zipfile.ZipFile(file) as archive:
            name, read = ("PyTorch", read_torch) if is_torch(archive) else ("NumPy .npz", read_npz)
        return name, size, partial(_read_zip, read)
    # Checked before the others: the length of a 384-byte header looks like the start of a pickle.
    if is_safetensors(head, size):
        return "safetensors", size, read_safetensors
    if is_legacy(head):
        return "PyTorch before 1.6", size, read_legacy
    if is_tar(head):
        return "PyTorch before 0.1.10", size, read_tar
    for start, message in NO_WEIGHTS:
        if re.match(start, head, re.IGNORECASE | re.DOTALL):
            raise WeightsError(message)
    if suffix == ".caffemodel":
        return "Caffe", size, lambda file, _: flat(file)
    raise WeightsError(f"its format is unknown, or it is cut short. It must be one of {READ}.")


@public
def save_weights(weights: Mapping[str, Array], path: PathLike, *, overwrite: bool = True) -> None:
    """Write named arrays as .npz or .safetensors, whole or not at all.

    Parameters
    ----------
    weights : mapping of str to ndarray
        Names without NUL, not empty, and arrays of booleans, integers or floats. Never modified.
    path : str or path
        Its ending, .npz or .safetensors, selects the format. A file is replaced only after everything is written.
    overwrite : bool, default True
        Whether to replace an existing file.

    Returns
    -------
    None
        The file is the result.

    Raises
    ------
    ParameterError, DTypeError
        Another ending, no weights, a name that is not allowed, or an array of another dtype.
    WeightsError
        The file cannot be written, or exists and `overwrite` is false. It is also a ValueError.
    BackendUnavailable
        .safetensors needs its library: ``pip install "atrous[weights]"``.

    Notes
    -----
    Cost: one pass; .safetensors also needs a copy of all arrays in memory. An .npz is uncompressed, as `numpy.savez`
    writes it, and `numpy.load` reads it; equal weights give equal files.

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
        fix = "These formats can only be read. " if suffix in (".pth", ".pt", ".caffemodel") else ""
        raise ParameterError(
            f"{owner}: the file's name must end in .npz or .safetensors, got {path.name!r}. {fix}"
            f"Write {path.stem + '.npz'!r}."
        )
    arrays = _arrays(owner, weights)
    if suffix == ".safetensors":
        safetensors_library()
    with told(owner, "write", path):
        if path.exists() and not (overwrite and path.is_file()):
            raise WeightsError("it already exists. Choose another name, or pass overwrite=True to replace a file.")
        with replacing(path) as (partial,):
            (write_npz if suffix == ".npz" else write_safetensors)(arrays, partial)


def _arrays(owner, weights):
    """Return name → native array, checked."""
    if not weights:
        raise ParameterError(f"{owner}: weights must map at least one name to an array, got none.")
    found = {}
    for name, value in weights.items():
        if not isinstance(name, str) or not name or "\0" in name:
            raise ParameterError(f"{owner}: names must be text without NUL, and not empty, got {name!r}.")
        if not isinstance(value, (np.ndarray, np.generic)) or isinstance(value, np.ma.MaskedArray):
            raise DTypeError(
                f"{owner}: {name} must be a plain NumPy array, got {type(value).__name__}. Convert it: np.asarray(…)."
            )
        if not plain(value.dtype):
            raise DTypeError(
                f"{owner}: {name} must hold booleans, integers or floats of at most 8 bytes, got {value.dtype}. "
                "Convert it: .astype(np.float32)."
            )
        found[name] = native(np.asarray(value))
    return found
