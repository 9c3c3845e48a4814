"""What all tests share: kernels compiled in the background, and a generator seeded by the test's own name."""

import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

# Figures are drawn without a display; kernels are compiled without a line each.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("ATROUS_QUIET", "1")


def pytest_sessionstart(session):
    """Compile into the disk cache on another core, while this one collects and tests."""
    if not session.config.option.collectonly:
        session.config.compiler = subprocess.Popen([sys.executable, "-c", "import atrous; atrous.warmup()"])


# What compiles little: these go first, while the process beside them compiles what the others need.
FIRST = ("test_package.py", "test_notebooks.py", "weights", "data", "gradients", "nets", "jit")


def pytest_collection_modifyitems(items):
    """Put the tests that compile little first; the order stays the same otherwise."""
    items.sort(key=lambda item: item.path.relative_to(Path(__file__).parent).parts[0] not in FIRST)


def pytest_sessionfinish(session):
    if hasattr(session.config, "compiler"):
        session.config.compiler.kill()
        session.config.compiler.wait()


@pytest.fixture
def rng(request):
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))
