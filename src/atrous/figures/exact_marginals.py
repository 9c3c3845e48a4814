"""True marginals of tiny grids, by enumeration, against those of mean field."""

import numpy as np

from atrous.examples.crf import tiny_marginals
from atrous.figures import draw
from atrous.figures.style import (
    GREY,
    INPUT,
    OUTPUT,
    WRONG,
    canvas,
    styled,
    tint,
)


@styled
def figure_exact_against_mean_field(weights=(0.1, 0.4, 1.0), seeds=range(16)):
    """Draw true marginals of tiny grids, by enumeration of all labellings, against mean field's.

    Above one grid in numbers; below many random grids at three strengths of the pairwise term. Mean field is exact
    without it and too sure of itself with much of it.

    Parameters
    ----------
    weights : tuple of float
        For the three panels below.
    seeds : iterable of int
        One random grid each.
    """
    fig, ax = canvas(5.0)
    truth, found = (q[1] for q in tiny_marginals(0.8, seed=1))
    side = 0.46
    top = fig.get_figheight() - 0.42
    panels = (
        ("truth: 512 labellings", truth, INPUT),
        ("mean field", found, OUTPUT),
        ("difference", found - truth, WRONG),
    )
    for panel, (title, values, color) in enumerate(panels):
        left = 0.62 + panel * 2.25
        strength = np.abs(values) if panel < 2 else np.minimum(1, np.abs(values) / 0.25)
        faces = [[tint(color, 0.08 + 0.62 * s) for s in row] for row in strength]
        labels = [[f"{v:+.2f}" if panel == 2 else f"{v:.2f}" for v in row] for row in values]
        draw.write(ax, left, top + 0.2, title, color=color, size=10)
        draw.grid(ax, left, top, faces, side, role=title, labels=labels)
    for panel, w in enumerate(weights):
        pairs = [tiny_marginals(w, seed=s) for s in seeds]
        x, y = (np.concatenate([q[i][1].ravel() for q in pairs]) for i in range(2))
        axes = fig.add_axes((0.085 + 0.315 * panel, 0.105, 0.27, 0.378), aspect="equal")
        axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=(0, (4, 3)))
        axes.scatter(x, y, s=7, color=OUTPUT, linewidths=0).set_gid(f"weight {w:g}")
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1), xlabel="true marginal")
        axes.set_title(f"weight {w:g}, rms error {np.sqrt(np.mean((x - y) ** 2)):.1g}")
        if panel == 0:
            axes.set_ylabel("mean field")
    ax.set_zorder(-1)
    return fig
