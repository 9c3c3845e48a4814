"""One label for each segment of the image, the systems that v1 and v2 argue against (v2's Section 2)."""

from atrous.experiments.crf import LARGE_FOV
from atrous.experiments.design import Claim, Experiment, Row
from atrous.experiments.refinement import SEARCHED, measured

EXPERIMENT = Experiment(
    title="Segments first, or pixels",
    source="DeepLab v1, Section 2; v2, Section 2: the second class of systems",
    question="Can a vote within the segments of the image take the place of a CRF?",
    trainings={"LargeFOV": LARGE_FOV},
    rows=(
        Row("pixels", "LargeFOV"),
        *(
            Row(f"{words}, a marker every {side} pixels", "LargeFOV", "", None, {"way": way, "side": side})
            for way, words in (("segments", "vote"), ("best segments", "vote of the truth"))
            for side in (4, 8, 12)
        ),
        Row("fully connected CRF", "LargeFOV", "", None, {"way": "dense"}),
    ),
    claims=(
        Claim("A vote within segments", "vote, a marker every 4 pixels", "pixels"),
        Claim("Pixels and a CRF against a vote", "fully connected CRF", "vote, a marker every 4 pixels"),
        Claim("On thin wires", "fully connected CRF", "vote, a marker every 4 pixels", "wire"),
        Claim("Large segments lose what they cut", "vote, a marker every 4 pixels", "vote, a marker every 12 pixels"),
        Claim(
            "Even the truth cannot mend large segments", "vote of the truth, a marker every 4 pixels",
            "vote of the truth, a marker every 12 pixels",
        ),
    ),
    columns={"mean_iou": "mean IoU", "wire": "wire", "within_1": "within 1 px", "within_4": "4 px"},
    measure=measured,
    remark=(
        "Segments are a watershed of the smoothed grey levels from a grid of markers. The rows with the truth's own "
        "vote say what the segments allow at most. The CRF's parameters are searched on "
        f"{SEARCHED} scenes for each seed."
    ),
)  # fmt: skip
