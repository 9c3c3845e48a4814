"""Figures that explain: functions from numbers to Matplotlib figures, in one visual style.

What they show is computed in `atrous.examples`. A figure function without arguments draws a standard example; only the
benchmarks need results.

`style` has the colours and type, and `show`, `save`, `image_bytes` and `find`, which finds artists by their role;
`draw` and `pictures` have what the figures are made of.
"""

from atrous._lazy import attach

_MODULES = {
    "aspp": "figure_aspp_taps figure_aspp_responses figure_valid_taps",
    "belief_maps": "figure_belief_maps figure_free_energy",
    "crf_layer": "figure_compatibility figure_joint_upsampling figure_messages",
    "crf_parameters": "figure_parameters figure_refined",
    "crf_search": "figure_search",
    "exact_marginals": "figure_exact_against_mean_field",
    "experiments": "figure_experiment figure_fields_of_ways",
    "fields": "figure_taps figure_stacked figure_gridding",
    "gradients": "figure_step_sizes figure_planted_fault",
    "images": "figure_sparse_dense_2d",
    "lattice_accuracy": "figure_impulse_response figure_lattice_error figure_occupancy",
    "lattice_steps": "figure_lattice_1d figure_lattice_2d figure_splat_blur_slice",
    "methods": "figure_im2col figure_col2im figure_interlace",
    "sliding_filter": "moving_taps",
    "networks": "figure_field_table figure_output_strides figure_alignment",
    "scenes": "figure_scenes figure_predictions",
    "separable": "figure_separable",
    "sliders": "slide",
    "structures": "figure_context_ways figure_cascade figure_decoders",
    "signals": "figure_sparse_dense figure_sampling figure_holes figure_toeplitz figure_stride_removal",
    "system": "figure_system figure_contact_sheet",
    "style": "find image_bytes save show",
    "thin_structures": "figure_grid_against_dense",
    "roofs": "figure_roofs",
    "training": "figure_schedules figure_training",
    "trimaps": "figure_trimap",
    "timings": "figure_bench figure_bench_crf",
    "wavelets": "figure_wavelet_planes",
}

__getattr__, __all__ = attach(__name__, _MODULES)
