"""Gradient checks of the package's own operators, for `atrous gradcheck` and `atrous demo`."""

import numpy as np


def operators():
    """Return (name, forward, backward, inputs) for every operator: float64 and awkward sizes."""
    from atrous.conv import operators as conv
    from atrous.conv import separable, transpose

    draw = np.random.default_rng(0).standard_normal

    def pair(forward, **options):
        return lambda *inputs: forward(*inputs, **options)

    image, filters, bias = draw((2, 2, 7, 6)), draw((4, 2, 3, 2)), draw(4)
    return [
        ("atrous_conv 1-D, rate 3, stride 2", pair(conv.conv_forward, rate=3, stride=2), conv.conv_backward,
         [draw((2, 3, 13)), draw((2, 3, 4)), draw(2)]),
        ("atrous_conv 2-D, rate 2", pair(conv.conv_forward, rate=2), conv.conv_backward, [image, filters, bias]),
        ("atrous_conv 2-D, rate 4, interlace", pair(conv.conv_forward, rate=4, method="interlace"), conv.conv_backward,
         [image, filters, bias]),
        ("atrous_conv 2-D, two groups, direct", pair(conv.conv_forward, rate=2, groups=2, method="direct"),
         conv.conv_backward, [image, filters[:, :1], bias]),
        ("atrous_conv 3-D, rates 1 2 2", pair(conv.conv_forward, rate=(1, 2, 2)), conv.conv_backward,
         [draw((1, 2, 3, 5, 5)), draw((2, 2, 2, 3, 3)), draw(2)]),
        ("atrous_conv_transpose, stride 2", pair(transpose.conv_transpose_forward, stride=2),
         transpose.conv_transpose_backward, [draw((2, 3, 4, 3)), draw((3, 2, 3, 3))]),
        ("depthwise_conv, rate 2", pair(separable.depthwise_forward, rate=2), separable.depthwise_backward,
         [image, draw((2, 2, 3, 3)), bias]),
        ("separable_conv, rate 2", pair(separable.separable_forward, rate=2), separable.separable_backward,
         [image, draw((2, 1, 3, 3)), draw((3, 2, 1, 1)), draw(3)]),
    ]  # fmt: skip


def check_operators(progress=None):
    """Return [(name, GradcheckReport)] of every operator."""
    from atrous.gradients import gradcheck

    found, todo = [], operators()
    for done, (name, forward, backward, inputs) in enumerate(todo):
        if progress:
            progress(done, len(todo), name)
        # The operators are linear in each input: a large step has no truncation error and little rounding error.
        found.append((name, gradcheck(forward, backward, inputs, eps=1e-3)))
    return found
