"""Networks run by the plain CUDA kernels, in the simulator or on a GPU, against the CPU."""

from fractions import Fraction

import numpy as np
import pytest
from numba import config
from oracles.drawn import drawn
from tolerances import assert_close, relative_error

import atrous
from atrous.compose.activation import RELU, Activation
from atrous.compose.chain import Chain, chain
from atrous.compose.cpu import CPU
from atrous.compose.enlarge import Deconv, Enlarge
from atrous.compose.gate import Gate, squeeze_excite
from atrous.compose.image_pooling import ImagePooling
from atrous.compose.leaves import Dropout, Endpoint, GlobalAverage, Pool, Subsample
from atrous.compose.multi_scale import MultiScale
from atrous.compose.parallel import Parallel
from atrous.compose.program import for_inference, run
from atrous.compose.residual import Residual
from atrous.compose.skip_connections import SkipConnections
from atrous.compose.styles import TORCH
from atrous.jit import gpu

pytestmark = pytest.mark.skipif(gpu.why_not() is not None, reason="no GPU, and NUMBA_ENABLE_CUDASIM is not set")


@pytest.fixture(autouse=True)
def few_threads(monkeypatch):
    """The simulator starts a Python thread for each of a block's threads, busy or not."""
    if config.ENABLE_CUDASIM:
        monkeypatch.setattr(gpu, "THREADS", 16)


def assert_infers(part, x, names=()):
    """Assert that a part gives the same on the device, at all its endpoints too."""
    from atrous.compose import cuda

    arrays = {name: drawn(name, v.shape) for name, v in part.variables().items()}
    program = for_inference(part, x.shape[1:], tuple(names))
    y, expected = run(program, CPU, arrays, x)
    there, found = run(program, cuda.CUDA, cuda.upload(arrays), cuda.upload({"x": x})["x"])
    assert set(found) == set(expected) == set(names)
    for name, a in {**expected, "y": y}.items():
        assert np.std(a) > 1e-3
        assert relative_error({**found, "y": there}[name].copy_to_host(), a) < 1e-10


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("torchvision_deeplabv3_resnet50", {"width": 2, "units": (1, 1, 1, 1)}),
        ("deeplabv3plus_xception65", {"middle": 1, "divisor": 64, "low_width": 4}),
    ],
)
def test_cuda_networks_are_those_of_the_cpu(rng, name, options):
    network = atrous.build(f"tiny_{name}", 3, aspp_width=8, **options)
    assert_infers(network.body, rng.normal(size=(1, 3, 17, 19)), network.endpoint_names[:-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("deeplabv1_largefov", "deeplabv1_msc", "deeplabv2_vgg16_aspp_s", "deeplabv2_resnet101_aspp"),
        *("deeplabv3_resnet50", "vainf_deeplabv3plus_resnet50"),
        *("torchvision_lraspp_mobilenet_v3_large", "vainf_deeplabv3plus_mobilenet"),
    ],
)
def test_cuda_tiny_networks_are_those_of_the_cpu(rng, name):
    network = atrous.build(f"tiny_{name}", 3)
    x = rng.normal(size=(1, 3, *((18, 26) if name == "deeplabv1_msc" else (17, 25))))
    assert_infers(network.body, x, network.endpoint_names[:-1])


def conv(name, c, f, *args, **options):
    return TORCH.conv(name, c, f, *args, bias=True, **options)


TRUNK = chain(Endpoint("image"), conv("a", 2, 3, stride=2), RELU, Endpoint("half"), Pool(), conv("b", 3, 3))
SIDES = (("image", conv("c", 2, 3, stride=4, padding=((1, 3), (1, 0)))), ("half", conv("d", 3, 3, stride=2)))
PARTS = {
    "leaves": chain(TORCH.norm("n", 2), RELU, Pool("average", 3, 1), Dropout(), Subsample(2)),
    "norm with bias": chain(conv("a", 2, 3), TORCH.norm("n", 3)),
    "bare": Chain((TORCH.conv("a", 2, 2, groups=2),)),
    "deconv": chain(Deconv("up.w", "up.b", 2, 3, 2), Enlarge(2)),
    "residual": Residual(chain(conv("a", 2, 2, stride=2), TORCH.norm("n", 2)), Subsample(2)),
    "residual with an endpoint": Residual(chain(conv("a", 2, 2), Endpoint("half"))),
    "residual after ReLU": Residual(chain(conv("a", 2, 2), RELU), relu=False),
    "sum": Parallel((conv("a", 2, 3), chain(conv("b", 2, 3, rate=2), RELU)), "sum"),
    "max": Parallel((conv("a", 2, 3), conv("b", 2, 3, rate=2), conv("c", 2, 3, 1)), "max"),
    "gate": Gate(conv("a", 2, 3), chain(GlobalAverage(), conv("b", 2, 3, 1), Activation("sigmoid"))),
    "squeeze and excitation": chain(conv("a", 2, 4), Activation("hard_swish"), squeeze_excite("se", 4, 2)),
    "relu6": chain(conv("a", 2, 4), Activation("relu6")),
    "image pooling": Parallel((conv("a", 2, 1), ImagePooling(chain(conv("b", 2, 2, 1), RELU)))),
    "skip connections by sum": SkipConnections(TRUNK, SIDES, "sum", crop=True),
    "skip connections": SkipConnections(TRUNK, SIDES[1:], trunk_first=False, align_corners=False),
    "scales": MultiScale(chain(conv("a", 2, 2, stride=2), Endpoint("half")), (Fraction(1), Fraction(1, 2))),
}


@pytest.mark.parametrize("name", PARTS)
def test_cuda_parts_are_those_of_the_cpu(rng, name):
    names = [*(["half"] if "half" in str(PARTS[name]) else []), *(["low_logits_050"] if name == "scales" else [])]
    assert_infers(PARTS[name], rng.normal(size=(2, 2, 7, 9)), names)


def test_cuda_is_a_device_of_network_infer(rng):
    network = atrous.build("tiny_deeplabv1_largefov", 3)
    params, state = network.init(rng, np.float64)
    x = rng.normal(size=(1, 3, 9, 11))
    assert_close(network.infer(params, state, x, device="cuda"), network.infer(params, state, x), "reordered")
    refined = network.with_crf(atrous.CRFParams(4, 5, 12, 2, 1.5, 2))
    arrays = refined.load(params | state, np.float64, fresh="crf", rng=rng)
    assert_close(refined.infer(*arrays, x, device="cuda"), refined.infer(*arrays, x), "reordered")
    with pytest.raises(atrous.ParameterError, match="device must be one of 'cuda'; got 'tpu'"):
        network.infer(params, state, x, device="tpu")
