"""DeepLab from scratch in NumPy and Numba: pure functions from arrays to arrays."""

from importlib import import_module

__version__ = "0.1.0"

# Public name -> (module, attribute). Loaded at first use, so that `import atrous` costs next to nothing and
# gradient checks need NumPy alone.
_PUBLIC = {
    **dict.fromkeys(
        ("AtrousError", "BackendUnavailable", "DTypeError", "ParameterError", "ShapeError"), "atrous.errors"
    ),
    **dict.fromkeys(
        ("ConvCache", "ConvGrads", "atrous_conv", "conv_backward", "conv_forward"), "atrous.conv.operators"
    ),
    **dict.fromkeys(
        ("atrous_conv_transpose", "conv_transpose_backward", "conv_transpose_forward"), "atrous.conv.transpose"
    ),
    **dict.fromkeys(
        (
            "depthwise_backward",
            "depthwise_conv",
            "depthwise_forward",
            "separable_backward",
            "separable_conv",
            "separable_forward",
        ),
        "atrous.conv.separable",
    ),
    **dict.fromkeys(("ConvGeometry", "conv_geometry", "output_size"), "atrous.conv.geometry"),
    "effective_kernel": "atrous.conv.effective_kernel",
    "same_padding": "atrous.conv.padding",
    **dict.fromkeys(("ReceptiveField", "Spatial", "receptive_field"), "atrous.conv.receptive_field"),
    "plan_output_stride": "atrous.conv.output_stride",
    "resnet_chain": "atrous.nets.resnet_layout",
    **dict.fromkeys(("GradcheckReport", "adjoint_error", "assert_gradients", "gradcheck"), "atrous.gradients"),
    "Lattice": "atrous.lattice.build",
    "build_lattice": "atrous.lattice.build",
    "lattice_filter": "atrous.lattice.direct",
    "lattice_diagonal": "atrous.lattice.diagonal",
    "gaussian_sum": "atrous.lattice.exact",
    **dict.fromkeys(("LatticeError", "lattice_error"), "atrous.lattice.error"),
    "dense_crf_tiled": "atrous.crf.tiles",
    **dict.fromkeys(("Pairwise", "bilateral_pairwise", "spatial_pairwise"), "atrous.crf.pairwise"),
    **dict.fromkeys(("unary_from_labels", "unary_from_probabilities"), "atrous.crf.unary"),
    **dict.fromkeys(("CRFParams", "CRF_PRESETS"), "atrous.crf.params"),
    **dict.fromkeys(("exact_marginals", "labelling_energy"), "atrous.crf.reference"),
    "dense_crf": "atrous.crf.dense",
    "free_energy": "atrous.crf.energy",
    "mean_field": "atrous.crf.meanfield",
    "mean_field_bytes": "atrous.crf.memory",
    **dict.fromkeys(("grid_crf", "grid_energy", "grid_weights"), "atrous.crf.grid"),
    **dict.fromkeys(("BranchesCache", "branches_backward", "branches_forward"), "atrous.conv.branches"),
    **dict.fromkeys(("ASPPCache", "aspp_backward", "aspp_forward"), "atrous.aspp.operators"),
    **dict.fromkeys(("relu6_backward", "relu6_forward", "relu_backward", "relu_forward"), "atrous.layers.activation"),
    **dict.fromkeys(
        (
            "average_pool_backward",
            "average_pool_forward",
            "global_average_backward",
            "global_average_forward",
            "max_pool_backward",
            "max_pool_forward",
        ),
        "atrous.layers.pool",
    ),
    **dict.fromkeys(("batch_norm_backward", "batch_norm_forward", "fold_batch_norm"), "atrous.layers.norm"),
    **dict.fromkeys(("dropout_backward", "dropout_forward"), "atrous.layers.dropout"),
    **dict.fromkeys(
        ("log_softmax_backward", "log_softmax_forward", "softmax_backward", "softmax_forward"), "atrous.layers.softmax"
    ),
    **dict.fromkeys(
        (
            "cross_entropy_backward",
            "cross_entropy_forward",
            "segmentation_loss_backward",
            "segmentation_loss_forward",
        ),
        "atrous.layers.loss",
    ),
    **dict.fromkeys(
        ("concat_backward", "concat_forward", "max_backward", "max_forward", "sum_backward", "sum_forward"),
        "atrous.layers.fusion",
    ),
    **dict.fromkeys(("bilinear_filter", "upsample_backward", "upsample_forward"), "atrous.layers.upsample"),
    **dict.fromkeys(
        (
            "bilinear_backward",
            "bilinear_forward",
            "interp_backward",
            "interp_forward",
            "resize_bilinear",
            "resize_labels",
        ),
        "atrous.layers.resize",
    ),
    **dict.fromkeys(("convolutionalize", "decimate_kernel"), "atrous.nets.convolutionalize"),
    "from_classifier": "atrous.nets.from_classifier",
    **dict.fromkeys(("build", "networks"), "atrous.nets.catalogue"),
    "Network": "atrous.nets.network",
    **dict.fromkeys(("Segmentation", "predict", "segment"), "atrous.nets.segmentation"),
    "prepare": "atrous.nets.preparation",
    **dict.fromkeys(("load_weights", "save_weights"), "atrous.weights.files"),
    "WeightsError": "atrous.weights.errors",
    **dict.fromkeys(("class_iou", "confusion_matrix", "mean_iou", "pixel_accuracy"), "atrous.metrics"),
    "warmup": "atrous.jit.warmup",
}

__all__ = ["CONV_METHODS", "__version__", *sorted(_PUBLIC)]  # noqa: PLE0604


def __getattr__(name):
    if name == "CONV_METHODS":
        value = import_module("atrous.conv.methods").available_methods()
    elif name in _PUBLIC:
        value = getattr(import_module(_PUBLIC[name]), name)
    else:
        raise AttributeError(f"module 'atrous' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(__all__))
