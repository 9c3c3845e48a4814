"""Atrous convolution, from the definition to speed. Read in this order:

1. `definition`   Equation (1) as a loop, in one and in two dimensions
2. `padding`      zeros around the input, and the span of a filter with holes
3. `geometry`     all sizes of a convolution in one tuple of ints
4. `reference`    the definition with channels, zeros and strides; what all others must equal
5. `upsampled`    the holes written out as zeros
6. `im2col`       sparse sampling and one matrix product
7. `interlace`    subsample, convolve, interlace
8. `shift`        multiply first, shift after: one product per tap, none for taps on zeros
9. `taps`, `direct`, `cuda`   loops that own the output, on the CPU and on the GPU
10. `operators`, `separable`   what users call
11. `receptive_field`, `output_stride`   what an output of several layers sees, and strides traded for rates
"""  # noqa: D400
