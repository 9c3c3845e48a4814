"""Write results/fit.json and fit.txt: the cost model of method="auto", and how well it chooses."""

import json
from pathlib import Path

from atrous.bench import fit
from atrous.progress import ProgressLine

RESULTS = Path(__file__).parent / "results"


def main():
    found = fit.run(progress=ProgressLine("fit"))
    (RESULTS / "fit.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = [f"{found['environment']['cpu']}, {found['environment']['threads']} threads", "", *fit.table(found)]
    (RESULTS / "fit.txt").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
