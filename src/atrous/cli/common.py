"""What several commands share: usage errors, JSON output, tables, numbers in options, progress."""

import argparse
import contextlib
import json
import os
from pathlib import Path

from atrous._atomic import replacing
from atrous.errors import AtrousError, ParameterError


class UsageError(AtrousError):
    """The command line asks for something impossible; exit code 2."""


def add_command(commands, name, run, text, *, json_option=True):
    """Add a command with its help text and, by default, an option to write its results as JSON."""
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    if run:
        parser.set_defaults(run=run)
    if json_option:
        parser.add_argument(
            "--json", nargs="?", const="-", metavar="FILE",
            help="write the results as JSON to FILE.json, or to standard output",
        )  # fmt: skip
    return parser


def check_outputs(arguments):
    """Raise an error for files that cannot or should not be written, before any work is done."""
    for option, endings in (("json", (".json",)), ("plot", (".png", ".svg", ".pdf"))):
        name = getattr(arguments, option, None)
        if name in (None, "-"):
            continue
        if not name.lower().endswith(endings):
            raise UsageError(f"--{option} needs a file that ends in {' or '.join(endings)}, got {name!r}.")
        folder = Path(name).parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UsageError(f"--{option} {name}: there is no writable folder {str(folder)!r}.")


class Preset(argparse.Action):
    """Take the name of a CRF preset, or a TOML file of `atrous tune`; `list` prints the presets."""

    def __call__(self, parser, namespace, value, option_string=None):
        """Store the name or the CRFParams of the file, or print and exit."""
        from atrous.crf.params import CRF_PRESETS

        if value == "list":
            print("\n".join(preset_lines()))
            parser.exit()
        if value.endswith(".toml"):
            from atrous.crf.params_file import read_params

            try:
                value = read_params(value)
            except ParameterError as error:
                parser.error(f"{option_string}: {error}")
        elif value not in CRF_PRESETS:
            parser.error(f"{option_string} must be one of {', '.join(CRF_PRESETS)}, or a .toml file; got {value!r}.")
        setattr(namespace, self.dest, value)


def preset_lines():
    """Return a table of the CRF presets, one line each."""
    from atrous.crf.params import CRF_PRESETS

    names = ("bilateral", "sigma_alpha", "sigma_beta", "spatial", "sigma_gamma", "iterations", "normalization")
    width = max(map(len, CRF_PRESETS))
    rows = [" ".join(f"{value:>{len(n)}}" for n, value in zip(names, p, strict=True)) for p in CRF_PRESETS.values()]
    head = f"{'preset':<{width}} {' '.join(names)}"
    return [head, *(f"{name:<{width}} {row}" for name, row in zip(CRF_PRESETS, rows, strict=True))]


def printer(arguments):
    """Return the function that prints lines of text: none are printed if standard output is used for JSON."""
    return (lambda line="": None) if arguments.json == "-" else print


def write_json(arguments, found):
    """Write results as JSON if the option asks for it."""
    if arguments.json == "-":
        print(json.dumps(found, indent=2))
    elif arguments.json:
        with replacing(Path(arguments.json)) as (partial,):
            partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


@contextlib.contextmanager
def progress_line(name):
    """Show a line of progress while the block runs."""
    from atrous.progress import ProgressLine

    line = ProgressLine(name)
    try:
        yield line
    finally:
        line.close()


def table(rows):
    """Return lines of text for rows, dictionaries with the same keys: text aligned left, numbers right."""
    texts = [{key: f"{v:,}" if isinstance(v, int) else str(v) for key, v in row.items()} for row in rows]
    width = {key: max(len(key), *(len(row[key]) for row in texts)) for key in rows[0]}
    sign = {key: ">" if isinstance(value, int) else "<" for key, value in rows[0].items()}
    lines = ({key: key for key in rows[0]}, *texts)
    return ["  ".join(f"{text:{sign[key]}{width[key]}}" for key, text in row.items()).rstrip() for row in lines]


def integers(option, text):
    """Return the positive integers of an option such as 4,6."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise UsageError(f"{option} needs positive integers separated by commas, got {text!r}.")
    return numbers


def image_size(text):
    """Return (height, width) from N or HEIGHT,WIDTH."""
    size = integers("--size", text.replace("×", ",").replace("x", ","))
    if len(size) > 2:
        raise UsageError(f"--size needs N or HEIGHT,WIDTH, got {text!r}.")
    return size * (3 - len(size))


def stride_option(arguments):
    """Return the options of `build` for --output-stride."""
    return {} if arguments.output_stride is None else {"output_stride": arguments.output_stride}
