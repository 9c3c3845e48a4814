"""Eight numbers at once (SIMD): the vector operations for compiled loops over labels or channels.

Numba turns a simple loop over an array into vector instructions. It does not do so for a short loop that must keep its
sums in registers while it reads rows scattered over another array, as slicing a lattice does. A `lanes` value is eight
consecutive elements of an array, which LLVM keeps in one or two registers on any processor. With the compiler off
(NUMBA_DISABLE_JIT=1) the same functions work on NumPy arrays of eight.

Indices are unsigned and count elements from the start of a C-contiguous array. Nothing is checked.
"""

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

WIDTH = 8
CONTRACT = ("contract",)


class Lanes(types.Type):
    """Numba's type of eight numbers of one dtype."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, lanes):
        element = manager.lookup(lanes.dtype).get_value_type()
        super().__init__(manager, lanes, ir.VectorType(element, WIDTH))


def _address(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    lanes = ir.VectorType(data.type.pointee, WIDTH)
    return builder.bitcast(builder.gep(data, [index]), lanes.as_pointer()), array_type.dtype.bitwidth // 8


def _repeat(builder, number):
    lanes = ir.VectorType(number.type, WIDTH)
    undefined = ir.Constant(lanes, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH))


@intrinsic
def load(typing, array, index):
    """Return the eight elements of `array` that start at `index`."""

    def generate(context, builder, signature, arguments):
        address, alignment = _address(context, builder, signature.args[0], *arguments)
        value = builder.load(address)
        value.align = alignment
        return value

    return Lanes(array.dtype)(array, types.uintp), generate


@intrinsic
def store(typing, array, index, value):
    """Write the eight elements of `array` that start at `index`."""

    def generate(context, builder, signature, arguments):
        address, alignment = _address(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], address).align = alignment
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


@intrinsic
def repeat(typing, number):
    """Return eight copies of a number."""

    def generate(context, builder, signature, arguments):
        return _repeat(builder, arguments[0])

    return Lanes(number)(number), generate


@intrinsic
def add_scaled(typing, total, weight, value):
    """Return total + weight·value, rounded once where the processor can."""

    def generate(context, builder, signature, arguments):
        product = builder.fmul(_repeat(builder, arguments[1]), arguments[2], flags=CONTRACT)
        return builder.fadd(product, arguments[0], flags=CONTRACT)

    return total(total, total.dtype, value), generate


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
    """Reduce eight lanes to one number: combine the two halves, three times."""
    width = WIDTH
    while width > 1:
        width //= 2
        pick = [
            ir.Constant(ir.VectorType(ir.IntType(32), width), [i + start for i in range(width)]) for start in (0, width)
        ]
        value = combine(builder, *(builder.shuffle_vector(value, value, p) for p in pick))
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


if numba.config.DISABLE_JIT:

    def load(array, index):
        """Return the eight elements of `array` that start at `index`."""
        return array.reshape(-1)[int(index) : int(index) + WIDTH].copy()

    def store(array, index, value):
        """Write the eight elements of `array` that start at `index`."""
        array.reshape(-1)[int(index) : int(index) + WIDTH] = value

    def expect(array, index):
        """Do nothing."""

    def repeat(number):
        """Return eight copies of a number."""
        return np.full(WIDTH, number)

    def add_scaled(total, weight, value):
        """Return total + weight·value."""
        return total + weight * value

    def total(value):
        """Return the sum of the eight lanes, in the same order as compiled code."""
        while value.size > 1:
            value = value[: value.size // 2] + value[value.size // 2 :]
        return value[0]

    add, multiply, larger, largest = np.add, np.multiply, np.maximum, np.max
