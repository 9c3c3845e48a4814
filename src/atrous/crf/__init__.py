"""Conditional random fields on the labels of an image: pairs of pixels prefer equal labels. Read in this order:

1. `unary`, `pairwise`, `compatibility`   the model: energies of the labels at a pixel; Gaussians that couple pixels;
                         the energy of equal or different labels in a pair
2. `reference`           mean field with matrices, and exact marginals by enumeration: the definition
3. `grid_model`, `grid_inference`, `grid_cut`, `grid`   the short-range model that DeepLab argues against
4. `layout`, `softmax`, `joined`, `vertices`, `fused`   compiled mean field on the lattice; `cuda` does it on a GPU
5. `mean_field`, `free_energy`, `dense`, `tiles`   public functions, from the general form to large photographs
6. `params`, `memory`    parameters used in papers and programs; the memory that a run needs
"""  # noqa: D400
