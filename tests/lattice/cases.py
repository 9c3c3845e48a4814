"""The case table of the lattice: every number of axes, few points and many, and points where rounding decides."""

from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """A set of points, by how they lie."""

    name: str
    points: int
    axes: int
    kind: str = "uniform"

    def draw(self, rng, dtype=np.float64):
        """Return features (points, axes)."""
        shape = (self.points, self.axes)
        if self.kind == "uniform":
            features = rng.uniform(-6, 6, shape)
        elif self.kind == "clusters":
            centres = rng.uniform(-20, 20, (5, self.axes))
            features = centres[rng.integers(0, 5, self.points)] + 0.3 * rng.standard_normal(shape)
        elif self.kind == "grid":  # an image: position, then colours that vary slowly
            y, x = np.divmod(np.arange(self.points), 32)
            ramps = [np.round(x * (3 + c) + y * (2 - c)) % 256 for c in range(self.axes - 2)]
            features = np.stack([x / 3.1, y / 2.9, *(r / 13 for r in ramps)], axis=1)[:, : self.axes]
        elif self.kind == "identical":
            features = np.repeat(rng.uniform(-3, 3, (1, self.axes)), self.points, axis=0)
        elif self.kind == "far":  # so far apart that the keys need several words
            reach = 7e3 if dtype == np.float32 else 1e9
            features = reach * rng.choice([-1, 1], shape) * rng.uniform(0, 1, shape) ** 4
        else:  # ties: with most features zero, coordinates are equal to the last bit, and whole rows repeat
            features = rng.integers(-2, 3, shape) * (rng.random(shape) < 0.3) * 1.5
        return features.astype(dtype)


CASES = [
    Case("1d", 60, 1),
    Case("1d_many", 1500, 1),
    Case("1d_one", 1, 1),
    Case("1d_ties", 40, 1, "ties"),
    Case("2d", 200, 2),
    Case("2d_grid", 32 * 50, 2, "grid"),
    Case("2d_ties", 50, 2, "ties"),
    Case("3d", 200, 3),
    Case("3d_identical", 30, 3, "identical"),
    Case("3d_clusters", 1100, 3, "clusters"),
    Case("4d", 100, 4),
    Case("4d_ties", 200, 4, "ties"),
    Case("5d", 150, 5),
    Case("5d_grid", 32 * 70, 5, "grid"),
    Case("5d_ties", 300, 5, "ties"),
    Case("5d_far", 200, 5, "far"),
    Case("6d_clusters", 200, 6, "clusters"),
    Case("7d", 60, 7),
    Case("8d", 60, 8),
    Case("8d_far", 100, 8, "far"),
    Case("8d_one", 1, 8),
    Case("12d", 40, 12),
    Case("12d_ties", 60, 12, "ties"),
    Case("20d", 25, 20, "clusters"),
    Case("20d_far", 12, 20, "far"),
]
BY_NAME = {case.name: case for case in CASES}
# Where a dense matrix of the filter is made, a point or two of each kind suffice.
SMALL = [case for case in CASES if case.points <= 300]
