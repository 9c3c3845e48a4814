"""The permutohedral lattice in numbers: its stages for a few points, impulse responses, errors, occupancy."""

import numpy as np

from atrous import bilateral_pairwise, build_lattice, lattice_error, lattice_filter
from atrous.examples.photographs import colour_photograph
from atrous.lattice.geometry import barycentric_weights, elevate, enclosing_simplex, project, simplex_vertices


def place_points(features):
    """Return the vertices (P, D + 1, D + 1) around each point and their weights (P, D + 1)."""
    elevated = elevate(np.asarray(features, float))
    base, rank = enclosing_simplex(elevated)
    return simplex_vertices(base, rank), barycentric_weights(elevated, base, rank)


def lattice_stages(features, values):
    """Return the values of the vertices after the splat and after the blur along each axis, and the sliced values.

    Parameters
    ----------
    features : array of shape (P, D)
        Points in units of standard deviations.
    values : array of shape (P,)
        The values to filter.

    Returns
    -------
    stages : list of D + 2 dicts
        {coordinates of a vertex: value}.
    sliced : array of shape (P,)
        What `lattice_filter` returns.
    """
    vertices, weights = place_points(features)
    corners = weights.shape[1]
    names = [[tuple(v) for v in simplex] for simplex in vertices.tolist()]
    stage = dict.fromkeys((name for simplex in names for name in simplex), 0.0)
    for simplex, row, value in zip(names, weights.tolist(), np.asarray(values, float).tolist(), strict=True):
        for name, weight in zip(simplex, row, strict=True):
            stage[name] += weight * value
    stages = [stage]
    for axis in range(corners):
        step = np.full(corners, -1)
        step[axis] = corners - 1
        old = stages[-1]
        sides = {v: old.get(tuple(np.add(v, step)), 0.0) + old.get(tuple(np.subtract(v, step)), 0.0) for v in old}
        stages.append({v: old[v] + sides[v] / 2 for v in old})
    scale = 1 / (1 + 2.0 ** (1 - corners))
    last = np.array([[stages[-1][name] for name in simplex] for simplex in names])
    return stages, scale * (weights * last).sum(1)


def plane_vertices(low, high):
    """Return the vertices (M, 3) of the 2-D lattice whose positions lie between the corners `low` and `high`."""
    reach = int(np.ceil(3 * np.abs([low, high]).max())) + 3
    a, b = np.meshgrid(*[np.arange(-reach, reach + 1)] * 2)
    keep = (a - b) % 3 == 0
    vertices = np.column_stack([a[keep], b[keep], -a[keep] - b[keep]])
    places = project(vertices)
    return vertices[((places >= low) & (places <= high)).all(1)]


def scattered_points():
    """Return points (P, 2) along an arc, as the colours of an image lie along curves, in standard deviations."""
    rng = np.random.default_rng(3)
    t = np.sort(rng.uniform(0, 1, 26))
    bow = np.column_stack([4.2 * t - 2.1, 1.5 * np.sin(2.6 * t + 0.1) - 0.85])
    return bow + 0.13 * rng.standard_normal(bow.shape)


def impulse_points():
    """Return points (P, 2) scattered so densely that every vertex exists, and values (P,) that are 1 at one point."""
    rng = np.random.default_rng(1)
    x, y = np.meshgrid(np.linspace(-2.7, 2.7, 17), np.linspace(-2.2, 2.2, 14))
    points = np.column_stack([x.ravel(), y.ravel()]) + 0.04 * rng.standard_normal((x.size, 2))
    values = np.zeros(len(points))
    values[np.argmin(((points - (0.12, 0.2)) ** 2).sum(1))] = 1
    return points, values


def impulse_response(offset=0.0):
    """Return positions x and the response of the 1-D lattice there to an impulse at `offset` from a vertex."""
    x = offset + 0.05 * np.arange(round(-4.0 / 0.05), round(4.0 / 0.05) + 1)
    impulse = np.zeros((len(x), 1))
    impulse[np.abs(x - offset).argmin()] = 1
    return x, lattice_filter(build_lattice(x[:, None]), impulse)[:, 0]


def impulse_response_2d(offset=(0.0, 0.0)):
    """Return the responses (n, n) of the lattice and of the Gaussian to an impulse at `offset` from a vertex."""
    line = 0.1 * np.arange(round(-3.0 / 0.1), round(3.0 / 0.1) + 1)
    y, x = np.meshgrid(line, line, indexing="ij")
    points = np.column_stack([x.ravel(), y.ravel()]) + np.asarray(offset)
    impulse = np.zeros((len(points), 1))
    impulse[len(points) // 2] = 1
    return lattice_filter(build_lattice(points), impulse)[:, 0].reshape(x.shape), np.exp(-(x**2 + y**2) / 2)


def dimension_errors(dimensions=(1, 2, 3, 4, 5, 6), count=1500):
    """Return {D: LatticeError} for points in D dimensions, normal with standard deviation 1.2 along each axis.

    The values are a smooth function of the points, like the labels of an image.
    """
    found = {}
    for d in dimensions:
        points = 1.2 * np.random.default_rng(0).standard_normal((count, d))
        found[d] = lattice_error(points, np.sin(1.5 * points[:, :1]))
    return found


def photo_errors(sigmas=(4.0, 6.0, 9.0, 13.0, 20.0, 30.0, 45.0), width=128):
    """Return {σ_β: LatticeError} for the position and colour of a photograph's pixels; its grey levels are filtered."""
    image = colour_photograph(width=width)
    grey = image.mean(2, dtype=np.float64).reshape(-1, 1)
    terms = {s: bilateral_pairwise(image, 40.0, s, 1.0, dtype=np.float64) for s in sigmas}
    return {s: lattice_error(term.features, grey) for s, term in terms.items()}


OCCUPANCY = {"DeepLab v1": (50.0, 10.0), "examples": (80.0, 13.0), "wide": (60.0, 20.0), "CRF-RNN": (160.0, 3.0)}


def occupancy(image=None, sigmas=OCCUPANCY):
    """Return {name: (places, slots, missing)} for bilateral features of an image.

    `places` is the number of vertices that exist, `slots` the size of a table without sharing, P·(D + 1), and `missing`
    the share of neighbours that do not exist.
    """
    image = colour_photograph() if image is None else image
    found = {}
    for name, (space, color) in sigmas.items():
        lattice = build_lattice(bilateral_pairwise(image, space, color, 1.0).features)
        absent = float((lattice.neighbours == len(lattice.keys)).mean())
        found[name] = (len(lattice.keys), lattice.weights.size, absent)
    return found
