"""Caffe's files, hand-made: new and old layers, shapes and numbers in every form, and fields that lie."""

import struct
import tracemalloc

import numpy as np
import pytest
from weights.writers import blob, caffemodel_bytes, field, layer, same, varint

from atrous.errors import ParameterError
from atrous.weights.caffemodel import load_caffemodel, read_caffemodel
from atrous.weights.errors import WeightsError
from atrous.weights.files import load_weights

W = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
B = np.array([0.5, -1], np.float32)
RAW = W.tobytes()


def test_layers_of_both_formats_are_read():
    data = (
        field(1, "net")
        + field(3, "data")
        + layer("data", "Input")
        + layer("conv1", "Convolution", blob(W), blob(B))
        + layer("relu", 18, number=2)
        + layer("fc6", 14, blob(W, legacy=True), blob(B.reshape(1, 1, 1, 2), legacy=True), number=2)
        + layer("conv2", 4, blob(W.astype(np.float64)), number=2)
    )
    layers = read_caffemodel(data)
    types = [
        ("data", "Input"),
        ("conv1", "Convolution"),
        ("relu", "18"),
        ("fc6", "InnerProduct"),
        ("conv2", "Convolution"),
    ]
    assert [found[:2] for found in layers] == types
    wanted = [[], [W, B], [], [W, B.reshape(1, 1, 1, 2)], [W.astype(np.float64)]]
    for found, arrays in zip(layers, wanted, strict=True):
        same(dict(enumerate(found.blobs)), dict(enumerate(arrays)))
        assert all(array.flags.writeable and array.flags.aligned for array in found.blobs)


def unpacked(array):
    """Return a blob with a field for each number and axis."""
    key = varint(5 << 3 | 5) if array.itemsize == 4 else varint(8 << 3 | 1)
    kind = "<f" if array.itemsize == 4 else "<d"
    numbers = b"".join(key + struct.pack(kind, value) for value in array.ravel().tolist())
    return field(7, b"".join(field(1, n) for n in array.shape)) + numbers


FORMS = [
    ("packed", blob(W), W),
    ("unpacked", unpacked(W), W),
    ("doubles", blob(W.astype(float)), W.astype(float)),
    ("unpacked doubles", unpacked(W.astype(float)), W.astype(float)),
    ("in two parts", field(5, RAW[:40]) + field(5, RAW[40:]) + field(7, field(1, bytes(W.shape))), W),
    ("0-d", field(5, W[0, 0, 0, :1].tobytes()) + field(7, b""), W[0, 0, 0, 0]),
    ("new shape wins", blob(W) + field(1, 99), W),
    ("with gradients", field(6, bytes(96)) + blob(W) + field(9, bytes(8)), W),
    ("unknown fields", field(2000, "x") + blob(W) + varint(77 << 3 | 5) + b"four" + varint(78 << 3 | 1) + bytes(8), W),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "array"), [pytest.param(*row[1:], id=row[0]) for row in FORMS])
def test_numbers_in_every_form(raw, array):
    (found,) = read_caffemodel(layer("l", "T", raw))
    same({"w": found.blobs[0]}, {"w": array})


def test_names_in_any_letters_are_read():
    (found,) = read_caffemodel(layer("größe", "Type"))
    assert found[:2] == ("größe", "Type")
    (found,) = read_caffemodel(layer(b"a\xff", b"\xfe"))
    assert found[:2] == ("a\ufffd", "\ufffd")


def test_files_give_a_flat_dictionary(tmp_path):
    path = tmp_path / "net.caffemodel"
    data = layer("data", "Input") + layer("conv1", "Convolution", blob(W), blob(B)) + layer("fc/6", "IP", blob(B))
    path.write_bytes(field(1, "net") + data)
    for found in (load_caffemodel(path), load_caffemodel(str(path)), load_weights(path)):
        same(found, {"conv1.0": W, "conv1.1": B, "fc/6.0": B})


def test_a_long_net_name_is_no_web_page(tmp_path):
    path = tmp_path / "net.caffemodel"
    content = field(1, "n" * 60) + layer("l", "T", blob(B))
    assert content[:2] == b"\n<"
    path.write_bytes(content)
    same(load_weights(path), {"l.0": B})


WRONG = [
    ("no weights", layer("data", "Input"), "upgrade_net_proto_binary"),
    ("one name twice", layer("a", "T", blob(B)) + layer("a", "T", blob(W)), "two layers.*'a'"),
    (
        "shape too large",
        layer("a", "T", field(5, bytes(8)) + field(7, field(1, varint(3)))),
        r"\(3,\), but has 8 bytes",
    ),
    ("no numbers", layer("a", "T", field(7, field(1, varint(3)))), "but has 0 bytes"),
    ("no shape", layer("a", "T", field(5, bytes(8))), r"\(0, 0, 0, 0\), but has 8"),
    ("empty", layer("a", "T", b""), "but has 0 bytes"),
    ("1e12 numbers", layer("a", "T", field(5, bytes(8)) + field(7, field(1, varint(10**12)))), "claims shape"),
    ("negative axis", layer("a", "T", field(5, bytes(8)) + field(7, field(1, varint(2**64 - 2)))), "claims shape"),
    ("zero axes", layer("a", "T", field(7, field(1, varint(0) + varint(2**63)))), "claims shape"),
    ("33 axes", layer("a", "T", field(5, bytes(4)) + field(7, field(1, varint(1) * 33))), "claims shape"),
    ("half a number", layer("a", "T", field(5, bytes(7)) + field(7, field(1, varint(2)))), "but has 7"),
    ("floats and doubles", layer("a", "T", blob(B) + field(8, bytes(16))), "claims shape"),
    ("length", varint(100 << 3 | 2) + varint(10**12), "claims 1000000000000 bytes, but 0"),
    ("inner length", field(100, varint(7 << 3 | 2) + varint(50) + b"x" * 49), "claims 50 bytes, but 49"),
    ("float cut", field(100, field(7, varint(5 << 3 | 5) + b"123")), "claims 4 bytes, but 3"),
    ("group", varint(9 << 3 | 3) + b"x", "kind 3"),
    ("kind 7", varint(9 << 3 | 7) + b"x", "kind 7"),
    ("endless number", b"\xff" * 11, "more than ten bytes"),
    ("number cut", b"\xff" * 3, "cut short"),
]


@pytest.mark.parametrize(("data", "message"), [pytest.param(*row[1:], id=row[0]) for row in WRONG])
def test_wrong_files_are_refused_before_memory_is_asked_for(tmp_path, data, message):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match=message):
            load_weights(path)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_bad_paths_are_told(tmp_path):
    with pytest.raises(ParameterError, match="got int"):
        load_caffemodel(3)
    with pytest.raises(WeightsError, match=r"load_caffemodel: cannot read .*gone: No such file"):
        load_caffemodel(tmp_path / "gone")
    with pytest.raises(WeightsError, match="cannot read"):
        load_caffemodel(tmp_path)


def test_numbers_are_copied_once(tmp_path):
    path = tmp_path / "net.caffemodel"
    big = np.ones((1 << 20, 4), np.float32)
    path.write_bytes(caffemodel_bytes({"a": big}))
    tracemalloc.start()
    try:
        found = load_weights(path)
        assert tracemalloc.get_traced_memory()[1] < 1.3 * big.nbytes
    finally:
        tracemalloc.stop()
    same(found, {"a.0": big})
