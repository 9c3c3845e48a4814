"""The whole system in one picture, and the contact sheet of the demo."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from atrous.data.classes import classes_of
from atrous.data.palettes import VOID, colourize
from atrous.examples.crf import SCORE_LIMIT, scores
from atrous.examples.system import System, whole_system
from atrous.figures import draw
from atrous.figures.pictures import picture
from atrous.figures.style import GREY, INK, INPUT, OUTPUT, SIGNED, WIDTH, WRONG, canvas, ramp, styled


@styled
def figure_system(found: System | None = None, label: int | None = None):
    """Draw a scene on its way through DeepLab: labels above, one class below.

    Parameters
    ----------
    found : System, optional
        From `whole_system`; of a held-out scene if none is given.
    label : int, optional
        The class of the lower row, by default the one with the most pixels besides class 0.

    Returns
    -------
    Figure

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Figure 1.
    """
    found = found or whole_system()
    truth = np.where(found.labels == VOID, 0, found.labels)
    label = int(np.bincount(truth[truth > 0], minlength=2).argmax()) if label is None else label
    palette = classes_of(len(found.scores), "scenes").palette
    coarse = np.exp(found.scores - found.scores.max(0))
    coarse /= coarse.sum(0)
    before, after = found.enlarged.argmax(0), found.refined.argmax(0)
    wrong = (after != found.labels) & (found.labels != VOID)
    gap, columns = 0.22, 5
    side = (WIDTH - gap * (columns + 1)) / columns
    line = side + 0.34
    fig, ax = canvas(2 * line + 0.12)
    lefts = gap + np.arange(columns) * (side + gap)
    top = fig.get_figheight() - 0.27
    h, w = found.scores.shape[1:]
    upper = (
        (found.image, "scene", INPUT),
        (colourize(coarse.argmax(0), palette), f"scores, {h} × {w}", INK),
        (colourize(before, palette), "bilinear", INK),
        (colourize(after, palette), "CRF", OUTPUT),
        (colourize(found.labels, palette), "truth", INK),
    )
    for left, (values, title, color) in zip(lefts, upper, strict=True):
        picture(fig, left, top, side, values, title, role=title, color=color)
    signed = {"cmap": SIGNED, "vmin": -SCORE_LIMIT, "vmax": SCORE_LIMIT}
    belief = {"cmap": ramp(OUTPUT), "vmin": 0, "vmax": 1.35}
    errors = np.where(wrong[..., None], np.array([170, 51, 119]), 238).astype(np.uint8)
    lower = (
        (colourize(np.where(truth == label, label, 0), palette), "one class", INK, {}),
        (scores(coarse, label), "its score", INK, signed),
        (found.enlarged[label], "belief", OUTPUT, belief),
        (found.refined[label], "belief, CRF", OUTPUT, belief),
        (errors, f"errors, {wrong.sum() / (found.labels != VOID).sum():.1%}", WRONG, {}),
    )
    for left, (values, title, color, options) in zip(lefts, lower, strict=True):
        picture(fig, left, top - line, side, values, title, role=title, color=color, **options)
    for left in lefts[1:4]:
        draw.arrow(ax, (left - gap + 0.03, top - side / 2), (left - 0.03, top - side / 2))
    return fig


@styled
def figure_contact_sheet(entries: Sequence[tuple[str, str, np.ndarray]], columns: int = 3):
    """Draw pictures as thumbnails, each under its title and above a sentence.

    Parameters
    ----------
    entries : sequence of (title, sentence, picture)
        Pictures are (H, W, 3) or (H, W, 4), uint8 or in [0, 1].
    columns : int, default 3

    Returns
    -------
    Figure
    """
    gap, head, line = 0.15, 0.24, 0.15
    width = (WIDTH - gap * (columns + 1)) / columns
    rows = [entries[i : i + columns] for i in range(0, len(entries), columns)]
    texts = [[textwrap.wrap(sentence, int(width / 0.066)) for _, sentence, _ in row] for row in rows]
    tallest = 0.9 * width
    sizes = [[min(tallest / p.shape[0], width / p.shape[1]) for *_, p in row] for row in rows]
    heights = [
        max(s * p.shape[0] for s, (*_, p) in zip(of_row, row, strict=True))
        for of_row, row in zip(sizes, rows, strict=True)
    ]
    foots = [line * max(map(len, of_row)) + 0.2 for of_row in texts]
    tall = sum(heights) + sum(foots) + head * len(rows) + gap
    fig, top = Figure(figsize=(WIDTH, tall)), tall - gap / 2
    for row, scales, height, foot, lines in zip(rows, sizes, heights, foots, texts, strict=True):
        for k, ((title, _, values), scale) in enumerate(zip(row, scales, strict=True)):
            left, high, wide = gap + k * (width + gap), scale * values.shape[0], scale * values.shape[1]
            fig.text(left / WIDTH, (top - 0.15) / tall, title, fontsize=9.5, fontweight="bold")
            box = (left / WIDTH, (top - head - high) / tall, wide / WIDTH, high / tall)
            ax = fig.add_axes(box, xticks=[], yticks=[])
            ax.imshow(values, aspect="auto", interpolation="auto", interpolation_stage="rgba").set_gid("thumbnail")
            ax.spines[:].set(visible=True, color=GREY, linewidth=0.6)
            below = (top - head - height - 0.07) / tall
            fig.text(left / WIDTH, below, "\n".join(lines[k]), fontsize=9, va="top", color=INK, linespacing=1.15)
        top -= head + height + foot
    return fig
