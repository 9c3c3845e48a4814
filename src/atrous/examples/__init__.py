"""The numbers behind the figures and notebooks: example inputs and the functions that compute results from them.

1. `photographs`   photographs, a drawn scene, rough labels
2. `convolution`   signals, filters, taps, chains, branches of ASPP
3. `networks`      fields of view, costs of an output stride
4. `lattice`       the stages of the permutohedral lattice, its errors
5. `crf`           mean field step by step, thin structures, tiny grids
6. `gradients`     difference quotients, a planted mistake
7. `fields`        what a score of a small network depends on
8. `system`        a scene through the whole of DeepLab
"""

from atrous._lazy import attach

_MODULES = {
    "convolution": (
        "example_signal convolve convolution_matrix run_chain wavelet_planes noisy_signal vertical_derivative "
        "sparse_dense_responses implanted tap_offsets path_counts branch_answers branch_names impulse_answers "
        "valid_taps im2col_example tap_tree"
    ),
    "crf": (
        "Refinement film_of refine_rough scores rising_problem energy_by_step rising_energies "
        "short_range_labels ThinScene thin_scene thin_results iou_of refined_labels labels_by_width tiny_problem "
        "tiny_marginals EnlargedLabels enlarged_labels kept_of_wire window_over_scene flicker"
    ),
    "gradients": "conv_loss conv_loss_gradient step_errors planted_fault",
    "fields": "seen_by",
    "lattice": (
        "place_points lattice_stages plane_vertices scattered_points impulse_points impulse_response "
        "impulse_response_2d dimension_errors photo_errors occupancy"
    ),
    "networks": "field_table stride_costs feature_places",
    "system": "System whole_system",
    "photographs": "photograph drawn_scene halved colour_photograph rough_labels portrait_params portrait",
}

__getattr__, __all__ = attach(__name__, _MODULES)
