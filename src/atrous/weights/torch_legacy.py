"""PyTorch's .pth from versions 0.1.10 to 1.5: pickles in a row, then the storages they describe.

    pickle     a magic number
    pickle     the protocol, 1001
    pickle     facts of the machine that wrote the file
    pickle     the object: dictionaries of tensors in storages, which have keys
    pickle     the keys, in the order of the storages
    storages   each: its number of elements (8 bytes), then the elements

Elements are little-endian on every machine. Before version 1.5 the numbers of elements had the order of the machine,
so both orders are accepted here; the object already says how many there must be.

Role: reading.

References
----------
torch.serialization (``_legacy_load``); torch/csrc/generic/serialization.cpp (``writeFileRaw``).
"""

import re
from functools import partial
from io import BytesIO

from atrous.weights.errors import WeightsError
from atrous.weights.torch_pickle import PICKLE, chosen, run, storage_place
from atrous.weights.torch_tensors import arrays, bytes_at, storage

# The first pickle holds 0x1950a86a20f9469cfc6c. Protocols from 4 put a frame around it.
_MAGIC = re.compile(rb"\x80[\x02-\x05](\x95.{8})?\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.", re.DOTALL)
_PROTOCOL = 1001


def is_legacy(head):
    """Tell whether a file begins as torch.save wrote it before PyTorch 1.6."""
    return _MAGIC.match(head) is not None


def read_legacy(file, size):
    """Return name → array, in the file's order, from an open file of `size` bytes."""
    pickles, storages = BytesIO(file.read(PICKLE)), {}
    try:
        _, protocol, _ = (run(pickles) for _ in range(3))
        if protocol != _PROTOCOL:
            raise WeightsError(f"its protocol is not {_PROTOCOL}, the only one there was. Copy or download it again.")
        tensors = chosen(run(pickles, partial(_storage, storages=storages)))
        keys = run(pickles)
    except ValueError as error:
        if isinstance(error, WeightsError) or pickles.tell() < PICKLE:
            raise
        raise WeightsError(f"its pickles have more than {PICKLE} bytes. Save only model.state_dict().") from error
    places = _places(file, pickles.tell(), size, keys, storages)
    if missing := {tensor.storage.place for tensor in tensors.values()} - places.keys():
        raise WeightsError(f"its storage {min(missing)!r:.80} is missing. Download it again.")
    return arrays(tensors, lambda of: bytes_at(file, places[of.place], of.nbytes))


def _storage(place, storages):
    """Return the storage that the object names, and remember its type and size by its key."""
    kind, key, count, *view = storage_place(place)
    whole = storage(key, kind, count)
    if storages.setdefault(key, whole) != whole:
        raise WeightsError(f"its storage {key!r:.80} has two types or sizes. Download it again.")
    # A view has a key of its own, which nothing else needs.
    return storage(key, kind, count, view[0][1:] if view and view[0] else None)


def _places(file, at, size, keys, storages):
    """Return key → position of the elements of each storage, after checking that all of them are there."""
    places = {}
    for key in keys:
        if not isinstance(key, str) or key not in storages or key in places:
            raise WeightsError("its list of storages does not fit its tensors. Download it again.")
        file.seek(at)
        said, of = file.read(8), storages[key]
        if of.count not in (int.from_bytes(said, "little"), int.from_bytes(said, "big")):
            raise WeightsError(f"its storage {key!r:.80} has another size than stated. Download it again.")
        places[key], at = at + 8, at + 8 + of.nbytes
        if at > size:
            raise WeightsError(f"its storage {key!r:.80} is cut short. Copy or download the file again.")
    return places
