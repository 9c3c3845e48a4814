"""Kernels in forked and spawned processes and in several threads."""

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
@pytest.mark.parametrize("way", WAYS)
def test_workers_get_the_same_bits(tmp_path, way):
    if "fork" in way and not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    if way == "joblib":
        pytest.importorskip("joblib")
    run(tmp_path, way)


@pytest.mark.slow
def test_workers_live_beside_parallel_code_of_others(tmp_path):
    """A forked child may not use Numba's own threads where its parent has; these kernels do not need them."""
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    script = tmp_path / "script.py"
    script.write_text(
        PROBLEM
        + textwrap.dedent("""
        import numba

        @numba.njit(parallel=True)
        def fill(a):
            for i in numba.prange(a.size):
                a[i] = i

        if __name__ == "__main__":
            fill(np.empty(1000))
            with multiprocessing.get_context("fork").Pool(2) as pool:
                check(pool.map(solve, range(4)))
    """),
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["equal"]


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_every_item_is_done_once_and_errors_come_back(monkeypatch, threads):
    from atrous.jit import threads as jit_threads

    monkeypatch.setattr(jit_threads, "thread_count", lambda: threads)
    for count in (0, 1, 2, 7, 100):
        done = []
        jit_threads.launch(lambda head, tail: done.extend(range(head, tail)), count)  # noqa: B023
        assert sorted(done) == list(range(count))

    for work, shared in ((jit_threads.LEAST_WORK - 1, False), (jit_threads.LEAST_WORK, True)):
        ranges = []
        jit_threads.launch(lambda head, tail: ranges.append((head, tail)), 100, work=work)  # noqa: B023
        assert len(ranges) == (threads if shared and not numba.config.DISABLE_JIT else 1)

    for work, expected in ((jit_threads.GRAIN, threads), (5 * threads * jit_threads.GRAIN, 5 * threads), (None, 100)):
        ranges = []
        jit_threads.launch(lambda head, tail: ranges.append((head, tail)), 100, pieces=100, work=work)  # noqa: B023
        assert len(ranges) == (1 if threads == 1 or numba.config.DISABLE_JIT else expected)

    def fails(head, tail):
        if tail == 100:
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        jit_threads.launch(fails, 100)


def test_a_failing_thread_of_a_team_does_not_leave_the_others_waiting(monkeypatch):
    from atrous.jit import barrier, threads

    monkeypatch.setattr(threads, "thread_count", lambda: 2)
    monkeypatch.setattr(threads, "_processors", lambda: 2)
    barrier.wait(barrier.new_barrier(), 1)

    def part(me, size, shared):
        if me == 1:
            raise MemoryError("no room")
        barrier.wait(shared, size)

    with pytest.raises(MemoryError, match="no room"):
        threads.launch_team(part)


LATE = """
import threading, time
solved = solve(1)
def late():
    time.sleep(0.5)
    print("equal" if solve(1) == solved else "not equal", flush=True)
threading.Thread(target=late).start()
"""


@pytest.mark.slow
def test_a_thread_that_outlives_the_main_one_gets_its_result(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"{PROBLEM}\n{LATE}", encoding="utf-8")
    environment = {**os.environ, "ATROUS_QUIET": "1", "NUMBA_NUM_THREADS": "3"}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "equal"
    assert "RuntimeError" not in done.stderr
