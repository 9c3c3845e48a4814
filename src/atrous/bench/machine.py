"""The machine behind a number: what it is, and how fast it can be at best."""

import contextlib
import gc
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np


def best_of(run, *, seconds=0.2, least=3):
    """Return the shortest of several runs, after one that does not count."""
    run()
    times = []
    while len(times) < least or sum(times) < seconds:
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


def gemm_gflops(n=2048):
    """Return the rate of a large single-precision matrix product, in 10⁹ flops a second."""
    a = np.random.default_rng(0).standard_normal((n, n)).astype(np.float32)
    return 2e-9 * n**3 / best_of(lambda: a @ a)


def copy_gbps(megabytes=256):
    """Return the rate of a large copy, in 10⁹ bytes a second, read and written bytes both counted."""
    a = np.ones(megabytes * 2**20 // 8)  # zeros would all be read from one page
    b = np.empty_like(a)
    return 2e-9 * a.nbytes / best_of(lambda: np.copyto(b, a))


def limits():
    """Return the rates that no method can beat."""
    from atrous.bench.peak import peak_gflops

    found = {"peak_gflops": peak_gflops(), "gemm_gflops": gemm_gflops(), "copy_gbps": copy_gbps()}
    return {name: round(rate, 1) for name, rate in found.items()}


def memory_peak():
    """Return the most memory this process has held, in bytes, since the last `forget_peak`."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak():
    """Start counting the peak again, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def memory_of(run):
    """Return what one run adds to the memory of this process at most, and the peak of the process, in bytes."""
    gc.collect()
    forget_peak()
    level = memory_peak()
    run()
    peak = memory_peak()
    return {"extra_bytes": peak - level, "peak_bytes": peak}


def cpu_name():
    """Return the processor's name as the system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    except OSError:
        pass
    return platform.processor() or platform.machine()


def blas():
    """Return the name and version of the BLAS library under NumPy."""
    try:
        found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    except (TypeError, KeyError):
        return "unknown"
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()


def installed(name):
    """Return the version of an installed distribution, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def commit():
    """Return the commit of the checkout that this package is run from, or None; a + says that files have changed."""
    here = Path(__file__).parent
    try:
        told = [
            subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=True, timeout=10).stdout
            for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--", here.parent])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return told[0].strip() + "+" * bool(told[1].strip())


def environment(threads=None):
    """Return what must be known beside a timing, as plain values."""
    import atrous

    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": threads or os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "atrous": atrous.__version__,
        "numpy": np.__version__,
        "numba": installed("numba"),
        "blas": blas(),
        "torch": installed("torch"),
    }


def limited_environment(threads):
    """Return the environment variables of a process that may use `threads` threads in every pool."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    found = dict(os.environ)
    if threads:
        found.update(dict.fromkeys(names, str(threads)))
    found["ATROUS_QUIET"] = "1"
    # The worker must find this very package, installed or not.
    found["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    return found
