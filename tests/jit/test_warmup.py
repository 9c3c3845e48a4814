"""After `warmup` nothing is left to compile for what people call most."""

import os
import subprocess
import sys

import pytest
from numba import config

CALLS = """
import numpy as np
import atrous
from atrous.jit.compiler import compilations

atrous.warmup()
compilations.clear()
rng = np.random.default_rng(0)
image = rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)
for dtype in ("float32", "float64"):
    atrous.dense_crf(np.full((3, 20, 30), 1 / 3, dtype), image)
    x = rng.random((1, 33, 20, 20)).astype(dtype)
    for shape, groups in (((5, 33, 3, 3), 1), ((40, 33, 1, 1), 1), ((70, 33, 3, 3), 1), ((33, 1, 3, 3), 33)):
        w = rng.random(shape).astype(dtype)
        y, cache = atrous.conv_forward(x, w, rate=2, groups=groups)
        atrous.conv_backward(y, cache)
    network = atrous.build("tiny_deeplabv3_resnet50")
    params, state = network.init(rng, dtype)
    x = rng.random((2, 3, 33, 33)).astype(dtype)
    network.infer(params, state, x)
    atrous.objective(network, params, state, x, np.zeros((2, 33, 33), int), rng=rng)
for label, dtype, _ in compilations:
    print(label, dtype)
"""


@pytest.mark.slow
@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_nothing_is_left_to_compile():
    run = subprocess.run([sys.executable, "-c", CALLS], env=os.environ, check=False, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("", "")
