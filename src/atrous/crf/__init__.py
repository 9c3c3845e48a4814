"""Conditional random fields on the labels of an image: pairs of pixels prefer equal labels. Read in this order:

1. `unary`, `pairwise`, `compatibility`   the model: energies of the labels at a pixel; Gaussians that couple pixels;
                         the energy of equal or different labels in a pair
2. `reference`           mean field with matrices, and exact marginals by enumeration: the definition
3. `grid_model`, `grid_inference`, `grid_cut`, `grid`   the short-range model that DeepLab argues against
4. `layout`, `softmax`, `joined`, `vertices`, `fused`   compiled mean field on the lattice; `cuda` does it on a GPU;
                         `filtered`: terms that need no lattice
5. `mean_field`, `free_energy`, `dense`, `tiles`, `frames`, `upsample`   public functions, from the general form to
                         large photographs, video, and scores of a coarse grid
6. `params`, `params_file`, `memory`   parameters used in papers and programs; the memory that a run needs
7. `kernels`, `gradient`, `pairwise_gradient`, `marginal_loss`, `fit`, `search`   backward, and learning from labelled
                         images: by gradients, or by trying
"""  # noqa: D400
