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
        (
            "ConvCache",
            "ConvGrads",
            "atrous_conv",
            "atrous_conv_transpose",
            "conv_backward",
            "conv_forward",
            "conv_transpose_backward",
            "conv_transpose_forward",
        ),
        "atrous.conv.operators",
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
    **dict.fromkeys(("effective_kernel", "same_padding"), "atrous.conv.padding"),
    **dict.fromkeys(
        ("ReceptiveField", "Spatial", "plan_output_stride", "receptive_field", "resnet_chain"), "atrous.conv.chains"
    ),
    **dict.fromkeys(("GradcheckReport", "adjoint_error", "assert_gradients", "gradcheck"), "atrous.gradients"),
    "warmup": "atrous.kernels",
}

__all__ = ["CONV_METHODS", "__version__", *sorted(_PUBLIC)]  # noqa: PLE0604


def __getattr__(name):
    if name == "CONV_METHODS":
        value = import_module("atrous.conv.operators").available_methods()
    elif name in _PUBLIC:
        value = getattr(import_module(_PUBLIC[name]), name)
    else:
        raise AttributeError(f"module 'atrous' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(__all__))
