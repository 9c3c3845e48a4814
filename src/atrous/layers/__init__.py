"""Layers of the networks, each a pair of pure functions: a forward pass and the exact adjoint of its derivative.

Read in this order:

1. `activation`       rectifiers
2. `sigmoid`          the logistic sigmoid
3. `hard_swish`       the sigmoid and the swish of MobileNetV3, in straight lines and a parabola
4. `pool`             maximum and average over windows, with strides, rates and three rules for the size
5. `squeeze_excite`   each channel times a number that depends on the means of all channels
6. `batch_norm`       training, inference, frozen; folded into one scale and shift
7. `dropout`          random features set to 0
8. `join`             sum, maximum or concatenation of branches
9. `resize`           bilinear resizing; nearest neighbour for labels
10. `interp`          Caffe's Interp layer: a crop and a resize
11. `upsample`        bilinear upsampling as a transposed convolution
12. `softmax`         scores to probabilities
13. `loss`            cross-entropy, also for labels of another size
14. `inference`, `training`, `training_loss`   the passes that networks repeat, compiled, on all cores
15. `cuda`            these layers on a GPU, for inference

A forward pass returns (y, cache). Its backward pass takes (dy, cache), where dy is the gradient of the loss with the
shape and dtype of y (a loss takes the number `dloss`), and returns dx with the shape and dtype of x. A cache can be
used again. It refers to the inputs or the output, which the caller keeps anyway, and copies none of them. A dy that
does not fit raises ShapeError or DTypeError, and a cache from another function raises ParameterError.
"""
