"""v1's multi-scale features, with and without the CRF (v1's Table 1)."""

from atrous.experiments.crf import HEAD, LARGE_FOV, SCENES
from atrous.experiments.design import Claim, Experiment, Row, Training
from atrous.experiments.refinement import SEARCHED, measured

EXPERIMENT = Experiment(
    title="Early features or a CRF",
    source="DeepLab v1, Table 1",
    question="Do features of the image and of early stages bring back outlines as a CRF does?",
    trainings={
        "LargeFOV": LARGE_FOV,
        "MSc": Training({**HEAD, "also_from": (0, 1, 2)}, {"sub_sampled": True}, SCENES),
    },
    rows=(
        Row("LargeFOV", "LargeFOV", "LargeFOV", 62.25),
        Row("and multi-scale features", "MSc", "MSc-LargeFOV", 64.21),
        Row("LargeFOV and CRF", "LargeFOV", "LargeFOV and CRF", 67.64, {"way": "dense"}),
        Row("both", "MSc", "MSc-LargeFOV and CRF", 68.70, {"way": "dense"}),
    ),
    claims=(
        Claim("Multi-scale features", "and multi-scale features", "LargeFOV"),
        Claim("The CRF", "LargeFOV and CRF", "LargeFOV"),
        Claim("The CRF against multi-scale features", "LargeFOV and CRF", "and multi-scale features"),
        Claim("Multi-scale features under a CRF", "both", "LargeFOV and CRF"),
    ),
    columns={"mean_iou": "mean IoU", "wire": "wire", "within_1": "within 1 px", "within_4": "4 px"},
    measure=measured,
    remark=f"The CRF's parameters are searched on {SEARCHED} scenes for each seed; the others are measured.",
)
