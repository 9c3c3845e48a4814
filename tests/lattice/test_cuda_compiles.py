"""Without a GPU the CUDA kernels of the lattice and of mean field can still be compiled to PTX."""

from types import SimpleNamespace
from unittest import mock

import numba
import pytest

pytest.importorskip("numba_cuda", reason='needs pip install -e ".[cuda]"')
pytestmark = pytest.mark.skipif(bool(numba.config.ENABLE_CUDASIM), reason="the simulator compiles nothing")

INT, LONG, SHORT = numba.types.int64, "int64", "int32"
# One letter for each argument: numbers of the kernel's dtype as f (scalar), 1, 2 (array with so many axes); i an int.
KERNELS = {
    ("lattice", "_elevate"): ("2", "1", "2"),
    ("lattice", "_simplex"): ("2", "f", (LONG, 2), (SHORT, 2)),
    ("lattice", "_weigh"): ("2", (LONG, 2), (SHORT, 2), "f", "2"),
    ("lattice", "_insert"): ((LONG, 2), (SHORT, 2), (LONG, 1), (LONG, 1), (LONG, 1), (LONG, 2)),
    ("lattice", "_number"): ((LONG, 2), (SHORT, 1), (SHORT, 2)),
    ("lattice", "_meet"): ((LONG, 1), (LONG, 1), (LONG, 1), (SHORT, 1), (SHORT, 3)),
    ("lattice", "_splat"): ("2", (SHORT, 2), "2", "2"),
    ("lattice", "_blur"): ("2", (SHORT, 3), "i", "f", "2"),
    ("lattice", "_slice"): ("2", (SHORT, 2), "2", "f", "2"),
    ("crf", "_scale_rows"): ("2", "1", "2"),
    ("crf", "_remove_self"): ("2", "2", "1"),
    ("crf", "_add_message"): ("2", "1", "2", "2"),
    ("crf", "_softmax"): ("2", "f", "2"),
}


def argument(kind, dtype):
    if kind == "i":
        return INT
    if kind == "f":
        return dtype
    if isinstance(kind, tuple):
        return numba.types.Array(getattr(numba.types, kind[0]), kind[1], "C")
    return numba.types.Array(dtype, int(kind), "C")


@pytest.mark.parametrize("name", KERNELS, ids=".".join)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernel_compiles_for_a_gpu(name, dtype):
    from numba import cuda

    from atrous.crf import cuda as crf
    from atrous.lattice import cuda as lattice

    kernel = getattr({"lattice": lattice, "crf": crf}[name[0]], name[1])
    signature = numba.types.void(*(argument(k, getattr(numba.types, dtype)) for k in KERNELS[name]))
    device = SimpleNamespace(compute_capability=(9, 0))
    with mock.patch.object(cuda.dispatcher, "get_current_device", return_value=device):
        ptx, _ = cuda.compile_ptx(kernel.py_func, signature, cc=(9, 0))
    assert ".entry" in ptx
    # CUDA's round goes through float64: one conversion a coordinate in a kernel that waits for memory.
    if dtype == "float32" and name[1] != "_simplex":
        assert ".f64" not in ptx, "a float32 kernel that computes in float64 runs at a fraction of the GPU's rate"
