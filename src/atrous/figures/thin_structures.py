"""Why DeepLab takes a fully connected CRF: a thin object under short-range CRFs and under the full one."""

import numpy as np
from matplotlib.colors import to_rgb

from atrous.examples.crf import iou_of, thin_results, thin_scene
from atrous.figures import draw
from atrous.figures.pictures import picture, row_of_pictures
from atrous.figures.style import (
    GREY,
    INK,
    INPUT,
    OUTPUT,
    WRONG,
    canvas,
    ramp,
    styled,
    tint,
)


@styled
def figure_grid_against_dense(scene=None, results=None):
    """Draw why DeepLab takes a fully connected CRF: something thin under short-range CRFs and under a full one.

    Green is right, purple is wrong: where the label is missing it is light, where it is too much it is dark. IoU is of
    the thin object.

    Parameters
    ----------
    scene : ThinScene, optional
        `thin_scene` if none is given.
    results : dict, optional
        From `thin_results`.

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Section 3.3.
    """
    scene = thin_scene() if scene is None else scene
    results = thin_results(scene) if results is None else results
    lefts, width, height = row_of_pictures(scene.image, 3)
    line = height + 0.6
    fig, ax = canvas(2 * line + 0.1)
    top = fig.get_figheight() - 0.3
    picture(fig, lefts[0], top, width, scene.image, "picture", role="picture", color=INPUT)
    smooth = {"cmap": ramp(INPUT), "vmin": 0, "vmax": 1.3}
    picture(
        fig,
        lefts[1],
        top,
        width,
        scene.probabilities[1],
        "probability, smooth",
        role="probability",
        color=INPUT,
        **smooth,
    )
    places = [(lefts[2], top), *((left, top - line) for left in lefts)]
    for (left, above), (name, labels) in zip(places, results.items(), strict=True):
        shown = np.ones((*labels.shape, 3))
        shown[(labels == 1) & (scene.truth == 1)] = to_rgb(OUTPUT)
        shown[(labels == 0) & (scene.truth == 1)] = to_rgb(tint(WRONG, 0.4))
        shown[(labels == 1) & (scene.truth == 0)] = to_rgb(WRONG)
        last = name == list(results)[-1]
        picture(fig, left, above, width, shown, name, role=name, color=OUTPUT if last else INK)
        draw.write(ax, left, above - height - 0.14, f"IoU {iou_of(labels, scene.truth):.2f}", color=OUTPUT, size=9)
    for left, words, color in ((lefts[0], "what goes in", GREY), (lefts[1], "stride 8, enlarged", GREY)):
        draw.write(ax, left, top - height - 0.14, words, color=color, size=9)
    ax.set_zorder(-1)
    return fig
