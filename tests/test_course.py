"""Assignments: what students get holds no answers, and grading tells right from wrong."""

import importlib.util
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
pytestmark = [
    pytest.mark.notebooks,
    pytest.mark.skipif(not (FOLDER / "make_student.py").exists(), reason="the notebooks are not part of this"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Write both versions of all notebooks and return their folder."""
    spec = importlib.util.spec_from_file_location("make_student", FOLDER / "make_student.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("course")
    module.main(["-o", str(folder)])
    return folder


def read(path):
    import nbformat

    return nbformat.read(path, as_version=4)


def exercise_cells(notebook):
    return [cell for cell in notebook.cells if "nbgrader" in cell.metadata]


def test_students_see_stubs_and_no_answers(made):
    paths = sorted((made / "student" / "notebooks").glob("*.ipynb"))
    assert [p.name for p in paths] == [p.name for p in sorted(FOLDER.glob("*.ipynb"))]
    for path in paths:
        student, text = read(path), path.read_text(encoding="utf-8")
        assert "HIDDEN TESTS" not in text
        assert "source_hidden" not in text
        assert "folded away" not in text
        for mine, full in zip(exercise_cells(student), exercise_cells(read(made / "grader" / path.name)), strict=True):
            assert not mine.outputs
            compile(mine.source, path.name, "exec")
            hidden = re.findall(r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?) *### END", full.source, re.DOTALL)
            for line in (line for block in hidden for line in block.splitlines() if len(line.strip()) > 20):
                assert line not in mine.source
            if mine.metadata.nbgrader.solution:
                assert hidden
                assert "NotImplementedError" in mine.source or "...  # your answer" in mine.source


def test_points_are_the_stars(made):
    for path in (made / "grader").glob("*.ipynb"):
        notebook = read(path)
        stars = [
            c.source.partition("\n")[0].count("★") for c in notebook.cells if "exercise" in c.metadata.get("tags", [])
        ]
        assert [c.metadata.nbgrader.points for c in exercise_cells(notebook) if c.metadata.nbgrader.grade] == stars


@pytest.mark.parametrize("name", ["02", "06"])
def test_full_marks_and_no_marks(made, name):
    from atrous.apps.grade import grade

    path = next((made / "grader").glob(f"{name}*.ipynb"))
    full = grade(path, made / "grader")
    assert all(mark.points == mark.most and not mark.reason for mark in full)
    nothing = grade(made / "student" / "notebooks" / path.name, made / "grader")
    assert [mark.points for mark in nothing] == [0] * len(full)
    assert "Exercise 1: your code here" in nothing[0].reason


def test_wrong_answers_get_the_reason(made, tmp_path):
    import nbformat

    from atrous.apps.grade import grade

    path = next((made / "grader").glob("06*.ipynb"))
    notebook = read(path)
    solutions = [cell for cell in exercise_cells(notebook) if cell.metadata.nbgrader.solution]
    solutions[0].source = solutions[0].source.replace("axis=(0, 2)", "axis=(0, 1)")
    solutions[1].source = solutions[1].source.replace("dx[stride * o + rate * k] += dy[o]", "dx[o + rate * k] += dy[o]")
    solutions[2].source = solutions[2].source.replace("w[..., ::-1]", "w")
    solutions[3].source = "def relu_gradient(dy, x):\n    while True:\n        pass"
    # A check that was deleted or weakened counts as it is in the grader's version.
    cells = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") != "06-exercise-5-check"]
    cells[-1].source = "pass"
    solutions[5].source = "def negated(dy, cache):\n    return conv_backward(dy, cache)[:2]"
    notebook.cells = cells
    nbformat.write(notebook, tmp_path / path.name)
    marks = grade(tmp_path / path.name, made / "grader", seconds=20)
    assert [mark.points > 0 for mark in marks] == [False, False, False, False, True, False]
    assert [mark.exercise for mark in marks] == list("123456")
    assert "hint:" in marks[1].reason or "problem" in marks[1].reason
    assert "hint:" in marks[2].reason
    assert "still running after 20 s" in marks[3].reason
    assert marks[5].reason.startswith("AssertionError: assert report.inputs[0].ok")


FORGERIES = {
    "printing its own text": "def padding_and_span(k, r):\n    print(In[-1])\n    return 0",
    "no asserts": (
        "import ast\nclass Drop(ast.NodeTransformer):\n    def visit_Assert(self, node):\n        return ast.Pass()\n"
        "get_ipython().ast_transformers.append(Drop())"
    ),
    "a callback": "get_ipython().events.register('pre_run_cell', lambda info: print(info.raw_cell))",
    "errors hidden": "get_ipython().set_custom_exc((Exception,), lambda *a, **k: None)",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_a_line_or_two_cannot_do(made, tmp_path, forgery):
    import nbformat

    from atrous.apps.grade import grade

    path = next((made / "student" / "notebooks").glob("02*.ipynb"))
    notebook = read(path)
    next(c for c in exercise_cells(notebook) if c.metadata.nbgrader.solution).source = FORGERIES[forgery]
    nbformat.write(notebook, tmp_path / path.name)
    assert [mark.points for mark in grade(tmp_path / path.name, made / "grader")] == [0] * 4


def test_copies_dead_kernels_and_odd_metadata(made, tmp_path):
    import nbformat

    from atrous.apps.grade import grade

    path = next((made / "grader").glob("02*.ipynb"))
    notebook = read(path)
    checks = [c for c in exercise_cells(notebook) if c.metadata.nbgrader.grade]
    notebook.cells.insert(0, nbformat.from_dict(checks[0]))
    notebook.cells[1].metadata["nbgrader"] = None
    notebook.cells[2].metadata["nbgrader"] = {"grade_id": ["x"]}
    nbformat.write(notebook, tmp_path / path.name)
    marks = grade(tmp_path / path.name, made / "grader")
    assert [mark.exercise for mark in marks] == list("1234")
    assert [mark.points > 0 for mark in marks] == [False, True, True, True]  # the first check stands before its answer
    solutions = [c for c in exercise_cells(notebook) if (c.metadata.nbgrader or {}).get("solution")]
    notebook.cells.pop(0)
    solutions[2].source = "import os\nos._exit(1)"
    nbformat.write(notebook, tmp_path / path.name)
    marks = grade(tmp_path / path.name, made / "grader")
    assert [mark.points > 0 for mark in marks] == [True, True, False, False]
    assert "the kernel stopped before it" in marks[3].reason


def test_one_bad_file_does_not_stop_the_others(made, tmp_path, capfd):
    import json

    from atrous.cli import main

    (tmp_path / "02_bad.ipynb").write_text("{}", encoding="utf-8")
    good = next((made / "grader").glob("02*.ipynb"))
    arguments = ["grade", str(tmp_path / "02_bad.ipynb"), str(good), "--against", str(good)]
    assert main([*arguments, "--json", str(tmp_path / "marks.json")]) == 1
    found = json.loads((tmp_path / "marks.json").read_text())
    assert "is not a notebook" in found[str(tmp_path / "02_bad.ipynb")]["error"]
    assert sum(mark["points"] for mark in found[str(good)]) == 7


def test_what_cannot_be_graded_is_said(made, tmp_path, capfd):
    from atrous.cli import main

    assert main(["grade", str(tmp_path / "none.ipynb"), "--against", str(made / "grader")]) == 1
    assert "there is no file" in capfd.readouterr().err
    (tmp_path / "text.ipynb").write_text("no notebook", encoding="utf-8")
    assert main(["grade", "x.ipynb", "--against", str(tmp_path / "text.ipynb")]) == 1
    assert "is not a notebook" in capfd.readouterr().err
    plain = next(FOLDER.glob("02*.ipynb"))
    assert main(["grade", str(plain), "--against", str(plain)]) == 1
    assert "has no checks" in capfd.readouterr().err
