"""Figures that explain: functions from arrays and geometry to Matplotlib figures, in one picture language.

`style`       colours and type; `show`, `save`, `image_bytes`, and `find`, which finds artists by role
`draw`        samples, stems, tap lines, squares; `tap_tree`
`signals`     `figure_sparse_dense`, `figure_holes`, `figure_toeplitz`, `figure_stride_removal`
`wavelets`    `wavelet_planes`, `figure_wavelet_planes`
`images`      `photograph`, `drawn_scene`, `figure_sparse_dense_2d`
`fields`      `figure_taps`, `animation_taps`, `figure_stacked`, `figure_gridding`
`aspp`        `figure_aspp_taps`, `figure_aspp_responses`, `valid_taps`, `figure_valid_taps`
`networks`    `figure_field_table`, `figure_output_strides`, `figure_context_ways`, `figure_alignment`
`methods`     `figure_im2col`, `figure_interlace`
`timings`     `figure_bench`, `figure_bench_crf`
`gradients`   `figure_step_sizes`, `figure_planted_fault`
`lattice`     `figure_lattice_1d`, `figure_lattice_2d`, `figure_splat_blur_slice`, `figure_impulse_response`,
              `figure_lattice_error`, `figure_occupancy`
`crf`         `figure_belief_maps`, `figure_free_energy`, `figure_grid_against_dense`, `figure_parameters`,
              `figure_exact_against_mean_field`

Every figure function can be called with nothing, except `figure_bench` and `figure_bench_crf`, which want results.
"""

from atrous.figures.aspp import (
    branch_answers,
    figure_aspp_responses,
    figure_aspp_taps,
    figure_valid_taps,
    impulse_answers,
    valid_taps,
)
from atrous.figures.crf import (
    colour_photograph,
    energy_by_step,
    few_colours,
    figure_belief_maps,
    figure_exact_against_mean_field,
    figure_free_energy,
    figure_grid_against_dense,
    figure_parameters,
    film_of,
    iou_of,
    portrait,
    portrait_params,
    refine_rough,
    refined_labels,
    rising_problem,
    rough_labels,
    scores,
    thin_results,
    thin_scene,
    tiny_marginals,
    tiny_problem,
)
from atrous.figures.fields import animation_taps, figure_gridding, figure_stacked, figure_taps, path_counts
from atrous.figures.gradients import figure_planted_fault, figure_step_sizes, planted_fault, step_errors
from atrous.figures.images import (
    drawn_scene,
    figure_sparse_dense_2d,
    implanted,
    photograph,
    sparse_dense_responses,
    vertical_derivative,
)
from atrous.figures.lattice import (
    dimension_errors,
    figure_impulse_response,
    figure_lattice_1d,
    figure_lattice_2d,
    figure_lattice_error,
    figure_occupancy,
    figure_splat_blur_slice,
    impulse_points,
    impulse_response,
    impulse_response_2d,
    lattice_stages,
    occupancy,
    photo_errors,
    place_points,
    scattered_points,
)
from atrous.figures.methods import figure_im2col, figure_interlace, small_example
from atrous.figures.networks import (
    feature_places,
    field_table,
    figure_alignment,
    figure_context_ways,
    figure_field_table,
    figure_output_strides,
    stride_costs,
)
from atrous.figures.signals import (
    convolution_matrix,
    convolve,
    example_signal,
    figure_holes,
    figure_sparse_dense,
    figure_stride_removal,
    figure_toeplitz,
    run_chain,
)
from atrous.figures.style import find, image_bytes, save, show, show_animation
from atrous.figures.timings import figure_bench, figure_bench_crf
from atrous.figures.wavelets import figure_wavelet_planes, noisy_signal, wavelet_planes

__all__ = [
    "animation_taps",
    "branch_answers",
    "colour_photograph",
    "convolution_matrix",
    "convolve",
    "dimension_errors",
    "drawn_scene",
    "energy_by_step",
    "example_signal",
    "feature_places",
    "few_colours",
    "field_table",
    "figure_alignment",
    "figure_aspp_responses",
    "figure_aspp_taps",
    "figure_belief_maps",
    "figure_bench",
    "figure_bench_crf",
    "figure_context_ways",
    "figure_exact_against_mean_field",
    "figure_field_table",
    "figure_free_energy",
    "figure_grid_against_dense",
    "figure_gridding",
    "figure_holes",
    "figure_im2col",
    "figure_impulse_response",
    "figure_interlace",
    "figure_lattice_1d",
    "figure_lattice_2d",
    "figure_lattice_error",
    "figure_occupancy",
    "figure_output_strides",
    "figure_parameters",
    "figure_planted_fault",
    "figure_sparse_dense",
    "figure_sparse_dense_2d",
    "figure_splat_blur_slice",
    "figure_stacked",
    "figure_step_sizes",
    "figure_stride_removal",
    "figure_taps",
    "figure_toeplitz",
    "figure_valid_taps",
    "figure_wavelet_planes",
    "film_of",
    "find",
    "image_bytes",
    "implanted",
    "impulse_answers",
    "impulse_points",
    "impulse_response",
    "impulse_response_2d",
    "iou_of",
    "lattice_stages",
    "noisy_signal",
    "occupancy",
    "path_counts",
    "photo_errors",
    "photograph",
    "place_points",
    "planted_fault",
    "portrait",
    "portrait_params",
    "refine_rough",
    "refined_labels",
    "rising_problem",
    "rough_labels",
    "run_chain",
    "save",
    "scattered_points",
    "scores",
    "show",
    "show_animation",
    "small_example",
    "sparse_dense_responses",
    "step_errors",
    "stride_costs",
    "thin_results",
    "thin_scene",
    "tiny_marginals",
    "tiny_problem",
    "valid_taps",
    "vertical_derivative",
    "wavelet_planes",
]
