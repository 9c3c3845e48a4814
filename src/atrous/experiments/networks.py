"""The small network of the experiments: stages of two 3×3 convolutions each, and the heads of the papers.

Every stage halves the map until `output_stride` is reached; from there on rates stand in place of strides
(`plan_output_stride`). Batch norm follows every convolution, so that it learns from nothing within a minute. The field
of the trunk is small (at output stride 8, 39 pixels): the head decides how far a score sees.

Role: description.
"""

from __future__ import annotations

from atrous.aspp.forms import concatenated
from atrous.compose.chain import chain
from atrous.compose.input_size import ToInputSize
from atrous.compose.leaves import Endpoint
from atrous.compose.multi_scale import MultiScale
from atrous.compose.parallel import Parallel
from atrous.compose.skip_connections import SkipConnections
from atrous.conv.output_stride import plan_output_stride
from atrous.conv.receptive_field import Spatial
from atrous.errors import ParameterError
from atrous.experiments.rival_heads import RIVALS, scores, unit
from atrous.nets.deeplab_v2 import SCALES
from atrous.nets.network import Network

CLASSES = 6
WIDTHS = (12, 16, 24, 32, 32, 32, 32)
HEAD = 32


def trunk(stages=3, output_stride=8, multi_grid=(1, 1), second=3):
    """Return (parts, channels): the stages, with an endpoint "stage i" after each.

    `multi_grid` multiplies the rates of the two convolutions of every stage from the fourth on, if it has a rate.
    """
    chained = [Spatial(3, 2) if i % 2 == 0 else Spatial(second) for i in range(2 * stages)]
    planned = plan_output_stride(chained, output_stride)
    parts, c = [], 3
    for i, layer in enumerate(planned):
        stage, f = i // 2 + 1, WIDTHS[i // 2]
        rate = layer.rate * (multi_grid[i % 2] if stage > 3 and layer.rate > 1 else 1)
        parts.append(unit(f"stage{stage}.{i % 2}", c, f, layer.kernel, stride=layer.stride, rate=rate))
        if i % 2:
            parts.append(Endpoint(f"stage {stage}"))
        c = f
    return parts, c


def fc6(c, classes, kernel=3, rate=2, width=HEAD):
    """Return v1's head: fc6 with this kernel and rate, fc7 and scores."""
    return chain(unit("fc6", c, width, kernel, rate=rate), unit("fc7", width, width, 1), scores("fc8", width, classes))


def summed(c, classes, rates=(1, 2, 3, 4), width=HEAD):
    """Return v2's head on VGG: a head for each rate, and the sum of their scores."""
    branches = (
        chain(
            unit(f"fc6_{i}", c, width, rate=rate),
            unit(f"fc7_{i}", width, width, 1),
            scores(f"fc8_{i}", width, classes),
        )
        for i, rate in enumerate(rates)
    )
    return Parallel(tuple(branches), "sum", "ASPP")


def pyramid(c, classes, rates=(1, 2, 3), image_pooling=True, width=HEAD):
    """Return v3's head: a 1×1, the rates and image pooling, concatenated and projected."""
    return chain(features(c, rates, image_pooling, width), scores("classifier", width, classes))


def features(c, rates=(1, 2, 3), image_pooling=True, width=HEAD):
    """Return v3's ASPP without the scores."""
    return concatenated(c, width, rates, lambda branch, piece: f"aspp.{branch}.{piece}", pool=image_pooling)


def direct(c, classes):
    """Return scores of the trunk's features and nothing else."""
    return scores("classifier", c, classes)


HEADS = {"fc6": fc6, "summed": summed, "pyramid": pyramid, "direct": direct}


def small(
    head="fc6", *, stages=3, output_stride=8, multi_grid=(1, 1), second=3, decoder=False, also_from=(),
    multi_scale=False, crf=None, **options,
):  # fmt: skip
    """Return the network.

    Parameters
    ----------
    head : str
        One of HEADS or RIVALS; `options` are its arguments.
    stages, output_stride, multi_grid, second
        Of `trunk`.
    decoder : bool
        v3+: the features of the pyramid are joined with those of stage 2, at a quarter of the image's size.
    also_from : tuple of int
        v1's multi-scale features: scores of the image (0) and of stages, added to those of the head.
    multi_scale : bool
        v2: the maximum of the scores of the image at 1, 3/4 and 1/2.
    crf : dict, optional
        Arguments of `Network.with_crf`: the network ends with a CRF layer.
    """
    if head not in {**HEADS, **RIVALS}:
        raise ParameterError(f"small: head must be one of {', '.join([*HEADS, *RIVALS])}, got {head!r}.")
    parts, c = trunk(stages, output_stride, multi_grid, second)
    name = f"small_{head}"
    if decoder:
        encoder = chain(*parts, Endpoint("features"), features(c, **options))
        project = unit("low", WIDTHS[1], 12, 1)
        joined = SkipConnections(encoder, (("stage 2", project),), name="decoder")
        body = chain(joined, unit("refine", HEAD + 12, HEAD), scores("classifier", HEAD, CLASSES))
        name = "small_decoder"
    elif head in RIVALS:
        body = chain(RIVALS[head]([*parts, Endpoint("features")], WIDTHS[:stages], CLASSES, **options))
    else:
        body = chain(Endpoint("image"), *parts, Endpoint("features"), HEADS[head](c, CLASSES, **options))
    if also_from:
        sides = tuple((f"stage {i}" if i else "image", _side(i, output_stride)) for i in also_from)
        body = SkipConnections(body, sides, "sum", crop=True, name="multi-scale features")
    if multi_scale:
        body = MultiScale(body, SCALES)
    network = Network(name, CLASSES, ToInputSize(chain(body, Endpoint("low_logits"))), "slim", "mean", 1, {})
    return network if crf is None else network.with_crf(**crf)


def _side(i, output_stride):
    """Return v1's branch from the image or a stage: two layers and scores, at the output stride."""
    c = WIDTHS[i - 1] if i else 3
    stride = max(1, output_stride // 2**i)
    return chain(
        unit(f"side{i}.0", c, 16, stride=stride), unit(f"side{i}.1", 16, 16, 1), scores(f"side{i}.2", 16, CLASSES)
    )
