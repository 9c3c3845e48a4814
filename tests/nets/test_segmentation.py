"""From a photograph to labels: preparation by hand, scales, flips and their fusion as plain calls."""

import numpy as np
import pytest
from tolerances import assert_close

import atrous
from atrous import build, predict, prepare, resize_bilinear, segment
from atrous.errors import DTypeError, ParameterError, ShapeError

PHOTO = np.random.default_rng(0).integers(0, 256, (23, 30, 3)).astype(np.uint8)


def by_hand(preprocessing):
    level = PHOTO.astype(np.float64)
    red, green, blue = (level[..., i] for i in range(3))
    return np.stack({
        "caffe": [blue - 104.008, green - 116.669, red - 122.675],
        "torchvision": [(red / 255 - 0.485) / 0.229, (green / 255 - 0.456) / 0.224, (blue / 255 - 0.406) / 0.225],
        "slim": [red - 123.15, green - 115.90, blue - 103.06],
        "xception": [2 * c / 255 - 1 for c in (red, green, blue)],
    }[preprocessing])[None]  # fmt: skip


@pytest.mark.parametrize("preprocessing", ["caffe", "torchvision", "slim", "xception"])
def test_images_are_prepared_as_each_framework_does(preprocessing):
    expected = by_hand(preprocessing)
    found = prepare(PHOTO, preprocessing)
    assert found.dtype == np.float32
    assert_close(found, expected, "reordered")
    assert_close(prepare(PHOTO, preprocessing, np.float64), expected, "reordered")
    assert_close(prepare(PHOTO.astype(np.float32), preprocessing, np.float64), expected, "reordered")
    assert_close(prepare(PHOTO.astype(np.uint16) * 257, preprocessing, np.float64), expected, "reordered")
    alpha = np.full((23, 30, 1), 7, np.uint8)
    assert_close(prepare(np.concatenate([PHOTO, alpha], 2), preprocessing, np.float64), expected, "reordered")


def test_grey_becomes_three_equal_channels():
    grey = PHOTO[..., 0]
    three = prepare(np.repeat(grey[..., None], 3, 2), "slim")
    for image in (grey, grey[..., None], np.stack([grey, 0 * grey], 2)):
        np.testing.assert_array_equal(prepare(image, "slim"), three)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((3, 9, 9), np.uint8), ShapeError, r"got \(3, 9, 9\)\. For channels first use np\.moveaxis"),
        (np.zeros((9, 9, 5), np.uint8), ShapeError, "1 to 4 channels"),
        (np.zeros((9, 9, 3), np.int64), DTypeError, r"got int64.*astype\(np\.uint8\)"),
        (np.full((9, 9, 3), 0.5), ParameterError, "If they are fractions of 1, pass 255"),
        (np.full((9, 9, 3), np.nan), ParameterError, "levels from 0 to 255"),
        ("photo.jpg", DTypeError, "Open a photograph first"),
    ],
)
def test_images_that_are_none(image, error, message):
    with pytest.raises(error, match=message):
        prepare(image, "slim")
    with pytest.raises(ParameterError, match="preprocessing must be one of 'caffe'"):
        prepare(PHOTO, "keras")


def softmax(scores):
    e = np.exp(scores - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def scores_of(network, params, state, x):
    """Return the scores at the image's size; the end is filled with the mean up to a size that fits the grid."""
    h, w = x.shape[2:]
    full = np.zeros((1, 3, *network.fitting((h, w))))
    full[:, :, :h, :w] = x
    return network.infer(params, state, full)[:, :, :h, :w]


@pytest.mark.parametrize("name", ["torchvision_deeplabv3_resnet50", "deeplabv1_largefov", "deeplabv3plus_xception65"])
def test_scales_and_flips_are_fused_as_each_paper_does(name):
    network = build(f"tiny_{name}", 4)
    params, state = network.init(np.random.default_rng(1), np.float64)
    x = by_hand(network.preprocessing)
    plain = scores_of(network, params, state, x)
    assert_close(predict(PHOTO, network, (params, state)), softmax(plain)[0], "reordered")

    found = []
    for scale, size in ((0.5, (12, 15)), (1, (23, 30)), (1.75, (39, 51))):
        assert size == (int(22 * scale) + 1, int(29 * scale) + 1)
        scaled = resize_bilinear(x, size)
        for mirror in (slice(None), slice(None, None, -1)):
            scores = scores_of(network, params, state, scaled[..., mirror])[..., mirror]
            found.append(resize_bilinear(np.ascontiguousarray(scores), (23, 30)))
    found = np.concatenate(found)
    expected = softmax(found.max(0)[None])[0] if network.fusion == "max" else softmax(found).mean(0)
    got = predict(PHOTO, network, {**params, **state}, scales=(0.5, 1, 1.75), flip=True)
    assert_close(got, expected, "reordered")


def test_labels_are_the_largest_probabilities_and_a_crf_sharpens_them():
    network = build("tiny_torchvision_deeplabv3_resnet50", 4)
    weights = network.init(np.random.default_rng(1))
    found = segment(PHOTO, network, weights)
    assert found.labels.dtype == np.uint8
    np.testing.assert_array_equal(found.labels, found.probabilities.argmax(0))
    np.testing.assert_array_equal(found.probabilities, predict(PHOTO, network, weights))
    sharp = segment(PHOTO, network, weights, "densecrf")
    expected = atrous.dense_crf(found.probabilities, PHOTO, "densecrf", intensity_scale=1)
    np.testing.assert_allclose(sharp.probabilities, expected, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"scales": (0.5, 1.0), "flip": True}])
def test_one_class_is_the_foreground_by_the_sigmoid_of_its_score(options):
    network = build("tiny_smp_deeplabv3plus_resnet18", 1)
    params, state = network.init(np.random.default_rng(3))
    params = {name: a.astype(np.float64) for name, a in params.items()}
    state = {name: a.astype(np.float64) for name, a in state.items()}
    found = segment(PHOTO, network, (params, state), **options)
    assert found.probabilities.shape == (2, 23, 30)
    np.testing.assert_array_equal(found.labels, found.probabilities[1] > 0.5)
    assert_close(found.probabilities.sum(0), np.ones((23, 30)), "reordered")
    if not options:
        x = np.pad(prepare(PHOTO, "torchvision", np.float64), [(0, 0), (0, 0), (0, 9), (0, 2)])
        score = network.forward(params, state, x)[0][0, 0, :23, :30]
        assert_close(found.probabilities[1], 1 / (1 + np.exp(-score)), "reordered")


def test_what_predict_refuses():
    network = build("tiny_torchvision_deeplabv3_resnet50", 4)
    params, state = network.init(np.random.default_rng(1))
    with pytest.raises(ParameterError, match="network must be a Network, as from build, got str"):
        predict(PHOTO, "resnet", (params, state))
    with pytest.raises(ParameterError, match=r"params must be .*load_weights\(file\)"):
        predict(PHOTO, network, "weights.pth")
    with pytest.raises(ShapeError, match="params do not fit tiny_torchvision_deeplabv3_resnet50"):
        predict(PHOTO, network, params)
    with pytest.raises(ParameterError, match="scales must be positive numbers, at least one"):
        predict(PHOTO, network, (params, state), scales=())
    with pytest.raises(ParameterError, match=r"scales\[1\] must be a finite number above 0.*got -1"):
        predict(PHOTO, network, (params, state), scales=(0.5, -1))
