"""A CRF after the network, fitted to it, or trained with it (Zheng et al., "CRF-RNN")."""

from atrous.experiments.crf import HEAD, LARGE_FOV
from atrous.experiments.design import Claim, Experiment, Row, Training
from atrous.experiments.refinement import DENSE, SEARCHED, measured

FURTHER = {"steps": 300, "rate": 0.02}
LAYER = {**HEAD, "crf": {"start": DENSE, "learn_sigmas": True}}

EXPERIMENT = Experiment(
    title="A CRF as a layer",
    source="Zheng et al., arXiv:1502.03240, Section 7; DeepLab v2 takes the two apart (Section 2)",
    question="Is a network better if it is trained with the CRF that refines it, rather than before it?",
    trainings={
        "alone": LARGE_FOV,
        "further": LARGE_FOV._replace(further={**FURTHER, "network": HEAD}),
        "jointly": Training(LAYER, LARGE_FOV.recipe, LARGE_FOV.world, {**FURTHER, "network": LAYER}),
    },
    rows=(
        Row("no CRF", "alone"),
        Row("CRF as it begins", "alone", test={"way": "given"}),
        Row("CRF, searched", "alone", test={"way": "dense"}),
        Row("CRF, fitted by gradients", "alone", test={"way": "fitted"}),
        Row("trained further without a CRF", "further"),
        Row("trained further, CRF searched", "further", test={"way": "dense"}),
        Row("trained jointly", "jointly"),
    ),
    claims=(
        Claim("A searched CRF", "CRF, searched", "no CRF"),
        Claim("Joint training against a searched CRF", "trained jointly", "CRF, searched"),
        Claim("And at equal steps", "trained jointly", "trained further, CRF searched"),
        Claim("Near boundaries", "trained jointly", "trained further, CRF searched", "within_1", ours=True),
        Claim("On thin wires", "trained jointly", "trained further, CRF searched", "wire", ours=True),
    ),
    columns={
        "mean_iou": "mean IoU", "wire": "wire", "pond": "pond", "within_1": "within 1 px", "within_4": "4 px",
        "bilateral_weight": "w₁", "sigma_alpha": "σα", "sigma_beta": "σβ",
    },
    measure=measured,
    remark=(
        f"All CRFs begin with w₁ = {DENSE.bilateral_weight:g}, σα = {DENSE.sigma_alpha:g}, σβ = {DENSE.sigma_beta:g}. "
        f"They are searched or fitted on {SEARCHED} scenes that are not measured. Joint training goes on for "
        f"{FURTHER['steps']} steps, with five steps of mean field and labels at full size, and learns weights, widths "
        "and compatibility too; the rows trained further do the same without a CRF."
    ),
)  # fmt: skip
