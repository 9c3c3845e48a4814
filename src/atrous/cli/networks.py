"""`atrous networks`: list the networks."""

from atrous.cli.common import add_command, printer, table, write_json


def add(commands):
    """Add the command."""
    add_command(commands, "networks", run, "list the networks and their numbers of parameters")


def run(arguments):
    """Run the command."""
    from atrous.nets.catalogue import build, networks

    found = [build(name) for name in networks()]
    rows = [
        {"name": n.name, "parameters": n.parameter_count, "classes": n.classes, "preprocessing": n.preprocessing}
        for n in found
    ]
    printer(arguments)("\n".join(table(rows)))
    write_json(arguments, rows)
