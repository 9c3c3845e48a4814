"""What the parameters of the dense CRF do to rough labels."""

import numpy as np

from atrous.examples.crf import labels_by_width, refined_labels
from atrous.examples.photographs import PORTRAIT_PARAMS, portrait
from atrous.figures import draw
from atrous.figures.pictures import picture, row_of_pictures, tinted
from atrous.figures.style import GREY, INPUT, OUTPUT, TAPS, WIDTH, canvas, styled


@styled
def figure_parameters(image=None, rough=None, alphas=(5.0, 20.0, 80.0), betas=(3.0, 10.0, 30.0, 100.0)):
    """Draw what the two widths of the appearance term do: results over σ_α (rows) and σ_β (columns).

    Parameters
    ----------
    image, rough : arrays, optional
        Picture (H, W, 3) and labels (H, W); a small portrait if none are given.
    alphas, betas : tuple of float
        Pixels, colour levels.
    """
    labels, rough = labels_by_width(alphas, betas, image, rough)
    room = (WIDTH - 0.75) / len(betas)
    width = min(room - 0.1, 1.8 * rough.shape[1] / rough.shape[0])
    height = width * rough.shape[0] / rough.shape[1]
    fig, ax = canvas((height + 0.3) * len(alphas) + 0.32)
    for row, alpha in enumerate(alphas):
        top = fig.get_figheight() - 0.57 - row * (height + 0.3)
        draw.write(ax, 0.1, top - height / 2, f"$σ_α$ = {alpha:g}", color=TAPS, size=10, rotation=90, ha="left")
        for column, beta in enumerate(betas):
            left = 0.45 + column * room
            found = labels[alpha, beta]
            changed = float((found != rough).mean())
            flat = tinted(np.full(found.shape, 235.0), found, OUTPUT)
            picture(fig, left, top, width, flat, f"{changed:.0%} changed", role="result", color=GREY)
            if row == 0:
                draw.write(ax, left + width / 2, top + 0.38, f"$σ_β$ = {beta:g}", color=TAPS, size=10, ha="center")
    ax.set_zorder(-1)
    return fig


@styled
def figure_refined(image=None, rough=None, params=PORTRAIT_PARAMS):
    """Draw an image, rough labels, what the dense CRF makes of them, and which pixels changed.

    Parameters
    ----------
    image, rough : arrays, optional
        Picture (H, W, 3) and labels (H, W); a small portrait if none are given.
    params : CRFParams
    """
    if image is None:
        image, rough, _ = portrait(128)
    found = refined_labels(image, rough, params)
    changed = found != rough
    blank = np.full(rough.shape, 235.0)
    pictures = (
        ("image", image, GREY),
        ("rough labels", tinted(blank, rough, INPUT), INPUT),
        (f"after {params.iterations} steps", tinted(blank, found, OUTPUT), OUTPUT),
        (f"{changed.mean():.0%} changed", tinted(blank, changed.astype(int), TAPS), TAPS),
    )
    lefts, width, height = row_of_pictures(image, len(pictures))
    fig, _ = canvas(height + 0.4)
    for left, (title, values, color) in zip(lefts, pictures, strict=True):
        picture(fig, left, fig.get_figheight() - 0.3, width, values, title, role=title, color=color)
    return fig
