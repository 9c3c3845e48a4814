"""A world of drawn scenes in which the points of the papers can be seen: seeded, endless, with exact labels.

    0  background    a smooth wash of colour
    1  disc          told from a square by its outline: the field of view must span an object
    2  square
    3  pond          two plain rectangles of the same colour. A pond has a light rim and a roof a dark one, so a
    4  roof          pixel deep inside is told apart only by context, if the field of view reaches the rim
    5  wire          thin straight lines, blurred at output stride 8 or 16: for decoder and dense CRF

Objects have many sizes (atrous spatial pyramid pooling) and random colours (colour alone tells nothing). Blur and noise
hide the boundaries, and a ring of void pixels runs along every object, as in PASCAL VOC.

Role: public functions, NumPy and SciPy's blur.
"""

from __future__ import annotations

import math

import numpy as np

from atrous import _check
from atrous._kinds import public
from atrous._types import Array, PerAxis
from atrous.data.classes import SCENE_CLASSES
from atrous.errors import ParameterError

VOID = 255
_PLAIN = np.array([96.0, 120.0, 168.0])  # the one colour of ponds and roofs
_LIGHT, _DARK = np.array([226.0, 222.0, 200.0]), np.array([38.0, 34.0, 44.0])


def _wash(rng, high, wide):
    """Return a background (H, W, 3) whose colour changes slowly from corner to corner."""
    corners = rng.uniform(70, 190, (2, 2, 3))
    y, x = np.linspace(0, 1, high)[:, None, None], np.linspace(0, 1, wide)[None, :, None]
    top, bottom = (corners[i, 0] * (1 - x) + corners[i, 1] * x for i in (0, 1))
    return top * (1 - y) + bottom * y


def _turned(rng, high, wide):
    """Return coordinates of all pixels from a random centre, turned by a random angle."""
    cy, cx, angle = rng.uniform(0, high), rng.uniform(0, wide), rng.uniform(0, math.pi)
    y, x = np.arange(high)[:, None] - cy, np.arange(wide)[None] - cx
    return y * math.cos(angle) - x * math.sin(angle), y * math.sin(angle) + x * math.cos(angle)


@public
def make_scene(
    rng: np.random.Generator,
    *,
    size: PerAxis = 129,
    objects: int = 6,
    smallest: float = 0.06,
    largest: float = 0.3,
    wires: int = 2,
    wire_width: tuple[float, float] = (1.0, 3.0),
    blur: float = 1.0,
    noise: float = 12.0,
    ring: int = 1,
) -> tuple[Array, Array]:
    """Draw one scene.

    Parameters
    ----------
    rng : numpy.random.Generator
        The scene depends on it and on the options alone.
    size : int or (int, int), default 129
        Rows and columns; DeepLab likes 8k + 1.
    objects : int, default 6
        Discs, squares, ponds and roofs; later ones hide earlier ones.
    smallest, largest : float
        Radius of the objects as a share of the shorter side, drawn so that each octave is as likely as another.
    wires : int, default 2
        Lines from border to border, in front of everything.
    wire_width : (float, float), default (1.0, 3.0)
        Their least and largest width, in pixels.
    blur : float, default 1.0
        Standard deviation of the blur, in pixels.
    noise : float, default 12.0
        Standard deviation of the noise, in levels of 0 to 255.
    ring : int, default 1
        Pixels on each side of a boundary that are void; 0 labels every pixel.

    Returns
    -------
    image : ndarray of shape (H, W, 3)
        uint8.
    labels : ndarray of shape (H, W)
        uint8: 0 to 5 as in `SCENE_CLASSES`, and 255 in the ring.

    Raises
    ------
    ParameterError
        A number is out of range.

    Notes
    -----
    Harder: more noise and blur, thinner wires, larger ponds and roofs (their insides say less), smaller discs and
    squares.

    Examples
    --------
    >>> image, labels = make_scene(np.random.default_rng(0), size=65)
    >>> image.shape, labels.shape, image.dtype
    ((65, 65, 3), (65, 65), dtype('uint8'))
    """
    owner = "make_scene"
    high, wide = _check.per_axis(owner, "size", size, 2, least=8)
    _check.small_enough(owner, "an image of this size,", (high, wide, 3))
    counts = {"objects": objects, "wires": wires, "ring": ring}
    objects, wires, ring = (_check.integer(owner, name, value, least=0) for name, value in counts.items())
    levels = {"blur": blur, "noise": noise}
    blur, noise = (_check.number(owner, name, value, least=0, below=1e6) for name, value in levels.items())
    if not 0 < smallest <= largest <= 1:
        raise ParameterError(
            f"{owner}: 0 < smallest ≤ largest ≤ 1 must hold, got smallest={smallest} and largest={largest}."
        )
    if np.shape(wire_width) != (2,) or not 0 < wire_width[0] <= wire_width[1]:
        raise ParameterError(f"{owner}: wire_width must be two numbers above 0, the least first, got {wire_width!r}.")
    image, labels, number = _wash(rng, high, wide), np.zeros((high, wide), np.uint8), np.zeros((high, wide), np.intp)
    for i in range(objects):
        v, u = _turned(rng, high, wide)
        radius = min(high, wide) * math.exp(rng.uniform(math.log(smallest), math.log(largest)))
        kind, stretch, colour = int(rng.integers(1, 5)), rng.uniform(1.0, 1.6), rng.uniform(20, 235, 3)
        distance = np.hypot(u, v) if kind == 1 else np.maximum(abs(u) / (stretch if kind > 2 else 1.0), abs(v))
        inside = distance <= radius
        image[inside] = _PLAIN if kind > 2 else colour
        if kind > 2:
            image[inside & (distance > radius - max(1.5, 0.15 * radius))] = _LIGHT if kind == 3 else _DARK
        labels[inside], number[inside] = kind, i + 1
    for i in range(wires):
        v, _ = _turned(rng, high, wide)
        on = abs(v) <= rng.uniform(*wire_width) / 2
        image[on], labels[on], number[on] = rng.uniform(20, 235, 3), 5, objects + i + 1
    return _photographed(rng, image, blur, noise), _with_ring(labels, number, ring)


def _photographed(rng, image, blur, noise):
    from scipy.ndimage import gaussian_filter

    if blur:
        image = gaussian_filter(image, (blur, blur, 0))
    return np.clip(np.rint(image + noise * rng.standard_normal(image.shape)), 0, 255).astype(np.uint8)


def _with_ring(labels, number, ring):
    """Return the labels with void within `ring` pixels of a boundary between objects; thin wires keep their middle."""
    from scipy.ndimage import maximum_filter, minimum_filter

    if not ring:
        return labels
    side = 2 * ring + 1
    edge = maximum_filter(number, side) != minimum_filter(number, side)
    edge &= labels != SCENE_CLASSES.index("wire")
    return np.where(edge, VOID, labels).astype(np.uint8)


class Scenes:
    """Scenes by number: ``Scenes(100, seed=1)[7]`` is the same pair on every machine, drawn when it is asked for.

    Parameters
    ----------
    count : int
        How many there are.
    seed : int
        Other seeds give other worlds: one to train on, another to test on.
    **options
        Of `make_scene`.

    Examples
    --------
    >>> scenes = Scenes(100, seed=1, size=33)
    >>> len(scenes), scenes[7][0].shape
    (100, (33, 33, 3))
    """

    @public
    def __init__(self, count: int, *, seed: int = 0, **options):
        self.count, self.seed = (
            _check.integer("Scenes", name, value, least=0) for name, value in (("count", count), ("seed", seed))
        )
        self.options = options

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        if not 0 <= index < self.count:
            raise IndexError(f"Scenes: there are {self.count} scenes, got number {index}.")
        return make_scene(np.random.default_rng([self.seed, index]), **self.options)
