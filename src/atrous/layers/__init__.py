"""Layers of the networks, each a pair of pure functions: forward, and backward as its exact adjoint.

Read in this order:

1. `activation`   rectifiers
2. `pool`         maximum and average over windows, with strides, rates and three rules for the size
3. `batch_norm`   training, inference, frozen; folded into one scale and shift
4. `dropout`      features left out at random
5. `join`         branches joined: sum, maximum, concatenation
6. `resize`       bilinear resizing; labels by the nearest
7. `interp`       Caffe's Interp: a crop and a resize
8. `upsample`     bilinear enlarging as a transposed convolution
9. `softmax`      scores to probabilities
10. `loss`        cross-entropy, also for labels of another size
11. `epilogue`    batch norm, shortcut and ReLU in one pass, for inference
12. `cuda`        the same on a GPU, one thread per number

A forward pass returns (y, cache). Its backward pass takes (dy, cache): dy is the gradient of the loss with respect to y
and has its shape and dtype (`dloss`, a number, for a loss), and dx has those of x. A cache may be used again; it refers
to arrays that the caller has anyway, the inputs or the output, and whatever else is needed is computed again. A dy that
does not fit raises ShapeError or DTypeError, a cache of another function ParameterError.
"""
