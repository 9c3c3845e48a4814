"""`atrous experiment`: ask a question of the papers again, on a drawn world."""

import json
from pathlib import Path

from atrous.cli.common import add_command, printer, write_json


def add(commands):
    """Add the command and its arguments."""
    experiment = add_command(commands, "experiment", run, "ask a question of the papers again: minutes on two cores")
    experiment.add_argument("name", metavar="NAME", help='such as field_of_view; "list" shows all, "all" runs all')
    experiment.add_argument("-o", "--output", default="experiments", metavar="FOLDER", help="for results (experiments)")
    experiment.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="(default: 0 1 2)")
    experiment.add_argument("--steps", type=int, metavar="N", help="of every training: a quick look")
    experiment.add_argument("--processes", type=int, metavar="N", help="trainings at a time (default: all cores)")


def run(arguments):
    """Run the command."""
    from atrous._atomic import replacing
    from atrous.experiments.catalogue import EXPERIMENTS, experiment_named
    from atrous.experiments.run import run_experiment
    from atrous.experiments.verdict import report
    from atrous.figures import figure_experiment, figure_search, image_bytes

    say = printer(arguments)
    if arguments.name == "list":
        found = {name: experiment_named(name) for name in EXPERIMENTS}
        width = max(map(len, found))
        for name, experiment in found.items():
            say(f"{name:<{width}}  {experiment.title}: {experiment.source}")
        write_json(arguments, {name: {"title": e.title, "source": e.source} for name, e in found.items()})
        return 0
    names = EXPERIMENTS if arguments.name == "all" else (arguments.name,)
    for name in names:
        experiment_named(name)
    folder, everything = Path(arguments.output), {}
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:

        def tell(key, seed, seconds, done, total, name=name):
            say(f"{name}: {done} of {total} trainings ({key}, seed {seed}: {seconds:.0f} s)")

        results = run_experiment(
            name, folder, seeds=arguments.seeds, steps=arguments.steps, processes=arguments.processes, tell=tell
        )
        text = report(results)
        files = {
            ".json": (json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode(),
            ".md": text.encode(),
            ".svg": image_bytes(figure_experiment(results), "svg"),
        }
        if "sigma_alpha" in experiment_named(name).columns:
            walks = [row["measures"]["search"] for row in results["rows"] if "search" in row["measures"]]
            files["_search.svg"] = image_bytes(figure_search(walks[-1][0]), "svg")
        paths = [folder / f"{name}{ending}" for ending in files]
        with replacing(*paths) as partials:
            for partial, content in zip(partials, files.values(), strict=True):
                partial.write_bytes(content)
        say("")
        say(text)
        say("Written: " + ", ".join(map(str, paths)))
        everything[name] = results
    write_json(arguments, everything if arguments.name == "all" else results)
    return 0
