"""The permutohedral lattice: Gaussian filtering of scattered points in time linear in their number.

Reading order: `geometry` (position of a point in the lattice), `exact` (the sum that the lattice approximates),
`reference` (the whole filter with a dictionary), `simplex` (the shared scalar formulas), `build` and
`splat_blur_slice` (the compiled lattice and filter), `cuda`, `error`.

Source: Adams, Baek, Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice", Eurographics 2010.
"""
