"""The transposed, depthwise and separable convolutions: against their definitions, and their gradients."""

import itertools
from functools import partial

import numpy as np
import pytest
from conv.cases import BY_NAME, CASES
from oracles import zero_stuff
from scipy import signal
from tolerances import assert_close

import atrous
from atrous import adjoint_error, assert_gradients, atrous_conv, atrous_conv_transpose
from atrous.conv.geometry import conv_geometry
from atrous.errors import ShapeError

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
STRIDED = [case for case in CASES if np.max(case.stride) > 1 and case.padding != "same_tf"]
methods = pytest.mark.parametrize("method", ["im2col", "interlace", "direct"])


def sizes_for(case):
    """Return the spatial shapes of the case's input, of its output, and its options per axis, from its geometry."""
    g = conv_geometry(case.x, case.w, **case.options)
    skip = 3 - (len(case.x) - 2)
    return tuple(tuple(part[skip:]) for part in (g.size, g.out, g.rate, g.stride, g.pad))


# The transposed convolution


@every_case
def test_transpose_is_the_exact_adjoint(case, rng):
    _, w, _ = case.draw(rng)
    size, out, *_ = sizes_for(case)
    error = adjoint_error(
        lambda x: atrous_conv(x, w, **case.options),
        lambda y: atrous_conv_transpose(y, w, **case.options, size=size),
        case.x,
        (case.x[0], case.w[0], *out),
    )
    assert error <= 1e-12


@every_case
def test_transpose_equals_its_definition_with_zeros_between_samples(case, rng):
    """Zeros between the outputs, zeros between the taps, then a full convolution with the mirrored filter, cropped."""
    _, w, _ = case.draw(rng)
    size, out, rate, stride, pad = sizes_for(case)
    y = rng.standard_normal((case.x[0], case.w[0], *out))
    expected = np.zeros(case.x)
    filters, channels = case.w[0] // case.groups, case.w[1]
    for n, f, c in np.ndindex(case.x[0], *case.w[:2]):
        full = signal.convolve(zero_stuff.stuff(y[n, f], stride), zero_stuff.stuff(w[f, c], rate), method="direct")
        # Samples that no output reads stay zero; samples of the padding are cropped.
        room = np.pad(full, [(0, p + s) for p, s in zip(pad, size, strict=True)])
        crop = tuple(slice(p, p + s) for p, s in zip(pad, size, strict=True))
        expected[n, f // filters * channels + c] += room[crop]
    assert_close(atrous_conv_transpose(y, w, **case.options, size=size), expected, "reordered")


@methods
@pytest.mark.parametrize("case", STRIDED, ids=lambda case: case.name)
def test_every_possible_size_leads_back_to_the_output(case, method, rng):
    """A stride s forgets the input's size modulo s: the smallest is the default, the others end in unread samples."""
    _, w, _ = case.draw(rng)
    size, out, _, stride, _ = sizes_for(case)
    y = rng.standard_normal((case.x[0], case.w[0], *out))
    transpose = partial(atrous_conv_transpose, y, w, **case.options, method=method)
    smallest = transpose().shape[2:]
    assert all(low <= n < low + s for low, n, s in zip(smallest, size, stride, strict=True))
    for more in range(max(stride)):
        wanted = tuple(low + min(more, s - 1) for low, s in zip(smallest, stride, strict=True))
        x = transpose(size=wanted)
        assert x.shape == (*case.x[:2], *wanted)
        assert atrous_conv(x, w, **case.options).shape == y.shape
        crop = (slice(None), slice(None), *(slice(n) for n in smallest))
        np.testing.assert_array_equal(x[crop], transpose())


@methods
def test_the_transpose_of_same_tf_takes_every_size_and_by_default_the_largest(method, rng):
    w, y = rng.standard_normal((3, 2, 3, 4)), rng.standard_normal((2, 3, 4, 3))
    options = {"stride": (2, 3), "padding": "same_tf", "method": method}
    np.testing.assert_array_equal(
        atrous_conv_transpose(y, w, **options), atrous_conv_transpose(y, w, **options, size=(8, 9))
    )
    for size in itertools.product((7, 8), (7, 8, 9)):
        error = adjoint_error(
            partial(atrous_conv, w=w, **options),
            partial(atrous_conv_transpose, w=w, **options, size=size),
            (2, 2, *size),
            y.shape,
        )
        assert error <= 1e-12
    for size in ((6, 9), (9, 9), (8, 6), (8, 10)):
        with pytest.raises(ShapeError, match=r"outputs \(4, 3\); along each axis it must be 7 to 8, 7 to 9"):
            atrous_conv_transpose(y, w, **options, size=size)


@methods
@pytest.mark.parametrize(
    "name", ["stride2_rate4", "groups", "one_sided_stride", "same_tf_rates", "1d_stride", "3d_stride_groups"]
)
def test_gradients_of_the_transpose(name, method, rng):
    case = BY_NAME[name]
    _, w, _ = case.draw(rng)
    size, out, *_ = sizes_for(case)
    forward = partial(atrous.conv_transpose_forward, **case.options, size=size, method=method)
    y = rng.standard_normal((case.x[0], case.w[0], *out))
    report = assert_gradients(forward, atrous.conv_transpose_backward, [y, w], mode="sample")
    assert max(found.max_rel_error for found in report.inputs) <= 1e-7


def test_forward_of_the_transpose_gives_the_same_bits(rng):
    y, w = rng.standard_normal((1, 3, 4, 5)), rng.standard_normal((3, 2, 3, 3))
    options = {"rate": 2, "stride": 2, "size": (8, 10)}
    x, cache = atrous.conv_transpose_forward(y, w, **options)
    np.testing.assert_array_equal(x, atrous_conv_transpose(y, w, **options))
    assert cache.y is y
    assert cache.w is w


# The depthwise convolution

SPATIAL = [
    pytest.param((11,), (3,), {"rate": 3}, id="1d"),
    pytest.param((9, 8), (3, 2), {"rate": (2, 3), "stride": (1, 2)}, id="2d"),
    pytest.param((8, 7), (3, 3), {"rate": 2, "padding": ((3, 0), (1, 4))}, id="2d padded"),
    pytest.param((6, 9), (3, 2), {"rate": (1, 2), "stride": (2, 4), "padding": "same_tf"}, id="2d same_tf"),
    pytest.param((4, 5, 6), (2, 3, 2), {"rate": (1, 2, 2), "padding": "valid"}, id="3d"),
]
over_space = pytest.mark.parametrize(("size", "kernel", "options"), SPATIAL)
multipliers = pytest.mark.parametrize("multiplier", [1, 2, 3])
CHANNELS = 3


@pytest.fixture
def drawn(rng, size, kernel, multiplier):
    """Return x, depthwise filters, pointwise weights of 4 outputs, and a bias for either."""
    depth = CHANNELS * multiplier
    shapes = {
        "x": (2, CHANNELS, *size),
        "w": (CHANNELS, multiplier, *kernel),
        "p": (4, depth, *(1,) * len(size)),
        "b_depthwise": (depth,),
        "b": (4,),
    }
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


@over_space
@multipliers
@methods
def test_depthwise_channel_order(drawn, options, multiplier, method):
    x, w, b = drawn["x"], drawn["w"], drawn["b_depthwise"]
    y = atrous.depthwise_conv(x, w, b, **options, method=method)
    assert y.shape[1] == CHANNELS * multiplier
    for c in range(CHANNELS):
        for m in range(multiplier):
            channel = c * multiplier + m
            alone = atrous_conv(x[:, [c]], w[[c]][:, [m]], b[[channel]], **options, method="reference")
            assert_close(y[:, [channel]], alone, "reordered")


@over_space
@multipliers
def test_gradients_of_depthwise(drawn, options, multiplier):
    inputs = [drawn["x"], drawn["w"], drawn["b_depthwise"]]
    forward = partial(atrous.depthwise_forward, **options)
    assert_gradients(forward, atrous.depthwise_backward, inputs, mode="sample")
    assert_gradients(forward, atrous.depthwise_backward, [*inputs[:2], None], mode="sample")
    grads = atrous.depthwise_backward(*forward(*inputs))
    assert [grad.shape for grad in grads] == [a.shape for a in inputs]


# The separable convolution


@over_space
@multipliers
def test_separable_equals_one_full_convolution(drawn, options, multiplier):
    x, w, p, b = (drawn[name] for name in ("x", "w", "p", "b"))
    mix = p.reshape(len(p), CHANNELS, multiplier)
    full = np.einsum("fcm,cm...->fc...", mix, w)
    assert_close(atrous.separable_conv(x, w, p, b, **options), atrous_conv(x, full, b, **options), "reordered")


@over_space
@multipliers
def test_gradients_of_separable(drawn, options, multiplier):
    inputs = [drawn[name] for name in ("x", "w", "p", "b")]
    forward = partial(atrous.separable_forward, **options)
    assert_gradients(forward, atrous.separable_backward, inputs, mode="sample")
    assert_gradients(forward, atrous.separable_backward, [*inputs[:3], None], mode="sample")
    grads = atrous.separable_backward(*forward(*inputs))
    assert [grad.shape for grad in grads] == [a.shape for a in inputs]


@pytest.mark.parametrize("name", ["depthwise", "separable"])
def test_float32_stays_float32(name, rng):
    x, w, p = (rng.standard_normal(s).astype(np.float32) for s in ((1, 2, 6, 5), (2, 2, 3, 3), (3, 4, 1, 1)))
    inputs = (x, w) if name == "depthwise" else (x, w, p)
    y, cache = getattr(atrous, f"{name}_forward")(*inputs, rate=2, method="im2col")
    grads = getattr(atrous, f"{name}_backward")(y, cache)
    assert {a.dtype.name for a in (y, *grads) if a is not None} == {"float32"}
    assert grads[-1] is None
