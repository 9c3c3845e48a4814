"""Build a page on which notebooks 02 to 07 run in the reader's browser, with nothing to install.

    pip install -e ".[lite]" && python notebooks/make_lite.py [-o FOLDER]

The page is a folder of static files, made by JupyterLite: any web server shows it, and GitHub Pages does. Python, NumPy
and Matplotlib come from Pyodide's servers when a reader opens it; this package comes with the page. There is no Numba
in a browser, so the plain NumPy forms run.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

FOLDER = Path(__file__).parent
# Those that need no compiler to be quick enough.
CHOSEN = ("02", "03", "04", "05", "06", "07")
INSTALL = '# This page brings its own copy of the package.\n%pip install -q atrous "ipywidgets>=8.1"'


def with_installation(notebook):
    """Return a notebook whose first code cell installs the package; outputs stay."""
    first = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    cell = nbformat.v4.new_code_cell(INSTALL, id="install")
    notebook.cells.insert(first, cell)
    return notebook


def build(output):
    """Write the page to the folder `output`."""
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        contents = work / "contents" / "notebooks"
        contents.mkdir(parents=True)
        for path in sorted(FOLDER.glob("*.ipynb")):
            if path.name.startswith(CHOSEN):
                notebook = with_installation(nbformat.read(path, as_version=4))
                nbformat.write(notebook, contents / path.name)
        results = work / "contents" / "benchmarks" / "results"
        results.mkdir(parents=True)
        for name in ("conv.json", "roofs.json"):
            (results / name).write_bytes((FOLDER.parent / "benchmarks" / "results" / name).read_bytes())
        wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(work), str(FOLDER.parent)]
        subprocess.run(wheel, check=True)
        (found,) = work.glob("atrous-*.whl")
        command = [
            sys.executable, "-m", "jupyterlite_core", "build", "--lite-dir", str(work), "--contents",
            str(work / "contents"), "--output-dir", str(output.resolve()), "--piplite-wheels", str(found),
        ]  # fmt: skip
        subprocess.run(command, check=True, cwd=work)


def main(arguments=None):
    """Build the page; return 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("page"), help='the folder to write, "page" if left out'
    )
    build(parser.parse_args(arguments).output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
