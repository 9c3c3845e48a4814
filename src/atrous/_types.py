"""Names for the kinds of argument that public functions take; shapes are in the docstrings."""

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
FloatArray: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
PerAxis: TypeAlias = int | Sequence[int]
PathLike: TypeAlias = str | os.PathLike[str]
Padding: TypeAlias = str | int | Sequence[int] | Sequence[tuple[int, int]]
