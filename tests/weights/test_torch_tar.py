"""PyTorch's oldest files, tar archives: written by hand (torch reads the same), broken and hostile."""

import struct
import sys

import numpy as np
import pytest
from weights.test_torch_zip import HOSTILE, SIX
from weights.writers import Op, code, int64, loaded, name, one, ordered, packed, same, tar_members, weights

from atrous.weights.errors import WeightsError

PARTS = {"views": [(200, 100, 2, 3)], "tensors": [("part", 200, (2,), (1,), 1), ("turned", 100, (3, 2), (1, 3), 0)]}


def unpacked(folder, members):
    return loaded(folder, members if isinstance(members, bytes) else packed(members))


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "f4", "f8"])
def test_every_dtype_is_read(tmp_path, rng, dtype):
    array = rng.integers(0, 9, (3, 4)).astype(dtype)
    given = {"w": array, "0-d": array[0, 0], "none": array[:0]}
    same(unpacked(tmp_path, tar_members(given)), given)


def test_views_and_strides(tmp_path):
    found = unpacked(tmp_path, tar_members({"w": SIX.reshape(2, 3)}, **PARTS))
    same(found, {"w": SIX.reshape(2, 3), "part": SIX[3:5], "turned": SIX.reshape(2, 3).T})
    assert np.shares_memory(found["w"], found["part"])


def test_the_upper_half_of_the_number_of_axes_is_ignored(tmp_path):
    members = tar_members({"w": SIX})
    wrong = struct.pack("<ii", 1, 77)
    members["tensors"] = members["tensors"].replace(int64(1, 6, 1), wrong + int64(6, 1))
    same(unpacked(tmp_path, members), {"w": SIX})


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_torch_reads_the_hand_made_files_alike(tmp_path):
    torch = pytest.importorskip("torch")
    given = {key: array for key, array in weights().items() if array.dtype != bool}
    found = unpacked(
        tmp_path, tar_members(given | {"w": SIX.reshape(2, 3)}, lambda items: {"state_dict": ordered(items)})
    )
    read = torch.load(tmp_path / "w.pth", weights_only=False)["state_dict"]
    same(found, {key: value.numpy() for key, value in read.items()})
    found = unpacked(tmp_path, tar_members({"w": SIX.reshape(2, 3)}, **PARTS))
    same(found, {key: value.numpy() for key, value in torch.load(tmp_path / "w.pth", weights_only=False).items()})


MEMBERS = tar_members({"w": SIX})
BOMB = Op(b")" + b"q\0h\0\x86" * 200)
FLOAT = name("torch", "FloatStorage")
BROKEN = [
    ("another archive", packed({"readme": b"text"}), "not one of PyTorch's"),
    ("a member cut short", packed(MEMBERS)[:1300], "cut short|broken"),
    ("a long pickle", MEMBERS | {"pickle": bytes((1 << 23) + 1)}, "more than 8388608 bytes"),
    ("a huge storage", MEMBERS | {"storages": one(1) + one((100, "cpu", FLOAT)) + int64(2**61)}, "is cut short"),
    ("a negative storage", MEMBERS | {"storages": one(1) + one((100, "cpu", FLOAT)) + int64(-6)}, "no size"),
    ("a class of storages", MEMBERS | {"storages": one(1) + one((1, "cpu", name("torch", "int8")))}, "not a storage"),
    ("many axes", MEMBERS | {"tensors": one(1) + one((900, 100, FLOAT)) + int64(33)}, "33 axes"),
    ("a tensor cut short", MEMBERS | {"tensors": one(1) + one((900, 100, FLOAT)) + int64(1, 6)}, "cut short"),
    ("a tensor too long", MEMBERS | {"tensors": one(1) + one((900, 100, FLOAT)) + int64(1, 7, 1, 0)}, "not lie inside"),
    (
        "a negative offset",
        MEMBERS | {"tensors": one(1) + one((900, 100, FLOAT)) + int64(1, 2, 1, -1)},
        "not lie inside",
    ),
    ("a view beyond", tar_members({"w": SIX}, views=[(200, 100, 4, 3)]), "part of a storage"),
    ("an unknown tensor", MEMBERS | {"pickle": one({"w": Op(code("901") + b"Q")})}, "broken"),
    ("a bomb for a storage", MEMBERS | {"storages": one(1) + one((BOMB, "cpu", FLOAT)) + int64(0)}, "broken"),
    ("a bomb for a tensor", MEMBERS | {"tensors": one(1) + one((900, BOMB, FLOAT)) + int64(1, 6, 1, 0)}, "broken"),
    ("a bomb for a reference", MEMBERS | {"pickle": one({"w": Op(BOMB + b"Q")})}, "broken"),
    ("more storages than there are", MEMBERS | {"storages": one(10**9)}, "broken"),
]


@pytest.mark.parametrize(("members", "message"), [pytest.param(*row[1:], id=row[0]) for row in BROKEN])
def test_broken_files_are_told(tmp_path, members, message):
    with pytest.raises(WeightsError, match=message):
        unpacked(tmp_path, members)


@pytest.mark.parametrize(
    "hostile", [pytest.param(row[1], id=row[0]) for row in HOSTILE if row[0] in {"exec", "system"}]
)
def test_hostile_pickles_are_refused_and_not_run(tmp_path, hostile):
    for part in ("storages", "tensors", "pickle"):
        with pytest.raises(WeightsError, match="asks for"):
            unpacked(tmp_path, MEMBERS | {part: one(hostile)})
    assert "atrous_was_run" not in sys.modules
