"""Write results/networks.json and .txt: one image through whole networks, beside PyTorch, where that is installed."""

import importlib.util
import json
from pathlib import Path

from atrous.bench import network, table
from atrous.progress import ProgressLine

RESULTS = Path(__file__).parent / "results"
CHOSEN = [
    "torchvision_deeplabv3_resnet101",
    "torchvision_deeplabv3_resnet50",
    "deeplabv1_largefov",
    "deeplabv2_resnet101_aspp",
    "deeplabv3_resnet101",
    "deeplabv3plus_xception65",
    "deeplabv3_mobilenetv2",
    "vainf_deeplabv3plus_mobilenet",
    "torchvision_deeplabv3_mobilenet_v3_large",
    "torchvision_lraspp_mobilenet_v3_large",
]

PROFILED = (CHOSEN[0], CHOSEN[-1])


def main():
    peers = importlib.util.find_spec("torch") is not None
    found = [
        network.run(name, peers=peers, profile=name in PROFILED, rounds=3, progress=ProgressLine("networks"))
        for name in CHOSEN
    ]
    (RESULTS / "networks.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = table.environment_lines(found[0])
    for one in found:
        text += ["", *network.table(one)]
    (RESULTS / "networks.txt").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
