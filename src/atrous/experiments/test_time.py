"""Several scales and mirror images: in testing (v3), and in training by the maximum (v2's Table 4)."""

from atrous.experiments.design import Claim, Experiment, Row, Training

NETWORK = {"head": "pyramid", "stages": 4, "output_stride": 16}
# A wide range of sizes, so that scales have something to do.
SIZES = {"smallest": 0.06, "largest": 0.5, "objects": 4}
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
DENSE = {"network": {"output_stride": 8, "rates": (2, 4, 6)}}

EXPERIMENT = Experiment(
    title="Several scales, mirror images",
    source="DeepLab v3, Table 6; v2, Table 4",
    question="How much do several scales of the image bring, averaged in testing or by the maximum in training?",
    trainings={
        "plain": Training(NETWORK, world=SIZES),
        "maximum": Training({**NETWORK, "multi_scale": True}, {"batch": 3}, world=SIZES),
        "plain small batch": Training(NETWORK, {"batch": 3}, world=SIZES),
    },
    rows=(
        Row("output stride 16", "plain", "output stride 16", 77.21),
        Row("output stride 8", "plain", "output stride 8", 78.51, DENSE),
        Row("and six scales", "plain", "and six scales", 79.45, {**DENSE, "scales": SCALES}),
        Row("and mirrored", "plain", "and mirrored", 79.77, {**DENSE, "scales": SCALES, "flip": True}),
        Row("six scales, the maximum", "plain", "", None, {**DENSE, "scales": SCALES, "fusion": "max"}),
        Row("batch 3", "plain small batch", "v2, ResNet-101", 68.72),
        Row("batch 3, trained on the maximum of three scales", "maximum", "v2, and three scales", 71.27),
    ),
    claims=(
        Claim("A denser map in testing", "output stride 8", "output stride 16"),
        Claim("Six scales in testing", "and six scales", "output stride 8"),
        Claim("Mirror images", "and mirrored", "and six scales"),
        Claim("The mean of probabilities against the maximum of scores", "and six scales", "six scales, the maximum"),
        Claim("Trained on three scales", "batch 3, trained on the maximum of three scales", "batch 3"),
    ),
    columns={"mean_iou": "mean IoU", "pond": "pond", "disc": "disc", "within_1": "within 1 px of a boundary"},
    remark="Radii are between 6 and 50 per cent of the scene's side. Training saw one scale, without augmentation.",
)
