"""The plain CUDA kernels, in the simulator or on a GPU, against the compiled lattice and the definition."""

import numpy as np
import pytest
from numba import config

import atrous
from atrous.errors import ParameterError
from atrous.jit import gpu
from atrous.lattice.reference import reference_filter

pytestmark = pytest.mark.skipif(gpu.why_not() is not None, reason="no GPU, and NUMBA_ENABLE_CUDASIM is not set")


@pytest.fixture(autouse=True)
def few_threads(monkeypatch):
    """The simulator starts a Python thread for each of a block's threads, busy or not."""
    if config.ENABLE_CUDASIM:
        monkeypatch.setattr(gpu, "THREADS", 16)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axes", [1, 2, 5])
def test_cuda_lattice_is_the_compiled_one(rng, axes, dtype):
    from numba import cuda

    from atrous.lattice import cuda as device

    features = rng.normal(size=(16, axes)).astype(dtype)
    values = rng.normal(size=(16, 2)).astype(dtype)
    found, expected = device.build(features), atrous.build_lattice(features)
    np.testing.assert_array_equal(found.vertices.copy_to_host(), expected.vertices())
    np.testing.assert_array_equal(found.neighbours.copy_to_host(), expected.neighbours)
    bound = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(found.weights.copy_to_host(), expected.weights, rtol=0, atol=bound)
    for reverse in (False, True):
        filtered = device.lattice_filter(found, cuda.to_device(values), reverse=reverse).copy_to_host()
        reference = reference_filter(features, values, reverse=reverse)
        assert np.abs(filtered - reference).max() <= bound * np.abs(reference).max()


def test_cuda_lattice_refuses_keys_of_two_words(rng):
    from atrous.lattice import cuda as device

    with pytest.raises(ParameterError, match="62 bits"):
        device.build(rng.normal(size=(5, 8)) * 1e6)
