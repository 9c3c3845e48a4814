"""PyTorch's .pth since version 1.6, without PyTorch: a zip archive of raw storages and a pickle that describes tensors.

Loading a pickle can run any code, so none is loaded: `_run` interprets the few instructions that build dictionaries of
tensors, and refuses all others by name. Nothing that a file names is imported or called. A tensor stays a record until
it is known to be needed and to lie inside its storage.

Role: reading.

References
----------
pickletools in Python's library; torch.serialization, torch._utils.
"""

import math
import pickletools
import zipfile
from typing import NamedTuple

import numpy as np

from atrous.weights.archive import member_bytes, members
from atrous.weights.dtypes import itemsize, numbers
from atrous.weights.errors import WeightsError

PICKLE = 1 << 23
AXES = 32
# The keys under which training scripts store weights, and the prefix that DataParallel adds to every name.
INSIDE = ("state_dict", "model_state", "model", "model_state_dict")
PREFIX = "module."

STORAGES = {
    "torch.DoubleStorage": "F64",
    "torch.FloatStorage": "F32",
    "torch.HalfStorage": "F16",
    "torch.BFloat16Storage": "BF16",
    "torch.LongStorage": "I64",
    "torch.IntStorage": "I32",
    "torch.ShortStorage": "I16",
    "torch.CharStorage": "I8",
    "torch.ByteStorage": "U8",
    "torch.BoolStorage": "BOOL",
    "torch.storage.UntypedStorage": None,
}
DTYPES = {
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.bool": "BOOL",
    **{f"torch.int{n}": f"I{n}" for n in (8, 16, 32, 64)},
    **{f"torch.uint{n}": f"U{n}" for n in (8, 16, 32, 64)},
}
# Calls that make a tensor or a dictionary, and calls that checkpoints contain beside weights, which are ignored here.
CALLS = {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
}
IDLE = {
    "torch.Size",
    "torch.device",
    "numpy.dtype",
    "numpy.ndarray",
    *(
        f"numpy.{core}.{name}"
        for core in ("core", "_core")
        for name in ("multiarray.scalar", "multiarray._reconstruct", "numeric._frombuffer")
    ),
    "_codecs.encode",
    "argparse.Namespace",
    "collections.Counter",
    "collections.defaultdict",
    *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "list", "dict", "int", "float")),
}
ALLOWED = CALLS | IDLE | set(STORAGES) | set(DTYPES)
OTHER = object()
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BYTEARRAY8"),
}


class _Global:
    """A name that a pickle would import."""

    def __init__(self, name):
        self.name = name


class _Storage(NamedTuple):
    member: str
    kind: str | None
    count: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


def is_torch(archive):
    """Tell whether an open zip archive is PyTorch's."""
    return any(name.endswith("/data.pkl") for name in archive.namelist())


def read_torch(archive, size):
    """Return name → array, in the file's order, from an open zip archive of `size` bytes."""
    entries = members(archive, size)
    pickles = [name for name in entries if name.endswith("/data.pkl")]
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in entries:
        raise WeightsError(
            "it is a TorchScript program, not weights. Save the weights: "
            "torch.save(torch.jit.load(file).state_dict(), 'new.pth')."
        )
    if len(pickles) != 1 or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
        raise WeightsError("it must have one data.pkl and no compression, as torch.save writes it. Save it again.")
    if entries[pickles[0]].file_size > PICKLE:
        raise WeightsError(f"its data.pkl has more than {PICKLE} bytes. Save only model.state_dict().")
    tensors = _chosen(_run(archive.read(pickles[0]), f"{folder}data/", entries))
    order = _byte_order(archive, entries.get(f"{folder}byteorder"))
    storages = {
        storage: numbers(member_bytes(archive, entries[storage.member]), storage.kind, order)
        for storage in {tensor.storage for tensor in tensors.values()}
    }
    return {name: _view(tensor, storages[tensor.storage]) for name, tensor in tensors.items()}


def _byte_order(archive, entry):
    """Return NumPy's character for the byte order; files from before PyTorch 2.1 have none and are little-endian."""
    said = b"little" if entry is None else archive.read(entry)[:20]
    if said not in (b"little", b"big"):
        raise WeightsError(f"its byte order must be little or big, got {said!r}. Save it again.")
    return "<" if said == b"little" else ">"


def _view(tensor, storage):
    """Return a tensor as a view of its storage; NumPy also refuses one that would reach beyond it."""
    if 0 in tensor.shape:
        return np.empty(tensor.shape, storage.dtype)
    strides = [step * storage.itemsize for step in tensor.strides]
    return np.ndarray(tensor.shape, storage.dtype, storage, tensor.offset * storage.itemsize, strides)


def _chosen(top):
    """Return name → tensor from a state dict or a training checkpoint."""
    if not isinstance(top, dict):
        raise WeightsError("it holds no dictionary of tensors. Save model.state_dict().")
    for key in INSIDE:
        inner = top.get(key)
        if isinstance(inner, dict) and any(isinstance(value, _Tensor) for value in inner.values()):
            top = inner
            break
    tensors = {name: value for name, value in top.items() if isinstance(value, _Tensor)}
    if not tensors or not all(isinstance(name, str) for name in tensors):
        raise WeightsError(
            "it holds no dictionary of named tensors, at the top or under "
            f"{', '.join(map(repr, INSIDE))}. Save model.state_dict()."
        )
    if all(name.startswith(PREFIX) for name in tensors):
        tensors = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    return tensors


def _run(data, folder, entries):
    """Return the object that a pickle describes: dictionaries, tuples, numbers, text, tensors, or OTHER."""
    stack, marks, memo = [], [], {}

    def cut(at):
        taken = stack[at:]
        del stack[at:]
        return taken

    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in LITERALS:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in ("PROTO", "FRAME"):
            pass
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name in ("EMPTY_LIST", "EMPTY_SET"):
            stack.append(OTHER)
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(cut(-int(name[-1]))))
        elif name == "TUPLE":
            stack.append(tuple(cut(marks.pop())))
        elif name == "FROZENSET":
            cut(marks.pop())
            stack.append(OTHER)
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            cut(-1 if name == "APPEND" else marks.pop())
            _only(stack[-1] is OTHER, name)
        elif name in ("SETITEM", "SETITEMS"):
            items = cut(-2 if name == "SETITEM" else marks.pop())
            _only(isinstance(stack[-1], dict) or stack[-1] is OTHER, name)
            if isinstance(stack[-1], dict):
                # Hashing nested tuples could take forever, so only text and integers are kept as keys.
                pairs = zip(items[::2], items[1::2], strict=True)
                stack[-1].update((key, value) for key, value in pairs if isinstance(key, (str, int)))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            stack.append(_global(argument.split(" ", 1) if name == "GLOBAL" else cut(-2)))
        elif name in ("REDUCE", "NEWOBJ"):
            stack.append(_called(*cut(-2)))
        elif name == "BUILD":
            cut(-1)
            _only(isinstance(stack[-1], dict) or stack[-1] is OTHER, name)
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop(), folder, entries))
        elif name == "STOP":
            return stack.pop()
        else:
            _only(False, name)
    return None


def _only(fine, instruction):
    if not fine:
        raise WeightsError(
            f"its pickle has the instruction {instruction} where state dicts do not have it; it was not run. "
            "Save model.state_dict()."
        )


def _global(path):
    name = ".".join(path)
    if name not in ALLOWED:
        raise WeightsError(
            f"its pickle asks for {name!r:.200}, which state dicts do not need; it was not loaded. "
            "If you trust the file, load it in PyTorch and save model.state_dict()."
        )
    return _Global(name)


def _called(function, arguments):
    """Return the result of a call that a pickle asks for."""
    name = function.name if isinstance(function, _Global) else "something that is not a function"
    if isinstance(arguments, tuple):
        if name in IDLE:
            return OTHER
        if name == "collections.OrderedDict" and not arguments:
            return {}
        if name.startswith("torch._utils._rebuild_parameter") and arguments and isinstance(arguments[0], _Tensor):
            return arguments[0]
        if name == "torch._utils._rebuild_tensor_v2" and len(arguments) in (6, 7) and not any(arguments[6:]):
            return _tensor(*arguments[:4])
        if name == "torch._utils._rebuild_tensor_v3" and len(arguments) in (7, 8) and not any(arguments[7:]):
            return _tensor(*arguments[:4], arguments[6])
    raise WeightsError(f"its pickle calls {name} in a way that state dicts do not; it was not called.")


def _storage(place, folder, entries):
    """Return the storage that a pickle describes, if the archive has it with that size."""
    what, kind, key, _, count = place
    if what != "storage" or not isinstance(kind, _Global) or kind.name not in STORAGES:
        raise WeightsError("its pickle refers to something that is not a storage of numbers. Save model.state_dict().")
    kind = STORAGES[kind.name]
    entry = entries.get(f"{folder}{key}") if isinstance(key, str) else None
    if type(count) is not int or entry is None or count * (1 if kind is None else itemsize(kind)) != entry.file_size:
        raise WeightsError(f"its storage {key!r:.80} is missing or has another size than stated. Download it again.")
    return _Storage(entry.filename, kind, count)


def _tensor(storage, offset, shape, strides, dtype=None):
    """Return a tensor, if it lies inside its storage."""
    if isinstance(storage, _Storage) and isinstance(dtype, _Global) and dtype.name in DTYPES:
        kind = DTYPES[dtype.name]
        storage = storage._replace(kind=kind, count=storage.count // itemsize(kind))
    if not isinstance(storage, _Storage) or storage.kind is None:
        raise WeightsError("a tensor has no storage with a dtype. Save model.state_dict().")
    counts = (offset, *shape, *strides)
    fine = len(shape) == len(strides) <= AXES and all(type(n) is int and n >= 0 for n in counts)
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) if fine else 0
    if not fine or (0 not in shape and last >= storage.count):
        raise WeightsError("a tensor does not lie inside its storage. Download the file again.")
    if math.prod(shape) > storage.count:
        raise WeightsError("a tensor repeats elements of its storage. Save tensors made by .contiguous().")
    return _Tensor(storage, offset, shape, strides)
