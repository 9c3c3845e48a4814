"""Names and colours of the classes of published networks.

References
----------
Everingham et al., PASCAL VOC; Mottaghi et al., PASCAL-Context (its 59 classes); Chen et al., PASCAL-Person-Part; Cordts
et al., Cityscapes (its 19 training classes and their colours). The scenes are our own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from atrous._types import Array
from atrous.data.palettes import VOC_CLASSES, voc_palette
from atrous.errors import ParameterError

CONTEXT_CLASSES = (
    *VOC_CLASSES[:11], "table", *VOC_CLASSES[12:],
    "bag", "bed", "bench", "book", "building", "cabinet", "ceiling", "cloth", "computer", "cup", "door", "fence",
    "floor", "flower", "food", "grass", "ground", "keyboard", "light", "mountain", "mouse", "curtain", "platform",
    "sign", "plate", "road", "rock", "shelves", "sidewalk", "sky", "snow", "bedclothes", "track", "tree", "truck",
    "wall", "water", "window", "wood",
)  # fmt: skip
PERSON_PART_CLASSES = ("background", "head", "torso", "upper arm", "lower arm", "upper leg", "lower leg")
CITYSCAPES_COLOURS = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
SCENE_CLASSES = ("background", "disc", "square", "pond", "roof", "wire")
CLASS_NAMES = {
    "voc": VOC_CLASSES,
    "context": CONTEXT_CLASSES,
    "person-part": PERSON_PART_CLASSES,
    "cityscapes": tuple(CITYSCAPES_COLOURS),
    "scenes": SCENE_CLASSES,
}


class Classes(NamedTuple):
    """Names of classes 0, 1, … and a palette (L, 3) uint8 of at least as many colours."""

    names: tuple[str, ...]
    palette: Array


def classes_of(count: int, dataset: str | None = None) -> Classes:
    """Return the names and colours of the `count` classes of a network.

    Parameters
    ----------
    count : int
        21 means PASCAL VOC, 60 PASCAL-Context with background, 7 PASCAL-Person-Part, 19 Cityscapes. For any other
        count, the names are numbers and the colours are VOC's.
    dataset : {"voc", "context", "person-part", "cityscapes", "scenes"}, optional
        Use this dataset instead of the one that has `count` classes; its first `count` classes are taken.

    Raises
    ------
    ParameterError
        An unknown dataset or one with fewer classes; `count` outside 1 to 255, as the palette's last index is void.

    Examples
    --------
    >>> classes_of(19).names[-1], classes_of(19).palette[-1]
    ('bicycle', array([119,  11,  32], dtype=uint8))
    >>> classes_of(3).names
    ('0', '1', '2')
    """
    if not 1 <= count <= 255:
        raise ParameterError(f"classes_of: a palette has room for 1 to 255 classes, got {count}.")
    if dataset is None:
        published = ((name, names) for name, names in CLASS_NAMES.items() if name != "scenes")
        dataset = next((name for name, names in published if len(names) == count), None)
    elif dataset not in CLASS_NAMES or len(CLASS_NAMES[dataset]) < count:
        listed = ", ".join(f"{name} ({len(names)} classes)" for name, names in CLASS_NAMES.items())
        raise ParameterError(
            f"palette {dataset!r} does not fit {count} classes: the palettes are {listed}. Leave it "
            "out to use the default."
        )
    names = CLASS_NAMES.get(dataset, tuple(map(str, range(count))))[:count]
    cityscapes = np.array(list(CITYSCAPES_COLOURS.values()), np.uint8)
    return Classes(names, cityscapes if dataset == "cityscapes" else voc_palette())
