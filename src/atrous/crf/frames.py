"""Video: the CRF of each frame starts from the marginals of the one before, and needs fewer steps.

Role: public function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from atrous import _check
from atrous._check import told
from atrous._kinds import public
from atrous._types import Array, FloatArray
from atrous.crf.dense import DEFAULT, dense_crf
from atrous.crf.params import CRFParams
from atrous.errors import ParameterError


@public
def dense_crf_frames(
    frames: Iterable[tuple[Array, Array]],
    params: CRFParams | str = DEFAULT,
    *,
    iterations: int | None = None,
    later_iterations: int = 3,
    **options: Any,
) -> Iterator[FloatArray]:
    """Yield the marginals of the frames of a video, one after the other.

    Parameters
    ----------
    frames : iterable of (probabilities (L, H, W), image (H, W, C))
        Taken one at a time. Where the shape changes, the CRF starts afresh.
    params : CRFParams or str
        As for `dense_crf`.
    iterations : int, optional
        Steps for the first frame, by default those of `params`.
    later_iterations : int
        Steps for all others, which begin with the marginals of the frame before.
    **options
        As for `dense_crf`.

    Returns
    -------
    iterator of ndarray of shape (L, H, W)

    Raises
    ------
    ShapeError, DTypeError, ParameterError
        As for `dense_crf`.

    Notes
    -----
    The unary terms are those of each frame alone: the start saves steps and keeps ties as they were, but does not
    average over time. Where things move far from frame to frame, start afresh: call `dense_crf`.

    Examples
    --------
    >>> image = np.zeros((4, 6, 3), np.uint8)
    >>> image[:, 3:] = 200
    >>> p = np.where(image[..., 0] > 100, 0.7, 0.3)
    >>> found = [q.argmax(0) for q in dense_crf_frames([(np.stack([1 - p, p]), image)] * 3, later_iterations=1)]
    >>> len(found), found[2][0].tolist()
    (3, [0, 0, 0, 1, 1, 1])
    """
    later = _check.integer("dense_crf_frames", "later_iterations", later_iterations, least=1)
    before = None
    for i, frame in enumerate(frames):
        if not isinstance(frame, (tuple, list)) or len(frame) != 2:
            raise ParameterError(
                f"dense_crf_frames: frames must be pairs of probabilities and an image; number {i} is {told(frame)}."
            )
        probabilities, image = frame
        warm = before is not None and before.shape == np.shape(probabilities)
        steps = {"iterations": later, "start": before} if warm else {"iterations": iterations}
        before = dense_crf(probabilities, image, params, **steps, **options)
        yield before
