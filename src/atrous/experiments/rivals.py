"""The ways that DeepLab argues against, at equal parameters (v2's Section 3.1, v3's Figure 2)."""

from atrous.experiments.design import Claim, Experiment, Row, Training

SCENES = {"wires": 1, "wire_width": (3.0, 5.0)}
STRIDED = {"stages": 5, "output_stride": 32}
DENSE = {"stages": 5, "output_stride": 8}
# Widths of the heads give every network 66,000 parameters, within one per cent.
NETWORKS = {
    "enlarged": {**STRIDED, "head": "strided", "width": 56},
    "deconvolution": {**STRIDED, "head": "strided", "start": "random", "width": 50},
    "deconvolution from bilinear": {**STRIDED, "head": "strided", "start": "bilinear", "width": 50},
    "skips": {**STRIDED, "head": "skips", "width": 52},
    "hypercolumns": {**STRIDED, "head": "hypercolumns", "width": 32},
    "encoder-decoder": {**STRIDED, "head": "encoder_decoder", "width": 18},
    "atrous": {**DENSE, "head": "fc6", "rate": 2, "width": 48},
    "image pyramid": {**DENSE, "head": "fc6", "rate": 2, "width": 48, "multi_scale": True},
    "pooled": {**DENSE, "head": "pooled", "width": 16},
    "ASPP": {**DENSE, "head": "pyramid", "rates": (2, 4, 6), "width": 16},
}

EXPERIMENT = Experiment(
    title="The rivals at equal parameters",
    source="DeepLab v2, Section 3.1; v3, Figure 2 and Section 2; no table in the papers",
    question="Do rates beat learned enlarging, skips, a decoder, an image pyramid and pooling, weight for weight?",
    trainings={name: Training(network, world=SCENES) for name, network in NETWORKS.items()},
    rows=(
        Row("stride 32, bilinear", "enlarged"),
        Row("stride 32, deconvolution", "deconvolution"),
        Row("stride 32, deconvolution that begins as bilinear", "deconvolution from bilinear"),
        Row("FCN-8s skips", "skips"),
        Row("hyper-columns", "hypercolumns"),
        Row("encoder-decoder", "encoder-decoder"),
        Row("atrous, bilinear by 8", "atrous"),
        Row("atrous, image pyramid", "image pyramid"),
        Row("atrous, spatial pyramid pooling", "pooled"),
        Row("atrous, ASPP", "ASPP"),
    ),
    claims=(
        Claim("Atrous and bilinear against deconvolution", "atrous, bilinear by 8", "stride 32, deconvolution"),
        Claim(
            "A deconvolution that begins as bilinear", "stride 32, deconvolution that begins as bilinear",
            "stride 32, deconvolution",
        ),
        Claim("Atrous against skips", "atrous, bilinear by 8", "FCN-8s skips"),
        Claim("Skips against stride alone", "FCN-8s skips", "stride 32, bilinear"),
        Claim("ASPP against one rate", "atrous, ASPP", "atrous, bilinear by 8"),
        Claim("ASPP against spatial pyramid pooling", "atrous, ASPP", "atrous, spatial pyramid pooling"),
        Claim("ASPP against an encoder-decoder", "atrous, ASPP", "encoder-decoder"),
        Claim("An encoder-decoder on thin wires (why v3+ has one)", "encoder-decoder", "atrous, ASPP", "wire"),
        Claim("ASPP against an image pyramid", "atrous, ASPP", "atrous, image pyramid"),
    ),
    columns={
        "mean_iou": "mean IoU", "wire": "wire", "within_1": "within 1 px", "macs": "10⁶ multiply-adds",
        "parameters": "weights",
    },
    remark=(
        "All share the trunk of five stages; the widths of the heads make the parameters equal. Hyper-columns, "
        "encoder-decoder and the pyramids have the image at a quarter or an eighth of its size when scores are made. "
        "Scenes have thin wires and little texture, so early features are worth more here than in photographs."
    ),
)  # fmt: skip
