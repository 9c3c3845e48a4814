"""The pickle inside PyTorch's files, interpreted without being loaded.

Loading a pickle can run any code, so none is loaded: `run` interprets the few instructions that build dictionaries of
tensors, and refuses all others by name. Nothing that a file names is imported or called. The result is plain values,
with a record for each tensor. `torch_zip`, `torch_legacy` and `torch_tar` read the three containers around it.

Role: reading.

References
----------
pickletools in Python's library; torch.serialization, torch._utils.
"""

import pickletools

from atrous.weights.errors import WeightsError
from atrous.weights.torch_tensors import DTYPES, STORAGES, TENSORS, Tensor, tensor

PICKLE = 1 << 23
# The keys under which training scripts store weights, and the prefix that DataParallel adds to every name.
INSIDE = ("state_dict", "model_state", "model", "model_state_dict")
PREFIX = "module."

# Calls that make a tensor or a dictionary, and calls that checkpoints contain beside weights, which are ignored here.
CALLS = {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor",
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
ALLOWED = CALLS | IDLE | TENSORS | set(STORAGES) | set(DTYPES)
OTHER = object()
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BYTEARRAY8"),
    # Text from Python 2, in which most files from before 2019 were written.
    *("BINSTRING", "SHORT_BINSTRING"),
}


class _Global:
    """A name that a pickle would import."""

    def __init__(self, name):
        self.name = name


def chosen(top):
    """Return name → tensor from a state dict or a training checkpoint."""
    if not isinstance(top, dict):
        raise WeightsError("it holds no dictionary of tensors. Save model.state_dict().")
    for key in INSIDE:
        inner = top.get(key)
        if isinstance(inner, dict) and any(isinstance(value, Tensor) for value in inner.values()):
            top = inner
            break
    tensors = {name: value for name, value in top.items() if isinstance(value, Tensor)}
    if not tensors or not all(isinstance(name, str) for name in tensors):
        raise WeightsError(
            "it holds no dictionary of named tensors, at the top or under "
            f"{', '.join(map(repr, INSIDE))}. Save model.state_dict()."
        )
    if all(name.startswith(PREFIX) for name in tensors):
        tensors = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    return tensors


def run(data, persistent=None):
    """Return the object that a pickle describes: dictionaries, lists, tuples, numbers, text, tensors, or OTHER.

    `data` is bytes, or a file in memory, which is left after the pickle. `persistent` turns a reference to something
    outside the pickle into a Storage or a Tensor.
    """
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
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_SET":
            stack.append(OTHER)
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(cut(-int(name[-1]))))
        elif name == "TUPLE":
            stack.append(tuple(cut(marks.pop())))
        elif name == "FROZENSET":
            cut(marks.pop())
            stack.append(OTHER)
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            items = cut(-1 if name == "APPEND" else marks.pop())
            _only(isinstance(stack[-1], list) or stack[-1] is OTHER, name)
            if isinstance(stack[-1], list):
                stack[-1].extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = cut(-2 if name == "SETITEM" else marks.pop())
            _only(isinstance(stack[-1], dict) or stack[-1] is OTHER, name)
            if isinstance(stack[-1], dict):
                stack[-1].update(_named(zip(items[::2], items[1::2], strict=True)))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            stack.append(_global(argument.split(" ", 1) if name == "GLOBAL" else cut(-2)))
        elif name in ("REDUCE", "NEWOBJ"):
            stack.append(_called(*cut(-2)))
        elif name == "BUILD":
            cut(-1)
            _only(isinstance(stack[-1], dict) or stack[-1] is OTHER, name)
        elif name == "BINPERSID":
            _only(persistent is not None, name)
            stack.append(persistent(stack.pop()))
        elif name == "STOP":
            return stack.pop()
        else:
            _only(False, name)
    return None


def _named(pairs):
    """Return the pairs as a dictionary. Only text and integers are keys: hashing nested tuples could take forever."""
    return {key: value for key, value in pairs if isinstance(key, (str, int))}


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
        if name == "collections.OrderedDict" and len(arguments) == 1 and isinstance(arguments[0], list):
            return _named(arguments[0])  # as Python 2 writes it
        if name.startswith("torch._utils._rebuild_parameter") and arguments and isinstance(arguments[0], Tensor):
            return arguments[0]
        if name == "torch._utils._rebuild_tensor" and len(arguments) == 4:
            return tensor(*arguments)
        if name == "torch._utils._rebuild_tensor_v2" and len(arguments) in (6, 7) and not any(arguments[6:]):
            return tensor(*arguments[:4])
        if name == "torch._utils._rebuild_tensor_v3" and len(arguments) in (7, 8) and not any(arguments[7:]):
            return tensor(*arguments[:4], class_kind(arguments[6], DTYPES))
    raise WeightsError(f"its pickle calls {name} in a way that state dicts do not; it was not called.")


def storage_place(place):
    """Return (type, key, count) and what follows from a pickle's reference to a storage: type, key, device, count."""
    what, cls, key, _, count, *rest = place
    # The key is looked up and shown, which could take forever for nested tuples.
    if what != "storage" or not isinstance(key, str):
        raise WeightsError("its pickle refers to something that is not a storage of numbers. Save model.state_dict().")
    return class_kind(cls, STORAGES), key, count, *rest


def class_kind(cls, kinds):
    """Return the type of numbers that the name of a class stands for, such as torch.FloatStorage in `STORAGES`."""
    if not isinstance(cls, _Global) or cls.name not in kinds:
        raise WeightsError("its pickle refers to something that is not a storage of numbers. Save model.state_dict().")
    return kinds[cls.name]
