"""The checker is checked: it must accept what is right, reject what is wrong, and say why."""

import json

import numpy as np
import pytest
from gradients import planted

import atrous
from atrous import adjoint_error, assert_gradients, gradcheck
from atrous.cli import main
from atrous.errors import DTypeError, ParameterError, ShapeError

OPERATORS = {op.name: op for op in planted.operators(np.random.default_rng(3))}


def affine_forward(x, w, b):
    return x.reshape(len(x), -1) @ w + b, (x, w, b)


def affine_backward(dout, cache):
    x, w, _ = cache
    return (dout @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ dout, dout.sum(axis=0)


@pytest.fixture
def affine(rng):
    return [rng.standard_normal(s) for s in ((4, 2, 3), (6, 5), (5,))]


def relu_forward(x):
    return np.maximum(x, 0), x


def relu_backward(dy, x):
    return dy * (x > 0)


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_passes(name):
    op = OPERATORS[name]
    # Linear in each input, so that a long step has no truncation error and the least rounding.
    report = assert_gradients(op.forward, op.backward, op.inputs, eps=1e-3)
    assert max(r.max_rel_error for r in report.inputs) <= 1e-8


@pytest.mark.slow
def test_planted_faults_are_all_caught_and_nine_of_ten_named():
    missed, total = [], 0
    for op in OPERATORS.values():
        faults = planted.faults(op)
        assert len(faults) >= 12
        for fault in faults:
            report = gradcheck(op.forward, fault.backward, op.inputs)
            failed = [r for r in report.inputs if not r.ok]
            assert len(failed) == 1, f"{fault.name}: {report}"
            total += 1
            if failed[0].hint_kind not in fault.kinds:
                missed.append(f"{fault.name}: {failed[0].hint}")
    assert len(missed) <= 0.1 * total, missed


@pytest.mark.parametrize("fault", planted.faults(OPERATORS["conv1d"]), ids=lambda f: f.name)
def test_planted_faults_in_one_dimension(fault):
    op = OPERATORS["conv1d"]
    with pytest.raises(AssertionError, match=r"hint: .*") as error:
        assert_gradients(op.forward, fault.backward, op.inputs)
    assert "numeric by step" in str(error.value)


@pytest.mark.parametrize("factor", [1.001, 1.00001])
@pytest.mark.parametrize("mode", ["full", "sample", "directional"])
def test_a_slightly_wrong_factor_is_rejected_in_every_mode(affine, factor, mode):
    def backward(dout, cache):
        dx, dw, db = affine_backward(dout, cache)
        return dx, dw * factor, db

    report = gradcheck(affine_forward, backward, affine, mode=mode)
    assert [r.ok for r in report.inputs] == [True, False, True]
    assert gradcheck(affine_forward, affine_backward, affine, mode=mode)


def test_cs231n_style_code_works_unchanged(rng):
    def conv_forward_naive(x, w, b, conv_param):
        y, inner = atrous.conv_forward(x, w, b, stride=conv_param["stride"], padding=conv_param["pad"])
        return y, (x, w, b, conv_param, inner)

    def conv_backward_naive(dout, cache):
        return tuple(atrous.conv_backward(dout, cache[-1]))

    inputs = [rng.standard_normal(s) for s in ((2, 3, 5, 5), (2, 3, 3, 3), (2,))]
    report = assert_gradients(conv_forward_naive, conv_backward_naive, [*inputs, {"stride": 2, "pad": 1}])
    assert [r.name for r in report.inputs] == ["x", "w", "b"]


@pytest.mark.parametrize(
    "shape",
    [
        lambda g: g,
        list,
        lambda g: atrous.ConvGrads(*g),
        lambda g: {"x": g[0], "w": g[1], "b": g[2]},
        lambda g: {"dw": g[1], "db": g[2], "dx": g[0]},
        lambda g: {2: g[2], 0: g[0], 1: g[1]},
        lambda g: {"B": g[2], "dX": g[0], "grad_W": g[1]},
    ],
)
def test_gradients_in_every_form(affine, shape):
    assert_gradients(affine_forward, lambda dy, cache: shape(affine_backward(dy, cache)), affine)


def test_pairs_without_cache_scalar_outputs_and_single_arrays(rng):
    assert_gradients(
        lambda x, w: x @ w, lambda dy, x, w: (dy @ w.T, x.T @ dy), [rng.random((2, 3)), rng.random((3, 2))]
    )
    assert_gradients(lambda x: 0.5 * np.sum(x**2), lambda dy, x: dy * x, rng.standard_normal(5))
    assert_gradients(lambda x: (float(np.sum(np.sin(x))), x), lambda dy, x: dy * np.cos(x), rng.standard_normal((2, 2)))


def test_optional_and_integer_inputs_are_passed_on(rng):
    def forward(x, labels, b=None):
        return x[np.arange(len(x)), labels] + (0 if b is None else b), (x, labels)

    def backward(dy, cache):
        dx = np.zeros_like(cache[0])
        dx[np.arange(len(dx)), cache[1]] = dy
        return dx, None, None

    assert_gradients(forward, backward, [rng.standard_normal((3, 4)), np.array([1, 0, 3]), None])


@pytest.mark.parametrize("method", ["central", "complex", "ridders"])
def test_difference_methods_agree(rng, method):
    report = assert_gradients(
        lambda x: np.exp(np.sin(3 * x)), lambda dy, x: dy * 3 * np.cos(3 * x) * np.exp(np.sin(3 * x)),
        [rng.standard_normal(20)], method=method, rtol=1e-8,
    )  # fmt: skip
    assert report.inputs[0].max_rel_error < {"central": 1e-8, "complex": 1e-14, "ridders": 1e-9}[method]


def test_complex_step_says_so_where_the_forward_drops_imaginary_parts(rng):
    with pytest.raises(DTypeError, match="central"):
        gradcheck(np.abs, lambda dy, x: dy * np.sign(x), [rng.standard_normal(3)], method="complex")


def test_kinks_are_left_out_unless_asked(rng):
    x = rng.standard_normal(9)
    x[[2, 5]] = [0.0, 3e-6]
    report = assert_gradients(relu_forward, relu_backward, [x])
    assert report.inputs[0].kinks == 2
    assert report.inputs[0].checked == 7
    told = assert_gradients(relu_forward, relu_backward, [x], kink="report")
    assert any("2 entries at a kink" in p for p in told.problems)
    assert not gradcheck(relu_forward, relu_backward, [x], kink="fail")


def test_a_wrong_gradient_is_no_kink(rng):
    x = np.abs(rng.standard_normal(6)) + 0.1
    x[3] = 0.0
    report = gradcheck(relu_forward, lambda dy, x: dy * 0.5 * (x > 0), [x])
    assert not report
    assert report.inputs[0].failed >= 5
    at_zero = gradcheck(relu_forward, lambda dy, x: dy * (x >= 0) * np.where(x == 0, 3.0, 1.0), [x])
    assert at_zero.inputs[0].failed == 1


def test_inputs_stay_untouched_and_mutation_is_reported(affine):
    before = [a.copy() for a in affine]
    assert_gradients(affine_forward, affine_backward, affine)
    for a, b in zip(affine, before, strict=True):
        np.testing.assert_array_equal(a, b)

    def forward(x):
        x *= 2
        return x.copy(), None

    report = gradcheck(forward, lambda dy, _: 2 * dy, [np.ones(3)])
    assert any("forward changes its input x in place" in p for p in report.problems)

    def backward(dy, _):
        dy *= 2
        return dy

    report = gradcheck(lambda x: (2 * x, None), backward, [np.ones(3)])
    assert any("backward changes dy in place" in p for p in report.problems)


def test_randomness_is_found(rng):
    report = gradcheck(lambda x: (x * rng.random(x.shape), x), lambda dy, x: dy, [np.ones(3)])
    assert any("not deterministic" in p for p in report.problems)
    report = gradcheck(lambda x: (2 * x, x), lambda dy, x: dy * 2 * rng.random(x.shape), [np.ones(3)])
    assert any("run twice" in p for p in report.problems)


def test_views_and_non_contiguous_arrays(rng):
    x = rng.standard_normal((4, 6)).T[::2]
    assert_gradients(lambda x: (x.T, None), lambda dy, _: dy.T, [x])
    assert_gradients(lambda x: x, lambda dy, x: dy, [x])


def test_badly_formed_gradients_are_problems(affine):
    def wrong(change):
        return gradcheck(affine_forward, lambda dy, c: change(*affine_backward(dy, c)), affine).problems

    assert any("is it transposed?" in p for p in wrong(lambda dx, dw, db: (dx, dw.T, db)))
    assert any("sum over a broadcast axis" in p for p in wrong(lambda dx, dw, db: (dx, dw, np.ones((4, 5)))))
    assert any("no gradient for w" in p for p in wrong(lambda dx, dw, db: (dx, None, db)))
    assert any("dtype float32" in p for p in wrong(lambda dx, dw, db: (dx, dw.astype(np.float32), db)))
    assert any("NaN or inf" in p for p in wrong(lambda dx, dw, db: (dx, dw * np.nan, db)))
    with pytest.raises(ParameterError, match="returned 2 gradients for 3 array inputs"):
        wrong(lambda dx, dw, db: (dx, dw))


def test_options_are_checked(affine):
    with pytest.raises(DTypeError, match=r"x must be a float64 array, got float32.*astype"):
        gradcheck(relu_forward, relu_backward, [np.ones(3, np.float32)])
    with pytest.raises(ParameterError, match="nothing to check"):
        gradcheck(relu_forward, relu_backward, [np.ones(3, int)])
    with pytest.raises(ParameterError, match="wrt names 'z'; the inputs are x, w, b"):
        gradcheck(affine_forward, affine_backward, affine, wrt=["z"])
    with pytest.raises(ParameterError, match="mode must be one of 'full'"):
        gradcheck(affine_forward, affine_backward, affine, mode="fast")
    with pytest.raises(ParameterError, match="eps must be a finite number above 0"):
        gradcheck(affine_forward, affine_backward, affine, eps=0)
    assert [r.name for r in gradcheck(affine_forward, affine_backward, affine, wrt="w").inputs] == ["w"]
    assert [r.name for r in gradcheck(affine_forward, affine_backward, affine, wrt=[0, "b"]).inputs] == ["x", "b"]
    single = [a.astype(np.float32) for a in affine]
    assert gradcheck(affine_forward, affine_backward, single, allow_float32=True)


def test_report_is_readable_in_text_json_and_html(affine):
    def backward(dout, cache):
        dx, dw, db = affine_backward(dout, cache)
        return dx, -dw, db

    report = gradcheck(affine_forward, backward, affine)
    text = str(report)
    assert "FAILED" in text
    assert "wrong sign" in text
    assert "worst at [" in text
    found = json.loads(json.dumps(report.to_dict()))
    assert found["inputs"][1]["hint_kind"] == "sign"
    html = report._repr_html_()
    assert "failed" in html
    assert html.count("<table>") == 2


def test_adjoint_error_is_tiny_for_adjoints_and_large_otherwise(rng):
    a = rng.standard_normal((3, 5))
    assert adjoint_error(lambda x: a @ x, lambda y: a.T @ y, (5,), (3,)) < 1e-15
    assert adjoint_error(lambda x: a @ x, lambda y: 1.001 * a.T @ y, (5,)) > 1e-6
    with pytest.raises(ShapeError, match="adjoint returned shape"):
        adjoint_error(lambda x: a @ x, lambda y: y, (5,))
    with pytest.raises(ShapeError, match="apply returned shape"):
        adjoint_error(lambda x: a @ x, lambda y: a.T @ y, (5,), (4,))


def test_the_fixture_checks(gradcheck, affine):
    assert gradcheck(affine_forward, affine_backward, affine)
    with pytest.raises(AssertionError, match="constant factor 2"):
        gradcheck(affine_forward, lambda dy, c: tuple(2 * g for g in affine_backward(dy, c)), affine, wrt="b")


@pytest.mark.parametrize("offset", [1e4, 1e6, 1e8])
def test_a_large_constant_in_the_output_hides_no_wrong_gradient(rng, offset):
    x = [rng.standard_normal((4, 6))]
    assert gradcheck(lambda x: x + offset, lambda dy, x: dy, x)
    assert not gradcheck(lambda x: x + offset, lambda dy, x: -dy, x)
    assert not gradcheck(lambda x: x + offset, lambda dy, x: 1.2 * dy, x)


def test_a_gradient_below_the_rounding_is_not_called_right():
    for offset in (1e10, 1e12):
        report = gradcheck(lambda x, offset=offset: x + offset, lambda dy, x: -dy, [np.ones(3)])
        assert any("cannot be judged" in p for p in report.problems)
        assert not report


def test_one_large_entry_hides_no_small_wrong_one(rng):
    s = np.ones(9)
    s[4] = 1e6
    x = [rng.standard_normal(9)]
    assert gradcheck(lambda x: x * s, lambda dy, x: dy * s, x)
    wrong = s.copy()
    wrong[2] = 1.005
    assert gradcheck(lambda x: x * s, lambda dy, x: dy * wrong, x).inputs[0].worst_index == (2,)


@pytest.mark.parametrize("scale", [1e-12, 1e-9, 1e-3, 1e6, 1e12])
def test_the_verdict_does_not_depend_on_the_scale_of_the_loss(rng, scale):
    x = [rng.standard_normal(5) + 3]
    assert gradcheck(lambda x: scale * x**2, lambda dy, x: scale * 2 * x * dy, x)
    assert not gradcheck(lambda x: scale * x**2, lambda dy, x: 0 * dy, x)
    assert not gradcheck(lambda x: scale * x**2, lambda dy, x: -scale * 2 * x * dy, x)
    assert gradcheck(
        lambda x: scale * np.maximum(x - 3, 0), lambda dy, x: scale * dy * (x > 3), [np.array([3.0, 4, 2])]
    )


def test_a_gradient_that_is_zero_by_cancellation_passes(rng):
    def forward(x, b):
        y = x + b
        return y - y.mean(axis=0), None

    def backward(dy, _):
        dx = dy - dy.mean(axis=0)
        return dx, dx.sum(axis=0)

    assert_gradients(forward, backward, [rng.standard_normal((6, 3)), rng.standard_normal(3)])


def test_a_check_of_nothing_but_kinks_fails():
    report = gradcheck(np.abs, lambda dy, x: 0.3 * dy, [np.zeros(4)])
    assert any("is at a kink" in p for p in report.problems)
    assert not report


def test_many_kinks_beside_smooth_entries_pass(rng):
    x = np.zeros(600)
    x[:20] = rng.standard_normal(20)
    assert assert_gradients(relu_forward, relu_backward, [x]).inputs[0].kinks == 580


def test_dy_is_not_the_stream_of_a_user_with_the_same_seed():
    x = np.random.default_rng(0).standard_normal((4, 6))
    assert not gradcheck(lambda x: 0.5 * x**2, lambda dy, x: dy * dy, [x])
    assert not gradcheck(lambda x: 0.5 * x**2, lambda dy, x: x * x, [x])


def test_scalar_losses_get_a_verdict_and_a_hint():
    report = gradcheck(lambda x: (x**2).sum(), lambda dy, x: dy * np.sin(x), [np.arange(1.0, 4)])
    assert not report
    assert report.inputs[0].failed == 3
    report = gradcheck(lambda x: (x**2).sum(), lambda dy, x: 2 * x, [np.arange(1.0, 4)])
    assert report.inputs[0].hint_kind in ("dy", "factor")


def test_usual_mistakes_of_other_layers_are_named(rng):
    def kind(forward, backward, inputs):
        return [r.hint_kind for r in gradcheck(forward, backward, inputs).inputs if not r.ok]

    x, w = rng.standard_normal((5, 4)), rng.standard_normal((4, 4))
    assert kind(lambda x, w: x @ w, lambda dy, x, w: (dy @ w, x.T @ dy), [x, w]) == ["transposed"]
    assert kind(relu_forward, lambda dy, x: dy, [x]) == ["mask"]
    assert kind(np.tanh, lambda dy, x: 1 - np.tanh(x) ** 2, [x]) == ["dy"]
    assert kind(lambda x: x - x.mean(axis=0), lambda dy, x: dy, [x]) == ["mean"]

    def spread(dy, x):
        return np.broadcast_to(dy[:, None] / x.shape[1], x.shape).copy()

    assert kind(lambda x: x.max(axis=1), spread, [x]) == ["spread"]

    def cross_entropy(x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        return -np.log(p[:, 0]).mean(), p

    def without_mean(dy, p):
        dx = p.copy()
        dx[:, 0] -= 1
        return dx * dy

    report = gradcheck(cross_entropy, without_mean, [x])
    assert "division by the batch of 5 is missing" in report.inputs[0].hint


def test_layers_with_state_and_reused_buffers(rng):
    class Square:
        def forward(self, x):
            self.x = x
            return x**2

        def backward(self, dy):
            return 2 * self.x * dy

    layer = Square()
    assert_gradients(layer.forward, layer.backward, [rng.standard_normal(4)])

    buffer, calls = np.empty(4), []

    def drifting(dy, x):
        calls.append(0)
        return np.multiply(dy, 2 * x * (1 + 0.1 * len(calls)), out=buffer)

    report = gradcheck(lambda x: x**2, drifting, [rng.standard_normal(4)])
    assert any("run twice" in p for p in report.problems)


def test_edges_of_the_domain():
    x = np.array([1e-6, 1.0, 2.0])
    assert gradcheck(np.log, lambda dy, x: dy / x, [x], rtol=1e-5)
    with pytest.raises(ParameterError, match="NaN or inf at these inputs"), np.errstate(invalid="ignore"):
        gradcheck(np.log, lambda dy, x: dy / x, [np.array([-1.0])])


def test_complex_step_through_abs_is_noticed(rng):
    with pytest.raises(DTypeError, match="complex"):
        gradcheck(lambda x: x * np.abs(x), lambda dy, x: dy * 2 * np.abs(x), [rng.standard_normal(5)], method="complex")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_samples": 0, "mode": "sample"}, "n_samples must be at least 1"),
        ({"directions": 2.5}, "directions must be an integer"),
        ({"eps": "1"}, "eps must be a finite number or None"),
        ({"rtol": float("nan")}, "rtol must be a finite number"),
        ({"wrt": True}, "wrt must be .*got True"),
    ],
)
def test_odd_options_are_refused(affine, options, match):
    with pytest.raises(ParameterError, match=match):
        gradcheck(affine_forward, affine_backward, affine, **options)


def test_odd_forms_are_refused_with_the_accepted_ones_named(affine, rng):
    x = [rng.standard_normal(3)]
    with pytest.raises(ParameterError, match=r"forward must return y or \(y, cache\), got 3 values"):
        gradcheck(lambda x: (x, x, x), lambda dy, cache: dy, x)
    names = ("first", "second", "third")
    with pytest.raises(ParameterError, match="keys 'first', 'second', 'third', the inputs are x, w, b"):
        gradcheck(affine_forward, lambda dy, c: dict(zip(names, affine_backward(dy, c), strict=True)), affine)
    with pytest.raises(ParameterError, match="is empty"):
        gradcheck(np.sin, lambda dy, x: dy * np.cos(x), [np.empty((0, 2))])
    assert [r.name for r in gradcheck(affine_forward, affine_backward, affine, wrt=["w", np.int64(1)]).inputs] == ["w"]


# A function that returns (loss, grads)


def softmax_loss(w, x, labels, decay=0.0):
    """Return the loss of a linear classifier and its gradient with respect to w, as in CS231n's assignments."""
    scores = x @ w
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(len(x)), labels]).mean() + decay * np.sum(w * w)
    p[np.arange(len(x)), labels] -= 1
    return loss, x.T @ p / len(x) + 2 * decay * w


def two_layers(params, x, t):
    """Return the squared error of two affine layers with a ReLU between them, and gradients by name."""
    hidden = np.maximum(x @ params["W1"] + params["b1"], 0)
    error = hidden @ params["W2"] + params["b2"] - t
    back = (2 * error @ params["W2"].T) * (hidden > 0)
    grads = {"W2": hidden.T @ error * 2, "b2": 2 * error.sum(axis=0), "W1": x.T @ back, "b1": back.sum(axis=0)}
    return np.sum(error**2), grads


@pytest.fixture
def network(rng):
    """Return parameters, an input and a target for `two_layers`."""
    params = {"W1": rng.standard_normal((3, 4)), "b1": rng.standard_normal(4)}
    params |= {"W2": rng.standard_normal((4, 2)), "b2": rng.standard_normal(2)}
    return params, rng.standard_normal((5, 3)), rng.standard_normal((5, 2))


GRADS = {
    "list": lambda w, x: [x, w],
    "tuple": lambda w, x: (x, w),
    "dict": lambda w, x: {"x": w, "w": x},
    "dict with d": lambda w, x: {"dx": w, "dw": x},
}


@pytest.mark.parametrize("form", GRADS)
@pytest.mark.parametrize("factor", [1, 1.001])
def test_a_loss_comes_with_its_gradients(form, factor, rng):
    inputs = [rng.standard_normal((2, 3)), rng.standard_normal((2, 3))]
    report = gradcheck(lambda w, x: (np.sum(w * x), GRADS[form](w, factor * x)), inputs)
    assert [(r.name, r.ok) for r in report.inputs] == [("w", factor == 1), ("x", True)]
    if factor != 1:
        assert report.inputs[0].hint_kind == "factor"
        # dy is 1, so that the report shows the user's own numbers.
        assert report.inputs[0].analytic == factor * inputs[1][report.inputs[0].worst_index]


def test_a_loss_of_one_input_among_several(rng):
    w, x, labels = rng.standard_normal((4, 3)), rng.standard_normal((6, 4)), rng.integers(0, 3, 6)
    assert_gradients(lambda w: softmax_loss(w, x, labels), w)
    assert_gradients(softmax_loss, [w, x, labels, 0.1], wrt="w")
    assert_gradients(lambda w: list(softmax_loss(w, x, labels)), None, [w])
    with pytest.raises(ParameterError, match=r"the function returned 1 gradients for 3 array inputs .*wrt="):
        gradcheck(softmax_loss, [w, x, labels])
    with pytest.raises(AssertionError, match="wrong sign"):
        assert_gradients(lambda w: (softmax_loss(w, x, labels)[0], -softmax_loss(w, x, labels)[1]), [w])


@pytest.mark.parametrize("options", [{}, {"mode": "directional"}, {"method": "complex", "wrt": "b2"}], ids=str)
def test_a_dictionary_of_parameters(network, options):
    params, x, t = network
    before = {name: a.copy() for name, a in params.items()}
    report = assert_gradients(lambda p: two_layers(p, x, t), params, **options)
    assert [r.name for r in report.inputs] == [options["wrt"]] if "wrt" in options else list(params)
    for name, a in params.items():
        np.testing.assert_array_equal(a, before[name])


def test_a_wrong_entry_of_a_dictionary_is_named(network):
    params, x, t = network

    def without_relu(p):
        loss, grads = two_layers(p, x, t)
        return loss, grads | {
            "b1": (2 * (np.maximum(x @ p["W1"] + p["b1"], 0) @ p["W2"] + p["b2"] - t)).sum(0) @ p["W2"].T
        }

    failed = [r.name for r in gradcheck(without_relu, params).inputs if not r.ok]
    assert failed == ["b1"]
    problems = gradcheck(lambda p: (two_layers(p, x, t)[0], {"W1": two_layers(p, x, t)[1]["W1"]}), params).problems
    assert problems == tuple(f"the function returned no gradient for {name}." for name in ("b1", "W2", "b2"))
    halved = gradcheck(lambda p: (np.sum(p["w"] ** 2), {"w": p["w"]}), {"w": np.ones((2, 3))})
    assert halved.inputs[0].hint.endswith("0.5: a factor 2 is missing.")
    with pytest.raises(ParameterError, match="the function returned a dict with the keys 'W3', the inputs are W1, b1"):
        gradcheck(lambda p: (two_layers(p, x, t)[0], {"W3": x}), params)


def test_names_of_parameters_may_differ_in_case_or_begin_with_d(rng):
    params = {name: rng.standard_normal(3) for name in ("W", "w", "b", "db", "dw")}
    weights = dict(zip(params, (1.0, 2.0, 3.0, 4.0, 5.0), strict=True))

    def loss(p):
        return sum(k * np.sum(p[name] ** 2) for name, k in weights.items()), {
            n: 2 * k * p[n] for n, k in weights.items()
        }

    assert_gradients(loss, params)
    assert_gradients(lambda p: (p[0] @ p[1], {0: p[1], 1: p[0]}), {1: params["b"], 0: params["w"]})


def test_a_dictionary_of_inputs_for_a_forward_and_a_backward_pass(affine):
    def forward(p):
        return affine_forward(p["x"], p["w"], p["b"])[0]

    def backward(dy, p):
        return dict(zip(("dx", "dw", "db"), affine_backward(dy, (p["x"], p["w"], p["b"])), strict=True))

    assert_gradients(forward, backward, dict(zip(("x", "w", "b"), affine, strict=True)))


def test_losses_of_other_types(rng):
    x = rng.standard_normal(3)
    assert_gradients(lambda x: (float(x @ x), 2 * x), x)
    assert_gradients(lambda x: (np.array([[x @ x]]), 2 * x), x)
    assert_gradients(lambda x: (np.sum(x * x), 2 * x), x.astype("f4"), allow_float32=True)
    state = np.random.default_rng(0)
    assert "the function gives another result" in gradcheck(lambda x: (state.random(), 0 * x), x).problems[0]

    def in_place(x):
        x *= 2
        return x.sum(), np.full(3, 2.0)

    assert gradcheck(in_place, x).problems == ("the function changes its input x in place.",)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((lambda x: x.sum(), [np.ones(3)]), r"must return \(loss, grads\).*got one value of type float64. If it"),
        ((lambda x: (x.sum(), x, x), [np.ones(3)]), r"\(loss, grads\).*got 3 values"),
        ((lambda x: (2 * x, x), [np.ones(3)]), r"\(loss, grads\).*first value of shape \(3,\), .*backward"),
        ((lambda x: (1, x), [np.ones(3)]), r"one float.*first value of shape \(\), int64"),
        ((lambda x: (x, 1.0), [np.ones(3)]), r"\(loss, grads\).*first value of shape \(3,\)"),
        ((lambda x, w: (x.sum(), [(x, np.ones(2)), x]), [np.ones(3)] * 2), "must be one array, got tuple"),
        ((lambda x: (x.sum(), {"x": {"w": x}}), [np.ones(3)]), "must be one array, got dict"),
        ((lambda p, x: (1.0, {"w": x}), [{"w": np.ones(3)}, np.ones(3)]), "keys 'w'.* p, x. A dict of .* only input"),
        ((lambda x: (x.sum(), x),), r"pass \(forward, backward, inputs\), or \(loss_and_grads, inputs\).*got func"),
        ((relu_forward, relu_backward), r"\(loss_and_grads, inputs\) without .*; got function, function"),
        (([np.ones(3)], relu_forward, relu_backward), "forward must be a function"),
        ((relu_forward, [np.ones(3)], [np.ones(3)]), "got function, list, list"),
    ],
)  # fmt: skip
def test_wrong_calls_without_a_backward_pass_say_what_was_expected(arguments, match):
    with pytest.raises(ParameterError, match=match):
        gradcheck(*arguments)


def test_the_fixture_takes_a_loss(gradcheck, network):
    params, x, t = network
    assert gradcheck(lambda p: two_layers(p, x, t), params)
    with pytest.raises(AssertionError, match="constant factor 2"):
        gradcheck(lambda x: (x @ x, 4 * x), [np.ones(3)])


LOSS = """
def squares(x, w):
    return ((x @ w) ** 2).sum(), (2 * x @ w @ w.T, {factor} * x.T @ x @ w)
"""


@pytest.mark.parametrize(("factor", "failed"), [(2, 0), (3, 1)])
def test_the_command_takes_a_loss(factor, failed, tmp_path, capsys):
    file = tmp_path / "loss.py"
    file.write_text(LOSS.format(factor=factor))
    assert main(["gradcheck", str(file), "--loss", "squares", "--shapes", "2,3", "3,4"]) == failed
    assert f"{1 - failed} passed, {failed} failed" in capsys.readouterr().out
    assert main(["gradcheck", str(file), "--shapes", "2,3", "3,4"]) == 1
    assert "name a function that returns (loss, grads) with --loss" in (capsys.readouterr().err)
