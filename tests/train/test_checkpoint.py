"""Checkpoints: the same bits after any end of the process, and never fewer good files than before."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from atrous import Recipe, Scenes, build, load_checkpoint, save_checkpoint, save_weights, training
from atrous.errors import AtrousError, ParameterError
from atrous.train import checkpoint

NETWORK = build("tiny_deeplabv3_resnet50", classes=6)
SCENES = Scenes(6, seed=1, size=33)
RECIPE = Recipe(steps=6, batch=2)


def start():
    return NETWORK.init(np.random.default_rng(0))


def go_on(at):
    return list(training(NETWORK, at.params, at.state, SCENES, RECIPE, momentum=at.momentum, number=at.number))


@pytest.fixture(scope="module")
def steps():
    return list(training(NETWORK, *start(), SCENES, RECIPE))


def same(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])
        assert array.dtype == other[name].dtype


def test_a_checkpoint_holds_the_step(steps, tmp_path):
    path = save_checkpoint(tmp_path / "new" / "folder", steps[2])
    assert path.name == "step_00000003.npz"
    found = load_checkpoint(path)
    for part in checkpoint.PARTS:
        same(getattr(found, part), getattr(steps[2], part))
    assert (found.number, found.path, found.skipped) == (3, path, ())
    same(go_on(found)[-1].params, steps[-1].params)


def test_the_last_two_are_kept_and_other_files_are_left_alone(steps, tmp_path):
    (tmp_path / "step_notes.npz").write_bytes(b"mine")
    for step in steps:
        save_checkpoint(tmp_path, step)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_00000005.npz", "step_00000006.npz", "step_notes.npz"]
    assert load_checkpoint(tmp_path).number == 6
    save_checkpoint(tmp_path, steps[-1], keep=1)
    assert len(list(tmp_path.glob("step_0*"))) == 1


def test_numbers_are_compared_as_numbers(steps, tmp_path):
    for number in (99_999_999, 100_000_000):
        save_checkpoint(tmp_path, steps[0]._replace(number=number), keep=9)
    assert load_checkpoint(tmp_path).number == 100_000_000


def test_a_damaged_file_is_passed_over_and_named(steps, tmp_path):
    for step in steps[:2]:
        path = save_checkpoint(tmp_path, step)
    path.write_bytes(path.read_bytes()[:1000])
    found = load_checkpoint(tmp_path)
    assert (found.number, found.skipped) == (1, (path,))
    found.path.write_bytes(b"")
    with pytest.raises(AtrousError, match=r"step_00000001\.npz"):
        load_checkpoint(tmp_path)


def test_a_full_disk_loses_nothing(steps, tmp_path, monkeypatch):
    save_checkpoint(tmp_path, steps[0])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("atrous.weights.files.write_npz", full)
    with pytest.raises(AtrousError, match="No space left on device"):
        save_checkpoint(tmp_path, steps[1])
    assert [p.name for p in tmp_path.iterdir()] == ["step_00000001.npz"]
    assert load_checkpoint(tmp_path).number == 1


def test_bad_arguments(steps, tmp_path):
    with pytest.raises(ParameterError, match="holds no checkpoint"):
        load_checkpoint(tmp_path)
    save_weights(steps[0].params, tmp_path / "weights.npz")
    with pytest.raises(ParameterError, match="holds weights, but is no checkpoint"):
        load_checkpoint(tmp_path / "weights.npz")
    with pytest.raises(ParameterError, match="keep must be"):
        save_checkpoint(tmp_path, steps[0], keep=0)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(AtrousError, match="cannot make"):
        save_checkpoint(tmp_path / "file" / "below", steps[0])


KILLED = """
import sys
from test_checkpoint import NETWORK, RECIPE, SCENES, start
from atrous import save_checkpoint, training
for step in training(NETWORK, *start(), SCENES, RECIPE):
    save_checkpoint(sys.argv[1], step)
    print(step.number, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no way to kill a process at once")
def test_a_killed_process_goes_on_with_the_same_bits(steps, tmp_path, rng):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "1\n"
    time.sleep(rng.uniform(0, 0.3))
    process.kill()
    process.wait()
    found = load_checkpoint(tmp_path)
    assert found.number >= 1
    if found.number < RECIPE.steps:
        same(go_on(found)[-1].params, steps[-1].params)
