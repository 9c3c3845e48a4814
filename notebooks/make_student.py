"""Write the notebooks as assignments: a student's version to fill in, and a grader's version with all tests.

    python notebooks/make_student.py -o FOLDER [NAMES]

NAMES are notebooks, or the start of their names, such as "02"; the default is all. FOLDER/student has everything to
hand out: solutions are replaced by stubs, hidden tests and the results of exercises are left out. FOLDER/grader keeps
the tests; `atrous grade NOTEBOOK --against FOLDER/grader` runs them on what a student hands in. Both carry nbgrader's
metadata and marks (### BEGIN SOLUTION, ### BEGIN HIDDEN TESTS), so FOLDER/grader is a source version for nbgrader too.
"""

import argparse
import ast
import re
import shutil
import sys
from pathlib import Path

import nbformat

FOLDER = Path(__file__).parent
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n(.*?)^ *### END SOLUTION\n?", re.MULTILINE | re.DOTALL)
# What is true of the notebooks with solutions only.
FOLDED = re.compile(r"\n*The solution is folded away.*")
HIDDEN = re.compile(r"^ *### BEGIN HIDDEN TESTS\n.*?^ *### END HIDDEN TESTS\n?", re.MULTILINE | re.DOTALL)


def names_of(source):
    """Return the names that the statements of a solution assign."""
    assigned = [node.targets[0] for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    targets = (a.elts if isinstance(a, ast.Tuple) else [a] for a in assigned)
    return [target.id for several in targets for target in several]


def stub(source, number):
    """Return a solution's cell with its solutions taken out: answers become `...`, bodies raise an error."""

    def replaced(found):
        indent, body = found.groups()
        if indent:
            return f'{indent}raise NotImplementedError("Exercise {number}: your code here.")\n'
        return "".join(f"{name} = ...  # your answer\n" for name in names_of(body))

    kept = SOLUTION.sub(replaced, source.partition("\n")[2] + "\n")
    return f"# Exercise {number}\n{kept.rstrip()}"


def numbered(notebook):
    """Yield each solution and check with its exercise's number and points, one for each star."""
    number, points = 0, 0
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "exercise" in tags:
            number, points = number + 1, cell.source.partition("\n")[0].count("★")
        elif "solution" in tags or "check" in tags:
            yield cell, number, points, "check" in tags


def marked(cell, identity, points, check):
    """Give a cell nbgrader's metadata."""
    cell.metadata["nbgrader"] = {
        "grade": check, "solution": not check, "locked": check, "task": False, "schema_version": 3,
        "grade_id": f"{identity}-check" if check else identity, **({"points": points} if check else {}),
    }  # fmt: skip


def versions(notebook, stem):
    """Return (the student's version, the grader's version) of a notebook."""
    found = []
    for student in (True, False):
        version = nbformat.from_dict(notebook)
        for cell in version.cells:
            cell.source = FOLDED.sub("", cell.source)
        for cell, number, points, check in numbered(version):
            marked(cell, f"{stem[:2]}-exercise-{number}", points, check)
            cell.metadata.pop("jupyter", None)
            cell.outputs, cell.execution_count = [], None
            if student:
                cell.source = HIDDEN.sub("", cell.source + "\n").rstrip() if check else stub(cell.source, number)
        found.append(version)
    return found


def main(arguments=None):
    """Write both versions."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FOLDER")
    asked = parser.parse_args(arguments)
    paths = [p for p in sorted(FOLDER.glob("*.ipynb")) if p.stem.startswith(tuple(asked.names) or "")]
    if not paths:
        sys.exit(f"make_student: no notebook begins with {', '.join(asked.names)}.")
    student, grader = asked.output / "student" / "notebooks", asked.output / "grader"
    for folder in (student, grader):
        folder.mkdir(parents=True, exist_ok=True)
    # Some notebooks show what the benchmarks have measured.
    results = student.parent / "benchmarks" / "results"
    results.mkdir(parents=True, exist_ok=True)
    for file in (FOLDER.parent / "benchmarks" / "results").glob("*.json"):
        shutil.copy(file, results)
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        for folder, version in zip((student, grader), versions(notebook, path.stem), strict=True):
            nbformat.write(version, folder / path.name)
        print(f"{path.name}: {sum(check for *_, check in numbered(notebook))} exercises")


if __name__ == "__main__":
    main()
