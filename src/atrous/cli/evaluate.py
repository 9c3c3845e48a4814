"""`atrous evaluate`: measure a network on labelled images."""

from atrous.cli.common import Preset, UsageError, add_command, printer, progress_line, write_json
from atrous.cli.labelled import add_data_options, data_table
from atrous.errors import ParameterError


def add(commands):
    """Add the command and its arguments."""
    evaluate = add_command(commands, "evaluate", run, "measure a network on labelled images")
    evaluate.add_argument("--weights", required=True, metavar="FILE", help="as for `atrous segment`")
    evaluate.add_argument("--model", metavar="NAME", help="the network (default: the one that the weights fit)")
    evaluate.add_argument("--crf", action=Preset, metavar="PRESET", help="refine with the fully connected CRF")
    evaluate.add_argument("--scales", default="1", metavar="S,S,...", help="scales at which to use each image")
    evaluate.add_argument("--flip", action="store_true", help="use mirror images too")
    evaluate.add_argument("--trimap", action="store_true", help="also measure bands of 1 to 40 pixels at boundaries")
    add_data_options(evaluate)


def run(arguments):
    """Run the command."""
    from atrous.apps.evaluate import WIDTHS, evaluate, measure_lines
    from atrous.apps.segment import open_model
    from atrous.train.setup import classes_for, samples_of

    data = data_table(arguments, split="val")
    if data is None:
        raise UsageError("evaluate needs data: --voc, --cityscapes, --images and --masks, or --scenes.")
    try:
        scales = tuple(float(part) for part in arguments.scales.split(","))
    except ValueError:
        scales = ()
    if not scales or min(scales) <= 0:
        raise UsageError(f"--scales needs positive numbers separated by commas, got {arguments.scales!r}.")
    try:
        model = open_model(arguments.weights, arguments.model)
        samples = samples_of("the data", data, max(model.network.classes, 2))
    except ParameterError as error:
        raise UsageError(str(error)) from None
    say = printer(arguments)
    say(f"{model.network.name}, {model.network.classes} classes; {len(samples)} images")
    with progress_line("evaluate") as progress:
        found = evaluate(
            model.network, model.params, samples, crf=arguments.crf, scales=scales, flip=arguments.flip,
            widths=WIDTHS if arguments.trimap else (), tell=progress,
        )  # fmt: skip
    names = classes_for(data["kind"], max(model.network.classes, 2)).names
    say("\n".join(("", *measure_lines(found, names))))
    write_json(arguments, {"network": model.network.name, **found})
    return 0
