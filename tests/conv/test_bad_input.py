"""Bad input gives one clear error that shows what was received; unusual but good input gives the usual result."""

import re

import numpy as np
import pytest
from conv.cases import BY_NAME, usable_case

import atrous
from atrous.errors import AtrousError, BackendUnavailable, DTypeError, ParameterError, ShapeError
from atrous.jit import gpu

X, W = np.ones((1, 4, 6, 7)), np.ones((6, 4, 3, 3))
Y = np.ones((1, 6, 6, 7))
HUGE = np.broadcast_to(1.0, (1, 4, 2**16, 2**16))  # 2^34 elements, eight bytes


def ones(*shape, dtype=np.float64):
    return np.ones(shape, dtype)


def bad(name, call, error, message, *marks):
    """One row: `message` is a regex, or plain text where it is the repr of a value received."""
    return pytest.param(call, error, message, id=name, marks=marks)


def conv(x=X, w=W, b=None, **options):
    return lambda: atrous.atrous_conv(x, w, b, **options)


def backward(dy):
    return lambda: atrous.conv_backward(dy, atrous.conv_forward(X, W)[1])


def depthwise(x=X, w=None, b=None, **options):
    return lambda: atrous.depthwise_conv(x, ones(4, 2, 3, 3) if w is None else w, b, **options)


def separable(w_pointwise, b=None):
    return lambda: atrous.separable_conv(X, ones(4, 2, 3, 3), w_pointwise, b)


def transpose(y=Y, w=W, **options):
    return lambda: atrous.atrous_conv_transpose(y, w, **options)


def bad_integers(option, least, axes):
    """Rows for an option that takes one integer, or one per axis."""
    values = [
        (least - 1, f"at least {least}, got {least - 1}"),
        (-3, "got -3"),
        (2**40, "below 2\\^31, got 1099511627776"),
        (True, "integer.*got True of type bool"),
        (2.0, "integer.*got 2.0 of type float"),
        ("2", "got '2'"),
        (None, "integer.*got None"),
    ]
    if axes:
        values += [
            ((1, 2, 3), r"one integer or 2.*got \(1, 2, 3\)"),
            ([], r"one integer or 2.*got \[\]"),
            ((1, 2.5), "integer.*got.* 2.5"),
            ((-2, 1), rf"\[0\] must be at least {least}, got -2"),
        ]
    return [bad(f"{option}={v!r}", conv(**{option: v}), ParameterError, f"{option}.*{m}") for v, m in values]


def bad_paddings():
    words = ["SAME", "full", "", b"same"]
    nested = [
        ((1, 2),),
        ((1, 2), (3,)),
        ((1, 2), (3, 4, 5)),
        (1, (2, 3)),
        (((1, 2), (3, 4)), ((5, 6), (7, 8))),
    ]
    rows = [bad(f"padding={p!r}", conv(padding=p), ParameterError, re.escape(f"got {p!r}")) for p in words + nested]
    negative = bad(
        "padding pair negative", conv(padding=((1, 1), (1, -4))), ParameterError, r"padding\[1\]\[1\].*got -4"
    )
    return [*rows, negative]


def bad_methods():
    names = [
        "winograd:5",
        "winograd:im2col",
        "IM2COL",
        "interlace:interlace",
        "interlace:",
        "interlace:auto",
        "im2col:direct",
        ":direct",
    ]
    return [
        bad(
            f"method={m!r}",
            conv(method=m),
            ParameterError,
            f"method must be one of 'auto', 'exact', 'reference'.*got {m!r}",
        )
        for m in names
    ]


def methods_that_do_not_fit():
    """Return calls of methods that need other geometries."""
    x = np.zeros((1, 4, 9, 9))
    cases = [
        ("winograd", np.zeros((2, 4, 5, 5)), {}, "needs 3 × 3 taps in the plane and stride 1, got 1 × 5 × 5 taps"),
        ("winograd:2", np.zeros((2, 4, 3, 3)), {"stride": 2}, r"stride \(1, 2, 2\)"),
        ("interlace:winograd", np.zeros((2, 4, 1, 3)), {}, "'winograd' needs 3 × 3 taps"),
        ("depthwise", np.zeros((2, 4, 3, 3)), {}, "one channel for each group.*4 channels in each of 1 groups"),
    ]
    return [
        bad(
            f"{method} {w.shape} {options}",
            lambda m=method, w=w, o=options: atrous.atrous_conv(x, w, method=m, **o),
            ParameterError,
            message,
        )
        for method, w, options, message in cases
    ]


NEEDS_NO_GPU = pytest.mark.skipif(gpu.why_not() is None, reason="a CUDA device, or its simulator, is here")

BAD = [
    # shapes
    bad("x without axes", conv(np.float64(1)), ShapeError, r"x must be \(N, C, \*S\).*got shape \(\)"),
    bad(
        "x without a batch axis", lambda: atrous.atrous_conv(ones(4, 6, 7), ones(2, 4, 3, 3)), ShapeError, r"x\[None\]"
    ),
    bad("channels last", lambda: atrous.atrous_conv(ones(1, 6, 7, 4), ones(2, 4, 3, 3)), ShapeError, r"moveaxis"),
    bad("rate in place of b", lambda: atrous.atrous_conv(ones(1, 4, 6, 7), ones(2, 4, 3, 3), 2), DTypeError, r"rate=2"),
    bad("x of two axes", conv(ones(6, 7)), ShapeError, r"1, 2 or 3 spatial axes, got shape \(6, 7\)"),
    bad("x of six axes", conv(ones(1, 1, 2, 2, 2, 2), ones(1, 1, 1, 1, 1, 1)), ShapeError, r"\(1, 1, 2, 2, 2, 2\)"),
    bad("w of another rank", conv(w=ones(6, 4, 3)), ShapeError, r"w must be .* 4 axes like x, got shape \(6, 4, 3\)"),
    bad("channels", conv(w=ones(6, 5, 3, 3)), ShapeError, r"w has 5 channels.*x has 4.*\(1, 4, 6, 7\).*\(6, 5, 3, 3\)"),
    bad("channels of groups", conv(groups=2), ShapeError, r"4 channels in each of 2 group.*x needs 8, but x has 4"),
    bad("groups and channels", conv(groups=3), ParameterError, "groups must divide the 4 channels .* 6 filters, got 3"),
    bad("groups and filters", conv(groups=4), ParameterError, "groups must divide the 4 channels .* 6 filters, got 4"),
    bad("x empty", conv(ones(1, 4, 0, 7)), ShapeError, r"x is empty, shape \(1, 4, 0, 7\)"),
    bad("channels empty", conv(ones(1, 0, 6, 7)), ShapeError, r"x is empty, shape \(1, 0, 6, 7\)"),
    bad("x an empty list", conv([]), ShapeError, r"x is empty, shape \(0,\)"),
    bad("w empty", conv(w=ones(6, 4, 0, 3)), ShapeError, r"w is empty, shape \(6, 4, 0, 3\)"),
    bad("no filters", conv(w=ones(0, 4, 3, 3)), ShapeError, r"w is empty, shape \(0, 4, 3, 3\)"),
    bad("b too short", conv(b=ones(5)), ShapeError, r"b must have shape \(6,\).*got \(5,\)"),
    bad("b of two axes", conv(b=ones(6, 1)), ShapeError, r"b must have shape \(6,\).*got \(6, 1\)"),
    bad("b a number", conv(b=1.0), ShapeError, r"b must have shape \(6,\).*got \(\)"),
    bad("b empty", conv(b=ones(0)), ShapeError, r"b is empty, shape \(0,\)"),
    bad(
        "kernel too large", conv(rate=4, padding="valid"), ShapeError, "spans 9 samples of spatial axis 0.*input has 6"
    ),
    bad(
        "padding too small", conv(rate=(1, 5), padding=1), ShapeError, "spans 11 samples of spatial axis 1.*input has 9"
    ),
    # dtypes
    bad("x integer", conv(ones(1, 4, 6, 7, dtype=int)), DTypeError, "x must be float32 or float64, got int"),
    bad("x float16", conv(X.astype(np.float16)), DTypeError, "got float16"),
    bad("x complex", conv(X + 0j), DTypeError, "got complex128"),
    bad("x boolean", conv(X > 0), DTypeError, "got bool"),
    bad("x text", conv("x"), DTypeError, "x must be an array, got .x."),
    bad("x None", conv(None), DTypeError, "x must be float32 or float64, got object"),
    bad("x objects", conv(X.astype(object)), DTypeError, "got object.*rectangular"),
    bad("x ragged", conv([[1.0, 2.0], [3.0]]), AtrousError, "x .*rectangular"),
    bad("w ragged", conv(w=[[1.0, 2.0], [3.0]]), AtrousError, "w .*rectangular"),
    bad("w integer", conv(w=W.astype(int)), DTypeError, "w must be float32 or float64, got int"),
    bad("w of another dtype", conv(w=W.astype(np.float32)), DTypeError, "other arrays, float64, got float32"),
    bad("x of another dtype", conv(X.astype(np.float32)), DTypeError, "other arrays, float32, got float64"),
    bad("b of another dtype", conv(b=ones(6, dtype=np.float32)), DTypeError, "b .*float64, got float32"),
    bad("b integer", conv(b=ones(6, dtype=int)), DTypeError, "b must be float32 or float64, got int"),
    # options
    *bad_integers("rate", 1, axes=True),
    *bad_integers("stride", 1, axes=True),
    *bad_integers("padding", 0, axes=True),
    *bad_integers("groups", 1, axes=False),
    *bad_paddings(),
    *bad_methods(),
    *methods_that_do_not_fit(),
    bad("method=cuda", conv(method="cuda"), BackendUnavailable, 'method="cuda" needs a CUDA device: ', NEEDS_NO_GPU),
    bad(
        "method=interlace:cuda", conv(method="interlace:cuda"), BackendUnavailable, "needs a CUDA device", NEEDS_NO_GPU
    ),
    # sizes beyond 32 bits
    bad("span", conv(rate=2**31 - 2), ShapeError, "needs 4294967298 samples.*rate 2147483646.*below 2\\^31"),
    bad("padding of 2^31", conv(padding=2**31), ParameterError, "padding must be below 2\\^31, got 2147483648"),
    bad(
        "padded input",
        conv(padding=2**30),
        ShapeError,
        "needs 2147483654 samples.*padding \\(1073741824, 1073741824\\)",
    ),
    bad("output", conv(padding=2**20), ShapeError, r"the output .*of shape \(1, 6, 2097156, 2097157\) has 2.64e\+13"),
    bad("x", conv(HUGE), ShapeError, r"x of shape \(1, 4, 65536, 65536\) has 1.72e\+10 elements"),
    bad("w", conv(w=np.broadcast_to(1.0, (2**28, 4, 3, 3))), ShapeError, r"w of shape \(268435456, 4, 3, 3\)"),
    # backward passes
    bad("dy of another shape", backward(ones(1, 6, 6, 6)), ShapeError, r"output, \(1, 6, 6, 7\), got \(1, 6, 6, 6\)"),
    bad("dy of another rank", backward(ones(6, 6, 7)), ShapeError, r"output, \(1, 6, 6, 7\), got \(6, 6, 7\)"),
    bad("dy a number", backward(1.0), ShapeError, r"\(1, 6, 6, 7\), got \(\)"),
    bad("dy empty", backward(ones(1, 0, 6, 7)), ShapeError, r"dy is empty, shape \(1, 0, 6, 7\)"),
    bad("dy of another dtype", backward(Y.astype(np.float32)), DTypeError, "dy .*float64, got float32"),
    bad("dy integer", backward(Y.astype(int)), DTypeError, "dy must be float32 or float64, got int"),
    # depthwise and separable
    bad("depthwise channels", depthwise(w=ones(3, 1, 3, 3)), ShapeError, r"got w \(3, 1, 3, 3\) for x \(1, 4, 6, 7\)"),
    bad("depthwise rank", depthwise(w=ones(4, 3, 3)), ShapeError, r"got w \(4, 3, 3\) for x \(1, 4, 6, 7\)"),
    bad("depthwise matrix", depthwise(ones(6, 7), ones(6, 7)), ShapeError, r"got w \(6, 7\) for x \(6, 7\)"),
    bad("depthwise bias", depthwise(b=ones(4)), ShapeError, r"b must have shape \(8,\).*got \(4,\)"),
    bad("depthwise rate", depthwise(rate=0), ParameterError, "rate must be at least 1, got 0"),
    bad("depthwise dtype", depthwise(w=ones(4, 1, 3, 3, dtype=np.float32)), DTypeError, "float64, got float32"),
    bad("pointwise channels", separable(ones(5, 4, 1, 1)), ShapeError, r"must be \(F, 8, 1, 1\).*got \(5, 4, 1, 1\)"),
    bad("pointwise kernel", separable(ones(5, 8, 3, 3)), ShapeError, r"must be \(F, 8, 1, 1\).*got \(5, 8, 3, 3\)"),
    bad("pointwise rank", separable(ones(5, 8)), ShapeError, r"must be \(F, 8, 1, 1\).*got \(5, 8\)"),
    bad("pointwise empty", separable(ones(0, 8, 1, 1)), ShapeError, r"w_pointwise is empty, shape \(0, 8, 1, 1\)"),
    bad("separable bias", separable(ones(5, 8, 1, 1), ones(8)), ShapeError, r"b must have shape \(5,\).*got \(8,\)"),
    # transposed
    bad("transposed filters", transpose(w=ones(5, 4, 3, 3)), ShapeError, "w has 5 filters but y has 6 channels"),
    bad("transposed rank", transpose(w=ones(6, 4, 3)), ShapeError, r"got \(1, 6, 6, 7\) and \(6, 4, 3\)"),
    bad("transposed matrix", transpose(ones(6, 7)), ShapeError, r"got \(6, 7\) and \(6, 4, 3, 3\)"),
    bad("transposed dtype", transpose(Y.astype(int)), DTypeError, "y must be float32 or float64, got int"),
    bad("transposed groups", transpose(groups=4), ParameterError, "groups must divide .*got 4"),
    bad("transposed size", transpose(stride=2, size=(13, 14)), ShapeError, r"size \(13, 14\).*11 to 12, 13 to 14"),
    bad("transposed size=0", transpose(size=0), ParameterError, "size must be at least 1, got 0"),
    bad("transposed size of one axis", transpose(size=(6,)), ParameterError, r"size must be one integer or 2.*\(6,\)"),
    bad("transposed padding", transpose(padding=9), ShapeError, r"no input gives outputs \(6, 7\)"),
    bad("transposed result", transpose(stride=2**20), ShapeError, r"\(1, 4, 5242881, 6291457\) has 1.32e\+14 elements"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_refused_in_one_sentence_about_what_was_received(call, error, message):
    with pytest.raises(AtrousError) as caught:
        call()
    assert type(caught.value) is error or error is AtrousError
    assert isinstance(caught.value, (ValueError, TypeError, RuntimeError))
    text = str(caught.value)
    assert re.search(message, text), text
    assert re.match(r"[a-z_]+: ", text), f"the message does not begin with a function's name: {text}"
    assert "\n" not in text


# Winograd compiles for float64 for seconds; its arrays take the same way as those of implicit_gemm.
HOST_METHODS = tuple(m for m in atrous.CONV_METHODS if m not in ("cuda", "winograd"))
each_method = pytest.mark.parametrize("method", HOST_METHODS)
SOME_CASES = ("plain", "groups", "pointwise", "stride2_rate4", "1d_stride", "3d_stride_groups")


def batch_innermost(a):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 0, -1)), -1, 0)


def unaligned(a):
    buffer = bytearray(a.nbytes + 1)
    view = np.frombuffer(buffer, a.dtype, a.size, offset=1).reshape(a.shape)
    view[...] = a
    return view


def read_only(a):
    a = a.copy()
    a.setflags(write=False)
    return a


LAYOUTS = {
    "every other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "Fortran": np.asfortranarray,
    "batch innermost": batch_innermost,
    "negative strides": lambda a: a[(slice(None, None, -1),) * a.ndim],
    "zero strides": lambda a: np.broadcast_to(a[:1], a.shape),
    "read-only": read_only,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": unaligned,
    "nested lists": np.ndarray.tolist,
}


def outcome(case, method, x, w, b, dy, **options):
    y, cache = atrous.conv_forward(x, w, b, **{**case.options, **options}, method=method)
    return y, *atrous.conv_backward(dy, cache)


def draw(case, rng):
    """Return x, w, b and dy of small integers, so that any order of summation gives the same bits."""
    x, w, b = case.draw(rng, integers=True)
    dy = rng.integers(-4, 5, atrous.atrous_conv(x, w, **case.options).shape).astype(x.dtype)
    return x, w, b, dy


def assert_equal_and_plain(results, expected):
    for a, e in zip(results, expected, strict=True):
        np.testing.assert_array_equal(a, e)
        assert a.dtype == np.float64
        assert a.dtype.isnative
        assert a.flags.c_contiguous
        assert a.flags.writeable


@each_method
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", SOME_CASES)
def test_memory_layout_does_not_matter(method, layout, name, rng):
    case = usable_case(method, name)
    unusual = [LAYOUTS[layout](a) for a in draw(case, rng)]
    plain = [np.array(a, np.float64, order="C") for a in unusual]
    assert_equal_and_plain(outcome(case, method, *unusual), outcome(case, method, *plain))


@pytest.mark.parametrize("method", [m for m in HOST_METHODS if m not in ("stacked_taps", "depthwise")])
def test_numpy_integers_and_sequences_are_options(method, rng):
    case = BY_NAME["groups"]._replace(padding=((2, 1), (1, 2)), stride=(1, 2))
    arrays = draw(case, rng)
    expected = outcome(case, method, *arrays)
    for changed in (
        {"rate": np.int64(2)},
        {"rate": np.array(2, np.uint8)},
        {"rate": [2, np.int32(2)]},
        {"stride": np.array([1, 2])},
        {"groups": np.uint8(2)},
        {"padding": np.array([[2, 1], [1, 2]])},
        {"padding": [[2, np.int16(1)], (1, 2)]},
    ):
        assert_equal_and_plain(outcome(case, method, *arrays, **changed), expected)


@each_method
@pytest.mark.parametrize("name", SOME_CASES)
def test_inputs_are_never_modified(method, name, rng):
    case = usable_case(method, name)
    arrays = draw(case, rng)
    before = [a.copy() for a in arrays]
    results = outcome(case, method, *arrays)
    for a, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, old)
        assert not any(np.shares_memory(a, result) for result in results)


@each_method
def test_the_cache_refers_to_the_inputs_and_may_be_used_again(method, rng):
    case = usable_case(method, "stride2_rate4")
    x, w, b, dy = draw(case, rng)
    _, cache = atrous.conv_forward(x, w, b, **case.options, method=method)
    assert cache.x is x
    assert cache.w is w
    assert not any(isinstance(part, np.ndarray) for part in cache[2:])
    for first, second in zip(atrous.conv_backward(dy, cache), atrous.conv_backward(dy, cache), strict=True):
        np.testing.assert_array_equal(first, second)


@each_method
def test_without_bias_there_is_no_gradient_of_it(method, rng):
    case = usable_case(method, "plain")
    x, w, _, dy = draw(case, rng)
    with_zeros, without = (outcome(case, method, x, w, b, dy) for b in (np.zeros(len(w)), None))
    assert without[3] is None
    assert_equal_and_plain(without[:3], with_zeros[:3])
