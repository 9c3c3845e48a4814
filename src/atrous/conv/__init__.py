"""Atrous convolution, from the definition to speed. Read in this order:

1. `definition`   Equation (1) as a loop, in one and in two dimensions
2. `effective_kernel`, `padding`   how many samples a filter spans, and the zeros around the input
3. `geometry`     all sizes of a convolution in one tuple of ints
4. `reference`    the definition with channels, zeros and strides; all other methods must equal it
5. `upsampled`    the holes written out as zeros
6. `im2col`       sparse sampling and one matrix product
7. `interlace`    sub-sample, convolve, interlace
8. `shift`        multiply first, shift afterwards: one product per tap, none for taps on zeros
9. `tap_range`, `taps`, `direct`, `cuda`   loops that own their output, on the CPU and on the GPU
10. `micro_kernel`, `channels_last`, `implicit_gemm`   a matrix product of our own, and im2col without its columns
11. `cook_toom`, `winograd_tiles`, `winograd_transforms`, `winograd`   fewer products, on tiles of one phase
12. `stacked_taps`   few channels or few filters: taps as channels
13. `depthwise`   one channel for each filter, a line of outputs at a time; `depthwise_last` in inference
14. `filters`, `activations`, `epilogue`   filters laid out once, and what follows a convolution in the same pass
15. `cost_model`, `methods`, `operators`, `transpose`, `separable`, `branches`   what users call
16. `receptive_field`, `output_stride`   what an output of several layers sees, and strides traded for rates
"""  # noqa: D400
