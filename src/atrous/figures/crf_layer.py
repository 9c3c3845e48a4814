"""The CRF as a layer and the filters around it: learned costs, scores enlarged along edges, error beside time."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from atrous.data.classes import classes_of
from atrous.data.palettes import colourize
from atrous.examples.crf import enlarged_labels
from atrous.figures.scenes import picture_page
from atrous.figures.style import BROWN, HOLE, INDIGO, INK, TAPS, WIDTH, ramp, styled

WAYS = {"lattice": (INK, "o"), "separable": (BROWN, "s"), "fine": (INDIGO, "D")}


@styled
def figure_compatibility(costs, names: Sequence[str]):
    """Draw what a CRF lets each pair of labels cost: Potts' model on the left, what was learned on the right.

    Parameters
    ----------
    costs : ndarray of shape (L, L)
        From the array ``crf.compatibility``, or `fit_crf`.
    names : sequence of str
        Of the labels.

    Returns
    -------
    Figure
        Role "cost" are the numbers of the learned matrix.
    """
    costs = np.asarray(costs, float)
    fig = Figure(figsize=(WIDTH, 3.5), layout="constrained")
    low, high = min(0.0, costs.min()), max(1.0, costs.max())
    for ax, values, title in zip(
        fig.subplots(1, 2), (1 - np.eye(len(costs)), costs), ("Potts", "learned"), strict=True
    ):
        ax.imshow(values, cmap=ramp(TAPS), vmin=low, vmax=low + 1.6 * (high - low))
        for (row, column), value in np.ndenumerate(values):
            mark = ax.text(column, row, f"{value:.2g}".replace("-", "−"), ha="center", va="center", size=9)
            if title == "learned":
                mark.set_gid("cost")
        ax.set_xticks(range(len(names)), names, rotation=40, ha="right")
        ax.set_yticks(range(len(names)), names)
        ax.set_title(f"{title}: cost of a pair of neighbours")
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    return fig


@styled
def figure_joint_upsampling(scenes=(3, 8)):
    """Draw labels known at every eighth pixel, enlarged bilinearly and along the image's edges, beside the truth.

    Parameters
    ----------
    scenes : sequence of int
        Which drawn scenes.
    """
    classes = classes_of(6, "scenes")
    rows = []
    for seed in scenes:
        found = enlarged_labels(seed)
        rows.append((found.image, *(colourize(labels, classes.palette) for labels in found[1:])))
    titles = ("scene", "every eighth pixel", "bilinear", "along edges", "truth")
    return picture_page(rows, titles, classes.names, classes.palette)


@styled
def figure_messages(results):
    """Draw the error of the CRF's marginals over the time that they take, for each way to compute messages.

    Parameters
    ----------
    results : dict
        From `atrous bench messages --json`, or ``benchmarks/results/messages.json``.

    Returns
    -------
    Figure
        Role "way" are the points, one for each photograph; a panel for each preset.
    """
    rows = [row for row in results["rows"] if "mean_error" in row]
    presets = list(dict.fromkeys(row["preset"] for row in rows))
    fig = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    for ax, preset in zip(fig.subplots(1, len(presets), sharey=True, squeeze=False)[0], presets, strict=True):
        for way, (color, marker) in WAYS.items():
            chosen = [row for row in rows if row["preset"] == preset and row["way"] == way]
            x, y = ([1e3 * row["seconds"] for row in chosen], [row["mean_error"] for row in chosen])
            ax.plot(x, y, marker, color=color, ms=6, label=way)[0].set_gid("way")
        ax.set(xscale="log", yscale="log", xlabel="ms", title=preset)
        ax.grid(True, color=HOLE, lw=0.6)
        ax.set_axisbelow(True)
        ax.margins(0.1)
        ax.set_xticks([50, 100, 200, 500], ["50", "100", "200", "500"])
        ax.minorticks_off()
    fig.axes[0].set_ylabel("mean |ΔQ| against all pairs")
    fig.axes[0].set_yticks([0.005, 0.01, 0.02, 0.04], ["0.005", "0.01", "0.02", "0.04"])
    fig.axes[-1].legend(loc="upper right", frameon=False)
    return fig
