"""Networks as descriptions: the papers' numbers, output strides, gradients, side results, and what is refused."""

import math
import re

import numpy as np
import pytest
from directions import ENOUGH, directional_error
from oracles.drawn import drawn
from tolerances import assert_close

import atrous
from atrous import build, networks
from atrous.errors import DTypeError, ParameterError, ShapeError
from atrous.weights.errors import WeightsError

FULL = [name for name in networks() if not name.startswith("tiny_")]
# Tiny siblings that are the same network stand here once.
TINY = list({build(name).body: name for name in reversed(networks()) if name.startswith("tiny_")}.values())[::-1]


def small(name, *classes):
    """Return a tiny network; that one whose pools keep no border with a smaller fc6, so that small images do."""
    return build(name, *classes, **({"kernel": 2} if name == "tiny_dense_vgg16" else {}))


def arrays(network, dtype=np.float64):
    found = {name: drawn(name, v.shape).astype(dtype) for name, v in network.variables().items()}
    return network.split(found)


def image(name, rng, n=1, dtype=np.float64):
    return rng.standard_normal((n, 3, *((66, 79) if "dense_vgg16" in name else (33, 41)))).astype(dtype)


# Numbers of the papers


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("deeplabv1_7x7", {}, 134_346_581),
        ("deeplabv1_4x4", {}, 65_140_565),
        ("deeplabv1_largefov", {}, 20_505_429),
        ("deeplabv1_msc_largefov", {}, 21_711_550),
        ("deeplabv2_vgg16_largefov", {}, 20_505_429),
        ("deeplabv2_vgg16_aspp_s", {}, 37_877_652),
        ("deeplabv2_vgg16_aspp_l", {}, 37_877_652),
        ("deeplabv2_resnet101_aspp", {}, 44_048_532),
        ("deeplabv2_resnet101_largefov", {}, 42_887_253),
        ("torchvision_deeplabv3_resnet101", {}, 60_996_202),
        ("torchvision_deeplabv3_resnet101", {"auxiliary": False}, 58_630_997),
        ("torchvision_deeplabv3_resnet50", {}, 42_004_074),
        ("torchvision_deeplabv3_resnet50", {"auxiliary": False}, 39_638_869),
        ("deeplabv3_resnet101", {}, 58_040_661),
        ("deeplabv3_resnet101", {"stem": "3x3"}, 58_164_437),
        ("deeplabv3plus_resnet101", {}, 59_344_309),
        ("deeplabv3plus_resnet101", {"stem": "3x3"}, 59_468_085),
        ("deeplabv3plus_xception65", {}, 41_055_413),
        ("deeplabv3plus_xception65", {"separable": False}, 54_711_461),
        ("dense_vgg16", {}, 138_357_544),
        ("dense_resnet50", {}, 25_557_032),
        ("dense_resnet101", {}, 44_549_160),
    ],
)
def test_parameter_counts(name, options, count):
    network = build(name, **options)
    assert network.parameter_count == count
    # The table counts them once more, layer by layer.
    assert sum(row.parameters for row in network.summary(257).rows) == count


def test_backbones_and_cascade():
    def backbone(network):
        trained = (v for name, v in network.variables().items() if name.startswith("backbone.") and v.trained)
        return sum(math.prod(v.shape) for v in trained)

    assert backbone(build("torchvision_deeplabv3_resnet101")) == 42_500_160
    assert backbone(build("torchvision_deeplabv3_resnet50")) == 23_508_032
    assert backbone(build("deeplabv3plus_xception65")) == 37_867_312
    assert backbone(build("deeplabv3plus_xception65", middle=8)) == 24_920_560
    deep, deeper = (backbone(build("deeplabv3_resnet50", aspp=False, blocks=b)) for b in (5, 6))
    assert deeper - deep == 13_387_776


@pytest.mark.parametrize(
    ("name", "field"),
    [("deeplabv1_largefov", 435), ("deeplabv1_4x4", 308), ("deeplabv1_7x7", 404), ("deeplabv2_vgg16_aspp_l", 611)],
)
def test_receptive_fields(name, field):
    assert build(name).summary(321).field == field


def test_fields_of_the_branches_and_of_resnets():
    rows = {row.name: row for row in build("deeplabv2_vgg16_aspp_l").summary(321).rows}
    assert [rows[f"fc6_{i}"].field for i in (1, 2, 3, 4)] == [323, 419, 515, 611]
    assert [rows[name].field for name in ("pool5",)] == [227]
    for output_stride in (8, 16, 32):
        fields = []
        for name, options in (("resnet50", {"convention": "caffe"}), ("resnet101", {"convention": "caffe"})):
            network = build(f"deeplabv3_{name}", output_stride=output_stride, multi_grid=1, aspp=False, **options)
            fields.append(network.summary(513).rows[-1].field)
        assert fields == [483, 1027]
    fine = build("deeplabv3_resnet101", output_stride=16, convention="caffe", aspp=False)
    assert fine.summary(513).rows[-1].field == 1283


def test_nominal_fields_of_view():
    for name, kernel, rate, view in (("7x7", 7, 4, 224), ("4x4", 4, 4, 128), ("largefov", 3, 12, 224)):
        fc6 = next(row for row in build(f"deeplabv1_{name}").summary(321).rows if row.name == "fc6")
        assert (fc6.kernel, fc6.rate) == (kernel, rate)
        assert 8 * fc6.rate * (fc6.kernel - 1) + 32 == view
    wide = next(row for row in build("deeplabv1_4x4", fc6=(4, 8)).summary(321).rows if row.name == "fc6")
    assert 8 * wide.rate * (wide.kernel - 1) + 32 == 224


def test_size_chains():
    def sizes(name, n, **options):
        rows = build(name, **options).summary(n).rows
        return list(dict.fromkeys(row.size[0] for row in rows))

    assert sizes("deeplabv1_largefov", 321) == [321, 161, 81, 41]
    assert sizes("deeplabv2_resnet101_aspp", 321, multi_scale=False) == [161, 81, 41]
    assert sizes("deeplabv1_4x4", 306) == [306, 154, 78, 40, 39]
    assert sizes("deeplabv1_largefov", 513)[-1] == 65
    scales = build("deeplabv2_resnet101_aspp").body.body.members[0]
    assert [s[0] for s in scales.sizes((513, 513))] == [513, 385, 257]
    assert [(s[0] - 1) // 8 + 1 for s in scales.sizes((513, 513))] == [65, 49, 33]


@pytest.mark.parametrize(
    ("name", "options", "billions"),
    [
        ("deeplabv3_resnet101", {"stem": "3x3"}, 80.83),
        ("deeplabv3_resnet101", {"stem": "3x3", "output_stride": 8}, 275.94),
        ("deeplabv3_resnet101", {"stem": "3x3", "output_stride": 32}, 52.25),
        ("deeplabv3plus_xception65", {"separable": False, "decoder": False}, 67.85),
        ("deeplabv3plus_xception65", {"separable": False, "decoder": False, "output_stride": 8}, 240.67),
        ("deeplabv3plus_xception65", {"separable": False}, 89.61),
        ("deeplabv3plus_xception65", {"separable": False, "output_stride": 8}, 262.42),
        ("deeplabv3plus_xception65", {}, 54.05),
        ("deeplabv3plus_xception65", {"output_stride": 8}, 176.96),
    ],
)
def test_multiply_adds(name, options, billions):
    assert round(build(name, **options).summary(513).interlaced_macs / 1e9, 2) == billions


def test_several_scales_cost_their_sum():
    whole = build("deeplabv2_resnet101_aspp").summary(513)
    apart = [build("deeplabv2_resnet101_aspp", multi_scale=False).summary(n) for n in (513, 385, 257)]
    assert whole.macs == sum(s.macs for s in apart)
    assert whole.interlaced_macs == sum(s.interlaced_macs for s in apart)
    assert whole.parameters == apart[0].parameters


def test_torchvisions_multiply_adds():
    assert round(2 * build("torchvision_deeplabv3_resnet101").summary(513).macs / 1e9) == 517


# Running them


@pytest.mark.parametrize("name", TINY)
def test_inference_equals_the_forward_pass(name, rng):
    network = small(name)
    params, state = arrays(network)
    x = image(name, rng)
    endpoints = dict.fromkeys(network.endpoint_names[:-1])
    y, _, after = network.forward(params, state, x, endpoints=endpoints)
    assert y.shape == (1, network.classes, *x.shape[2:])
    assert after == state
    found = network.endpoints(params, state, x)
    assert set(found) == {*endpoints, "logits"}
    assert {"features", "low_logits", "logits"} <= set(found)
    for key, value in {**endpoints, "logits": y}.items():
        assert_close(found[key], value, "reordered")
    assert_close(network.infer(params, state, x), y, "reordered")


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", TINY)
def test_gradients_of_whole_networks(name, train, rng):
    network = small(name, 3)
    params, state = arrays(network)
    x = image(name, rng, n=2 if train else 1)
    endpoints = {"aux_logits": None} if "aux_logits" in network.endpoint_names else {}

    def run(point):
        asked = dict(endpoints)
        params = {key: a for key, a in point.items() if key != "x"}
        rng = np.random.default_rng(5)
        y, cache, _ = network.forward(params, state, point["x"], train=train, rng=rng, endpoints=asked)
        return y, cache, asked

    point = {**params, "x": x}
    y, cache, got = run(point)
    dy = rng.standard_normal(y.shape)
    d_endpoints = {key: rng.standard_normal(value.shape) for key, value in got.items()}
    dx, grads = network.backward(dy, cache, endpoints=d_endpoints)
    left_out, same = network.backward(dy, cache, endpoints=d_endpoints, dx=False)
    assert left_out is None
    assert all(np.array_equal(same[key], grads[key]) for key in {*grads, *same})
    frozen = train and "deeplabv2_resnet" in name
    assert set(grads) == {key for key in params if not (frozen and ".bn." in key)}

    def loss(point):
        y, _, got = run(point)
        return np.vdot(y, dy) + sum(np.vdot(got[key], d) for key, d in d_endpoints.items())

    assert directional_error(loss, point, {**grads, "x": dx}, rng) <= ENOUGH


SIDES = {
    "tiny_torchvision_deeplabv3_resnet50": "aux_logits",
    "tiny_deeplabv2_resnet101_aspp": "low_logits_050",
    "tiny_deeplabv3plus_resnet101": "low_level",
    "tiny_deeplabv1_msc_largefov": "pool3",
    "tiny_deeplabv3_resnet50": "features",
}


@pytest.mark.parametrize("name", SIDES)
def test_side_results_take_gradients(name, rng):
    network = build(name, 3)
    params, state = arrays(network)
    x = image(name, rng)
    side = SIDES[name]
    endpoints = {side: None}
    y, cache, _ = network.forward(params, state, x, endpoints=endpoints)
    d = rng.standard_normal(endpoints[side].shape)
    _, alone = network.backward(np.zeros_like(y), cache, endpoints={side: d})
    dy = rng.standard_normal(y.shape)
    _, main = network.backward(dy, cache)
    _, both = network.backward(dy, cache, endpoints={side: d})
    for key, g in both.items():
        assert_close(g, alone.get(key, 0) + main.get(key, np.zeros_like(g)), "reordered")
    assert any(np.abs(alone[key]).max() > 0 for key in alone)


@pytest.mark.parametrize("name", [n for n in TINY if "vgg" not in n and "v1" not in n and "v2" not in n])
def test_training_moves_every_running_statistic(name, rng):
    network = build(name, 3)
    params, state = arrays(network)
    asked = {key: None for key in network.endpoint_names if key == "aux_logits"}
    x = image(name, rng, n=2)
    _, _, after = network.with_batch_norms(momentum=0.1).forward(
        params, state, x, train=True, rng=np.random.default_rng(0), endpoints=asked
    )
    assert [key for key in state if np.array_equal(after[key], state[key])] == []
    slow = network.with_batch_norms(momentum=0.0003)
    _, _, slower = slow.forward(params, state, x, train=True, rng=np.random.default_rng(0), endpoints=asked)
    for key in state:
        np.testing.assert_allclose(slower[key] - state[key], 0.003 * (after[key] - state[key]), rtol=1e-6, atol=1e-12)
    frozen = network.with_batch_norms(frozen=True)
    y, cache, same = frozen.forward(params, state, image(name, rng, n=2), train=True, rng=rng)
    assert same == state
    assert not any("bn" in key for key in frozen.backward(y, cache)[1])


def dropouts(part):
    found = [part.probability] if type(part).__name__ == "Dropout" else []
    return found + [p for inner in part.parts for p in dropouts(inner)]


@pytest.mark.parametrize(
    ("name", "probabilities"),
    [
        ("deeplabv1_largefov", [0.5] * 2),
        ("deeplabv1_msc", [0.5] * 12),
        ("deeplabv2_vgg16_aspp_l", [0.5] * 8),
        ("deeplabv2_resnet101_aspp", []),
        ("deeplabv3_resnet101", [0.1]),
        ("torchvision_deeplabv3_resnet101", [0.1, 0.5]),
        ("deeplabv3plus_xception65", [0.1]),
        ("vainf_deeplabv3plus_resnet101", [0.1]),
        ("smp_deeplabv3_resnet50", [0.5]),
        ("smp_deeplabv3plus_resnet34", [0.5]),
        ("mmseg_deeplabv3_resnet50", [0.1, 0.1]),
        ("mmseg_deeplabv3plus_resnet50", [0.1, 0.1]),
        ("jfzhang_deeplabv3plus_xception", [0.5, 0.5, 0.1]),
        ("dense_vgg16", [0.5] * 2),
    ],
)
def test_dropout_stands_where_the_papers_have_it(name, probabilities):
    assert dropouts(build(name).body) == probabilities


@pytest.mark.parametrize(
    ("beginning", "preprocessing", "fusion", "remainder"),
    [
        ("deeplabv1_4x4", "caffe", "max", 2),
        ("deeplabv1_7x7", "caffe", "max", 2),
        ("deeplabv1_msc", "caffe", "max", 2),
        ("deeplabv1_msc_largefov", "caffe", "max", 1),
        ("deeplabv1_largefov", "caffe", "max", 1),
        ("deeplabv2_vgg16_largefov", "caffe", "max", 1),
        ("deeplabv2_vgg16_aspp_s", "caffe", "max", 1),
        ("deeplabv2_vgg16_aspp_l", "caffe", "max", 1),
        ("deeplabv2_resnet101_aspp", "caffe", "max", 1),
        ("deeplabv2_resnet101_largefov", "caffe", "max", 1),
        ("deeplabv3_resnet50", "slim", "mean", 1),
        ("deeplabv3_resnet101", "slim", "mean", 1),
        ("deeplabv3plus_resnet101", "slim", "mean", 1),
        ("deeplabv3plus_xception65", "xception", "mean", 1),
        ("torchvision_deeplabv3_resnet50", "torchvision", "mean", 0),
        ("torchvision_deeplabv3_resnet101", "torchvision", "mean", 0),
        ("vainf_deeplabv3plus_resnet50", "torchvision", "mean", 0),
        ("vainf_deeplabv3plus_resnet101", "torchvision", "mean", 0),
        *((f"smp_deeplabv3_resnet{depth}", "torchvision", "mean", 16) for depth in (18, 34, 50, 101)),
        *((f"smp_deeplabv3plus_resnet{depth}", "torchvision", "mean", 16) for depth in (18, 34, 50, 101)),
        *((f"mmseg_deeplabv3_resnet{depth}", "torchvision", "mean", 0) for depth in (50, 101)),
        *((f"mmseg_deeplabv3plus_resnet{depth}", "torchvision", "mean", 0) for depth in (50, 101)),
        ("jfzhang_deeplabv3plus_resnet101", "torchvision", "mean", 1),
        ("jfzhang_deeplabv3plus_xception", "torchvision", "mean", 1),
        ("dense_vgg16", "torchvision", "mean", 0),
        ("dense_resnet50", "torchvision", "mean", 0),
        ("dense_resnet101", "torchvision", "mean", 0),
    ],
)
def test_how_images_are_prepared_and_fused(beginning, preprocessing, fusion, remainder):
    for name in (beginning, f"tiny_{beginning}"):
        assert build(name)[3:6] == (preprocessing, fusion, remainder)
    assert beginning in FULL


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("convention", ["caffe", "torchvision", "slim"])
def test_rates_of_the_cascade(convention, output_stride):
    """v3, Section 3.2: block 4 to 7 at twice the rate each; multi-grid multiplies them in every block."""
    network = build(
        "deeplabv3_resnet50",
        aspp=False,
        blocks=7,
        multi_grid=(1, 2, 1),
        output_stride=output_stride,
        convention=convention,
    )
    rates = {row.name: row.rate for row in network.summary(65).rows}
    first = 32 // output_stride
    for block, rate in zip((4, 5, 6, 7), (first, 2 * first, 4 * first, 8 * first), strict=True):
        unit0 = rate // 2 if convention == "torchvision" else rate
        expected = [unit0, 2 * rate, rate]
        assert [rates[f"backbone.layer{block}.{i}.conv2"] for i in range(3)] == expected
    third = [rates[f"backbone.layer3.{i}.conv2"] for i in (0, 1, 5)]
    finer = 16 // output_stride
    assert third == [1 if convention == "torchvision" else finer, finer, finer]


def test_receptive_fields_of_vgg():
    rows = {row.name: row.field for row in build("deeplabv1_largefov").summary(321).rows}
    assert (rows["pool5"], rows["pool5a"]) == (227, 243)
    assert build("dense_vgg16").summary(321).rows[17].field == 212


def test_half_pixels_of_v2(rng):
    """kazuto1011's way: the image at ⌊n·s⌋, everything by half-pixel centres."""
    network = build("tiny_deeplabv2_resnet101_aspp", 3, align_corners=False)
    one = build("tiny_deeplabv2_resnet101_aspp", 3, align_corners=False, multi_scale=False)
    params, state = arrays(network)
    x = rng.standard_normal((1, 3, 50, 71))

    def half(a, size):
        return atrous.resize_bilinear(a, size, align_corners=False)

    low = one.endpoints(params, state, x)["low_logits"]
    for size in ((37, 53), (25, 35)):
        scores = one.endpoints(params, state, half(x, size))["low_logits"]
        low = np.maximum(low, half(scores, low.shape[2:]))
    found = network.endpoints(params, state, x)
    assert_close(found["low_logits"], low, "reordered")
    assert_close(found["logits"], half(low, (50, 71)), "reordered")
    assert_close(network.forward(params, state, x)[0], found["logits"], "reordered")
    assert network.fitting((50, 71)) == (50, 71)
    assert build("tiny_deeplabv2_resnet101_aspp", output_stride=16).fitting((33, 66)) == (65, 129)


def test_training_moves_the_running_statistics_alone(rng):
    network = build("tiny_deeplabv3_resnet50", 3)
    params, state = network.init(rng, np.float64)
    before = {key: value.copy() for key, value in {**params, **state}.items()}
    _, _, after = network.forward(params, state, image(network.name, rng, n=2), train=True, rng=rng)
    assert set(after) == set(state)
    assert all(not np.array_equal(after[key], state[key]) for key in state)
    for key, value in before.items():
        np.testing.assert_array_equal({**params, **state}[key], value)
    frozen = build("tiny_deeplabv2_resnet101_aspp", 3)
    params, state = frozen.init(rng, np.float64)
    assert frozen.forward(params, state, image(frozen.name, rng, n=2), train=True)[2] == state


# Output stride


def strides(name, output_stride, **options):
    return build(name, 3, output_stride=output_stride, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(("tiny_deeplabv3_resnet50", {"convention": c, "aspp": False}) for c in ("caffe", "torchvision", "slim")),
        ("tiny_deeplabv3_resnet50", {"aspp": False, "blocks": 7, "multi_grid": (1, 2, 1)}),
        ("tiny_dense_resnet50", {}),
        ("tiny_dense_vgg16", {}),
        ("tiny_deeplabv3plus_xception65", {"decoder": False}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else value,
)
def test_output_stride_changes_no_number(name, options, rng):
    """A network of output stride 8 and 16, sub-sampled to the grid of the least, equals that one everywhere."""
    top = 256 if options.get("blocks") == 7 else 32
    x = rng.standard_normal((1, 3, 259, 233) if "vgg" in name else (1, 3, 131, 118))
    found = {}
    for output_stride in (8, 16, top):
        # Grids are kept in `strides` of the trained network: rates multiply from there on.
        network = strides(name, output_stride, **options)
        params, state = arrays(network)
        found[output_stride] = network.endpoints(params, state, x)["features"]
    for output_stride in (8, 16):
        step = top // output_stride
        kept = found[output_stride][:, :, ::step, ::step]
        h, w = (min(a, b) for a, b in zip(kept.shape[2:], found[top].shape[2:], strict=True))
        assert h * w >= 1
        assert_close(kept[:, :, :h, :w], found[top][:, :, :h, :w], "reordered")
        if "vgg" not in name:
            assert kept.shape == found[top].shape


def test_output_strides_that_cannot_be():
    with pytest.raises(ParameterError, match="multiply to only 32, so output_stride=64"):
        build("deeplabv3_resnet50", output_stride=64, aspp=False, convention="torchvision")
    with pytest.raises(ParameterError, match="must be a power of two and at least 4"):
        build("deeplabv3_resnet50", output_stride=12)
    with pytest.raises(ParameterError, match="output_stride of Xception must be 4, 8, 16 or 32"):
        build("deeplabv3plus_xception65", output_stride=64)
    with pytest.raises(ParameterError, match="output_stride of Xception must be 8 or 16, got 32"):
        build("jfzhang_deeplabv3plus_xception", output_stride=32)


# From classifier to dense extractor


def test_vgg_becomes_convolutional(rng):
    dense = build("tiny_dense_vgg16", 10)
    params, state = arrays(dense)
    flat = {k: v.reshape(len(v), -1) if k.startswith("fc") and k.endswith("weight") else v for k, v in params.items()}
    x = rng.standard_normal((1, 3, 224, 224))
    features = dense.endpoints(params, state, x)["features"]
    y = features.reshape(1, -1)
    for i, layer in enumerate(("fc6", "fc7", "fc8")):
        y = y @ flat[f"{layer}.weight"].T + flat[f"{layer}.bias"]
        y = np.maximum(y, 0) if i < 2 else y
    converted = atrous.convolutionalize(flat)
    assert converted["fc6.weight"].shape == (16, 12, 7, 7)
    found = dense.endpoints(converted, state, x)["low_logits"]
    assert found.shape == (1, 10, 1, 1)
    assert_close(found[:, :, 0, 0], y, "reordered")
    # At output stride 8 there is still one position: the same; on more pixels every fourth is that of stride 32.
    finer = build("tiny_dense_vgg16", 10, output_stride=8)
    assert_close(finer.endpoints(converted, state, x)["low_logits"][:, :, 0, 0], y, "reordered")
    wide = rng.standard_normal((1, 3, 288, 256))
    coarse, fine = (n.endpoints(converted, state, wide)["low_logits"] for n in (dense, finer))
    assert coarse.shape[2:] == (3, 2)
    assert_close(fine[:, :, ::4, ::4], coarse, "reordered")


def test_old_blobs_of_caffe_become_convolutional():
    dense = build("tiny_dense_vgg16", 10)
    params, _ = arrays(dense, np.float32)
    caffe = {}
    for key, value in params.items():
        layer, _, end = key.rpartition(".")
        if end == "bias":
            caffe[f"{layer}.1"] = value.reshape(1, 1, 1, -1)
        else:
            caffe[f"{layer}.0"] = value.reshape(1, 1, len(value), -1) if layer.startswith("fc") else value
    for key, value in dense.load(atrous.convolutionalize(caffe))[0].items():
        np.testing.assert_array_equal(value, params[key])


def test_resnet_becomes_convolutional(rng):
    dense = build("tiny_dense_resnet50", 7)
    params, state = arrays(dense)
    bare = {key.removeprefix("backbone."): a for key, a in {**params, **state}.items()}
    bare["fc.weight"] = bare["fc.weight"].reshape(7, -1)
    x = rng.standard_normal((1, 3, 224, 224))
    loaded = dense.load(atrous.convolutionalize(bare), np.float64)
    found = dense.endpoints(*loaded, x)
    mean = found["features"].mean((2, 3))
    y = mean @ bare["fc.weight"].T + bare["fc.bias"]
    assert_close(found["low_logits"].mean((2, 3)), y, "reordered")


def test_decimated_kernels_span_what_they_did(rng):
    w = rng.standard_normal((8, 5, 7, 7))
    for kernel, step in ((4, 2), (3, 3), (7, 1), (1, None)):
        found, kept = atrous.decimate_kernel(w, kernel)
        expected = w[:, :, 3:4, 3:4] if step is None else w[:, :, ::step, ::step]
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(kept, np.arange(8))
    found, kept = atrous.decimate_kernel(w, 3, filters=3, channels=[4, 0], rng=rng)
    assert found.shape == (3, 2, 3, 3)
    assert (np.diff(kept) > 0).all()
    np.testing.assert_array_equal(found, w[np.ix_(kept, [4, 0])][..., ::3, ::3])
    with pytest.raises(ParameterError, match="5 of 7 taps cannot be spaced evenly"):
        atrous.decimate_kernel(w, 5)
    with pytest.raises(ParameterError, match="filters must be at most 8, the filters of w, and rng"):
        atrous.decimate_kernel(w, 3, filters=3)
    with pytest.raises(ShapeError, match="convolutionalize first"):
        atrous.decimate_kernel(w.reshape(8, -1), 3)
    with pytest.raises(ShapeError, match="fc has 19 inputs, which are not a square map of the 8 channels"):
        atrous.convolutionalize({"conv": w, "fc": np.ones((2, 19))})


@pytest.mark.parametrize(
    ("name", "kernel"), [("deeplabv1_largefov", 3), ("deeplabv1_4x4", 4), ("deeplabv2_vgg16_aspp_l", 3)]
)
def test_networks_begin_with_vgg(name, kernel, rng):
    classifier = build("tiny_dense_vgg16", 10, width=32)
    params, _ = arrays(classifier, np.float32)
    flat = {k: v.reshape(len(v), -1) if k.startswith("fc") and k.endswith("weight") else v for k, v in params.items()}
    network = build(f"tiny_{name}", 3)
    begun, _ = atrous.from_classifier(network, flat, rng, preprocessing="caffe")
    assert list(begun) == list(network.init(rng)[0])
    branches = ("_1", "_2", "_3", "_4") if "aspp" in name else ("",)
    step = 6 // (kernel - 1)
    for branch in branches:
        w6, w7 = begun[f"fc6{branch}.weight"], begun[f"fc7{branch}.weight"]
        assert w6.shape == (16, 12, kernel, kernel)
        # Each kept filter is one of the classifier's, taps thinned out; fc7 reads the same ones.
        same = [np.flatnonzero((params["fc6.weight"][..., ::step, ::step] == f).all((1, 2, 3))) for f in w6]
        assert all(len(s) == 1 for s in same)
        kept = np.concatenate(same)
        np.testing.assert_array_equal(begun[f"fc6{branch}.bias"], params["fc6.bias"][kept])
        rows = [np.flatnonzero((params["fc7.weight"][:, kept] == f).all((1, 2, 3))) for f in w7]
        np.testing.assert_array_equal(begun[f"fc7{branch}.bias"], params["fc7.bias"][np.concatenate(rows)])
    for key, value in params.items():
        if key.startswith("conv"):
            np.testing.assert_array_equal(begun[key], value)


@pytest.mark.parametrize("preprocessing", ["torchvision", "caffe", "slim", "xception"])
@pytest.mark.parametrize(
    "name", ["tiny_deeplabv1_largefov", "tiny_torchvision_deeplabv3_resnet50", "tiny_deeplabv3_resnet50"]
)
def test_a_first_convolution_answers_photographs_as_before(name, preprocessing, rng):
    """Whatever a classifier's images were prepared by, inside the image the answers to a photograph stay."""
    network = build(name, 3)
    dense = build("tiny_dense_vgg16" if "v1" in name else "tiny_dense_resnet50", 4)
    params, state = arrays(dense)
    given = {key.removeprefix("backbone."): a for key, a in {**params, **state}.items()}
    begun = atrous.from_classifier(network, given, rng, np.float64, preprocessing=preprocessing)
    photo = rng.integers(0, 256, (24, 24, 3)).astype(np.uint8)

    def answers(first, how, params, state):
        x = atrous.prepare(photo, how, np.float64)
        y = atrous.atrous_conv(x, params[f"{first}.weight"], padding="valid")
        if "v1" in name:
            return y + params[f"{first}.bias"][:, None, None]
        norm = first.replace("conv", "bn")
        found = (
            params[f"{norm}.weight"],
            params[f"{norm}.bias"],
            state[f"{norm}.running_mean"],
            state[f"{norm}.running_var"],
        )
        return atrous.batch_norm_forward(y, *found)[0]

    first = "conv1_1" if "v1" in name else "backbone.conv1"
    assert_close(
        answers(first, network.preprocessing, *begun), answers(first, preprocessing, params, state), "reordered"
    )


def test_networks_begin_with_a_resnet(rng):
    classifier = build("tiny_dense_resnet50", 10)
    params, state = arrays(classifier, np.float32)
    bare = {key.removeprefix("backbone."): a for key, a in {**params, **state}.items()}
    bare["fc.weight"] = bare["fc.weight"].reshape(10, -1)
    network = build("tiny_torchvision_deeplabv3_resnet50", 3)
    begun = {k: v for arrays in atrous.from_classifier(network, bare, rng) for k, v in arrays.items()}
    for key in begun:
        if key.startswith("backbone."):
            np.testing.assert_array_equal(begun[key], {**params, **state}[key])
    assert any(key.startswith("classifier.") for key in begun)
    with pytest.raises(ParameterError, match=r"only 0 of the \d+ arrays of the trunk of tiny_torchvision"):
        atrous.from_classifier(network, {"features.0.weight": np.ones((4, 3, 3, 3))}, rng)
    with pytest.raises(ParameterError, match=r"weights must be a dictionary.*load_weights\(file\)"):
        atrous.from_classifier(network, "resnet50.pth", rng)
    # The units of v2 bear other names and keep their strides elsewhere; the arrays are the same.
    second = build("tiny_deeplabv2_resnet101_aspp", 3)
    begun = {
        k: v for given in atrous.from_classifier(second, bare, rng, preprocessing="caffe") for k, v in given.items()
    }
    for ours, theirs in (
        ("base.layer1.conv1.conv.weight", "conv1.weight"),
        ("base.layer1.conv1.bn.running_var", "bn1.running_var"),
        ("base.layer3.block1.shortcut.conv.weight", "layer2.0.downsample.0.weight"),
        ("base.layer3.block2.increase.bn.bias", "layer2.1.bn3.bias"),
        ("base.layer5.block3.conv3x3.conv.weight", "layer4.2.conv2.weight"),
    ):
        np.testing.assert_array_equal(begun[ours], bare[theirs])
    assert not np.array_equal(begun["base.aspp.c0.weight"], 0 * begun["base.aspp.c0.weight"])


# Weights


@pytest.mark.parametrize("name", [n for n in TINY if "mobilenet" in n])
def test_networks_begin_with_a_mobilenet(name, rng):
    """torchvision's classifiers: ``features.0.0.weight`` … and matrices."""
    network = build(name, 3)
    weights = {
        re.sub(r"^backbone\.((low|high)_level_features\.)?", "features.", key): rng.standard_normal(v.shape)
        for key, v in network.variables().items()
        if key.startswith("backbone.")
    }
    last = [a for a in weights.values() if a.ndim == 4][-1].shape[0]
    more = {"classifier.0.weight": rng.standard_normal((7, last)), "classifier.3.weight": rng.standard_normal((9, 7))}
    options = {"preprocessing": network.preprocessing}
    begun, state = atrous.from_classifier(network, {**weights, **more}, rng, np.float64, **options)
    begun = begun | state
    found = {re.sub(r"^backbone\.((low|high)_level_features\.)?", "features.", key): a for key, a in begun.items()}
    for key, a in weights.items():
        np.testing.assert_array_equal(found[key], a, err_msg=key)


def test_weights_come_under_the_names_of_others(rng, tmp_path):
    network = build("tiny_deeplabv2_resnet101_aspp", 3)
    params, state = arrays(network, np.float32)
    given = {**params, **state, "base.layer1.conv1.bn.num_batches_tracked": np.array(3)}
    same = [given, {k.removeprefix("base."): v for k, v in given.items()}]
    atrous.save_weights(given, tmp_path / "weights.npz")
    wrapped = {f"model.{name}": a for name, a in given.items()}
    for weights in (*same, tmp_path / "weights.npz", wrapped, (params, state)):
        found = network.load(weights)
        assert list(found[0]) == list(params)
        for got, expected in zip(found, (params, state), strict=True):
            for key, value in expected.items():
                np.testing.assert_array_equal(got[key], value)


def test_names_that_fall_together_are_refused():
    network = build("tiny_deeplabv2_resnet101_aspp", 3)
    params, state = arrays(network, np.float32)
    given = {k.removeprefix("base."): v for k, v in {**params, **state}.items()}
    given["base.aspp.c0.bias"] = params["base.aspp.c0.bias"] + 1
    with pytest.raises(WeightsError, match="unexpected"):
        network.load(given)


def test_weights_of_caffe(rng):
    network = build("tiny_deeplabv2_vgg16_aspp_l", 3)
    params, state = arrays(network, np.float32)
    caffe = {}
    for key, value in params.items():
        layer, _, end = key.rpartition(".")
        layer = layer.replace("fc8_voc12", "fc8_pascal_context")
        caffe[f"{layer}.{0 if end == 'weight' else 1}"] = value if end == "weight" else value.reshape(1, 1, 1, -1)
    for key, value in network.load(caffe)[0].items():
        np.testing.assert_array_equal(value, params[key])
    caffe["fc8_other_1.0"] = caffe["fc8_pascal_context_1.0"] + 1
    with pytest.raises(WeightsError, match=r"1 unexpected: fc8_other_1\.0"):
        network.load(caffe)

    network = build("tiny_deeplabv2_resnet101_aspp", 3)
    params, state = arrays(network, np.float32)
    pieces = {"reduce": "2a", "conv3x3": "2b", "increase": "2c", "shortcut": "1"}
    caffe, factor = {}, np.float32(0.5)
    for key, value in {**params, **state}.items():
        parts = key.split(".")
        if parts[1] == "aspp":
            caffe[f"fc1_voc12_{parts[2]}.{0 if parts[3] == 'weight' else 1}"] = value
            caffe[f"fc1_voc12_{parts[2]}_res05.0"] = value
            continue
        if parts[2] == "conv1":
            conv, bn, scale = "conv1", "bn_conv1", "scale_conv1"
        else:
            block = int(parts[2].removeprefix("block"))
            stage = int(parts[1].removeprefix("layer"))
            unit = "abc"[block - 1] if stage in (2, 5) else "a" if block == 1 else f"b{block - 1}"
            conv, bn, scale = (f"{h}{stage}{unit}_branch{pieces[parts[3]]}" for h in ("res", "bn", "scale"))
        if parts[-2] == "conv":
            caffe[f"{conv}.0"] = value
        elif parts[-1].startswith("running"):
            caffe[f"{bn}.{0 if parts[-1] == 'running_mean' else 1}"] = value * factor
            caffe[f"{bn}.2"] = factor.reshape(1)
        else:
            caffe[f"{scale}.{0 if parts[-1] == 'weight' else 1}"] = value
    found = network.load(caffe)
    for got, expected in zip(found, (params, state), strict=True):
        for key, value in expected.items():
            np.testing.assert_allclose(got[key], value, rtol=1e-6)


def test_vgg_of_torchvision():
    network = build("tiny_dense_vgg16", 10)
    params, _ = arrays(network, np.float32)
    places = iter((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28))
    names = dict.fromkeys(key.rpartition(".")[0] for key in params)
    at = {n: f"features.{next(places)}" if n.startswith("conv") else f"classifier.{3 * (int(n[2]) - 6)}" for n in names}
    given = {f"{at[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": v for k, v in params.items()}
    given = {k: v.reshape(len(v), -1) if "classifier" in k and v.ndim == 4 else v for k, v in given.items()}
    for key, value in network.load(atrous.convolutionalize(given))[0].items():
        np.testing.assert_array_equal(value, params[key])


def test_side_heads_of_torchvision_may_stay_behind():
    whole = build("tiny_torchvision_deeplabv3_resnet50", 3)
    params, state = arrays(whole, np.float32)
    plain = build("tiny_torchvision_deeplabv3_resnet50", 3, auxiliary=False)
    found, _ = plain.load((params, state))
    assert set(found) == {name for name in params if not name.startswith("aux_classifier.")}
    params["aux_classifier.4.bias"] = np.zeros(21, np.float32)
    assert set(plain.load((params, state))[0]) == set(found)


def test_broken_weights_are_refused():
    network = build("tiny_deeplabv1_largefov", 3)
    params, _ = arrays(network, np.float32)
    with pytest.raises(DTypeError, match=r"weights.*fc7\.bias.. must hold real numbers, got complex"):
        network.load({**params, "fc7.bias": params["fc7.bias"].astype(complex)})
    loaded, _ = network.load(params)
    assert not np.shares_memory(loaded["fc7.bias"], params["fc7.bias"])
    params["fc7.bias"][3] = np.nan
    with pytest.raises(WeightsError, match=r"1 arrays contain NaN or infinite numbers: fc7\.bias"):
        network.load(params)
    with pytest.raises(ParameterError, match="weights must be text, a path, a dictionary of arrays"):
        network.load(None)


def test_one_error_lists_all_that_differs():
    network = build("tiny_deeplabv1_largefov", 3)
    params, _ = arrays(network, np.float32)
    params["fc8_voc12.bias"] = params["fc8_voc12.bias"][:2]
    params["more"] = params.pop("fc7.bias")
    with pytest.raises(WeightsError) as caught:
        network.load(params)
    text = str(caught.value)
    assert "1 missing: fc7.bias; 1 unexpected: more; 1 of another shape: fc8_voc12.bias must be (3,), got (2,)" in text
    assert "atrous weights show" in text
    with pytest.raises(WeightsError, match=r"missing: .* and [0-9]+ more"):
        build("tiny_deeplabv3_resnet50").load({})


# What is refused


def test_wrong_names_and_options():
    with pytest.raises(ParameterError, match=r"name must be one of deeplabv1_4x4, .*got 'deeplabv4'"):
        build("deeplabv4")
    with pytest.raises(ParameterError, match="deeplabv1_4x4 has no option 'rates'; it takes classes, fc6, width"):
        build("deeplabv1_4x4", rates=(1, 2))
    with pytest.raises(ParameterError, match="classes must be at least 1, got 0"):
        build("deeplabv1_4x4", 0)
    with pytest.raises(ParameterError, match="multi_grid needs 3 rates"):
        build("deeplabv3_resnet50", multi_grid=(1, 2))
    with pytest.raises(ParameterError, match="blocks must be 4 to 7"):
        build("deeplabv3_resnet50", blocks=3)
    with pytest.raises(ParameterError, match="convention must be one of 'caffe', 'torchvision', 'slim'"):
        build("deeplabv3_resnet50", convention="keras")
    with pytest.raises(ParameterError, match="stem must be '7x7' or '3x3'"):
        build("deeplabv3_resnet50", stem="5x5")
    with pytest.raises(ParameterError, match=r"Did you mean deeplabv3plus_resnet101"):
        build("DeepLabV3+_ResNet101")
    with pytest.raises(ParameterError, match="has no option 'num_classes'; it takes classes, "):
        build("deeplabv3_resnet50", num_classes=3)
    for options, message in (
        ({"output_stride": 16.0}, "output_stride must be an integer"),
        ({"units": (1, 1)}, "units must be 4 numbers"),
        ({"multi_grid": (0, 1, 2)}, r"multi_grid\[0\] must be at least 1"),
    ):
        with pytest.raises(ParameterError, match=message):
            build("deeplabv3_resnet50", **options)
    with pytest.raises(ParameterError, match="units must have at least 2 in stage 1"):
        build("deeplabv3plus_resnet101", units=(1, 1, 1, 3))
    for name in ("deeplabv2_vgg16_aspp_l", "deeplabv2_resnet101_aspp"):
        with pytest.raises(ParameterError, match="rates of v2 must be at least one integer"):
            build(name, rates=())
    with pytest.raises(ParameterError, match="output_stride of MobileNets must be 4, 8, 16 or 32, got 2"):
        build("deeplabv3_mobilenetv2", output_stride=2)
    for multiplier in (0, -1.0, "x", np.nan):
        with pytest.raises(ParameterError, match="multiplier must be"):
            build("deeplabv3_mobilenetv2", multiplier=multiplier)
    assert build("deeplabv2_vgg16_aspp_l", rates="ASPP-S").body == build("deeplabv2_vgg16_aspp_s").body
    with pytest.raises(ParameterError, match="rates must be different"):
        build("deeplabv3_resnet50", rates=(6, 6))
    with pytest.raises(ParameterError, match=r"fc6 must be \(kernel, rate\), got 12"):
        build("deeplabv1_largefov", fc6=12)
    assert build("deeplabv3_resnet50", rates=6).body == build("deeplabv3_resnet50", rates=(6,)).body
    with pytest.raises(ParameterError, match="has no option 'depth'"):
        build("deeplabv3_resnet50", depth=101)


def test_wrong_arrays(rng):
    network = build("tiny_deeplabv1_largefov", 3)
    params, state = network.init(rng)
    x = image(network.name, rng, dtype=np.float32)
    with pytest.raises(ShapeError, match=r"x must be \(N, 3, H, W\).*np.moveaxis\(x, -1, 1\)"):
        network.infer(params, state, np.moveaxis(x, 1, -1))
    with pytest.raises(ShapeError, match=r"x must be \(N, 3, H, W\)"):
        network.infer(params, state, x[:, :1])
    with pytest.raises(
        DTypeError, match=r"x must have the dtype of the network's arrays, float32.*x\.astype\(np\.float32"
    ):
        network.infer(params, state, x.astype(np.float64))
    with pytest.raises(ParameterError, match="init: dtype must be float32 or float64"):
        network.init(rng, np.float16)
    with pytest.raises(ParameterError, match="has no endpoint 'lowlogits'; it has image, pool1"):
        network.forward(params, state, x, endpoints={"lowlogits": None})
    with pytest.raises(DTypeError, match="x must be float32 or float64, got uint8"):
        network.infer(params, state, x.astype(np.uint8))
    with pytest.raises(ShapeError, match=r"forward: params do not fit tiny_deeplabv1_largefov: 1 missing: fc7\.bias"):
        network.forward({k: v for k, v in params.items() if k != "fc7.bias"}, state, x)
    with pytest.raises(ParameterError, match="rng must be a Generator"):
        network.init(0)
    with pytest.raises(ParameterError, match="forward: rng must be"):
        network.forward(params, state, x, train=True)
    y, cache, _ = network.forward(params, state, x)
    with pytest.raises(ShapeError, match="dy must have the shape of the output"):
        network.backward(y[..., :2], cache)
    with pytest.raises(ParameterError, match="cache must be a NetworkCache"):
        network.backward(y, None)
    with pytest.raises(ParameterError, match="cache comes from the forward pass of another network"):
        build("tiny_deeplabv1_4x4", 3).backward(y, cache)
    with pytest.raises(ParameterError, match="has no endpoint 'nosuch'"):
        network.backward(y, cache, endpoints={"nosuch": y})
    with pytest.raises(
        ShapeError, match=r"gradient of endpoint 'low_logits' must have the shape.*none: name it in the endpoints"
    ):
        network.backward(y, cache, endpoints={"low_logits": y})
    endpoints = {"low_logits": None}
    y, cache, _ = network.forward(params, state, x, endpoints=endpoints)
    with pytest.raises(ShapeError, match=r"gradient of endpoint 'low_logits'.*\(1, 3, 5, 6\), got \(1, 3, 33, 41\)"):
        network.backward(y, cache, endpoints={"low_logits": y})
    single = build("tiny_deeplabv3_resnet50", 3)
    with pytest.raises(
        ShapeError, match=r"in training classifier\.0\.convs\.4\.2 needs more than one value per channel"
    ):
        single.forward(*single.init(rng), image(single.name, rng, dtype=np.float32), train=True, rng=rng)


@pytest.mark.skipif("cuda" in atrous.CONV_METHODS, reason="there is a device")
def test_a_missing_device_is_said(rng):
    network = build("tiny_deeplabv1_largefov", 3)
    with pytest.raises(
        atrous.BackendUnavailable, match=r'infer: device="cuda" needs a CUDA device: .*Leave device out'
    ):
        network.infer(*network.init(rng), image(network.name, rng, dtype=np.float32), device="cuda")


def test_what_a_network_tells_of_itself():
    network = build("deeplabv3_resnet50", 19, output_stride=8)
    assert repr(network) == "<deeplabv3_resnet50: 39,048,019 parameters; classes=19, output_stride=8>"
    text = str(network.summary(65))
    assert "backbone.layer4.2.conv2" in text
    assert "39,048,019 parameters" in text
    svg = network.drawing()._repr_svg_()
    assert svg.startswith("<svg")
    assert "rate 36" in svg
    mobile = build("torchvision_lraspp_mobilenet_v3_large").drawing().svg
    assert all(words in mobile for words in ("6 units", "1 unit<", "Lite R-ASPP", "times a gate"))
    assert len(networks()) == 2 * len(FULL)
    assert all(10_000 < build(name).parameter_count < 150_000 for name in TINY)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("deeplabv1_largefov", {321: 321, 322: 329, 1: 1}),
        ("deeplabv1_4x4", {306: 306, 307: 314, 1: 2}),
        ("deeplabv2_resnet101_aspp", {321: 321, 322: 353, 513: 513}),
        ("deeplabv3_resnet101", {513: 513, 514: 529}),
        ("torchvision_deeplabv3_resnet101", {322: 322, 1: 1}),
        ("smp_deeplabv3_resnet50", {320: 320, 321: 328, 1: 16}),
        ("smp_deeplabv3plus_resnet50", {320: 320, 321: 336, 1: 16}),
        ("mmseg_deeplabv3plus_resnet50", {322: 322, 1: 1}),
    ],
)
def test_sizes_that_fit(name, fits):
    network = build(name)
    for size, fit in fits.items():
        assert network.fitting((size, 513 if fit != size else size))[0] == fit


@pytest.mark.parametrize("name", [n for n in TINY if "msc" in n])
@pytest.mark.parametrize("size", [(33, 40), (34, 34), (38, 47), (2, 3)])
def test_multi_scale_features_of_any_size(name, size, rng):
    """Branches of unlike size are cropped, forward and backward."""
    network = build(name, 3)
    params, state = arrays(network)
    x = rng.standard_normal((1, 3, *size))
    y, cache, _ = network.forward(params, state, x)
    assert y.shape == (1, 3, *size)
    dy = rng.standard_normal(y.shape)
    dx, grads = network.backward(dy, cache)
    assert set(grads) == set(params)

    def loss(point):
        return np.vdot(network.infer({k: v for k, v in point.items() if k != "x"}, state, point["x"]), dy)

    assert directional_error(loss, {**params, "x": x}, {**grads, "x": dx}, rng) <= ENOUGH


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("torchvision_deeplabv3_resnet50", {}, "where the papers have 6, 12, 18: output stride 8 doubles them."),
        ("deeplabv3plus_xception65", {"output_stride": 8}, "rates 12, 24, 36 where the papers have 6, 12, 18"),
        ("deeplabv3_resnet50", {"output_stride": 32}, "rates 3, 6, 9 where the papers have 6, 12, 18"),
        (
            "torchvision_deeplabv3_mobilenet_v3_large", {},
            "as in the papers at output stride 8; this network's is 16, where they have 6, 12, 18.",
        ),
        ("deeplabv3_resnet50", {}, ""),
        ("deeplabv3_mobilenetv2", {"rates": ()}, ""),
        ("deeplabv3_resnet50", {"rates": (2, 4, 8)}, ""),
        ("torchvision_lraspp_mobilenet_v3_large", {}, ""),
        ("deeplabv2_resnet101_aspp", {}, ""),
    ],
)  # fmt: skip
def test_the_summary_says_why_rates_differ_from_the_papers(name, options, sentence):
    found = build(f"tiny_{name}", **options).summary(257)
    assert sentence in found.note
    assert bool(found.note) == bool(sentence)
    assert str(found).endswith(found.note)


@pytest.mark.parametrize(
    ("options", "millions", "billions"),
    [({}, 4.52, 5.8), ({"rates": ()}, 2.11, 2.75)],
)
def test_mobilenetv2_has_the_numbers_of_its_paper(options, millions, billions):
    """Table 7 of the MobileNetV2 paper: parameters and multiply-adds at output stride 16."""
    network = build("deeplabv3_mobilenetv2", **options)
    assert round(network.parameter_count / 1e6, 2) == millions
    assert network.summary(513).interlaced_macs / 1e9 == pytest.approx(billions, rel=0.01)
