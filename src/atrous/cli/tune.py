"""`atrous tune`: choose the CRF's parameters on labelled images."""

from pathlib import Path

from atrous.cli.common import Preset, UsageError, add_command, printer, progress_line, write_json
from atrous.cli.labelled import add_data_options, data_table
from atrous.errors import ParameterError


def add(commands):
    """Add the command and its arguments."""
    tune = add_command(commands, "tune", run, "choose the fully connected CRF's parameters on labelled images")
    source = tune.add_mutually_exclusive_group(required=True)
    source.add_argument("--weights", metavar="FILE", help="of the network to refine, as for `atrous segment`")
    source.add_argument(
        "--probabilities", metavar="DIR", help=".npy or .npz files (labels, height, width), named after the photographs"
    )
    tune.add_argument("--model", metavar="NAME", help="the network (default: the one that the weights fit)")
    tune.add_argument(
        "-o", "--output", required=True, metavar="DIR",
        help="folder for crf.toml, which --preset and --crf take, and for the table and the map of the search",
    )  # fmt: skip
    tune.add_argument(
        "--method", choices=("search", "fit"), default="search",
        help="search the best mean IoU, coarse to fine as in the papers (default), or fit the likelihood by gradients",
    )  # fmt: skip
    tune.add_argument(
        "--start", action=Preset, default="deeplab-v2-resnet101", metavar="PRESET",
        help="parameters to start from; a search keeps those that it does not try (default: deeplab-v2-resnet101)",
    )  # fmt: skip
    tune.add_argument(
        "--range", action="append", default=[], metavar="NAME=V,V,...",
        help="values of the first round, such as sigma_alpha=30,50,80; may be repeated (default: --ranges)",
    )  # fmt: skip
    tune.add_argument(
        "--ranges", choices=("v1", "v2"), default="v2", help="the paper whose ranges to try (default: v2)"
    )
    tune.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of the search (default: 3)")
    tune.add_argument("--most", type=int, default=100, metavar="N", help="images, evenly chosen (default: 100)")
    tune.add_argument("--resume", action="store_true", help="go on from what a search in the folder has counted")
    add_data_options(tune)


def _ranges(arguments):
    from atrous.crf.search import PAPER_RANGES, SEARCHABLE

    found = {}
    for text in arguments.range:
        name, _, values = text.partition("=")
        try:
            found[name] = [float(value) for value in values.split(",")]
        except ValueError:
            found[name] = []
        if name not in SEARCHABLE or not found[name]:
            raise UsageError(f"--range needs NAME=V,V,... with NAME one of {', '.join(SEARCHABLE)}, got {text!r}.")
    return found or dict(PAPER_RANGES[arguments.ranges])


def run(arguments):
    """Run the command."""
    from atrous.apps.rough_labels import ARRAYS
    from atrous.apps.segment import open_model
    from atrous.apps.tune import Settings, tune
    from atrous.train.setup import samples_of

    data = data_table(arguments, split="val")
    if data is None:
        raise UsageError("tune needs data: --voc, --cityscapes, --images and --masks, or --scenes.")
    for option, value in (("--rounds", arguments.rounds), ("--most", arguments.most)):
        if value < 1:
            raise UsageError(f"{option} needs an integer of at least 1, got {value}.")
    settings = Settings(arguments.method, arguments.start, _ranges(arguments), arguments.rounds, arguments.most)
    try:
        if arguments.weights:
            source = open_model(arguments.weights, arguments.model)
            classes = source.network.classes
        else:
            source, classes = Path(arguments.probabilities), 255
            if not any(path.suffix.lower() in ARRAYS for path in source.rglob("*")):
                raise UsageError(f"--probabilities {source}: there is no .npy or .npz file.")
        samples = samples_of("the data", data, max(classes, 2))
    except ParameterError as error:
        raise UsageError(str(error)) from None
    say = printer(arguments)
    with progress_line("tune") as progress:
        found = tune(samples, source, Path(arguments.output), settings, resume=arguments.resume, tell=progress)
    images = "1 image" if found["images"] == 1 else f"{found['images']} images"
    say(f"{'':<18}  mean IoU on {images}")
    for words, name in (("without the CRF", "_unrefined"), ("at the start", "_before"), ("with crf.toml", "")):
        say(f"{words:<18}  {found['mean_iou' + name]:.2%}")
    for name in found["searched"]:
        edge = "  (at the edge of its range: try a wider one)" if name in found["at_edge"] else ""
        say(f"{name:<18}  {found['params'][name]:.4g}{edge}")
    say(f"Written: {arguments.output}/crf.toml")
    write_json(arguments, found)
    return 0
