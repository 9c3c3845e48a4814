"""The safetensors format: read without the library, written through it, its silent mistake avoided."""

import sys
import tracemalloc

import numpy as np
import pytest
from weights.writers import safetensors_bytes, safetensors_of, same, weights

from atrous.errors import AtrousError, BackendUnavailable
from atrous.weights.errors import WeightsError
from atrous.weights.files import load_weights, save_weights

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"]


def loaded(folder, content):
    path = folder / "w.safetensors"
    path.write_bytes(content)
    return load_weights(path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_read(tmp_path, rng, dtype):
    array = rng.integers(0, 2, (3, 4)).astype(dtype)
    given = {"b": array, "a": array[0, 0], "none": array[:0], "c": array[0]}
    same(loaded(tmp_path, safetensors_of(given)), given)


def test_halves_become_float32(tmp_path, rng):
    half = np.array([0, 1, -1.5, 65504, 6e-8, np.inf, np.nan], np.float16)
    found = loaded(tmp_path, safetensors_of({"w": half}))
    same(found, {"w": half.astype(np.float32)})
    # Bits of bfloat16 and what they mean: 1, −2, the largest, the least, ∞, 3.140625.
    bits = np.array([0x3F80, 0xC000, 0x7F7F, 0x0001, 0x7F80, 0x4049], "<u2")
    entry = {"w": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}
    wanted = np.array([1, -2, (2 - 2.0**-7) * 2.0**127, 2.0**-133, np.inf, 3.140625], np.float32)
    same(loaded(tmp_path, safetensors_bytes(entry, bits.tobytes())), {"w": wanted.reshape(2, 3)})


def test_the_order_is_the_header_s_not_the_data_s(tmp_path):
    header = {
        "z": {"dtype": "U8", "shape": [2], "data_offsets": [1, 3]},
        "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
    }
    found = loaded(tmp_path, safetensors_bytes(header, b"\7\10\11"))
    same(found, {"z": np.array([8, 9], np.uint8), "a": np.array([7], np.uint8)})


F4 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
WRONG = [
    ("header beyond the file", (2**40).to_bytes(8, "little") + b"{}", "format is unknown"),
    ("1e12 numbers", safetensors_bytes({"w": {**F4, "shape": [10**6, 10**6]}}, bytes(8)), "but has 8 bytes"),
    (
        "1e12 bytes",
        safetensors_bytes({"w": {"dtype": "U8", "shape": [10**12], "data_offsets": [0, 10**12]}}, bytes(8)),
        "claims bytes 0 to 1000000000000",
    ),
    ("cut short", safetensors_bytes({"w": F4}, bytes(7)), "to at most 7"),
    ("bytes left over", safetensors_bytes({"w": F4}, bytes(9)), "take 8 bytes, but it has 9"),
    ("a hole", safetensors_bytes({"w": {**F4, "data_offsets": [1, 9]}}, bytes(9)), "expected from 0"),
    ("overlap", safetensors_bytes({"w": F4, "v": {**F4, "data_offsets": [4, 12]}}, bytes(12)), "expected from 8"),
    ("twice the same place", safetensors_bytes({"w": F4, "v": F4}, bytes(8)), "expected from 8"),
    ("backwards", safetensors_bytes({"w": {**F4, "data_offsets": [8, 0]}}, bytes(8)), "but has -8 bytes"),
    ("negative axes", safetensors_bytes({"w": {**F4, "shape": [-1, -2]}}, bytes(8)), "at most 32 axes"),
    ("float axes", safetensors_bytes({"w": {**F4, "shape": [2.0]}}, bytes(8)), "at most 32 axes"),
    ("true axes", safetensors_bytes({"w": {**F4, "shape": [True, 2]}}, bytes(8)), "at most 32 axes"),
    ("negative place", safetensors_bytes({"w": {**F4, "data_offsets": [-8, 0]}}, bytes(8)), "at most 32 axes"),
    ("33 axes", safetensors_bytes({"w": {**F4, "shape": [2] + [1] * 32}}, bytes(8)), "at most 32 axes"),
    ("other shape", safetensors_bytes({"w": {**F4, "shape": [3]}}, bytes(8)), r"F32 \[3\], but has 8"),
    ("kind of 8 bits", safetensors_bytes({"w": {**F4, "dtype": "F8_E4M3"}}, bytes(8)), "'F8_E4M3'; expected F64"),
    ("kind a list", safetensors_bytes({"w": {**F4, "dtype": []}}, bytes(8)), "broken"),
    ("no kind", safetensors_bytes({"w": {"shape": [2], "data_offsets": [0, 8]}}, bytes(8)), "broken"),
    ("an array", safetensors_bytes(b"{}]"), "broken"),
    ("entry a number", safetensors_bytes({"w": 3}), "broken"),
    ("deep", safetensors_bytes(b'{"a":' * 100_000), "broken|unknown"),
    ("long number", safetensors_bytes(b'{"a":' + b"9" * 5000 + b"}"), "broken"),
    ("not UTF-8", safetensors_bytes(b'{"\xff": 1}'), "broken"),
    ("one name twice", safetensors_bytes(b'{"w": 1, "w": 2}'), "same name twice"),
    ("one key twice", safetensors_bytes(b'{"w": {"dtype": "F32", "dtype": "F32"}}'), "same name twice"),
]


@pytest.mark.parametrize(("content", "message"), [pytest.param(*row[1:], id=row[0]) for row in WRONG])
def test_wrong_headers_are_refused_before_memory_is_asked_for(tmp_path, content, message):
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match=message):
            loaded(tmp_path, content)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [*DTYPES, "f2"])
def test_the_library_writes_what_is_meant(tmp_path, rng, dtype, order):
    library = pytest.importorskip("safetensors.numpy")
    array = rng.integers(0, 9, (4, 3, 2)).astype(np.dtype(dtype).newbyteorder(order))
    given = {
        "plain": array,
        "transposed": array.T,
        "fortran": np.asfortranarray(array),
        "step": array[::2, ::-1],
        "broadcast": np.broadcast_to(array[:1], array.shape),
        "0-d": array[0, 0, 0],
        "none": array[:, :0],
    }
    path = tmp_path / "w.safetensors"
    save_weights(given, path)
    for found in (load_weights(path), library.load_file(path)):
        wide = dtype == "f2" and found["plain"].dtype == np.float32
        same({key: found[key] for key in given}, {k: a.astype(np.float32) if wide else a for k, a in given.items()})


def test_files_can_be_read_by_others_as_any_file(tmp_path):
    pytest.importorskip("safetensors")
    save_weights(weights(), tmp_path / "w.safetensors")
    (tmp_path / "any").write_bytes(b"")
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_what_the_library_writes_is_read(tmp_path):
    pytest.importorskip("safetensors.numpy").save_file(weights(), tmp_path / "w", {"format": "np"})
    found = load_weights(tmp_path / "w")
    assert sorted(found) == sorted(weights())
    same({key: found[key] for key in weights()}, weights())


@pytest.mark.torch
def test_what_torch_writes_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    save = pytest.importorskip("safetensors.torch").save_file
    wide = torch.arange(-6.0, 6.0).reshape(3, 4) / 7
    save({"b": wide.to(torch.bfloat16), "h": wide.half(), "f": wide}, tmp_path / "w")
    found = load_weights(tmp_path / "w")
    wanted = {"b": wide.to(torch.bfloat16).float(), "h": wide.half().float(), "f": wide}
    same({key: found[key] for key in wanted}, {key: value.numpy() for key, value in wanted.items()})


def test_without_the_library_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(BackendUnavailable, match=r'pip install "atrous\[weights\]"') as caught:
        save_weights(weights(), tmp_path / "w.safetensors")
    assert isinstance(caught.value, AtrousError)
    assert list(tmp_path.iterdir()) == []
    same(loaded(tmp_path, safetensors_of(weights())), weights())
