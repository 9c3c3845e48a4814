"""`atrous grade`: grade notebooks that students hand in."""

import sys

from atrous.cli.common import add_command, printer, write_json
from atrous.errors import ParameterError


def add(commands):
    """Add the command and its arguments."""
    grade = add_command(commands, "grade", run, "grade notebooks that students hand in")
    grade.add_argument("notebooks", nargs="+", metavar="NOTEBOOK")
    grade.add_argument(
        "--against", required=True, metavar="FOLDER", help="the grader's versions, written by notebooks/make_student.py"
    )
    grade.add_argument("--seconds", type=float, default=120.0, metavar="S", help="time for each cell (default: 120)")


def run(arguments):
    """Run the command."""
    from atrous.apps.grade import grade

    say, found, failed = printer(arguments), {}, 0
    for path in arguments.notebooks:
        try:
            marks = grade(path, arguments.against, seconds=arguments.seconds)
        except ParameterError as error:
            failed, found[path] = 1, {"error": str(error)}
            print(f"atrous: {path}: {error}", file=sys.stderr)
            continue
        found[path] = [mark._asdict() for mark in marks]
        say(f"{path}: {sum(m.points for m in marks)} of {sum(m.most for m in marks)} points")
        for mark in marks:
            say(f"  exercise {mark.exercise}  {mark.points}/{mark.most}  {mark.reason}".rstrip())
    write_json(arguments, found)
    return failed
