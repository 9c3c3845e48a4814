"""Run every notebook from scratch and save it; with --check, save nothing and fail if a file would change.

    python notebooks/execute.py [--check] [NAMES]

NAMES are notebooks, or the start of their names, such as "02"; the default is all. Text and sources are always
compared. Pictures are compared byte for byte if the libraries and the machine are the ones recorded in the notebook.
Otherwise they are only counted, because every version of Matplotlib draws a little differently.
"""

import argparse
import difflib
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import nbformat
from llvmlite.binding import get_host_cpu_name
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).parent
PICTURES = ("image/png", "image/gif", "image/svg+xml")


def drawn_with():
    """Return the versions and the machine that decide the bytes of a picture, training's last bits included."""
    kernels = os.environ.get("OPENBLAS_CORETYPE", "its own")
    return {
        "matplotlib": version("matplotlib"),
        "pillow": version("pillow"),
        "machine": f"{platform.system()} {platform.machine()}, {get_host_cpu_name()}, BLAS for {kernels}",
    }


def execute(path):
    """Run a notebook from top to bottom in a fresh process and return it in its normal form."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as settings:
        os.environ.update(ATROUS_QUIET="1", ATROUS_STATIC="1", IPYTHONDIR=settings, PYDEVD_DISABLE_FILE_VALIDATION="1")
        place = {"metadata": {"path": str(path.parent)}}
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=place).execute()
    return normalised(notebook, path.stem)


def normalised(notebook, stem):
    """Return the notebook with counts from 1, ids made from its number, and nothing that varies between runs."""
    count = 0
    for index, cell in enumerate(notebook.cells, start=1):
        cell.id = f"{stem.split('_')[0]}-{index:02d}"
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        cell.outputs = _joined(cell.outputs)
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
    notebook.metadata = nbformat.from_dict(
        {
            "atrous": drawn_with(),
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    return notebook


def _joined(outputs):
    """Return the outputs with adjacent pieces of the same stream joined."""
    joined = []
    for output in outputs:
        if joined and output.output_type == joined[-1].output_type == "stream" and output.name == joined[-1].name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def shown(notebook, *, pictures):
    """Return the lines to compare; a picture is one line, with its data only if `pictures` is true."""
    lines = []
    for cell in notebook.cells:
        lines += [f"[{cell.id}] {cell.cell_type} {cell.metadata.get('tags', [])}", *cell.source.splitlines()]
        for output in cell.get("outputs", []):
            lines.append(f"output: {output.output_type}")
            lines += output.get("text", "").splitlines()
            for kind, data in sorted(output.get("data", {}).items()):
                if kind in PICTURES:
                    lines.append(f"picture {kind}: {data}" if pictures else "picture")
                elif "IPython.core.display" not in data:
                    lines += str(data).splitlines()
    return lines


def compare(path, fresh):
    """Return the differences between the file and a fresh run as lines of text; an empty list if they agree."""
    stored = nbformat.read(path, as_version=4)
    pictures = stored.metadata.get("atrous") == fresh.metadata["atrous"]
    before, after = (shown(notebook, pictures=pictures) for notebook in (stored, fresh))
    changes = difflib.unified_diff(before, after, f"{path.name}, stored", f"{path.name}, run now", lineterm="", n=1)
    return [line if len(line) < 160 else f"{line[:157]}…" for line in changes]


def main(arguments=None):
    """Execute the chosen notebooks; return 0 if none failed and, with --check, none changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAMES", help='notebooks, or the start of their names, such as "02"'
    )
    parser.add_argument("--check", action="store_true", help="save nothing; fail if a run differs from the file")
    options = parser.parse_args(arguments)
    wanted = tuple(Path(name).name for name in options.names) or ("",)
    paths = [path for path in sorted(FOLDER.glob("*.ipynb")) if path.name.startswith(wanted)]
    if not paths:
        print(f"no notebook's name starts with {' or '.join(wanted)}", file=sys.stderr)
        return 2
    failed = 0
    for path in paths:
        try:
            fresh = execute(path)
        except CellExecutionError as error:
            failed += 1
            print(f"{path.name}: {error}", file=sys.stderr, flush=True)
            continue
        if options.check:
            changes = compare(path, fresh)
            failed += bool(changes)
            print(f"{path.name}: {'differs' if changes else 'as stored'}", *changes, sep="\n", flush=True)
        else:
            path.write_bytes((nbformat.writes(fresh) + "\n").encode())
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
