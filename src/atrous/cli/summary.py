"""`atrous summary`: the layer table of a network."""

import math

from atrous.cli.common import UsageError, add_command, image_size, printer, stride_option, write_json
from atrous.errors import AtrousError


def add(commands):
    """Add the command and its arguments."""
    summary = add_command(
        commands, "summary", run, "show the layers of a network: sizes, parameters, receptive field, work"
    )  # fmt: skip
    summary.add_argument("name", metavar="NAME", help="one of `atrous networks`")
    summary.add_argument("--classes", type=int, metavar="N", help="number of classes")
    summary.add_argument("--size", default="513", metavar="N[,N]", help="height and width of the image (default: 513)")
    summary.add_argument("--output-stride", type=int, metavar="N", help="output stride, instead of the network's own")


def run(arguments):
    """Run the command."""
    from atrous.nets.catalogue import build

    size = image_size(arguments.size)
    try:
        summary = build(arguments.name, arguments.classes, **stride_option(arguments)).summary(size)
    except AtrousError as error:
        raise UsageError(str(error)) from None
    printer(arguments)(summary)
    rows = [{**row._asdict(), "field": row.field if row.field < math.inf else None} for row in summary.rows]
    field = summary.field if summary.field < math.inf else None
    write_json(arguments, {**summary._asdict(), "rows": rows, "field": field})
