"""An estimate of the memory that a run needs, made before it starts.

Role: estimate.
"""

from __future__ import annotations

import os

from atrous._kinds import public
from atrous.errors import ParameterError


def available_memory():
    """Return the bytes of memory that are free, or None if the system does not report them."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


@public
def mean_field_bytes(points: int, labels: int, axes: tuple[int, ...], itemsize: int = 4) -> int:
    """Return about how many bytes mean field on a lattice needs in addition to its input.

    Parameters
    ----------
    points, labels : int
        P and L.
    axes : tuple of int
        Feature axes D of each pairwise term: (2, 5) for an RGB image.
    itemsize : int
        4 for float32, 8 for float64.

    Returns
    -------
    int
        Energies, marginals, rows of labels, features twice, corners and weights, and one slot and one vertex for every
        two points. Natural images have fewer; noise may need several times more.

    Examples
    --------
    >>> round(mean_field_bytes(500 * 375, 21, (2, 5)) / 1e6)
    90
    """
    width = -(-labels // 8) * 8
    corners = sum(d + 1 for d in axes)
    per_point = itemsize * (2 * labels + width + 2 * sum(axes) + corners) + 2 * corners + 8
    return points * per_point + points // 2 * itemsize * 2 * width


def refuse_too_large(owner, needed, advice):
    """Raise ParameterError if a run needs more memory than is free."""
    have = available_memory()
    if have is not None and needed > have:
        raise ParameterError(
            f"{owner}: this run needs about {needed / 1e9:.1f} GB of memory, {have / 1e9:.1f} GB are free. {advice}"
        )
