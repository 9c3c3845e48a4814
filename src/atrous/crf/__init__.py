"""Conditional random fields on the labels of an image: pairs of pixels prefer equal labels. Read in this order:

1. `unary`, `pairwise`, `compatibility`   the model: energies of a label at one pixel; Gaussians that couple pixels;
                         what equal or different labels then cost
2. `reference`           mean field with matrices, and exact marginals by enumeration: the definition
3. `grid_model`, `grid_inference`, `grid_cut`, `grid`   the short-range model that DeepLab argues against
4. `layout`, `softmax`, `joined`, `vertices`, `fused`   mean field on the lattice, compiled; `cuda` the same on a GPU
5. `mean_field`, `free_energy`, `dense`, `tiles`   what users call, from the general form to large photographs
6. `params`, `memory`    parameters that papers and programs use; how much memory a run needs
"""  # noqa: D400
