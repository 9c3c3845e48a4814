"""ASPP in four forms: equal to PyTorch's results, to the readable reference, and to its gradients."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from directions import ENOUGH, directional_error
from tolerances import assert_close

import atrous
from atrous import aspp_backward, aspp_forward, atrous_conv, branches_backward, branches_forward
from atrous.aspp import reference
from atrous.errors import DTypeError, ParameterError, ShapeError

FORMS = {
    "v2sum": ("v2", (2, 4, 6, 8)),
    "v2vgg": ("v2vgg", (2, 4, 6, 8)),
    "v3": ("v3", (2, 4, 6)),
    "v3plus": ("v3plus", (2, 4, 6)),
}
every_form = pytest.mark.parametrize("name", FORMS)


@cache
def golden():
    with np.load(Path(__file__).parents[1] / "golden" / "aspp.npz") as archive:
        return dict(archive)


def block(name):
    """Return (x, params, y, dy, dx, grads) of a stored block."""
    found = golden()
    inner = {k.removeprefix(f"{name}_"): v for k, v in found.items() if k.startswith(f"{name}_")}
    grads = {k.removeprefix("d_"): v for k, v in inner.items() if k.startswith("d_")}
    return found["x"], {k: inner[k] for k in grads}, inner["y"], inner["dy"], inner["dx"], grads


@every_form
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
def test_golden_results_of_pytorch(name, dtype):
    x, params, y, dy, dx, grads = block(name)
    form, rates = FORMS[name]
    params = {k: v.astype(dtype) for k, v in params.items()}
    got, kept, _ = aspp_forward(x.astype(dtype), params, rates=rates, form=form, train=True)
    got_dx, got_grads = aspp_backward(dy.astype(dtype), kept)
    assert set(got_grads) == set(params)
    # Batch statistics take differences, which cost float32 two digits.
    kind, scale = ("golden", 1) if dtype == np.float64 else ("golden", 100)
    for a, e in [(got, y), (got_dx, dx), *((got_grads[k], grads[k]) for k in grads)]:
        assert a.dtype == dtype
        if scale == 1:
            assert_close(a, e, kind)
        else:
            assert np.abs(a - e).max() <= 1e-3 * np.abs(e).max()


@pytest.mark.parametrize("name", ["v2sum", "v3"])
def test_reference_equals_pytorch(name):
    x, params, y, dy, dx, grads = block(name)
    rates = FORMS[name][1]
    if name == "v3":
        got, caches = reference.v3_forward(x, params, rates)
        got_dx, got_grads = reference.v3_backward(dy, caches, x.shape[2:])
    else:
        got, caches = reference.v2_forward(x, params, rates)
        got_dx, got_grads = reference.v2_backward(dy, caches, rates)
    for a, e in [(got, y), (got_dx, dx), *((got_grads[k], grads[k]) for k in grads)]:
        assert_close(a, e, "golden")


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@every_form
def test_gradients_of_the_whole_block(name, train, rng):
    _, params, *_ = block(name)
    form, rates = FORMS[name]
    x = rng.standard_normal((2, 6, 9, 7))
    state = None if form.startswith("v2") else aspp_forward(x, params, rates=rates, form=form, train=True)[2]

    def run(point):
        params = {key: a for key, a in point.items() if key != "x"}
        return aspp_forward(point["x"], params, rates=rates, form=form, state=state, train=train)

    point = {**params, "x": x}
    y, kept, _ = run(point)
    dy = rng.standard_normal(y.shape)
    dx, grads = aspp_backward(dy, kept)
    every = {**grads, "x": dx}
    for key in every:
        assert directional_error(lambda at: np.vdot(run(at)[0], dy), point, {key: every[key]}, rng) <= ENOUGH, key


def test_running_statistics_are_pytorchs():
    x, params, *_ = block("v3")
    first = {".mean": 0.5, ".var": 2.0}
    units = [name.removesuffix(".beta") for name in params if name.endswith(".beta")]
    state = {unit + end: np.full(params[f"{unit}.beta"].shape, v) for unit in units for end, v in first.items()}
    before = {k: v.copy() for k, v in state.items()}
    _, _, after = aspp_forward(x, params, rates=(2, 4, 6), form="v3", state=state, train=True)
    y = atrous_conv(x, params["b2.w"], rate=4)
    np.testing.assert_allclose(after["b2.mean"], 0.9 * 0.5 + 0.1 * y.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(after["b2.var"], 0.9 * 2 + 0.1 * y.var((0, 2, 3), ddof=1), rtol=1e-12)
    for k, v in before.items():
        np.testing.assert_array_equal(state[k], v)
    assert aspp_forward(x, params, rates=(2, 4, 6), form="v3", state=state)[2] == state


def test_fresh_statistics_are_zeros_and_ones():
    x, params, *_ = block("v3")
    fresh, _, state = aspp_forward(x, params, rates=(2, 4, 6), form="v3")
    assert all((v == (0 if key.endswith("mean") else 1)).all() for key, v in state.items())
    y = np.concatenate([
        *(atrous_conv(x, params[f"b{i}.w"], rate=r) for i, r in enumerate((1, 2, 4, 6))),
        np.broadcast_to(atrous_conv(x.mean((2, 3), keepdims=True), params["pool.w"]), (2, 5, 15, 12)),
    ], axis=1)  # fmt: skip
    units = ("b0", "b1", "b2", "b3", "pool")
    gamma, beta = (np.concatenate([params[f"{u}.{k}"] for u in units])[:, None, None] for k in ("gamma", "beta"))
    y = atrous_conv(np.maximum(y / np.sqrt(1 + 1e-5) * gamma + beta, 0), params["proj.w"]) / np.sqrt(1 + 1e-5)
    y = np.maximum(y * params["proj.gamma"][:, None, None] + params["proj.beta"][:, None, None], 0)
    assert_close(fresh, y, "reordered")


def test_without_image_pooling(rng):
    x, params, *_ = block("v3")
    params = {k: v for k, v in params.items() if not k.startswith("pool")}
    params["proj.w"] = params["proj.w"][:, :20]
    y, kept, _ = aspp_forward(x, params, rates=(2, 4, 6), form="v3")
    assert y.shape == (2, 4, 15, 12)
    assert set(aspp_backward(y, kept)[1]) == set(params)


def test_named_rates_and_one_sample(rng):
    x = rng.standard_normal((1, 3, 1, 1))
    params = {f"r{r}.{k}": rng.standard_normal((2, 3, 3, 3) if k == "w" else 2) for r in (6, 12, 18, 24) for k in "wb"}
    y, *_ = aspp_forward(x, params, rates="ASPP-L", form="v2")
    # Far taps read zeros: the centre weights are left.
    expected = sum(params[f"r{r}.w"][:, :, 1, 1] @ x[0, :, 0, 0] + params[f"r{r}.b"] for r in (6, 12, 18, 24))
    np.testing.assert_allclose(y[0, :, 0, 0], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda p: p.pop("r4.b"), ShapeError, r"1 missing: r4\.b"),
        (lambda p: p.update(extra=np.ones(2)), ShapeError, "1 unexpected: extra"),
        (lambda p: p.update({"r4.w": np.ones((4, 5, 3, 3))}), ShapeError, r"r4\.w must be \(4, 6, 3, 3\), got \(4, 5"),
        (
            lambda p: p.update({"r4.w": p["r4.w"].astype(np.float32)}),
            DTypeError,
            r"params\['r4\.w'\] must have the dtype",
        ),
        (lambda p: p.pop("r2.w"), ParameterError, r"params must have filters 'r2\.w'"),
    ],
)
def test_wrong_parameters_are_listed(change, error, message):
    x, params, *_ = block("v2sum")
    change(params)
    with pytest.raises(error, match=message):
        aspp_forward(x, params, rates=(2, 4, 6, 8), form="v2")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"form": "v4"}, ParameterError, "form must be one of 'v2', 'v2vgg', 'v3', 'v3plus'"),
        ({"rates": ()}, ParameterError, "rates must be different positive integers"),
        ({"rates": (2, 2)}, ParameterError, "rates must be different"),
        ({"rates": (0, 2)}, ParameterError, r"rates\[0\] must be at least 1"),
        ({"rates": "ASPP-M"}, ParameterError, "rates must be one of 'ASPP-S', 'ASPP-L'"),
    ],
)
def test_wrong_options(options, error, message):
    x, params, *_ = block("v2sum")
    with pytest.raises(error, match=message):
        aspp_forward(x, params, **{"rates": (2, 4, 6, 8), "form": "v2", **options})


def test_wrong_arrays():
    x, params, *_ = block("v2sum")
    with pytest.raises(ShapeError, match=r"x must be \(N, C, H, W\).*x\[None\]"):
        aspp_forward(x[0], params, rates=(2, 4, 6, 8), form="v2")
    y, kept, _ = aspp_forward(x, params, rates=(2, 4, 6, 8), form="v2")
    with pytest.raises(ShapeError, match="dy must have the shape of the output"):
        aspp_backward(y[:1], kept)
    with pytest.raises(DTypeError, match="dy must have the dtype"):
        aspp_backward(y.astype(np.float32), kept)
    with pytest.raises(ParameterError, match="cache must come from aspp_forward"):
        aspp_backward(y, None)


# Several convolutions of one input

BRANCHES = [((4, 3, 3, 3), 1), ((2, 3, 3, 3), 5), ((300, 3, 3, 3), 2), ((5, 3, 1, 1), 1), ((2, 3, 3, 2), 40)]


def test_branches_equal_the_convolutions_one_by_one(rng):
    x = rng.standard_normal((2, 3, 11, 8))
    weights = [rng.standard_normal(shape) for shape, _ in BRANCHES]
    biases = [rng.standard_normal(shape[0]) if i % 2 else None for i, (shape, _) in enumerate(BRANCHES)]
    rates = [rate for _, rate in BRANCHES]
    ys, kept = branches_forward(x, weights, biases, rates=rates)
    dys = [rng.standard_normal(y.shape) for y in ys]
    dx, dws, dbs = branches_backward(dys, kept)
    total = 0
    for y, w, b, rate, dy, dw, db in zip(ys, weights, biases, rates, dys, dws, dbs, strict=True):
        e, one = atrous.conv_forward(x, w, b, rate=rate, method="reference")
        grads = atrous.conv_backward(dy, one)
        assert_close(y, e, "reordered")
        assert_close(dw, grads.dw, "reordered")
        assert (db is None) == (b is None)
        if db is not None:
            assert_close(db, grads.db, "reordered")
        total = total + grads.dx
    assert_close(dx, total, "reordered")


def test_branches_are_adjoint(rng):
    w = [rng.standard_normal((3, 2, 3, 3)), rng.standard_normal((300, 2, 3, 3))]
    x = rng.standard_normal((1, 2, 7, 6))
    ys, kept = branches_forward(x, w, rates=(2, 3))
    dys = [rng.standard_normal(y.shape) for y in ys]
    left = sum(np.vdot(y, dy) for y, dy in zip(ys, dys, strict=True))
    assert abs(left - np.vdot(x, branches_backward(dys, kept)[0])) <= 1e-12 * abs(left) * 10


def test_branches_refuse_what_does_not_fit(rng):
    x, w = rng.standard_normal((1, 2, 5, 5)), rng.standard_normal((3, 2, 3, 3))
    with pytest.raises(ParameterError, match="got 1 weights, 2 rates and 1 biases"):
        branches_forward(x, [w], rates=(1, 2))
    with pytest.raises(ShapeError, match=r"biases\[0\] must have shape \(3,\)"):
        branches_forward(x, [w], [np.ones(2)], rates=(1,))
    ys, kept = branches_forward(x, [w], rates=(1,))
    with pytest.raises(ShapeError, match="dys must have the shapes of the outputs"):
        branches_backward([ys[0][..., :2]], kept)
    with pytest.raises(ParameterError, match="cache must come from branches_forward"):
        branches_backward(ys, None)
