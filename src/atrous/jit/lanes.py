"""Several numbers at once (SIMD): the vector operations for compiled loops over labels or channels.

Numba turns a simple loop over an array into vector instructions. It does not do so for a short loop that must keep its
sums in registers while it reads rows scattered over another array, as slicing a lattice does. A `lanes` value is
consecutive elements of an array, which LLVM keeps in registers: eight of them, or a line of 64 bytes (16 float32 or 8
float64). A line is one AVX-512 register, two of AVX2, or four of NEON. With the compiler off (NUMBA_DISABLE_JIT=1) the
same functions work on NumPy arrays.

Indices are unsigned and count elements from the start of a C-contiguous array. Nothing is checked.
"""

import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

WIDTH = 8
LINE_BYTES = 64
CONTRACT = ("contract",)


def has_wide_registers():
    """Tell whether code is compiled for a processor with registers of a whole line (AVX-512)."""
    features = numba.config.CPU_FEATURES
    if features is None:
        named = numba.config.CPU_NAME not in (None, "", "host")
        features = "" if named else binding.get_host_cpu_features().flatten()
    return "+avx512f" in features


class Lanes(types.Type):
    """Numba's type of `width` numbers of one dtype."""

    def __init__(self, dtype, width):
        self.dtype, self.width = dtype, width
        super().__init__(name=f"Lanes({dtype}, {width})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, lanes):
        element = manager.lookup(lanes.dtype).get_value_type()
        super().__init__(manager, lanes, ir.VectorType(element, lanes.width))


def _line(dtype):
    """Return Numba's type of a line of `dtype`."""
    return Lanes(dtype, 8 * LINE_BYTES // dtype.bitwidth)


def _picked(builder, a, b, picks):
    """Return the elements of a and b, counted through, that `picks` lists."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(picks)), list(picks)))


def _load(context, builder, array_type, array, index, width):
    data = context.make_array(array_type)(context, builder, array).data
    lanes = ir.VectorType(data.type.pointee, width)
    value = builder.load(builder.bitcast(builder.gep(data, [index]), lanes.as_pointer()))
    value.align = array_type.dtype.bitwidth // 8
    return value


def _store(context, builder, array_type, array, index, value):
    data = context.make_array(array_type)(context, builder, array).data
    address = builder.bitcast(builder.gep(data, [index]), value.type.as_pointer())
    builder.store(value, address).align = array_type.dtype.bitwidth // 8


def _repeat(builder, number, width):
    undefined = ir.Constant(ir.VectorType(number.type, width), ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    return _picked(builder, first, undefined, [0] * width)


def _loading(name, lanes_of):
    def typed(typing, array, index):
        lanes = lanes_of(array.dtype)

        def generate(context, builder, signature, arguments):
            return _load(context, builder, signature.args[0], *arguments, lanes.width)

        return lanes(array, types.uintp), generate

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


load = _loading("load", lambda dtype: Lanes(dtype, WIDTH))
load_line = _loading("load_line", _line)


@intrinsic
def store(typing, array, index, value):
    """Write lanes to the elements of `array` that start at `index`."""

    def generate(context, builder, signature, arguments):
        _store(context, builder, signature.args[0], *arguments)
        return context.get_dummy_value()

    return types.none(array, types.uintp, value), generate


@intrinsic
def expect(typing, array, index):
    """Prefetch the cache line of an element that will be read soon."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), word, word, word])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(fetch, [address, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.none(array, types.uintp), generate


def _repeating(name, lanes_of):
    def typed(typing, number):
        lanes = lanes_of(number)

        def generate(context, builder, signature, arguments):
            return _repeat(builder, arguments[0], lanes.width)

        return lanes(number), generate

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


repeat = _repeating("repeat", lambda dtype: Lanes(dtype, WIDTH))
repeat_line = _repeating("repeat_line", _line)


@intrinsic
def add_scaled(typing, total, weight, value):
    """Return total + weight·value, rounded once where the processor can."""

    def generate(context, builder, signature, arguments):
        weight = _repeat(builder, arguments[1], value.width)
        product = builder.fmul(weight, arguments[2], flags=CONTRACT)
        return builder.fadd(product, arguments[0], flags=CONTRACT)

    return total(total, total.dtype, value), generate


@intrinsic
def add_product(typing, total, a, b):
    """Return total + a·b of lanes, rounded once where the processor can."""

    def generate(context, builder, signature, arguments):
        product = builder.fmul(arguments[1], arguments[2], flags=CONTRACT)
        return builder.fadd(product, arguments[0], flags=CONTRACT)

    return total(total, a, b), generate


def _binary(name, emit):
    def typed(typing, a, b):
        def generate(context, builder, signature, arguments):
            return emit(builder, *arguments)

        return a(a, b), generate

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


add = _binary("add", lambda builder, a, b: builder.fadd(a, b))
multiply = _binary("multiply", lambda builder, a, b: builder.fmul(a, b))
# If the comparison fails, b is taken: a NaN in b is kept, a NaN in a is lost.
larger = _binary("larger", lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))


def _halved(builder, value, combine):
    """Reduce lanes to one number: combine the two halves until one is left."""
    width = value.type.count
    while width > 1:
        width //= 2
        value = combine(builder, *(_picked(builder, value, value, range(at, at + width)) for at in (0, width)))
    return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))


def _reduction(name, combine):
    def typed(typing, value):
        def generate(context, builder, signature, arguments):
            return _halved(builder, arguments[0], combine)

        return value.dtype(value), generate

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


total = _reduction("total", lambda builder, a, b: builder.fadd(a, b))
largest = _reduction("largest", lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))


@intrinsic
def transpose(typing, array, index, step, out, out_index, out_step):
    """Write a square of `array`, as wide as a line, transposed to `out`; the steps are the distances of its rows.

    Rows i and i + d exchange the halves of their blocks of 2d elements, for d = 1, 2, 4, …
    """
    width = _line(array.dtype).width

    def generate(context, builder, signature, arguments):
        source, at, step, target, out_at, out_step = arguments
        rows = []
        for _ in range(width):
            rows.append(_load(context, builder, signature.args[0], source, at, width))
            at = builder.add(at, step)
        d = 1
        while d < width:
            upper = [i + width - d if i & d else i for i in range(width)]
            lower = [i + width if i & d else i + d for i in range(width)]
            for i in range(width):
                if not i & d:
                    pair = rows[i], rows[i + d]
                    rows[i], rows[i + d] = _picked(builder, *pair, upper), _picked(builder, *pair, lower)
            d *= 2
        for row in rows:
            _store(context, builder, signature.args[3], target, out_at, row)
            out_at = builder.add(out_at, out_step)
        return context.get_dummy_value()

    return types.none(array, types.uintp, types.uintp, out, types.uintp, types.uintp), generate


if numba.config.DISABLE_JIT:

    def load(array, index):
        """Return the eight elements of `array` that start at `index`."""
        return array.reshape(-1)[int(index) : int(index) + WIDTH].copy()

    def load_line(array, index):
        """Return the elements of a line of `array` that starts at `index`."""
        return array.reshape(-1)[int(index) : int(index) + LINE_BYTES // array.itemsize].copy()

    def store(array, index, value):
        """Write lanes to the elements of `array` that start at `index`."""
        array.reshape(-1)[int(index) : int(index) + len(value)] = value

    def expect(array, index):
        """Do nothing."""

    def repeat(number):
        """Return eight copies of a number."""
        return np.full(WIDTH, number)

    def repeat_line(number):
        """Return a line of copies of a number."""
        return np.full(LINE_BYTES // number.itemsize, number)

    def transpose(array, index, step, out, out_index, out_step):
        """Write a square of `array`, as wide as a line, transposed to `out`."""
        width = np.arange(LINE_BYTES // array.itemsize)
        square = array.reshape(-1)[int(index) + width[:, None] * int(step) + width]
        out.reshape(-1)[int(out_index) + width[:, None] * int(out_step) + width] = square.T

    def add_scaled(total, weight, value):
        """Return total + weight·value."""
        return total + weight * value

    add_product = add_scaled

    def total(value):
        """Return the sum of the lanes, in the same order as compiled code."""
        while value.size > 1:
            value = value[: value.size // 2] + value[value.size // 2 :]
        return value[0]

    add, multiply, larger, largest = np.add, np.multiply, np.maximum, np.max
