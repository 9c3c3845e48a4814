"""One small valid call of every public function, of the constructors that take a user's values, of `Network`'s methods.

`CALLS` gives for each name the arguments by name, every parameter included. Records that are checked where they are
used, such as `CRFParams`, are called through their user: `RECORDS`.
"""

import inspect
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import atrous

RNG = np.random.default_rng(0)
FOLDER = Path(tempfile.mkdtemp(prefix="atrous-calls-"))


def floats(*shape):
    """Return numbers in [0, 1)."""
    return RNG.random(shape)


def generator():
    """Return a fresh random generator: calls change it."""
    return np.random.default_rng(0)


X = floats(1, 2, 5, 6)
W = floats(2, 2, 3, 3)
B = floats(2)
IMAGE = RNG.integers(0, 256, (5, 6, 3)).astype(np.uint8)
LABELS = RNG.integers(0, 3, (5, 6)).astype(np.uint8)
UNARY = floats(3, 5, 6).astype(np.float32)
PROBABILITIES = UNARY / UNARY.sum(0)
MARGINALS = PROBABILITIES.astype(np.float64)
MATRIX = np.array([[5, 1], [2, 7]])
SPATIAL = atrous.spatial_pairwise((5, 6), 2.0, 1.0)
BILATERAL = atrous.bilateral_pairwise(IMAGE, 3.0, 20.0, 1.0)
LATTICE = atrous.build_lattice(floats(30, 2))
GRADS = {"w": W}
CONV = {"rate": 1, "stride": 1, "padding": "same"}
NORM = {"gamma": floats(2), "beta": floats(2), "mean": floats(2), "var": floats(2) + 1}
NETWORK = atrous.build("tiny_deeplabv1_largefov", 3)
PARAMS, STATE = NETWORK.init(generator())
PHOTO = RNG.integers(0, 256, (17, 17, 3)).astype(np.uint8)
MASK = RNG.integers(0, 3, (17, 17)).astype(np.uint8)
INPUT = atrous.prepare(PHOTO, NETWORK.preprocessing)
CLASSIFIER = atrous.build("tiny_dense_vgg16", 3, width=32).init(generator())[0]
SAMPLES = [(PHOTO, MASK)] * 2
RECIPE = atrous.Recipe(steps=2, batch=1)
STEP = next(atrous.training(NETWORK, PARAMS, STATE, SAMPLES, RECIPE))
ASPP = {"b0.w": floats(3, 2, 1, 1), "b1.w": floats(3, 2, 3, 3), "proj.w": floats(3, 6, 1, 1)}
ASPP |= {f"{name}.{part}": floats(3) for name in ("b0", "b1", "proj") for part in ("gamma", "beta")}
ASPP_STATE = {f"{name}.{part}": floats(3) + 1 for name in ("b0", "b1", "proj") for part in ("mean", "var")}


def photographs():
    """Write a folder of two photographs with masks, in the layouts of the three readers of pairs."""
    for name in ("a", "b"):
        for folder, array in (("images", PHOTO), ("masks", MASK)):
            (FOLDER / folder).mkdir(exist_ok=True)
            Image.fromarray(array).save(FOLDER / folder / f"{name}.png")
    voc = FOLDER / "voc"
    for folder, ending, array in (("JPEGImages", "jpg", PHOTO), ("SegmentationClass", "png", MASK)):
        (voc / folder).mkdir(parents=True)
        Image.fromarray(array).save(voc / folder / f"a.{ending}")
    (voc / "ImageSets/Segmentation").mkdir(parents=True)
    (voc / "ImageSets/Segmentation/train.txt").write_text("a\n")
    for folder, ending, array in (("leftImg8bit", "leftImg8bit", PHOTO), ("gtFine", "gtFine_labelIds", MASK)):
        (FOLDER / "cityscapes" / folder / "train/town").mkdir(parents=True)
        Image.fromarray(array).save(FOLDER / "cityscapes" / folder / f"train/town/a_{ending}.png")


photographs()
np.savez(FOLDER / "weights.npz", **GRADS)
CHECKPOINT = atrous.save_checkpoint(FOLDER / "steps", STEP)


def after_forward(name, *arguments, **options):
    """Return the arguments of `name_backward` after a call of `name_forward`, with y for dy."""
    y, cache = getattr(atrous, f"{name}_forward")(*arguments, **options)[:2]
    parameters = list(inspect.signature(getattr(atrous, f"{name}_backward")).parameters)
    return dict(zip(parameters, (y, cache) if parameters[0] != "cache" else (cache,), strict=False))


DOMAIN_TRANSFORM = {
    "image": IMAGE, "values": np.moveaxis(UNARY, 0, -1), "sigma_s": 3.0, "sigma_r": 20.0, "iterations": 2,
}  # fmt: skip
SEPARABLE = {
    "x": X, "w_depthwise": floats(2, 1, 3, 3), "w_pointwise": floats(4, 2, 1, 1), "b": floats(4), **CONV,
    "method": "auto",
}  # fmt: skip


def half(x):
    """Return half of x: a function without overflow, for the checkers of gradients."""
    return x / 2


CALLS = {
    "add_gradients": {"total": GRADS, "grads": GRADS, "share": 1.0},
    "adjoint_error": {"apply": lambda x: x, "adjoint": lambda x: x, "x_shape": (3,), "y_shape": (3,), "rng": 0},
    "aspp_forward": {
        "x": X, "params": ASPP, "rates": (1,), "form": "v3", "state": ASPP_STATE, "train": False,
    },
    "assert_gradients": {"forward": half, "backward": lambda dy, x: dy / 2, "inputs": (floats(3),)},
    "atrous_conv": {"x": X, "w": W, "b": B, **CONV, "groups": 1, "method": "auto"},
    "atrous_conv_transpose": {"y": X, "w": W, **CONV, "groups": 1, "size": None, "method": "auto"},
    "augment": {
        "image": PHOTO, "labels": MASK, "rng": generator(), "crop": 9, "scales": (1.0, 1.5), "mirror": True,
        "mean": (1.0, 2.0, 3.0), "ignore": 255,
    },
    "average_pool_forward": {
        "x": X, "kernel": 3, "stride": 1, "rate": 1, "padding": 0, "size_rule": "floor", "count_padding": True,
    },
    "batch_norm_forward": {"x": X, **NORM, "mode": "eval", "momentum": 0.1, "eps": 1e-5},
    "batches": {"samples": SAMPLES, "size": 1, "seed": 0, "epoch": 0, "first": 0, "change": None, "ahead": 1},
    "bilateral_pairwise": {
        "image": IMAGE, "sigma_space": 3.0, "sigma_color": 20.0, "compatibility": 1.0, "spacing": 1.0,
        "normalization": "symmetric", "dtype": np.float32,
    },
    "bilateral_backward": {
        "d_features": BILATERAL.features, "term": BILATERAL, "shape": (5, 6, 3), "sigma_space": 3.0,
        "sigma_color": 20.0,
    },
    "bilinear_filter": {"factor": 2, "dtype": np.float64},
    "bilinear_forward": {"x": X, "size": (9, 9), "align_corners": True},
    "branches_forward": {"x": X, "weights": [W, W], "biases": [B, None], "rates": (1, 2)},
    "build": {"name": "tiny_deeplabv3_resnet50", "classes": 3, "output_stride": 8},
    "build_lattice": {"features": floats(30, 2), "ring": False},
    "cityscapes_pairs": {"root": FOLDER / "cityscapes", "split": "train"},
    "class_accuracy": {"matrix": MATRIX},
    "class_iou": {"matrix": MATRIX},
    "clip_gradients": {"grads": GRADS, "limit": 1.0},
    "concat_forward": {"arrays": [X, X]},
    "confusion_matrix": {"prediction": LABELS, "target": LABELS, "classes": 3, "ignore": 255},
    "conv_backward": {**after_forward("conv", X, W, B), "dx": True},
    "conv_forward": {"x": X, "w": W, "b": B, **CONV, "groups": 1, "method": "auto"},
    "conv_geometry": {"x_shape": X.shape, "w_shape": W.shape, **CONV, "groups": 1},
    "conv_transpose_forward": {"y": X, "w": W, **CONV, "groups": 1, "size": None, "method": "auto"},
    "convolutionalize": {"params": {"classifier.weight": floats(4, 3), "classifier.bias": floats(4)}},
    "crop_pair": {
        "image": PHOTO, "labels": MASK, "size": 9, "rng": generator(), "mean": (1.0, 2.0, 3.0), "ignore": 255,
    },
    "cross_entropy_forward": {"logits": UNARY[None], "labels": LABELS[None], "ignore": 255, "class_weights": None},
    "decimate_kernel": {"w": floats(4, 2, 7, 7), "kernel": 3, "filters": 2, "channels": None, "rng": generator()},
    "dense_crf": {
        "probabilities": PROBABILITIES, "image": IMAGE, "params": atrous.CRFParams(), "iterations": 2,
        "normalization": "after", "method": "auto", "accuracy": "lattice", "upsample": None, "intensity_scale": 1.0,
        "start": PROBABILITIES, "ignore": LABELS == 1, "fixed": LABELS, "callback": None, "progress": False,
    },
    "dense_crf_frames": {
        "frames": [(PROBABILITIES, IMAGE)], "params": atrous.CRFParams(), "iterations": 2, "later_iterations": 1,
    },
    "dense_crf_tiled": {
        "probabilities": PROBABILITIES, "image": IMAGE, "params": atrous.CRFParams(), "tile": 4, "overlap": 1,
        "iterations": 1, "normalization": "after", "method": "auto", "intensity_scale": 1.0, "ignore": LABELS == 1,
        "fixed": LABELS, "out": np.zeros_like(PROBABILITIES), "progress": False,
    },
    "depthwise_conv": {"x": X, "w": floats(2, 1, 3, 3), "b": B, **CONV, "method": "auto"},
    "depthwise_forward": {"x": X, "w": floats(2, 1, 3, 3), "b": B, **CONV, "method": "auto"},
    "domain_transform": {**DOMAIN_TRANSFORM},
    "domain_transform_forward": {**DOMAIN_TRANSFORM},
    "domain_transform_pairwise": {
        "image": IMAGE, "sigma_space": 3.0, "sigma_color": 20.0, "compatibility": 1.0, "iterations": 2,
    },
    "dropout_forward": {"x": X, "probability": 0.5, "rng": generator(), "train": True},
    "effective_kernel": {"kernel": 3, "rate": 2},
    "epoch_order": {"count": 5, "seed": 0, "epoch": 1},
    "exact_marginals": {"unary": floats(2, 2, 2), "pairwise": atrous.spatial_pairwise((2, 2), 2.0, 1.0)},
    "fit_crf": {
        "images": [IMAGE], "probabilities": [PROBABILITIES], "labels": [LABELS], "start": atrous.CRFParams(),
        "what": ("weights",), "method": "lattice", "iterations": 1, "steps": 1, "ignore": 255, "dtype": np.float32,
        "intensity_scale": 1.0, "tell": lambda *_: None,
    },
    "fold_batch_norm": {**NORM, "eps": 1e-5},
    "folder_pairs": {"images": FOLDER / "images", "masks": FOLDER / "masks"},
    "free_energy": {
        "marginals": MARGINALS, "unary": MARGINALS, "pairwise": SPATIAL, "method": "lattice", "self_message": True,
    },
    "frequency_weighted_iou": {"matrix": MATRIX},
    "from_classifier": {
        "network": NETWORK, "weights": CLASSIFIER, "rng": generator(), "dtype": np.float32,
        "preprocessing": "torchvision",
    },
    "gaussian_on_grid": {"values": UNARY, "sigma": 2.0},
    "gaussian_sum": {"features": floats(5, 2), "values": floats(5, 3), "queries": floats(4, 2)},
    "global_average_forward": {"x": X},
    "gradcheck": {
        "forward": half, "backward": lambda dy, x: dy / 2, "inputs": (floats(3),), "wrt": 0, "mode": "full",
        "method": "central", "eps": 1e-5, "rtol": 1e-6, "atol": 1e-8, "n_samples": 4, "directions": 2, "rng": 0,
        "kink": "skip", "nondet_tol": 0.0, "allow_float32": False, "unused": "note",
    },
    "grid_crf": {
        "unary": UNARY, "image": IMAGE, "weight": 1.0, "neighbours": 4, "sigma": 20.0, "method": "mean_field",
        "iterations": 2, "damping": 0.5,
    },
    "grid_energy": {"labels": LABELS, "unary": MARGINALS, "weights": atrous.grid_weights(MARGINALS)},
    "grid_weights": {"unary": UNARY, "image": IMAGE, "weight": 1.0, "neighbours": 4, "sigma": 20.0},
    "interp_forward": {"x": X, "zoom": 1, "shrink": 1, "crop": (0, 0)},
    "iou_loss_forward": {"marginals": MARGINALS, "labels": LABELS, "ignore": 255},
    "joint_upsample": {"values": UNARY, "image": PHOTO, "sigma_space": 2.0, "sigma_color": 18.0},
    "labelling_energy": {"labels": LABELS, "unary": UNARY, "pairwise": SPATIAL, "self_message": False},
    "lattice_diagonal": {"lattice": LATTICE},
    "lattice_error": {
        "features": floats(30, 2), "values": floats(30, 2), "samples": 8, "normalization": "after", "seed": 0,
    },
    "lattice_filter": {"lattice": LATTICE, "values": floats(30, 2), "reverse": False},
    "learning_rate": {"recipe": RECIPE, "number": 1},
    "likelihood_loss_forward": {"marginals": MARGINALS, "labels": LABELS, "ignore": 255},
    "load_checkpoint": {"source": CHECKPOINT},
    "load_weights": {"path": FOLDER / "weights.npz"},
    "log_softmax_forward": {"x": X, "axis": 1},
    "loss_terms": {"network": NETWORK},
    "make_scene": {
        "rng": generator(), "size": 17, "objects": 1, "smallest": 0.1, "largest": 0.3, "wires": 1,
        "wire_width": (1.0, 2.0), "blur": 1.0, "noise": 1.0, "ring": 1,
    },
    "max_forward": {"arrays": [X, X]},
    "max_pool_forward": {"x": X, "kernel": 3, "stride": 1, "rate": 1, "padding": 0, "size_rule": "floor"},
    "mean_colour": {"network": NETWORK},
    "mean_field": {
        "unary": UNARY, "pairwise": [SPATIAL], "iterations": 2, "method": "auto", "accuracy": "lattice",
        "self_message": True, "damping": 0.1, "update": "parallel", "start": PROBABILITIES, "ignore": LABELS == 1,
        "fixed": LABELS, "tolerance": 0.1, "callback": lambda *_: None, "progress": lambda *_: None,
    },
    "mean_field_backward": {**after_forward("mean_field", UNARY, [SPATIAL], iterations=2), "features": True},
    "mean_field_bytes": {"points": 100, "labels": 3, "axes": (2, 5), "itemsize": 4},
    "mean_field_forward": {
        "unary": UNARY, "pairwise": [SPATIAL], "iterations": 2, "method": "lattice", "self_message": True,
        "damping": 0.1, "start": PROBABILITIES, "ignore": LABELS == 1, "fixed": LABELS, "store": True,
    },
    "mean_iou": {"matrix": MATRIX},
    "networks": {},
    "objective": {
        "network": NETWORK, "params": PARAMS, "state": STATE, "x": INPUT, "labels": MASK[None], "terms": None,
        "ignore": 255, "class_weights": None, "rng": generator(), "train": True,
    },
    "output_size": {"size": 9, "kernel": 3, **CONV},
    "pixel_accuracy": {"matrix": MATRIX},
    "plan_output_stride": {"layers": [(3, 2, 1), (3, 2, 1)], "output_stride": 2},
    "poly_schedule": {"step": 1, "base": 0.1, "total": 10, "power": 0.9, "end": 0.0},
    "predict": {"image": PHOTO, "network": NETWORK, "params": PARAMS, "scales": (1.0,), "flip": False},
    "prepare": {"image": PHOTO, "preprocessing": "torchvision", "dtype": np.float32},
    "prepare_filter": {"w": W, **CONV, "groups": 1, "method": "auto"},
    "presets": {},
    "read_setup": {"source": "tiny_v1", "replace": {"train": {"steps": 3}}},
    "receptive_field": {"layers": [(3, 2, 1), (3, 1, 2)]},
    "hard_sigmoid_forward": {"x": X},
    "hard_swish_forward": {"x": X},
    "relu6_forward": {"x": X},
    "relu_forward": {"x": X},
    "resize_bilinear": {"x": X, "size": (9, 9), "align_corners": True},
    "resize_labels": {"labels": LABELS, "size": (9, 9), "align_corners": True},
    "resnet_chain": {"units": (1, 1), "convention": "torchvision", "multi_grid": 1, "kernels": (1, 3, 1)},
    "same_padding": {"kernel": 3, "rate": 2},
    "save_checkpoint": {"folder": FOLDER / "steps", "step": STEP, "keep": 2},
    "save_weights": {"weights": GRADS, "path": FOLDER / "saved.npz", "overwrite": True},
    "scale_pair": {"image": PHOTO, "labels": MASK, "factor": 1.5},
    "search_crf": {
        "images": [IMAGE], "probabilities": [PROBABILITIES], "labels": [LABELS], "start": atrous.CRFParams(),
        "ranges": {"sigma_beta": (3, 4)}, "rounds": 1, "score": atrous.mean_iou, "iterations": 1, "ignore": 255,
        "intensity_scale": 1.0, "counted": {}, "tell": lambda *_: None,
    },
    "segment": {
        "image": PHOTO, "network": NETWORK, "params": PARAMS, "crf": None, "scales": (1.0,), "flip": False,
    },
    "sigmoid_forward": {"x": X},
    "segmentation_loss_forward": {
        "logits": UNARY[None], "labels": MASK[None], "ignore": 255, "resize": "labels", "align_corners": True,
        "class_weights": floats(3),
    },
    "separable_conv": SEPARABLE,
    "separable_forward": SEPARABLE,
    "separable_pairwise": {
        "shape": (5, 6), "sigma": 2.0, "compatibility": 1.0, "spacing": 1.0, "normalization": "symmetric",
    },
    "sgd_step": {
        "params": GRADS, "grads": GRADS, "momentum": GRADS, "rate": 0.1, "decay": 0.0, "coefficient": 0.9,
        "rule": "torch", "multipliers": {"w": 2.0},
    },
    "softmax_forward": {"x": X, "axis": 1},
    "spatial_pairwise": {
        "shape": (5, 6), "sigma": 2.0, "compatibility": 1.0, "spacing": 1.0, "normalization": "symmetric",
        "dtype": np.float32,
    },
    "spatial_backward": {"d_features": SPATIAL.features, "term": SPATIAL, "sigma": 2.0},
    "squeeze_excite_forward": {
        "x": X, "w1": floats(3, 2, 1, 1), "b1": floats(3), "w2": floats(2, 3, 1, 1), "b2": floats(2),
    },
    "step_schedule": {"step": 1, "base": 0.1, "every": 10, "factor": 0.1},
    "sum_forward": {"arrays": [X, X]},
    "trained": {"name": "shapes", "dtype": np.float32},
    "training": {
        "network": NETWORK, "params": PARAMS, "state": STATE, "samples": SAMPLES, "recipe": RECIPE, "momentum": None,
        "number": 0,
    },
    "trimap_band": {"target": LABELS, "width": 1, "ignore": 255},
    "trimap_confusion": {"prediction": LABELS, "target": LABELS, "classes": 3, "widths": (1, 2), "ignore": 255},
    "trimap_iou": {"prediction": LABELS, "target": LABELS, "classes": 3, "widths": (1, 2), "ignore": 255},
    "unary_from_labels": {
        "labels": LABELS, "classes": 3, "confidence": 0.7, "unknown": -1, "dtype": np.float32,
    },
    "unary_from_probabilities": {"probabilities": PROBABILITIES, "clip": 1e-5},
    "upsample_forward": {"x": X, "factor": 2},
    "voc_pairs": {"root": FOLDER / "voc", "split": "train"},
    "warm_up": {"rate": 0.1, "step": 1, "steps": 3, "start": 0.0},
    "warmup": {"dtypes": ("float32",)},
}  # fmt: skip
CALLS["ImagePairs"] = {"pairs": atrous.folder_pairs(FOLDER / "images", FOLDER / "masks"), "classes": 3, "table": {1: 2}}
CALLS["Scenes"] = {"count": 3, "seed": 1}
PAIRS = [name.removesuffix("_forward") for name in CALLS if name.endswith("_forward")]
CALLS |= {
    f"{name}_backward": after_forward(name, **CALLS[f"{name}_forward"])
    for name in PAIRS
    if f"{name}_backward" not in CALLS and hasattr(atrous, f"{name}_backward")
}


SCORES, NETWORK_CACHE, _ = NETWORK.forward(PARAMS, STATE, INPUT)
# Methods of NETWORK.
METHODS = {
    "backward": {"dy": SCORES, "cache": NETWORK_CACHE, "endpoints": None, "dx": True},
    "endpoints": {"params": PARAMS, "state": STATE, "x": INPUT},
    "fitting": {"size": (17, 17)},
    "forward": {
        "params": PARAMS, "state": STATE, "x": INPUT, "train": True, "rng": generator(),
        "endpoints": {"features": None},
    },
    "fresh_names": {"fresh": "classifier"},
    "infer": {"params": PARAMS, "state": STATE, "x": INPUT, "device": None},
    "init": {"rng": generator(), "dtype": np.float32},
    "load": {"weights": (PARAMS, STATE), "dtype": np.float32, "fresh": "classifier", "rng": generator()},
    "prepare": {"params": PARAMS},
    "summary": {"size": 33},
    "with_batch_norms": {"frozen": True, "momentum": 0.1},
    "with_crf": {"start": "crf-rnn", "training_steps": 2, "learn_sigmas": False},
}  # fmt: skip


def through(name, parameter, record, **others):
    """Return a function that passes a record on to the function that checks it."""

    def call(**fields):
        return getattr(atrous, name)(**{**CALLS[name], **others, parameter: record(**fields)})

    return call


# Records are checked by the function that takes them: (its name, the call, the fields).
RECORDS = {
    "CRFParams": ("dense_crf", through("dense_crf", "params", atrous.CRFParams, iterations=None, normalization=None)),
    "FilteredPairwise": ("mean_field", through("mean_field", "pairwise", atrous.FilteredPairwise)),
    "LossTerm": ("objective", through("objective", "terms", lambda **fields: [atrous.LossTerm(**fields)])),
    "Pairwise": ("mean_field", through("mean_field", "pairwise", atrous.Pairwise)),
    "Recipe": ("training", through("training", "recipe", atrous.Recipe)),
    "Spatial": ("receptive_field", through("receptive_field", "layers", lambda **fields: [atrous.Spatial(**fields)])),
}
FIELDS = {
    "CRFParams": atrous.CRFParams(iterations=2)._asdict(),
    "FilteredPairwise": atrous.separable_pairwise((5, 6), 2.0, 1.0)._asdict(),
    "LossTerm": {"endpoint": "logits", "weight": 1.0, "like": None},
    "Pairwise": SPATIAL._asdict(),
    "Recipe": {**RECIPE._asdict(), "clip": 1.0},
    "Spatial": atrous.Spatial(3, 1, 1, 1, "conv")._asdict(),
}
