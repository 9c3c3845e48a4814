"""Loading and saving: what a file is, whatever its name, and files written whole or not at all."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from weights.writers import (
    caffemodel_bytes,
    safetensors_bytes,
    safetensors_of,
    same,
    torch_bytes,
    weights,
    zipped,
)

from atrous.errors import AtrousError, DTypeError, ParameterError
from atrous.weights.errors import WeightsError
from atrous.weights.files import load_weights, save_weights


@pytest.mark.parametrize("name", ["net.npz", "net.safetensors", "NET.NPZ"])
def test_what_is_saved_comes_back(tmp_path, name):
    if "safetensors" in name:
        pytest.importorskip("safetensors")
    path = tmp_path / name
    assert save_weights(weights(), path) is None
    found = load_weights(str(path))
    same({key: found[key] for key in weights()}, weights())
    assert all(array.flags.writeable for array in found.values())
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["net", "net.pth", "net.npz", "net.safetensors", "net.caffemodel"])
def test_a_file_is_known_by_what_it_holds(tmp_path, name):
    save_weights(weights(), tmp_path / "right.npz")
    for content in ((tmp_path / "right.npz").read_bytes(), torch_bytes(weights()), safetensors_of(weights())):
        (tmp_path / name).write_bytes(content)
        same(load_weights(tmp_path / name), weights())


def test_a_safetensors_header_of_384_bytes_is_no_pickle(tmp_path):
    content = safetensors_of({"w": np.ones(3)}, pad=384)
    assert content[:2] == b"\x80\1"
    (tmp_path / "w").write_bytes(content)
    same(load_weights(tmp_path / "w"), {"w": np.ones(3)})


def test_a_caffemodel_is_known_by_its_ending(tmp_path):
    path = tmp_path / "net.CaffeModel"
    path.write_bytes(caffemodel_bytes({"fc6": np.ones((2, 3), np.float32)}))
    same(load_weights(path), {"fc6.0": np.ones((2, 3), np.float32)})
    with pytest.raises(WeightsError, match=r"format is unknown.*\.caffemodel"):
        load_weights(path.rename(tmp_path / "net.bin"))


NO_WEIGHTS = [
    ("empty", b"", "it is empty. Download"),
    ("web page", b"\n <!DOCTYPE html><p>Sign in", "web page"),
    ("web page in capitals", b"<HTML>", "web page"),
    ("git-lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
    ("pickle", b"\x80\4\x95\0", "it is a pickle"),
    ("one array", b"\x93NUMPY\1\0", "one array without a name"),
    ("HDF5", b"\x89HDF\r\n", "HDF5"),
    ("gzip", gzip.compress(b"weights"), "Unpack"),
    ("noise", bytes(range(200, 256)), "format is unknown"),
    ("zip of texts", zipped({"readme.txt": b"hello"}), r"'readme\.txt' in it is not an array"),
    ("zip of nothing", zipped({}), "has no arrays"),
    ("safetensors of nothing", safetensors_bytes({}), "has no arrays"),
    ("a nameless array", safetensors_of({"": np.ones(2)}), "without a name"),
]


@pytest.mark.parametrize(("content", "message"), [pytest.param(*row[1:], id=row[0]) for row in NO_WEIGHTS])
@pytest.mark.parametrize("name", ["w.npz", "w.pth"])
def test_what_is_no_weights_is_told_with_its_name(tmp_path, content, message, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"(?s)^load_weights: cannot read .*{name}: .*{message}") as caught:
        load_weights(tmp_path / name)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, AtrousError)


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(WeightsError, match=r"gone\.npz: No such file"):
        load_weights(tmp_path / "gone.npz")
    with pytest.raises(WeightsError, match="it is a folder"):
        load_weights(tmp_path)
    (tmp_path / "folder.npz").mkdir()
    for overwrite in (True, False):
        with pytest.raises(WeightsError, match="already"):
            save_weights(weights(), tmp_path / "folder.npz", overwrite=overwrite)
    with pytest.raises(WeightsError, match=r"cannot write .*nowhere.*No such file"):
        save_weights(weights(), tmp_path / "nowhere" / "w.npz")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError(), KeyboardInterrupt()])
def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch, error):
    path = tmp_path / "w.npz"
    save_weights(weights(), path)
    before = path.read_bytes()

    def half(arrays, partial):
        Path(partial).write_bytes(b"half")
        raise error

    monkeypatch.setattr("atrous.weights.files.write_npz", half)
    wanted = (WeightsError, r"w\.npz: (No space left|there is not enough)")
    wanted = wanted if isinstance(error, Exception) else (KeyboardInterrupt, None)
    with pytest.raises(wanted[0], match=wanted[1]):
        save_weights({"other": np.ones(3)}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["w.npz"]


def test_a_file_is_replaced_only_if_wanted(tmp_path):
    path = tmp_path / "w.npz"
    save_weights(weights(), path)
    with pytest.raises(WeightsError, match="overwrite=True"):
        save_weights({"a": np.ones(3)}, path, overwrite=False)
    same(load_weights(path), weights())
    save_weights({"a": np.ones(3)}, path)
    same(load_weights(path), {"a": np.ones(3)})
    save_weights({"a": np.ones(3)}, tmp_path / "new.npz", overwrite=False)


def test_arguments_are_not_modified(tmp_path):
    given = {"w": np.arange(6.0).reshape(2, 3).T, "big": np.arange(3, dtype=">f4")}
    kept = {key: (array, array.copy()) for key, array in given.items()}
    save_weights(given, tmp_path / "w.npz")
    assert all(given[key] is array and np.array_equal(array, copy) for key, (array, copy) in kept.items())


ONE = np.ones(2)
BAD = [
    ("a torch file", lambda p: save_weights({"a": ONE}, p / "w.pth"), ParameterError, r"only be read.*'w\.npz'"),
    ("a Caffe file", lambda p: save_weights({"a": ONE}, p / "w.caffemodel"), ParameterError, "only be read"),
    (
        "no ending",
        lambda p: save_weights({"a": ONE}, p / "w"),
        ParameterError,
        r"end in \.npz or \.safetensors, got 'w'",
    ),
    (
        "no path to write",
        lambda p: save_weights({"a": ONE}, None),
        ParameterError,
        "path must be text or a path, got None",
    ),
    ("no path to read", lambda p: load_weights(3), ParameterError, "path must be text or a path, got 3"),
    ("no weights", lambda p: save_weights({}, p / "w.npz"), ParameterError, "at least one name to an array, got none"),
    ("a list", lambda p: save_weights([ONE], p / "w.npz"), ParameterError, "weights must be a dictionary of arrays"),
    (
        "None",
        lambda p: save_weights(None, p / "w.npz"),
        ParameterError,
        "weights must be a dictionary of arrays.*got None",
    ),
    ("empty name", lambda p: save_weights({"": ONE}, p / "w.npz"), ParameterError, "got ''"),
    ("name with NUL", lambda p: save_weights({"a\0b": ONE}, p / "w.npz"), ParameterError, "NUL"),
    ("number for a name", lambda p: save_weights({3: ONE}, p / "w.npz"), ParameterError, "got 3"),
    ("half a letter", lambda p: save_weights({"\ud800": ONE}, p / "w.npz"), WeightsError, "Unicode"),
    ("list for an array", lambda p: save_weights({"a": [1.0]}, p / "w.npz"), DTypeError, "got list"),
    (
        "masked array",
        lambda p: save_weights({"a": np.ma.array([1.0])}, p / "w.npz"),
        DTypeError,
        r"weights\[.a.\] must be a plain array",
    ),
    ("objects", lambda p: save_weights({"a": np.array([None])}, p / "w.npz"), DTypeError, "got object"),
    ("text", lambda p: save_weights({"a": np.array(["x"])}, p / "w.npz"), DTypeError, "got <U1"),
    ("complex", lambda p: save_weights({"a": ONE * 1j}, p / "w.npz"), DTypeError, "complex128"),
    ("long", lambda p: save_weights({"a": ONE.astype("g")}, p / "w.npz"), DTypeError, "8 bytes"),
]


@pytest.mark.parametrize(("do", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_bad_input_gives_one_clear_error(tmp_path, do, error, message):
    if message == "8 bytes" and np.dtype("g").itemsize == 8:
        pytest.skip("long double is double here")
    with pytest.raises(error, match=message) as caught:
        do(tmp_path)
    assert isinstance(caught.value, AtrousError)
    assert os.listdir(tmp_path) == []
