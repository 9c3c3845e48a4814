"""Call compiled functions once on tiny arrays, so that later calls need not wait for the compiler."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous.jit.lanes import LINE_BYTES


@public
def warmup(dtypes: Sequence[str] = ("float32", "float64")) -> float:
    """Compile what convolutions, networks, training and the dense CRF run on the CPU, or load it from disk.

    Rarer forms (more kernels of the CRF than the usual two, smaller tiles of Winograd) follow at their first use.

    Parameters
    ----------
    dtypes : sequence of str or dtype
        Which of float32 and float64.

    Returns
    -------
    float
        Seconds spent: up to a minute the first time on a machine, less than one afterwards.
    """
    started = time.perf_counter()
    for dtype in [dtypes] if isinstance(dtypes, str) else dtypes:
        name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
        _check.one_of("warmup", "dtypes", name, ("float32", "float64"))
        _warm_crf(name)
        _warm_convolution(name)
        _warm_inference(name)
        _warm_training(name)
    return time.perf_counter() - started


def _warm_crf(name):
    from atrous.crf.dense import dense_crf
    from atrous.crf.mean_field import mean_field
    from atrous.crf.messages import lattice_operator
    from atrous.crf.pairwise import spatial_pairwise

    unary = np.zeros((2, 2, 2), name)
    dense_crf(unary + unary.dtype.type(0.5), np.zeros((2, 2, 3), np.uint8), iterations=1)
    term = spatial_pairwise((2, 2), 1.0, np.eye(2), dtype=name)
    mean_field(unary, term, iterations=1, start=unary + unary.dtype.type(0.5))
    lattice_operator(term, self_message=False)(unary.reshape(2, 4))


def _warm_convolution(name):
    from atrous.conv import depthwise, direct, implicit_gemm, stacked_taps, winograd
    from atrous.conv.epilogue import epilogue
    from atrous.conv.geometry import conv_geometry
    from atrous.conv.micro_kernel import TILES

    line = LINE_BYTES // np.dtype(name).itemsize
    # One case for each tile: so many lines of channels and of filters, which change places for dx.
    cases = [(implicit_gemm, lines * line, 1) for lines in TILES]
    cases += [(winograd, lines * line, 3) for lines in TILES if name == "float32"]
    cases += [(stacked_taps, 1, 1), (depthwise, 1, 1), (depthwise, 1, 3), (direct, 1, 1)]
    for method, channels, taps in cases:
        x, w = np.ones((1, channels, 1, 4, 4), name), np.ones((channels, channels, 1, taps, taps), name)
        g = conv_geometry(x.shape, w.shape)
        y = method.forward(x, w, g)
        method.backward_input(y, w, g)
        method.backward_weight(y, x, g)
    epilogue(np.ones((1, 1, 1), name), np.ones(1), np.ones(1))


def _warm_inference(name):
    from atrous.conv import depthwise_last
    from atrous.conv.channels_last import empty_map
    from atrous.conv.epilogue import make_epilogue
    from atrous.conv.geometry import conv_geometry
    from atrous.jit.lanes import LINE_BYTES
    from atrous.layers.inference import global_average, max_pool, multiply, resize

    line = LINE_BYTES // np.dtype(name).itemsize
    for channels in (1, line, depthwise_last.LINES * line):
        x, w = np.ones((1, channels, 1, 2, 2), name), np.ones((channels, 1, 1, 1, 1), name)
        g = conv_geometry(x.shape, w.shape, groups=channels)
        depthwise_last.forward(x, w, g, make_epilogue(channels, name), empty_map(x.shape, name))
    x = x[:, :, 0]
    multiply(x, global_average(x))
    max_pool(x, 2, stride=1, rate=1, padding=0, size_rule="floor")
    resize(x, (3, 3), True)


def _warm_training(name):
    from atrous.layers import training, training_loss

    x, one = np.ones((1, 2, 2, 2), name), np.ones(2, name)
    for forward, backward, *options in (
        (training.relu_forward, training.relu_backward),
        (training.relu6_forward, training.relu6_backward),
        (training.hard_swish_forward, training.hard_swish_backward),
        (training.max_pool_forward, training.max_pool_backward, 2),
        (training.bilinear_forward, training.bilinear_backward, (2, 2)),
    ):
        y, cache = forward(x, *options)
        backward(y, cache)
    training.sum_relu(x, x)
    _, cache = training_loss.segmentation_loss_forward(x, np.zeros((1, 2, 2), np.intp))
    training_loss.segmentation_loss_backward(1.0, cache)
    y, cache, _ = training.batch_norm_forward(x, one, one, one, one, mode="train")
    training.batch_norm_backward(y, cache)


def threading_layer() -> tuple[int, str]:
    """Return how many threads a compiled function may use, and what kind they are."""
    from atrous.jit.numba_or_not import OFF
    from atrous.jit.threads import thread_count

    return thread_count(), "none, JIT is off" if OFF else "Python threads"
