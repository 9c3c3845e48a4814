"""What a CRF adds: none, four neighbours, fully connected; its iterations (v1's Table 1, v2's Section 4.1)."""

from atrous.experiments.design import Claim, Experiment, Row, Training
from atrous.experiments.refinement import SEARCHED, measured

SCENES = {"smallest": 0.08, "wires": 1, "wire_width": (2.0, 4.0)}
HEAD = {"head": "fc6", "rate": 2}
LARGE_FOV = Training(HEAD, {"sub_sampled": True}, SCENES)


def _dense(iterations):
    words = f"fully connected, {iterations} iteration" + "s" * (iterations > 1)
    return Row(words, "LargeFOV", test={"way": "dense", "iterations": iterations})


EXPERIMENT = Experiment(
    title="What a CRF adds",
    source="DeepLab v1, Table 1; v2, Sections 3.3 and 4.1, Figure 10",
    question="Do long-range terms sharpen what short-range terms only smooth? How many iterations does it take?",
    trainings={"LargeFOV": LARGE_FOV},
    rows=(
        Row("no CRF", "LargeFOV", "LargeFOV", 62.25),
        Row("4 neighbours", "LargeFOV", "", None, {"way": "grid"}),
        Row("4 neighbours, contrast", "LargeFOV", "", None, {"way": "grid, contrast"}),
        *(_dense(n) for n in (1, 2, 5)),
        Row("fully connected, 10 iterations", "LargeFOV", "and CRF", 67.64, {"way": "dense"}),
    ),
    claims=(
        Claim("A fully connected CRF", "fully connected, 10 iterations", "no CRF"),
        Claim("Within a pixel of a boundary", "fully connected, 10 iterations", "no CRF", "within_1"),
        Claim("On thin wires", "fully connected, 10 iterations", "no CRF", "wire"),
        Claim("Fully connected against 4 neighbours", "fully connected, 10 iterations", "4 neighbours"),
        Claim("And with contrast", "fully connected, 10 iterations", "4 neighbours, contrast"),
        Claim("More than one iteration", "fully connected, 10 iterations", "fully connected, 1 iteration"),
        Claim("Ten iterations against five", "fully connected, 10 iterations", "fully connected, 5 iterations"),
    ),
    columns={
        "mean_iou": "mean IoU", "wire": "wire", "within_1": "within 1 px", "within_4": "4 px", "bilateral_weight": "w₁",
        "sigma_alpha": "σα", "sigma_beta": "σβ",
    },
    measure=measured,
    remark=(
        f"Weights and widths of all three are searched on {SEARCHED} scenes for each seed, as in the papers: a grid, "
        "then two finer ones around its best point; the other scenes are measured. Labels are sub-sampled in training, "
        "as in v1."
    ),
)  # fmt: skip
