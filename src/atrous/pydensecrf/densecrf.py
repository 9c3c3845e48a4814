"""pydensecrf.densecrf on this package's lattice.

Names, signatures, defaults, numeric conventions and exceptions are pydensecrf's; the package's docstring lists the
differences. If the number N of variables is not a multiple of four, (−N) mod 4 points without a value are appended at
the origin of the features. The C++ code pads points to fours; the padding creates vertices, through which blurs pass.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from numbers import Number

import numpy as np

from atrous._types import Array
from atrous.crf import fused
from atrous.crf.joined import join
from atrous.crf.layout import strip_order, to_planes, to_rows
from atrous.crf.pairwise import NORMALIZATIONS, Pairwise
from atrous.crf.vertices import padded_rewards
from atrous.errors import DTypeError, ParameterError, ShapeError
from atrous.pydensecrf import eigen


class NormalizationType(enum.IntEnum):
    """How the Gaussian is divided by its row sums."""

    NO_NORMALIZATION = 0
    NORMALIZE_BEFORE = 1
    NORMALIZE_AFTER = 2
    NORMALIZE_SYMMETRIC = 3


class KernelType(enum.IntEnum):
    """Form of the Gaussian's covariance; it matters only for learning, so it is checked and has no effect here."""

    CONST_KERNEL = 0
    DIAG_KERNEL = 1
    FULL_KERNEL = 2


NO_NORMALIZATION, NORMALIZE_BEFORE, NORMALIZE_AFTER, NORMALIZE_SYMMETRIC = NormalizationType
CONST_KERNEL, DIAG_KERNEL, FULL_KERNEL = KernelType


def _float32(name, value, ndim):
    """Return any real array as C-contiguous float32 with `ndim` axes, free of NaN."""
    if value is None:
        raise DTypeError(f"Argument {name!r} must not be None")
    array = np.asarray(value)
    if array.dtype.kind not in "buif":
        raise eigen.BufferDTypeError(f"{name} must hold real numbers, got {array.dtype}. Convert it to float32.")
    if array.ndim != ndim:
        raise ShapeError(f"Buffer has wrong number of dimensions (expected {ndim}, got {array.ndim}) in {name}.")
    array = np.ascontiguousarray(array, np.float32)
    if np.isnan(array).any():
        raise ParameterError(f"{name} holds NaN. For probabilities of zero use unary_from_softmax, which clips them.")
    return array


class Unary:
    """Base class of the unary terms; holds energies (nlabels, nvar)."""

    _energies = None


class ConstUnary(Unary):
    """Energies given directly.

    Parameters
    ----------
    u : ndarray of shape (nlabels, nvar)
        Negative logarithms of probabilities.

    Examples
    --------
    >>> crf = DenseCRF(2, 2)
    >>> crf.setUnary(ConstUnary(np.array([[0, 9], [9, 0]], np.float32)))
    >>> np.argmax(crf.inference(0), axis=0).tolist()
    [0, 1]
    """

    def __init__(self, u: Array):
        self._energies = _float32("u", u, 2)


class LogisticUnary(Unary):
    """Energies L·f of a linear classifier.

    Parameters
    ----------
    L : ndarray of shape (nlabels, nfeat)
    f : ndarray of shape (nfeat, nvar)

    Examples
    --------
    >>> crf = DenseCRF(2, 2)
    >>> crf.setUnary(LogisticUnary(np.array([[1], [-1]], np.float32), np.array([[-9, 9]], np.float32)))
    >>> np.argmax(crf.inference(0), axis=0).tolist()
    [0, 1]
    """

    def __init__(self, L: Array, f: Array):
        L, f = _float32("L", L, 2), _float32("f", f, 2)
        if L.shape[1] != len(f):
            raise ShapeError(f"L and f must share their inner axis: (nlabels, nfeat) and (nfeat, nvar), got {L.shape} "
                             f"and {f.shape}.")  # fmt: skip
        self._energies = L @ f


def _compatibility(compat, labels):
    """Return a compatibility with this package's signs: numbers and vectors reward equal labels, matrices are costs."""
    if isinstance(compat, Number) and not isinstance(compat, complex):
        number = float(compat)
        if not np.isfinite(number):
            raise ParameterError(f"compat must be finite, got {compat!r}.")
        return np.float32(number)
    try:
        view = memoryview(compat)
    except TypeError:
        raise DTypeError(
            f"compat must be a number or a float32 array (L,) or (L, L), got {type(compat).__name__}. "
            "Convert it with np.array(compat, np.float32)."
        ) from None
    if view.ndim not in (1, 2):
        raise ShapeError("LabelCompatibility of dimension >2 not meaningful. Pass a number, (L,) or (L, L).")
    array = eigen.require_buffer(compat, view.ndim, name="compat").copy()
    if array.shape not in ((labels,), (labels, labels)):
        raise ShapeError(f"Bad shape for compat (Need ({labels},) or ({labels}, {labels}), got {array.shape}).")
    if not np.isfinite(array).all():
        raise ParameterError("compat must be finite, it holds NaN or inf.")
    return -array if array.ndim == 1 else array


class DenseCRF:
    """A fully connected CRF over `nvar` variables of `nlabels` labels with Gaussian pairwise terms.

    Parameters
    ----------
    nvar, nlabels : int
        Numbers of variables and labels; further arguments are ignored, as in pydensecrf.

    Notes
    -----
    Cost and memory as for `mean_field`. The lattices are built at the first inference after a term is added, then kept.

    References
    ----------
    .. [1] Krähenbühl, Koltun, arXiv:1210.5644.

    Examples
    --------
    >>> import atrous.pydensecrf.densecrf as dcrf
    >>> crf = dcrf.DenseCRF2D(5, 1, 2)
    >>> crf.setUnaryEnergy(np.array([[0, 0, 1, 0, 0], [1, 1, 0, 1, 1]], np.float32))
    >>> crf.addPairwiseGaussian(sxy=2, compat=5)
    >>> np.argmax(crf.inference(5), axis=0).tolist()
    [0, 0, 0, 0, 0]
    """

    def __init__(self, nvar: int, nlabels: int, *_, **__):
        for name, value in (("nvar", nvar), ("nlabels", nlabels)):
            if not isinstance(value, Number) or isinstance(value, complex) or value % 1 != 0:
                raise DTypeError(f"an integer is required for {name}, got {value!r}")
            if value < 1:
                raise ParameterError(f"{name} must be at least 1, got {value}.")
        self._variables, self._labels = int(nvar), int(nlabels)
        self._grid = (self._variables,)
        self._unary = None
        self._pairwise = []
        self._built = None

    def addPairwiseEnergy(
        self,
        features: Array,
        compat: float | Array,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """Add a Gaussian over features (D, nvar), already divided by their standard deviations."""
        features = _float32("features", features, 2)
        if features.shape[1] != self._variables:
            raise ShapeError(f"Bad shape for pairwise energy (Need (?, {self._variables}), got {features.shape})")
        self._add(np.ascontiguousarray(features.T), compat, kernel, normalization)

    def _add(self, features, compat, kernel, normalization):
        compatibility = _compatibility(compat, self._labels)
        try:
            KernelType(kernel)
            mode = NORMALIZATIONS[NormalizationType(normalization)]
        except ValueError as error:
            raise ParameterError(f"{error}; use the constants of this module.") from None
        if not np.isfinite(features).all():
            raise ParameterError("features hold NaN or inf. Standard deviations must be positive, images finite.")
        self._pairwise.append(Pairwise(features, compatibility, mode))
        self._built = None

    def setUnary(self, u: Unary) -> None:
        """Set the energies to those of a Unary object."""
        if not isinstance(u, Unary) or u._energies is None:
            raise DTypeError(f"Argument 'u' must be a ConstUnary or a LogisticUnary, got {type(u).__name__}")
        if u._energies.shape != (self._labels, self._variables):
            raise ShapeError(
                f"Bad shape for unary energy (Need ({self._labels}, {self._variables}), got {u._energies.shape})"
            )
        self._unary = u._energies

    def setUnaryEnergy(self, u: Array, f: Array | None = None) -> None:
        """Set energies (nlabels, nvar), or those of a linear classifier u (nlabels, nfeat) of f (nfeat, nvar)."""
        self.setUnary(ConstUnary(u) if f is None else LogisticUnary(u, f))

    def _prepare(self):
        """Return (order of the points, Joined, list of Vertices), built once for all terms so far."""
        if self._built is None:
            order = strip_order(self._grid)
            mute = -self._variables % 4
            features = []
            for term in self._pairwise:
                rows = np.zeros((self._variables + mute, term.features.shape[1]), np.float32)
                rows[: self._variables] = term.features[order]
                features.append(rows)
            modes = [term.normalization for term in self._pairwise]
            self._built = order, *join(type(self).__name__, features, modes, mute=mute)
        return self._built

    def _rows(self, planes, order, mute, sign=1, padding=0):
        rows = to_rows(planes, order, sign=sign, padding=padding)
        return np.concatenate([rows, np.zeros((mute, rows.shape[1]), np.float32)]) if mute else rows

    def _energies(self):
        return np.zeros((self._labels, self._variables), np.float32) if self._unary is None else self._unary

    def _run(self, iterations, start=None):
        """Return marginals (nlabels, nvar) in column-major order."""
        mute = -self._variables % 4
        if self._pairwise and (iterations or start is not None):
            order, joined, lattices = self._prepare()
        else:
            order, joined, iterations = strip_order(self._grid), None, 0
        logits = self._rows(self._energies(), order, mute, sign=-1, padding=-np.inf)
        if joined is None:
            fused.softmax(logits)
        else:
            start = None if start is None else self._rows(start, order, mute)
            rewards = padded_rewards(self._pairwise, self._labels, np.float32)
            fused.iterate(joined, lattices, rewards, logits, iterations, start=start)
        out = np.empty((self._variables, self._labels), np.float32)
        to_planes(logits[: self._variables], order, out.T)
        return out.T

    def inference(self, niter: int) -> eigen.MatrixXf:
        """Return the marginals after `niter` steps from softmax(−U)."""
        return eigen.MatrixXf.around(self._run(_count("niter", niter)))

    def startInference(self) -> tuple[eigen.MatrixXf, eigen.MatrixXf, eigen.MatrixXf]:
        """Return (Q, tmp1, tmp2) for `stepInference`: Q = softmax(−U), or zeros if no unary was set."""
        nothing = np.zeros((self._labels, self._variables), np.float32, order="F")
        q = nothing if self._unary is None else self._run(0)
        return eigen.MatrixXf.around(q), eigen.MatrixXf(), eigen.MatrixXf()

    def stepInference(self, Q: eigen.MatrixXf, tmp1: eigen.MatrixXf, tmp2: eigen.MatrixXf) -> None:
        """Replace Q by the marginals one step later."""
        for name, value in (("Q", Q), ("tmp1", tmp1), ("tmp2", tmp2)):
            _matrix(name, value)
        np.asarray(Q)[...] = self._run(1, self._marginals(Q)) if self._pairwise else self._run(0)

    def klDivergence(self, Q: eigen.MatrixXf) -> float:
        """Return Σ Q log Q + Σ U·Q + Σₖ Σ Q ⊙ μₖKₖQ, as pydensecrf: twice the model's pairwise part, no log Z."""
        _matrix("Q", Q)
        q = self._marginals(Q)
        total = (q * np.log(np.maximum(q, np.float32(1e-20)))).sum(dtype=np.float64)
        if self._unary is not None:
            total += (self._unary[q > 0] * q[q > 0]).sum(dtype=np.float64)
        if self._pairwise:
            order, joined, lattices = self._prepare()
            rows = self._rows(q, order, -self._variables % 4)
            rewards = padded_rewards(self._pairwise, self._labels, np.float32)
            messages = fused.messages(joined, lattices, rewards, rows)
            total -= (messages * rows).sum(dtype=np.float64)
        return float(total)

    def _marginals(self, Q):
        q = np.ascontiguousarray(np.asarray(Q))
        if q.shape != (self._labels, self._variables):
            raise ShapeError(f"Bad shape for Q (Need ({self._labels}, {self._variables}), got {q.shape})")
        return q


class DenseCRF2D(DenseCRF):
    """The CRF of an image; the width comes first, and variable y·w + x is the pixel (x, y).

    Parameters
    ----------
    w, h, nlabels : int
        Width, height and number of labels; further arguments are ignored.

    Examples
    --------
    >>> crf = DenseCRF2D(3, 2, 2)
    >>> crf.setUnaryEnergy(np.zeros((2, 6), np.float32))
    >>> crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=np.zeros((2, 3, 3), np.uint8), compat=10)
    >>> np.array(crf.inference(1)).shape
    (2, 6)
    """

    def __init__(self, w: int, h: int, nlabels: int, *_, **__):
        super().__init__(w, nlabels)
        height = DenseCRF(h, nlabels)._variables
        self._variables *= height
        self._grid = (height, int(w))

    def addPairwiseGaussian(
        self,
        sxy: float | Sequence[float],
        compat: float | Array,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """Add a Gaussian over position; sxy in pixels, one number or (sx, sy)."""
        self._add(np.stack(self._positions(sxy), axis=1), compat, kernel, normalization)

    def addPairwiseBilateral(
        self,
        sxy: float | Sequence[float],
        srgb: float | Sequence[float],
        rgbim: Array,
        compat: float | Array,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """Add a Gaussian over position and colour; rgbim (h, w, 3) in levels 0–255, srgb one number or three."""
        image = np.asarray(rgbim)
        if image.dtype != np.uint8:
            image = _float32("rgbim", rgbim, 3)
        if image.ndim != 3:
            raise ShapeError(f"Buffer has wrong number of dimensions (expected 3, got {image.ndim}) in rgbim.")
        if image.shape[2] != 3:
            raise ShapeError(
                "addPairwiseBilateral only works for RGB images. For other types, use "
                "`utils.create_pairwise_bilateral` to construct your own pairwise energy and add it through "
                "`addPairwiseEnergy`."
            )
        if image.shape[:2] != self._grid:
            raise ShapeError(
                f"Bad shape for pairwise bilateral (Need ({self._grid[0]}, {self._grid[1]}, 3), got {image.shape})"
            )
        if image.dtype != np.uint8 and image.max() <= 1:
            raise ParameterError("rgbim is a float image with a maximum of at most 1, but srgb is in levels 0-255. "
                                 "Multiply the image by 255.")  # fmt: skip
        colors = [image[..., c].reshape(-1) / s for c, s in enumerate(_deviations("srgb", srgb, 3))]
        self._add(np.stack([*self._positions(sxy), *colors], axis=1), compat, kernel, normalization)

    def _positions(self, sxy):
        sx, sy = _deviations("sxy", sxy, 2)
        y, x = np.divmod(np.arange(self._variables), self._grid[1])
        return x.astype(np.float32) / sx, y.astype(np.float32) / sy


def _deviations(name, value, count):
    """Return float32 standard deviations from one number or `count` of them; as in pydensecrf, more are ignored."""
    try:
        values = [value] * count if isinstance(value, Number) else list(value)[:count]
    except TypeError:
        values = []
    if len(values) < count or not all(isinstance(v, Number) for v in values):
        raise DTypeError(f"{name} must be a real number or {count} of them, got {value!r}")
    deviations = np.array(values, np.float32)
    if not (np.isfinite(deviations).all() and (deviations > 0).all()):
        raise ParameterError(f"{name} must be positive and finite, got {value!r}.")
    return deviations


def _matrix(name, value):
    if not isinstance(value, eigen.MatrixXf):
        raise DTypeError(f"Argument {name!r} has incorrect type (expected MatrixXf, got {type(value).__name__})")


def _count(name, value):
    try:
        return max(0, int(value))
    except (TypeError, ValueError):
        raise DTypeError(f"an integer is required for {name}, got {value!r}") from None
