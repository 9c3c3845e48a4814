"""Grading a notebook: run it with the grader's checks in place of its own, and see which of them pass.

Role: application. The student's code runs with all rights of whoever grades; use an account or a container of its own.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from atrous.errors import AtrousError, ParameterError

ANSI = re.compile(r"\x1b\[[0-9;]*m")


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


def _identity(cell):
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def _checks(notebook):
    """Return the grader's checks by their identity."""
    return {_identity(c): c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade")}


def merged(student, grader, token: str):
    """Return the student's notebook with the grader's checks, each of which prints the token if it passes.

    A check that the student has deleted comes last, where everything is defined.
    """
    _, nbformat = _nbclient()
    checks = {
        name: nbformat.v4.new_code_cell(f'{cell.source}\nprint("{token}")', metadata={"nbgrader": {"grade_id": name}})
        for name, cell in _checks(grader).items()
    }
    cells = [checks.pop(_identity(cell), cell) for cell in student.cells]
    return nbformat.v4.new_notebook(cells=[*cells, *checks.values()], metadata=grader.metadata)


def _printed(cell):
    return "".join(out.get("text", "") for out in cell.get("outputs", []) if out.get("name") == "stdout")


def _reason(cell, seconds):
    """Return why a check failed: the hint of a gradient check, the message of an error, or the line that failed."""
    error = next((out for out in cell.get("outputs", []) if out.output_type == "error"), None)
    if error is None or error.ename == "KeyboardInterrupt":
        return f"it was still running after {seconds:g} s"
    lines = [line.strip() for line in error.evalue.splitlines() if line.strip()]
    hints = [line for line in lines if line.startswith(("hint:", "problem:"))]
    if hints or lines:
        return hints[0] if hints else f"{error.ename}: {lines[-1]}"
    failed = re.findall(r"^-+> +\d+ (.*)$", ANSI.sub("", "\n".join(error.traceback)), re.MULTILINE)
    return f"{error.ename}: {failed[-1].strip()}" if failed else error.ename


def grade(
    notebook: str | Path, against: str | Path, *, seconds: float = 120.0, tell: Callable[[str], None] | None = None
) -> list[Mark]:
    """Run a student's notebook and return the mark of each exercise.

    Parameters
    ----------
    notebook : path
        What a student handed in, made from a student's version.
    against : path
        The grader's version, or the folder that has it under the notebook's name.
    seconds : float, default 120.0
        Time for each cell; one that takes longer is interrupted.
    tell : callable, optional
        Called with a line before the notebook runs.

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
    nbclient, _ = _nbclient()
    notebook, against = Path(notebook), Path(against)
    grader = _read(against / notebook.name if against.is_dir() else against)
    checks, token = _checks(grader), secrets.token_hex(16)
    if not checks:
        raise ParameterError(f"grade: {against} has no checks. Pass what make_student.py wrote into its folder grader.")
    both = merged(_read(notebook), grader, token)
    if tell:
        tell(f"running {notebook.name}")
    nbclient.NotebookClient(
        both, timeout=seconds, interrupt_on_timeout=True, allow_errors=True, kernel_name="python3",
        resources={"metadata": {"path": str(notebook.resolve().parent)}},
    ).execute()  # fmt: skip
    marks = []
    for cell in both.cells:
        name = _identity(cell)
        if name not in checks:
            continue
        most = checks[name].metadata["nbgrader"]["points"]
        passed = token in _printed(cell)
        exercise = name.removesuffix("-check").rpartition("-")[2]
        marks.append(Mark(exercise, most if passed else 0, most, "" if passed else _reason(cell, seconds)))
    return sorted(marks, key=lambda mark: int(mark.exercise))
