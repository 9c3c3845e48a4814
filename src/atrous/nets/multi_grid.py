"""Multi-grid: the units of a block run at different rates.

DeepLab v3 multiplies the rate of block 4 by a rate for each of its three units, such as (1, 2, 4), and does the same in
the blocks that repeat block 4.

Role: description.

References
----------
DeepLab v3, arXiv:1706.05587, Section 3.2.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from atrous import _check
from atrous.errors import ParameterError

BLOCK = 4


def multi_grid_rates(owner: str, multi_grid: int | Sequence[int], units: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the unit rates of each stage: 1 before block 4 (or the last, if there are fewer), then `multi_grid`."""
    first, found = min(BLOCK, len(units)), []
    for block, count in enumerate(units, start=1):
        grid = (multi_grid,) * count if isinstance(multi_grid, int) else tuple(multi_grid)
        grid = tuple(_check.integer(owner, f"multi_grid[{i}]", rate, least=1) for i, rate in enumerate(grid))
        if block >= first and len(grid) != count:
            raise ParameterError(
                f"{owner}: multi_grid needs {count} rates, one for each unit of block {block}, got {grid}."
            )
        found.append(grid if block >= first else (1,) * count)
    return found
