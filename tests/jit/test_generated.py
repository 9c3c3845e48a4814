"""Functions with generated text: machine code of several processes, linked into one."""

import os
import subprocess
import sys

import pytest
from numba import config

from atrous.jit.generated import generated
from atrous.jit.lanes import load_line, store

# The transforms of `forward` and those of the gradient take the same kinds of arguments. Both processes that compile
# count their functions from the same number, which decides by chance in life.
PROCESS = """
import itertools
from numba.core.bytecode import FunctionIdentity

FunctionIdentity._unique_ids = itertools.count(5000)

import numpy as np
from atrous.conv import direct, winograd
from atrous.conv.geometry import conv_geometry
from atrous.jit.compiler import compilations

rng = np.random.default_rng(0)
x, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((1, 16, 1, 12, 12), (16, 16, 1, 3, 3)))
g = conv_geometry(x.shape, w.shape)
dy = rng.standard_normal((1, 16, *g.out)).astype(np.float32)
calls = {"forward": lambda method: method.forward(x, w, g), "gradient": lambda method: method.backward_weight(dy, x, g)}
"""
COMPILE = "calls[{name!r}](winograd)\nassert compilations"
LOAD = """
for call in calls.values():
    call(winograd)
assert not compilations, compilations
for call in calls.values():
    found, wanted = call(winograd), call(direct)
    assert abs(found - wanted).max() < 1e-4 * abs(wanted).max()
"""


def test_text_and_functions():
    twice = generated("def kernel(a):\n    return float(uintp(2 * a))")
    assert twice(3) == 6.0
    assert generated("def kernel(a):\n    return load_line", load_line, store)(0) is load_line


def test_the_name_tells_functions_apart():
    texts = [f"def kernel(a):\n    return a + {n}" for n in (1, 2, 1)]
    one, two, again = (generated(text) for text in texts)
    assert one.__qualname__.startswith("kernel_")
    assert one.__qualname__ == one.__name__ == again.__qualname__ != two.__qualname__


@pytest.mark.slow
@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_code_that_two_processes_compiled_meets_in_a_third(tmp_path):
    environment = {**os.environ, "ATROUS_CACHE": str(tmp_path / "cache")}
    for body in (COMPILE.format(name="forward"), COMPILE.format(name="gradient"), LOAD):
        subprocess.run([sys.executable, "-c", PROCESS + body], env=environment, check=True)
