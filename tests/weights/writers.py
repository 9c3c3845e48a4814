"""Weight files made by hand, byte by byte, right ones and wrong ones."""

import json
import struct
import tarfile
import zipfile
from io import BytesIO

import numpy as np

from atrous.weights.files import load_weights

TORCH_NAMES = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long", "i4": "Int", "i2": "Short", "i1": "Char"}
TORCH_NAMES |= {"u1": "Byte", "b1": "Bool"}

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "f4", "f8"]


def loaded(folder, content):
    """Write a file, and read it."""
    path = folder / "w.pth"
    path.write_bytes(content)
    return load_weights(path)


def weights(rng=None):
    """Return a small dictionary with the shapes and kinds that networks have."""
    rng = rng or np.random.default_rng(0)
    return {
        "conv1.weight": rng.standard_normal((4, 3, 2, 2)).astype(np.float32),
        "bn1.running_mean": rng.standard_normal(4),
        "bn1.num_batches_tracked": np.array(7),
        "mask": np.array([True, False]),
        "none": np.zeros((0, 3), np.float32),
    }


def same(found, wanted):
    """Assert equal names, shapes, dtypes and values, in native order."""
    assert list(found) == list(wanted)
    for name, array in ((name, np.asarray(array)) for name, array in wanted.items()):
        assert found[name].shape == array.shape, name
        assert found[name].dtype == array.dtype.newbyteorder("="), name
        assert found[name].dtype.isnative
        assert np.array_equal(found[name], array, equal_nan=array.dtype.kind == "f"), name


# Pickles, from their instructions


class Op(bytes):
    """Instructions of a pickle that leave one object."""


def name(module, what):
    return Op(f"c{module}\n{what}\n".encode())


def code(value):
    """Return the instructions that make a value, as protocol 2 has them."""
    if isinstance(value, Op):
        return value
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        long = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(long)]) + long
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, tuple):
        return b"(" + b"".join(map(code, value)) + b"t"
    assert isinstance(value, dict)
    return b"}(" + b"".join(code(key) + code(item) for key, item in value.items()) + b"u"


def call(function, *arguments):
    return Op(code(function) + code(arguments) + b"R")


def ordered(items=None, state=None):
    """Return an OrderedDict, as state dicts are, with its attribute `_metadata`."""
    filled = code(call(name("collections", "OrderedDict"))) + code(items or {})[1:]
    return Op(filled + code(state or {"_metadata": {"": {"version": 1}}}) + b"b")


def storage(key, count, kind="Float", what="storage"):
    return Op(code((what, name("torch", f"{kind}Storage"), key, "cpu", count)) + b"Q")


def tensor(place, shape, offset=0, strides=None):
    if strides is None:
        strides = tuple(np.cumprod((1, *shape[:0:-1]))[::-1].tolist()) if shape else ()
    return call(name("torch._utils", "_rebuild_tensor_v2"), place, offset, shape, strides, False, ordered())


def archive(top, storages, folder="net", byteorder=b"little", method=zipfile.ZIP_STORED):
    """Return the bytes of a .pth: the object `top` and the storages, key → bytes."""
    pickle = top if isinstance(top, bytes) and not isinstance(top, Op) else b"\x80\2" + code(top) + b"."
    members = {"data.pkl": pickle, "version": b"3\n", **{f"data/{key}": raw for key, raw in storages.items()}}
    if byteorder is not None:
        members["byteorder"] = byteorder
    return zipped({f"{folder}/{key}": raw for key, raw in members.items()}, method)


def zipped(members, method=zipfile.ZIP_STORED):
    file = BytesIO()
    with zipfile.ZipFile(file, "w", method) as out:
        for key, raw in members.items():
            out.writestr(key, raw)
    return file.getvalue()


def torch_bytes(arrays, order="<", wrap=ordered, **how):
    """Return a .pth of arrays as torch.save would write it."""
    items, storages = {}, {}
    for key, array in ((key, np.asarray(array)) for key, array in arrays.items()):
        raw = np.asarray(array, array.dtype.newbyteorder(order), order="C").tobytes()
        kind = TORCH_NAMES[f"{array.dtype.kind}{array.itemsize}"]
        storages[f"{len(storages)}"] = raw
        items[key] = tensor(storage(f"{len(items)}", array.size, kind), array.shape)
    return archive(wrap(items), storages, **how)


def legacy(top, storages, sizes=None, first=b"", order="little", protocol=1001):
    """Return the bytes of a .pth from before PyTorch 1.6: the object `top` and the storages, key → bytes.

    sizes: key → elements of each storage, by default as many as there are float32 in its bytes.
    """
    sizes = sizes or {key: len(raw) // 4 for key, raw in storages.items()}
    magic = Op(b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19")
    keys = Op(b"](" + b"".join(map(code, storages)) + b"e")
    facts = {"protocol_version": 1001, "little_endian": order == "little", "type_sizes": {"short": 2}}
    pickles = (first or code(magic), code(protocol), code(facts), code(top), code(keys))
    raw = b"".join(sizes[key].to_bytes(8, order) + raw for key, raw in storages.items())
    return b"".join(b"\x80\2" + pickle + b"." for pickle in pickles) + raw


def legacy_storage(key, count, kind="Float", view=None, what="storage", module="torch"):
    return Op(code((what, name(module, f"{kind}Storage"), key, "cpu", count, view)) + b"Q")


def legacy_bytes(arrays, wrap=ordered, **how):
    """Return a .pth of arrays as torch.save wrote it before PyTorch 1.6."""
    items, storages, sizes = {}, {}, {}
    for key, array in ((key, np.asarray(array)) for key, array in arrays.items()):
        at = f"{94000000000000 + len(items)}"
        storages[at] = np.asarray(array, array.dtype.newbyteorder("<"), order="C").tobytes()
        kind = TORCH_NAMES[f"{array.dtype.kind}{array.itemsize}"]
        sizes[at] = array.size
        items[key] = tensor(legacy_storage(at, array.size, kind), array.shape)
    return legacy(wrap(items), storages, sizes, **how)


def packed(members):
    """Return a tar archive."""
    file = BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as out:
        for key, raw in members.items():
            entry = tarfile.TarInfo(key)
            entry.size = len(raw)
            out.addfile(entry, BytesIO(raw))
    return file.getvalue()


def one(value):
    """Return a pickle of one value."""
    return b"\x80\2" + code(value) + b"."


def int64(*values):
    return struct.pack(f"<{len(values)}q", *values)


def tar_members(arrays, wrap=ordered, views=(), tensors=()):
    """Return name → bytes of the members of a .pth from before PyTorch 0.1.10.

    views: (key, root, first, elements); tensors: (name, key of its storage, shape, strides, offset) beside the arrays.
    """
    storages, described = one(len(arrays)), []
    for at, (key, array) in enumerate(((key, np.asarray(array)) for key, array in arrays.items()), 100):
        kind = TORCH_NAMES[f"{array.dtype.kind}{array.itemsize}"]
        storages += one((at, "cpu", name("torch", f"{kind}Storage"))) + int64(array.size)
        storages += np.asarray(array, array.dtype.newbyteorder("<"), order="C").tobytes()
        strides = [step // array.itemsize for step in np.ascontiguousarray(array).strides[: array.ndim]]
        described.append((key, at, array.shape, strides, 0))
    described += tensors
    raw, items = one(len(described)), {}
    for number, (key, at, shape, strides, offset) in enumerate(described, 900):
        raw += one((number, at, name("torch", "FloatTensor"))) + int64(len(shape), *shape, *strides, offset)
        items[key] = Op(code(str(number)) + b"Q")
    storages += b"\x80\2](" + b"".join(code(view) for view in views) + b"e."
    return {"sys_info": one({}), "storages": storages, "tensors": raw, "pickle": one(wrap(items))}


# safetensors


def safetensors_bytes(header, data=b"", pad=0):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text = text.ljust(pad)
    return struct.pack("<Q", len(text)) + text + data


def safetensors_of(arrays, pad=0):
    kinds = {"f8": "F64", "f4": "F32", "f2": "F16", "b1": "BOOL"}
    header, data = {"__metadata__": {"format": "np"}}, b""
    for key, array in ((key, np.asarray(array)) for key, array in arrays.items()):
        kind = f"{array.dtype.kind}{array.itemsize}"
        kind = kinds.get(kind, f"{kind[0].upper()}{8 * array.itemsize}")
        end = len(data) + array.nbytes
        header[key] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), end]}
        data += array.tobytes()
    return safetensors_bytes(header, data, pad)


# Protocol buffers


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, value):
    """Return a field: bytes with their length, text, or a number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(array, legacy=False):
    array = np.asarray(array)
    data = field(8 if array.dtype == np.float64 else 5, array.astype(array.dtype.newbyteorder("<")).tobytes())
    if legacy:
        shape = b"".join(field(i + 1, n) for i, n in enumerate(array.shape))
        return shape + data
    return data + field(7, field(1, b"".join(map(varint, array.shape))))


def layer(title, kind, *blobs, number=100):
    """Return a layer of a network, V1's with number 2."""
    at = (4, 5, 6) if number == 2 else (1, 2, 7)
    return field(number, b"".join(map(field, at, (title, kind))) + b"".join(field(at[2], raw) for raw in blobs))


def caffemodel_bytes(arrays):
    return field(1, "net") + b"".join(layer(key, "Convolution", blob(array)) for key, array in arrays.items())
