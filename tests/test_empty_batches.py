"""A batch without samples gives empty results of the right shape, forward and backward, as in NumPy and PyTorch."""

import numpy as np
import pytest
from valid_calls import CALLS

import atrous
from atrous import ShapeError, build

LOSSES = ("cross_entropy", "segmentation_loss")
NOT_BATCHED = {"domain_transform", "iou_loss", "likelihood_loss", "mean_field"}
BATCHED = sorted({name.removesuffix("_forward") for name in CALLS if name.endswith("_forward")} - NOT_BATCHED)
# The argument that holds the batch, where it is not the first.
ALONE = ["atrous_conv", "depthwise_conv", "separable_conv", "atrous_conv_transpose", "resize_bilinear"]


def emptied(arguments):
    """Return the arguments with the samples left out: of the first argument, and of labels."""
    first = next(iter(arguments))
    names = {first, *({"labels"} & set(arguments))}
    cut = {k: [a[:0] for a in arguments[k]] if isinstance(arguments[k], list) else arguments[k][:0] for k in names}
    return {**arguments, **cut}


def arrays(value):
    """Return all arrays in a result, in order."""
    if isinstance(value, np.ndarray):
        return [value]
    values = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [a for v in values for a in arrays(v)]


def check_empty(found, full):
    """Check that arrays are those of a full batch with no sample in it."""
    assert len(found) == len(full) > 0
    for a, b in zip(found, full, strict=True):
        assert a.shape == (0, *b.shape[1:])
        assert a.dtype == b.dtype


@pytest.mark.parametrize("name", BATCHED)
def test_layers(name):
    forward, backward = (getattr(atrous, f"{name}_{way}") for way in ("forward", "backward"))
    arguments = CALLS[f"{name}_forward"]
    full, none = forward(**arguments)[:2], forward(**emptied(arguments))[:2]
    if name in LOSSES:
        assert none[0] == 0
    else:
        check_empty(arrays(none[0]), arrays(full[0]))
    of_all, of_none = (arrays(backward(y, cache)) for y, cache in (full, none))
    # What a sample has is empty; what all samples share, such as a filter, gets a sum of nothing.
    samples = len(arguments["arrays"]) if name in {"concat", "max", "sum"} else 1
    check_empty(of_none[:samples], of_all[:samples])
    assert [a.shape for a in of_none[samples:]] == [a.shape for a in of_all[samples:]]
    assert not any(a.any() for a in of_none)


@pytest.mark.parametrize("name", ALONE)
def test_functions_without_a_cache(name):
    function, arguments = getattr(atrous, name), CALLS[name]
    check_empty([function(**emptied(arguments))], [function(**arguments)])


@pytest.mark.parametrize("method", [m for m in atrous.CONV_METHODS if m not in {"cuda", "depthwise", "winograd"}])
def test_every_method_of_convolution(method):
    x, w = np.zeros((0, 2, 5, 6)), np.ones((3, 2, 3, 3))
    y, cache = atrous.conv_forward(x, w, method=method)
    assert y.shape == (0, 3, 5, 6)
    assert atrous.conv_backward(y, cache).dw.shape == w.shape
    prepared = atrous.prepare_filter(w, method=method)
    assert atrous.atrous_conv(x, prepared).shape == y.shape


@pytest.mark.parametrize("name", ["deeplabv1_msc", "deeplabv2_resnet101_aspp", "deeplabv3plus_xception65"])
def test_networks(name):
    network = build(f"tiny_{name}", 3)
    params, state = network.init(np.random.default_rng(0))
    x = np.zeros((0, 3, 33, 41), np.float32)
    y, cache, _ = network.forward(params, state, x)
    dx, grads = network.backward(y, cache)
    assert y.shape == (0, 3, 33, 41)
    assert dx.shape == x.shape
    assert {k: a.shape for k, a in grads.items()} == {k: params[k].shape for k in grads}
    assert network.infer(network.prepare(params), state, x).shape == y.shape
    ends = network.endpoints(params, state, x)
    one = network.endpoints(params, state, np.zeros((1, 3, 33, 41), np.float32))
    check_empty(list(ends.values()), list(one.values()))


def test_a_dense_crf():
    p, image = np.zeros((0, 3, 5, 6), np.float32), np.zeros((0, 5, 6, 3), np.uint8)
    assert atrous.dense_crf(p, image).shape == p.shape


def test_labels():
    assert atrous.resize_labels(np.zeros((0, 5, 6), int), (9, 9)).shape == (0, 9, 9)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("conv_forward", {"x": np.zeros((1, 0, 5, 6))}),
        ("conv_forward", {"x": np.zeros((1, 2, 0, 6))}),
        ("conv_forward", {"w": np.zeros((0, 2, 3, 3))}),
        ("relu_forward", {"x": np.zeros(0)}),
        ("max_pool_forward", {"x": np.zeros((0, 0, 5, 6))}),
        ("batch_norm_forward", {"x": np.zeros((0, 2, 5, 6)), "mode": "train"}),
    ],
)
def test_no_channels_filters_or_pixels_stay_errors(name, changed):
    with pytest.raises(ShapeError, match=r"is empty|more than one value"):
        getattr(atrous, name)(**{**CALLS[name], **changed})
