"""Without a GPU the CUDA kernels can still be compiled to PTX, where numba-cuda brings NVIDIA's compiler along."""

from types import SimpleNamespace
from unittest import mock

import numba
import pytest

from atrous.conv.geometry import conv_geometry

pytest.importorskip("numba_cuda", reason='needs pip install -e ".[cuda]"')
pytestmark = pytest.mark.skipif(bool(numba.config.ENABLE_CUDASIM), reason="the simulator compiles nothing")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["_forward", "_backward_input", "_backward_weight"])
def test_kernel_compiles_for_a_gpu(name, dtype):
    from numba import cuda

    from atrous.conv import cuda as kernels

    array = numba.types.Array(getattr(numba.types, dtype), 5, "C")
    signature = numba.types.void(array, array, array, numba.typeof(conv_geometry((1, 2, 5, 5), (2, 2, 3, 3))))
    # Calls of device functions ask the present device for its capability; there is none to ask.
    device = SimpleNamespace(compute_capability=(9, 0))
    with mock.patch.object(cuda.dispatcher, "get_current_device", return_value=device):
        ptx, _ = cuda.compile_ptx(getattr(kernels, name).py_func, signature, cc=(9, 0))
    assert ".entry" in ptx
    # A float32 kernel that computes in float64 would run at a fraction of the GPU's rate.
    assert (".f64" in ptx) == (dtype == "float64")
