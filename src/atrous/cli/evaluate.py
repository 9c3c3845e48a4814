"""`atrous evaluate`: measure a network on labelled images."""

from atrous.cli.common import Preset, UsageError, add_command, printer, progress_line, table, write_json
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
    from atrous.apps.evaluate import WIDTHS, evaluate
    from atrous.apps.segment import open_model
    from atrous.train.setup import samples_of

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
    names = model.classes.names if data["kind"] != "scenes" else _scene_names(model.network.classes)
    rows = [
        {"class": name, "IoU": f"{c['iou']:7.2%}", "accuracy": f"{c['accuracy']:8.2%}"}
        for name, c in zip(names, found["classes"], strict=False)
    ]
    say("\n".join(("", *table(rows), "")))
    say(f"mean IoU {found['mean_iou']:.2%}, pixel accuracy {found['pixel_accuracy']:.2%}, class accuracy "
        f"{found['class_accuracy']:.2%}, frequency-weighted IoU {found['frequency_weighted_iou']:.2%}")  # fmt: skip
    for band in found["trimap"]:
        say(f"within {band['width']:2} pixels of a boundary: mean IoU {band['mean_iou']:.2%}")
    write_json(arguments, {"network": model.network.name, **found})
    return 0


def _scene_names(classes):
    from atrous.data.scenes import SCENE_CLASSES

    return (*SCENE_CLASSES, *(f"class {i}" for i in range(len(SCENE_CLASSES), classes)))
