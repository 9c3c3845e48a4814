"""`atrous weights`: show what a file of weights contains, and convert it."""

import shlex
from pathlib import Path

from atrous._check import shown
from atrous.cli.common import UsageError, add_command, printer, table, write_json
from atrous.errors import ParameterError

# How many arrays of a file are listed by default.
SHOWN = 24


def add(commands):
    """Add the commands and their arguments."""
    weights = add_command(commands, "weights", None, "show or convert files of weights", json_option=False)
    verbs = weights.add_subparsers(title="what to do", dest="verb", metavar="VERB", required=True)
    show = add_command(verbs, "show", run_show, "show what a file contains, and which network it fits")
    show.add_argument("file", metavar="FILE", help=".npz, .safetensors, PyTorch's .pth or .caffemodel")
    show.add_argument("--all", action="store_true", help="list every array of a long file")
    convert = add_command(verbs, "convert", run_convert, "write weights as .npz or .safetensors", json_option=False)
    convert.add_argument("file", metavar="IN", help=".npz, .safetensors, PyTorch's .pth or .caffemodel")
    convert.add_argument("output", metavar="OUT", help="file to write; its ending, .npz or .safetensors, is the format")


def run_show(arguments):
    """Run `atrous weights show`."""
    from atrous.nets.guess import describe

    found = describe(arguments.file)
    say, tensors = printer(arguments), found["tensors"]
    dtypes = ", ".join(dict.fromkeys(t["dtype"] for t in tensors))
    say(
        f"{found['file']}: {found['format']}, {found['file_bytes'] / 1e6:,.2f} MB; read: {len(tensors)} arrays, "
        f"{found['numbers']:,} numbers, {dtypes}, {found['bytes'] / 1e6:,.2f} MB"
    )
    if found["crf"]:
        say("it has a CRF layer: load it with build(…).with_crf()")
    for network in found["networks"]:
        _say_fit(say, network, found)
    if near := found["nearest"]:
        say(f"fits none of the networks; the nearest is {near['name']} with {near['classes']} classes:")
        say(f"  {near['differences']}")
        _say_parts(say, near, found["file"])
    if names := found["backbones"]:
        say(f"its arrays fill the backbone of {', '.join(names)}: load with fresh='head'")
    rows = [{**t, "name": shown(t["name"]), "shape": "×".join(map(str, t["shape"])) or "one number"} for t in tensors]
    lines = table(rows)
    if len(rows) > SHOWN and not arguments.all:
        lines[SHOWN - 4 : -5] = [f"… {len(rows) - SHOWN} more, shown by --all"]
    say("\n".join(("", *lines)))
    write_json(arguments, found)


def _say_parts(say, near, file):
    """Print how much of each part of the nearest network a file fills, and how to load that much."""
    filled = (f"{fitting} of {arrays} arrays of the {part}" for part, (fitting, arrays) in near["parts"].items())
    say(f"  it fills {', '.join(filled)}")
    if near["fresh"]:
        options = ", ".join(f"{key}={value!r}" for key, value in near["options"].items())
        say(f"  to initialise the {near['fresh']} and load the rest:")
        load = f"load({file!r}, fresh={near['fresh']!r}, rng=numpy.random.default_rng(0))"
        say(f"  params, state = atrous.build({near['name']!r}, {options}).{load}")


def _say_fit(say, network, found):
    """Print a network that weights fit and how to use them."""
    file, options = found["file"], ", ".join(f"{key}={value!r}" for key, value in network["options"].items())
    say(f"fits {network['name']} with {network['options']['classes']} classes:")
    if network["options"]["classes"] <= 255:
        named = f" --model {network['name']}" if len(found["networks"]) > 1 else ""
        say(f"  atrous segment IMAGE --weights {shlex.quote(file)}{named} -o DIR")
    say(f"  params, state = atrous.build({network['name']!r}, {options}).load({file!r})")


def run_convert(arguments):
    """Run `atrous weights convert`."""
    from atrous.apps.jobs import refuse_overwriting
    from atrous.weights.files import load_weights, save_weights

    source, output = Path(arguments.file), Path(arguments.output)
    if output.suffix.lower() not in (".npz", ".safetensors"):
        raise UsageError(f"OUT must end in .npz or .safetensors, got {arguments.output!r}.")
    try:
        refuse_overwriting([source], [(output, source)])
    except ParameterError as error:
        raise UsageError(str(error)) from None
    weights = load_weights(source)
    save_weights(weights, output)
    print(f"{output}: {len(weights)} arrays, {output.stat().st_size / 1e6:,.2f} MB")
