"""DeepLab from scratch in NumPy and Numba: pure functions from arrays to arrays.

Where things are
----------------
`conv`                     atrous convolution, receptive fields, the output-stride planner
`layers`, `aspp`           pools, batch norm, resizing, losses; atrous spatial pyramid pooling
`compose`, `nets`          networks as descriptions; the networks of DeepLab v1, v2, v3 and v3+
`weights`, `data`          files of weights; label images, palettes, photographs
`lattice`, `crf`           the permutohedral lattice; the fully connected CRF (`pydensecrf`: that project's API)
`filters`                  filters that need no lattice: the separable Gaussian, the domain transform
`train`                    schedules, gradient descent, batches, losses, the loop, checkpoints
`gradients`, `metrics`     gradient checks; mean IoU; `trimap`: the same near boundaries
`examples`, `figures`      what the notebooks show, computed and drawn
`apps`, `cli`, `bench`     programs, the command line, benchmarks
`jit`                      compiled functions, their disk cache, threads

The words used here
-------------------
filter                     the weights of a convolution, (F, C, K, K)
kernel                     the number of taps of a filter along one axis. A *CUDA kernel* is a function on a GPU.
compiled function          a function compiled by Numba for the CPU
tap                        one of the K positions of a filter along an axis
rate                       distance between taps, in samples; 1 is ordinary convolution (PyTorch: dilation)
padding                    zeros around the input
receptive field            what one output of a chain of layers sees of the input
field of view              what one filter spans: K + (K − 1)·(rate − 1) samples
output stride              size of the input over the size of the features
plan                       strides traded for rates to reach an output stride
part, endpoint, step       a piece of a network; a named intermediate result; one operation of a lowered network
logits, probabilities      scores of the classes at a pixel, before and after softmax
label, class               an integer at a pixel, and what it means
unary, pairwise            energies of the labels at one pixel; terms that couple pixels by a Gaussian of their features
compatibility              what a pair of labels costs in a pairwise term (Potts: all pairs cost the same)
vertex, corner, slot       a lattice point; a vertex of the simplex around a pixel; a vertex within one block of pixels
splat, blur, slice         sums from pixels to vertices, between vertices, and from vertices to pixels
"""

from importlib import import_module

from atrous._lazy import attach

__version__ = "0.1.0"

# Loaded when first used, so that `import atrous` is fast and gradient checks need only NumPy.
_MODULES = {
    "errors": "AtrousError BackendUnavailable DTypeError ParameterError ShapeError",
    "conv.operators": "ConvCache ConvGrads atrous_conv conv_backward conv_forward",
    "conv.filters": "Filter prepare_filter",
    "conv.transpose": "atrous_conv_transpose conv_transpose_backward conv_transpose_forward",
    "conv.separable": (
        "depthwise_backward depthwise_conv depthwise_forward separable_backward separable_conv separable_forward"
    ),
    "conv.geometry": "ConvGeometry conv_geometry output_size",
    "conv.effective_kernel": "effective_kernel",
    "conv.padding": "same_padding",
    "conv.receptive_field": "ReceptiveField Spatial receptive_field",
    "conv.output_stride": "plan_output_stride",
    "nets.resnet_layout": "resnet_chain",
    "gradients": "GradcheckReport adjoint_error assert_gradients gradcheck",
    "lattice.build": "Lattice build_lattice",
    "lattice.splat_blur_slice": "lattice_filter",
    "lattice.diagonal": "lattice_diagonal",
    "lattice.exact": "gaussian_sum",
    "lattice.error": "LatticeError lattice_error",
    "crf.tiles": "dense_crf_tiled",
    "crf.pairwise": "Pairwise bilateral_pairwise spatial_pairwise",
    "crf.filtered": "FilteredPairwise domain_transform_pairwise separable_pairwise",
    "crf.upsample": "joint_upsample",
    "filters.gaussian": "gaussian_on_grid",
    "filters.domain_transform": (
        "DomainTransformGrads domain_transform domain_transform_backward domain_transform_forward"
    ),
    "crf.unary": "unary_from_labels unary_from_probabilities",
    "crf.params": "CRFParams CRF_PRESETS",
    "crf.reference": "exact_marginals labelling_energy",
    "crf.dense": "dense_crf",
    "crf.frames": "dense_crf_frames",
    "crf.free_energy": "free_energy",
    "crf.mean_field": "mean_field",
    "crf.gradient": "MeanFieldGrads mean_field_backward mean_field_forward",
    "crf.pairwise_gradient": "BilateralGrads bilateral_backward spatial_backward",
    "crf.marginal_loss": "iou_loss_backward iou_loss_forward likelihood_loss_backward likelihood_loss_forward",
    "crf.fit": "FittedCRF fit_crf",
    "crf.search": "PAPER_RANGES SearchedCRF search_crf",
    "crf.memory": "mean_field_bytes",
    "crf.grid_model": "grid_energy grid_weights",
    "crf.grid": "grid_crf",
    "conv.branches": "BranchesCache branches_backward branches_forward",
    "aspp.operators": "ASPPCache aspp_backward aspp_forward",
    "layers.activation": "relu6_backward relu6_forward relu_backward relu_forward",
    "layers.sigmoid": "sigmoid_backward sigmoid_forward",
    "layers.hard_swish": "hard_sigmoid_backward hard_sigmoid_forward hard_swish_backward hard_swish_forward",
    "layers.pool": (
        "average_pool_backward average_pool_forward global_average_backward global_average_forward "
        "max_pool_backward max_pool_forward"
    ),
    "layers.batch_norm": "batch_norm_backward batch_norm_forward fold_batch_norm",
    "layers.squeeze_excite": "squeeze_excite_backward squeeze_excite_forward",
    "layers.dropout": "dropout_backward dropout_forward",
    "layers.softmax": "log_softmax_backward log_softmax_forward softmax_backward softmax_forward",
    "layers.loss": "cross_entropy_backward cross_entropy_forward segmentation_loss_backward segmentation_loss_forward",
    "layers.join": "concat_backward concat_forward max_backward max_forward sum_backward sum_forward",
    "layers.upsample": "bilinear_filter upsample_backward upsample_forward",
    "layers.resize": "bilinear_backward bilinear_forward resize_bilinear resize_labels",
    "layers.interp": "interp_backward interp_forward",
    "nets.convolutionalize": "convolutionalize decimate_kernel",
    "nets.from_classifier": "from_classifier",
    "nets.catalogue": "build networks",
    "nets.network": "Network",
    "nets.segmentation": "Segmentation predict segment",
    "nets.preparation": "prepare",
    "weights.files": "load_weights save_weights",
    "weights.errors": "WeightsError",
    "metrics": "class_accuracy class_iou confusion_matrix frequency_weighted_iou mean_iou pixel_accuracy",
    "trimap": "trimap_band trimap_confusion trimap_iou",
    "train.checkpoint": "Checkpoint load_checkpoint save_checkpoint",
    "train.loop": "DivergedError Recipe Step learning_rate training",
    "train.setup": "Setup mean_colour presets read_setup",
    "train.objective": "LossTerm Objective loss_terms objective",
    "train.schedules": "poly_schedule step_schedule warm_up",
    "train.augment": "augment crop_pair scale_pair",
    "train.batches": "Batch batches epoch_order",
    "data.pairs": "ImagePairs Pair cityscapes_pairs folder_pairs voc_pairs",
    "data.scenes": "Scenes make_scene",
    "train.sgd": "add_gradients clip_gradients sgd_step",
    "train.trained": "Trained trained",
    "jit.warmup": "warmup",
}

_public, _names = attach(__name__, _MODULES)
__all__ = ["CONV_METHODS", "__version__", *_names]  # noqa: PLE0604


def __getattr__(name):
    if name != "CONV_METHODS":
        return _public(name)
    globals()[name] = import_module("atrous.conv.methods").available_methods()
    return globals()[name]


def __dir__():
    return sorted(set(globals()) | set(__all__))
