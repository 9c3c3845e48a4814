"""The pass behind a convolution in inference, against plain NumPy."""

import numpy as np
import pytest
from conv.cases import ACTIVATIONS
from tolerances import assert_close

from atrous.conv.epilogue import epilogue


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 7), (3, 2, 4)])
def test_epilogue(shape, dtype, added, activation, rng):
    y, add = (4 * rng.standard_normal(shape).astype(dtype) for _ in range(2))
    scale, shift = rng.standard_normal((2, shape[1]))
    column = (-1, *(1,) * (len(shape) - 2))
    expected = y * scale.reshape(column) + shift.reshape(column) + (add if added else 0)
    expected = ACTIVATIONS[activation](expected)
    held = add.copy()
    found = epilogue(y, scale, shift, add=add if added else None, activation=activation)
    assert np.shares_memory(found, y)
    assert found.dtype == dtype
    if expected.any():
        assert_close(found, expected, "reordered")
    else:
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(add, held)


@pytest.mark.parametrize("activation", ["relu", "relu6", "hard_swish"])
@pytest.mark.parametrize("added", [False, True])
def test_nan_passes(added, activation):
    y = np.array([[[np.nan, -np.inf, 1.0]]])
    found = epilogue(y, np.ones(1), np.zeros(1), add=np.zeros_like(y) if added else None, activation=activation)
    np.testing.assert_allclose(found, [[[np.nan, 0, 2 / 3 if activation == "hard_swish" else 1]]], rtol=1e-15)
