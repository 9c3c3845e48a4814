"""Deeper with strides or with rates, more blocks, and multi-grid (v3's Tables 1 to 4)."""

from atrous.experiments.design import Claim, Experiment, Row, Training


def _net(stages, output_stride, multi_grid=(1, 1)):
    network = {"head": "direct", "stages": stages, "output_stride": output_stride, "multi_grid": multi_grid}
    return Training(network)


EXPERIMENT = Experiment(
    title="Deeper: strides, rates, multi-grid",
    source="DeepLab v3, Tables 1 (ResNet-50), 3 and 4 (ResNet-101)",
    question="Should deeper blocks shrink the map further or spread their taps? How many blocks, at which rates?",
    trainings={
        **{f"7 stages at {s}": _net(7, s) for s in (8, 16, 32, 64, 128)},
        **{f"{n} stages": _net(n, 8) for n in (3, 4, 5, 6)},
        "multi-grid 1, 2": _net(5, 8, (1, 2)),
        "multi-grid 2, 1": _net(5, 8, (2, 1)),
        "multi-grid 2, 2": _net(5, 8, (2, 2)),
    },
    rows=(
        *(
            Row(f"7 stages, output stride {s}", f"7 stages at {s}", f"block 7, output stride {s}", printed)
            for s, printed in {8: 75.18, 16: 73.88, 32: 70.06, 64: 59.99, 128: 42.34}.items()
        ),
        Row("3 stages, output stride 8", "3 stages"),
        Row("4 stages", "4 stages", "block 4, (1, 1, 1)", 68.39),
        Row("5 stages", "5 stages", "block 5, (1, 1, 1)", 73.21),
        Row("6 stages", "6 stages", "block 6, (1, 1, 1)", 75.34),
        Row("5 stages, multi-grid (1, 2)", "multi-grid 1, 2", "block 5, (1, 2, 1)", 75.67),
        Row("5 stages, multi-grid (2, 1)", "multi-grid 2, 1"),
        Row("5 stages, multi-grid (2, 2)", "multi-grid 2, 2", "block 5, (2, 2, 2)", 74.30),
    ),
    claims=(
        Claim("Rates against one more stride", "7 stages, output stride 8", "7 stages, output stride 16"),
        Claim("Rates against two more strides", "7 stages, output stride 8", "7 stages, output stride 32"),
        Claim("Rates against three more strides", "7 stages, output stride 8", "7 stages, output stride 64"),
        Claim("One more block", "5 stages", "4 stages"),
        Claim("Another block", "6 stages", "5 stages"),
        Claim("Multi-grid (1, 2)", "5 stages, multi-grid (1, 2)", "5 stages"),
        Claim(
            "Multi-grid (2, 2) is no better than (1, 2)", "5 stages, multi-grid (1, 2)", "5 stages, multi-grid (2, 2)"
        ),
    ),
    columns={"mean_iou": "mean IoU", "pond": "pond", "disc": "disc", "within_1": "within 1 px of a boundary"},
    remark=(
        "Stages of two convolutions stand for the paper's blocks of three units, without shortcuts; on scenes of 97 "
        "pixels the map at output stride 128 is a single position."
    ),
)
