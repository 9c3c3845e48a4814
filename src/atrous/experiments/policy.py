"""Policy and protocol: step against poly, batch and iterations, crops, batch norm, the size of the labels (v2, v3)."""

from atrous.experiments.design import Claim, Experiment, Row, Training

STEPS = 1500


def _v2(policy, batch, steps):
    recipe = {"policy": policy, "every": STEPS // 3, "batch": batch, "steps": steps}
    return Training({"head": "fc6", "rate": 2, "second": 1}, recipe)


def _v3(**recipe):
    return Training({"head": "pyramid"}, recipe)


EXPERIMENT = Experiment(
    title="Policy and protocol",
    source="DeepLab v2, Table 2, before the CRF; v3, Table 8 and Section 4.1",
    question="How much do the learning rate's policy, batch and crop, batch norm and the size of the labels matter?",
    trainings={
        "step": _v2("step", 6, STEPS),
        "poly": _v2("poly", 6, STEPS),
        "poly longer": _v2("poly", 6, 2500),
        "poly small batch": _v2("poly", 2, 2500),
        "poly small batch longer": _v2("poly", 2, 5000),
        "v3": _v3(),
        "v3 crops": _v3(crop=57),
        "v3 frozen": _v3(frozen=True, rate=0.02),
        "v3 sub-sampled": _v3(sub_sampled=True),
        "v3 batch 2": _v3(batch=2),
        "v3 batch 4": _v3(batch=4),
    },
    rows=(
        Row("step, batch 6, 1500 steps", "step", "step, batch 30, 6,000", 62.25),
        Row("poly, batch 6, 1500 steps", "poly", "poly, batch 30, 6,000", 63.42),
        Row("poly, batch 6, 2500 steps", "poly longer", "poly, batch 30, 10,000", 64.90),
        Row("poly, batch 2, 2500 steps", "poly small batch", "poly, batch 10, 10,000", 64.71),
        Row("poly, batch 2, 5000 steps", "poly small batch longer", "poly, batch 10, 20,000", 65.88),
        Row("v3's head, batch 6, whole scenes", "v3", "v3, batch 16, crop 513", 77.21),
        Row("crops of 57", "v3 crops", "crop 321", 67.22),
        Row("batch norm left as it begins", "v3 frozen", "batch norm not fine-tuned", 75.95),
        Row("labels sub-sampled", "v3 sub-sampled", "labels sub-sampled", 76.01),
        Row("batch 2", "v3 batch 2", "batch 4", 64.43),
        Row("batch 4", "v3 batch 4", "batch 8", 75.76),
    ),
    claims=(
        Claim("poly against step", "poly, batch 6, 1500 steps", "step, batch 6, 1500 steps"),
        Claim("More steps", "poly, batch 6, 2500 steps", "poly, batch 6, 1500 steps"),
        Claim("Small batches and twice the steps", "poly, batch 2, 5000 steps", "poly, batch 6, 2500 steps"),
        Claim("Whole images against crops", "v3's head, batch 6, whole scenes", "crops of 57"),
        Claim("Batch norm trained", "v3's head, batch 6, whole scenes", "batch norm left as it begins"),
        Claim("Scores enlarged, not labels shrunk", "v3's head, batch 6, whole scenes", "labels sub-sampled"),
        Claim("Larger batches at equal steps", "v3's head, batch 6, whole scenes", "batch 2"),
    ),
    columns={"mean_iou": "mean IoU", "pond": "pond", "disc": "disc", "within_1": "within 1 px of a boundary"},
    remark=(
        "The papers begin from ImageNet, so their frozen batch norms hold the statistics of a trained network; here "
        "they do nothing, and the rate is a fifth, beyond which training diverges. Batches of 6 see three times as "
        "many scenes as batches of 2 at equal steps."
    ),
)
