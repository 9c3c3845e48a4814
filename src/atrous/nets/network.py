"""A network as users see it: a description with a name, and the methods that run it.

Role: public functions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, FloatArray, PathLike
from atrous.compose.cpu import in_memory
from atrous.compose.crf_layer import CRFLayer
from atrous.compose.leaves import BatchNorm, Conv, Endpoint
from atrous.compose.match import mismatch
from atrous.compose.memory import Memory
from atrous.compose.multi_scale import MultiScale
from atrous.compose.part import Part, mapped, parameter_count, walk
from atrous.compose.program import Program, for_inference, run
from atrous.compose.side_head import SideHead
from atrous.conv.filters import Filter, prepare_filter
from atrous.crf.dense import resolved_params
from atrous.crf.params import CRFParams
from atrous.errors import DTypeError, ParameterError, ShapeError
from atrous.jit import gpu
from atrous.nets.fresh import fresh_names, remedy
from atrous.nets.preparation import PREPARATIONS, affine
from atrous.nets.summary import Summary, summarize
from atrous.weights.errors import WeightsError
from atrous.weights.files import load_weights
from atrous.weights.names import renamed


def flat(weights):
    """Return weights as one dictionary: from a path, a dictionary, or the pair (params, state)."""
    if isinstance(weights, (str, os.PathLike)):
        return load_weights(weights)
    pair = (weights,) if isinstance(weights, Mapping) else weights
    return {name: np.asarray(array) for part in pair for name, array in part.items()}


class NetworkCache(NamedTuple):
    """What `Network.backward` needs: the layers' caches. They refer to inputs and outputs; do not change these."""

    body: Part
    held: Any
    shape: tuple[int, ...]
    dtype: np.dtype
    endpoints: dict[str, tuple[int, ...]]


class Network(NamedTuple):
    """A network: its name, its number of classes, its description, and how its authors prepare images.

    Attributes
    ----------
    name : str
        As in `networks()`.
    classes : int
        Channels of the scores.
    body : Part
        The description, from the image to the scores at the size of the image.
    preprocessing : str
        "caffe", "torchvision", "slim" or "xception"; see `prepare`.
    fusion : str
        How its paper fuses scales and flips: "max" of scores or "mean" of probabilities.
    remainder : int
        Images of output_stride·k + remainder samples along an axis fit the network's grid exactly; 0: all sizes do.
    options : dict
        The options given to `build`.
    """

    name: str
    classes: int
    body: Part
    preprocessing: str
    fusion: str
    remainder: int
    options: dict[str, Any]

    @property
    def output_stride(self) -> int:
        """The distance between neighbouring features, in pixels of the image."""
        program = self.program((513, 513), ("features",))
        return program.values[program.endpoints["features"]].field.stride

    def program(self, size: Sequence[int], endpoints: Sequence[str] = (), owner: str = "program") -> Program:
        """Return the steps of inference for images of `size` (H, W); `endpoints` are wanted besides the scores."""
        return for_inference(self.body, (3, *size), tuple(endpoints), owner)

    @public
    def fitting(self, size: Sequence[int]) -> tuple[int, int]:
        """Return the smallest size (H, W), at least `size`, that fits the network's grid exactly.

        At such a size, with aligned corners, every eighth of 8·k + 1 pixels is the centre of a score. For 32·k + 1
        pixels this also holds at three quarters of the size. Networks that resize by half-pixel centres take any size.
        """
        if not (self.remainder and self.body.align_corners):
            return tuple(size)
        scales = []
        walk(self.body, lambda part: scales.append(part) if isinstance(part, MultiScale) else None)
        step = self.output_stride * (4 if scales else 1)
        return tuple(-(-max(n - self.remainder, 0) // step) * step + self.remainder for n in size)

    def variables(self):
        """Return every array by name, as a Variable: its shape, its initial values, and whether it is trained."""
        return self.body.variables()

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained. Running means and variances are not."""
        return parameter_count(self.variables())

    @property
    def endpoint_names(self) -> tuple[str, ...]:
        """The names that `endpoints` returns."""
        found = []

        def visit(part):
            if isinstance(part, MultiScale):
                found.extend(part.names())
            if isinstance(part, (Endpoint, SideHead)) and part.name not in found:
                found.append(part.name)

        walk(self.body, visit)
        return (*found, "logits")

    @public
    def init(
        self, rng: np.random.Generator, dtype: type = np.float32
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Return initial values (params, state): He's normal numbers, σ = 0.01 in classifiers, biases 0, gamma 1.

        Networks with frozen batch norms (v2 on ResNet) should not be trained from these values: their sums grow from
        unit to unit. Start them with `from_classifier` or `load`, or build them with ``frozen=False``.

        Parameters
        ----------
        rng : Generator
            Draws the values, in the order of `variables`.
        dtype : float32 or float64
        """
        dtype, variables = np.dtype(dtype).type, self.variables()
        drawn = {name: v.draw(rng, dtype) for name, v in variables.items()}
        return self.split(drawn)

    def split(self, arrays):
        """Return (params, state) from one dictionary of both."""
        variables = self.variables()
        return (
            {name: arrays[name] for name, v in variables.items() if v.trained},
            {name: arrays[name] for name, v in variables.items() if not v.trained},
        )

    @public
    def load(
        self,
        weights: PathLike | Mapping[str, Array] | tuple[Mapping[str, Array], Mapping[str, Array]],
        dtype: type = np.float32,
        *,
        fresh: str | Sequence[str] = (),
        rng: np.random.Generator | None = None,
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Return (params, state) from a file or a flat dictionary, in this network's names or another project's.

        Parameters
        ----------
        weights : path, dict of ndarray, or a pair (params, state) of them
            See `load_weights` for the file formats. The names of other projects (Caffe, torchvision,
            kazuto1011, isht7, VainF, jfzhang95, segmentation_models.pytorch, mmsegmentation) are understood.
        dtype : float32 or float64
            Arrays are converted to it.
        fresh : {"crf", "classifier", "head"} or patterns of names, default none
            What is initialised as by `init` instead of loaded, for example to train on other classes: "crf" is the CRF
            layer, "classifier" also the layers with one score per class, "head" everything after the backbone, and
            patterns name arrays, as in
            ``["decoder.*"]``. `fresh_names` lists them. Arrays of the file that the network does not have are then
            left out.
        rng : Generator
            Draws what is fresh; not needed otherwise.

        Raises
        ------
        WeightsError
            Arrays are missing, unexpected or of the wrong shape (all are listed), or contain NaN or infinite numbers.
        ParameterError
            A pattern that matches nothing, or `fresh` without `rng`.

        Examples
        --------
        >>> two, five = (build("tiny_deeplabv3_resnet50", classes=n) for n in (2, 5))
        >>> rng = np.random.default_rng(0)
        >>> params, state = five.load(two.init(rng), fresh="classifier", rng=rng)
        >>> five.fresh_names("classifier"), params["classifier.4.weight"].shape
        (('classifier.4.weight', 'classifier.4.bias'), (5, 8, 1, 1))
        """
        given, dtype, variables = flat(weights), np.dtype(dtype).type, self.variables()
        given = renamed(given, variables)
        drawn = self._drawn(fresh, rng, dtype, given)
        if drawn:
            given = {name: given[name] for name in variables if name in given and name not in drawn}
            variables = {name: v for name, v in variables.items() if name not in drawn}
        if wrong := mismatch(variables, given):
            part = None if drawn else remedy(self.body, given)
            raise WeightsError(
                f"load: the weights do not fit {self.name} with {self.classes} classes: {wrong}. `atrous weights show` "
                "lists what a file contains and which network it fits."
                + (f" To initialise the {part}, pass fresh={part!r}, rng=numpy.random.default_rng(0)." if part else "")
            )
        if odd := [name for name in variables if given[name].dtype.kind not in "fiu"]:
            raise WeightsError(f"load: {odd[0]} must contain real numbers, got {given[odd[0]].dtype}.")
        # The caller's arrays are copied; arrays from a file have no other owner.
        take = np.ascontiguousarray if isinstance(weights, (str, os.PathLike)) else np.array
        with np.errstate(over="ignore"):
            found = {name: np.require(take(given[name], dtype), requirements="C") for name in variables}
        if broken := [name for name, a in found.items() if not np.isfinite(a).all()]:
            raise WeightsError(
                f"load: {len(broken)} arrays contain NaN or infinite numbers: {', '.join(broken[:8])}. The file is "
                "broken, or its training diverged."
            )
        return self.split(found | drawn)

    @public
    def fresh_names(self, fresh: str | Sequence[str]) -> tuple[str, ...]:
        """Return the names of the arrays that ``load(…, fresh=fresh)`` initialises, in the order of the network."""
        return tuple(fresh_names(self.body, fresh, ()))

    def _drawn(self, fresh, rng, dtype, given):
        """Return the initial values of the arrays that `fresh` names."""
        names = fresh_names(self.body, fresh, given) if len(fresh) else []
        if names and not isinstance(rng, np.random.Generator):
            raise ParameterError(
                f"load: fresh needs rng, such as numpy.random.default_rng(0), to draw {len(names)} arrays; got {rng!r}."
            )
        variables = self.variables()
        return {name: variables[name].draw(rng, dtype) for name in names}

    def _checked(self, owner, params, state, x):
        x = _check.float_array(owner, "x", x, batch=True)
        if x.ndim != 4 or x.shape[1] != 3:
            last = " Are the channels last? Use np.moveaxis(x, -1, 1)." if x.ndim == 4 and x.shape[3] == 3 else ""
            raise ShapeError(
                f"{owner}: x must be (N, 3, H, W), images as `prepare` returns them, got shape {x.shape}.{last}"
            )
        variables = self.variables()
        for word, arrays, trained in (("params", params, True), ("state", state, False)):
            wanted = {name: v for name, v in variables.items() if v.trained == trained}
            if wrong := mismatch(wanted, arrays):
                raise ShapeError(f"{owner}: {word} do not fit {self.name}: {wrong}. See init and load.")
            for name in wanted:
                dtype = np.asarray(arrays[name]).dtype
                if dtype != x.dtype:
                    fix = f"Convert x with x.astype(np.{dtype})."
                    if dtype not in _check.FLOATS:
                        fix = f"Load or convert {word} as float32 or float64."
                    raise DTypeError(
                        f"{owner}: x must have the dtype of the network's arrays, {dtype} ({name}), got {x.dtype}. "
                        f"{fix}"
                    )
        return x

    def _known(self, owner, endpoints):
        if unknown := [name for name in endpoints or () if name not in self.endpoint_names[:-1]]:
            raise ParameterError(
                f"{owner}: {self.name} has no endpoint {', '.join(map(repr, unknown))}; it has "
                f"{', '.join(self.endpoint_names[:-1])}."
            )

    @public
    def forward(
        self,
        params: Mapping[str, FloatArray | Filter],
        state: Mapping[str, FloatArray],
        x: FloatArray,
        *,
        train: bool = False,
        rng: np.random.Generator | None = None,
        endpoints: dict[str, FloatArray | None] | None = None,
    ) -> tuple[FloatArray, NetworkCache, dict[str, FloatArray]]:
        """Return the scores at the size of the images, what `backward` needs, and the new running statistics.

        Parameters
        ----------
        params, state : dict of ndarray
            From `init` or `load`.
        x : ndarray of shape (N, 3, H, W)
            Images as `prepare` returns them, dtype of the parameters.
        train : bool, default False
            Use batch statistics in batch norms, and dropout.
        rng : Generator, optional
            Draws dropout; needed with `train` if the network has dropout.
        endpoints : dict, optional
            Names from `endpoint_names`; their values are filled in, and may receive gradients in `backward`.

        Returns
        -------
        logits : ndarray of shape (N, classes, H, W)
        cache : NetworkCache
        state : dict of ndarray
        """
        x = self._checked("forward", params, state, x)
        self._known("forward", endpoints)
        y, held, state = self.body.forward(params, dict(state), x, train=train, rng=rng, endpoints=endpoints)
        shapes = {name: a.shape for name, a in (endpoints or {}).items()}
        return y, NetworkCache(self.body, held, y.shape, y.dtype, shapes), state

    @public
    def backward(
        self, dy: FloatArray, cache: NetworkCache, *, endpoints: Mapping[str, FloatArray] | None = None, dx: bool = True
    ) -> tuple[FloatArray | None, dict[str, FloatArray]]:
        """Return the gradients with respect to the images and, by name, to the parameters.

        Parameters
        ----------
        dy : ndarray of shape (N, classes, H, W)
            Gradient of the loss with respect to the scores.
        cache : NetworkCache
            From `forward`; may be used again.
        endpoints : dict of ndarray, optional
            Gradients with respect to endpoints that `forward` filled in, for an auxiliary loss or a loss at each scale.
        dx : bool, default True
            Compute the gradient with respect to the images, which training does not need.

        Returns
        -------
        dx : ndarray of shape (N, 3, H, W), or None
        grads : dict of ndarray
            A side head has gradients only if its endpoint has one; frozen batch norms have none in training.
        """
        if cache.body != self.body:
            raise ParameterError(f"backward: cache comes from the forward pass of another network than {self.name}.")
        self._known("backward", endpoints)
        for name, d in (endpoints or {}).items():
            if name not in cache.endpoints or np.shape(d) != cache.endpoints[name]:
                raise ShapeError(
                    f"backward: the gradient of endpoint {name!r} must have the shape that forward filled in, "
                    f"{cache.endpoints.get(name, 'none: name it in the endpoints of forward')}, got {np.shape(d)}."
                )
        dy = _check.upstream("backward", dy, cache.shape, cache)
        endpoints = None if endpoints is None else dict(endpoints)
        found, grads = self.body.backward(dy, cache.held, endpoints=endpoints, needs_dx=dx)
        return found if dx else None, grads

    @public
    def prepare(self, params: Mapping[str, FloatArray | Filter]) -> dict[str, FloatArray | Filter]:
        """Return params for many calls of `infer`: each filter keeps the layout that the fast methods make of it.

        One image of 513² gains a few percent, small images much more. The layouts take one to four times the memory of
        the filters; see `prepare_filter`.
        """
        found = dict(params)

        def visit(part):
            if isinstance(part, Conv):
                if part.w not in params:
                    raise ParameterError(f"prepare: params of {self.name} must have {part.w!r}. See init and load.")
                found[part.w] = prepare_filter(params[part.w], **part.options)

        walk(self.body, visit)
        return found

    @public
    def infer(
        self,
        params: Mapping[str, FloatArray | Filter],
        state: Mapping[str, FloatArray],
        x: FloatArray,
        *,
        device: str | None = None,
    ) -> FloatArray:
        """Return the scores at the size of the images, as `forward` does, in less time and memory.

        The network is lowered to a list of steps for the size of x (`program`). Batch norm, bias, shortcut and ReLU are
        one pass over the result of each convolution; nothing is stored for a backward pass. With ``device="cuda"`` it
        runs in plain CUDA kernels, equal up to rounding; the arrays are copied to the GPU at each call. `params` may
        come from `prepare`.
        """
        x = self._checked("infer", params, state, x)
        program, arrays = self.program(x.shape[2:], owner="infer"), {**params, **state}
        if device is None:
            return self._run(program, arrays, x)[0]
        _check.one_of("infer", "device", device, ("cuda",))
        gpu.require("infer", "device")
        from atrous.compose import cuda

        return run(program, cuda.CUDA, cuda.upload(arrays), cuda.upload({"x": x})["x"])[0].copy_to_host()

    @staticmethod
    def _run(program, arrays, x):
        """Run a program on the CPU, in memory that its feature maps share."""
        if not len(x):  # the shapes are those of a blank image
            y, found = Network._run(program, arrays, np.zeros((1, *x.shape[1:]), x.dtype))
            return y[:0], {name: a[:0] for name, a in found.items()}
        memory = Memory()
        y, found = run(program, in_memory(memory.empty), arrays, x)
        memory.close()
        return np.ascontiguousarray(y), {name: np.ascontiguousarray(a) for name, a in found.items()}

    @public
    def endpoints(
        self, params: Mapping[str, FloatArray | Filter], state: Mapping[str, FloatArray], x: FloatArray
    ) -> dict[str, FloatArray]:
        """Return the named intermediate results and the scores.

        Returns
        -------
        dict of ndarray
            "features" (what the head reads), "low_logits" (its scores), "logits" (those at the size of the images),
            "aux_logits" if there is such a head, and the network's other endpoints (`endpoint_names`).
        """
        x = self._checked("endpoints", params, state, x)
        program = self.program(x.shape[2:], self.endpoint_names[:-1], "endpoints")
        logits, found = self._run(program, {**params, **state}, x)
        return {**{name: found[name] for name in self.endpoint_names[:-1]}, "logits": logits}

    @public
    def summary(self, size: int | Sequence[int] = 513) -> Summary:
        """Return the papers' layer table for images of `size`: rows, parameters, multiply-adds, receptive field."""
        size = _check.per_axis("summary", "size", size, 2, least=1)
        _check.small_enough("summary", "an image of this size,", (3, *size))
        return summarize(self.name, self.body, self.program(size, self.endpoint_names[:-1], "summary"))

    @public
    def with_batch_norms(self, *, frozen: bool | None = None, momentum: float | None = None) -> Network:
        """Return the same network with other batch norms: frozen, as in v3's last training stage, or another momentum.

        Parameters
        ----------
        frozen : bool, optional
            Keep running statistics, gamma and beta in training.
        momentum : float, optional
            Weight of the batch in the new running statistics; 0.9997 in TensorFlow's DeepLab is 0.0003 here.
        """
        options = {key: v for key, v in (("frozen", frozen), ("momentum", momentum)) if v is not None}
        change = lambda part: replace(part, **options) if isinstance(part, BatchNorm) else part  # noqa: E731
        return self._replace(body=mapped(self.body, change))

    @public
    def with_crf(
        self, start: CRFParams | str = "crf-rnn", *, training_steps: int = 5, learn_sigmas: bool = False
    ) -> Network:
        """Return the network with a dense CRF as its last layer, to be trained with it (CRF-as-RNN).

        Parameters
        ----------
        start : CRFParams or name of a preset
            Initial weights and sigmas; `iterations` are the steps of mean field in use. Messages are weighted means,
            normalisation "after", whatever it says.
        training_steps : int
            Steps of mean field in training.
        learn_sigmas : bool
            Train the sigmas too, which takes three times as long.

        Returns
        -------
        Network
            Its scores are the logarithms of the marginals. Its new arrays are ``crf.log_weights``, ``crf.log_sigmas``
            and ``crf.compatibility``; ``load(weights, fresh="crf", rng=rng)`` takes all others from a file of the
            network without the layer.

        Raises
        ------
        ParameterError
            A preset that does not exist, a weight that is not positive, one class, or a network that has a CRF.

        Examples
        --------
        >>> network = build("tiny_deeplabv1_largefov", classes=3).with_crf("deeplab-v1")
        >>> params, state = network.init(np.random.default_rng(0))
        >>> np.exp(params["crf.log_weights"]).round(3).tolist()
        [5.0, 3.0]
        """
        start = resolved_params("with_crf", start, None, None)
        for name in ("bilateral_weight", "spatial_weight"):
            _check.number("with_crf", name, getattr(start, name), above=0)
        if isinstance(self.body, CRFLayer):
            raise ParameterError(f"with_crf: {self.name} has a CRF layer already.")
        if self.classes < 2:
            raise ParameterError(f"with_crf: a CRF refines two classes or more, {self.name} has {self.classes}.")
        levels = tuple((float(gain), float(offset)) for gain, offset in zip(*affine(self.preprocessing), strict=True))
        blue_first = PREPARATIONS[self.preprocessing].channels == "BGR"
        levels = levels[::-1] if blue_first else levels
        steps = _check.integer("with_crf", "training_steps", training_steps, least=1)
        start = start._replace(normalization="after")
        layer = CRFLayer(self.body, self.classes, start, levels, blue_first, steps, bool(learn_sigmas))
        return self._replace(body=layer)

    def drawing(self):
        """Return a picture of the network's blocks as SVG, which notebooks display."""
        from atrous.nets.drawing import drawn

        return drawn(self)

    def __repr__(self):
        options = "".join(f", {k}={v!r}" for k, v in self.options.items())
        return f"<{self.name}: {self.parameter_count:,} parameters; classes={self.classes}{options}>"
