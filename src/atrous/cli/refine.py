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
        help="an image of label numbers (palette or grey, 255 is unknown) or of colours (black is unknown), or .npy or "
        ".npz with probabilities (labels, height, width) at the photograph's size or evenly reduced; for several "
        "photographs a folder of such files with the photographs' names",
    )
    refine.add_argument(
        "-o", "--output", required=True, metavar="OUT",
        help="PNG to write, with the numbers or colours of LABELS; for several photographs a folder",
    )  # fmt: skip
    refine.add_argument(
        "--preset", action=Preset, default="densecrf", metavar="NAME",
        help="weights and standard deviations: a name (default: densecrf; --preset list shows all) or a file of "
        "`atrous tune`",
    )  # fmt: skip
    refine.add_argument("--iterations", type=int, metavar="N", help="iterations, instead of the preset's")
    refine.add_argument(
        "--normalization", choices=("none", "before", "after", "symmetric"), help="instead of the preset's"
    )
    refine.add_argument(
        "--unknown", default="auto", metavar="VALUE",
        help="number or colour (a name or '#rrggbb') of unknown pixels (default: 255 in palette and grey images, 65535 "
        "with 16 bits, black in colours); none: every pixel has a label",
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
    from atrous.apps.rough_labels import parse_unknown

    for option, value, least in (("--tile", arguments.tile, 1), ("--iterations", arguments.iterations, 0)):
        if value is not None and value < least:
            raise UsageError(f"{option} needs an integer of at least {least}, got {value}.")
    if not 0 < arguments.confidence < 1:
        raise UsageError(f"--confidence needs a number between 0 and 1, got {arguments.confidence}.")
    try:
        unknown = parse_unknown("--unknown", arguments.unknown)
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
    preset = settings.preset if isinstance(settings.preset, str) else settings.preset._asdict()
    write_json(arguments, {**settings._asdict(), "preset": preset, "files": found, "failed": failures})
    return 1 if failures else 0


def result_line(row, name):
    """Return the line of text for one photograph."""
    labels = "1 label" if row["labels"] == 1 else f"{row['labels']} labels"
    unknown = f"  unknown: {row['taken_as_unknown']}" if row["taken_as_unknown"] else ""
    if row["unknown"]:
        unknown += f", {row['unknown']:.1%} of the pixels"
    size = f"{row['width']}×{row['height']}"
    return f"{name}  {size}  {labels}  {row['seconds']:.2f} s  {row['changed']:.1%} of the pixels changed{unknown}"
