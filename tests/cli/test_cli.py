"""The command line as a stranger meets it: what it prints, what it exits with, and that it never shows a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "benchmarks/results"
FAST_BENCH = ("bench", "conv", "--shape", "4,4,9", "--rates", "3", "--threads", "1")


def atrous(*arguments, cwd=None, expect=0, **environment):
    """Run the command line in a process of its own, its output piped; return standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "atrous", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=170,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == expect, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout if expect == 0 else done.stdout + done.stderr


def test_help_version_and_usage():
    for words in (
        ["--help"],
        ["bench", "--help"],
        ["bench", "conv", "--help"],
        ["gradcheck", "--help"],
        ["refine", "--help"],
    ):
        assert "usage: atrous" in atrous(*words)
    assert atrous("--version").startswith("atrous ")
    assert "demo" in atrous(expect=2)
    assert "invalid choice" in atrous("dance", expect=2)


def test_info_tells_versions_threads_blas_cuda_and_cache(tmp_path):
    text = atrous("info")
    for word in ("numba", "threading_layer", "blas", "cuda", "cache"):
        assert word in text
    found = json.loads(atrous("info", "--json"))
    assert found["numba_threads"] >= 1
    assert found["cuda"]
    file = tmp_path / "with blank ü.json"
    atrous("info", "--json", file)
    assert json.loads(file.read_text(encoding="utf-8")).keys() == found.keys()
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_clear_cache(tmp_path):
    (tmp_path / f"conv.direct-{'0' * 20}").mkdir()
    (tmp_path / "mine.txt").write_text("kept")
    assert "cleared" in atrous("info", "--clear-cache", ATROUS_CACHE=str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_gradcheck_of_the_operators_piped_into_a_narrow_encoding(tmp_path):
    file = tmp_path / "checks.json"
    text = atrous("gradcheck", "--json", file, PYTHONIOENCODING="cp1252")
    assert "8 passed, 0 failed" in text
    assert all(report["ok"] for report in json.loads(file.read_text(encoding="utf-8")).values())


PAIR = """
def forward(x, w):
    return x @ w, (x, w)

def backward(dy, cache):
    x, w = cache
    return dy @ w.T, {sign}x.T @ dy
"""


def test_gradcheck_of_a_file(tmp_path):
    right, wrong, broken = (tmp_path / f"{name} ä.py" for name in ("right", "wrong", "broken"))
    right.write_text(PAIR.format(sign=""), encoding="utf-8")
    wrong.write_text(PAIR.format(sign="-"), encoding="utf-8")
    broken.write_text("import nothing_of_this_name", encoding="utf-8")
    shapes = ("--shapes", "2,3", "3,4")
    assert "1 passed" in atrous("gradcheck", right, *shapes)
    assert "wrong sign" in atrous("gradcheck", wrong, *shapes, expect=1)
    assert "cannot be loaded: ModuleNotFoundError" in atrous("gradcheck", broken, *shapes, expect=1)
    assert "needs --shapes" in atrous("gradcheck", right, expect=2)
    assert "integers separated by commas" in atrous("gradcheck", right, "--shapes", "2,x", expect=2)
    assert "integers separated by commas" in atrous("gradcheck", right, "--shapes=2,-3", expect=2)
    assert "needs a file" in atrous("gradcheck", "--shapes", "2,3", expect=2)
    assert "no function 'fwd'" in atrous("gradcheck", right, *shapes, "--forward", "fwd", expect=1)
    assert "stopped with ValueError" in atrous("gradcheck", right, "--shapes", "2,3", "4,4", expect=1)
    assert "no file" in atrous("gradcheck", tmp_path / "missing.py", *shapes, expect=1)


@pytest.mark.slow
def test_bench_conv_of_one_shape(tmp_path):
    file, plot = tmp_path / "conv.json", tmp_path / "conv.png"
    text = atrous(*FAST_BENCH, "--methods", "im2col,interlace", "--json", file, "--plot", plot)
    found = json.loads(file.read_text(encoding="utf-8"))
    assert len(found["rows"]) == 3 * 2
    assert {r["pass"] for r in found["rows"]} == {"forward", "dx", "dw"}
    assert all(r["seconds"] > 0 and r["error"] < 1e-4 for r in found["rows"])
    assert found["environment"]["cpu"]
    assert found["environment"]["threads"] == 1
    assert found["limits"]["gemm_gflops"] > 0
    assert found["verdict"] in text
    assert "im2col" in found["verdict"]
    assert plot.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("subject", ["conv", "crf"])
def test_bench_draws_what_it_measured(subject, tmp_path, monkeypatch, capsys):
    """With the stored results instead of a run."""
    from importlib import import_module

    from atrous import cli

    found = json.loads((RESULTS / f"{subject}.json").read_text(encoding="utf-8"))
    monkeypatch.setattr(import_module(f"atrous.bench.{subject}"), "run", lambda *_, **__: found)
    plot = tmp_path / "plot.svg"
    assert cli.main(["bench", subject, "--plot", str(plot)]) == 0
    assert f"plot: {plot}" in capsys.readouterr().out
    assert "<svg" in plot.read_text(encoding="utf-8")


def test_bench_refuses_what_it_cannot_time():
    assert "method must be one of" in atrous(*FAST_BENCH, "--methods", "wavelet", expect=2)
    assert "--shape needs" in atrous("bench", "conv", "--shape", "4,4", expect=2)
    assert "groups must divide" in atrous(*FAST_BENCH, "--groups", "3", expect=2)
    assert "--groups needs" in atrous("bench", "conv", "--groups", "3", expect=2)
    assert "--threads needs" in atrous("bench", "conv", "--threads", "0", expect=2)
    assert "ends in .png" in atrous(*FAST_BENCH, "--plot", "p.xyz", expect=2)
    assert "no writable folder" in atrous(*FAST_BENCH, "--json", "nowhere/a.json", expect=2)
    assert "required" in atrous("bench", expect=2)


def test_bench_never_times_a_wrong_method(monkeypatch):
    from atrous.bench import cases, worker
    from atrous.conv import im2col

    case = cases.ConvCase(2, 2, 9, 2)
    right = im2col.forward
    job = {"case": case._asdict(), "pass": "forward", "seconds": 0.0, "least": 1}
    assert worker.Worker().answer("im2col", job)["seconds"] > 0
    monkeypatch.setattr(im2col, "forward", lambda x, w, g: right(x, w[..., ::-1, :].copy(), g))
    assert "is wrong by" in worker.Worker().answer("im2col", job)["error"]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("which", ["forward", "dx", "dw"])
def test_the_sampled_check_of_the_bench_agrees_with_the_reference(which, groups):
    from atrous.bench import cases, worker

    case = cases.ConvCase(4, 8, 9, 3, n=2, groups=groups, dtype="float64")
    arrays = case.arrays()
    result = worker.contestant("reference", case, *arrays)[which]()
    assert worker.sampled_error(case, which, result, *arrays) < 1e-13
    result.flat[result.size // 3 :] *= 1.001
    assert worker.sampled_error(case, which, result, *arrays) > 1e-5


def test_verdict_says_who_wins():
    from atrous.bench.conv import verdict

    def rows(ratio):
        row = {"case": "a", "pass": "dx", "rate": 6, "padded_work": 1.2}
        return [{**row, "method": "im2col", "seconds": 1.0}, {**row, "method": "interlace", "seconds": ratio}]

    assert "im2col wins everywhere" in verdict(rows(1.5))
    assert "never cross" in verdict(rows(1.5))
    assert "interlace in 1 (dx at rate 6)" in verdict(rows(0.5))
    assert "no verdict" in verdict(rows(1.0)[:1])


@pytest.mark.skipif(os.name == "nt", reason="pipes of a shell")
@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error():
    command = f"'{sys.executable}' -m atrous info | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True, executable="/bin/bash")
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.slow
def test_demo_from_a_read_only_folder_with_an_own_picture(tmp_path):
    import numpy as np
    from PIL import Image

    from atrous.apps.demo import STORY

    folder = tmp_path / "nur lesen"
    folder.mkdir()
    picture = tmp_path / "Bild mit Übergröße.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(picture)
    out = tmp_path / "out ö"
    folder.chmod(0o555)
    try:
        text = atrous("demo", picture, "-o", out, cwd=folder, MPLBACKEND="")
    finally:
        folder.chmod(0o755)
    pictures = sorted(p.name for p in out.iterdir())
    assert pictures == sorted([*STORY, "contact_sheet.png"])
    assert text.rstrip().endswith("contact_sheet.png")
    assert "with the CRF" in text
    assert "free energy per pixel" in text
    for method in ("reference", "upsampled", "im2col", "interlace", "direct"):
        assert method in text
    assert "FAIL" not in text


@pytest.mark.slow
def test_demo_of_a_file_that_is_no_picture(tmp_path):
    wrong = tmp_path / "wrong.png"
    wrong.write_text("no picture")
    assert "wrong.png" in atrous("demo", wrong, "-o", tmp_path / "out", expect=1)
    assert "missing.png" in atrous("demo", tmp_path / "missing.png", "-o", tmp_path / "out", expect=1)
    assert not (tmp_path / "out").exists()


def test_json_never_replaces_a_file_that_is_none(tmp_path):
    precious = tmp_path / "photo.jpg"
    precious.write_text("precious")
    assert "ends in .json" in atrous("demo", "--json", precious, expect=2)
    assert precious.read_text() == "precious"


def test_a_file_may_import_its_neighbour_and_an_exit_is_reported(tmp_path):
    (tmp_path / "neighbour.py").write_text("SIGN = 1")
    layer, leaving = tmp_path / "layer.py", tmp_path / "leaving.py"
    layer.write_text("from neighbour import SIGN\n" + PAIR.format(sign="SIGN * "))
    leaving.write_text("import sys; sys.exit(3)")
    assert "1 passed" in atrous("gradcheck", layer, "--shapes", "2,3", "3,4")
    assert "SystemExit" in atrous("gradcheck", leaving, "--shapes", "2,3", expect=1)


def test_pictures_of_every_depth(tmp_path):
    import numpy as np
    from PIL import Image

    from atrous import examples

    deep = np.random.default_rng(0).integers(0, 65536, (40, 50)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_allclose(examples.photograph(tmp_path / "deep.png"), deep / 65535)
    for mode in ("L", "LA", "RGBA", "P", "1", "CMYK"):
        file = tmp_path / f"{mode}.tif"
        Image.fromarray((deep >> 8).astype(np.uint8)).convert(mode).save(file)
        grey = examples.photograph(file)
        assert grey.shape == (40, 50)
        assert 0.2 < grey.mean() < 0.8


def test_refine_says_what_it_is_told_wrong(tmp_path):
    from PIL import Image

    photo, labels, out = (tmp_path / f"{name}.png" for name in ("photo", "labels", "out"))
    Image.new("RGB", (8, 6)).save(photo)
    Image.new("RGB", (8, 7), "red").save(labels)
    assert "8×7" in atrous("refine", photo, labels, "-o", out, expect=1)
    assert "required: LABELS" in atrous("refine", photo, "-o", out, expect=2)
    assert "would overwrite" in atrous("refine", photo, labels, "-o", labels, expect=2)
    assert "deeplab-v2-resnet101" in atrous("refine", "--preset", "list")
    assert not out.exists()


def test_an_experiment_is_listed_and_run(tmp_path, capsys, monkeypatch):
    from atrous.cli import main
    from atrous.experiments import run

    assert main(["experiment", "list"]) == 0
    assert "field_of_view" in capsys.readouterr().out
    assert main(["experiment", "field_of_vew", "-o", str(tmp_path)]) == 1
    assert "Did you mean 'field_of_view'" in capsys.readouterr().err
    monkeypatch.setattr(run, "SCENES", 8)
    monkeypatch.setattr(run, "TESTED", 2)
    for key in ("without", "with"):
        run.done_once("decoder", key, 0, tmp_path, 1)
    assert main(["experiment", "decoder", "-o", str(tmp_path), "--steps", "1", "--seeds", "0", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"][0]["label"] == "no decoder, output stride 16"
    page = (tmp_path / "decoder.md").read_text(encoding="utf-8")
    assert page.startswith("# A decoder for outlines")
    assert "1 steps in place of its own" in page
    assert "<svg" in (tmp_path / "decoder.svg").read_text(encoding="utf-8")
