"""How near the permutohedral lattice comes to the Gaussian, and how few vertices it needs."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from atrous.examples.lattice import (
    OCCUPANCY,
    dimension_errors,
    impulse_response,
    impulse_response_2d,
    occupancy,
    photo_errors,
)
from atrous.figures import draw
from atrous.figures.style import (
    GREY,
    HOLE,
    INK,
    INPUT,
    OUTPUT,
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


@styled
def figure_impulse_response(distances=(0.0, 0.22, 0.433), offset=(0.3, 0.15)):
    """Draw what the lattice makes of an impulse beside the Gaussian: profiles in 1-D, maps in 2-D.

    Parameters
    ----------
    distances : three floats
        How far after a vertex the impulses in 1-D are, in standard deviations.
    offset : two floats
        The same in 2-D, along both axes.
    """
    fig = Figure(figsize=(WIDTH, 4.6))
    for panel, distance in enumerate(distances):
        ax = fig.add_axes((0.06 + 0.322 * panel, 0.59, 0.282, 0.29))
        x, response = impulse_response(distance)
        gauss = np.exp(-((x - distance) ** 2) / 2)
        ax.fill_between(x - distance, gauss, response, color=tint(WRONG, 0.3), lw=0)
        ax.plot(x - distance, gauss, color=GREY, lw=1.2, ls=(0, (4, 2)))
        (line,) = ax.plot(x - distance, response, color=OUTPUT, lw=1.7)
        line.set_gid("response")
        spacing = np.sqrt(3) / 2
        ks = np.arange(np.ceil((x[0]) / spacing), np.floor(x[-1] / spacing) + 1)
        ax.plot(ks * spacing - distance, np.full(len(ks), -0.05), "|", color=TAPS, ms=6, mew=1.6)
        ax.set(xlim=(-3.6, 3.6), ylim=(-0.1, 1.08), xticks=(-3, 0, 3), yticks=(0, 0.5, 1))
        ax.set_xticklabels(("−3σ", "0", "3σ"))
        ax.set_title("impulse on a vertex" if distance == 0 else f"{distance:.2g} σ after a vertex")
        ax.text(3.5, 0.9, f"keeps\n{response[len(x) // 2]:.2f}", ha="right", va="center", color=ink(OUTPUT))
        if panel:
            ax.set_yticklabels([])
    key = (
        ("Gaussian, dashed", GREY, 0.06),
        ("lattice", OUTPUT, 0.28),
        ("missing", WRONG, 0.4),
        ("vertices", TAPS, 0.53),
    )
    for words, color, place in key:
        fig.text(place, 0.965, words, color=ink(color), va="center")
    lattice, gauss = impulse_response_2d(offset)
    reach = max(0.05, np.abs(lattice - gauss).max())
    panels = (
        ("Gaussian, 2-D", gauss, {"cmap": ramp(GREY), "vmin": 0, "vmax": 1.2}, GREY),
        ("lattice", lattice, {"cmap": ramp(OUTPUT), "vmin": 0, "vmax": 1.2}, OUTPUT),
        (f"difference, within ±{reach:.2f}", lattice - gauss, {"cmap": SIGNED, "vmin": -reach, "vmax": reach}, INK),
    )  # fmt: skip
    for panel, (title, values, options, color) in enumerate(panels):
        ax = fig.add_axes((0.06 + 0.322 * panel, 0.02, 0.282, 0.43), xticks=[], yticks=[])
        extent = (-3.05, 3.05, -3.05, 3.05)
        ax.imshow(values, origin="lower", extent=extent, **options).set_gid(title)
        ax.contour(values if panel < 2 else gauss, [0.1, 0.5, 0.9], extent=extent, colors=[INK], linewidths=0.7,
                   linestyles="solid" if panel < 2 else "dotted")  # fmt: skip
        ax.set_title(title, color=ink(color))
        ax.spines[:].set(visible=True, color=HOLE)
    return fig


@styled
def figure_lattice_error(over_dimension=None, over_sigma=None):
    """Draw how far the lattice is from the exact sum: over the number of axes, and over a photograph's colour sigma.

    Above, raw sums as a share of the exact ones, and the weight of a point's own value; below, averages
    (sums divided by the sum of the weights) against exact ones, as a share of the values' range.

    Parameters
    ----------
    over_dimension, over_sigma : dict, optional
        From `dimension_errors` and `photo_errors`.
    """
    over_dimension = over_dimension or dimension_errors()
    over_sigma = over_sigma or photo_errors()
    fig = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes = fig.subplots(2, 2, sharex="col", sharey="row")
    titles = ("(a) scattered points, D axes", "(b) a photograph, 5 axes")
    labels = ("axes D", "$σ_β$, colour levels")
    for column, found in enumerate((over_dimension, over_sigma)):
        raw, average = axes[:, column]
        xs = list(found)
        for name, color, marker in (("row_sum_ratio", OUTPUT, "o"), ("self_weight", INPUT, "s")):
            (line,) = raw.plot(xs, [getattr(e, name) for e in found.values()], color=color, marker=marker, ms=4)
            line.set_gid(name)
        raw.axhline(1, color=GREY, lw=0.8, ls=(0, (4, 3)))
        for name, marker in (("largest", "^"), ("rms", "o")):
            (line,) = average.plot(xs, [getattr(e, name) for e in found.values()], color=WRONG, marker=marker, ms=4,
                                   ls="-" if name == "rms" else ":")  # fmt: skip
            line.set_gid(name)
        raw.set_title(titles[column])
        raw.set_ylim(0, 1.12)
        average.set_yscale("log")
        average.set_xlabel(labels[column])
        if column:
            average.set_xscale("log")
            average.set_xticks(xs, [f"{x:g}" for x in xs])
            average.minorticks_off()
    last = max(over_sigma)
    words = (
        (axes[0, 1], over_sigma[last].row_sum_ratio, "sum of weights", OUTPUT, 6),
        (axes[0, 1], over_sigma[last].self_weight, "own weight", INPUT, -18),
        (axes[1, 1], over_sigma[last].largest, "largest error", WRONG, 6),
        (axes[1, 1], over_sigma[last].rms, "rms error", WRONG, -30),
    )
    for ax, y, text, color, shift in words:
        ax.annotate(text, (last, y), (0, shift), textcoords="offset points", color=ink(color), ha="right", va="bottom")
    axes[0, 0].text(min(over_dimension), 1.02, "exact", color=GREY, va="bottom")
    axes[0, 0].set_ylabel("raw sums: lattice / exact")
    axes[1, 0].set_ylabel("averages: error / range")
    return fig


@styled
def figure_occupancy(found=None):
    """Draw how few vertices a photograph needs: those that exist against one slot for each pixel and corner.

    Parameters
    ----------
    found : dict, optional
        From `occupancy`.
    """
    found = found or occupancy()
    fig, ax = canvas(0.62 + 0.52 * len(found))
    left, right = 1.75, WIDTH - 1.55
    slots = max(slots for _, slots, _ in found.values())
    top = fig.get_figheight() - 0.42
    for row, (name, (places, own, missing)) in enumerate(found.items()):
        y = top - 0.52 * row
        space, color = OCCUPANCY.get(name, ("", ""))
        draw.write(ax, 0.12, y - 0.1, name, size=10)
        draw.write(ax, 0.12, y - 0.28, f"$σ_α$ {space:g}, $σ_β$ {color:g}" if space else "", color=GREY, size=9)
        for width, height, face, role in ((own, 0.34, HOLE, "slots"), (places, 0.34, TAPS, "vertices")):
            bar = Polygon(
                [(left, y), (left + (right - left) * width / slots, y),
                 (left + (right - left) * width / slots, y - height), (left, y - height)], facecolor=face, lw=0
            )  # fmt: skip
            bar.set_gid(role)
            ax.add_patch(bar)
        end = left + (right - left) * places / slots
        draw.write(ax, end + 0.07, y - 0.17, f"{places:,} vertices, {places / own:.1%}", color=TAPS)
        draw.write(ax, right + 0.12, y - 0.17, f"{missing:.0%}", color=WRONG)
    draw.write(ax, left, top + 0.2, f"{slots:,} slots: one for each pixel and corner", color=GREY)
    draw.write(ax, right + 0.12, top + 0.2, "neighbours missing", color=WRONG)
    return fig
