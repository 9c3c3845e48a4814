"""Write results/train.json and .txt: a step of training, beside PyTorch, where that is installed."""

import importlib.util
import json
from pathlib import Path

from atrous.bench import table, train
from atrous.progress import ProgressLine

RESULTS = Path(__file__).parent / "results"


def main():
    found = train.run(peers=importlib.util.find_spec("torch") is not None, progress=ProgressLine("train"))
    (RESULTS / "train.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = [*table.environment_lines(found), "", *train.table(found)]
    (RESULTS / "train.txt").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
