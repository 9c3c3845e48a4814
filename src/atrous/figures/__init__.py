"""Figures that explain: functions from arrays and geometry to Matplotlib figures, in one picture language.

`style`       colours and type; `show`, `save`, `image_bytes`, and `find`, which finds artists by role
`draw`        samples, stems, tap lines, squares; `tap_tree`
`signals`     `figure_sparse_dense`, `figure_holes`, `figure_toeplitz`, `figure_stride_removal`
`wavelets`    `wavelet_planes`, `figure_wavelet_planes`
`images`      `photograph`, `drawn_scene`, `figure_sparse_dense_2d`
`fields`      `figure_taps`, `animation_taps`, `figure_stacked`, `figure_gridding`
`methods`     `figure_im2col`, `figure_interlace`
`timings`     `figure_bench`
`gradients`   `figure_step_sizes`, `figure_planted_fault`

Every figure function can be called with nothing, except `figure_bench`, which wants results.
"""

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
from atrous.figures.methods import figure_im2col, figure_interlace, small_example
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
from atrous.figures.timings import figure_bench
from atrous.figures.wavelets import figure_wavelet_planes, noisy_signal, wavelet_planes

__all__ = [
    "animation_taps",
    "convolution_matrix",
    "convolve",
    "drawn_scene",
    "example_signal",
    "figure_bench",
    "figure_gridding",
    "figure_holes",
    "figure_im2col",
    "figure_interlace",
    "figure_planted_fault",
    "figure_sparse_dense",
    "figure_sparse_dense_2d",
    "figure_stacked",
    "figure_step_sizes",
    "figure_stride_removal",
    "figure_taps",
    "figure_toeplitz",
    "figure_wavelet_planes",
    "find",
    "image_bytes",
    "implanted",
    "noisy_signal",
    "path_counts",
    "photograph",
    "planted_fault",
    "run_chain",
    "save",
    "show",
    "show_animation",
    "small_example",
    "sparse_dense_responses",
    "step_errors",
    "vertical_derivative",
    "wavelet_planes",
]
