"""The permutohedral lattice: where points lie in it, and how splat, blur and slice carry a value through it."""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from atrous.examples.lattice import (
    impulse_points,
    lattice_stages,
    place_points,
    plane_vertices,
    scattered_points,
)
from atrous.figures import draw
from atrous.figures.style import (
    GREY,
    HOLE,
    INK,
    INPUT,
    OUTPUT,
    PAPER,
    TAPS,
    WIDTH,
    canvas,
    ink,
    styled,
    tint,
)
from atrous.lattice.geometry import elevate, project

# One shade of orange for each remainder of a vertex; its digit stands inside.
_SHADES = (0.25, 0.6, 1.0)


def _mesh(ax, low, high, color=HOLE):
    """Draw the edges of the 2-D lattice around a window."""
    vertices = plane_vertices(np.subtract(low, 1.1), np.add(high, 1.1))
    steps = np.array([[-2, 1, 1], [1, -2, 1], [1, 1, -2]])
    lines = [project(np.stack([v, v + s])) for v in vertices for s in steps]
    edges = LineCollection(lines, colors=color, linewidths=0.8, zorder=1)
    edges.set_gid("edges")
    ax.add_collection(edges, autolim=False)


def _window(fig, box, low, high, title=None):
    """Return axes over a window of the plane, without ticks."""
    ax = fig.add_axes(box, xticks=[], yticks=[], xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    ax.spines[:].set(visible=True, color=HOLE)
    if title:
        ax.set_title(title)
    return ax


def _digits(ax, vertices, size=0.19):
    """Draw vertices with their remainders."""
    places = project(vertices)
    remainders = vertices[:, 0] % vertices.shape[1]
    faces = [tint(TAPS, _SHADES[r]) for r in remainders]
    draw.dots(ax, *places.T, faces, role="vertices", size=size, edge=ink(TAPS), width=0.8, zorder=5)
    for (x, y), r in zip(places, remainders, strict=True):
        ax.text(x, y, str(r), ha="center", va="center_baseline", fontsize=9, zorder=6)


@styled
def figure_lattice_1d(features=(-1.55, -0.45, 0.3, 1.25)):
    """Draw points of one axis elevated to the line x₀ + x₁ = 0, and the weights of the two vertices around each.

    Roles "points" and "vertices" are drawn in the plane, role "weights" as stems over the unrolled line.

    References
    ----------
    Adams, Baek, Davis, Eurographics 2010, Section 3.
    """
    features = np.asarray(features, float)
    vertices, weights = place_points(features[:, None])
    elevated = elevate(features[:, None])
    reach = int(np.abs(vertices).max())
    fig, ax = canvas(3.15)
    side = 2.2 / (2 * reach)
    middle = np.array([1.55, 1.45])
    lines = [[(-reach, k), (reach, k)] for k in range(-reach, reach + 1)]
    lines += [[(k, -reach), (k, reach)] for k in range(-reach, reach + 1)]
    lines = middle + side * np.array(lines)
    draw.links(ax, lines[:, 0], lines[:, 1], HOLE, role="integers", width=0.7, zorder=1)
    ends = middle + side * reach * np.array([(-1.12, 1.12), (1.12, -1.12)])
    draw.links(ax, ends[:1], ends[1:], GREY, role="plane", width=1.4)
    ks = np.arange(-reach, reach + 1)
    faces = [tint(TAPS, _SHADES[2 * (k % 2)]) for k in ks]
    draw.dots(ax, middle[0] + side * ks, middle[1] - side * ks, faces, role="vertices", size=0.2, edge=ink(TAPS))
    for k in ks:
        at = middle + side * np.array([k, -k])
        draw.write(ax, *at, str(k % 2), ha="center", va="center_baseline", size=9, zorder=7)
    draw.dots(ax, *(middle + side * elevated).T, INPUT, role="points", size=0.11, zorder=8)
    draw.write(ax, 0.12, 2.98, "(a) points on the line $x_0 + x_1 = 0$", size=10)
    draw.write(ax, middle[0] + 0.08, middle[1] + side * reach + 0.13, "$x_1$", color=GREY)
    draw.write(ax, middle[0] + side * reach + 0.13, middle[1], "$x_0$", color=GREY)

    left, right, base = 3.45, WIDTH - 0.3, 0.95
    step = (right - left) / (2 * reach)
    centre = (left + right) / 2
    draw.write(ax, left - 0.25, 2.98, "(b) the line, unrolled: weights fall off linearly", size=10)
    draw.links(ax, [(left - 0.2, base)], [(right + 0.2, base)], GREY, role="line", width=1.0)
    for k in ks:
        shade = tint(TAPS, max(0.5, _SHADES[2 * (k % 2)]))
        for other in (k - 1, k + 1):
            if abs(other) <= reach:
                draw.links(ax, [(centre + step * k, base + 1.3)], [(centre + step * other, base)], shade, role="hats",
                           width=1.1)  # fmt: skip
    draw.dots(ax, centre + step * ks, base, faces, role="unrolled vertices", size=0.2, edge=ink(TAPS))
    for k in ks:
        draw.write(ax, centre + step * k, base, str(k % 2), ha="center", va="center_baseline", size=9, zorder=7)
    for x, row in zip(elevated[:, 0], weights, strict=True):
        at = centre + step * x
        draw.stems(ax, [at, at], base, row, 1.3, INPUT, role="weights", head=0.085)
        draw.dots(ax, at, base, INPUT, role="unrolled points", size=0.11, zorder=8)
        draw.write(ax, at, base + 1.48, f"{row.max():.2f}\n{row.min():.2f}", color=INPUT, ha="center", size=9)
    for sigma in range(int(-reach / 1.16), int(reach / 1.16) + 1):
        at = centre + step * sigma * elevate(np.array([[1.0]]))[0, 0]
        draw.links(ax, [(at, base - 0.3)], [(at, base - 0.38)], GREY, role="ticks")
        draw.write(ax, at, base - 0.5, f"{sigma}σ".replace("-", "−") if sigma else "0", color=GREY, ha="center", size=9)
    draw.write(ax, centre, 0.16, "feature, in standard deviations", color=GREY, ha="center")
    return fig


@styled
def figure_lattice_2d():
    """Draw points of two axes in their lattice of triangles: the vertices that exist, and one point's weights.

    The weights are those of the most central point, each as the share of the triangle that faces its vertex.

    References
    ----------
    Adams, Baek, Davis, Eurographics 2010, Section 3, Figures 2 and 3.
    """
    features = scattered_points()
    vertices, weights = place_points(features)
    point = int(np.argmax(weights.min(1)))
    low, high = np.array([-2.75, -1.75]), np.array([2.75, 1.75])
    fig = Figure(figsize=(WIDTH, 3.35))
    ax = _window(fig, (0.015, 0.03, 0.66, 0.865), low, high, "(a) vertices exist only around points")
    _mesh(ax, low, high)
    for simplex in np.unique(vertices, axis=0):
        ax.add_patch(Polygon(project(simplex), facecolor=tint(TAPS, 0.16), edgecolor=tint(TAPS, 0.6), lw=0.8, zorder=2))
    absent = plane_vertices(low + 0.05, high - 0.05)
    present = np.unique(vertices.reshape(-1, 3), axis=0)
    names = set(map(tuple, present.tolist()))
    absent = np.array([v for v in absent.tolist() if tuple(v) not in names]).reshape(-1, 3)
    draw.dots(ax, *project(absent).T, HOLE, role="absent", size=0.1, hollow=True)
    _digits(ax, present)
    draw.dots(ax, *features.T, INPUT, role="points", size=0.07, zorder=7)
    draw.rings(ax, *features[point], INK, role="chosen", size=0.15, zorder=8)

    triangle = project(vertices[point])
    centre = (triangle.min(0) + triangle.max(0)) / 2
    half = np.array([0.8, 1.122])
    zoom = _window(fig, (0.69, 0.03, 0.295, 0.865), centre - half, centre + half, "(b) the ringed point")
    _mesh(zoom, centre - half, centre + half)
    for r in range(3):
        faced = np.array([features[point], triangle[(r + 1) % 3], triangle[(r + 2) % 3]])
        part = Polygon(faced, facecolor=tint(TAPS, 0.75 * _SHADES[r]), edgecolor=PAPER, lw=1.2, zorder=2)
        part.set_gid("weight")
        zoom.add_patch(part)
        outward = triangle[r] - triangle.mean(0)
        at = triangle[r] + 0.2 * outward / np.linalg.norm(outward) * (1.0, 0.8)
        zoom.text(*at, f"{weights[point, r]:.2f}", ha="center", va="center", fontsize=9.5, zorder=8, color=ink(TAPS))
    _digits(zoom, vertices[point], size=0.22)
    draw.dots(zoom, *features[point], INPUT, role="chosen point", size=0.11, zorder=7)
    return fig


def _stage(ax, stage, largest):
    """Draw the values of vertices as orange discs whose area grows with the value."""
    names = np.array(list(stage))
    values = np.array(list(stage.values()))
    places = project(names)
    reached = values > 1e-9
    size = 0.34 * np.sqrt(values[reached] / largest)
    shown = ax.scatter(
        *places[reached].T, s=(72 * size) ** 2, color=TAPS, linewidths=0.6, edgecolors=ink(TAPS), zorder=4
    )
    shown.set_gid("reached")


@styled
def figure_splat_blur_slice():
    """Draw an impulse on its way: the points, the vertices after splat and after each axis' blur, the points again.

    References
    ----------
    Adams, Baek, Davis, Eurographics 2010, Figure 1.
    """
    features, values = impulse_points()
    stages, sliced = lattice_stages(features, values)
    low, high = np.array([-2.75, -2.25]), np.array([2.75, 2.25])
    fig = Figure(figsize=(WIDTH, 4.5))
    titles = ("input: 1 at one point", "splat: to three vertices", "blur along axis 0", "blur along axis 1",
              "blur along axis 2", "slice: back to the points")  # fmt: skip
    colors = {0: INPUT, 5: OUTPUT}
    for panel, title in enumerate(titles):
        row, column = divmod(panel, 3)
        box = (0.012 + 0.33 * column, 0.505 - 0.49 * row, 0.316, 0.43)
        ax = _window(fig, box, low, high)
        ax.set_title(title, color=ink(colors.get(panel, TAPS)))
        if panel not in colors:
            _mesh(ax, low, high, tint(HOLE, 0.7))
        if panel in colors:
            shown = np.asarray(values) if panel == 0 else sliced
            order = np.argsort(shown, kind="stable")
            strength = shown[order] / shown.max()
            faces = [tint(colors[panel], 0.1 + 0.9 * round(8 * s) / 8) if s > 1e-3 else HOLE for s in strength]
            size = [0.12 if s > 1e-3 and panel == 0 else 0.075 if s > 1e-3 else 0.035 for s in strength]
            dots = ax.scatter(*features[order].T, s=(72 * np.array(size)) ** 2, c=faces, linewidths=0, zorder=4)
            dots.set_gid("input" if panel == 0 else "output")
        else:
            stage = stages[panel - 1]
            _stage(ax, stage, max(max(s.values()) for s in stages))
            total = f"sum {sum(stage.values()):.2f}"
            ax.text(low[0] + 0.1, low[1] + 0.12, total, color=ink(TAPS), fontsize=9, zorder=9,
                    bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5, "alpha": 0.85})  # fmt: skip
    return fig
