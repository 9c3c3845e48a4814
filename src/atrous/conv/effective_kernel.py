"""The effective kernel size of an atrous filter: how many samples its taps span.

Role: geometry.
"""

from atrous import _check
from atrous._kinds import public


@public
def effective_kernel(kernel: int, rate: int = 1) -> int:
    """Return k_e = rate·(kernel − 1) + 1, the span of a filter whose taps are `rate` apart.

    Parameters
    ----------
    kernel : int
        Number of taps along one axis.
    rate : int, default 1
        Distance between neighbouring taps, in samples.

    Returns
    -------
    int
        Distance from first to last tap, both counted.

    References
    ----------
    Chen et al., DeepLab v2, arXiv:1606.00915, Section 3.1: k_e = k + (k − 1)(r − 1).

    Examples
    --------
    >>> effective_kernel(3, rate=12)
    25
    """
    kernel = _check.integer("effective_kernel", "kernel", kernel, least=1)
    rate = _check.integer("effective_kernel", "rate", rate, least=1)
    return rate * (kernel - 1) + 1
