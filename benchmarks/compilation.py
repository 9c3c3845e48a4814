"""Write results/compile.json and compile.txt: the seconds of every kernel's first compilation on this machine."""

import json
from pathlib import Path

from atrous.bench import compile as compilation

RESULTS = Path(__file__).parent / "results"


def main():
    found = compilation.run()
    (RESULTS / "compile.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = [f"{found['environment']['cpu']}, numba {found['environment']['numba']}", "", *compilation.table(found)]
    (RESULTS / "compile.txt").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
