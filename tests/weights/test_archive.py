"""The .npz archive: every name and dtype comes back, and nothing that claims too much is read."""

import io
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from weights.writers import same, weights, zipped

from atrous.weights.archive import members, read_npz
from atrous.weights.errors import WeightsError
from atrous.weights.files import load_weights, save_weights

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]


def npy(array, version=None, **how):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), version, **how)
    return file.getvalue()


def header(text):
    """Return a .npy header that says what it likes."""
    raw = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(raw).to_bytes(2, "little") + raw


def loaded(path, content):
    path = path / "w.npz"
    path.write_bytes(content)
    return load_weights(path)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_back(tmp_path, rng, dtype, order):
    array = rng.integers(0, 2, (3, 4)).astype(np.dtype(dtype).newbyteorder(order))
    given = {"a": array, "0-d": array[0, 0], "none": array[:0], "f": np.asfortranarray(array), "cut": array[::-2, 1::2]}
    save_weights(given, tmp_path / "w.npz")
    same(load_weights(tmp_path / "w.npz"), given)
    with np.load(tmp_path / "w.npz") as found:
        assert all(found[name].dtype.isnative for name in given)
    # As NumPy writes them, in their own byte order.
    np.savez(tmp_path / "n.npz", **given)
    same(load_weights(tmp_path / "n.npz"), given)
    np.savez_compressed(tmp_path / "c.npz", **given)
    same(load_weights(tmp_path / "c.npz"), given)


def test_numpy_reads_it_and_names_are_free(tmp_path):
    names = ["file", "allow_pickle", "arr_0", "a.b.0", "a/b", "../up", "a.npy", "ünï 漢", " ", "x" * 300, "/", "self"]
    given = {name: np.full(2, i) for i, name in enumerate(names)}
    save_weights(given, tmp_path / "w.npz")
    same(load_weights(tmp_path / "w.npz"), given)
    with np.load(tmp_path / "w.npz") as found:
        assert [np.array_equal(found[f"{name}.npy"], array) for name, array in given.items()] == [True] * len(names)


def test_equal_weights_give_equal_files(tmp_path):
    for name in "ab":
        save_weights(weights(), tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}


def test_bytes_that_are_no_truth_values_become_true(tmp_path):
    raw = npy(np.zeros(3, bool))[:-3] + bytes([0, 1, 9])
    found = loaded(tmp_path, zipped({"a.npy": raw}))["a"]
    assert found.view(np.uint8).tolist() == [0, 1, 1]


def test_format_two_is_read_unaligned_too(tmp_path):
    raw = npy(np.arange(3.0), version=(2, 0))
    same(loaded(tmp_path, zipped({"a.npy": raw})), {"a": np.arange(3.0)})
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }\n"
    odd = b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + np.arange(3.0).tobytes()
    assert len(text) % 8 == 2
    found = loaded(tmp_path, zipped({"a.npy": odd}))
    same(found, {"a": np.arange(3.0)})
    assert found["a"].flags.aligned


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was run",))


@pytest.mark.parametrize("array", [np.array([None]), np.array([Trap()])], ids=["None", "trap"])
def test_pickled_objects_are_never_read(tmp_path, array):
    with pytest.raises(WeightsError, match="never read"):
        loaded(tmp_path, zipped({"a.npy": npy(array, allow_pickle=True)}))
    with pytest.raises(WeightsError, match="magic"):
        loaded(tmp_path, zipped({"a.npy": pickle.dumps([1])}))


CLAIMS = [
    ("1e12 numbers", header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }"), "claims shape"),
    ("overflow", header("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }"), "claims"),
    ("negative", header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -2), }") + bytes(8), "claims shape"),
    ("one more", npy(np.ones(3)) + b"\0", r"\(3,\), but has 25 bytes"),
    ("one less", npy(np.ones(3))[:-1], "but has 23 bytes"),
    ("text", npy(np.array(["ab"])), "holds <U2"),
    ("complex", npy(np.ones(2) * 1j), "complex128"),
    ("records", npy(np.zeros(2, "f4, i4")), "not booleans"),
    ("version 9", b"\x93NUMPY\x09\0" + header("")[8:], "version"),
    ("no header", b"\x93NUMPY\1\0", "broken or cut short"),
    ("a call", header("__import__('os').abort()"), "broken or cut short"),
    ("nested", header("(" * 100), "broken or cut short"),
    ("other keys", header("{'descr': '<f4', 'shape': (1,)}"), "broken or cut short"),
    ("no bytes", b"", "broken or cut short"),
]


@pytest.mark.parametrize(("raw", "message"), [pytest.param(*row[1:], id=row[0]) for row in CLAIMS])
def test_a_header_that_disagrees_with_its_member_is_refused(tmp_path, raw, message):
    with pytest.raises(WeightsError, match=message):
        loaded(tmp_path, zipped({"a.npy": raw}))


def patched(content, entry, **sizes):
    """Return an archive whose directory claims other sizes for its only entry."""
    at = content.index(b"PK\1\2")
    for name, place in (("packed", 20), ("size", 24)):
        if name in sizes:
            content = content[: at + place] + sizes[name].to_bytes(4, "little") + content[at + place + 4 :]
    return content


@pytest.mark.parametrize(
    ("method", "sizes"),
    [
        (zipfile.ZIP_STORED, {"size": 2**31}),
        (zipfile.ZIP_STORED, {"size": 2**31, "packed": 2**31}),
        (zipfile.ZIP_DEFLATED, {"size": 2**31}),
        (zipfile.ZIP_DEFLATED, {"size": 2**31, "packed": 2**30}),
    ],
)
def test_a_member_that_claims_more_than_the_file_is_refused_before_memory_is_asked_for(tmp_path, method, sizes):
    content = patched(zipped({"a.npy": npy(np.arange(50.0))}, method), "a.npy", **sizes)
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match="more than the file"):
            loaded(tmp_path, content)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_a_bomb_is_refused_by_the_limit(tmp_path):
    content = zipped({f"{i}.npy": npy(np.zeros(10**5)) for i in range(3)}, zipfile.ZIP_DEFLATED)
    assert len(content) < 10_000
    size = 3 * len(npy(np.zeros(10**5)))
    for limit, refused in ((size - 1, True), (size, False)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if refused:
                with pytest.raises(WeightsError, match=f"claim {size} bytes; at most {limit}"):
                    read_npz(archive, len(content), limit)
            else:
                assert len(read_npz(archive, len(content), limit)) == 3


def test_the_limit_is_16_gib():
    class Claims:
        def infolist(self):
            entry = zipfile.ZipInfo("a.npy")
            entry.file_size = entry.compress_size = 17 << 30
            return [entry]

    with pytest.raises(WeightsError, match="at most 17179869184"):
        members(Claims(), 20 << 30)


def test_members_that_overlap_are_refused(tmp_path):
    content = zipped({"a.npy": npy(np.ones(200))})
    entry, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    one, count = content[entry:end], 50
    more = b"".join(one.replace(b"a.npy", b"%05d" % i) for i in range(count))
    tail = content[end : end + 8] + (count).to_bytes(2, "little") * 2 + len(more).to_bytes(4, "little")
    with pytest.raises(WeightsError, match="more than the file"):
        loaded(tmp_path, content[:entry] + more + tail + content[end + 16 :])


def test_two_members_of_one_name_and_other_methods_are_refused(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("a.npy", npy(1.0))
        with pytest.warns(UserWarning, match="Duplicate"):
            out.writestr("a.npy", npy(2.0))
    with pytest.raises(WeightsError, match="same name"):
        loaded(tmp_path, file.getvalue())
    with pytest.raises(WeightsError, match="method other than deflate"):
        loaded(tmp_path, zipped({"a.npy": npy(1.0)}, zipfile.ZIP_BZIP2))
