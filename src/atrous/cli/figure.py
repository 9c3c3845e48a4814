"""`atrous figure`: draw a figure by its name, for slides and scripts."""

from pathlib import Path

from atrous.cli.common import UsageError, add_command, printer, write_json

ENDINGS = (".svg", ".pdf", ".png")


def add(commands):
    """Add the command and its arguments."""
    figure = add_command(commands, "figure", run, "draw a figure by its paper's name, as SVG, PDF or PNG")
    figure.add_argument("name", metavar="NAME", help='such as v2-fig2; "list" shows all names, "all" draws all')
    figure.add_argument("-o", "--output", metavar="FILE", help="the file; with all, a folder (default: NAME.svg)")
    figure.add_argument("--format", choices=[e[1:] for e in ENDINGS], default="svg", help="of all (default: svg)")


def _destinations(arguments, names):
    """Return the file of each figure that is asked for."""
    if arguments.name == "all":
        folder = Path(arguments.output or "figures")
        folder.mkdir(parents=True, exist_ok=True)
        return {name: folder / f"{name}.{arguments.format}" for name in names}
    path = Path(arguments.output or f"{arguments.name}.{arguments.format}")
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"-o needs a file that ends in {', '.join(ENDINGS)}, got {str(path)!r}.")
    if not path.parent.is_dir():
        raise UsageError(f"-o {path}: there is no folder {str(path.parent)!r}.")
    return {arguments.name: path}


def run(arguments):
    """Run the command."""
    from atrous.figures import save
    from atrous.figures.by_name import figure_named, named_figures, title_of

    say, names = printer(arguments), named_figures()
    if arguments.name == "list":
        rows = {name: {"rebuilds": found.rebuilds, "title": title_of(found)} for name, found in names.items()}
        width = max(map(len, names))
        for name, row in rows.items():
            say(f"{name:<{width}}  {row['rebuilds'] or row['title']}")
        write_json(arguments, rows)
        return 0
    paths = _destinations(arguments, names)
    for name, path in paths.items():
        save(figure_named(name), path)
        say(str(path))
    write_json(arguments, {name: str(path) for name, path in paths.items()})
    return 0
