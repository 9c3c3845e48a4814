"""`atrous refine`: sharpen rough labels along the edges of their photograph."""

from atrous.cli.common import Preset, UsageError, add_command, printer, write_json
from atrous.cli.photographs import one_by_one
from atrous.errors import AtrousError


def add(commands):
    """Add the command and its arguments."""
    refine = add_command(
        commands, "refine", run, "sharpen rough labels along the edges of their photograph (fully connected CRF)"
    )
    refine.add_argument("images", nargs="+", metavar="IMAGE", help="one photograph or several")
    refine.add_argument(
        "labels",
        metavar="LABELS",
        help="a PNG in which every colour is a label and black is unknown, or .npy or .npz with probabilities "
        "(labels, height, width) at the photograph's size or evenly reduced; for several photographs a folder of such "
        "files with the photographs' names",
    )
    refine.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="palette PNG to write; for several photographs a folder"
    )
    refine.add_argument(
        "--preset", action=Preset, default="densecrf", metavar="NAME",
        help="weights and standard deviations (default: densecrf); --preset list shows the presets",
    )  # fmt: skip
    refine.add_argument("--iterations", type=int, metavar="N", help="iterations, instead of the preset's")
    refine.add_argument(
        "--normalization", choices=("none", "before", "after", "symmetric"), help="instead of the preset's"
    )
    refine.add_argument(
        "--unknown", default="black", metavar="COLOUR",
        help="colour of unknown pixels, a name or '#rrggbb' (default: black); none: every colour is a label",
    )  # fmt: skip
    refine.add_argument(
        "--confidence", type=float, default=0.7, metavar="P",
        help="probability that the label of a coloured pixel is right (default: 0.7)",
    )  # fmt: skip
    refine.add_argument("--tile", type=int, metavar="N", help="compute a large photograph in tiles of N pixels")
    refine.add_argument("--overlay", metavar="PNG", help="photograph with the labels on it to write; or a folder")
    refine.add_argument("--probabilities", metavar="NPY", help="probabilities (L, H, W) to write; or a folder")


def run(arguments):
    """Run the command."""
    from atrous.apps import refine
    from atrous.data.palettes import parse_colour

    for option, value, least in (("--tile", arguments.tile, 1), ("--iterations", arguments.iterations, 0)):
        if value is not None and value < least:
            raise UsageError(f"{option} needs an integer of at least {least}, got {value}.")
    if not 0 < arguments.confidence < 1:
        raise UsageError(f"--confidence needs a number between 0 and 1, got {arguments.confidence}.")
    unknown = None if arguments.unknown.lower() == "none" else arguments.unknown
    try:
        if unknown is not None:
            parse_colour("--unknown", unknown)
        jobs, failures = refine.jobs_for(
            arguments.images, arguments.labels, arguments.output,
            overlay=arguments.overlay, probabilities=arguments.probabilities,
        )  # fmt: skip
    except AtrousError as error:
        raise UsageError(str(error)) from None
    settings = refine.Settings(
        arguments.preset, arguments.iterations, arguments.normalization, unknown, arguments.confidence, arguments.tile
    )
    found, failures = one_by_one(
        "refine", jobs, lambda job, progress: refine.refine_file(job, settings, progress=progress),
        result_line, printer(arguments), failures,
    )  # fmt: skip
    write_json(arguments, {**settings._asdict(), "files": found, "failed": failures})
    return 1 if failures else 0


def result_line(row, name):
    """Return the line of text for one photograph."""
    labels = "1 label: nothing to decide" if row["labels"] == 1 else f"{row['labels']} labels"
    unknown = f", {row['unknown']:.1%} were unknown" if row["unknown"] else ""
    size = f"{row['width']}×{row['height']}"
    return f"{name}  {size}  {labels}  {row['seconds']:.2f} s  {row['changed']:.1%} of the pixels changed{unknown}"
