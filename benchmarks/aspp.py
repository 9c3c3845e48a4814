"""Write results/aspp.json and .txt: ASPP in one pass, one by one, and beside PyTorch, where that is installed."""

import importlib.util
import json
from pathlib import Path

from atrous.bench import aspp, table
from atrous.progress import ProgressLine

RESULTS = Path(__file__).parent / "results"


def main():
    peers = importlib.util.find_spec("torch") is not None
    found = aspp.run(peers=peers, rounds=4, seconds=1.2, progress=ProgressLine("aspp"))
    (RESULTS / "aspp.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = "\n".join([*table.environment_lines(found), "", *aspp.table(found)]) + "\n"
    (RESULTS / "aspp.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
