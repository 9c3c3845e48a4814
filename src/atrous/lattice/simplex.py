"""The lattice's arithmetic as scalar functions, shared by the CPU and the GPU loops. Numbers in, numbers out.

Each point goes through the same steps as in `geometry`; the loops differ only in which thread computes which point.

Role: shared formulas.
"""

import numpy as np

from atrous.jit.numba_or_not import OFF, njit


@njit
def elevated_coordinate(total, j, scaled):
    """Return coordinate j ≥ 1 of the elevated point from the sum of the later scaled features and feature j − 1.

    All three must have one dtype: an integer j would turn float32 into float64.
    """
    return total - j * scaled


@njit
def nearest_multiple(coordinate, inverse):
    """Return the integer nearest to a coordinate over D + 1, halves to even; `inverse` is 1/(D + 1)."""
    return round(coordinate * inverse)


@njit
def ranks_after(residual, other):
    """Tell whether a coordinate ranks after a *later* one: it does if its residual is strictly smaller."""
    return residual < other


@njit
def back_to_plane(rank, corners):
    """Return how many multiples of D + 1 to add to a coordinate of this rank to bring the base into the plane."""
    return 1 if rank < 0 else (-1 if rank >= corners else 0)


@njit
def drops_at(rank, remainder, corners):
    """Tell whether the coordinate of this rank is the one lowered by D + 1 on the step to vertex `remainder`."""
    return rank == corners - remainder


@njit
def blur_tap(value, before, after, half):
    """Return the taps ½, 1, ½ along one axis; `half` is ½ in the dtype of the values."""
    return value + half * (before + after)


def slice_scale(dimension):
    """Return 1/(1 + 2⁻ᴰ), which makes an impulse on a vertex of a full lattice come back as 1."""
    return 1 / (1 + 0.5**dimension)


@njit
def hash_slot(key, mask):
    """Return the entry at which the search for a key starts in a table of mask + 1 entries (Fibonacci hashing)."""
    return ((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & np.uint64(mask)


if OFF:  # NumPy would warn about the intended overflow

    def hash_slot(key, mask):
        """Return the same entry, computed with Python's integers."""
        return np.uint64((int(key) * 0x9E3779B97F4A7C15 % 2**64 >> 32) & int(mask))
