"""Kernels in forked and spawned processes, in several threads, and under the threading layer that bears only one."""

import os
import subprocess
import sys
import textwrap

import numba
import pytest

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="the loops are not compiled")

PROBLEM = """
import multiprocessing, os, sys
import numpy as np
import atrous

def solve(seed):
    rng = np.random.default_rng(seed)
    p = rng.random((3, 30, 40), np.float32)
    image = rng.integers(0, 255, (30, 40, 3)).astype(np.uint8)
    x = rng.standard_normal((1, 4, 9, 9), np.float32)
    w = rng.standard_normal((4, 1, 3, 3), np.float32)
    y = atrous.depthwise_conv(x, w, rate=2)
    return atrous.dense_crf(p / p.sum(0), image, iterations=3).tobytes() + y.tobytes()

def check(found):
    assert found == [solve(seed) for seed in range(4)], "the workers' bits differ"
    print("equal")
"""
WAYS = {
    "fork": """
        with multiprocessing.get_context("fork").Pool(2) as pool:
            check(pool.map(solve, range(4)))
    """,
    "spawn": """
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            check(pool.map(solve, range(4)))
    """,
    "threads": """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(4) as pool:
            check(list(pool.map(solve, range(4))))
    """,
    "joblib": """
        from joblib import Parallel, delayed
        check(Parallel(n_jobs=2)(delayed(solve)(seed) for seed in range(4)))
    """,
    "fork of a fork": """
        def inner(seed):
            with multiprocessing.get_context("fork").Pool(1) as pool:
                return pool.map(solve, [seed])[0]
        import concurrent.futures
        with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            check(list(pool.map(inner, range(4))))
    """,
}


def run(tmp_path, way, **environment):
    script = tmp_path / "script.py"
    body = textwrap.indent(textwrap.dedent(WAYS[way]), "    ")
    # The parent has used its threads before the workers begin: that is what a fork does not survive.
    script.write_text(f'{PROBLEM}\nif __name__ == "__main__":\n    solve(0)\n{body}', encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, "ATROUS_QUIET": "1", "NUMBA_NUM_THREADS": "2", **environment},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["equal"]


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["default", "workqueue"])
@pytest.mark.parametrize("way", WAYS)
def test_workers_get_the_same_bits(tmp_path, way, layer):
    if "fork" in way and not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    if way == "joblib":
        pytest.importorskip("joblib")
    run(tmp_path, way, **({"NUMBA_THREADING_LAYER": layer} if layer != "default" else {}))


def test_a_forked_child_of_openmp_uses_one_thread(monkeypatch):
    """What the fork sets, and what `launch` does then, without a fork."""
    from atrous import _jit, kernels

    kernels.threading_layer()  # a parallel call
    monkeypatch.setattr(_jit._process, "orphaned", False)
    monkeypatch.setattr(numba, "threading_layer", lambda: "omp")
    _jit._after_fork()
    assert _jit._process.orphaned
    ran = []
    monkeypatch.setitem(_jit._one_thread, "kernel", lambda: lambda *arguments: ran.append(arguments))
    _jit.launch("kernel", 1, 2)
    assert ran == [(1, 2)]
