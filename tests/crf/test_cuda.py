"""Mean field by the plain CUDA kernels, in the simulator or on a GPU, against the CPU."""

import numpy as np
import pytest
from numba import config

import atrous
from atrous.jit import gpu

pytestmark = pytest.mark.skipif(gpu.why_not() is not None, reason="no GPU, and NUMBA_ENABLE_CUDASIM is not set")


@pytest.fixture(autouse=True)
def few_threads(monkeypatch):
    if config.ENABLE_CUDASIM:
        monkeypatch.setattr(gpu, "THREADS", 16)


@pytest.mark.parametrize("options", [{}, {"self_message": False}, {"damping": 0.3}], ids=str)
@pytest.mark.parametrize("normalization", ["none", "before", "after", "symmetric"])
def test_cuda_mean_field_is_the_lattice_one(rng, normalization, options):
    image = rng.integers(0, 255, (3, 4, 3))
    unary = rng.normal(size=(2, 3, 4))
    both = {"normalization": normalization, "dtype": np.float64}
    kernels = [
        atrous.spatial_pairwise((3, 4), 2.0, 3.0, **both),
        atrous.bilateral_pairwise(image, 5.0, 60.0, rng.normal(size=(2, 2)), **both),
    ]
    expected = atrous.mean_field(unary, kernels, iterations=2, **options)
    found = atrous.mean_field(unary, kernels, iterations=2, method="cuda", **options)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_cuda_mean_field_ends_when_told(rng):
    unary = rng.normal(size=(2, 3, 4))
    kernel = atrous.spatial_pairwise((3, 4), 1.0, 2.0)
    seen = []
    found = atrous.mean_field(
        unary, kernel, iterations=5, method="cuda", callback=lambda step, q: seen.append((step, q.copy())) or step == 2
    )
    assert [step for step, _ in seen] == [1, 2]
    assert found.dtype == seen[0][1].dtype == np.float32
    np.testing.assert_array_equal(found, seen[-1][1])
    np.testing.assert_allclose(found, atrous.mean_field(unary, kernel, iterations=2), atol=1e-5)
