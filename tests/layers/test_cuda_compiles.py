"""Without a GPU the CUDA kernels of the layers can still be compiled to PTX."""

from types import SimpleNamespace
from unittest import mock

import numba
import pytest

from atrous.conv.activations import curve_of
from atrous.layers.pool import Window

pytest.importorskip("numba_cuda", reason='needs pip install -e ".[cuda]"')
pytestmark = pytest.mark.skipif(bool(numba.config.ENABLE_CUDASIM), reason="the simulator compiles nothing")

# One letter for each argument: numbers of the kernel's dtype as 1, 2, 4 (array with so many axes), the Curve of an
# activation as c, others as in KINDS.
KERNELS = {
    "_fold": "1111d111",
    "_epilogue": "4114bc4",
    "_max_pool": "4ww4",
    "_average_pool": "4wwb4",
    "_global_average": "44",
    "_resize": "4l2l24",
    "_sigmoid": "44",
    "_hard_sigmoid": "44",
    "_multiply": "444",
    "_softmax": "44",
    "_maximum": "444",
    "_place": "4i4",
    "_take": "4i4",
}
KINDS = {
    "b": numba.types.boolean,
    "d": numba.types.float64,
    "i": numba.types.int64,
    "l": numba.types.Array(numba.types.int64, 1, "C"),
    "w": numba.typeof(Window(5, 3, 2, 1, 1, 1, 3)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", KERNELS)
def test_kernel_compiles_for_a_gpu(name, dtype):
    from numba import cuda

    from atrous.layers import cuda as kernels

    number = getattr(numba.types, dtype)
    own = {
        "c": numba.typeof(curve_of("hard_swish", dtype)),
        **{axes: numba.types.Array(number, int(axes), "C") for axes in "124"},
    }
    signature = numba.types.void(*({**KINDS, **own}[kind] for kind in KERNELS[name]))
    # Calls of device functions ask the present device for its capability; there is none to ask.
    device = SimpleNamespace(compute_capability=(9, 0))
    with mock.patch.object(cuda.dispatcher, "get_current_device", return_value=device):
        ptx, _ = cuda.compile_ptx(getattr(kernels, name).py_func, signature, cc=(9, 0))
    assert ".entry" in ptx
    # These two compute in float64 on the CPU too.
    if dtype == "float32" and name not in {"_fold", "_global_average"}:
        assert ".f64" not in ptx, "a float32 kernel that computes in float64 runs at a fraction of the GPU's rate"


def test_every_kernel_is_compiled():
    from numba import cuda

    from atrous.layers import cuda as kernels

    dispatchers = {name for name, value in vars(kernels).items() if isinstance(value, cuda.dispatcher.CUDADispatcher)}
    assert {name for name in dispatchers if not vars(kernels)[name].targetoptions.get("device")} == set(KERNELS)
