"""PyTorch's files from before version 1.6: written by torch, written by hand, broken and hostile."""

import sys

import numpy as np
import pytest
from weights.test_torch_zip import HOSTILE, SIX, SKIPPED
from weights.writers import (
    DTYPES,
    Op,
    call,
    code,
    legacy,
    legacy_bytes,
    legacy_storage,
    loaded,
    name,
    ordered,
    same,
    tensor,
    weights,
)

from atrous.weights.errors import WeightsError
from atrous.weights.files import load_weights

RAW = {"0": SIX.tobytes()}
PLACE = legacy_storage("0", 6)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_read_from_machines_of_both_orders(tmp_path, rng, dtype, order):
    array = rng.integers(0, 9, (3, 4)).astype(dtype)
    given = {"w": array, "0-d": array[0, 0], "none": array[:0]}
    same(loaded(tmp_path, legacy_bytes(given, order=order)), given)


def test_halves_become_float32(tmp_path):
    half = np.array([1, -1.5, np.inf, 6e-8], np.float16)
    same(loaded(tmp_path, legacy_bytes({"w": half})), {"w": half.astype(np.float32)})
    bits = np.array([0x3F80, 0xC000, 0x4049], "<u2")
    top = ordered({"w": tensor(legacy_storage("0", 3, "BFloat16"), (3,))})
    found = loaded(tmp_path, legacy(top, {"0": bits.tobytes()}, {"0": 3}))
    same(found, {"w": np.array([1, -2, 3.140625], np.float32)})


def test_views_of_a_storage(tmp_path):
    part = legacy_storage("0", 6, view=("77", 2, 3))
    top = {
        "all": tensor(PLACE, (2, 3)),
        "transposed": tensor(PLACE, (3, 2), strides=(1, 3)),
        "every other": tensor(PLACE, (2,), offset=1, strides=(3,)),
        "0-d": tensor(PLACE, (), offset=5),
        "of a part": tensor(part, (2,), offset=1),
        "none": tensor(PLACE, (0, 3), offset=6),
    }
    found = loaded(tmp_path, legacy(ordered(top), RAW))
    wanted = [SIX.reshape(2, 3), SIX.reshape(2, 3).T, SIX[1::3], SIX[5], SIX[3:5], np.zeros((0, 3), "f4")]
    same(found, dict(zip(top, wanted, strict=True)))
    assert np.shares_memory(found["all"], found["of a part"])
    assert found["all"].flags.writeable


def test_files_of_python_2_and_of_a_gpu(tmp_path):
    text = Op(b"U\4conv")
    first = call(name("torch._utils", "_rebuild_tensor"), legacy_storage("0", 6, module="torch.cuda"), 0, (6,), (1,))
    pairs = Op(b"](" + b"](" + text + code(first) + b"e" + b"](T\1\0\0\0b" + code(tensor(PLACE, (2,))) + b"ee")
    content = legacy(call(name("collections", "OrderedDict"), pairs), RAW)
    same(loaded(tmp_path, content), {"conv": SIX, "b": SIX[:2]})


@pytest.mark.parametrize("key", ["state_dict", "model_state", "model", "model_state_dict"])
def test_checkpoints_give_their_weights_only(tmp_path, key):
    skipped = {k: v for k, v in SKIPPED.items() if k != "optimizer"}
    content = legacy_bytes(
        {"module." + k: v for k, v in weights().items()}, wrap=lambda items: {**skipped, key: ordered(items)}
    )
    same(loaded(tmp_path, content), weights())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.torch
def test_files_of_torch_are_read(tmp_path, protocol):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(2, 2))
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    net(torch.randn(2, 3, 6, 4)).sum().backward()
    optimizer.step()
    base = torch.arange(12).reshape(3, 4)
    kinds = ["float64", "float32", "int64", "int32", "int16", "int8", "uint8", "bool"]
    given = {**net.state_dict(), **{kind: base.to(getattr(torch, kind)) for kind in kinds}}
    given |= {"t": given["float32"].T, "cut": given["float32"][1:, ::2], "p": torch.nn.Parameter(given["float64"])}
    halves = {kind: (base / 7).to(getattr(torch, kind)) for kind in ("float16", "bfloat16")}
    checkpoint = {
        "state_dict": given | halves,
        "optimizer": optimizer.state_dict(),
        "best": np.float64(0.7),
        "epoch": 3,
    }
    torch.save(checkpoint, tmp_path / "w.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    wanted = {key: value.detach().numpy() for key, value in given.items()}
    wanted |= {key: value.float().numpy() for key, value in halves.items()}
    found = load_weights(tmp_path / "w.pth")
    same(found, wanted)
    assert np.shares_memory(found["t"], found["cut"])


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_torch_reads_the_hand_made_files_alike(tmp_path):
    torch = pytest.importorskip("torch")
    for order in ("little", "big"):
        found = loaded(tmp_path, legacy_bytes(weights(), order=order))
        if order == "little":
            same(found, {k: v.numpy() for k, v in torch.load(tmp_path / "w.pth", weights_only=False).items()})
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsError, match=r"'torch\.nn\.modules\.linear\.Linear'"):
        load_weights(tmp_path / "w.pth")


# Broken and hostile files

# Sizes that do not fit are found in another order here, and are in the table below.
PICKLES = [
    pytest.param(*row[1:], id=row[0]) for row in HOSTILE if row[2] not in ("'1' is missing", "another size", "missing")
]
ONE = {"w": tensor(PLACE, (6,))}
BROKEN = [
    ("another protocol", legacy(ordered(ONE), RAW, protocol=1002), "protocol is not 1001"),
    ("no storage", legacy(ordered(ONE), {}), "storage '0' is missing"),
    ("a storage too many", legacy(ordered(ONE), {**RAW, "1": b""}), "does not fit its tensors"),
    ("one fewer element", legacy(ordered(ONE), RAW, {"0": 5}), "another size"),
    ("a huge count", legacy(ordered({"w": tensor(legacy_storage("0", 2**60), (6,))}), RAW, {"0": 2**60}), "cut short"),
    ("two sizes", legacy(ordered({**ONE, "v": tensor(legacy_storage("0", 5), (5,))}), RAW), "two types or sizes"),
    ("two types", legacy(ordered({**ONE, "v": tensor(legacy_storage("0", 6, "Int"), (5,))}), RAW), "two types"),
    ("cut", legacy(ordered(ONE), RAW)[:-1], "cut short"),
    ("a view beyond", legacy(ordered({"w": tensor(legacy_storage("0", 6, view=("1", 4, 3)), (1,))}), RAW), "part of a"),
    ("a view before", legacy(ordered({"w": tensor(legacy_storage("0", 6, view=("1", -1, 3)), (1,))}), RAW), "part of"),
    ("beyond a view", legacy(ordered({"w": tensor(legacy_storage("0", 6, view=("1", 0, 3)), (4,))}), RAW), "not lie"),
    ("a long pickle", legacy({"x": "x" * (1 << 23), **ONE}, RAW), "more than 8388608 bytes"),
    ("a storage for a protocol", legacy(ordered(ONE), RAW, protocol=PLACE), "instruction BINPERSID"),
]
KEYS = [
    ("a key twice", b"](" + code("0") + code("0") + b"e"),
    ("a number for a key", b"]K\0a"),
    ("a bomb for a key", b"](" + b")" + b"q\0h\0\x86" * 200 + b"e"),
]


@pytest.mark.parametrize(("content", "message"), [pytest.param(*row[1:], id=row[0]) for row in BROKEN])
def test_broken_files_are_told(tmp_path, content, message):
    with pytest.raises(WeightsError, match=message):
        loaded(tmp_path, content)


@pytest.mark.parametrize("keys", [pytest.param(row[1], id=row[0]) for row in KEYS])
def test_lists_of_keys_that_do_not_fit(tmp_path, keys):
    content = legacy(ordered(ONE), RAW).replace(b"](" + code("0") + b"e", keys)
    with pytest.raises(WeightsError, match="does not fit its tensors"):
        loaded(tmp_path, content)


@pytest.mark.parametrize(("hostile", "message"), PICKLES)
def test_hostile_pickles_are_refused_and_not_run(tmp_path, hostile, message):
    with pytest.raises(WeightsError, match=message):
        loaded(tmp_path, legacy(ordered({"w": hostile}), RAW))
    assert "atrous_was_run" not in sys.modules
