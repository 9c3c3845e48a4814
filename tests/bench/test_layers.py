"""The benchmark of layers: both programs compute the same, and its table shows what was measured."""

import numpy as np
import pytest

from atrous.bench import layers
from atrous.bench.cases import ConvCase
from atrous.bench.layer_worker import RUNS, answer, ours

SMALL = [ConvCase(4, 3, 9, 2), ConvCase(4, 4, 9, 2, groups=4)]


@pytest.mark.parametrize("case", SMALL, ids=lambda c: c.name)
@pytest.mark.torch
def test_both_programs_compute_the_same(case):
    pytest.importorskip("torch")
    for name in RUNS:
        job = {"case": list(case), "run": name, "seconds": 0.0}
        found = [answer(program, job) for program in ("atrous", "torch")]
        np.testing.assert_allclose(*(reply["sample"] for reply in found), atol=1e-4)
        assert all(reply["seconds"] > 0 for reply in found)


def test_runs_are_those_of_users():
    x, w, dy = SMALL[0].arrays()
    results = [runs[0]() for runs in ours(SMALL[0], x, w, dy).values()]
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_a_busy_core_is_busy_no_longer_than_asked():
    with layers.one_busy_core(True):
        pass
    with layers.one_busy_core(False):
        pass


def test_table():
    times = {name: {"atrous": 0.010, "torch": 0.010 * (i + 2)} for i, name in enumerate(RUNS)}
    rows = [{"case": "a layer", "busy": busy, "macs": 1, "times": times} for busy in (False, True)]
    quiet, busy = "\n".join(layers.table({"rows": rows})).split("\n\n")
    for part, title in ((quiet, "quiet"), (busy, "beside one busy core")):
        head, layer, mean = part.splitlines()
        assert head.startswith(title)
        assert layer.split()[-9:] == ["10.00", "20.00", "2.00", "10.00", "30.00", "3.00", "10.00", "40.00", "4.00"]
        assert mean.split()[-3:] == ["2.00", "3.00", "4.00"]
