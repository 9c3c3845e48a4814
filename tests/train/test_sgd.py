"""Gradient descent against PyTorch's stored path, Caffe's rule written out, and what each option must not change."""

from pathlib import Path

import numpy as np
import pytest

from atrous import add_gradients, clip_gradients, poly_schedule, sgd_step
from atrous.errors import ParameterError, ShapeError

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "layers.npz")


def path(rule):
    params, momentum = {"p": GOLDEN["sgd_p0"]}, None
    for i, g in enumerate(GOLDEN["sgd_g"]):
        rate = poly_schedule(i, base=0.01, total=20)
        params, momentum = sgd_step(params, {"p": g}, momentum, rate=rate, decay=5e-4, rule=rule)
        yield params["p"]


def test_twenty_steps_are_those_of_pytorch():
    np.testing.assert_allclose(list(path("torch")), GOLDEN["sgd_path"], rtol=0, atol=1e-10)


def test_the_rule_of_caffe_written_out():
    for j in range(len(GOLDEN["sgd_p0"])):
        p, v = float(GOLDEN["sgd_p0"][j]), 0.0
        for i, found in enumerate(path("caffe")):
            v = 0.9 * v + 0.01 * (1 - i / 20) ** 0.9 * (float(GOLDEN["sgd_g"][i, j]) + 5e-4 * p)
            p -= v
            assert found[j] == pytest.approx(p, abs=1e-13)


def test_rules_agree_while_the_rate_stays():
    found = {}
    for rule in ("torch", "caffe"):
        params, momentum = {"p": GOLDEN["sgd_p0"]}, None
        for g in GOLDEN["sgd_g"]:
            params, momentum = sgd_step(params, {"p": g}, momentum, rate=0.01, decay=5e-4, rule=rule)
        found[rule] = params["p"]
    np.testing.assert_allclose(found["torch"], found["caffe"], rtol=1e-13)


def test_multipliers_are_those_of_the_papers(rng):
    """The last pattern that matches a name counts, and a bias has no decay."""
    names = ("conv.w", "conv.b", "fc8.w", "fc8.b")
    params, grads = ({name: rng.standard_normal(3) for name in names} for _ in range(2))
    multipliers = {"*.b": (2, 0), "fc8.w": 10, "fc8.b": (20, 0)}
    new, momentum = sgd_step(params, grads, None, rate=0.1, decay=0.5, multipliers=multipliers)
    for name, factor, decay in zip(names, (1, 2, 10, 20), (0.5, 0, 0.5, 0), strict=True):
        v = grads[name] + decay * params[name]
        np.testing.assert_allclose(momentum[name], v, rtol=1e-15)
        np.testing.assert_allclose(new[name], params[name] - factor * 0.1 * v, rtol=1e-14)


def test_frozen_parameters_and_those_without_gradient_stay():
    params = {name: np.ones(2) for name in "abc"}
    new, momentum = sgd_step(
        params, {"a": np.ones(2), "b": np.ones(2)}, None, rate=1.0, decay=0.1, multipliers={"b": 0}
    )
    assert new["b"] is params["b"]
    assert new["c"] is params["c"]
    assert set(momentum) == {"a"}


def test_arguments_are_left_alone(rng):
    arrays = [{"p": rng.standard_normal(4)} for _ in range(3)]
    copies = [{"p": a["p"].copy()} for a in arrays]
    for a in arrays:
        a["p"].flags.writeable = False
    for rule in ("torch", "caffe"):
        sgd_step(*arrays, rate=0.1, decay=0.1, rule=rule)
    for a, c in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(a["p"], c["p"])


def test_float32_stays_float32(rng):
    params, grads = ({"p": rng.standard_normal(4).astype(np.float32)} for _ in range(2))
    for rule in ("torch", "caffe"):
        new, momentum = sgd_step(params, grads, grads, rate=0.1, decay=0.1, rule=rule, multipliers={"p": (2, 2)})
        assert new["p"].dtype == momentum["p"].dtype == np.float32


def test_clipping(rng):
    grads = {"a": rng.standard_normal((2, 3)), "b": rng.standard_normal(4).astype(np.float32)}
    size = np.sqrt(sum((g.astype(float) ** 2).sum() for g in grads.values()))
    clipped, norm = clip_gradients(grads, size / 4)
    assert norm == pytest.approx(size, rel=1e-7)
    for name, g in grads.items():
        np.testing.assert_allclose(clipped[name], g / 4, rtol=1e-6)
        assert clipped[name].dtype == g.dtype
    assert clip_gradients(grads, 2 * size)[0]["a"] is grads["a"]
    broken, norm = clip_gradients({"a": np.array([np.nan, 1.0])}, 0.5)
    assert np.isnan(norm)
    assert broken["a"][1] == 1.0


def test_a_large_batch_in_parts(rng):
    parts = [{"a": rng.standard_normal(3)} for _ in range(4)]
    total = None
    for part in parts:
        total = add_gradients(total, part, 1 / 4)
    np.testing.assert_allclose(total["a"], np.mean([p["a"] for p in parts], axis=0), rtol=1e-14)


ONE = {"a": np.ones(2)}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sgd_step(ONE, {"b": np.ones(2)}, None, rate=1), ParameterError, "gradient of 'b', but params has no"),
        (lambda: sgd_step(ONE, ONE, {"b": np.ones(2)}, rate=1), ParameterError, "momentum of 'b', but params has no"),
        (lambda: sgd_step(ONE, {"a": np.ones(3)}, None, rate=1), ShapeError, r"gradient of 'a' has shape \(3,\)"),
        (lambda: sgd_step(ONE, ONE, {"a": np.ones(3)}, rate=1), ShapeError, r"momentum of 'a' has shape \(3,\)"),
        (lambda: sgd_step(ONE, ONE, None, rate=-1), ParameterError, "rate must be"),
        (lambda: sgd_step(ONE, ONE, None, rate=1, decay=-1), ParameterError, "decay must be"),
        (lambda: sgd_step(ONE, ONE, None, rate=1, coefficient=np.nan), ParameterError, "coefficient must be"),
        (lambda: sgd_step(ONE, ONE, None, rate=1, rule="adam"), ParameterError, "'torch', 'caffe'"),
        (lambda: sgd_step(ONE, ONE, None, rate=1, multipliers={"fc8*": 10}), ParameterError, r"pattern 'fc8\*'"),
        (lambda: sgd_step(ONE, ONE, None, rate=1, multipliers={"a": -1}), ParameterError, "not negative, got 'a': -1"),
        (lambda: clip_gradients(ONE, 0), ParameterError, "limit must be"),
        (lambda: add_gradients(ONE, {"b": np.ones(2)}), ParameterError, "'a', 'b'"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
