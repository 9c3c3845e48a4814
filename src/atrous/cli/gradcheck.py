"""`atrous gradcheck`: check the gradients of the package's operators, or of a user's file."""

import importlib.util
import sys
from pathlib import Path

from atrous.cli.common import UsageError, add_command, integers, printer, progress_line, write_json
from atrous.errors import AtrousError


def add(commands):
    """Add the command and its arguments."""
    check = add_command(commands, "gradcheck", run, "check the gradients of atrous, or of your own file")
    check.add_argument(
        "file",
        nargs="?",
        metavar="FILE.py",
        help="a file that defines a forward and a backward function, or one that returns (loss, grads)",
    )
    check.add_argument("--forward", default="forward", help="name of the forward function (default: forward)")
    check.add_argument("--backward", default="backward", help="name of the backward function (default: backward)")
    check.add_argument("--loss", help="name of one function that returns (loss, grads), in place of the two")
    check.add_argument("--shapes", nargs="+", metavar="N,N,...", help="shapes of the inputs, which are random")
    check.add_argument(
        "--mode", choices=("full", "sample", "directional"), default="full", help="which entries to check"
    )


def run(arguments):
    """Run the command."""
    if arguments.shapes and not arguments.file:
        raise UsageError("--shapes needs a file: atrous gradcheck FILE.py --shapes 4,6 6,3.")
    if arguments.file:
        reports = [(arguments.file, _check_file(arguments))]
    else:
        from atrous.apps.operator_checks import check_operators

        with progress_line("gradcheck") as progress:
            reports = check_operators(progress)
    say = printer(arguments)
    for name, report in reports:
        say(f"{name}\n{report}\n")
    failed = sum(not report for _, report in reports)
    say(f"{len(reports) - failed} passed, {failed} failed")
    write_json(arguments, {name: report.to_dict() for name, report in reports})
    return 1 if failed else 0


def _check_file(arguments):
    """Check the forward/backward pair of a user's file, or its loss with gradients, on random inputs."""
    import numpy as np

    from atrous.gradients import gradcheck

    if not arguments.shapes:
        raise UsageError("gradcheck of a file needs --shapes, one for each input, for example --shapes 4,6 6,3 3.")
    path = Path(arguments.file)
    if not path.is_file():
        raise AtrousError(f"there is no file {arguments.file!r}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None:
        raise AtrousError(f"{arguments.file!r} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    # As when Python runs a script, the file can import its neighbours, and dataclasses find their module.
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.parent.absolute()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise AtrousError(f"{arguments.file} cannot be loaded: {type(error).__name__}: {error}") from error
    names = (arguments.loss,) if arguments.loss else (arguments.forward, arguments.backward)
    for name in names:
        if not callable(getattr(module, name, None)):
            raise AtrousError(
                f"{arguments.file} defines no function {name!r}; name it with --forward or --backward, or name a "
                "function that returns (loss, grads) with --loss."
            )
    functions = [getattr(module, name) for name in names]
    draw = np.random.default_rng(1).standard_normal
    inputs = [draw(integers("--shapes", shape)) for shape in arguments.shapes]
    try:
        return gradcheck(*functions, inputs, mode=arguments.mode)
    except AtrousError:
        raise
    except (Exception, SystemExit) as error:
        raise AtrousError(f"{arguments.file} stopped with {type(error).__name__}: {error}") from error
