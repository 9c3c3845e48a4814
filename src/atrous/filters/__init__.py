"""Filters that need no lattice: the separable Gaussian of positions on a grid, and the domain transform of an image.

    gaussian            exp(−|pᵢ − pⱼ|²/2σ²) on a grid, one axis after the other, exact to rounding
    domain_transform    an edge-aware filter that is one-dimensional too: first along rows, then along columns

Each stands alone and as a pairwise term of the CRF (`crf.filtered`).
"""
