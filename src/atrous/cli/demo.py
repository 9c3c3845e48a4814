"""`atrous demo`: the papers' figures, the methods compared, the gradients checked."""

from atrous.cli.common import add_command, printer, progress_line, write_json


def add(commands):
    """Add the command and its arguments."""
    demo = add_command(
        commands, "demo", run, "draw the papers' figures, compare the methods, check the gradients"
    )  # fmt: skip
    demo.add_argument("image", nargs="?", help="your own picture instead of Matplotlib's portrait of Grace Hopper")
    demo.add_argument(
        "-o", "--output", default="demo", metavar="FOLDER", help="where to put the pictures (default: demo)"
    )


def run(arguments):
    """Run the command."""
    from atrous.apps import demo

    with progress_line("demo") as progress:
        found = demo.run(arguments.image, arguments.output, say=printer(arguments), progress=progress)
    write_json(arguments, found)
    return 0 if all(found["gradients"].values()) else 1
