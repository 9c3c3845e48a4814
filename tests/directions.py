"""Gradients: of layers entry by entry, of whole blocks and networks along random directions.

In those ReLUs make single differences useless.
"""

from functools import partial

import numpy as np

import atrous

# The checker's own relative tolerance is 1e-6.
assert_gradients = partial(atrous.assert_gradients, rtol=1e-8)

STEPS = (1e-5, 1e-6, 1e-7, 1e-4, 1e-8)
ENOUGH = 1e-8


def directional_error(loss, point, grads, rng):
    """Return |numeric − analytic| / Σ ‖gradient‖·‖direction‖ along one random direction of all arrays.

    `loss` takes a dictionary of arrays like `point`. Differences are extrapolated from two steps; the best of several
    steps counts, since a large one may cross a kink and a small one loses digits; the first that is good `ENOUGH` ends
    the search.
    """
    direction = {key: rng.standard_normal(g.shape) * (np.abs(point[key]).mean() + 1e-3) for key, g in grads.items()}
    analytic = sum(np.vdot(g, direction[key]) for key, g in grads.items())
    scale = sum(np.linalg.norm(g) * np.linalg.norm(direction[key]) for key, g in grads.items())

    def along(step):
        return loss({key: a + step * direction[key] if key in direction else a for key, a in point.items()})

    errors = []
    for step in STEPS:
        wide, narrow = ((along(s) - along(-s)) / (2 * s) for s in (step, step / 2))
        errors.append(abs((4 * narrow - wide) / 3 - analytic) / scale)
        if errors[-1] <= ENOUGH:
            break
    return min(errors)
