"""Mean field by iteration: score maps, belief maps and the free energy."""

import numpy as np
from matplotlib.figure import Figure

from atrous.examples.crf import (
    SCORE_LIMIT,
    energy_by_step,
    refine_rough,
    rising_energies,
    scores,
    short_range_labels,
)
from atrous.figures.pictures import picture, row_of_pictures, tinted
from atrous.figures.style import (
    INPUT,
    OUTPUT,
    PAPER,
    SIGNED,
    WIDTH,
    WRONG,
    canvas,
    ink,
    ramp,
    styled,
)


@styled
def figure_belief_maps(found=None, label=1):
    """Draw how rough labels become sharp: the picture, score and belief maps of one label by step, the free energy.

    Parameters
    ----------
    found : Refinement, optional
        From `refine_rough`; that of the portrait if none is given.
    label : int
        Whose maps are drawn.

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Figure 5; v1, arXiv:1412.7062, Figure 2.
    """
    found = found or refine_rough()
    image, film = found.image, found.film
    lefts, width, height = row_of_pictures(image, 4)
    line = height + 0.33
    fig, ax = canvas(3 * line + 1.75)
    top = fig.get_figheight() - 0.27
    grid = short_range_labels(found)
    first = (
        (image, "photograph", INPUT, "photograph"),
        (tinted(image, found.rough, INPUT), "rough labels", INPUT, "rough"),
        (tinted(image, grid, WRONG), "short-range CRF", WRONG, "grid"),
        (tinted(image, film[-1].argmax(0), OUTPUT), "fully connected CRF", OUTPUT, "result"),
    )
    for left, (values, title, color, role) in zip(lefts, first, strict=True):
        picture(fig, left, top, width, values, title, role=role, color=color)
    for left, step in zip(lefts, (0, 1, 2, 10), strict=True):
        q = film[step]
        name = "the input" if step == 0 else f"{step} step" + "s" * (step > 1)
        signed = {"cmap": SIGNED, "vmin": -SCORE_LIMIT, "vmax": SCORE_LIMIT}
        picture(fig, left, top - line, width, scores(q, label), f"score, {name}", role=f"score {step}", **signed)
        picture(fig, left, top - 2 * line, width, q[label], f"belief, {name}", role=f"belief {step}", color=OUTPUT,
              cmap=ramp(OUTPUT), vmin=0, vmax=1.35)  # fmt: skip
    tall = fig.get_figheight()
    panel = fig.add_axes((0.85 / WIDTH, 0.47 / tall, (WIDTH - 1.05) / WIDTH, 0.95 / tall))
    _energy_line(panel, found.energies / film[0, 0].size, "free energy", OUTPUT)
    chosen = [s for s in (0, 1, 2, 10) if s < len(found.energies)]
    panel.plot(chosen, found.energies[chosen] / film[0, 0].size, "o", color=OUTPUT, ms=7, mfc=PAPER, mew=1.6)
    panel.set(xlabel="iteration", ylabel="per pixel", xlim=(-0.2, len(found.energies) - 0.8))
    panel.margins(y=0.15)
    panel.text(0.99, 0.93, "free energy", color=ink(OUTPUT), ha="right", va="top", transform=panel.transAxes)
    ax.set_zorder(-1)
    return fig


def _energy_line(ax, values, role, color, **options):
    (line,) = ax.plot(np.arange(len(values)), values, color=color, marker="o", ms=3.5, **options)
    line.set_gid(role)
    ax.set_xticks(np.arange(0, len(values), 2))


@styled
def figure_free_energy(portrait=None):
    """Draw the free energy by iteration, of the portrait and of a few points, and the sum that leaves out the ½.

    The free energy falls; the sum without the ½, which pydensecrf calls klDivergence, may rise while inference works
    as it should (purple rings).

    Parameters
    ----------
    portrait : Refinement, optional
        From `refine_rough`.
    """
    portrait = portrait or refine_rough()
    fig = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    pixels = portrait.rough.size
    panels = (
        ("(a) the portrait, per pixel", *(e / pixels for e in energy_by_step(*portrait[2:5]))),
        ("(b) 18 points on a line", *rising_energies()),
    )
    for panel, (ax, (title, energies, doubled)) in enumerate(zip(fig.subplots(1, 2), panels, strict=True)):
        _energy_line(ax, energies, f"free energy {panel}", OUTPUT)
        _energy_line(ax, doubled, f"without half {panel}", WRONG, ls=(0, (4, 2)))
        rises = 1 + np.flatnonzero(np.diff(doubled) > 1e-6 * np.ptp(doubled))
        ax.plot(rises, doubled[rises], "o", color=WRONG, ms=9, mfc="none", mew=1.4)[0].set_gid(f"rises {panel}")
        ax.set_title(title)
        ax.set_xlabel("iteration")
        at = len(energies) - 1
        ax.annotate("free energy", (at, energies[-1]), (0, 6), textcoords="offset points", color=ink(OUTPUT),
                    ha="right", va="bottom")  # fmt: skip
        ax.annotate("without the ½", (at, doubled[-1]), (0, 7), textcoords="offset points", color=WRONG, ha="right",
                    va="bottom")  # fmt: skip
    return fig
