"""Notebooks are valid, small, complete and clean; one marked test runs them all and compares."""

import ast
import inspect
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
# A home folder or a drive, in text or in a picture.
ABSOLUTE = re.compile(r"(?<![\w.:/])/(?:home|root|Users|usr|var|opt|mnt)/|\b[A-Z]:\\\\")

pytestmark = pytest.mark.skipif(not PATHS, reason="the notebooks are not part of this installation")


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell):
    return "".join(cell["source"])


def tags(cell):
    return cell["metadata"].get("tags", [])


def test_small_and_without_places_on_a_disk(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) <= 1_500_000
    assert not ABSOLUTE.search(text)
    assert not [place for place in (FOLDER.parent, Path.home(), tempfile.gettempdir()) if f"{place}/" in text]


def test_run_once_from_top_to_bottom(notebook):
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert outputs
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]


def test_calls_of_figures_and_examples_fit_their_signatures(notebook):
    from atrous import examples, figures

    modules = {"figures": figures, "examples": examples}
    for cell in code_cells(notebook):
        for call in ast.walk(ast.parse(source(cell))):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            module = modules.get(getattr(call.func.value, "id", None))
            starred = any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords)
            if module and not starred:
                function = getattr(module, call.func.attr)
                inspect.signature(function).bind(*call.args, **{k.arg: k.value for k in call.keywords})


def test_every_figure_is_stored(notebook):
    for cell in code_cells(notebook):
        if "figures.show" in source(cell) and "def show" not in source(cell):
            kinds = {kind for output in cell["outputs"] for kind in output.get("data", {})}
            assert kinds & {"image/png", "image/svg+xml", "image/gif"}, source(cell)


def test_nothing_volatile_is_stored(notebook):
    assert set(notebook["metadata"]) == {"atrous", "kernelspec", "language_info"}
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(set(cell["metadata"]) <= {"tags", "jupyter"} for cell in notebook["cells"])


def test_title_names_the_paper(notebook, path):
    title, *rest = source(notebook["cells"][0]).splitlines()
    assert title.startswith(f"# {path.name[:2]} · ")
    assert "DeepLab" in "".join(rest[:3])


def test_exercises_have_solutions_and_checks(notebook):
    cells = notebook["cells"]
    exercises = [i for i, cell in enumerate(cells) if "exercise" in tags(cell)]
    assert len(exercises) >= 3
    for number, i in enumerate(exercises, start=1):
        head = source(cells[i]).partition("\n")[0]
        assert re.fullmatch(rf"\*\*Exercise {number}\*\* · ★{{1,3}} · \d+ minutes", head)
        solution, check = cells[i + 1 : i + 3]
        assert (tags(solution), tags(check)) == (["solution"], ["check"])
        # JupyterLab shows the first line of a folded cell.
        assert source(solution).startswith(f"# Solution {number}\n")
        assert source(solution).count("### BEGIN SOLUTION") == source(solution).count("### END SOLUTION") >= 1
        assert source(check).count("### BEGIN HIDDEN TESTS") == source(check).count("### END HIDDEN TESTS") <= 1
        visible = re.sub(r"### BEGIN HIDDEN.*?### END HIDDEN TESTS", "", source(check), flags=re.DOTALL)
        assert "assert " in visible or "print(" in visible
        assert "print(" in visible, "a check shows its numbers"
    assert sum("*Predict" in source(cells[i]) for i in exercises) >= 2
    assert sum("solution" in tags(cell) for cell in cells) == len(exercises)


def test_cells_are_short_and_claims_are_asserted(notebook):
    asserts = 0
    for cell in code_cells(notebook):
        tree = ast.parse(source(cell))
        asserts += sum(isinstance(node, ast.Assert) for node in ast.walk(tree))
        most = 14 if "solution" in tags(cell) else 5
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < most, source(cell)
    assert asserts >= 10


def test_the_teachers_table_adds_up(notebook, path):
    heads = [source(cell).partition("\n")[0] for cell in notebook["cells"] if "exercise" in tags(cell)]
    minutes = sum(int(re.search(r"(\d+) minutes", head)[1]) for head in heads)
    row = re.search(rf"^\| {path.name[:2]} .*", (FOLDER / "TEACHING.md").read_text(encoding="utf-8"), re.MULTILINE)[0]
    assert [cell.strip() for cell in row.split("|")][3:5] == [str(minutes), str("".join(heads).count("★"))]


def test_the_hints_that_teachers_are_told_exist():
    table = (FOLDER / "TEACHING.md").read_text(encoding="utf-8").partition("| mistake |")[2]
    hints = " ".join(p.read_text(encoding="utf-8") for p in (FOLDER.parent / "src/atrous/gradients").glob("*.py"))
    code = re.sub(r'"\s*\n\s*f?"', "", hints)
    said = [row.split("|")[2].strip() for row in table.splitlines() if row.count("|") == 3 and "---" not in row][1:]
    assert len(said) >= 12
    for hint in said:
        pieces = [p.strip(" :;.…") for p in re.split(r"\bx\b|\bw\b|dx|dw|axis|axes|\bgamma\b|[0-9.]+|…|[:,]", hint)]
        assert all(piece in code for piece in pieces if len(piece) > 12), hint


def test_every_notebook_is_in_the_reading_order(path):
    assert path.name in (FOLDER / "README.md").read_text(encoding="utf-8")


WITHOUT_NUMBA = """
import json, os, subprocess, sys, threading
import matplotlib.font_manager  # looks for fonts in a thread, which Pyodide's does not
def refused(*args, **kwargs):
    raise RuntimeError("can't start new thread")
threading.Thread.start = subprocess.Popen = refused
sys.modules["numba"] = sys.modules["llvmlite"] = None
os.chdir(os.path.dirname(sys.argv[1]))
names = {}
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), names)
assert "numba" not in {name for name, module in sys.modules.items() if module}
"""


@pytest.mark.notebooks
@pytest.mark.parametrize("number", ["02", "03", "04", "05", "06", "07", "10"])
def test_it_runs_without_numba(number):
    """As in a browser, where there is none, and neither threads nor processes."""
    (path,) = [p for p in PATHS if p.name.startswith(number)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMBA, str(path)],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.notebooks
def test_a_fresh_run_changes_nothing():
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    run = subprocess.run(
        [sys.executable, FOLDER / "execute.py", "--check"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
