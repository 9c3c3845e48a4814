"""The commands `atrous train` and `atrous evaluate`, as a new user would call them."""

import json
import signal

import numpy as np
import pytest
from PIL import Image

from atrous import Scenes, build
from atrous.cli import main
from atrous.cli.train import until_interrupted
from atrous.data.palettes import voc_palette

CONFIG = """
[network]
name = "tiny_deeplabv3_resnet50"
classes = 6
[data]
kind = "scenes"
count = 4
options = { size = 33 }
[recipe]
steps = 2
batch = 2
"""


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def folders(tmp_path):
    """Twenty images with masks of 0, 1 … 5 and 255."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for i, (image, labels) in enumerate(Scenes(20, seed=3, size=41)):
        Image.fromarray(image).save(tmp_path / "images" / f"{i:02}.png")
        Image.fromarray(labels).save(tmp_path / "masks" / f"{i:02}.png")
    return tmp_path


def test_own_images_from_training_to_refined_labels(folders, capsys):
    config = folders / "mine.toml"
    config.write_text(CONFIG)
    data = ("--images", folders / "images", "--masks", folders / "masks")
    code, out, _ = run(capsys, "train", "--config", config, *data, "-o", folders / "run", "--steps", 3)
    assert code == 0
    assert "tiny_deeplabv3_resnet50, 6 classes; 20 images, 3 steps" in out
    assert "done: 3 steps" in out
    weights = folders / "run" / "weights.npz"
    code, out, _ = run(capsys, "evaluate", "--weights", weights, *data, "--trimap", "--json", folders / "found.json")
    assert code == 0
    assert "mean IoU" in out
    assert "within 40 pixels" in out
    found = json.loads((folders / "found.json").read_text())
    assert found["images"] == 20
    assert sum(map(sum, found["confusion"])) == sum((labels != 255).sum() for _, labels in Scenes(20, seed=3, size=41))
    code, _, _ = run(capsys, "segment", folders / "images" / "00.png", "--weights", weights, "-o", folders / "labels")
    assert code == 0
    assert np.asarray(Image.open(folders / "labels" / "00.png")).max() < 6


def test_resume(tmp_path, capsys):
    config = tmp_path / "mine.toml"
    config.write_text(CONFIG)
    assert run(capsys, "train", "--config", config, "-o", tmp_path / "run")[0] == 0
    code, _, err = run(capsys, "train", "--config", config, "-o", tmp_path / "run", "--steps", 4)
    assert code == 1
    assert "--resume" in err
    code, out, _ = run(capsys, "train", "--config", config, "-o", tmp_path / "run", "--steps", 4, "--resume")
    assert code == 0
    assert "done: 4 steps" in out
    # The newest checkpoint is damaged, and there is no log: both are said, and nothing is lost.
    newest = tmp_path / "run" / "step_00000004.npz"
    newest.write_bytes(newest.read_bytes()[:500])
    (tmp_path / "run" / "log.csv").unlink()
    code, out, _ = run(capsys, "train", "--config", config, "-o", tmp_path / "run", "--resume")
    assert code == 0
    assert "step_00000004.npz could not be read" in out
    assert "changed: [recipe] steps, 4 before, 2 now" in out
    assert "done: 2 steps;" in out


def test_masks_of_0_and_255_are_asked_about(folders, capsys):
    for path in (folders / "masks").iterdir():
        labels = np.asarray(Image.open(path))
        Image.fromarray(np.where(labels == 0, 0, 255).astype(np.uint8)).save(path)
    config = folders / "mine.toml"
    config.write_text(CONFIG)
    data = ("--images", folders / "images", "--masks", folders / "masks")
    code, _, err = run(capsys, "train", "--config", config, *data, "-o", folders / "run")
    assert code == 1
    assert "Did you mean 1?" in err
    assert not (folders / "run").exists()
    code, out, _ = run(
        capsys, "train", "--config", config, *data, "--table", "0=0,255=1", "--classes", 2, "-o", folders / "run"
    )
    assert code == 0
    assert "2 classes" in out


def test_presets_are_listed(capsys):
    code, out, _ = run(capsys, "train", "--preset", "list")
    assert code == 0
    assert "v3_resnet101" in out.split()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--preset", "tiny_v3"), "-o DIR"),
        (("train", "--preset", "tiny_v4", "-o", "x"), "Did you mean 'tiny_v3'?"),
        (("train", "--preset", "v1_largefov", "-o", "x", "--voc", "nowhere"), "nowhere"),
        (("train", "--preset", "tiny_v3", "-o", "x", "--scenes", "4", "--voc", "y"), "--voc and --scenes"),
        (("train", "--preset", "tiny_v3", "-o", "x", "--images", "y"), "--images and --masks go together"),
        (
            ("train", "--preset", "tiny_v3", "-o", "x", "--images", "y", "--masks", "z", "--table", "a=b"),
            "--table needs pairs",
        ),
        (("evaluate", "--weights", "w.npz"), "evaluate needs data"),
        (("evaluate", "--weights", "w.npz", "--scenes", "2", "--scales", "0"), "--scales needs positive numbers"),
    ],
)
def test_usage_errors(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *arguments)
    assert code in (1, 2)
    assert message in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="no signals")
def test_an_interruption_asks_once_and_then_insists():
    # A process in the background may have been started with the signal ignored.
    found = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with until_interrupted() as stopped:
            assert not stopped()
            signal.raise_signal(signal.SIGINT)
            assert stopped()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, found)


@pytest.mark.torch
def test_from_a_pth_of_torchvision_to_refined_labels(folders, capsys):
    torch = pytest.importorskip("torch")
    params, state = build("tiny_torchvision_deeplabv3_resnet50").init(np.random.default_rng(0))
    tensors = {name: torch.from_numpy(array.copy()) for name, array in {**params, **state}.items()}
    torch.save(tensors, folders / "coco.pth")
    config = folders / "mine.toml"
    config.write_text(CONFIG.replace("tiny_deeplabv3_resnet50", "tiny_torchvision_deeplabv3_resnet50"))
    data = ("--images", folders / "images", "--masks", folders / "masks")
    code, out, _ = run(
        capsys, "train", "--config", config, "--init", folders / "coco.pth", *data, "-o", folders / "run"
    )
    assert code == 0
    assert f"the classifier does not fit {folders / 'coco.pth'} and starts from random values" in out
    weights = folders / "run" / "weights.npz"
    code, out, _ = run(capsys, "evaluate", "--weights", weights, *data, "--crf", "deeplab-v2-resnet101")
    assert code == 0
    assert "20 images" in out
    photo = folders / "images" / "00.png"
    assert run(capsys, "segment", photo, "--weights", weights, "-o", folders / "labels")[0] == 0
    rough = np.asarray(Image.open(folders / "labels" / "00.png")).copy()
    rough[:20], rough[20:] = 1, 4
    Image.fromarray(rough).save(folders / "rough.png")
    code, _, _ = run(capsys, "refine", photo, folders / "rough.png", "-o", folders / "refined.png")
    assert code == 0
    refined = np.asarray(Image.open(folders / "refined.png"))
    assert refined.shape == rough.shape
    assert set(np.unique(refined)) <= {1, 4}


def save(array, path, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette:
        image.putpalette(voc_palette().tobytes())
    image.save(path)


def test_a_tree_of_voc(tmp_path, capsys):
    root = tmp_path / "VOC2012"
    for i, (image, labels) in enumerate(Scenes(6, seed=3, size=41)):
        save(image, root / "JPEGImages" / f"2007_{i}.jpg")
        save(labels, root / "SegmentationClass" / f"2007_{i}.png", palette=True)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_0\n2007_1\n2007_2\n")
    config = tmp_path / "mine.toml"
    config.write_text(CONFIG.replace("classes = 6", "classes = 21"))
    command = "train", "--config", config, "--voc", root, "-o"
    code, out, _ = run(capsys, *command, tmp_path / "run")
    assert code == 0
    assert "21 classes; 3 images" in out
    assert "on 3 training images" in out
    (lists / "val.txt").write_text("2007_3\n2007_4\n")
    code, out, _ = run(capsys, *command, tmp_path / "again")
    assert code == 0
    assert "on 2 held-out images" in out
    code, out, _ = run(capsys, *command, tmp_path / "val", "--split", "val")
    assert code == 0
    assert "on 2 training images" in out
    assert "aeroplane" in (tmp_path / "again" / "measures.txt").read_text(encoding="utf-8")
    code, out, _ = run(capsys, "evaluate", "--weights", tmp_path / "run" / "weights.npz", "--voc", root)
    assert code == 0
    assert "21 classes; 2 images" in out
    assert "aeroplane" in out


def test_a_tree_of_cityscapes(tmp_path, capsys):
    for i, (image, labels) in enumerate(Scenes(3, seed=3, size=41)):
        town = f"{('train', 'train', 'val')[i]}/ulm/ulm_{i}"
        save(image, tmp_path / "leftImg8bit" / f"{town}_leftImg8bit.png")
        ids = np.where(labels == 255, 0, labels + 7)  # 7 is the id of road, 0 is unlabelled
        save(ids.astype(np.uint8), tmp_path / "gtFine" / f"{town}_gtFine_labelIds.png")
    config = tmp_path / "mine.toml"
    config.write_text(CONFIG.replace("classes = 6", "classes = 19"))
    code, out, _ = run(capsys, "train", "--config", config, "--cityscapes", tmp_path, "-o", tmp_path / "run")
    assert code == 0
    assert "19 classes; 2 images" in out
    assert "on 1 held-out image" in out
    assert "sidewalk" in (tmp_path / "run" / "measures.txt").read_text(encoding="utf-8")
