"""Kernels are compiled before the tests, so that no test's time holds the compiler's."""

import pytest

import atrous


@pytest.fixture(scope="session", autouse=True)
def compiled():
    atrous.warmup()
