"""The command line: `atrous demo`, `segment`, `refine` and so on. Parsing and printing; the work is done elsewhere."""

import argparse
import contextlib
import importlib.util
import json
import math
import os
import shlex
import sys
from pathlib import Path

from atrous.errors import AtrousError, ParameterError


def main(argv=None):
    """Run the command line and return its exit code: 0 done, 1 failed, 2 wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    parser = _parser()
    try:
        arguments = parser.parse_args(argv)
        if not hasattr(arguments, "run"):
            parser.print_help()
            return 2
        _check_outputs(arguments)
        return arguments.run(arguments) or 0
    except BrokenPipeError:
        # The reader has gone, as `| head` does. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("atrous: interrupted.", file=sys.stderr)
        return 1
    except Exception as error:
        if os.environ.get("ATROUS_DEBUG"):
            raise
        message = str(error).strip() or type(error).__name__
        if not isinstance(error, (AtrousError, OSError, MemoryError)):
            message = f"{type(error).__name__}: {message.splitlines()[0]} (ATROUS_DEBUG=1 shows where)"
        print(f"atrous: {message}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


# Arrays of a file of weights that are listed without being asked for.
SHOWN = 24
# Photographs with a longer side are told that a smaller scale may serve better.
LARGE = 1500


class UsageError(AtrousError):
    """The command line asks for something that does not exist; exit code 2."""


def _check_outputs(arguments):
    """Refuse files that cannot or should not be written before any work is done."""
    for option, endings in (("json", (".json",)), ("plot", (".png", ".svg", ".pdf"))):
        name = getattr(arguments, option, None)
        if name in (None, "-"):
            continue
        if not name.lower().endswith(endings):
            raise UsageError(f"--{option} writes a file that ends in {' or '.join(endings)}, got {name!r}.")
        folder = Path(name).parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UsageError(f"--{option} {name}: there is no folder {str(folder)!r} that can be written to.")


def _parser():
    import atrous

    parser = argparse.ArgumentParser(
        prog="atrous",
        description="DeepLab from scratch: networks, atrous convolution, the dense CRF, gradients and pictures.",
    )
    parser.add_argument("--version", action="version", version=f"atrous {atrous.__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")

    demo = _command(commands, "demo", _demo, "draw the papers' figures, compare the methods, check the gradients")
    demo.add_argument("image", nargs="?", help="your own picture instead of Matplotlib's portrait of Grace Hopper")
    demo.add_argument("-o", "--output", default="demo", metavar="FOLDER", help="where the pictures go (default: demo)")

    segment = _command(commands, "segment", _segment, "label every pixel of photographs by a network")
    segment.add_argument("images", nargs="+", metavar="IMAGE", help="a photograph of any kind, or several")
    segment.add_argument(
        "--weights", required=True, metavar="FILE", help=".npz, .safetensors, .pth of PyTorch or .caffemodel"
    )
    segment.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for NAME.png and _overlay.png")
    segment.add_argument(
        "--model", metavar="NAME", help="the network, one of `atrous networks`; left out, the one that the weights fit"
    )
    segment.add_argument("--classes", type=int, metavar="N", help="channels of its scores; left out, the weights tell")
    segment.add_argument("--output-stride", type=int, metavar="N", help="instead of the network's")
    segment.add_argument(
        "--crf", action=_Preset, metavar="PRESET",
        help="sharpen by the fully connected CRF with this preset; --crf list shows them",
    )  # fmt: skip
    segment.add_argument(
        "--scales", default="1", metavar="S,S,...", help="see each photograph at these sizes, such as 0.5,1,1.5"
    )
    segment.add_argument("--flip", action="store_true", help="see mirror images too")
    segment.add_argument(
        "--half-pixel", action="store_true", help="resize by half-pixel centres (v2 weights of kazuto1011)"
    )
    segment.add_argument(
        "--palette", choices=("voc", "context", "person-part", "cityscapes"),
        help="names and colours of the classes; left out, those of the dataset with as many classes",
    )  # fmt: skip

    refine = _command(
        commands, "refine", _refine, "sharpen rough labels along the edges of their photograph (fully connected CRF)"
    )
    refine.add_argument("images", nargs="+", metavar="IMAGE", help="one photograph, or several")
    refine.add_argument(
        "labels",
        metavar="LABELS",
        help="a PNG in which every colour is a label and black is unknown, or .npy or .npz with probabilities "
        "(labels, height, width) at the photograph's size or evenly reduced; for several photographs a folder of such "
        "files with their names",
    )
    refine.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="palette PNG to write; for several photographs a folder"
    )
    refine.add_argument(
        "--preset", action=_Preset, default="densecrf", metavar="NAME",
        help="weights and standard deviations (default: densecrf); --preset list shows them",
    )  # fmt: skip
    refine.add_argument("--iterations", type=int, metavar="N", help="instead of the preset's")
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
    refine.add_argument("--overlay", metavar="PNG", help="write the photograph with the labels over it; or a folder")
    refine.add_argument("--probabilities", metavar="NPY", help="write the probabilities (L, H, W); or a folder")

    _command(commands, "networks", _networks, "list the networks and how many parameters they have")
    summary = _command(commands, "summary", _summary, "the layers of a network: sizes, parameters, field of view, work")
    summary.add_argument("name", metavar="NAME", help="one of `atrous networks`")
    summary.add_argument("--classes", type=int, metavar="N", help="channels of its scores")
    summary.add_argument("--size", default="513", metavar="N[,N]", help="height and width of the image (default: 513)")
    summary.add_argument("--output-stride", type=int, metavar="N", help="instead of the network's")

    weights = _command(commands, "weights", None, "look into files of weights, and convert them", json_option=False)
    verbs = weights.add_subparsers(title="what to do", dest="verb", metavar="VERB", required=True)
    show = _command(verbs, "show", _weights_show, "what a file holds, and which network it fits")
    show.add_argument("file", metavar="FILE", help=".npz, .safetensors, .pth of PyTorch or .caffemodel")
    show.add_argument("--all", action="store_true", help="list every array of a long file")
    convert = _command(verbs, "convert", _weights_convert, "write weights as .npz or .safetensors", json_option=False)
    convert.add_argument("file", metavar="IN", help=".npz, .safetensors, .pth of PyTorch or .caffemodel")
    convert.add_argument("output", metavar="OUT", help="its ending, .npz or .safetensors, is the format")

    bench = _command(commands, "bench", None, "measure on this machine", json_option=False)
    subjects = bench.add_subparsers(title="subjects", dest="subject", metavar="SUBJECT", required=True)
    conv = _command(subjects, "conv", _bench_conv, "im2col against interlace, forward, dx and dw")
    conv.add_argument("--methods", default="im2col,interlace", help="comma-separated (default: im2col,interlace)")
    conv.add_argument(
        "--cases", choices=("short", "all"), default="short", help="all adds DeepLab's largest layers (default: short)"
    )
    conv.add_argument("--shape", metavar="C,F,SIZE[,N]", help="one layer instead of the built-in cases")
    conv.add_argument("--groups", type=int, default=1, metavar="G", help="channel groups of --shape")
    conv.add_argument("--rates", metavar="R,R,...", help="rates for --shape, or for the sweep over rates alone")
    conv.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    conv.add_argument("--threads", type=int, metavar="T", help="threads of every pool (default: all cores)")
    conv.add_argument("--peers", action="store_true", help="PyTorch too; install PyTorch's CPU build first")
    conv.add_argument("--plot", metavar="FILE", help="draw the times (PNG or SVG)")
    crf = _command(subjects, "crf", _bench_crf, "the dense CRF: stages, whole runs, memory, error against exact")
    crf.add_argument("--cases", choices=("short", "all"), default="short", help="all adds 1024 x 512 (default: short)")
    crf.add_argument("--size", metavar="W,H,LABELS", help="one image size and number of labels instead")
    crf.add_argument("--threads", type=int, metavar="T", help="threads of the first contestant (default: all cores)")
    crf.add_argument(
        "--peers", action="store_true", help="pydensecrf too; install pydensecrf2 first (it needs a compiler)"
    )
    crf.add_argument("--plot", metavar="FILE", help="draw the times (PNG or SVG)")
    aspp = _command(subjects, "aspp", _bench_aspp, "ASPP: branches in one pass against one by one, whole blocks")
    aspp.add_argument("--threads", type=int, metavar="T", help="threads of every pool (default: all cores)")
    aspp.add_argument("--peers", action="store_true", help="PyTorch too; install PyTorch's CPU build first")
    network = _command(subjects, "network", _bench_network, "one image through a network, and where the time goes")
    network.add_argument(
        "name", nargs="?", metavar="NAME", help="one of `atrous networks` (default: torchvision_deeplabv3_resnet101)"
    )
    network.add_argument("--size", default="513", metavar="N or H,W", help="size of the image (default: 513)")
    network.add_argument("--output-stride", type=int, metavar="N", help="instead of the network's own")
    network.add_argument("--profile", action="store_true", help="time every kind of layer")
    network.add_argument("--threads", type=int, metavar="T", help="threads of every pool (default: all cores)")
    network.add_argument("--peers", action="store_true", help="PyTorch too; install PyTorch's CPU build first")
    _command(subjects, "compile", _bench_compile, "what the first compilation of every kernel costs")

    check = _command(commands, "gradcheck", _gradcheck, "check the gradients of atrous, or of a file of yours")
    check.add_argument(
        "file", nargs="?", metavar="FILE.py", help="a file that defines a forward and a backward function"
    )
    check.add_argument("--forward", default="forward", help="name of the forward function (default: forward)")
    check.add_argument("--backward", default="backward", help="name of the backward function (default: backward)")
    check.add_argument("--shapes", nargs="+", metavar="N,N,...", help="shapes of the inputs, drawn at random")
    check.add_argument("--mode", choices=("full", "sample", "directional"), default="full")

    info = _command(commands, "info", _info, "versions, threads, BLAS, CUDA, cache")
    info.add_argument("--clear-cache", action="store_true", help="delete the compiled kernels")
    return parser


class _Preset(argparse.Action):
    """Take the name of a preset, or show all for `list`."""

    def __call__(self, parser, namespace, value, option_string=None):
        from atrous.crf.params import CRF_PRESETS

        if value == "list":
            from atrous import refine

            print("\n".join(refine.preset_lines()))
            parser.exit()
        if value not in CRF_PRESETS:
            parser.error(f"{option_string} must be one of {', '.join(CRF_PRESETS)}, got {value!r}.")
        setattr(namespace, self.dest, value)


def _command(commands, name, run, text, *, json_option=True):
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    if run:
        parser.set_defaults(run=run)
    if json_option:
        parser.add_argument(
            "--json",
            nargs="?",
            const="-",
            metavar="FILE",
            help="write the results as JSON to FILE.json, or to standard output",
        )
    return parser


def _printer(arguments):
    """Return where lines of text go: nowhere if standard output is taken by JSON."""
    return (lambda line="": None) if arguments.json == "-" else print


def _write_json(arguments, found):
    if arguments.json == "-":
        print(json.dumps(found, indent=2))
    elif arguments.json:
        _replace(Path(arguments.json), json.dumps(found, indent=1) + "\n")


def _replace(path, text):
    """Write a text file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


@contextlib.contextmanager
def _progress(name):
    from atrous.progress import ProgressLine

    line = ProgressLine(name)
    try:
        yield line
    finally:
        line.close()


def _demo(arguments):
    from atrous import demo

    with _progress("demo") as progress:
        found = demo.run(arguments.image, arguments.output, say=_printer(arguments), progress=progress)
    _write_json(arguments, found)
    return 0 if all(found["gradients"].values()) else 1


def _refine(arguments):
    from atrous import refine
    from atrous.data.palettes import _colour

    for option, value, least in (("--tile", arguments.tile, 1), ("--iterations", arguments.iterations, 0)):
        if value is not None and value < least:
            raise UsageError(f"{option} takes an integer of at least {least}, got {value}.")
    if not 0 < arguments.confidence < 1:
        raise UsageError(f"--confidence takes a number between 0 and 1, got {arguments.confidence}.")
    unknown = None if arguments.unknown.lower() == "none" else arguments.unknown
    try:
        if unknown is not None:
            _colour("--unknown", unknown)
        jobs, failures = refine.plan(
            arguments.images, arguments.labels, arguments.output,
            overlay=arguments.overlay, probabilities=arguments.probabilities,
        )  # fmt: skip
    except AtrousError as error:
        raise UsageError(str(error)) from None
    settings = refine.Settings(
        arguments.preset, arguments.iterations, arguments.normalization, unknown, arguments.confidence, arguments.tile
    )
    found, failures = _one_by_one(
        "refine", jobs, lambda job, progress: refine.refine_file(job, settings, progress=progress),
        _refined_line, _printer(arguments), failures,
    )  # fmt: skip
    _write_json(arguments, {**settings._asdict(), "files": found, "failed": failures})
    return 1 if failures else 0


def _one_by_one(name, jobs, work, line, say, failures=()):
    """Return what the jobs give and what failed: one bad photograph does not stop the others.

    `failures` are pairs (photograph, reason) of those that cannot even be tried. One job alone is told of `progress`,
    and its error is raised.
    """
    several = len(jobs) + len(failures) > 1
    width = max((len(job.image.name) for job in jobs), default=0)
    for image, reason in failures:
        print(f"atrous: {image}: {reason}", file=sys.stderr)
    found, failures = [], [{"image": str(image), "error": reason} for image, reason in failures]
    with _progress(name) as progress:
        for done, job in enumerate(jobs):
            if several:
                progress(done, len(jobs), job.image.name)
            try:
                row = work(job, None if several else progress)
            except (AtrousError, OSError, MemoryError) as error:
                if not several:
                    raise
                progress.close()
                reason = str(error) or type(error).__name__
                print(f"atrous: {job.image}: {reason}", file=sys.stderr)
                failures.append({"image": str(job.image), "error": reason})
                continue
            progress.close()
            found.append(row)
            say(line(row, job.image.name.ljust(width)))
    if failures and several:
        total = len(jobs) + sum(f["image"] not in {str(job.image) for job in jobs} for f in failures)
        print(f"atrous: {len(failures)} of {total} photographs failed, the others are done.", file=sys.stderr)
    return found, failures


def _refined_line(row, name):
    labels = "1 label: nothing to decide" if row["labels"] == 1 else f"{row['labels']} labels"
    unknown = f", {row['unknown']:.1%} were unknown" if row["unknown"] else ""
    size = f"{row['width']}×{row['height']}"
    return f"{name}  {size}  {labels}  {row['seconds']:.2f} s  {row['changed']:.1%} of the pixels changed{unknown}"


def _segment(arguments):
    from atrous import segmenting

    try:
        scales = tuple(float(part) for part in arguments.scales.split(","))
    except ValueError:
        scales = (0.0,)
    if not all(0 < scale < math.inf for scale in scales):
        raise UsageError(f"--scales takes positive numbers with commas between them, got {arguments.scales!r}.")
    stride = {} if arguments.output_stride is None else {"output_stride": arguments.output_stride}
    try:
        jobs = segmenting.plan(arguments.images, arguments.output, arguments.weights)
        half = {"align_corners": False} if arguments.half_pixel else {}
        model = segmenting.open_model(
            arguments.weights, arguments.model, arguments.classes, arguments.palette, **stride, **half
        )
    except ParameterError as error:
        raise UsageError(str(error)) from None
    settings = segmenting.Settings(arguments.crf, scales, arguments.flip)
    say = _printer(arguments)
    say(f"{model.network.name}, {model.network.classes} classes")
    found, failures = _one_by_one(
        "segment", jobs, lambda job, progress: segmenting.segment_file(job, model, settings), _segmented_line, say
    )
    network = {"network": model.network.name, "classes": model.network.classes, "options": model.network.options}
    _write_json(arguments, {**network, **settings._asdict(), "files": found, "failed": failures})
    return 1 if failures else 0


def _segmented_line(row, name):
    from atrous.segmenting import percent

    classes = ", ".join(f"{c['name']} {percent(c['share'])}" for c in row["classes"][:4])
    more = len(row["classes"]) - 4
    classes += f" and {more} more" if more > 0 else ""
    longest = max(row["width"], row["height"])
    if longest > LARGE:
        classes += f"; networks are trained on some 500 pixels, try --scales {500 / longest:.2g}"
    return f"{name}  {row['width']}×{row['height']}  {row['seconds']:.2f} s  {classes}"


def _networks(arguments):
    from atrous.nets.catalogue import build, networks

    found = [build(name) for name in networks()]
    rows = [
        {"name": n.name, "parameters": n.parameter_count, "classes": n.classes, "preprocessing": n.preprocessing}
        for n in found
    ]
    _printer(arguments)("\n".join(_table(rows)))
    _write_json(arguments, rows)


def _table(rows):
    """Return lines of rows, dictionaries of the same keys, under their keys: text to the left, numbers to the right."""
    texts = [{key: f"{v:,}" if isinstance(v, int) else str(v) for key, v in row.items()} for row in rows]
    width = {key: max(len(key), *(len(row[key]) for row in texts)) for key in rows[0]}
    sign = {key: ">" if isinstance(value, int) else "<" for key, value in rows[0].items()}
    lines = ({key: key for key in rows[0]}, *texts)
    return ["  ".join(f"{text:{sign[key]}{width[key]}}" for key, text in row.items()).rstrip() for row in lines]


def _summary(arguments):
    from atrous.nets.catalogue import build

    size = _size(arguments.size)
    stride = {} if arguments.output_stride is None else {"output_stride": arguments.output_stride}
    try:
        summary = build(arguments.name, arguments.classes, **stride).summary(size)
    except AtrousError as error:
        raise UsageError(str(error)) from None
    _printer(arguments)(summary)
    rows = [{**row._asdict(), "field": row.field if row.field < math.inf else None} for row in summary.rows]
    field = summary.field if summary.field < math.inf else None
    _write_json(arguments, {**summary._asdict(), "rows": rows, "field": field})


def _weights_show(arguments):
    from atrous.nets.guess import describe

    found = describe(arguments.file)
    say, tensors = _printer(arguments), found["tensors"]
    dtypes = ", ".join(dict.fromkeys(t["dtype"] for t in tensors))
    say(
        f"{found['file']}: {found['format']}, {found['file_bytes'] / 1e6:,.2f} MB; read: {len(tensors)} arrays, "
        f"{found['numbers']:,} numbers, {dtypes}, {found['bytes'] / 1e6:,.2f} MB"
    )
    for network in found["networks"]:
        _fits(say, network, found)
    if near := found["nearest"]:
        say(f"fits none of the networks; the nearest is {near['name']} with {near['classes']} classes:")
        say(f"  {near['differences']}")
    rows = [{**t, "shape": "×".join(map(str, t["shape"])) or "one number"} for t in tensors]
    lines = _table(rows)
    if len(rows) > SHOWN and not arguments.all:
        lines[SHOWN - 4 : -5] = [f"… {len(rows) - SHOWN} more, shown by --all"]
    say("\n".join(("", *lines)))
    _write_json(arguments, found)


def _fits(say, network, found):
    """Print a network that weights fit and how to use them."""
    file, options = found["file"], ", ".join(f"{key}={value!r}" for key, value in network["options"].items())
    say(f"fits {network['name']} with {network['options']['classes']} classes:")
    if network["options"]["classes"] <= 255:
        named = f" --model {network['name']}" if len(found["networks"]) > 1 else ""
        say(f"  atrous segment IMAGE --weights {shlex.quote(file)}{named} -o DIR")
    say(f"  params, state = atrous.build({network['name']!r}, {options}).load({file!r})")


def _weights_convert(arguments):
    from atrous.data.photos import refuse_overwriting
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


def _integers(option, text):
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise UsageError(f"{option} takes positive integers with commas between them, got {text!r}.")
    return numbers


def _bench_conv(arguments):
    from atrous.bench import cases, conv, table
    from atrous.conv.operators import method_named

    methods = [m.strip() for m in arguments.methods.split(",")]
    if arguments.peers or "torch" in methods:
        if importlib.util.find_spec("torch") is None:
            raise UsageError("--peers needs PyTorch, which is not installed; install PyTorch's CPU build first.")
        methods += ["torch"] * ("torch" not in methods)
    rates = _integers("--rates", arguments.rates) if arguments.rates else None
    chosen = cases.SHORT if arguments.cases == "short" else cases.ALL
    if arguments.shape:
        shape = _integers("--shape", arguments.shape)
        if len(shape) not in (3, 4):
            raise UsageError(f"--shape takes C,F,SIZE or C,F,SIZE,N, got {arguments.shape!r}.")
        c, f, size, *n = shape
        chosen = [cases.ConvCase(c, f, size, rate, *n, groups=arguments.groups) for rate in rates or cases.RATES]
    elif rates:
        chosen = [case._replace(rate=rate) for case in cases.SWEEP[:1] for rate in rates]
    chosen = [case._replace(dtype=arguments.dtype) for case in chosen]
    if arguments.groups > 1 and not arguments.shape:
        raise UsageError("--groups belongs to --shape.")
    _threads(arguments)
    try:
        for method in methods:
            if method != "torch":
                method_named("bench", method, chosen[0].geometry)
    except AtrousError as error:
        raise UsageError(str(error)) from None
    say = _printer(arguments)
    with _progress("bench conv") as progress:
        found = conv.run(chosen, methods, threads=arguments.threads, progress=progress)
    for line in (*table.environment_lines(found), "", *table.conv_table(found), "", found["verdict"]):
        say(line)
    _write_json(arguments, found)
    if arguments.plot:
        from atrous import figures

        figures.save(figures.figure_bench(found), arguments.plot)
        say(f"plot: {arguments.plot}")
    return 0


def _bench_crf(arguments):
    from atrous.bench import crf, table

    chosen = crf.SHORT if arguments.cases == "short" else crf.ALL
    if arguments.size:
        size = _integers("--size", arguments.size)
        if len(size) != 3:
            raise UsageError(f"--size takes W,H,LABELS, got {arguments.size!r}.")
        chosen = [tuple(size)]
    _threads(arguments)
    say = _printer(arguments)
    with _progress("bench crf") as progress:
        found = crf.run(
            chosen, peers=arguments.peers, threads=arguments.threads, stage_case=chosen[len(chosen) // 2],
            progress=progress,
        )  # fmt: skip
    for line in (*table.environment_lines(found), "", *crf.table(found)):
        say(line)
    _write_json(arguments, found)
    if arguments.plot:
        from atrous import figures

        figures.save(figures.figure_bench_crf(found), arguments.plot)
        say(f"plot: {arguments.plot}")
    return 0


def _threads(arguments):
    if arguments.threads is not None and arguments.threads < 1:
        raise UsageError(f"--threads takes a positive number, got {arguments.threads}.")
    return arguments.threads


def _bench_aspp(arguments):
    from atrous.bench import aspp, table

    threads = _threads(arguments)
    with _progress("bench aspp") as progress:
        found = aspp.run(peers=arguments.peers, threads=threads, progress=progress)
    for line in (*table.environment_lines(found), "", *aspp.table(found)):
        _printer(arguments)(line)
    _write_json(arguments, found)
    return 0


def _size(text):
    size = _integers("--size", text.replace("×", ",").replace("x", ","))
    if len(size) > 2:
        raise UsageError(f"--size takes N or HEIGHT,WIDTH, got {text!r}.")
    return size * (3 - len(size))


def _bench_network(arguments):
    from atrous.bench import network, table
    from atrous.nets.catalogue import build

    name, size, threads = arguments.name or network.DEFAULT, _size(arguments.size), _threads(arguments)
    options = {} if arguments.output_stride is None else {"output_stride": arguments.output_stride}
    try:
        build(name, **options).summary(size)
    except AtrousError as error:
        raise UsageError(str(error)) from None
    with _progress("bench network") as progress:
        found = network.run(
            name, size, options, peers=arguments.peers, profile=arguments.profile, threads=threads, progress=progress
        )
    for line in (*table.environment_lines(found), "", *network.table(found)):
        _printer(arguments)(line)
    _write_json(arguments, found)
    return 0


def _bench_compile(arguments):
    from atrous.bench import compile as compilation

    with _progress("bench compile") as progress:
        progress(0, 1, "all kernels into an empty cache")
        found = compilation.run()
    for line in compilation.table(found):
        _printer(arguments)(line)
    _write_json(arguments, found)
    return 0


def _gradcheck(arguments):
    if arguments.shapes and not arguments.file:
        raise UsageError("--shapes belongs to a file: atrous gradcheck FILE.py --shapes 4,6 6,3.")
    if arguments.file:
        reports = [(arguments.file, _check_file(arguments))]
    else:
        from atrous import checks

        with _progress("gradcheck") as progress:
            reports = checks.check_operators(progress)
    say = _printer(arguments)
    for name, report in reports:
        say(f"{name}\n{report}\n")
    failed = sum(not report for _, report in reports)
    say(f"{len(reports) - failed} passed, {failed} failed")
    _write_json(arguments, {name: report.to_dict() for name, report in reports})
    return 1 if failed else 0


def _check_file(arguments):
    """Check a forward/backward pair of the user's file on random inputs."""
    import numpy as np

    from atrous.gradients import gradcheck

    if not arguments.shapes:
        raise UsageError("gradcheck of a file needs --shapes, one for each input, for example --shapes 4,6 6,3 3.")
    path = Path(arguments.file)
    if not path.is_file():
        raise AtrousError(f"no file {arguments.file!r}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None:
        raise AtrousError(f"{arguments.file!r} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    # As if Python had started it: it may import its neighbours, and dataclasses look their module up.
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.parent.absolute()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise AtrousError(f"{arguments.file} does not load: {type(error).__name__}: {error}") from error
    pair = []
    for name in (arguments.forward, arguments.backward):
        if not callable(getattr(module, name, None)):
            raise AtrousError(f"{arguments.file} defines no function {name!r}; name it with --forward or --backward.")
        pair.append(getattr(module, name))
    draw = np.random.default_rng(1).standard_normal
    inputs = [draw(_integers("--shapes", shape)) for shape in arguments.shapes]
    try:
        return gradcheck(*pair, inputs, mode=arguments.mode)
    except AtrousError:
        raise
    except (Exception, SystemExit) as error:
        raise AtrousError(f"{arguments.file} stopped with {type(error).__name__}: {error}") from error


def _info(arguments):
    from atrous.jit import disk_cache

    if arguments.clear_cache:
        freed = disk_cache.clear_cache()
        _printer(arguments)(f"cleared {freed / 1e6:.1f} MB of compiled kernels")
        _write_json(arguments, {"cleared_bytes": freed})
        return 0
    from atrous.bench import machine
    from atrous.jit import gpu
    from atrous.jit.warmup import threading_layer

    found = machine.environment()
    threads, layer = threading_layer()
    root = disk_cache.cache_root()
    size = sum(f.stat().st_size for f in root.rglob("*") if f.is_file()) if root and root.is_dir() else 0
    found |= {
        **{name: machine.installed(name) for name in ("scipy", "pillow", "matplotlib", "numba-cuda")},
        "numba_threads": threads,
        "threading_layer": layer,
        "cuda": gpu.why_not() or "available",
        "cache": "off" if root is None else str(root),
        "cache_bytes": size,
    }
    for name, value in found.items():
        _printer(arguments)(f"{name:<16} {'not installed' if value is None else value}")
    _write_json(arguments, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
