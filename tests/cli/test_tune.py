"""`atrous tune`: from folders to a file of parameters that `atrous refine` takes."""

import json

import numpy as np
import pytest
from PIL import Image

from atrous import CRFParams, dense_crf
from atrous.apps import tune as app
from atrous.cli import main
from atrous.crf.params_file import read_params
from atrous.data.scenes import Scenes

RANGES = ("--range", "bilateral_weight=1,4", "--range", "sigma_alpha=4,16", "--range", "sigma_beta=4,16")


@pytest.fixture
def command(capsys):
    """Return a function that runs the command line here and returns what it printed."""

    def run(*arguments, expect=0):
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:  # wrong usage
            status = end.code
        text = "".join(capsys.readouterr())
        assert status == expect, text
        return text

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs, masks and rough probabilities in three folders, one of them evenly reduced."""
    root, rng = tmp_path_factory.mktemp("tune"), np.random.default_rng(0)
    for name in ("photos", "masks", "rough"):
        (root / name).mkdir()
    for i, (image, labels) in enumerate(Scenes(3, seed=5, size=41)):
        Image.fromarray(image).save(root / f"photos/scene{i}.png")
        Image.fromarray(labels).save(root / f"masks/scene{i}.png")
        truth = np.stack([np.where(labels == label, 1.5, 0) for label in range(6)])
        p = np.exp(truth + rng.standard_normal(truth.shape)).astype(np.float32)
        p = (p / p.sum(0))[:, :: 1 + i // 2, :: 1 + i // 2]
        np.save(root / f"rough/scene{i}.npy", p)
    return root


def data(folder):
    return ("--images", folder / "photos", "--masks", folder / "masks", "--probabilities", folder / "rough")


def test_search_resume_and_refine(folder, command):
    out = folder / "out"
    text = command("tune", *data(folder), "-o", out, *RANGES, "--rounds", 1, "--json", folder / "found.json")
    assert "without the CRF" in text
    assert "edge of its range" in text
    found = json.loads((folder / "found.json").read_text())
    assert found["mean_iou"] >= found["mean_iou_before"]
    assert found["mean_iou"] > found["mean_iou_unrefined"]
    assert np.shape(found["rounds"][0]["scores"]) == (2, 2, 2)
    params = read_params(out / "crf.toml")
    assert params._asdict() == found["params"]
    assert (params.spatial_weight, params.sigma_gamma) == (3, 1)
    assert {path.name for path in out.iterdir()} == {"crf.toml", "search.json", "search.npz", "search.svg"}
    with np.load(out / "search.npz") as counted:
        assert counted["images"].tolist() == [3] * 10  # eight, the start, and no CRF

    text = command("tune", *data(folder), "-o", out, *RANGES, "--rounds", 2, "--resume")
    with np.load(out / "search.npz") as counted:
        assert len(counted["images"]) > 10
    text = command("tune", *data(folder), "-o", out, *RANGES, "--resume", "--start", "densecrf", expect=1)
    assert "is of a search of other images, probabilities or parameters" in text

    params = read_params(out / "crf.toml")
    command("refine", folder / "photos/scene0.png", folder / "rough/scene0.npy", "-o", folder / "sharp.png",
            "--preset", out / "crf.toml", "--json", folder / "refined.json")  # fmt: skip
    image = np.asarray(Image.open(folder / "photos/scene0.png"))
    expected = dense_crf(np.load(folder / "rough/scene0.npy"), image, params).argmax(0)
    assert np.array_equal(np.asarray(Image.open(folder / "sharp.png")), expected)
    assert json.loads((folder / "refined.json").read_text())["preset"] == params._asdict()


@pytest.mark.slow
def test_fit(folder, command):
    out = folder / "fitted"
    text = command("tune", *data(folder), "-o", out, "--method", "fit", "--most", 1, "--start", "densecrf")
    assert "mean IoU on 1 image\n" in text
    assert read_params(out / "crf.toml") != CRFParams()


def test_a_network_labels_every_image_once(folder, monkeypatch):
    """The probabilities that a network gives are written, and not made again."""
    calls = []

    def predict(image, network, params):
        calls.append(image.shape)
        return np.full((3, *image.shape[:2]), 1 / 3, np.float32)

    monkeypatch.setattr(app, "predict", predict)
    model = type("Model", (), {"network": None, "params": None})
    samples = [(image, np.minimum(labels, 2)) for image, labels in Scenes(2, seed=5, size=33)]
    settings = app.Settings("search", CRFParams(3, 5, 9, 1, 1, 2, "after"), {"sigma_alpha": (3, 6)}, 1, 100)
    for _ in range(2):
        found = app.tune(samples, model, folder / "net", settings)
    assert calls == [(33, 33, 3)] * 2
    assert found["images"] == 2
    assert sorted(p.name for p in (folder / "net/probabilities").iterdir()) == ["00000.npy", "00001.npy"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--probabilities", "masks"], "there is no .npy or .npz file"),
        (["--probabilities", "rough", "--range", "w1=3"], "--range needs NAME=V,V"),
        (["--probabilities", "rough", "--rounds", "0"], "--rounds needs an integer of at least 1"),
        (["--probabilities", "rough", "--start", "none.toml"], "cannot read none.toml"),
        (["--probabilities", "rough", "--start", "no"], "or a .toml file; got 'no'"),
        ([], "one of the arguments --weights --probabilities is required"),
    ],
)
def test_wrong_usage(folder, command, monkeypatch, arguments, words):
    given = ("tune", "--images", "photos", "--masks", "masks", "-o", "wrong", *arguments)
    monkeypatch.chdir(folder)
    assert words in command(*given, expect=2)
    assert not (folder / "wrong").exists()


def test_what_is_missing_is_named(folder, command, tmp_path):
    (tmp_path / "some").mkdir()
    np.save(tmp_path / "some/scene0.npy", np.load(folder / "rough/scene0.npy"))
    given = ("--images", folder / "photos", "--masks", folder / "masks", "--probabilities", tmp_path / "some")
    text = command("tune", *given, "-o", tmp_path / "out", expect=1)
    assert "has no probabilities of scene1" in text
    text = command("tune", *data(folder), "-o", tmp_path / "new", "--resume", expect=1)
    assert "there is nothing to resume" in text
