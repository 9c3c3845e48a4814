"""Output stride in training and in testing, with the same weights (v3's Table 6, v3+'s Table 3)."""

from atrous.experiments.design import Claim, Experiment, Row, Training

STAGES = 5
WIRES = {"wires": 1, "wire_width": (3.0, 5.0)}
RATES = {8: (2, 4, 6), 16: (1, 2, 3), 32: (1, 1, 1)}
PRINTED = {(8, 16): 74.45, (16, 16): 77.21, (32, 16): 75.90, (8, 8): 75.62, (16, 8): 78.51, (32, 8): 75.75}


def _at(output_stride):
    return {"output_stride": output_stride, "rates": RATES[output_stride]}


def _rows():
    for trained in (32, 16, 8):
        for tested in (32, 16, 8):
            printed = PRINTED.get((trained, tested))
            yield Row(
                f"trained at {trained}, tested at {tested}", f"at {trained}",
                f"{trained}, {tested}" if printed else "", printed, {"network": _at(tested)},
            )  # fmt: skip


EXPERIMENT = Experiment(
    title="Output stride",
    source="DeepLab v3, Table 6 and Table 1; v3+, Table 3 for the cost",
    question="What does a denser map bring, in training and in testing alone, and what does it cost?",
    trainings={
        f"at {s}": Training({"head": "pyramid", "stages": STAGES, **_at(s)}, world=WIRES)
        for s in RATES
    },
    rows=tuple(_rows()),
    claims=(
        Claim("Trained at 16, tested at 8", "trained at 16, tested at 8", "trained at 16, tested at 16"),
        Claim("Atrous in place of the last stride", "trained at 16, tested at 16", "trained at 32, tested at 32"),
        Claim("Atrous in place of two strides", "trained at 8, tested at 8", "trained at 32, tested at 32"),
        Claim(
            "At the boundary, in place of two strides", "trained at 8, tested at 8", "trained at 32, tested at 32",
            "within_1",
        ),
        Claim("Tested at 8, trained at 16 rather than at 8", "trained at 16, tested at 8", "trained at 8, tested at 8"),
    ),
    columns={
        "mean_iou": "mean IoU", "wire": "wire", "within_1": "within 1 px of a boundary", "macs": "10⁶ multiply-adds",
    },
    remark=(
        "Rates grow with the map, as in the papers: 1, 2, 3 at output stride 16 and 2, 4, 6 at 8. Scenes have a wire "
        "each. The paper's networks begin from ImageNet at output stride 32, which makes training at 16 the better "
        "start; here nothing came before."
    ),
)  # fmt: skip
