"""Caffe's .caffemodel: a protocol buffer, read field by field; fields that are not needed are skipped.

A message is a sequence of fields. Each has a key, number·8 + kind, and a value: an integer in groups of seven bits
(kind 0), eight bytes (1), a length and that many bytes (2), or four bytes (5). A message inside a message has kind 2.

Role: reading.

References
----------
caffe.proto of BVLC Caffe: NetParameter, LayerParameter, V1LayerParameter, BlobProto.
"""

import math
import mmap
import os
from typing import NamedTuple

import numpy as np

from atrous._types import Array
from atrous.weights.errors import WeightsError, as_path, told

# Caffe's own limit.
AXES = 32
VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
# The format before 2014 has numbers for the types of layers; these types have weights.
V1_TYPES = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"}


class CaffeLayer(NamedTuple):
    """A layer: its name, its type ("Convolution", or a number in old files), and its arrays, in Caffe's order."""

    name: str
    type: str
    blobs: list[Array]


def read_caffemodel(data: bytes | memoryview) -> list[CaffeLayer]:
    r"""Read the layers of a Caffe model, including those without weights.

    Parameters
    ----------
    data : bytes-like
        A NetParameter message.

    Returns
    -------
    list of CaffeLayer
        (name, type, blobs) in the file's order; blobs are float32, or float64 if the file has doubles. In old files
        every blob has four axes; a bias is (1, 1, 1, C).

    Raises
    ------
    WeightsError
        The bytes are not such a message or are cut short, or an array's shape does not fit its numbers.

    Notes
    -----
    Cost: one copy of the numbers. The weight of a convolution is (O, I, H, W), as in PyTorch.

    Examples
    --------
    >>> blob = b"\x3a\x03\x0a\x01\x01" + b"\x2a\x04" + np.float32(0.5).tobytes()
    >>> layer = b"\x0a\x03fc6" + b"\x12\x0cInnerProduct" + b"\x3a\x0b" + blob
    >>> read_caffemodel(b"\xa2\x06" + bytes([len(layer)]) + layer)
    [CaffeLayer(name='fc6', type='InnerProduct', blobs=[array([0.5], dtype=float32)])]
    """
    layers = []
    for number, kind, value in _fields(memoryview(data).cast("B")):
        if (number, kind) == (100, BYTES):
            layers.append(_layer(value, name=1, type=2, blobs=7))
        elif (number, kind) == (2, BYTES):
            layers.append(_layer(value, name=4, type=5, blobs=6))
    return layers


def load_caffemodel(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read the arrays of a .caffemodel file.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    dict of str to ndarray
        "layer.0", "layer.1", … → the layer's arrays in Caffe's order, usually weight and bias, as `read_caffemodel`
        returns them.

    Raises
    ------
    WeightsError
        As for `read_caffemodel`; or the file cannot be read, has no layer with weights, or two with the same name.

    Notes
    -----
    Cost: one copy of the file. What the arrays mean depends on the layer's type; see `read_caffemodel`.
    """
    path = as_path("load_caffemodel", path)
    with told("load_caffemodel", "read", path), path.open("rb") as file:
        return flat(file)


def flat(file):
    """Return "layer.index" → array from an open file."""
    layers = read_caffemodel(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    found = {}
    for layer in layers:
        for i, blob in enumerate(layer.blobs):
            if found.setdefault(f"{layer.name}.{i}", blob) is not blob:
                raise WeightsError(f"two layers with weights are named {layer.name!r:.200}. Rename one.")
    if not found:
        raise WeightsError(
            "it has no layer with weights. A file from before 2014 must first be upgraded with Caffe's "
            "upgrade_net_proto_binary."
        )
    return found


def _layer(message, **numbers):
    name, kind, blobs = "", "", []
    for number, wire, value in _fields(message):
        if number == numbers["name"] and wire == BYTES:
            name = _text(value)
        elif number == numbers["type"] and wire in (VARINT, BYTES):
            kind = V1_TYPES.get(value, str(value)) if wire == VARINT else _text(value)
        elif number == numbers["blobs"] and wire == BYTES:
            blobs.append(_blob(name, message=value))
    return CaffeLayer(name, kind, blobs)


def _text(value):
    return bytes(value).decode("utf-8", "replace")


def _blob(layer, message):
    old, shape, values = [0, 0, 0, 0], None, {5: bytearray(), 8: bytearray()}
    for number, wire, value in _fields(message):
        if number in (1, 2, 3, 4) and wire == VARINT:
            old[number - 1] = value
        elif (number in values and wire == BYTES) or (number, wire) in ((5, FOUR), (8, EIGHT)):
            values[number] += value
        elif (number, wire) == (7, BYTES):
            shape = _dims(value)
    shape = old if shape is None else shape
    number = 8 if values[8] else 5
    itemsize = 8 if number == 8 else 4
    fits = len(shape) <= AXES and 0 not in shape and math.prod(shape) * itemsize == len(values[number])
    if not fits or (values[5] and values[8]):
        raise WeightsError(
            f"an array of layer {layer!r:.200} claims shape {tuple(shape)!s:.80}, but has {len(values[number])} bytes. "
            "Copy or download the file again."
        )
    array = np.frombuffer(values[number], f"<f{itemsize}").reshape(shape)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _dims(message):
    """Return the axis sizes of a BlobShape, whether each has a field or all share one."""
    dims = []
    for number, wire, value in _fields(message):
        if (number, wire) == (1, VARINT):
            dims.append(value)
        elif (number, wire) == (1, BYTES):
            at = 0
            while at < len(value):
                size, at = _varint(value, at)
                dims.append(size)
    return dims


def _fields(message):
    """Yield (number, kind, value) of every field; the value is an int for kind 0, otherwise a view of its bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(message, at)
        elif wire in (EIGHT, BYTES, FOUR):
            length = {EIGHT: 8, FOUR: 4}.get(wire)
            if length is None:
                length, at = _varint(message, at)
            if length > len(message) - at:
                raise WeightsError(
                    f"a field claims {length} bytes, but {len(message) - at} are left. Copy or download the file again."
                )
            value, at = message[at : at + length], at + length
        else:
            raise WeightsError(f"it has a field of kind {wire}, which no Caffe model has. Is it a .caffemodel?")
        yield number, wire, value


def _varint(message, at):
    """Return (number, index of the byte after it)."""
    number = 0
    for i, byte in enumerate(message[at : at + 10]):
        number |= (byte & 127) << 7 * i
        if byte < 128:
            return number, at + i + 1
    raise WeightsError("a number is cut short or has more than ten bytes. Copy or download the file again.")
