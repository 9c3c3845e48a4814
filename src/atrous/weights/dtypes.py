"""The number types of weight files under the names of safetensors, and the conversion of bytes to numbers."""

import numpy as np

# bfloat16 (the upper half of a float32) and booleans are first read as unsigned integers.
BYTES = {
    "F64": "f8", "F32": "f4", "F16": "f2", "BF16": "u2", "BOOL": "u1",
    "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1",
    "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1",
}  # fmt: skip


def itemsize(kind):
    """Return how many bytes one number of a type takes in a file."""
    return int(BYTES[kind][1:])


def numbers(raw, kind, order="<"):
    """Return bytes (uint8) as a flat array in native byte order; bfloat16 and float16 become float32."""
    array = raw.view(order + BYTES[kind])
    if kind == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    if kind == "F16":
        return array.astype(np.float32)
    return array != 0 if kind == "BOOL" else native(array)


def native(array):
    """Return an array in this machine's byte order; in a boolean array any nonzero byte becomes True."""
    if array.dtype == bool:
        return array.view(np.uint8) != 0
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def plain(dtype):
    """Tell whether weight files can hold this dtype: booleans, integers and floats of at most 8 bytes."""
    return dtype.kind in "biuf" and dtype.itemsize <= 8
