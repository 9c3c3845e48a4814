"""The safetensors format: a length, a JSON table of names, dtypes, shapes and offsets, then the numbers.

Role: reading needs no library; writing uses safetensors, imported only when needed.

References
----------
The format's description in the README of huggingface/safetensors.
"""

import json
import math

import numpy as np

from atrous.errors import BackendUnavailable
from atrous.weights.dtypes import BYTES, itemsize, numbers
from atrous.weights.errors import WeightsError

# The library's own limit.
HEADER = 100_000_000
AXES = 32


def is_safetensors(head, size):
    """Tell from the first bytes whether a file of `size` bytes has this format."""
    return head[8:9] == b"{" and 8 + int.from_bytes(head[:8], "little") <= size


def read_safetensors(file, size):
    """Return name → array, in the header's order, from an open file of `size` bytes."""
    length = int.from_bytes(file.read(8), "little")
    if length > min(HEADER, size - 8):
        raise WeightsError(f"its header claims {length} bytes, too many in {size}. Copy or download it again.")
    header = json.loads(file.read(length).decode(), object_pairs_hook=_table)
    header.pop("__metadata__", None)
    places = {name: _place(name, entry) for name, entry in header.items()}
    end = 0
    found = dict.fromkeys(header)
    for name, (kind, shape, begin, stop) in sorted(places.items(), key=lambda item: item[1][2:]):
        if begin != end or stop > size - 8 - length:
            raise WeightsError(
                f"{name!r:.200} claims bytes {begin} to {stop}; expected from {end} to at most {size - 8 - length}. "
                "Copy or download it again."
            )
        end = stop
        raw = np.empty(stop - begin, np.uint8)
        if file.readinto(raw) != raw.size:
            raise WeightsError(f"{name!r:.200} is cut short. Copy or download it again.")
        found[name] = numbers(raw, kind).reshape(shape)
    if end != size - 8 - length:
        raise WeightsError(f"its arrays take {end} bytes, but it has {size - 8 - length}. Copy or download it again.")
    return found


def _table(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        raise WeightsError("its header has the same name twice. Save it again.")
    return found


def _place(name, entry):
    """Return (kind, shape, begin, end) from an entry of the header."""
    kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in BYTES:
        raise WeightsError(f"{name!r:.200} has dtype {kind!r:.80}; expected {', '.join(BYTES)}. Convert it to F32.")
    if len(shape) > AXES or any(type(n) is not int or n < 0 for n in (begin, end, *shape)):
        raise WeightsError(f"{name!r:.200} needs at most {AXES} axes, and no negative size or offset. Save it again.")
    if end - begin != math.prod(shape) * itemsize(kind):
        raise WeightsError(f"{name!r:.200} claims {kind} {shape!s:.80}, but has {end - begin} bytes. Save it again.")
    return kind, shape, begin, end


def safetensors_library():
    """Return safetensors.numpy, or say in an error how to install it."""
    try:
        import safetensors.numpy
    except ImportError:
        raise BackendUnavailable(
            'save_weights: writing .safetensors needs the library safetensors: pip install "atrous[weights]". '
            "Writing .npz needs no library."
        ) from None
    return safetensors.numpy


def write_safetensors(weights, path):
    """Write name → native array to a path."""
    # safetensors 0.8.0 writes an array that is not C-contiguous in the wrong order, without a warning.
    # numpy.ascontiguousarray would give a 0-d array an axis.
    whole = {name: np.asarray(array, order="C") for name, array in weights.items()}
    # The library's save_file makes files that only their owner can read.
    path.write_bytes(safetensors_library().save(whole))
