"""Grading a notebook: run it with the grader's checks in place of its own, and see which of them pass.

Role: application. The student's code runs with all rights of whoever grades; use an account or a container of its own.
It also runs in the same Python as the checks. What could change them by accident or in a line or two is undone before
each of them, but somebody who is determined can deceive any grader of this kind: read what you grade.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import NamedTuple

from atrous.errors import AtrousError, ParameterError

ANSI = re.compile(r"\x1b\[[0-9;]*m")


# What IPython does with a cell before, after and around running it.
RESET = """
_i = get_ipython()
_i.ast_transformers.clear()
_i.input_transformers_post.clear()
_i.set_custom_exc((), None)
for _name in ("pre_execute", "pre_run_cell", "post_execute", "post_run_cell"):
    _i.events.callbacks[_name].clear()
"""


class Mark(NamedTuple):
    """The result of one exercise."""

    exercise: str
    points: int
    most: int
    reason: str
    """Why it failed, in one line; empty if it passed."""


def _nbclient():
    try:
        import nbclient
        import nbformat
    except ImportError as error:
        raise AtrousError(
            f"grade: {error.name} is not installed. Install the notebooks' packages: pip install 'atrous[notebooks]'."
        ) from None
    return nbclient, nbformat


def _read(path):
    _, nbformat = _nbclient()
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise ParameterError(f"grade: there is no file {path}.") from None
    except Exception as error:
        raise ParameterError(f"grade: {path} is not a notebook: {str(error).splitlines()[0]}.") from None


def _meta(cell):
    found = cell.metadata.get("nbgrader")
    return found if isinstance(found, dict) else {}


def _identity(cell):
    found = _meta(cell).get("grade_id")
    return found if isinstance(found, str) else None


def _checks(notebook):
    """Return the grader's checks by their identity."""
    return {_identity(cell): cell for cell in notebook.cells if _meta(cell).get("grade")}


def merged(student, grader):
    """Return the student's notebook with the grader's checks, and the places of the checks by their identity.

    Before each check comes a cell that undoes what could change how it runs. A check that the student has deleted comes
    last, where everything is defined; a copy of one is left out.
    """
    _, nbformat = _nbclient()
    checks, cells, places = _checks(grader), [], {}

    def add(name):
        cells.append(nbformat.v4.new_code_cell(RESET))
        places[name] = len(cells)
        cells.append(nbformat.v4.new_code_cell(checks[name].source))

    for cell in student.cells:
        name = _identity(cell)
        if name in checks and name not in places:
            add(name)
        elif cell.cell_type == "code" and name not in checks:
            cells.append(nbformat.v4.new_code_cell(cell.source))
    for name in checks:
        if name not in places:
            add(name)
    return nbformat.v4.new_notebook(cells=cells, metadata=grader.metadata), places


def _reason(cell, seconds):
    """Return why a check failed: the hint of a gradient check, the message of an error, or the line that failed."""
    error = next((out for out in cell.get("outputs", []) if out.output_type == "error"), None)
    if error is None:
        return "it did not run"
    if error.ename == "KeyboardInterrupt":
        return f"it was still running after {seconds:g} s"
    lines = [line.strip() for line in error.evalue.splitlines() if line.strip()]
    hints = [line for line in lines if line.startswith(("hint:", "problem:"))]
    if hints or lines:
        return hints[0] if hints else f"{error.ename}: {lines[-1]}"
    failed = re.findall(r"^-+> +\d+ (.*)$", ANSI.sub("", "\n".join(error.traceback)), re.MULTILINE)
    return f"{error.ename}: {failed[-1].strip()}" if failed else error.ename


def _run(notebook, folder, seconds, total):
    """Run a notebook cell by cell; return (the status of each cell that ran, why it stopped early or "")."""
    nbclient, _ = _nbclient()
    statuses, end = {}, time.monotonic() + total
    client = nbclient.NotebookClient(
        notebook, timeout=seconds, interrupt_on_timeout=True, allow_errors=True, kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        on_cell_executed=lambda cell, cell_index, execute_reply: statuses.update(
            {cell_index: execute_reply["content"]["status"]}
        ),
    )  # fmt: skip
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            if time.monotonic() > end:
                return statuses, f"the notebook was stopped after {total:g} s"
            try:
                client.execute_cell(cell, index)
            except Exception as error:  # the kernel died, or cannot be interrupted
                return statuses, f"the kernel stopped before it: {type(error).__name__}"
    return statuses, ""


def grade(notebook: str | Path, against: str | Path, *, seconds: float = 120.0, total: float = 1800.0) -> list[Mark]:
    """Run a student's notebook and return the mark of each exercise.

    Parameters
    ----------
    notebook : path
        What a student handed in, made from a student's version.
    against : path
        The grader's version, or the folder that has it under the notebook's name.
    seconds, total : float
        Time for each cell, which is interrupted after it, and for the whole notebook.

    Returns
    -------
    list of Mark
        In the order of the exercises.

    Raises
    ------
    ParameterError
        A file is missing or no notebook, or the grader's version has no checks.
    AtrousError
        The packages of the notebooks are not installed.
    """
    _nbclient()
    notebook, against = Path(notebook), Path(against)
    grader = _read(against / notebook.name if against.is_dir() else against)
    checks = _checks(grader)
    if not checks:
        raise ParameterError(f"grade: {against} has no checks. Pass what make_student.py wrote into its folder grader.")
    both, places = merged(_read(notebook), grader)
    statuses, stopped = _run(both, notebook.resolve().parent, seconds, total)
    marks = []
    for name, place in places.items():
        cell, most = both.cells[place], _meta(checks[name])["points"]
        passed = statuses.get(place) == statuses.get(place - 1) == "ok"
        reason = "" if passed else stopped if place not in statuses and stopped else _reason(cell, seconds)
        exercise = name.removesuffix("-check").rpartition("-")[2]
        marks.append(Mark(exercise, most if passed else 0, most, reason))
    return sorted(marks, key=lambda mark: int(mark.exercise))
