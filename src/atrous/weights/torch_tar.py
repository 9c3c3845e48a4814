"""PyTorch's .pth before version 0.1.10: a tar archive of storages, tensors and the pickle that names them.

    storages   a count; for each storage (key, location, class), its number of elements, its elements; then the views
               (key, key of the storage, first element, elements)
    tensors    a count; for each tensor (key, key of its storage, class), its number of axes, shape, strides, offset
    pickle     the object, which refers to tensors by key

Numbers between the pickles are little-endian and take 8 bytes.

Role: reading.

References
----------
torch.serialization (``legacy_load``).
"""

import tarfile
from io import BytesIO

import numpy as np

from atrous.weights.errors import WeightsError
from atrous.weights.torch_pickle import PICKLE, chosen, class_kind, run
from atrous.weights.torch_tensors import AXES, STORAGES, arrays, bytes_at, storage, tensor

# Enough for a key, a place such as cuda:0 and the name of a class.
_SHORT = 1 << 10


def is_tar(head):
    """Tell whether a file begins as a tar archive does."""
    return head[257:262] == b"ustar"


def read_tar(file, size):
    """Return name → array, in the file's order, from an open file of `size` bytes."""
    with tarfile.open(fileobj=_Bounded(file, size), mode="r:") as archive:
        found = {member.name: member for member in archive}
    if not {"storages", "tensors", "pickle"} <= found.keys():
        raise WeightsError("it is a tar archive, but not one of PyTorch's. Unpack it first.")
    parts = [_Part(file, found[name], size) for name in ("storages", "tensors", "pickle")]
    storages = _storages(parts[0])
    tensors = _tensors(parts[1], storages)
    if found["pickle"].size > PICKLE:
        raise WeightsError(f"its pickle has more than {PICKLE} bytes. Save only model.state_dict().")
    top = chosen(parts[2].object(PICKLE, lambda key: tensors[int(key)]))
    return arrays(top, lambda of: bytes_at(file, of.place, of.nbytes))


class _Bounded:
    """A file whose reads never ask for more than it has, whatever size a header of the archive claims."""

    def __init__(self, file, size):
        self.file, self.size, self.seek, self.tell = file, size, file.seek, file.tell

    def read(self, count):
        return self.file.read(min(count, max(self.size - self.tell(), 0)))


class _Part:
    """A member of the archive, read from its start to its end."""

    def __init__(self, file, member, size):
        self.file, self.at, self.end = file, member.offset_data, member.offset_data + member.size
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or self.end > size:
            raise WeightsError(f"its member {member.name!r:.80} is cut short. Copy or download the file again.")

    def object(self, limit=_SHORT, persistent=None):
        """Return the object of the next pickle."""
        self.file.seek(self.at)
        data = BytesIO(self.file.read(min(limit, self.end - self.at)))
        found = run(data, persistent)
        self.at += data.tell()
        return found

    def numbers(self, count):
        """Return the next `count` integers."""
        raw = bytes_at(self.file, self.skipped(8 * count), 8 * count)
        return raw.view("<i8").tolist()

    def skipped(self, count):
        """Return the position, and move on by `count` bytes."""
        at, self.at = self.at, self.at + count
        if count < 0 or self.at > self.end:
            raise WeightsError("a storage or tensor is cut short. Copy or download the file again.")
        return at


def _storages(part):
    """Return key → storage, views included; the place of a storage is its position in the file."""
    found = {}
    for _ in range(part.object()):
        key, _, what = part.object()
        kind = class_kind(what, STORAGES)
        (count,) = part.numbers(1)
        whole = storage(part.at, kind, count)
        part.skipped(whole.nbytes)
        found[int(key)] = whole
    for key, root, first, count in part.object(PICKLE):
        of = found[int(root)]
        found[int(key)] = storage(of.place, of.kind, of.count, (first, count))
    return found


def _tensors(part, storages):
    """Return key → tensor."""
    found = {}
    for _ in range(part.object()):
        key, of, _ = part.object()
        (axes,) = part.numbers(1)
        # The upper four bytes of the number of axes were never written on purpose.
        axes = int(np.int32(axes & 0x7FFFFFFF))
        if axes > AXES:
            raise WeightsError(f"a tensor has {axes} axes; at most {AXES} can be read. Download the file again.")
        shape, strides = part.numbers(axes), part.numbers(axes)
        (offset,) = part.numbers(1)
        found[int(key)] = tensor(storages[int(of)], offset, shape, strides)
    return found
