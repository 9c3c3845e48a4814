"""`atrous train` and `atrous evaluate` as functions: files, the same bits after a stop, and the right measures."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from atrous import (
    Scenes,
    build,
    confusion_matrix,
    from_classifier,
    load_weights,
    mean_iou,
    read_setup,
    save_weights,
    segment,
    trimap_iou,
)
from atrous.apps.evaluate import evaluate
from atrous.apps.train import begin, read_log, train_files
from atrous.errors import AtrousError, ParameterError

SMALL = {
    "network": {"name": "tiny_deeplabv3_resnet50", "classes": 6},
    "data": {"kind": "scenes", "count": 6, "options": {"size": 33}},
    "recipe": {"steps": 5, "batch": 2, "rate": 0.01},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    told = []
    found = train_files(read_setup(SMALL), folder, tell=lambda step, _: told.append(step.number))
    return folder, found, told


def test_files_of_a_training(whole):
    folder, found, told = whole
    assert told == [1, 2, 3, 4, 5]
    assert (found["steps"], found["of"], found["fresh"]) == (5, 5, "everything")
    files = {"log.csv", "loss.png", "measures.txt", "predictions.png", "setup.json", "weights.npz"}
    assert {p.name for p in folder.iterdir()} == files | {"step_00000005.npz"}
    assert found["measured"] == "6 training images"
    assert f"mean IoU {found['mean_iou']:.2%}" in (folder / "measures.txt").read_text(encoding="utf-8")
    with (folder / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert float(rows[0]["rate"]) == 0.01
    assert float(rows[-1]["loss"]) == found["loss"]
    network = build("tiny_deeplabv3_resnet50", classes=6)
    network.load(load_weights(folder / "weights.npz"))


def test_a_stopped_training_goes_on_with_the_same_bits(whole, tmp_path):
    setup, asked = read_setup(SMALL), []

    def stopped():
        asked.append(1)
        return len(asked) == 2

    first = train_files(setup, tmp_path, stopped=stopped)
    assert (first["steps"], first["of"]) == (2, 5)
    with pytest.raises(ParameterError, match=r"holds the checkpoint step_00000002\.npz"):
        train_files(setup, tmp_path)
    # A process that was killed may have logged more steps than it saved.
    with (tmp_path / "log.csv").open("a") as log:
        log.write("3,9.9,0.1,1.0,0.1\n4,9.9")
    found = train_files(setup, tmp_path, resume=True)
    assert found["steps"] == 5
    one, two = (load_weights(folder / "weights.npz") for folder in (whole[0], tmp_path))
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name])
    logs = [[(r["step"], r["loss"]) for r in read_log(f / "log.csv")] for f in (whole[0], tmp_path)]
    assert logs[0] == logs[1]


def test_an_error_keeps_the_last_step(tmp_path):
    class Broken(Scenes):
        def __getitem__(self, i):
            if i == broken[0]:
                raise OSError("the disk is gone")
            return super().__getitem__(i)

    setup = read_setup(SMALL)
    order = [s for step in train_steps(setup) for s in step.samples]
    broken = [order[3]]
    said = []
    with pytest.raises(OSError, match="the disk is gone"):
        train_files(setup._replace(samples=Broken(6, size=33)), tmp_path, say=said.append)
    assert said == [f"step 1 is kept in {tmp_path}; --resume goes on from it"]
    assert [p.name for p in tmp_path.glob("step_*")] == ["step_00000001.npz"]
    assert len(read_log(tmp_path / "log.csv")) == 1


def test_what_differs_from_the_setup_before_is_said(tmp_path):
    said, stop = [], iter([True])
    first = train_files(read_setup(SMALL), tmp_path, stopped=lambda: next(stop), say=said.append)
    assert (first["mean_iou"], said) == (None, [])
    again = train_files(read_setup(SMALL), tmp_path, resume=True, stopped=lambda: True, say=said.append)
    assert said == []
    assert [Path(name).name for name in again["files"]] == ["weights.npz", "log.csv", "loss.png"]
    held_out = {"kind": "scenes", "count": 60, "seed": 5, "options": {"size": 17}}
    changed = read_setup(SMALL, {"recipe": {"rate": 0.02}, "held_out": held_out})
    found = train_files(changed, tmp_path, resume=True, say=said.append)
    assert "changed: [recipe] rate, 0.01 before, 0.02 now" in said
    assert "changed: [held_out] count, None before, 60 now" in said
    assert found["measured"] == "30 held-out images"
    assert (tmp_path / "measures.txt").read_text(encoding="utf-8").startswith("30 held-out images\n\nclass ")


def test_a_setup_with_arrays_and_paths_is_written_down(tmp_path):
    setup = read_setup(SMALL, {"recipe": {"steps": 2, "class_weights": np.ones(6)}})
    train_files(setup, tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "setup.json").read_text(encoding="utf-8"))
    assert stored["recipe"]["class_weights"] == [1] * 6


def test_what_begins_fresh_is_said_before_training(tmp_path, rng):
    network = build("tiny_deeplabv3_resnet50", classes=4)
    params, state = network.init(rng)
    save_weights({**params, **state}, tmp_path / "four.npz")
    setup = read_setup(SMALL, {"network": {"init": str(tmp_path / "four.npz")}})
    said = []
    train_files(setup, tmp_path / "run", say=said.append, tell=lambda *_: said.append("a step"))
    assert said[0] == f"the classifier does not fit {tmp_path / 'four.npz'} and starts from random values"
    assert said[1] == "a step"


def train_steps(setup):
    from atrous import training

    return training(setup.network, *setup.network.init(np.random.default_rng(0)), setup.samples, setup.recipe)


def test_weights_to_begin_with(tmp_path, rng):
    network = build("tiny_deeplabv3_resnet50", classes=6)
    params, state = network.init(rng)
    save_weights({**params, **state}, tmp_path / "six.npz")
    found, _, fresh = begin(network, str(tmp_path / "six.npz"), rng)
    assert fresh == ""
    np.testing.assert_array_equal(found["backbone.conv1.weight"], params["backbone.conv1.weight"])
    four = build("tiny_deeplabv3_resnet50", classes=4)
    found, _, fresh = begin(four, str(tmp_path / "six.npz"), rng)
    assert fresh == "classifier"
    np.testing.assert_array_equal(found["backbone.conv1.weight"], params["backbone.conv1.weight"])
    other = build("tiny_deeplabv1_largefov")
    with pytest.raises(AtrousError, match="do not fit"):
        begin(other, str(tmp_path / "six.npz"), rng)


@pytest.mark.parametrize(
    ("classifier", "network", "preprocessing"),
    [
        ("tiny_dense_resnet50", "tiny_torchvision_deeplabv3_resnet50", "torchvision"),
        ("tiny_dense_vgg16", "tiny_deeplabv1_largefov", "caffe"),
    ],
)
def test_a_classifier_to_begin_with(tmp_path, rng, classifier, network, preprocessing):
    weights = {**(arrays := build(classifier).init(rng))[0], **arrays[1]}
    weights = {name.removeprefix("backbone."): array for name, array in weights.items()}
    save_weights(weights, tmp_path / "classifier.npz")
    network = build(network, classes=6)
    params, _, fresh = begin(network, str(tmp_path / "classifier.npz"), np.random.default_rng(1))
    expected, _ = from_classifier(network, weights, np.random.default_rng(1), preprocessing=preprocessing)
    assert fresh == "head"
    assert all(np.array_equal(params[name], array) for name, array in expected.items())
    first = next(iter(params))
    assert np.array_equal(params[first], weights[first.removeprefix("backbone.")])


def test_measures_are_counted_over_all_images(rng):
    network = build("tiny_deeplabv3_resnet50", classes=6)
    weights, scenes, seen = network.init(rng), Scenes(3, size=33), []
    found = evaluate(network, weights, scenes, widths=(1, 5), tell=lambda done, total: seen.append((done, total)))
    predictions = np.stack([segment(scenes[i][0], network, weights).labels for i in range(3)])
    labels = np.stack([scenes[i][1] for i in range(3)])
    matrix = confusion_matrix(predictions, labels, 6)
    assert found["confusion"] == matrix.tolist()
    assert found["mean_iou"] == mean_iou(matrix)
    np.testing.assert_allclose([b["mean_iou"] for b in found["trimap"]], trimap_iou(predictions, labels, 6, (1, 5)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert evaluate(network, weights, scenes)["trimap"] == []
