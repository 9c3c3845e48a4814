"""The fully connected CRF at work: belief maps, free energy, thin structures, parameters, tiny grids."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from atrous import (
    CRFParams,
    Pairwise,
    bilateral_pairwise,
    class_iou,
    confusion_matrix,
    exact_marginals,
    free_energy,
    grid_crf,
    mean_field,
    resize_bilinear,
    spatial_pairwise,
    unary_from_labels,
    unary_from_probabilities,
)
from atrous._types import Array, FloatArray
from atrous.figures import draw
from atrous.figures.images import LUMA, photograph
from atrous.figures.style import (
    DPI,
    GREY,
    INK,
    INPUT,
    OUTPUT,
    PAPER,
    SIGNED,
    TAPS,
    WIDTH,
    WRONG,
    canvas,
    ink,
    ramp,
    styled,
    tint,
)

# Rough outlines over Matplotlib's portrait of Grace Hopper, in shares of width and height; later ones lie on top.
PORTRAIT = (
    (2, ((0.02, 1.0), (0.09, 0.64), (0.33, 0.57), (0.46, 0.62), (0.63, 0.54), (0.88, 0.67), (0.94, 1.0))),
    (2, ((0.3, 0.25), (0.36, 0.07), (0.66, 0.03), (0.77, 0.2), (0.7, 0.28))),
    (1, ((0.35, 0.26), (0.67, 0.23), (0.75, 0.37), (0.6, 0.58), (0.58, 0.66), (0.45, 0.65), (0.43, 0.56), (0.29, 0.4))),
)
PORTRAIT_PARAMS = CRFParams(bilateral_weight=10.0, sigma_alpha=30.0, sigma_beta=10.0)
SCORE_LIMIT = 12.0


def colour_photograph(path=None, width=256):
    """Return a picture as colour levels (H, W, 3), uint8, at most `width` wide and a quarter more in height.

    Parameters
    ----------
    path : path, optional
        As for `photograph`.
    width : int
        Larger pictures are made smaller.
    """
    from PIL import Image, ImageOps

    grey = photograph(path)
    picture = Image.fromarray(np.rint(255 * grey).astype(np.uint8)).convert("RGB")
    file = _portrait_file() if path is None else Path(path)
    if file.is_file():
        with Image.open(file) as source:
            if not source.mode.startswith(("I", "F")):
                picture = ImageOps.exif_transpose(source).convert("RGB")
    scale = min(1.0, width / picture.width, 1.25 * width / picture.height)
    size = tuple(max(1, round(scale * n)) for n in picture.size)
    return np.asarray(picture.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST))


def _portrait_file():
    from matplotlib.cbook import get_sample_data

    return Path(get_sample_data("grace_hopper.jpg", asfileobj=False))


def rough_labels(size, outlines=PORTRAIT):
    """Return labels (H, W) as somebody would draw them in a minute: polygons, 0 where there is none.

    Parameters
    ----------
    size : tuple (H, W)
    outlines : tuple of (label, points), or None
        Points (x, y) in shares of width and height; None draws one ellipse in the middle, label 1.
    """
    from PIL import Image, ImageDraw

    height, width = size
    picture = Image.new("L", (width, height), 0)
    pen = ImageDraw.Draw(picture)
    if outlines is None:
        pen.ellipse((0.22 * width, 0.2 * height, 0.78 * width, 0.8 * height), fill=1)
    else:
        for label, points in outlines:
            pen.polygon([(x * width, y * height) for x, y in points], fill=label)
    return np.asarray(picture).astype(np.int64)


def portrait_params(width=256):
    """Return the CRFParams that suit pictures like the portrait at this width: σ_α grows with it."""
    return PORTRAIT_PARAMS._replace(sigma_alpha=PORTRAIT_PARAMS.sigma_alpha * width / 256)


def portrait(width=256):
    """Return Matplotlib's portrait (H, W, 3), rough labels (H, W) of face and clothes, and CRFParams for this size.

    Where the portrait is missing, a drawn scene and an ellipse.
    """
    image = colour_photograph(width=width)
    rough = rough_labels(image.shape[:2], PORTRAIT if _portrait_file().is_file() else None)
    return image, rough, portrait_params(width)


class Refinement(NamedTuple):
    """What mean field made of rough labels, step by step."""

    image: Array
    """(H, W, 3) uint8."""
    rough: Array
    """(H, W) labels that it began with."""
    unary: FloatArray
    """(L, H, W) energies."""
    kernels: list[Pairwise]
    film: FloatArray
    """(T + 1, L, H, W): the marginals after 0, 1, …, T steps."""
    energies: FloatArray
    """(T + 1,): the free energy of each."""


def film_of(unary, kernels, iterations, **options):
    """Return the marginals (T + 1, L, …) after 0…T steps of `mean_field`."""
    film = [mean_field(unary, kernels, iterations=0)]
    mean_field(unary, kernels, iterations=iterations, callback=lambda _, q: film.append(q), **options)
    return np.array(film)


def refine_rough(image=None, rough=None, params=PORTRAIT_PARAMS, confidence=0.7):
    """Return the Refinement of rough labels by the fully connected CRF; of the portrait if no image is given."""
    if image is None:
        image, rough, params = portrait()
    unary = unary_from_labels(rough, int(rough.max()) + 1, confidence=confidence)
    how = {"normalization": params.normalization}
    kernels = [
        spatial_pairwise(rough.shape, params.sigma_gamma, params.spatial_weight, **how),
        bilateral_pairwise(image, params.sigma_alpha, params.sigma_beta, params.bilateral_weight, **how),
    ]
    film = film_of(unary, kernels, params.iterations)
    energies = np.array([free_energy(q, unary, kernels) for q in film])
    return Refinement(image, rough, unary, kernels, film, energies)


def few_colours(found, colours=16):
    """Return a Refinement whose picture has at most `colours` colours, so that a drawing of it makes a small file."""
    from PIL import Image

    picture = Image.fromarray(found.image).quantize(colours, dither=Image.Dither.NONE)
    return found._replace(image=np.asarray(picture.convert("RGB")))


def scores(marginals, label):
    """Return log Q(label) − log(1 − Q(label)), the score before the softmax up to a constant, within ±12."""
    others = np.delete(marginals, label, axis=0).sum(0)
    least = np.exp(-SCORE_LIMIT)
    return np.clip(np.log(np.maximum(marginals[label], least) / np.maximum(others, least)), -SCORE_LIMIT, SCORE_LIMIT)


def tinted(image, labels, color):
    """Return a picture (H, W, 3) in [0, 1] of the grey image, labels above 0 in shades of `color`, borders in ink."""
    grey = np.asarray(image, float)
    if grey.ndim == 3:
        grey = grey @ LUMA
    grey = grey[..., None] / 255 * np.ones(3)
    count = max(2, int(labels.max()) + 1)
    out = np.where((labels == 0)[..., None], 0.35 + 0.65 * grey, 0.0)
    for label in range(1, count):
        shade = (
            np.array(to_rgb(tint(color, 0.45 + 0.55 * (label - 1) / max(1, count - 2)))) if count > 2 else to_rgb(color)
        )
        out[labels == label] = (0.4 * grey + 0.6 * np.asarray(shade))[labels == label]
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    out[edge] = to_rgb(INK)
    return out


def _show(fig, left, top, width, values, title, *, role, color=INK, **options):
    """Show an array `width` inches wide, its upper left corner at (left, top), under its name; return the axes."""
    height = width * values.shape[0] / values.shape[1]
    wide, tall = fig.get_size_inches()
    ax = fig.add_axes((left / wide, (top - height) / tall, width / wide, height / tall), xticks=[], yticks=[])
    smooth = "auto" if values.shape[1] > width * DPI else "nearest"
    ax.imshow(values, aspect="auto", interpolation=smooth, interpolation_stage="rgba", **options).set_gid(role)
    ax.spines[:].set(visible=True, color=GREY, linewidth=0.8)
    draw.write(fig.axes[0], left, top + 0.12, title, color=color, size=9)
    return ax


def _frame(image, columns, tallest=1.95):
    """Return (left edges, width, height) of the pictures of one row, in inches."""
    room = (WIDTH - 0.2) / columns
    width = min(room - 0.1, tallest * image.shape[1] / image.shape[0])
    return (
        0.1 + 0.05 + room * np.arange(columns) + (room - 0.1 - width) / 2,
        width,
        width * image.shape[0] / image.shape[1],
    )


@styled
def figure_belief_maps(found=None, label=1, steps=(0, 1, 2, 10), *, coarse=False):
    """Draw how rough labels become sharp: the picture, score and belief maps of one label by step, the free energy.

    Parameters
    ----------
    found : Refinement, optional
        From `refine_rough`; that of the portrait if none is given.
    label : int
        Whose maps are drawn.
    steps : tuple of int
        After how many iterations, four of them.
    coarse : bool
        Draw maps in few shades, for a small file.

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Figure 5; v1, arXiv:1412.7062, Figure 2.
    """
    found = found or refine_rough()
    image, film = found.image, found.film
    lefts, width, height = _frame(image, 4)
    line = height + 0.33
    fig, ax = canvas(3 * line + 1.75)
    top = fig.get_figheight() - 0.27
    grid = grid_crf(found.unary, image, weight=3.0, sigma=20.0, neighbours=8).argmax(0)
    first = (
        (image, "photograph", INPUT, "photograph"),
        (tinted(image, found.rough, INPUT), "rough labels", INPUT, "rough"),
        (tinted(image, grid, WRONG), "short-range CRF", WRONG, "grid"),
        (tinted(image, film[-1].argmax(0), OUTPUT), "fully connected CRF", OUTPUT, "result"),
    )
    for left, (values, title, color, role) in zip(lefts, first, strict=True):
        _show(fig, left, top, width, values, title, role=role, color=color)
    for left, step in zip(lefts, steps, strict=True):
        q = film[step]
        name = "the input" if step == 0 else f"{step} step" + "s" * (step > 1)
        signed = {"cmap": SIGNED, "vmin": -SCORE_LIMIT, "vmax": SCORE_LIMIT}
        score, belief = scores(q, label), q[label]
        if coarse and step:
            score, belief = 2 * np.rint(score / 2), np.rint(20 * belief) / 20
        _show(fig, left, top - line, width, score, f"score, {name}", role=f"score {step}", **signed)
        _show(fig, left, top - 2 * line, width, belief, f"belief, {name}", role=f"belief {step}", color=OUTPUT,
              cmap=ramp(OUTPUT), vmin=0, vmax=1.35)  # fmt: skip
    tall = fig.get_figheight()
    panel = fig.add_axes((0.85 / WIDTH, 0.47 / tall, (WIDTH - 1.05) / WIDTH, 0.95 / tall))
    _energy_line(panel, found.energies / film[0, 0].size, "free energy", OUTPUT)
    chosen = [s for s in steps if s < len(found.energies)]
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


def rising_problem(seed=2096, points=18):
    """Return (unary, kernel) of points on a line on which the sum without the ½ rises during inference, float64."""
    rng = np.random.default_rng(seed)
    features = np.sort(2 * rng.standard_normal(points))[:, None]
    return 3 * rng.standard_normal((2, points)), Pairwise(features, 3.0, "none")


def energy_by_step(unary, kernels, film, method="lattice"):
    """Return the free energy of each step, and the same sum without the ½ before the pairwise part."""
    energies = np.array([free_energy(q, unary, kernels, method=method) for q in film])
    alone = np.array([free_energy(q, unary, []) for q in film])
    return energies, 2 * energies - alone


@styled
def figure_free_energy(portrait=None, problem=None, iterations=12):
    """Draw the free energy by iteration, of the portrait and of a few points, and the sum that leaves out the ½.

    The free energy falls; the sum without the ½, which pydensecrf calls klDivergence, may rise while inference works
    as it should (purple rings).

    Parameters
    ----------
    portrait : Refinement, optional
        From `refine_rough`.
    problem : tuple (unary, kernel), optional
        `rising_problem` if none is given; computed with all pairs of points.
    iterations : int
        For the problem.
    """
    portrait = portrait or refine_rough()
    unary, kernel = problem or rising_problem()
    film = film_of(unary, kernel, iterations, method="exact")
    fig = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    pixels = portrait.rough.size
    panels = (
        ("(a) the portrait, per pixel", *(e / pixels for e in energy_by_step(*portrait[2:5]))),
        ("(b) 18 points on a line", *energy_by_step(unary, kernel, film, "exact")),
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


class ThinScene(NamedTuple):
    """A picture of something thin, what is true, and the smooth probabilities that a network might give."""

    image: Array
    """(H, W, 3) uint8."""
    truth: Array
    """(H, W) labels 0 and 1."""
    probabilities: FloatArray
    """(2, H, W) float32."""


def thin_scene(size=(120, 152), stride=8, seed=0):
    """Return a ThinScene: a wheel with spokes on a post, seen by a network with output stride `stride`."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(seed)
    height, width = size
    picture = Image.new("L", (4 * width, 4 * height), 0)
    pen = ImageDraw.Draw(picture)
    centre, radius = np.array([2.0 * width, 1.7 * height]), 1.35 * height
    pen.ellipse((*(centre - radius), *(centre + radius)), outline=255, width=18)
    for angle in np.linspace(0, np.pi, 4, endpoint=False) + 0.3:
        end = radius * np.array([np.cos(angle), np.sin(angle)])
        pen.line((*(centre - end), *(centre + end)), fill=255, width=9)
    pen.ellipse((*(centre - 26), *(centre + 26)), fill=255)
    pen.rectangle((centre[0] - 11, centre[1], centre[0] + 11, 4 * height), fill=255)
    cover = np.asarray(picture.resize((width, height), Image.Resampling.BOX), float)[..., None] / 255
    y = np.linspace(0, 1, height)[:, None, None]
    ground = np.array([150.0, 190.0, 225.0]) * (1 - y) + np.array([215.0, 205.0, 160.0]) * y + np.zeros((1, width, 1))
    scene = (1 - cover) * ground + cover * np.array([120.0, 35.0, 30.0]) + 3 * rng.standard_normal((height, width, 3))
    coarse = cover[: height // stride * stride, : width // stride * stride, 0]
    coarse = coarse.reshape(height // stride, stride, -1, stride).mean((1, 3)) + 0.03 * rng.standard_normal(
        (height // stride, width // stride)
    )
    smooth = resize_bilinear(coarse, size, align_corners=False)
    p = (1 / (1 + np.exp(-12 * (smooth - 0.3)))).astype(np.float32)
    truth = (cover[..., 0] > 0.5).astype(np.int64)
    return ThinScene(np.clip(np.rint(scene), 0, 255).astype(np.uint8), truth, np.stack([1 - p, p]))


THIN_PARAMS = CRFParams(bilateral_weight=8.0, sigma_alpha=30.0, sigma_beta=25.0, spatial_weight=1.0, sigma_gamma=1.0)


def thin_results(scene=None):
    """Return {name: labels (H, W)} of a ThinScene: scores alone, two short-range CRFs by cut, the fully connected."""
    from atrous import dense_crf

    scene = thin_scene() if scene is None else scene
    unary = unary_from_probabilities(scene.probabilities)
    return {
        "scores alone": scene.probabilities.argmax(0),
        "4 neighbours": grid_crf(unary, weight=1.0, method="cut"),
        "4 neighbours, contrast": grid_crf(unary, scene.image, weight=3.0, sigma=25.0, method="cut"),
        "fully connected": dense_crf(scene.probabilities, scene.image, THIN_PARAMS).argmax(0),
    }


def iou_of(labels, truth):
    """Return the intersection over union of label 1."""
    return float(class_iou(confusion_matrix(labels, truth, 2))[1])


@styled
def figure_grid_against_dense(scene=None, results=None):
    """Draw why DeepLab takes a fully connected CRF: something thin under short-range CRFs and under a full one.

    Green is right, purple is wrong: where the label is missing it is light, where it is too much it is dark.

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
    lefts, width, height = _frame(scene.image, 3)
    line = height + 0.6
    fig, ax = canvas(2 * line + 0.1)
    top = fig.get_figheight() - 0.3
    _show(fig, lefts[0], top, width, scene.image // 8 * 8 + 4, "picture", role="picture", color=INPUT)
    smooth = {"cmap": ramp(INPUT), "vmin": 0, "vmax": 1.3}
    shades = np.rint(20 * scene.probabilities[1]) / 20
    _show(fig, lefts[1], top, width, shades, "probability, smooth", role="probability", color=INPUT, **smooth)
    places = [(lefts[2], top), *((left, top - line) for left in lefts)]
    for (left, above), (name, labels) in zip(places, results.items(), strict=True):
        picture = np.ones((*labels.shape, 3))
        picture[(labels == 1) & (scene.truth == 1)] = to_rgb(OUTPUT)
        picture[(labels == 0) & (scene.truth == 1)] = to_rgb(tint(WRONG, 0.4))
        picture[(labels == 1) & (scene.truth == 0)] = to_rgb(WRONG)
        last = name == list(results)[-1]
        _show(fig, left, above, width, picture, name, role=name, color=OUTPUT if last else INK)
        draw.write(ax, left, above - height - 0.14, f"IoU {iou_of(labels, scene.truth):.2f}", color=OUTPUT, size=9)
    for left, words, color in ((lefts[0], "what goes in", GREY), (lefts[1], "stride 8, enlarged", GREY)):
        draw.write(ax, left, top - height - 0.14, words, color=color, size=9)
    ax.set_zorder(-1)
    return fig


@styled
def figure_parameters(image=None, rough=None, alphas=(5.0, 20.0, 80.0), betas=(3.0, 10.0, 30.0, 100.0)):
    """Draw what the two widths of the appearance kernel do: results over σ_α (rows) and σ_β (columns).

    Parameters
    ----------
    image, rough : arrays, optional
        Picture (H, W, 3) and labels (H, W); a small portrait if none are given.
    alphas, betas : tuple of float
        Pixels, colour levels.
    """
    if image is None:
        image, rough, _ = portrait(128)
    room = (WIDTH - 0.75) / len(betas)
    width = min(room - 0.1, 1.8 * image.shape[1] / image.shape[0])
    height = width * image.shape[0] / image.shape[1]
    fig, ax = canvas((height + 0.3) * len(alphas) + 0.32)
    for row, alpha in enumerate(alphas):
        top = fig.get_figheight() - 0.57 - row * (height + 0.3)
        draw.write(ax, 0.1, top - height / 2, f"$σ_α$ = {alpha:g}", color=TAPS, size=10, rotation=90, ha="left")
        for column, beta in enumerate(betas):
            left = 0.45 + column * room
            params = CRFParams(sigma_alpha=alpha, sigma_beta=beta)
            found = refined_labels(image, rough, params)
            changed = float((found != rough).mean())
            flat = tinted(np.full(found.shape, 235.0), found, OUTPUT)
            _show(fig, left, top, width, flat, f"{changed:.0%} changed", role="result", color=GREY)
            if row == 0:
                draw.write(ax, left + width / 2, top + 0.38, f"$σ_β$ = {beta:g}", color=TAPS, size=10, ha="center")
    ax.set_zorder(-1)
    return fig


def refined_labels(image, rough, params=PORTRAIT_PARAMS, confidence=0.7):
    """Return the labels (H, W) that `dense_crf` makes of rough ones."""
    from atrous import dense_crf

    unary = unary_from_labels(rough, int(rough.max()) + 1, confidence=confidence)
    return dense_crf(np.exp(-unary), image, params).argmax(0)


def tiny_problem(weight=0.8, size=(3, 3), labels=2, seed=0):
    """Return (unary, kernel) of a tiny grid that can be enumerated, float64."""
    unary = 1.2 * np.random.default_rng(seed).standard_normal((labels, *size))
    return unary, spatial_pairwise(size, 1.0, weight, normalization="none", dtype=np.float64)


def tiny_marginals(weight, seed=0, **options):
    """Return the marginals (L, H, W) of a `tiny_problem`: the true ones, and mean field's."""
    unary, kernel = tiny_problem(weight, seed=seed, **options)
    found = mean_field(unary, kernel, iterations=100, method="exact", self_message=False, update="sequential")
    return exact_marginals(unary, kernel)[0], found


@styled
def figure_exact_against_mean_field(weight=0.8, weights=(0.1, 0.4, 1.0), seeds=range(16), shown=1):
    """Draw true marginals of tiny grids, by enumeration of all labellings, against mean field's.

    Above one grid in numbers; below many random grids at three strengths of the pairwise term. Mean field is exact
    without it and too sure of itself with much of it.

    Parameters
    ----------
    weight : float
        For the grid above.
    weights : tuple of float
        For the three panels below.
    seeds : iterable of int
        One random grid each.
    shown : int
        Seed of the grid above.
    """
    fig, ax = canvas(5.0)
    truth, found = (q[1] for q in tiny_marginals(weight, seed=shown))
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
