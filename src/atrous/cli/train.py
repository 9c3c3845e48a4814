"""`atrous train`: train a network by a preset or a file."""

import contextlib
import signal
import threading

from atrous.cli.common import Preset, UsageError, add_command, printer, progress_line, write_json
from atrous.cli.labelled import add_data_options, data_table, held_out
from atrous.errors import ParameterError


def add(commands):
    """Add the command and its arguments."""
    train = add_command(commands, "train", run, "train a network by a paper's recipe or your own")
    source = train.add_mutually_exclusive_group(required=True)
    source.add_argument("--preset", metavar="NAME", help="a paper's setup or a tiny one; --preset list shows them")
    source.add_argument("--config", metavar="FILE", help="a setup as a TOML file")
    train.add_argument("-o", "--output", metavar="DIR", help="folder for checkpoints, weights, log and loss curve")
    train.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in the folder")
    train.add_argument("--init", metavar="FILE", help="begin with these weights; a head that does not fit is fresh")
    train.add_argument(
        "--crf", action=Preset, metavar="PRESET",
        help="end with a CRF layer that is trained with the network and begins as this preset or file of `atrous tune`",
    )  # fmt: skip
    train.add_argument("--classes", type=int, metavar="N", help="number of classes, instead of the setup's")
    train.add_argument("--steps", type=int, metavar="N", help="steps, instead of the setup's")
    train.add_argument("--batch", type=int, metavar="N", help="images in a batch, instead of the setup's")
    train.add_argument("--seed", type=int, metavar="S", help="seed of weights, order and augmentation")
    add_data_options(train)


@contextlib.contextmanager
def until_interrupted():
    """Give a function that tells whether Ctrl-C was pressed; the second time it interrupts as usual."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def press(*_):
        signal.signal(signal.SIGINT, before)
        pressed.set()

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _layer(crf):
    """Return the name of a preset, or CRFParams as the table of a setup."""
    if crf is None or isinstance(crf, str):
        return crf
    return {name: value for name, value in crf._asdict().items() if name != "normalization"}


def run(arguments):
    """Run the command."""
    from atrous.apps.train import train_files
    from atrous.train.setup import presets, read_setup

    say = printer(arguments)
    if arguments.preset == "list":
        say("\n".join(presets()))
        return 0
    if not arguments.output:
        raise UsageError("train needs a folder for its results: -o DIR.")
    replace = {
        "network": {"classes": arguments.classes, "init": arguments.init, "crf": _layer(arguments.crf)},
        "recipe": {"steps": arguments.steps, "batch": arguments.batch, "seed": arguments.seed},
    }
    replace = {table: {k: v for k, v in fields.items() if v is not None} for table, fields in replace.items()}
    if data := data_table(arguments):
        replace |= {"data": data, "held_out": held_out(data)}
    try:
        setup = read_setup(arguments.preset or arguments.config, replace)
    except ParameterError as error:
        raise UsageError(str(error)) from None
    recipe = setup.recipe
    say(f"{setup.network.name}, {setup.network.classes} classes; {len(setup.samples)} images, {recipe.steps} steps")
    with progress_line("train") as progress, until_interrupted() as stopped:

        def tell(step, seconds):
            left = (recipe.steps - step.number) * seconds
            images = recipe.batch * recipe.accumulate / max(seconds, 1e-9)
            progress(
                step.number, recipe.steps,
                f"loss {step.loss:.4f}, rate {step.rate:.2e}, {images:.1f} images/s, {left / 60:.0f} min left",
            )  # fmt: skip

        found = train_files(setup, arguments.output, resume=arguments.resume, tell=tell, say=say, stopped=stopped)
    ended = "done" if found["steps"] == found["of"] else f"stopped; --resume goes on to {found['of']}"
    loss = "" if found["loss"] is None else f", loss {found['loss']:.4f}"
    say(f"{ended}: {found['steps']} steps{loss}; {', '.join(found['files'])}")
    if found["measured"]:
        say(f"mean IoU {found['mean_iou']:.2%} on {found['measured']}")
    write_json(arguments, found)
    return 0
