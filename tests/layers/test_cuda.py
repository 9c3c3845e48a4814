"""The plain CUDA kernels of the layers, in the simulator or on a GPU, against the CPU's layers."""

import numpy as np
import pytest
from numba import config

import atrous
from atrous.conv.epilogue import epilogue
from atrous.jit import gpu
from atrous.layers.batch_norm import fold_batch_norm
from atrous.layers.join import concat_forward, max_forward, sum_forward
from atrous.layers.pool import average_pool_forward, global_average_forward, max_pool_forward
from atrous.layers.softmax import softmax_forward

pytestmark = [
    pytest.mark.skipif(gpu.why_not() is not None, reason="no GPU, and NUMBA_ENABLE_CUDASIM is not set"),
    pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning"),
]


@pytest.fixture(autouse=True)
def few_threads(monkeypatch):
    """The simulator starts a Python thread for each of a block's threads, busy or not."""
    if config.ENABLE_CUDASIM:
        monkeypatch.setattr(gpu, "THREADS", 16)


@pytest.fixture(params=[np.float32, np.float64], ids=["f32", "f64"])
def draw(request, rng):
    """Return a function that draws arrays of one dtype, with a NaN where they have four axes."""

    def draw(*shape, lowest=None):
        a = (rng.normal(size=shape) if lowest is None else rng.uniform(lowest, 2, shape)).astype(request.param)
        if a.ndim == 4:
            a[tuple(n // 2 for n in shape)] = np.nan
        return a

    return draw


def on_device(function, *arrays, **options):
    """Return what a function of device arrays gives for those of the host, which stay as they are."""
    from numba import cuda

    from atrous.layers import cuda as layers

    given = [cuda.to_device(a) for a in arrays]
    found = getattr(layers, function)(*given, **options)
    for a, b in zip(arrays, given, strict=True):
        np.testing.assert_array_equal(a, b.copy_to_host())
    return found.copy_to_host()


def assert_same(found, expected, *, exact=False):
    assert found.dtype == expected.dtype
    limit = 0 if exact else {"float32": 1e-6, "float64": 1e-14}[found.dtype.name]
    np.testing.assert_allclose(found, expected, rtol=limit, atol=limit)


@pytest.mark.parametrize("activation", [None, "relu", "relu6", "hard_swish"])
@pytest.mark.parametrize("shortcut", [False, True])
def test_cuda_epilogue(draw, shortcut, activation):
    from numba import cuda

    x, scale, shift, add = 6 * draw(2, 3, 3, 5), draw(3), draw(3), draw(2, 3, 3, 5)[::-1]
    given = cuda.to_device(add.copy()) if shortcut else None
    found = on_device("epilogue", x, scale, shift, add=given, activation=activation)
    assert_same(found, epilogue(x.copy(), scale, shift, add=add if shortcut else None, activation=activation))


@pytest.mark.parametrize("name", ["sigmoid", "hard_sigmoid"])
def test_cuda_sigmoids(draw, name):
    x = 4 * draw(2, 3, 3, 5)
    assert_same(on_device(name, x), getattr(atrous, f"{name}_forward")(x)[0])


def test_cuda_multiply(draw):
    x, numbers = draw(2, 3, 3, 5), draw(2, 3, 1, 1)
    assert_same(on_device("multiply", x, numbers), x * numbers, exact=True)


@pytest.mark.parametrize("biased", [False, True])
def test_cuda_fold_batch_norm(draw, biased):
    from numba import cuda

    from atrous.layers import cuda as layers

    arrays, bias = (draw(5), draw(5), draw(5), draw(5, lowest=0)), draw(5)
    scale, shift = fold_batch_norm(*arrays, eps=1e-3)
    given = [cuda.to_device(a) for a in arrays]
    found = layers.fold_batch_norm(*given, 1e-3, cuda.to_device(bias) if biased else None)
    assert_same(found[0].copy_to_host(), scale)
    assert_same(found[1].copy_to_host(), shift + scale * bias if biased else shift)


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (3, {"stride": 2, "padding": 1}),
        (3, {"stride": 2, "padding": 1, "size_rule": "ceil"}),
        (2, {"stride": 2, "size_rule": "caffe"}),
        (3, {"rate": 2, "padding": 2}),
        (3, {"stride": 2, "padding": "same_tf"}),
        (4, {"stride": 3, "padding": ((1, 2), (0, 2))}),
        ((1, 4), {"stride": (3, 1), "padding": (0, 2)}),
    ],
    ids=str,
)
def test_cuda_pools(draw, kernel, options):
    x = draw(2, 2, 5, 8)
    x[0, 0, :3] = -np.inf
    assert_same(
        on_device("max_pool", x, kernel=kernel, **options), max_pool_forward(x, kernel, **options)[0], exact=True
    )
    assert_same(on_device("average_pool", x, kernel=kernel, **options), average_pool_forward(x, kernel, **options)[0])


def test_cuda_global_average(draw):
    x = draw(2, 3, 5, 7)
    assert_same(on_device("global_average", x), global_average_forward(x)[0])


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(
    ("size", "resized"),
    [((5, 3), (9, 5)), ((5, 3), (5, 3)), ((5, 3), (2, 7)), ((1, 4), (3, 1)), ((6, 1), (1, 4))],
    ids=str,
)
def test_cuda_resize(draw, size, resized, align_corners):
    x = draw(1, 2, *size)
    found = on_device("resize_bilinear", x, size=resized, align_corners=align_corners)
    assert_same(found, atrous.resize_bilinear(x, resized, align_corners=align_corners))


def test_cuda_softmax(draw):
    x = 10 * draw(2, 4, 3, 5)
    x[0, 1, 0, :2] = -np.inf
    x[0, :, 0, 2] = -np.inf
    x[1, 3, 2, 4] = np.inf
    x[1, 0, 0, 0] += 2000
    assert_same(on_device("softmax", x), softmax_forward(x)[0])


def test_cuda_joins(draw):
    from numba import cuda

    from atrous.layers import cuda as layers

    a, b, c = draw(2, 3, 3, 5), draw(2, 3, 3, 5)[::-1].copy(), draw(2, 1, 3, 5)
    b[0, 0] = a[0, 0]
    assert_same(on_device("add", a, b), sum_forward([a, b])[0], exact=True)
    assert_same(on_device("maximum", a, b), max_forward([a, b])[0], exact=True)
    found = layers.concatenate([cuda.to_device(v) for v in (a, c, b)]).copy_to_host()
    assert_same(found, concat_forward([a, c, b])[0], exact=True)


def test_cuda_take(draw):
    x = draw(2, 3, 5, 8)
    assert_same(on_device("take", x, size=(3, 4), stride=2), x[:, :, ::2, ::2], exact=True)
    assert_same(on_device("take", x, size=(4, 8)), x[:, :, :4], exact=True)
    spread = np.broadcast_to(x[:, :, :1, :1], (2, 3, 4, 3))
    assert_same(on_device("take", x, size=(4, 3), stride=0), spread, exact=True)
