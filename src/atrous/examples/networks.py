"""Numbers of whole networks: fields of view, what an output stride costs, where features are after resizing."""

import numpy as np

from atrous import build

# v1, Table 2: kernel and rate of fc6, and the network with that layer.
FIELDS = (
    (7, 4, "deeplabv1_7x7", {}),
    (4, 4, "deeplabv1_4x4", {}),
    (4, 8, "deeplabv1_4x4", {"fc6": (4, 8)}),
    (3, 12, "deeplabv1_largefov", {}),
)


def field_table():
    """Return the rows of v1's Table 2: kernel, rate, nominal field, true field, parameters.

    The paper's field of view is nominal, 8·rate·(kernel − 1) + 32: the samples under fc6's taps, which lie 8·rate
    pixels apart, and one cell of VGG's pool5 (32 pixels). The true receptive field, by the recurrence, is larger.

    References
    ----------
    DeepLab v1, arXiv:1412.7062, Table 2; v2, arXiv:1606.00915, Table 1.
    """
    rows = []
    for kernel, rate, name, options in FIELDS:
        network = build(name, **options)
        nominal = 8 * rate * (kernel - 1) + 32
        rows.append((kernel, rate, nominal, int(network.summary(513).field), network.parameter_count))
    return rows


# Output strides that the builder knows; the paper's Multiply-Adds at three of them, in 10⁹.
BUILT = (32, 16, 8, 4)
PRINTED = {32: 52.43, 16: 81.02, 8: 276.18}


def stride_costs():
    """Return {output stride: (multiply-adds, bytes of features)} of DeepLab v3 on ResNet-101.

    Multiply-adds are counted as in the v3+ paper; features are the outputs of all layers, in float32. No ResNet of the
    papers runs at 2 or 1; for these, both numbers are those at 4, times 4 and 16.
    """
    found = {}
    for output_stride in BUILT:
        table = build("deeplabv3_resnet101", output_stride=output_stride, stem="3x3").summary(513)
        memory = sum(4 * row.channels * row.size[0] * row.size[1] for row in table.rows)
        found[output_stride] = (table.interlaced_macs, memory)
    for output_stride in (2, 1):
        found[output_stride] = tuple(4 * value for value in found[2 * output_stride])
    return found


def feature_places(small, large, *, align_corners=True):
    """Return the positions in pixels of the features 0 … small − 1 of an axis after it is resized to `large`.

    With corners aligned, the first feature lies on the first pixel and the last on the last: i·(large − 1)/(small − 1).
    For 65 and 513 this is 8·i, where they were computed. With half-pixel centres it is (i + ½)·large/small − ½.
    """
    i = np.arange(small)
    return i * (large - 1) / (small - 1) if align_corners else (i + 0.5) * large / small - 0.5
