"""The command line, one file for each command: `demo`, `segment`, `refine`, `tune`, `train`, `evaluate`, `networks`,
`summary`, `weights`, `experiment`, `figure`, `bench`, `gradcheck`, `grade`, `info`. This file has the parser and the
exit codes.

A command's file adds its arguments to the parser and defines the function that runs it, which parses and prints. The
work is done elsewhere in the package, which is imported only when the command runs.
"""  # noqa: D205

import argparse
import os
import sys

from atrous.cli import (
    bench,
    demo,
    evaluate,
    experiment,
    figure,
    gradcheck,
    grade,
    info,
    networks,
    refine,
    segment,
    summary,
    train,
    tune,
    weights,
)
from atrous.cli.common import UsageError, check_outputs
from atrous.errors import AtrousError


def main(argv=None):
    """Run the command line and return its exit code: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    parser = make_parser()
    try:
        arguments = parser.parse_args(argv)
        if not hasattr(arguments, "run"):
            parser.print_help()
            return 2
        check_outputs(arguments)
        return arguments.run(arguments) or 0
    except BrokenPipeError:
        # The reader of the pipe has gone, as with `| head`. Python would report it again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("atrous: interrupted.", file=sys.stderr)
        return 130  # what a shell says of a program that SIGINT ended
    except Exception as error:
        if os.environ.get("ATROUS_DEBUG"):
            raise
        message = str(error).strip() or type(error).__name__
        if not isinstance(error, (AtrousError, OSError, MemoryError)):
            message = f"{type(error).__name__}: {message.splitlines()[0]} (ATROUS_DEBUG=1 shows where)"
        print(f"atrous: {message}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def make_parser():
    """Return the parser of all commands."""
    import atrous

    parser = argparse.ArgumentParser(
        prog="atrous",
        description="DeepLab from scratch: networks, atrous convolution, the dense CRF, gradients and pictures.",
    )
    parser.add_argument("--version", action="version", version=f"atrous {atrous.__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    calculating = (demo, segment, refine, tune, train, evaluate, networks, summary, weights)
    for command in (*calculating, experiment, figure, bench, gradcheck, grade, info):
        command.add(commands)
    return parser
