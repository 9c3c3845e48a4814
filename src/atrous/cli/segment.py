"""`atrous segment`: label the pixels of photographs with a network."""

import math

from atrous.cli.common import Preset, UsageError, add_command, printer, stride_option, write_json
from atrous.cli.photographs import one_by_one
from atrous.errors import ParameterError

# For photographs with a longer side, a smaller scale is suggested.
LARGE = 1500


def add(commands):
    """Add the command and its arguments."""
    segment = add_command(commands, "segment", run, "label every pixel of photographs with a network")
    segment.add_argument("images", nargs="+", metavar="IMAGE", help="one photograph or several, in any format")
    segment.add_argument(
        "--weights", required=True, metavar="FILE", help=".npz, .safetensors, PyTorch's .pth or .caffemodel"
    )
    segment.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for NAME.png, NAME_overlay.png")
    segment.add_argument(
        "--model", metavar="NAME", help="the network, one of `atrous networks` (default: the one that the weights fit)"
    )
    segment.add_argument("--classes", type=int, metavar="N", help="number of classes (default: as in the weights)")
    segment.add_argument("--output-stride", type=int, metavar="N", help="output stride, instead of the network's own")
    segment.add_argument(
        "--crf", action=Preset, metavar="PRESET",
        help="refine with the fully connected CRF: a preset (--crf list shows all) or a file of `atrous tune`",
    )  # fmt: skip
    segment.add_argument(
        "--scales", default="1", metavar="S,S,...", help="scales at which to use each photograph, such as 0.5,1,1.5"
    )
    segment.add_argument("--flip", action="store_true", help="use mirror images too")
    segment.add_argument(
        "--half-pixel", action="store_true", help="resize with half-pixel centres (v2 weights of kazuto1011)"
    )
    segment.add_argument(
        "--palette", choices=("voc", "context", "person-part", "cityscapes", "scenes"),
        help="names and colours of the classes (default: of the dataset with this number of classes)",
    )  # fmt: skip


def run(arguments):
    """Run the command."""
    from atrous.apps import segment

    try:
        scales = tuple(float(part) for part in arguments.scales.split(","))
    except ValueError:
        scales = (0.0,)
    if not all(0 < scale < math.inf for scale in scales):
        raise UsageError(f"--scales needs positive numbers separated by commas, got {arguments.scales!r}.")
    options = stride_option(arguments) | ({"align_corners": False} if arguments.half_pixel else {})
    try:
        jobs = segment.jobs_for(arguments.images, arguments.output, arguments.weights)
        model = segment.open_model(
            arguments.weights, arguments.model, arguments.classes, arguments.palette, **options
        )  # fmt: skip
    except ParameterError as error:
        raise UsageError(str(error)) from None
    settings = segment.Settings(arguments.crf, scales, arguments.flip)
    say = printer(arguments)
    say(f"{model.network.name}, {model.network.classes} classes")
    found, failures = one_by_one(
        "segment", jobs, lambda job, progress: segment.segment_file(job, model, settings), result_line, say
    )
    network = {"network": model.network.name, "classes": model.network.classes, "options": model.network.options}
    write_json(arguments, {**network, **settings._asdict(), "files": found, "failed": failures})
    return 1 if failures else 0


def result_line(row, name):
    """Return the line of text for one photograph."""
    from atrous.apps.segment import percent

    classes = ", ".join(f"{c['name']} {percent(c['share'])}" for c in row["classes"][:4])
    more = len(row["classes"]) - 4
    classes += f" and {more} more" if more > 0 else ""
    longest = max(row["width"], row["height"])
    if longest > LARGE:
        classes += f"; networks are trained on about 500 pixels, try --scales {500 / longest:.2g}"
    return f"{name}  {row['width']}×{row['height']}  {row['seconds']:.2f} s  {classes}"
