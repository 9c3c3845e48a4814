"""What compilation costs: every function compiled into an empty cache, and loaded again from it."""

import json
import subprocess
import sys
import tempfile

from atrous.bench import machine

_SCRIPT = """
import json, time
started = time.perf_counter()
import atrous
from atrous import warmup
seconds = warmup(["float32"])
from atrous.jit.compiler import compilations
print(json.dumps({"total": time.perf_counter() - started, "functions": compilations}))
"""


def run():
    """Return the seconds of every function's first compilation (float32), and of loading all of them from disk."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**machine.limited_environment(None), "ATROUS_CACHE": folder}
        cold, warm = (
            json.loads(subprocess.run([sys.executable, "-c", _SCRIPT], env=env, check=True, capture_output=True).stdout)
            for _ in range(2)
        )
    return {
        "schema": 1,
        "environment": machine.environment(),
        "functions": [
            {"function": name, "dtype": dtype, "seconds": round(s, 2)} for name, dtype, s in cold["functions"]
        ],
        "cold_seconds": round(cold["total"], 2),
        "warm_seconds": round(warm["total"], 2),
        "compiled_again": len(warm["functions"]),
    }


def table(found):
    """Return the results as lines of text."""
    lines = [f"{'function':<32}{'dtype':<10}{'compile s':>10}"]
    lines += [f"{f['function']:<32}{f['dtype']:<10}{f['seconds']:>10.2f}" for f in found["functions"]]
    lines.append(
        f"all functions: {found['cold_seconds']:.2f} s the first time, {found['warm_seconds']:.2f} s from disk, "
        "imports included"
    )
    return lines
