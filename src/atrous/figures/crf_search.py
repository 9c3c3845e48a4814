"""The walk of a search for the CRF's parameters: which values were tried, and how good each was."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from atrous.crf.search import Round
from atrous.figures.style import HOLE, INK, OUTPUT, PAPER, WIDTH, ramp, styled

SYMBOLS = {
    "bilateral_weight": "$w_1$",
    "spatial_weight": "$w_2$",
    "sigma_alpha": "$σ_α$, pixels",
    "sigma_beta": "$σ_β$, levels",
    "sigma_gamma": "$σ_γ$, pixels",
}
SIDES = (0.94, 0.5, 0.28)  # of a round's squares; tiles of the first are one apart


def _places(values, first):
    """Return where values stand on an axis on which those of the first round are 0, 1, 2, …, evenly spaced."""
    first = np.asarray(first, float)
    if len(first) == 1:
        return np.zeros(len(values))
    values = np.asarray(values, float)
    i = np.clip(np.searchsorted(first, values) - 1, 0, len(first) - 2)
    return i + (values - first[i]) / (first[i + 1] - first[i])


@styled
def figure_search(rounds, unit=100.0, name="mean IoU, %"):
    """Draw a search for the CRF's parameters: the best score over the two sigmas, round by round, and over the rest.

    Parameters
    ----------
    rounds : sequence of Round or dict
        From `search_crf`, or as `atrous tune` writes them.
    unit, name : float, str
        Factor of the scores, and the words for them.

    Returns
    -------
    Figure
        Role "tile" are the squares of the map, smaller for later rounds; "curve" the lines of other parameters, "best"
        the chosen values.
    """
    rounds = [r if isinstance(r, Round) else Round(r["values"], np.asarray(r["scores"]), r["best"]) for r in rounds]
    scores = [unit * np.asarray(r.scores) for r in rounds]
    first, best = rounds[0].values, rounds[-1].best
    mapped = [n for n in ("sigma_beta", "sigma_alpha") if len(first.get(n, ())) > 1]
    mapped = mapped if len(mapped) == 2 else []
    others = [n for n in first if n not in mapped and len(first[n]) > 1]
    fig = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    ratios = [1.6] * bool(mapped) + [1] * len(others)
    axes = fig.subplots(1, len(ratios), width_ratios=ratios, squeeze=False)[0]
    if mapped:
        _map(axes[0], rounds, scores, mapped, name)
    for ax, parameter in zip(axes[bool(mapped) :], others, strict=True):
        for i, (r, s) in enumerate(zip(rounds, scores, strict=True)):
            axis = list(r.values).index(parameter)
            most = s.max(axis=tuple(a for a in range(s.ndim) if a != axis))
            places = _places(r.values[parameter], first[parameter])
            looks = {"color": OUTPUT, "marker": "o", "ms": 8 - 2 * min(i, 2), "mfc": PAPER if i == 0 else OUTPUT}
            ax.plot(places, most, **looks, lw=1.2, label=f"round {i + 1}")[0].set_gid("curve")
        (x,) = _places([best[parameter]], first[parameter])
        ax.plot([x], [scores[-1].max()], "o", ms=14, mfc="none", color=INK, mew=1.4)[0].set_gid("best")
        ax.set_xticks(range(len(first[parameter])), [f"{v:g}" for v in first[parameter]])
        ax.set(
            xlabel=SYMBOLS[parameter],
            ylabel=name,
            title=f"best {SYMBOLS[parameter].split(',')[0]}: {best[parameter]:g}",
        )
        ax.margins(x=0.12, y=0.12)
        ax.legend(loc="best", frameon=False)
    return fig


def _map(ax, rounds, scores, mapped, name):
    """Draw the map over σβ and σα: colour is the best score over everything else."""
    first, best, colours = rounds[0].values, rounds[-1].best, ramp(OUTPUT)
    rest = tuple(i for i, n in enumerate(first) if n not in mapped)
    most = [s.max(axis=rest) if list(first).index(mapped[0]) > list(first).index(mapped[1]) else s.max(axis=rest).T
            for s in scores]  # fmt: skip
    low, high = min(m.min() for m in most), max(m.max() for m in most)
    corners = []
    for i, (r, m) in enumerate(zip(rounds, most, strict=True)):
        side, edge = SIDES[min(i, 2)], HOLE if i == 0 else INK
        across, up = (_places(r.values[n], first[n]) for n in mapped)
        corners += [(across.min() - side / 2, up.min() - side / 2), (across.max() + side / 2, up.max() + side / 2)]
        for (y, x), value in np.ndenumerate(m):
            place, shade = (
                (across[x] - side / 2, up[y] - side / 2),
                colours(0.05 + 0.7 * (value - low) / max(high - low, 1e-9)),
            )
            tile = Rectangle(place, side, side, fc=shade, ec=edge, lw=0.8, zorder=i)
            tile.set_gid("tile")
            ax.add_patch(tile)
    x, y = (float(_places([best[n]], first[n])[0]) for n in mapped)
    ax.plot([x], [y], "o", ms=14, mfc="none", color=INK, mew=1.6, zorder=9)[0].set_gid("best")
    for n, axis in zip(mapped, (ax.xaxis, ax.yaxis), strict=True):
        axis.set_ticks(range(len(first[n])), [f"{v:g}" for v in first[n]])
    (left, low_edge), (right, top) = np.min(corners, axis=0) - 0.05, np.max(corners, axis=0) + 0.05
    ax.set(
        xlim=(left, right), ylim=(low_edge, top), xlabel=SYMBOLS[mapped[0]], ylabel=SYMBOLS[mapped[1]],
        title=f"{name.split(',')[0]} with the best of the rest, {low:.1f} (light)\n"
        f"to {high:.1f}; smaller squares are later rounds",
    )  # fmt: skip
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
