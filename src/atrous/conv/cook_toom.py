"""Winograd's minimal filtering: the matrices of F(m, r), m outputs of an r-tap filter by m + r − 1 products.

A filter slides over d, and y[i] = Σ_k d[i + k]·g[k] for m outputs i. That takes m·r products. It is the transpose of
multiplying two polynomials, of r and m coefficients, and a product of degree n − 1 = m + r − 2 is fixed by its values
at n points: evaluate both factors at each point, multiply the values, interpolate. Transposed, these three steps are

    y = Aᵀ [ (G g) ⊙ (Bᵀ d) ]        n products ⊙ instead of m·r

with points a_0 … a_{n−2} and the point ∞, at which a polynomial's value is its highest coefficient:

    Gᵀ row k     a_j^k / Π_{l≠j} (a_j − a_l)      values of the filter's polynomial at the points, scaled
    Aᵀ row i     a_j^i                            values of the outputs' polynomial
    Bᵀ row j     coefficients of Π_{l≠j} (x − a_l)    interpolation; row n − 1: of the product of all

In two dimensions each matrix is applied from both sides: Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A. F(2×2, 3×3) takes 16
products for 4 outputs instead of 36, F(4×4, 3×3) 36 for 16 instead of 144. The price is rounding: large points make
large coefficients, whose differences lose digits, so the points are small numbers and the tiles stay small.

Role: definition.

References
----------
Winograd, Arithmetic Complexity of Computations, 1980; Lavin and Gray, Fast Algorithms for Convolutional Neural
Networks, arXiv:1509.09308; Barabasz et al., Error Analysis and Improving the Accuracy of Winograd Convolution,
arXiv:1803.10986.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

# The finite points, in the order in which larger tiles add them.
POINTS = (0, 1, -1, Fraction(1, 2), -2)
TAPS = 3


class CookToom(NamedTuple):
    """The matrices of F(m, r): AT (m, n), G (n, r) and BT (n, n) of exact fractions, n = m + r − 1."""

    AT: np.ndarray
    G: np.ndarray
    BT: np.ndarray


def _product_of(roots):
    """Return the coefficients of Π (x − root), lowest first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [s - root * c for s, c in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return coefficients


def cook_toom(outputs: int, taps: int = TAPS, points=POINTS) -> CookToom:
    """Return the matrices of F(outputs, taps) over the first outputs + taps − 2 points and ∞.

    Examples
    --------
    >>> AT, G, BT = cook_toom(2)
    >>> BT.astype(int).tolist()
    [[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]
    """
    n = outputs + taps - 1
    points = [Fraction(p) for p in points[: n - 1]]
    others = [[b for b in points if b != a] for a in points]
    scales = [np.prod([a - b for b in rest], initial=Fraction(1)) for a, rest in zip(points, others, strict=True)]
    infinity = [Fraction(0)] * n
    AT = [[a**i for a in points] + [Fraction(i == outputs - 1)] for i in range(outputs)]
    G = [[a**k / scale for k in range(taps)] for a, scale in zip(points, scales, strict=True)]
    BT = [[*_product_of(rest), Fraction(0)] for rest in others]
    return CookToom(
        np.array(AT, object),
        np.array([*G, [*infinity[: taps - 1], Fraction(1)]], object),
        np.array([*BT, _product_of(points)], object),
    )
