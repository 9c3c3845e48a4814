"""Each way to join parts: forward against plain NumPy, gradients against differences, lowering against forward."""

from fractions import Fraction

import numpy as np
import pytest
from directions import assert_gradients
from tolerances import assert_close

from atrous import atrous_conv, average_pool_forward, max_pool_forward, resize_bilinear, squeeze_excite_forward
from atrous.compose.activation import RELU, Activation
from atrous.compose.chain import Chain, chain
from atrous.compose.cpu import CPU
from atrous.compose.enlarge import Deconv, Enlarge
from atrous.compose.gate import Gate, squeeze_excite
from atrous.compose.image_pooling import ImagePooling
from atrous.compose.input_size import ToInputSize
from atrous.compose.leaves import Dropout, Endpoint, GlobalAverage, Pool, Subsample
from atrous.compose.multi_scale import MultiScale
from atrous.compose.parallel import Parallel
from atrous.compose.part import Part, walk
from atrous.compose.program import fused, lowered, run
from atrous.compose.residual import Residual
from atrous.compose.side_head import SideHead
from atrous.compose.skip_connections import SkipConnections
from atrous.compose.styles import SHORT
from atrous.errors import DTypeError, ShapeError

X = (2, 2, 7, 9)


def conv(name, c, f, *args, **options):
    return SHORT.conv(name, c, f, *args, bias=True, **options)


def convolved(p, name, x, **options):
    return atrous_conv(x, p[f"{name}.w"], p[f"{name}.b"], **options)


def normalised(p, name, x):
    """Batch norm with running statistics, as the formula has it."""
    gamma, beta, mean, var = (p[f"{name}.{end}"][:, None, None] for end in ("gamma", "beta", "mean", "var"))
    return gamma * (x - mean) / np.sqrt(var + 1e-5) + beta


TRUNK = chain(Endpoint("image"), conv("a", 2, 3, stride=2), RELU, Endpoint("half"), Pool(), conv("b", 3, 3))


def _trunk(p, x):
    half = np.maximum(convolved(p, "a", x, stride=2), 0)
    return half, convolved(p, "b", max_pool_forward(half, 3, stride=2, padding=1)[0])


def _sum_of_sides(p, x):
    half, y = _trunk(p, x)
    from_image = convolved(p, "c", x, stride=4, padding=((1, 3), (1, 0)))
    from_half = convolved(p, "d", half, stride=2)
    h, w = (min(a.shape[axis] for a in (y, from_image, from_half)) for axis in (2, 3))
    return sum(a[:, :, :h, :w] for a in (y, from_image, from_half))


def _resized_sum(p, x):
    half, y = _trunk(p, x)
    side = convolved(p, "d", half)
    return resize_bilinear(y, side.shape[2:], align_corners=False) + side


def _gated(p, x):
    body = np.maximum(normalised(p, "n", convolved(p, "a", x)), 0)
    return body / (1 + np.exp(-convolved(p, "b", x.mean((2, 3), keepdims=True))))


def _concatenated_side(p, x):
    half, y = _trunk(p, x)
    side = convolved(p, "d", half, stride=2)
    return np.concatenate([side, resize_bilinear(y, side.shape[2:], align_corners=False)], axis=1)


def _concatenated_sides(p, x):
    half, y = _trunk(p, x)
    sides = convolved(p, "d", half), convolved(p, "c", x, stride=3)
    return np.concatenate([resize_bilinear(a, half.shape[2:]) for a in (y, *sides)], axis=1)


def _at_scales(p, x):
    def body(image):
        return convolved(p, "a", image, stride=2)

    first = body(x)
    small = body(resize_bilinear(x, (4, 5)))
    return np.maximum(first, resize_bilinear(small, first.shape[2:]))


def _pooled(p, x):
    y = np.maximum(convolved(p, "b", x.mean((2, 3), keepdims=True)), 0)
    return np.concatenate([convolved(p, "a", x), np.broadcast_to(y, (*y.shape[:2], *x.shape[2:]))], axis=1)


def _stamped(p, x, factor=3):
    """Every sample stamps its filter onto the larger map, around the place where it lands."""
    w, reach = p["up.w"], factor - 1
    n, _, high, wide = x.shape
    y = np.zeros((n, w.shape[1], factor * (high - 1) + 1 + 2 * reach, factor * (wide - 1) + 1 + 2 * reach))
    for i in range(high):
        for j in range(wide):
            part = np.s_[:, :, factor * i : factor * i + 2 * reach + 1, factor * j : factor * j + 2 * reach + 1]
            y[part] += np.einsum("nc,cfkl->nfkl", x[:, :, i, j], w)
    return y[:, :, reach:-reach, reach:-reach] + p["up.b"][:, None, None]


SIGMOID = Activation("sigmoid")
FUNCTIONS = {
    "relu6": lambda v: np.clip(v, 0, 6),
    "hard_swish": lambda v: v * np.clip(v / 6 + 0.5, 0, 1),
    "hard_sigmoid": lambda v: np.clip(v / 6 + 0.5, 0, 1),
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
}

CASES = {
    "enlarge": (chain(conv("a", 2, 2), Enlarge(2)), lambda p, x: resize_bilinear(convolved(p, "a", x), (13, 17))),
    "deconv": (Deconv("up.w", "up.b", 2, 3, 3), _stamped),
    "chain": (
        chain(conv("a", 2, 3), SHORT.norm("n", 3), RELU, Dropout(), Pool("average", 3, 1), Subsample(2)),
        lambda p, x: average_pool_forward(
            np.maximum(normalised(p, "n", convolved(p, "a", x)), 0), 3, stride=1, padding=1
        )[0][:, :, ::2, ::2],
    ),
    "norm and ReLU without a convolution": (
        chain(SHORT.norm("n", 2), RELU, Pool("max", 2, 1, padding=0)),
        lambda p, x: max_pool_forward(np.maximum(normalised(p, "n", x), 0), 2)[0],
    ),
    "residual": (
        Residual(chain(conv("a", 2, 2), SHORT.norm("n", 2))),
        lambda p, x: np.maximum(normalised(p, "n", convolved(p, "a", x)) + x, 0),
    ),
    "residual with a convolution as shortcut": (
        Residual(chain(conv("a", 2, 3, stride=2)), chain(conv("b", 2, 3, 1, stride=2), SHORT.norm("n", 3))),
        lambda p, x: np.maximum(
            convolved(p, "a", x, stride=2) + normalised(p, "n", convolved(p, "b", x, stride=2)), 0
        ),
    ),
    "residual with a stride and no ReLU": (
        Residual(chain(RELU, conv("a", 2, 2, stride=2), RELU), Subsample(2), relu=False),
        lambda p, x: np.maximum(convolved(p, "a", np.maximum(x, 0), stride=2), 0) + x[:, :, ::2, ::2],
    ),
    "sum": (
        Parallel((conv("a", 2, 3), chain(conv("b", 2, 3, rate=2), RELU)), "sum"),
        lambda p, x: convolved(p, "a", x) + np.maximum(convolved(p, "b", x, rate=2), 0),
    ),
    "max": (
        Parallel((conv("a", 2, 3), conv("b", 2, 3, rate=2), conv("c", 2, 3, stride=1, groups=1)), "max"),
        lambda p, x: np.maximum.reduce([convolved(p, "a", x), convolved(p, "b", x, rate=2), convolved(p, "c", x)]),
    ),
    "concat of one convolution and a pool": (
        Parallel((conv("a", 2, 1), Pool("max", 3, 1))),
        lambda p, x: np.concatenate([convolved(p, "a", x), max_pool_forward(x, 3, padding=1)[0]], axis=1),
    ),
    "image pooling": (Parallel((conv("a", 2, 1), ImagePooling(chain(conv("b", 2, 2, 1), RELU)))), _pooled),
    "skip connections, sum": (
        SkipConnections(
            TRUNK,
            (("image", conv("c", 2, 3, stride=4, padding=((1, 3), (1, 0)))), ("half", conv("d", 3, 3, stride=2))),
            "sum",
            crop=True,
        ),
        _sum_of_sides,
    ),
    "skip connections, resized sum": (
        SkipConnections(TRUNK, (("half", conv("d", 3, 3)),), "sum", align_corners=False),
        _resized_sum,
    ),
    "gate": (
        Gate(chain(conv("a", 2, 3), SHORT.norm("n", 3), RELU), chain(GlobalAverage(), conv("b", 2, 3, 1), SIGMOID)),
        _gated,
    ),
    "squeeze and excitation": (
        chain(conv("a", 2, 4), squeeze_excite("se", 4, 2)),
        lambda p, x: squeeze_excite_forward(
            convolved(p, "a", x), *(p[f"se.fc{i}.{end}"] for i in (1, 2) for end in ("weight", "bias"))
        )[0],
    ),
    **{
        f"{kind} after a sum": (
            chain(Residual(conv("a", 2, 2), relu=False), Activation(kind)),
            lambda p, x, function=function: function(convolved(p, "a", x) + x),
        )
        for kind, function in FUNCTIONS.items()
    },
    "skip connections, concat": (
        SkipConnections(TRUNK, (("half", conv("d", 3, 2, stride=2)),), trunk_first=False, align_corners=False),
        _concatenated_side,
    ),
    "skip connections of unlike sizes, concat": (
        SkipConnections(TRUNK, (("half", conv("d", 3, 2)), ("image", conv("c", 2, 2, stride=3)))),
        _concatenated_sides,
    ),
    "side head": (chain(conv("a", 2, 2), SideHead("aux", chain(conv("b", 2, 1)))), lambda p, x: convolved(p, "a", x)),
    "input size": (
        ToInputSize(chain(conv("a", 2, 2, stride=2))),
        lambda p, x: resize_bilinear(convolved(p, "a", x, stride=2), x.shape[2:]),
    ),
    "multi-scale": (
        MultiScale(chain(conv("a", 2, 2, stride=2), Endpoint("half")), (Fraction(1), Fraction(1, 2))),
        _at_scales,
    ),
}  # fmt: skip


def drawn(part, rng):
    """Return params and state; variances are positive."""
    arrays = {name: rng.standard_normal(v.shape) for name, v in part.variables().items()}
    arrays.update((name, np.abs(a) + 0.5) for name, a in arrays.items() if name.endswith(".var"))
    trained = {name: v.trained for name, v in part.variables().items()}
    return {n: a for n, a in arrays.items() if trained[n]}, {n: a for n, a in arrays.items() if not trained[n]}


def names_in(part):
    found = []
    walk(part, lambda p: found.append(p.name) if isinstance(p, (Endpoint, SideHead)) else None)
    walk(part, lambda p: found.extend(p.names()) if isinstance(p, MultiScale) else None)
    return found


@pytest.mark.parametrize("name", CASES)
def test_forward_is_what_plain_calls_give(name, rng):
    part, plain = CASES[name]
    params, state = drawn(part, rng)
    x = rng.standard_normal(X)
    y, _, after = part.forward(params, state, x)
    assert_close(y, plain({**params, **state}, x), "reordered")
    assert after is state


@pytest.mark.parametrize("name", CASES)
def test_gradients(name, rng):
    part, _ = CASES[name]
    params, state = drawn(part, rng)
    names = list(params)

    def forward(x, *arrays):
        y, cache, _ = part.forward(dict(zip(names, arrays, strict=True)), state, x)
        return y, cache

    def backward(dy, cache):
        dx, grads = part.backward(dy, cache)
        return dx, *(grads.get(key, np.zeros_like(params[key])) for key in names)

    assert_gradients(forward, backward, [rng.standard_normal(X), *params.values()])


@pytest.mark.parametrize("name", CASES)
def test_endpoints_get_gradients(name, rng):
    """The gradient of an endpoint is added to the main path's."""
    part, _ = CASES[name]
    params, state = drawn(part, rng)
    x = rng.standard_normal(X)
    for endpoint in names_in(part):
        asked = {endpoint: None}
        y, cache, _ = part.forward(params, state, x, endpoints=asked)
        d = rng.standard_normal(asked[endpoint].shape)
        dx, _ = part.backward(np.zeros_like(y), cache, endpoints={endpoint: d})

        def alone(x, endpoint=endpoint):
            asked = {endpoint: None}
            part.forward(params, state, x, endpoints=asked)
            return asked[endpoint]

        step = 1e-6 * rng.standard_normal(X)
        numeric = np.vdot(alone(x + step) - alone(x - step), d) / 2
        assert abs(np.vdot(dx, step) - numeric) <= 1e-6 * np.linalg.norm(d) * np.linalg.norm(step)


@pytest.mark.parametrize("fuse", [False, True], ids=["step by step", "fused"])
@pytest.mark.parametrize("name", CASES)
def test_steps_give_what_forward_gives(name, fuse, rng):
    part, _ = CASES[name]
    params, state = drawn(part, rng)
    x = rng.standard_normal(X)
    asked = dict.fromkeys(names_in(part))
    y, _, _ = part.forward(params, state, x, endpoints=asked)
    program = lowered(part, X[1:], list(asked))
    program = fused(program) if fuse else program
    before = x.copy()
    found, endpoints = run(program, CPU, {**params, **state}, x)
    assert np.array_equal(x, before)
    assert_close(found, y, "reordered")
    assert program.values[program.output].shape == y.shape[1:]
    assert endpoints.keys() == asked.keys()
    for key, value in asked.items():
        assert_close(endpoints[key], value, "reordered")
        assert program.values[program.endpoints[key]].shape == value.shape[1:]


def test_chains_without_a_name_are_flattened():
    inner = chain(RELU, None, Dropout())
    assert chain(inner, Pool()).members == (RELU, Dropout(), Pool())
    named = chain(inner, name="block")
    assert chain(named, Pool()).members == (Chain((RELU, Dropout()), "block"), Pool())


def test_a_side_head_costs_nothing_unless_asked_for(rng):
    part, _ = CASES["side head"]
    params, state = drawn(part, rng)
    x = rng.standard_normal(X)
    y, cache, _ = part.forward(params, state, x)
    assert set(part.backward(y, cache)[1]) == {"a.w", "a.b"}
    assert [step.op for step in lowered(part, X[1:]).steps] == ["conv"]
    assert [step.op for step in lowered(part, X[1:], ["aux"]).steps] == ["conv", "conv"]


def test_branches_share_a_pass_over_the_input(monkeypatch, rng):
    from atrous.compose import parallel

    calls = []
    share = parallel.branches_forward
    monkeypatch.setattr(
        parallel, "branches_forward", lambda x, ws, *a, **o: calls.append(len(ws)) or share(x, ws, *a, **o)
    )
    wide = Parallel((conv("a", 2, 3), conv("b", 2, 3, rate=2), conv("c", 2, 3, stride=1, padding="valid", kernel=1)))
    for part, count in ((wide, [2]), (Parallel((conv("a", 2, 3), Pool("max", 3, 1))), [])):
        calls.clear()
        part.forward(*drawn(part, rng), rng.standard_normal(X))
        assert calls == count


@pytest.mark.parametrize(
    ("name", "change", "error", "message"),
    [
        ("a.w", lambda a: a[:1], ShapeError, r"forward: a.w must be \(3, 2, 3, 3\), got \(1, 2, 3, 3\)"),
        ("a.b", lambda a: a[:2], ShapeError, r"forward: a.b must be \(3,\), got \(2,\)"),
        ("n.gamma", lambda a: a[:2], ShapeError, "forward: n.gamma must be"),
        ("a.w", lambda a: a.astype("f4"), DTypeError, "a.w must have the dtype of x, float64, got float32"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_before_a_compiled_loop_reads_them(name, change, error, message, rng):
    part = chain(conv("a", 2, 3), SHORT.norm("n", 3))
    params, state = drawn(part, rng)
    with pytest.raises(error, match=message):
        part.forward(params | {name: change(params[name])}, state, rng.standard_normal(X), train=True)


def test_a_batch_norm_wants_its_channels_and_floats(rng):
    part = SHORT.norm("n", 4)
    params, state = drawn(part, rng)
    for x, error in ((np.zeros((2, 8, 5, 5)), ShapeError), (np.zeros((2, 4, 0, 5)), ShapeError)):
        with pytest.raises(error):
            part.forward(params, state, x, train=True)
    with pytest.raises(DTypeError):
        part.forward(params, state, np.zeros((2, 4, 5, 5), int), train=True)


@pytest.mark.parametrize("padding", [[1, 1], [(1, 1), (2, 2)], [[1, 1], [2, 2]], ((1, 1), (2, 2)), "same", 2])
def test_padding_in_any_form(padding, rng):
    part = conv("a", 2, 3, padding=padding)
    params, state = drawn(part, rng)
    x = rng.standard_normal(X)
    np.testing.assert_allclose(part.forward(params, state, x)[0], convolved(params, "a", x, padding=padding))


def test_a_part_alone_is_not_a_network():
    for call in (lambda: Part().forward({}, {}, None), lambda: Part().backward(None, None), lambda: lowered(Part(), X)):
        with pytest.raises(NotImplementedError):
            call()


def test_multi_scale_sizes_follow_the_corners():
    body = chain(conv("a", 3, 2))
    assert MultiScale(body).sizes((513, 321)) == [(513, 321), (385, 241), (257, 161)]
    assert MultiScale(body, align_corners=False).sizes((513, 321)) == [(513, 321), (384, 240), (256, 160)]
    assert MultiScale(body).names() == ["low_logits_100", "low_logits_075", "low_logits_050"]


def test_a_deconvolution_may_begin_as_bilinear(rng):
    part, x = Deconv("w", "b", 2, 2, 4, bilinear=True), rng.standard_normal(X)
    params = {name: v.draw(rng, np.float64) for name, v in part.variables().items()}
    assert params["w"].shape == part.shape
    assert_close(part.forward(params, {}, x)[0], Enlarge(4).forward({}, {}, x)[0], "reordered")
    random = Deconv("w", "b", 2, 2, 4)
    drawn = [random.forward({"w": v["w"].draw(rng, np.float64), "b": np.zeros(2)}, {}, x)[0].var()
             for v in [random.variables()] * 200]  # fmt: skip
    assert 0.6 < np.mean(drawn) / x.var() < 1.6  # the variance of x is kept on the whole
