"""Field of view: kernel and rate of fc6 (v1's Table 2, v2's Table 1)."""

from atrous.experiments.design import Claim, Experiment, Row, Training


def _fc6(kernel, rate):
    return Training({"head": "fc6", "kernel": kernel, "rate": rate, "second": 1})


EXPERIMENT = Experiment(
    title="Field of view",
    source="DeepLab v1, Table 2; v2, Table 1, before the CRF",
    question="Does a wider field help at equal weights, and can a rate take the place of a larger kernel?",
    trainings={f"{k}x{k} rate {r}": _fc6(k, r) for k, r in ((5, 1), (3, 1), (3, 2), (3, 3), (3, 5))},
    rows=(
        Row("5 × 5, rate 1", "5x5 rate 1", "7 × 7, rate 4, field 224", 64.38),
        Row("3 × 3, rate 1", "3x3 rate 1", "4 × 4, rate 4, field 128", 59.80),
        Row("3 × 3, rate 2", "3x3 rate 2", "4 × 4, rate 8, field 224", 63.41),
        Row("3 × 3, rate 3", "3x3 rate 3"),
        Row("3 × 3, rate 5", "3x3 rate 5"),
    ),
    claims=(
        Claim("A wider field at equal weights (rate 2 against 1)", "3 × 3, rate 2", "3 × 3, rate 1"),
        Claim("A larger kernel against a small field", "5 × 5, rate 1", "3 × 3, rate 1"),
        Claim("Wider fields tell ponds from roofs", "3 × 3, rate 2", "3 × 3, rate 1", "pond"),
        Claim("Rates can be too large (v2, Section 3.2): rate 3 against 5", "3 × 3, rate 3", "3 × 3, rate 5"),
    ),
    columns={"mean_iou": "mean IoU", "pond": "pond", "roof": "roof", "disc": "disc", "parameters": "weights"},
    remark=(
        "The trunk has 1 × 1 convolutions between its strides, so that the head alone decides how far a score sees: 31 "
        "pixels at rate 1, 47 at 2, 63 at 3, 95 at 5, on a map of 13 × 13 positions."
    ),
)
