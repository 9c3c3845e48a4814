"""Write results/crf.json, .txt and .svg: the dense CRF beside pydensecrf, where that is installed."""

import importlib.util
import json
from pathlib import Path

from atrous import figures
from atrous.bench import crf, table
from atrous.bench.contestants import Contestant, started
from atrous.progress import ProgressLine

RESULTS = Path(__file__).parent / "results"
IMAGES = 16
GROWTH = [(352, 288), (800, 600), (1600, 1200), (3264, 2448)]


def ask(program, threads, job):
    with started({program: (program, threads)}, crf.MODULE) as found:
        return found[program].ask(job)


def throughput(peers):
    """Return seconds for many images of 320 x 240 with 21 labels by two processes of one thread each."""
    line = json.dumps({"size": [320, 240], "labels": 21, "iterations": 10, "many": IMAGES // 2}) + "\n"
    found = {"images": IMAGES}
    for program in ["atrous", "pydensecrf"][: 1 + peers]:
        times = []
        for _ in range(3):
            two = [Contestant(program, 1, crf.MODULE) for _ in range(2)]
            for c in two:
                c.process.stdin.write(line)
                c.process.stdin.flush()
            times.append(max(json.loads(c.process.stdout.readline())["seconds"] for c in two))
            for c in two:
                c.close()
        found[program] = min(times)
    return found


def text(found):
    """Return all results as lines."""
    lines = [*table.environment_lines(found), "", *crf.table(found), ""]
    t = found["throughput"]
    lines.append(
        f"{t['images']} images of 320 x 240, 21 labels, two processes of one thread: {t['atrous']:.2f} s"
        + (f"; pydensecrf {t['pydensecrf']:.2f} s" if "pydensecrf" in t else "")
    )
    v = found["volume"]
    lines.append(f"volume of 120 x 150 x 100, 2 labels, 5 iterations: {v['atrous']:.2f} s" + (
        f"; pydensecrf {v['pydensecrf']:.2f} s" if "pydensecrf" in v else ""))  # fmt: skip
    lines += [f"{w} x {h}, 2 labels: {s:.3f} s, {s / w / h * 1e9:.0f} ns a pixel" for w, h, s in found["growth"]]
    lines.append(f"3840 x 2160, 21 labels: {found['4K, 21 labels']:.1f} s")
    return lines


def main():
    peers = importlib.util.find_spec("pydensecrf") is not None
    found = crf.run(crf.ALL, peers=peers, rounds=4, seconds=0.8, progress=ProgressLine("crf"))
    found["throughput"] = throughput(peers)
    volume = {"volume": [100, 150, 120], "iterations": 5, "seconds": 0.5}
    found["volume"] = {"atrous": ask("atrous", None, volume)["seconds"]}
    if peers:
        found["volume"]["pydensecrf"] = ask("pydensecrf", 1, volume)["seconds"]
    job = {"labels": 2, "iterations": 10, "seconds": 0.3}
    found["growth"] = [[w, h, ask("atrous", None, {**job, "size": [w, h]})["seconds"]] for w, h in GROWTH]
    large = {"size": [3840, 2160], "labels": 21, "iterations": 10, "least": 1, "seconds": 0.1}
    found["4K, 21 labels"] = ask("atrous", None, large)["seconds"]

    (RESULTS / "crf.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "crf.txt").write_text("\n".join(text(found)) + "\n", encoding="utf-8")
    figures.save(figures.figure_bench_crf(found), RESULTS / "crf.svg")


if __name__ == "__main__":
    main()
