"""Caffe's .caffemodel: a protocol buffer, read field by field; what is not needed is skipped.

A message is a row of fields, each a key, number·8 + kind, and a value: a number in groups of seven bits (kind 0), eight
bytes (1), a length and as many bytes (2), or four bytes (5). Messages in messages are bytes with a length.

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

# Caffe's own bound.
AXES = 32
VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
# Layers of the format before 2014 have numbers for types; these carry weights.
V1_TYPES = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"}


class CaffeLayer(NamedTuple):
    """A layer: its name, its type ("Convolution", or a number in old files), and its arrays, in Caffe's order."""

    name: str
    type: str
    blobs: list[Array]


def read_caffemodel(data: bytes | memoryview) -> list[CaffeLayer]:
    r"""Read the layers of a Caffe model, those without weights too.

    Parameters
    ----------
    data : bytes-like
        A NetParameter message.

    Returns
    -------
    list of CaffeLayer
        (name, type, blobs) in the file's order; blobs float32, or float64 where the file has doubles. Old files have
        four axes for every blob, a bias (1, 1, 1, C).

    Raises
    ------
    WeightsError
        The bytes are no such message, cut short, or an array's shape does not fit its numbers.

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
        gives them.

    Raises
    ------
    WeightsError
        As `read_caffemodel`; the file cannot be read, or has no layer with weights, or two of one name.

    Notes
    -----
    Cost: one copy of the file. What the arrays mean depends on the layer's type, see `read_caffemodel`.
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
            "it has no layer with weights. A file from before 2014 must first be upgraded by Caffe's "
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
    """Return the axis sizes of a BlobShape, one field each or all in one."""
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
    """Yield (number, kind, value) of every field: an int for kind 0, else the bytes, never copied."""
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
                    f"a field claims {length} bytes of {len(message) - at}. Copy or download the file again."
                )
            value, at = message[at : at + length], at + length
        else:
            raise WeightsError(f"it has a field of kind {wire}, which no Caffe model has. Is it a .caffemodel?")
        yield number, wire, value


def _varint(message, at):
    """Return (number, where it ends)."""
    number = 0
    for i, byte in enumerate(message[at : at + 10]):
        number |= (byte & 127) << 7 * i
        if byte < 128:
            return number, at + i + 1
    raise WeightsError("a number is cut short or has more than ten bytes. Copy or download the file again.")
