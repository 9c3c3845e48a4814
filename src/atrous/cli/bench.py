"""`atrous bench`: measure on this machine."""

from atrous.cli.common import (
    UsageError,
    add_command,
    image_size,
    integers,
    printer,
    progress_line,
    stride_option,
    write_json,
)
from atrous.errors import AtrousError


def add(commands):
    """Add the commands and their arguments."""
    bench = add_command(commands, "bench", None, "measure on this machine", json_option=False)
    subjects = bench.add_subparsers(title="subjects", dest="subject", metavar="SUBJECT", required=True)
    conv = add_command(subjects, "conv", run_conv, "im2col against interlace: forward, dx and dw")
    conv.add_argument("--methods", default="im2col,interlace", help="comma-separated (default: im2col,interlace)")
    conv.add_argument(
        "--cases", choices=("short", "all"), default="short", help="all adds DeepLab's largest layers (default: short)"
    )
    conv.add_argument("--shape", metavar="C,F,SIZE[,N]", help="one layer instead of the built-in cases")
    conv.add_argument("--groups", type=int, default=1, metavar="G", help="channel groups of --shape")
    conv.add_argument("--rates", metavar="R,R,...", help="rates for --shape; without it, rates of the sweep")
    conv.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    conv.add_argument("--threads", type=int, metavar="T", help="threads of every pool (default: all cores)")
    conv.add_argument("--peers", action="store_true", help="also measure PyTorch; install its CPU build first")
    conv.add_argument("--plot", metavar="FILE", help="draw the times (PNG or SVG)")
    crf = add_command(
        subjects, "crf", run_crf, "the dense CRF: stages, whole runs, memory, and the error of the lattice"
    )
    crf.add_argument("--cases", choices=("short", "all"), default="short", help="all adds 1024 x 512 (default: short)")
    crf.add_argument("--size", metavar="W,H,LABELS", help="one size and number of labels instead of the cases")
    crf.add_argument("--threads", type=int, metavar="T", help="threads of the first contestant (default: all cores)")
    crf.add_argument(
        "--peers",
        action="store_true",
        help="also measure pydensecrf; install pydensecrf2 first (it needs a compiler)",
    )
    crf.add_argument("--plot", metavar="FILE", help="draw the times (PNG or SVG)")
    messages = add_command(
        subjects, "messages", run_messages, "ways to compute the CRF's messages: time, memory, error, mean IoU"
    )
    messages.add_argument("photographs", nargs="*", metavar="IMAGE", help="(default: one that Matplotlib ships)")
    aspp = add_command(subjects, "aspp", run_aspp, "ASPP: branches in one pass or one by one, and whole blocks")
    aspp.add_argument("--threads", type=int, metavar="T", help="threads of every pool (default: all cores)")
    aspp.add_argument("--peers", action="store_true", help="also measure PyTorch; install its CPU build first")
    network = add_command(subjects, "network", run_network, "one image through a network, and where the time goes")
    network.add_argument(
        "name", nargs="?", metavar="NAME", help="one of `atrous networks` (default: torchvision_deeplabv3_resnet101)"
    )
    network.add_argument("--size", default="513", metavar="N or H,W", help="size of the image (default: 513)")
    network.add_argument("--output-stride", type=int, metavar="N", help="instead of the network's own")
    network.add_argument("--profile", action="store_true", help="time every kind of layer")
    network.add_argument("--threads", type=int, metavar="T", help="threads of every pool (default: all cores)")
    network.add_argument("--peers", action="store_true", help="also measure PyTorch; install its CPU build first")
    train = add_command(subjects, "train", run_train, "a step of training, and where the time goes")
    train.add_argument("name", nargs="?", metavar="NAME", help="one of `atrous networks` (default: two of them)")
    train.add_argument("--size", type=int, default=129, metavar="N", help="side of the images of NAME (default: 129)")
    train.add_argument("--batch", type=int, default=4, metavar="N", help="images in a step of NAME (default: 4)")
    train.add_argument("--threads", type=int, metavar="T", help="threads of every pool (default: all cores)")
    train.add_argument("--peers", action="store_true", help="also measure PyTorch; install its CPU build first")
    fit = add_command(subjects, "fit", run_fit, 'fit the table by which method="auto" chooses')
    roofs = add_command(
        subjects, "roofs", run_roofs, "every method over rate and channels, beside the machine's limits"
    )
    roofs.add_argument("--plot", metavar="FILE", help="draw the rates (PNG or SVG)")
    for command in (fit, roofs):
        command.add_argument("--threads", type=int, metavar="T", help="threads of every pool (default: all cores)")
    add_command(subjects, "compile", run_compile, "the cost of compiling every function for the first time")


def run_conv(arguments):
    """Run `atrous bench conv`."""
    from atrous.bench import cases, conv, table
    from atrous.bench.contestants import require
    from atrous.conv.methods import method_named

    methods = [m.strip() for m in arguments.methods.split(",")]
    if arguments.peers or "torch" in methods:
        require("bench conv", "torch")
        methods += ["torch"] * ("torch" not in methods)
    rates = integers("--rates", arguments.rates) if arguments.rates else None
    chosen = cases.SHORT if arguments.cases == "short" else cases.ALL
    if arguments.shape:
        shape = integers("--shape", arguments.shape)
        if len(shape) not in (3, 4):
            raise UsageError(f"--shape needs C,F,SIZE or C,F,SIZE,N, got {arguments.shape!r}.")
        c, f, size, *n = shape
        chosen = [cases.ConvCase(c, f, size, rate, *n, groups=arguments.groups) for rate in rates or cases.RATES]
    elif rates:
        chosen = [case._replace(rate=rate) for case in cases.SWEEP[:1] for rate in rates]
    chosen = [case._replace(dtype=arguments.dtype) for case in chosen]
    if arguments.groups > 1 and not arguments.shape:
        raise UsageError("--groups needs --shape.")
    _threads(arguments)
    try:
        for method in methods:
            if method != "torch":
                method_named("bench", method, chosen[0].geometry, arguments.dtype)
    except AtrousError as error:
        raise UsageError(str(error)) from None
    with progress_line("bench conv") as progress:
        found = conv.run(chosen, methods, threads=arguments.threads, progress=progress)
    lines = (*table.environment_lines(found), "", *table.conv_table(found), "", found["verdict"])
    return _report(arguments, found, lines, "figure_bench")


def run_crf(arguments):
    """Run `atrous bench crf`."""
    from atrous.bench import crf, table

    chosen = crf.SHORT if arguments.cases == "short" else crf.ALL
    if arguments.size:
        size = integers("--size", arguments.size)
        if len(size) != 3:
            raise UsageError(f"--size needs W,H,LABELS, got {arguments.size!r}.")
        chosen = [tuple(size)]
    _threads(arguments)
    with progress_line("bench crf") as progress:
        found = crf.run(
            chosen, peers=arguments.peers, threads=arguments.threads, stage_case=chosen[len(chosen) // 2],
            progress=progress,
        )  # fmt: skip
    lines = (*table.environment_lines(found), "", *crf.table(found))
    return _report(arguments, found, lines, "figure_bench_crf")


def run_messages(arguments):
    """Run `atrous bench messages`."""
    from pathlib import Path

    from atrous.bench import messages, table
    from atrous.data.photos import read_photo
    from atrous.examples.photographs import colour_photograph

    photographs = {Path(name).stem: read_photo("bench messages", Path(name)) for name in arguments.photographs}
    if not photographs:
        photographs = {"grace_hopper": colour_photograph(width=600)}
    with progress_line("bench messages") as progress:
        found = messages.run(photographs, progress=progress)
    return _report(arguments, found, (*table.environment_lines(found), "", *messages.table(found)))


def _report(arguments, found, lines, figure=None):
    """Print the lines, write the JSON, draw the plot if one is asked for; return the exit status."""
    say = printer(arguments)
    for line in lines:
        say(line)
    write_json(arguments, found)
    if figure and arguments.plot:
        from atrous import figures

        figures.save(getattr(figures, figure)(found), arguments.plot)
        say(f"plot: {arguments.plot}")
    return 0


def _threads(arguments):
    """Return the checked number of threads."""
    if arguments.threads is not None and arguments.threads < 1:
        raise UsageError(f"--threads needs a positive number, got {arguments.threads}.")
    return arguments.threads


def run_aspp(arguments):
    """Run `atrous bench aspp`."""
    from atrous.bench import aspp, table

    threads = _threads(arguments)
    with progress_line("bench aspp") as progress:
        found = aspp.run(peers=arguments.peers, threads=threads, progress=progress)
    return _report(arguments, found, (*table.environment_lines(found), "", *aspp.table(found)))


def run_network(arguments):
    """Run `atrous bench network`."""
    from atrous.bench import network, table
    from atrous.nets.catalogue import build

    name, size, threads = arguments.name or network.DEFAULT, image_size(arguments.size), _threads(arguments)
    options = stride_option(arguments)
    try:
        build(name, **options).summary(size)
    except AtrousError as error:
        raise UsageError(str(error)) from None
    with progress_line("bench network") as progress:
        found = network.run(
            name, size, options, peers=arguments.peers, profile=arguments.profile, threads=threads, progress=progress
        )
    return _report(arguments, found, (*table.environment_lines(found), "", *network.table(found)))


def run_train(arguments):
    """Run `atrous bench train`."""
    from atrous.bench import table, train
    from atrous.nets.catalogue import build

    threads, cases = _threads(arguments), train.CASES
    if arguments.name:
        cases = [(arguments.name, arguments.size, arguments.batch)]
        if arguments.batch < 1:
            raise UsageError(f"--batch needs a positive number, got {arguments.batch}.")
        try:
            build(arguments.name).summary((arguments.size, arguments.size))
        except AtrousError as error:
            raise UsageError(str(error)) from None
    with progress_line("bench train") as progress:
        found = train.run(cases, peers=arguments.peers, threads=threads, progress=progress)
    return _report(arguments, found, (*table.environment_lines(found), "", *train.table(found)))


def run_fit(arguments):
    """Run `atrous bench fit`."""
    from atrous.bench import fit

    threads = _threads(arguments)
    with progress_line("bench fit") as progress:
        found = fit.run(threads=threads, progress=progress)
    return _report(arguments, found, fit.table(found))


def run_roofs(arguments):
    """Run `atrous bench roofs`."""
    from atrous.bench import roofs, table

    threads = _threads(arguments)
    with progress_line("bench roofs") as progress:
        found = roofs.run(threads=threads, progress=progress)
    return _report(arguments, found, (*table.environment_lines(found), "", *table.conv_table(found)), "figure_roofs")


def run_compile(arguments):
    """Run `atrous bench compile`."""
    from atrous.bench import compile as compilation

    with progress_line("bench compile") as progress:
        progress(0, 1, "all functions, into an empty cache")
        found = compilation.run()
    return _report(arguments, found, compilation.table(found))
