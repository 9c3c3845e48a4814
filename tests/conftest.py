"""Fixtures of all tests: a generator seeded by the test's own name, and every method usable here."""

import os
import zlib

import numpy as np
import pytest

# Figures are drawn without a display; kernels are compiled without a line each.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("ATROUS_QUIET", "1")


@pytest.fixture
def rng(request):
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))
