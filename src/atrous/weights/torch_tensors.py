"""The tensors of PyTorch's files as records: a part of a storage with a shape and strides, checked before it is read.

Role: check. A record costs nothing; the bytes of a storage are read only once it is known which tensors are wanted and
that each lies inside its storage.

References
----------
torch.storage, torch._utils.
"""

import math
from typing import NamedTuple

import numpy as np

from atrous.weights.dtypes import itemsize, numbers
from atrous.weights.errors import WeightsError

AXES = 32

_KINDS = {
    "Double": "F64",
    "Float": "F32",
    "Half": "F16",
    "BFloat16": "BF16",
    "Bool": "BOOL",
    "Long": "I64",
    "Int": "I32",
    "Short": "I16",
    "Char": "I8",
    "Byte": "U8",
}
# What a pickle calls the classes of storages and tensors; tensors have such classes only in the oldest format.
STORAGES = {f"torch.{on}{name}Storage": kind for on in ("", "cuda.") for name, kind in _KINDS.items()}
STORAGES["torch.storage.UntypedStorage"] = None
TENSORS = {f"torch.{on}{name}Tensor" for on in ("", "cuda.") for name in _KINDS}
DTYPES = {
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.bool": "BOOL",
    **{f"torch.int{n}": f"I{n}" for n in (8, 16, 32, 64)},
    **{f"torch.uint{n}": f"U{n}" for n in (8, 16, 32, 64)},
}


class Storage(NamedTuple):
    """Numbers in a file: where, of which type (None: bytes), how many, and the range of them that tensors may use."""

    place: str | int
    kind: str | None
    count: int
    used: range

    @property
    def nbytes(self):
        """The bytes of the whole storage in the file."""
        return self.count * (1 if self.kind is None else itemsize(self.kind))


class Tensor(NamedTuple):
    """Elements of a storage, in the units and order of NumPy's shape and PyTorch's strides."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple


def storage(place, kind, count, view=None):
    """Return a storage, or with view=(first, count) the part of it that is used."""
    if type(count) is not int or count < 0:
        raise WeightsError(f"its storage {place!r:.80} has no size. Download it again.")
    first, used = (0, count) if view is None else view
    if not (type(first) is type(used) is int and 0 <= first <= first + used <= count):
        raise WeightsError("a part of a storage does not lie inside it. Download the file again.")
    return Storage(place, kind, count, range(first, first + used))


def tensor(of, offset, shape, strides, dtype=None):
    """Return a tensor, if it lies inside the used part of its storage; `dtype` is the type of a storage of bytes."""
    if isinstance(of, Storage) and dtype is not None and len(of.used) == of.count:
        count = of.count // itemsize(dtype)
        of = Storage(of.place, dtype, count, range(count))
    if not isinstance(of, Storage) or of.kind is None:
        raise WeightsError("a tensor has no storage with a dtype. Save model.state_dict().")
    counts = (offset, *shape, *strides)
    fine = len(shape) == len(strides) <= AXES and all(type(n) is int and n >= 0 for n in counts)
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) if fine else 0
    if not fine or (0 not in shape and last >= len(of.used)):
        raise WeightsError("a tensor does not lie inside its storage. Download the file again.")
    if math.prod(shape) > len(of.used):
        raise WeightsError("a tensor repeats elements of its storage. Save tensors made by .contiguous().")
    return Tensor(of._replace(used=None), offset + of.used.start, tuple(shape), tuple(strides))


def arrays(tensors, raw, order="<"):
    """Return name → array: views of storages, each of which is read once by `raw`, a function from Storage to bytes."""
    read = {of: numbers(raw(of), of.kind, order) for of in {tensor.storage for tensor in tensors.values()}}
    return {name: _view(tensor, read[tensor.storage]) for name, tensor in tensors.items()}


def bytes_at(file, at, count):
    """Return `count` bytes of an open file from position `at`, as a writable uint8 array."""
    raw = np.empty(count, np.uint8)
    file.seek(at)
    if file.readinto(memoryview(raw)) != count:
        raise WeightsError("it is cut short. Copy or download it again.")
    return raw


def _view(tensor, array):
    """Return a tensor as a view of its storage; NumPy also refuses one that would reach beyond it."""
    if 0 in tensor.shape:
        return np.empty(tensor.shape, array.dtype)
    strides = [step * array.itemsize for step in tensor.strides]
    return np.ndarray(tensor.shape, array.dtype, array, tensor.offset * array.itemsize, strides)
