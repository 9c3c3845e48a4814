"""Layers of the networks, each a pair of pure functions: forward, and backward as its exact adjoint.

Read in this order:

1. `backward`     what every backward pass checks first
2. `activation`   rectifiers
3. `pool`         maximum and average over windows, with strides, rates and three rules for the size
4. `norm`         batch norm: training, inference, frozen; folded into one scale and shift
5. `dropout`      features left out at random
6. `fusion`       branches joined: sum, maximum, concatenation
7. `resize`       bilinear resizing, labels by the nearest, Caffe's Interp
8. `upsample`     bilinear enlarging as a transposed convolution
9. `softmax`      scores to probabilities
10. `loss`        cross-entropy, and its meeting with labels of another size
11. `epilogue`    batch norm, shortcut and ReLU in one pass, for inference
12. `cuda`        the same on a GPU, one thread a number

A forward pass returns (y, cache), the backward pass takes (dy, cache). Caches refer to arrays that the caller has in
hand anyway, the inputs or the output, and hold no bulk of their own; what is missing is computed again.
"""
