"""What all tests share: kernels compiled in the background, and a generator seeded by the test's own name."""

import os
import subprocess
import sys
import zlib

import numpy as np
import pytest

# Figures are drawn without a display; kernels are compiled without a line each.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("ATROUS_QUIET", "1")


def pytest_sessionstart(session):
    """Compile into the disk cache on another core, while this one collects and tests."""
    if not session.config.option.collectonly:
        session.config.compiler = subprocess.Popen([sys.executable, "-c", "import atrous; atrous.warmup()"])


def pytest_sessionfinish(session):
    if hasattr(session.config, "compiler"):
        session.config.compiler.kill()
        session.config.compiler.wait()


@pytest.fixture
def rng(request):
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))
