"""A pytest fixture for gradient checks: ask for ``gradcheck`` in a test and call it; the test fails with the report."""

import pytest


def pytest_addoption(parser):
    """Add --gradcheck, which overrides the mode of every check of a run."""
    parser.getgroup("atrous").addoption(
        "--gradcheck",
        choices=("full", "sample", "directional"),
        default=None,
        help="how the gradcheck fixture looks at gradients: every entry, a sample, or random directions",
    )


@pytest.fixture
def gradcheck(request):
    """Return `atrous.assert_gradients`, with the mode of ``--gradcheck`` where that option is given."""
    from atrous.gradients import assert_gradients

    chosen = request.config.getoption("--gradcheck")

    def check(*functions_and_inputs, **options):
        __tracebackhide__ = True
        if chosen:
            options["mode"] = chosen
        return assert_gradients(*functions_and_inputs, **options)

    return check
