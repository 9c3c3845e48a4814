"""Write results/layers.json and .txt: ten atrous layers beside PyTorch, quiet and beside one busy core."""

import json
from pathlib import Path

from atrous.bench import layers, table
from atrous.progress import ProgressLine

RESULTS = Path(__file__).parent / "results"


def main():
    found = layers.run(progress=ProgressLine("layers"))
    (RESULTS / "layers.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = [*table.environment_lines(found), "", *layers.table(found)]
    (RESULTS / "layers.txt").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
