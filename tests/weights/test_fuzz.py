"""Files cut short and damaged at random: arrays or one error, in little time and memory."""

import time
import tracemalloc
import zipfile
from io import BytesIO

import numpy as np
import pytest
from weights.writers import (
    caffemodel_bytes,
    legacy_bytes,
    packed,
    safetensors_of,
    tar_members,
    torch_bytes,
    weights,
    zipped,
)  # fmt: skip

from atrous.weights.errors import WeightsError
from atrous.weights.files import load_weights

FLOATS = {key: array for key, array in weights().items() if array.dtype == np.float32 and array.size}


def npz(save):
    file = BytesIO()
    save(file, **weights())
    return file.getvalue()


FILES = {
    "w.npz": npz(np.savez),
    "compressed.npz": npz(np.savez_compressed),
    "w.safetensors": safetensors_of(weights()),
    "w.pth": torch_bytes(weights()),
    "legacy.pth": legacy_bytes(weights()),
    "tar.pth": packed(tar_members(weights())),
    "w.caffemodel": caffemodel_bytes(FLOATS),
}


@pytest.fixture
def attempt(tmp_path):
    """Return a function that loads bytes under a name and returns the arrays, or None if they were refused."""

    def load(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        started = time.process_time()
        try:
            found = load_weights(path)
        except WeightsError as error:
            found, message = None, str(error)
        assert time.process_time() - started < 1
        if found is None:
            assert message.startswith(f"load_weights: cannot read {path}: ")
            assert len(message) < 700 + len(str(path))
            return None
        # Every number is looked at: a view that left its storage would be seen here.
        assert all(isinstance(array.tobytes(), bytes) and array.nbytes <= 2 * len(content) for array in found.values())
        return found

    tracemalloc.start()
    yield load
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def flipped(content, rng, times):
    content = bytearray(content)
    for at in rng.integers(0, len(content), times):
        content[at] ^= 1 << rng.integers(8)
    return bytes(content)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_refused(attempt, name):
    whole = FILES[name]
    assert attempt(name, whole) is not None
    # A tar archive ends in zeros.
    end = len(whole.rstrip(b"\0")) if name == "tar.pth" else len(whole)
    loads = [at for at in range(0, end, 13) if attempt(name, whole[:at]) is not None]
    # Fields of a protocol buffer just end: a file cut after a layer is right.
    assert len(loads) <= 2 * name.endswith(".caffemodel")


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_raise_nothing_else(attempt, rng, name):
    found = [attempt(name, flipped(FILES[name], rng, times)) for times in (1, 1, 3, 20) for _ in range(40)]
    assert sum(arrays is None for arrays in found) > 40


@pytest.mark.parametrize(("name", "wanted"), [("w.npz", ".npy"), ("w.pth", "data.pkl")])
def test_damage_that_the_archive_does_not_see(attempt, rng, name, wanted):
    # Packed again, so that the checksums of the archive are right.
    with zipfile.ZipFile(BytesIO(FILES[name])) as archive:
        members = {key: archive.read(key) for key in archive.namelist()}
    told = 0
    for i in range(200):
        changed = {
            key: flipped(raw[:96], rng, 1 + i % 3) + raw[96:] if key.endswith(".npy") else flipped(raw, rng, 1 + i % 3)
            for key, raw in members.items()
            if key.endswith(wanted)
        }
        told += attempt(name, zipped(members | changed)) is None
    assert told > 50


def test_pickles_of_random_instructions(attempt, rng):
    pieces = [bytes([i]) for i in range(256)] + [b"q\0", b"h\0", b"K\1", b"(", b")", b"}", b"t", b"R", b"u", b"Q"] * 9
    pieces += [b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n", b"ctorch\nFloatStorage\n"] * 9
    with zipfile.ZipFile(BytesIO(FILES["w.pth"])) as archive:
        members = {key: archive.read(key) for key in archive.namelist()}
    for _ in range(200):
        chosen = rng.integers(0, len(pieces), rng.integers(1, 40))
        members["net/data.pkl"] = b"\x80\2" + b"".join(pieces[i] for i in chosen) + b"."
        attempt("w.pth", zipped(members))


def test_noise(attempt, rng):
    for start in (b"", b"PK\3\4", b"PK\5\6", b"\x30\0\0\0\0\0\0\0{", b"\n", b"\xa2\6"):
        for name in FILES:
            for _ in range(5):
                assert attempt(name, start + rng.bytes(200)) is None
