"""The vector operations of `lanes` as instructions of LLVM, for compiled code.

Role: loops. Nothing is checked.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

WIDTH = 8
LINE_BYTES = 64
CONTRACT = ("contract",)


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
smaller = _binary("smaller", lambda builder, a, b: builder.select(builder.fcmp_ordered("<", a, b), a, b))


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
