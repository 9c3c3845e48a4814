"""LargeFOV, ASPP-S, ASPP-L and image-level pooling (v2's Table 3, v3's Table 5), rates that are too large included."""

from atrous.experiments.design import Claim, Experiment, Row, Training


def _v2(*rates):
    return Training({"head": "summed", "rates": rates, "second": 1})


def _v3(*rates, image_pooling=False):
    return Training({"head": "pyramid", "rates": rates, "image_pooling": image_pooling, "second": 1})


EXPERIMENT = Experiment(
    title="Several rates, and the whole image",
    source="DeepLab v2, Table 3, before the CRF; v3, Table 5 and Figure 4",
    question="Do several rates beat one? What do too large rates cost, and does image-level pooling mend it?",
    trainings={
        "LargeFOV": _v2(2),
        "ASPP-S": _v2(1, 2, 3, 4),
        "ASPP-L": _v2(2, 4, 6, 8),
        "v3": _v3(1, 2, 3),
        "v3 four": _v3(1, 2, 3, 4),
        "v3 pooled": _v3(1, 2, 3, image_pooling=True),
        "v3 too large": _v3(10, 12, 14),
        "v3 too large pooled": _v3(10, 12, 14, image_pooling=True),
    },
    rows=(
        Row("LargeFOV, rate 2", "LargeFOV", "LargeFOV, rate 12", 65.76),
        Row("ASPP-S, rates 1 to 4", "ASPP-S", "ASPP-S, rates 2 to 12", 66.98),
        Row("ASPP-L, rates 2 to 8", "ASPP-L", "ASPP-L, rates 6 to 24", 68.96),
        Row("v3: 1 × 1 and rates 1, 2, 3", "v3", "1 × 1 and 6, 12, 18", 76.58),
        Row("and rate 4", "v3 four", "and 24", 76.46),
        Row("and image pooling", "v3 pooled", "and image pooling", 77.21),
        Row("rates 10, 12, 14: on zeros", "v3 too large"),
        Row("rates 10, 12, 14 and image pooling", "v3 too large pooled"),
    ),
    claims=(
        Claim("Several rates against one", "ASPP-S, rates 1 to 4", "LargeFOV, rate 2"),
        Claim("Large rates against small ones", "ASPP-L, rates 2 to 8", "ASPP-S, rates 1 to 4"),
        Claim("Image pooling", "and image pooling", "v3: 1 × 1 and rates 1, 2, 3"),
        Claim("A fourth rate hurts", "v3: 1 × 1 and rates 1, 2, 3", "and rate 4"),
        Claim("Taps on zeros see nothing (v3, Figure 4)", "v3: 1 × 1 and rates 1, 2, 3", "rates 10, 12, 14: on zeros"),
        Claim("Image pooling mends it", "rates 10, 12, 14 and image pooling", "rates 10, 12, 14: on zeros"),
    ),
    columns={"mean_iou": "mean IoU", "pond": "pond", "roof": "roof", "disc": "disc", "parameters": "weights"},
    remark="The map is 13 × 13 positions: at rate 13 and more, eight of nine taps read zeros at every position.",
)
