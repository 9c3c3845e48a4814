"""Write results/conv.json and its plot: all layers, im2col, interlace and, where it is installed, PyTorch."""

import importlib.util
import json
from pathlib import Path

from atrous import figures
from atrous.bench import cases, conv, table
from atrous.progress import ProgressLine

RESULTS = Path(__file__).parent / "results"


def main():
    methods = ["im2col", "interlace"]
    if importlib.util.find_spec("torch"):
        methods.append("torch")
    depthwise = cases.ConvCase(728, 728, 33, 2, groups=728)
    found = conv.run(cases.ALL, methods, rounds=3, seconds=0.3, progress=ProgressLine("conv"))
    alone = conv.run([depthwise], ["direct", *methods[2:]], rounds=5, seconds=0.3, progress=ProgressLine("depthwise"))
    found["depthwise"] = alone["rows"]
    (RESULTS / "conv.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    lines = [*table.environment_lines(found), "", *table.conv_table(found), "", found["verdict"], ""]
    lines += table.conv_table(alone)
    (RESULTS / "conv.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    figures.save(figures.figure_bench(found), RESULTS / "conv.svg")


if __name__ == "__main__":
    main()
