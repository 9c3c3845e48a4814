"""PyTorch's files without PyTorch: real ones, hand-made ones, and pickles that would run something."""

import pickle
import struct
import sys
import zipfile

import numpy as np
import pytest
from weights.writers import (
    DTYPES,
    Op,
    archive,
    call,
    code,
    loaded,
    name,
    ordered,
    same,
    storage,
    tensor,
    torch_bytes,
    weights,
)

from atrous.errors import AtrousError
from atrous.weights.errors import WeightsError
from atrous.weights.files import load_weights

SIX = np.arange(6, dtype="<f4")
RAW = {"0": SIX.tobytes()}
PLACE = storage("0", 6)
UNTYPED = Op(code(("storage", name("torch.storage", "UntypedStorage"), "0", "cpu", 24)) + b"Q")


# Hand-made files


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_and_byte_order_is_read(tmp_path, rng, dtype, order):
    array = rng.integers(0, 9, (3, 4)).astype(dtype)
    given = {"w": array, "0-d": array[0, 0], "none": array[:0]}
    content = torch_bytes(given, order, byteorder=b"little" if order == "<" else b"big")
    same(loaded(tmp_path, content), given)


def test_halves_become_float32(tmp_path):
    half = np.array([1, -1.5, np.inf, 6e-8], np.float16)
    same(loaded(tmp_path, torch_bytes({"w": half})), {"w": half.astype(np.float32)})
    for order, said in (("<", b"little"), (">", b"big"), ("<", None)):
        bits = np.array([0x3F80, 0xC000, 0x4049], f"{order}u2")
        top = ordered({"w": tensor(storage("0", 3, "BFloat16"), (3,))})
        found = loaded(tmp_path, archive(top, {"0": bits.tobytes()}, byteorder=said))
        same(found, {"w": np.array([1, -2, 3.140625], np.float32)})


def test_views_of_a_storage(tmp_path):
    top = {
        "all": tensor(PLACE, (2, 3)),
        "transposed": tensor(PLACE, (3, 2), strides=(1, 3)),
        "tail": tensor(PLACE, (2,), offset=4),
        "every other": tensor(PLACE, (2,), offset=1, strides=(3,)),
        "0-d": tensor(PLACE, (), offset=5),
        "one": tensor(PLACE, (1, 1), offset=5, strides=(10**6, 7)),
        "none": tensor(PLACE, (0, 3), offset=6),
    }
    found = loaded(tmp_path, archive(ordered(top), RAW))
    wanted = [SIX.reshape(2, 3), SIX.reshape(2, 3).T, SIX[4:], SIX[1::3], SIX[5], SIX[5:, None], np.zeros((0, 3), "f4")]
    same(found, dict(zip(top, wanted, strict=True)))
    assert np.shares_memory(found["all"], found["tail"])
    assert found["all"].flags.writeable


def test_other_forms_of_a_tensor(tmp_path):
    parameter = call(name("torch._utils", "_rebuild_parameter"), tensor(PLACE, (6,)), True, ordered())
    empty = Op(code((PLACE, 0, (6,), (1,), False, ordered(), {})))
    with_metadata = Op(name("torch._utils", "_rebuild_tensor_v2") + empty + b"R")
    top = {"parameter": parameter, "metadata": with_metadata}
    same(loaded(tmp_path, archive(top, RAW)), {"parameter": SIX, "metadata": SIX})
    arguments = (UNTYPED, 1, (2,), (1,), False, ordered(), name("torch", "uint16"))
    third = call(name("torch._utils", "_rebuild_tensor_v3"), *arguments)
    same(loaded(tmp_path, archive({"w": third}, RAW)), {"w": SIX.view(np.uint16)[1:3]})


SKIPPED = {
    "epoch": 3,
    "lr": Op(b"G" + struct.pack(">d", 0.1)),
    "nothing": None,
    "losses": Op(b"](" + code(1) + code(2) + b"e"),
    "one": Op(b"]" + code(1) + b"a"),
    "size": call(name("torch", "Size"), (1, 2)),
    "device": call(name("torch", "device"), "cpu"),
    "dtype": name("torch", "float32"),
    "score": call(name("numpy._core.multiarray", "scalar"), call(name("numpy", "dtype"), "f8", False, True), "\0" * 8),
    "args": Op(code(name("argparse", "Namespace")) + b")\x81" + code({"lr": 1}) + b"b"),
    "milestones": call(name("collections", "Counter"), {30: 1}),
    "a tuple for a key": Op(b"}" + code((1, 2)) + code(3) + b"s"),
    "optimizer": {"state": {0: {"momentum": tensor(storage("9", 1), (1,))}}},
}


@pytest.mark.parametrize("key", ["state_dict", "model_state", "model", "model_state_dict"])
def test_checkpoints_give_their_weights_only(tmp_path, key):
    given = weights()
    content = torch_bytes(
        {**given, "9": np.ones(1, np.float32)},
        wrap=lambda items: {**SKIPPED, key: ordered({k: v for k, v in items.items() if k != "9"}), "mean": items["9"]},
    )
    # The optimizer's tensor names a storage, which must be there as everywhere.
    with pytest.raises(WeightsError, match="storage '9' is missing"):
        loaded(tmp_path, content)
    skipped = {k: v for k, v in SKIPPED.items() if k != "optimizer"}
    content = torch_bytes(given, wrap=lambda items: {**skipped, key: ordered(items)})
    same(loaded(tmp_path, content), given)


def test_a_common_prefix_is_stripped_and_others_are_left_out(tmp_path):
    given = weights()
    content = torch_bytes({f"module.{key}": array for key, array in given.items()})
    same(loaded(tmp_path, content), given)
    mixed = {"module.a": SIX, "b": SIX, "module.c": SIX}
    same(loaded(tmp_path, torch_bytes(mixed)), mixed)
    content = torch_bytes(given, wrap=lambda items: {**items, "model": {"name": "resnet"}, "epoch": 3})
    same(loaded(tmp_path, content), given)


# Real files


@pytest.mark.torch
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_files_of_torch_are_read(tmp_path, protocol):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(2, 2))
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(2, 3, 6, 4)).sum().backward()
    optimizer.step()
    wanted = {key: value.numpy() for key, value in net.state_dict().items()}
    path = tmp_path / "w.pth"
    torch.save(net.state_dict(), path, pickle_protocol=protocol)
    same(load_weights(path), wanted)
    checkpoint = {
        "model_state": torch.nn.DataParallel(net).state_dict(),
        "optimizer_state": optimizer.state_dict(),
        "scheduler": torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5]).state_dict(),
        "best_score": np.float64(0.7),
        "matrix": np.ones((2, 2)),
        "rng": torch.get_rng_state(),
        "epoch": 3,
    }
    torch.save(checkpoint, path, pickle_protocol=protocol)
    same(load_weights(path), wanted)


@pytest.mark.torch
def test_every_dtype_of_torch_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    kinds = ["float64", "float32", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool"]
    base = torch.arange(12).reshape(3, 4)
    given = {kind: base.to(getattr(torch, kind)) for kind in kinds}
    halves = {kind: (base / 7).to(getattr(torch, kind)) for kind in ("float16", "bfloat16")}
    views = {"t": given["float32"].T, "cut": given["float32"][1:, ::2], "p": torch.nn.Parameter(given["float64"])}
    torch.save({**given, **halves, **views}, tmp_path / "w.pt")
    wanted = {key: value.detach().numpy() for key, value in (given | views).items()}
    wanted |= {key: value.float().numpy() for key, value in halves.items()}
    found = load_weights(tmp_path / "w.pt")
    same({key: found[key] for key in wanted}, wanted)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_state_dict_of_torch_is_told(tmp_path):
    torch = pytest.importorskip("torch")
    net, path = torch.nn.Linear(2, 2), tmp_path / "w.pth"
    torch.save(net, path)
    with pytest.raises(WeightsError, match=r"'torch\.nn\.modules\.linear\.Linear'.*save model\.state_dict"):
        load_weights(path)
    torch.jit.script(net).save(path)
    with pytest.raises(WeightsError, match="TorchScript"):
        load_weights(path)
    torch.save({"w": torch.ones(3).expand(4, 3)}, path)
    with pytest.raises(WeightsError, match="repeats"):
        load_weights(path)
    for odd in (torch.eye(2).to_sparse(), torch.ones(2) * 1j, torch.ones(2).to(torch.float8_e4m3fn)):
        torch.save({"w": odd}, path)
        with pytest.raises(WeightsError, match="asks for 'torch"):
            load_weights(path)


# Pickles that would run something

RUN = "import sys; sys.modules['atrous_was_run'] = sys"
EXEC = call(name("builtins", "exec"), RUN)
OD = name("collections", "OrderedDict")
V2 = name("torch._utils", "_rebuild_tensor_v2")
HOSTILE = [
    ("exec", EXEC, r"'builtins\.exec'"),
    ("exec of Python 2", call(name("__builtin__", "exec"), RUN), "__builtin__"),
    ("eval", call(name("builtins", "eval"), RUN), r"'builtins\.eval'"),
    ("system", call(name("os", "system"), "true"), r"'os\.system'"),
    ("posix", call(name("posix", "system"), "true"), "posix"),
    ("import", call(name("builtins", "__import__"), "os"), "__import__"),
    ("getattr", call(name("builtins", "getattr"), OD, "__init__"), "getattr"),
    ("dotted", Op(code("collections") + code("OrderedDict.__init__") + b"\x93"), r"OrderedDict\.__init__"),
    ("dotted torch", call(name("torch", "serialization.os.system"), "true"), "system"),
    ("torch.load", call(name("torch", "load"), "/etc/passwd"), r"'torch\.load'"),
    ("a space", Op(b"ctorch FloatStorage\n\n"), "asks for"),
    ("numbers for a name", Op(code(1) + code(2) + b"\x93"), "broken"),
    ("INST", Op(b"(" + code(RUN) + b"ibuiltins\nexec\n"), "instruction INST"),
    ("OBJ", Op(b"(" + name("collections", "OrderedDict") + b"o"), "instruction OBJ"),
    ("EXT", Op(b"\x82\1"), "instruction EXT1"),
    ("PERSID", Op(b"P0\n"), "instruction PERSID"),
    ("NEWOBJ_EX", Op(code(OD) + b")}\x92"), "instruction NEWOBJ_EX"),
    ("calling text", call("torch._utils._rebuild_tensor_v2"), "something that is not a function"),
    ("calling a result", call(call(OD)), "something that is not a function"),
    ("calling a dtype", call(name("torch", "float32"), 1), r"calls torch\.float32"),
    ("calling a storage", call(name("torch", "FloatStorage"), 10**12), r"calls torch\.FloatStorage"),
    ("OrderedDict of a tuple", call(OD, ((1, 2),)), r"calls collections\.OrderedDict"),
    ("no arguments", Op(code(OD) + b"NR"), r"calls collections\.OrderedDict"),
    ("tensor without arguments", call(V2), "in a way that state dicts do not"),
    ("tensor of nothing", call(V2, None, 0, (1,), (1,), False, None), "no storage"),
    ("tensor of a tensor", call(V2, tensor(PLACE, (1,)), 0, (1,), (1,), False, None), "no storage"),
    ("tensor of untyped", tensor(UNTYPED, (1,)), "no storage"),
    ("conjugate", call(V2, PLACE, 0, (1,), (1,), False, None, {"conj": True}), "in a way"),
    ("parameter of nothing", call(name("torch._utils", "_rebuild_parameter"), 3, True, None), "in a way"),
    ("state of text", Op(code("a") + code({"b": 1}) + b"b"), "instruction BUILD"),
    ("state of a tensor", Op(tensor(PLACE, (6,)) + code({"shape": 1}) + b"b"), "instruction BUILD"),
    ("items of a tensor", Op(tensor(PLACE, (6,)) + code("a") + code("b") + b"s"), "instruction SETITEM"),
    ("appended to a tuple", Op(b")" + code("a") + b"a"), "instruction APPEND"),
    ("odd items", Op(b"}(" + code("a") + b"u"), "broken"),
    ("storage missing", tensor(storage("1", 6), (6,)), "'1' is missing"),
    ("storage larger", tensor(storage("0", 7), (6,)), "another size"),
    ("storage smaller", tensor(storage("0", 5), (5,)), "another size"),
    ("storage of bool size", tensor(storage("0", True), (1,)), "has no size"),
    ("storage huge", tensor(storage("0", 10**12), (10**6, 10**6)), "another size"),
    ("storage elsewhere", tensor(storage("../version", 2, "Byte"), (2,)), "missing"),
    ("storage key a number", tensor(storage(0, 6), (6,)), "not a storage of numbers"),
    ("storage key a bomb", tensor(storage(Op(b")" + b"q\0h\0\x86" * 200), 6), (6,)), "not a storage of numbers"),
    ("storage of a tensor", Op(code(("storage", name("torch", "FloatTensor"), "0", "cpu", 6)) + b"Q"), "a storage"),
    ("OrderedDict of numbers", call(OD, Op(b"](K\1K\2e")), "broken"),
    ("no storage", tensor(storage("0", 6, what="module"), (6,)), "not a storage of numbers"),
    ("storage of a dtype", Op(code(("storage", name("torch", "int8"), "0", "cpu", 6)) + b"Q"), "a storage"),
    ("storage of text", tensor(Op(code(("storage", "torch.FloatStorage", "0", "cpu", 6)) + b"Q"), (6,)), "a storage"),
    ("place of two", tensor(Op(code(("storage", "0")) + b"Q"), (6,)), "broken"),
    ("complex", tensor(storage("0", 3, "ComplexFloat"), (3,)), "ComplexFloatStorage"),
    ("one too many", tensor(PLACE, (7,)), "not lie inside its storage"),
    ("offset", tensor(PLACE, (6,), offset=1), "not lie inside its storage"),
    ("offset behind", tensor(PLACE, (), offset=6), "not lie inside its storage"),
    ("negative offset", tensor(PLACE, (2,), offset=-1), "not lie inside its storage"),
    ("negative stride", tensor(PLACE, (2,), offset=5, strides=(-1,)), "not lie inside its storage"),
    ("huge stride", tensor(PLACE, (2,), strides=(2**62,)), "not lie inside its storage"),
    ("strides that overflow", tensor(PLACE, (2, 2), strides=(2**63, 2**63)), "not lie inside its storage"),
    ("huge shape", tensor(PLACE, (10**6, 10**6), strides=(0, 0)), "repeats elements"),
    ("negative shape", tensor(PLACE, (-2, -3), strides=(1, 1)), "not lie inside its storage"),
    ("true shape", tensor(PLACE, (True,)), "not lie inside its storage"),
    ("fewer strides", tensor(PLACE, (2, 3), strides=(1,)), "not lie inside its storage"),
    ("33 axes", tensor(PLACE, (1,) * 33), "not lie inside its storage"),
    ("a shape of text", tensor(PLACE, Op(code("6")), strides=(1,)), "not lie inside its storage"),
    ("no shape", tensor(PLACE, Op(b"N"), strides=()), "broken"),
    ("popping nothing", Op(b"0"), "instruction POP"),
    ("no mark", Op(b"t"), "broken"),
    ("unknown memo", Op(b"h\7"), "broken"),
    ("far memo", Op(b"Nr\xff\xff\xff\x7fj\xff\xff\xff\x6f"), "broken"),
    ("long text", Op(b"\x8d" + struct.pack("<Q", 2**62)), "broken"),
    ("long bytes", Op(b"\x8e" + struct.pack("<Q", 2**62)), "broken"),
    ("long frame", Op(b"\x95" + struct.pack("<Q", 2**62) + b"\x8b\xff\xff\xff\x7f"), "broken"),
    ("bytearray", Op(b"\x96" + struct.pack("<Q", 2**40)), "broken"),
    ("no instruction", Op(b"\xfe"), "broken"),
]  # fmt: skip


@pytest.mark.parametrize(("hostile", "message"), [pytest.param(*row[1:], id=row[0]) for row in HOSTILE])
@pytest.mark.parametrize("at", ["the value", "beside weights", "the whole", "a key", "the state"])
def test_hostile_pickles_are_refused_and_not_run(tmp_path, hostile, message, at):
    right = tensor(PLACE, (6,))
    top = {
        "the value": ordered({"w": hostile}),
        "beside weights": {"model": ordered({"w": right}), "other": hostile},
        "the whole": hostile,
        "a key": Op(b"}" + code(hostile) + code(right) + b"s"),
        "the state": ordered({"w": right}, hostile),
    }[at]
    with pytest.raises(WeightsError, match=message) as caught:
        loaded(tmp_path, archive(top, RAW))
    assert isinstance(caught.value, AtrousError)
    assert "atrous_was_run" not in sys.modules


def test_the_hostile_pickles_are_live(monkeypatch):
    pickle.loads(b"\x80\2" + EXEC + b".")
    assert sys.modules.pop("atrous_was_run") is sys


def test_a_state_cannot_replace_methods(tmp_path):
    top = ordered({"w": tensor(PLACE, (6,))}, {"items": 1, "values": 2, "__class__": "int"})
    same(loaded(tmp_path, archive(top, RAW)), {"w": SIX})


def test_tuples_of_tuples_cost_nothing(tmp_path):
    # 2^200 leaves if anything looked at them.
    bomb = Op(b")" + b"q\0h\0\x86" * 200)
    top = Op(b"}(" + code("w") + tensor(PLACE, (6,)) + code("bomb") + bomb + bomb + b"Nu")
    same(loaded(tmp_path, archive(top, RAW)), {"w": SIX})
    myself = Op(b"}q\5" + code("me") + b"h\5s" + code("w") + tensor(PLACE, (6,)) + b"s")
    same(loaded(tmp_path, archive(myself, RAW)), {"w": SIX})


FORMS = [
    ("a list", archive(Op(b"]"), RAW), "no dictionary of tensors"),
    ("one tensor", archive(tensor(PLACE, (6,)), RAW), "no dictionary of tensors"),
    ("no tensors", archive({"epoch": 3, "model": {}}, RAW), "no dictionary of named tensors"),
    ("numbers for names", archive({0: tensor(PLACE, (6,))}, RAW), "named tensors"),
    ("nothing", archive(b"\x80\2", RAW), "broken"),
    ("no object", archive(b"\x80\2.", RAW), "broken"),
    ("no end", archive(b"\x80\2}", RAW), "broken"),
    ("byte order", archive({"w": tensor(PLACE, (6,))}, RAW, byteorder=b"middle"), "little or big, got b'middle'"),
    ("compressed", torch_bytes(weights(), method=zipfile.ZIP_DEFLATED), "no compression"),
    ("long pickle", archive({"x": "x" * (1 << 23), "w": tensor(PLACE, (6,))}, RAW), "more than 8388608 bytes"),
    ("huge and nothing", archive({"w": tensor(PLACE, (0, 2**70), strides=(1, 1))}, RAW), "broken"),
    ("prefix only", archive({"module.": tensor(PLACE, (6,))}, RAW), "without a name"),
]


@pytest.mark.parametrize(("content", "message"), [pytest.param(*row[1:], id=row[0]) for row in FORMS])
def test_other_files_are_told(tmp_path, content, message):
    with pytest.raises(WeightsError, match=message):
        loaded(tmp_path, content)


def test_two_pickles_are_refused(tmp_path):
    content = archive({"w": tensor(PLACE, (6,))}, {**RAW, "data.pkl": b""})
    with pytest.raises(WeightsError, match="one data"):
        loaded(tmp_path, content)
