"""Every method of convolution over the rate and over the channels, under the roofs of the machine."""

from atrous.bench import cases, conv
from atrous.bench.cases import ConvCase

METHODS = ("direct", "im2col", "interlace", "shift", "implicit_gemm", "winograd")
SWEEPS = {"rate": cases.SWEEP, "channels": [ConvCase(c, c, 65, 2) for c in (4, 16, 64, 256, 512)]}


def run(*, threads=None, rounds=2, seconds=0.2, progress=None):
    """Return what `conv.run` does for the forward pass, each row with the sweep it belongs to."""
    chosen = list(dict.fromkeys(case for some in SWEEPS.values() for case in some))
    found = conv.run(
        chosen, METHODS, passes=("forward",), threads=threads, rounds=rounds, seconds=seconds, progress=progress
    )
    rows = {
        name: [row for row in found["rows"] if row["case"] in {c.name for c in some}] for name, some in SWEEPS.items()
    }
    found["rows"] = [{**row, "sweep": name} for name, some in rows.items() for row in some]
    return found
