"""Trimaps: bands around the boundaries of the truth, and how good labels are inside them."""

import numpy as np
from matplotlib.figure import Figure

from atrous.data.palettes import colourize
from atrous.figures.style import GREY, INPUT, OUTPUT, WIDTH, styled
from atrous.train.trained import trained
from atrous.trimap import trimap_band

WIDTHS = (1, 3, 5)


@styled
def figure_trimap(made=None, scene=0):
    """Draw a scene, bands of some pixels around its boundaries, and the mean IoU inside bands before and after the CRF.

    Parameters
    ----------
    made : dict, optional
        What `trained` tells in `made`: results on held-out scenes by seed. Default: those of the network "shapes".
    scene : int, default 0
        The held-out scene to show.

    Returns
    -------
    Figure
        Lines have the roles "the network, seed s" and "with the CRF, seed s".

    References
    ----------
    DeepLab v1, arXiv:1412.7062, Section 5.3; v2, arXiv:1606.00915, Figure 10.
    """
    shapes = trained("shapes")
    made = shapes.made if made is None else made
    image, labels = shapes.held_out[scene]
    fig = Figure(figsize=(WIDTH, 3.9))
    pictures = [("the image", image), ("the truth", colourize(labels))]
    for width in WIDTHS[1:]:
        band = trimap_band(labels, width)
        pictures.append((f"{width} pixels around", np.where(band[..., None], colourize(labels), 235).astype(np.uint8)))
    for i, (title, picture) in enumerate(pictures):
        ax = fig.add_axes((0.015 + 0.215 * (i % 2), 0.53 - 0.5 * (i // 2), 0.2, 0.4), xticks=[], yticks=[], title=title)
        ax.imshow(picture, interpolation="nearest").set_gid(title)
        ax.spines[:].set(visible=True, color=GREY, linewidth=0.6)
    ax = fig.add_axes((0.53, 0.14, 0.44, 0.73))
    for name, color, words in (("network", INPUT, "the network"), ("with the CRF", OUTPUT, "with the CRF")):
        curves = {seed: 100 * np.array(found[name]["trimap"]) for seed, found in made["seeds"].items()}
        for seed, values in curves.items():
            (line,) = ax.plot(np.arange(1, len(values) + 1), values, color=color, lw=1.5, marker="o", ms=3.5)
            line.set_gid(f"{words}, seed {seed}")
        ax.text(3.1, min(values[2] for values in curves.values()) - 0.6, words, color=color, va="top")
    ax.set(
        xlabel="pixels on each side of a boundary", ylabel="mean IoU inside, %", xticks=np.arange(1, len(values) + 1),
        title=f"{made['held_out']['images']} scenes, {len(made['seeds'])} seeds",
    )  # fmt: skip
    ax.grid(axis="y", color="#E5E5E5", lw=0.8)
    return fig
