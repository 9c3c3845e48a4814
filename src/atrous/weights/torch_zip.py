"""PyTorch's .pth since version 1.6: a zip archive of raw storages and a pickle that describes tensors in them.

Role: reading.

References
----------
torch.serialization.
"""

import zipfile
from functools import partial

from atrous.weights.archive import member_bytes, members
from atrous.weights.errors import WeightsError
from atrous.weights.torch_pickle import PICKLE, chosen, run, storage_place
from atrous.weights.torch_tensors import arrays, storage


def is_torch(archive):
    """Tell whether an open zip archive is PyTorch's."""
    return any(name.endswith("/data.pkl") for name in archive.namelist())


def read_torch(archive, size):
    """Return name → array, in the file's order, from an open zip archive of `size` bytes."""
    entries = members(archive, size)
    pickles = [name for name in entries if name.endswith("/data.pkl")]
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in entries:
        raise WeightsError(
            "it is a TorchScript program, not weights. Save the weights: "
            "torch.save(torch.jit.load(file).state_dict(), 'new.pth')."
        )
    if len(pickles) != 1 or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
        raise WeightsError("it must have one data.pkl and no compression, as torch.save writes it. Save it again.")
    if entries[pickles[0]].file_size > PICKLE:
        raise WeightsError(f"its data.pkl has more than {PICKLE} bytes. Save only model.state_dict().")
    tensors = chosen(run(archive.read(pickles[0]), partial(_storage, entries=entries, folder=f"{folder}data/")))
    order = _byte_order(archive, entries.get(f"{folder}byteorder"))
    return arrays(tensors, lambda of: member_bytes(archive, entries[of.place]), order)


def _byte_order(archive, entry):
    """Return NumPy's character for the byte order; files from before PyTorch 2.1 have none and are little-endian."""
    said = b"little" if entry is None else archive.read(entry)[:20]
    if said not in (b"little", b"big"):
        raise WeightsError(f"its byte order must be little or big, got {said!r}. Save it again.")
    return "<" if said == b"little" else ">"


def _storage(place, entries, folder):
    """Return the storage that a pickle names, if the archive has it with that size."""
    kind, key, count = storage_place(place)
    entry = entries.get(f"{folder}{key}")
    found = storage(entry and entry.filename, kind, count)
    if entry is None or found.nbytes != entry.file_size:
        raise WeightsError(f"its storage {key!r:.80} is missing or has another size than stated. Download it again.")
    return found
