"""The benchmark of training: both programs take the same step, and the table accounts for all of its time."""

import numpy as np
import pytest

from atrous.bench import train
from atrous.bench.train_worker import answer, one_array, ours, profile, torch_step
from atrous.compose.leaves import Conv

CASE = "tiny_deeplabv3_resnet50", 33, 2
FROZEN = "tiny_deeplabv2_resnet101_aspp", 33, 1  # four terms of the loss, and batch norms that learn nothing


@pytest.mark.torch
@pytest.mark.parametrize("case", [CASE, FROZEN, ("tiny_torchvision_deeplabv3_resnet50", 33, 2)], ids=lambda c: c[0])
def test_both_programs_take_the_same_step(case):
    pytest.importorskip("torch")
    steps = ours(*case), torch_step(*case, False)
    for _ in range(2):
        mine, other = (step() for step in steps)
        assert mine.keys() == other.keys()
        a, b = one_array(mine), one_array(other)
        assert np.abs(a - b).max() < train.AGREEMENT


def test_steps_move_the_parameters():
    step = ours(*CASE)
    first, second = one_array(step()), one_array(step())
    assert 0 < np.abs(first - second).max() < 0.1 * np.abs(first).max()


def test_where_the_time_goes():
    before = Conv.forward
    rows = profile("atrous", *CASE)
    assert Conv.forward is before
    labels = {row[0]: row for row in rows}
    assert labels["batch norm"][1] == 41
    assert labels["conv 7×7 3→3, 33×33, stride 2"][1] == 1
    assert any(label.startswith("4 side by side") for label in labels)
    assert all(forward >= 0 and backward >= 0 for _, _, forward, backward in rows)
    times = [forward + backward for _, _, forward, backward in rows]
    assert times == sorted(times, reverse=True)


@pytest.mark.torch
def test_layers_of_both_programs_have_the_same_names():
    pytest.importorskip("torch")
    mine, other = ({row[0]: row for row in profile(program, *CASE)} for program in ("atrous", "torch"))
    convs = [label for label in mine if "conv" in label]
    assert len(convs) > 10
    for label in convs:
        assert other[label][1] == mine[label][1]
        assert other[label][3] > 0


def test_answers_and_table():
    reply = answer("atrous", {"train": list(CASE), "seconds": 0.0})
    assert len(reply["sample"]) == 64
    assert reply["seconds"] > 0
    rows = [
        {"program": "atrous", "seconds": 0.02, "extra_bytes": 3e6, "peak_bytes": 5e6},
        {"program": "torch", "seconds": 0.05, "extra_bytes": 4e6, "peak_bytes": 6e6},
    ]
    layers = {"atrous": [["pool", 1, 0.001, 0.002]], "torch": [["pool", 1, 0.003, 0.004], ["other", 1, 0.5, 0.0]]}
    case = {"name": "tiny", "size": 33, "batch": 2, "rows": rows, "layers": layers}
    lines = train.table({"cases": [case]})
    assert lines[2].split() == ["atrous", "20.0", "100.0", "3", "5"]
    assert lines[4].split()[-1] == "2.50"
    assert ["pool", "1", "1.00", "2.00", "3.00", "4.00"] in [line.split() for line in lines]
    assert ["other", "1", "500.00", "0.00"] in [line.split() for line in lines]
