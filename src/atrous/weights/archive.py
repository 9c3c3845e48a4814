"""NumPy's .npz: a zip archive with one .npy member per array, never a pickle; also the checks of any zip archive.

Role: reading and writing. Claimed sizes are compared with the size of the file before memory is allocated.

References
----------
NumPy enhancement proposal 1: the .npy format.
"""

import math
import zipfile
from io import BytesIO

import numpy as np
from numpy.lib import format as npy

from atrous.weights.dtypes import native, plain
from atrous.weights.errors import WeightsError

LIMIT = 16 << 30
CHUNK = 1 << 24
# Deflate compresses by a factor of at most 1032.
RATIO = 1032
HEADER = 1 << 14


def members(archive, size, limit_bytes=LIMIT):
    """Return name → entry of an open zip archive of `size` bytes; refuse one that claims more than it can hold."""
    entries = archive.infolist()
    packed = sum(entry.compress_size for entry in entries)
    claimed = sum(entry.file_size for entry in entries)
    for entry in entries:
        stored = entry.compress_type == zipfile.ZIP_STORED
        if not stored and entry.compress_type != zipfile.ZIP_DEFLATED:
            raise WeightsError(f"{entry.filename!r:.200} is compressed by a method other than deflate. Save it again.")
        most = entry.compress_size if stored else RATIO * entry.compress_size + 64
        if entry.file_size > most or packed > size:
            raise WeightsError(
                f"{entry.filename!r:.200} claims {entry.file_size} bytes, more than the file of {size} bytes can hold. "
                "Download or save it again."
            )
    if claimed > limit_bytes:
        raise WeightsError(f"the arrays claim {claimed} bytes; at most {limit_bytes} can be read. Split the file.")
    found = {entry.filename: entry for entry in entries}
    if len(found) < len(entries):
        raise WeightsError("two of its members have the same name. Save it again.")
    return found


def member_bytes(archive, entry):
    """Return the bytes of a checked member as a writable uint8 array."""
    raw = np.empty(entry.file_size, np.uint8)
    with archive.open(entry) as member:
        for at in range(0, raw.size, CHUNK):
            part = memoryview(raw)[at : at + CHUNK]
            if member.readinto(part) != len(part):
                raise WeightsError(f"{entry.filename!r:.200} is cut short. Copy or download the file again.")
    return raw


def read_npz(archive, size, limit_bytes=LIMIT):
    """Return name → array, in the file's order, from an open zip archive of `size` bytes."""
    found = {}
    for name, entry in members(archive, size, limit_bytes).items():
        if not name.endswith(".npy"):
            raise WeightsError(f"it is a zip archive, but {name!r:.200} in it is not an array. Pass .npz or .pth.")
        found[name.removesuffix(".npy")] = _array(name, member_bytes(archive, entry))
    return found


def _array(name, raw):
    """Return the array of a .npy member."""
    head = BytesIO(raw[:HEADER].tobytes())
    version = npy.read_magic(head)
    if version not in ((1, 0), (2, 0)):
        raise WeightsError(f"{name!r:.200} has version {version} of the .npy format; only 1.0 and 2.0 can be read.")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read_header(head)
    if not plain(dtype):
        raise WeightsError(
            f"{name!r:.200} holds {dtype!s:.80}, not booleans, integers or floats; pickled objects are never read. "
            "Save plain arrays."
        )
    at = head.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != raw.size - at:
        raise WeightsError(f"{name!r:.200} claims shape {shape!s:.80}, but has {raw.size - at} bytes. Save it again.")
    values = np.require(native(raw[at:].view(dtype)), requirements="A")
    return values.reshape(shape, order="F" if fortran else "C")


def write_npz(weights, path):
    """Write name → array as numpy.savez does, but with any names; equal weights give equal files."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in weights.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)
