"""Photographs with their label images as samples to train on: PASCAL VOC's layout, Cityscapes', or any two folders.

    voc_pairs          ImageSets/Segmentation/SPLIT.txt names them; JPEGImages, SegmentationClass
    cityscapes_pairs   leftImg8bit/SPLIT/CITY, gtFine/SPLIT/CITY
    folder_pairs       files of the same name in two folders

These find the files; `ImagePairs` reads them when asked for a sample, and `ImagePairs.check` looks at the labels before
a long training begins.

Role: public functions and a sequence of samples.

References
----------
Everingham et al., PASCAL VOC, development kit; Hariharan et al., Semantic Contours from Inverse Detectors, ICCV 2011
(the additional annotations, "trainaug"); Cordts et al., The Cityscapes Dataset, CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from atrous import _check
from atrous._check import shown
from atrous._kinds import public
from atrous._types import Array, PathLike
from atrous.data.palettes import ImageFileError, open_image, stored_values
from atrous.data.photos import read_photo
from atrous.errors import ParameterError, ShapeError

VOID = 255
PHOTOS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MASKS = (".png", ".bmp", ".gif", ".tif", ".tiff")
# The 19 classes that are trained on, by the identifiers in *_labelIds.png; all others are void.
CITYSCAPES_TRAIN_IDS = {
    label: train
    for train, label in enumerate((7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33))
}


class Pair(NamedTuple):
    """A photograph and the image of its labels."""

    name: str
    image: Path
    labels: Path


def _existing(owner, path, what):
    if not path.exists():
        raise ImageFileError(f"{owner}: {what} {shown(str(path))} does not exist.")
    return path


def _pair(owner, name, image, labels):
    _existing(owner, image, f"the photograph of {name}:")
    return Pair(name, image, _existing(owner, labels, f"the labels of {name}:"))


@public
def voc_pairs(root: PathLike, split: str = "train") -> list[Pair]:
    """Find the pairs of a split of PASCAL VOC.

    Parameters
    ----------
    root : path
        The folder that holds JPEGImages, such as VOCdevkit/VOC2012.
    split : str, default "train"
        A list in ImageSets/Segmentation: "train", "val", "trainval", or "trainaug", whose labels lie in
        SegmentationClassAug. A line is a name, or the two paths as in DeepLab's lists.

    Returns
    -------
    list of Pair
        In the order of the list.

    Raises
    ------
    ImageFileError
        The list or a file is missing; the message names it.
    ParameterError
        The list is empty.
    """
    owner, root = "voc_pairs", Path(root)
    listed = _existing(owner, root / "ImageSets" / "Segmentation" / f"{split}.txt", "the list of the split")
    folder = "SegmentationClassAug" if split == "trainaug" else "SegmentationClass"
    found = []
    for line in listed.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if len(words) == 2:
            image, labels = (root / word.lstrip("/") for word in words)
            found.append(_pair(owner, image.stem, image, labels))
        elif words:
            name = words[0]
            found.append(_pair(owner, name, root / "JPEGImages" / f"{name}.jpg", root / folder / f"{name}.png"))
    if not found:
        raise ParameterError(f"{owner}: {listed} names no image.")
    return found


@public
def cityscapes_pairs(root: PathLike, split: str = "train") -> list[Pair]:
    """Find the pairs of a split of Cityscapes, sorted by name.

    Parameters
    ----------
    root : path
        The folder that holds leftImg8bit and gtFine.
    split : str, default "train"
        "train", "val" or "test".

    Returns
    -------
    list of Pair
        Labels are the files *_gtFine_labelIds.png: read them with ``ImagePairs(…, table=CITYSCAPES_TRAIN_IDS)``.

    Raises
    ------
    ImageFileError
        A folder or a file is missing.
    """
    owner, root, ending = "cityscapes_pairs", Path(root), "_leftImg8bit.png"
    folder = _existing(owner, root / "leftImg8bit" / split, "the folder")
    found = []
    for image in sorted(folder.glob(f"*/*{ending}")):
        name = image.name.removesuffix(ending)
        labels = root / "gtFine" / split / image.parent.name / f"{name}_gtFine_labelIds.png"
        found.append(_pair(owner, name, image, labels))
    if not found:
        raise ImageFileError(f"{owner}: {folder} holds no CITY/*{ending}.")
    return found


@public
def folder_pairs(images: PathLike, masks: PathLike) -> list[Pair]:
    """Find the files of the same name, endings aside, in two folders, sorted by name.

    Parameters
    ----------
    images, masks : path
        Folders of photographs and of label images. Other files are left alone.

    Returns
    -------
    list of Pair

    Raises
    ------
    ImageFileError
        A folder is missing or holds no image.
    ParameterError
        A file has no partner, or two have the same name; the message names them.
    """
    owner, found = "folder_pairs", []
    for folder, endings in ((Path(images), PHOTOS), (Path(masks), MASKS)):
        _existing(owner, folder, "the folder")
        by_name = {}
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in endings:
                if path.stem in by_name:
                    raise ParameterError(f"{owner}: {by_name[path.stem]} and {path} have the same name.")
                by_name[path.stem] = path
        if not by_name:
            raise ImageFileError(f"{owner}: {shown(str(folder))} holds no image ({', '.join(endings)}).")
        found.append(by_name)
    photos, labels = found
    for some, others, what in ((photos, labels, "labels"), (labels, photos, "photograph")):
        alone = sorted(set(some) - set(others))
        if alone:
            more = f" and {len(alone) - 3} others" if len(alone) > 3 else ""
            raise ParameterError(f"{owner}: {', '.join(str(some[n]) for n in alone[:3])}{more} have no {what}.")
    return [Pair(name, photos[name], labels[name]) for name in sorted(photos)]


class ImagePairs:
    """Samples to train on, read when they are asked for: item i is (image (H, W, 3) uint8, labels (H, W) uint8).

    Parameters
    ----------
    pairs : sequence of Pair
    classes : int
        Labels are 0 to classes − 1, or 255 for void.
    table : mapping of int to int, optional
        Label for each stored value; values it does not have become void.

    Raises
    ------
    ImageFileError, ShapeError, ParameterError
        When a sample is read: a file is broken, the sizes differ, or a label is out of range. The file is named.
    """

    @public
    def __init__(self, pairs: Sequence[Pair], classes: int, *, table: Mapping[int, int] | None = None):
        self.pairs, self.classes = list(pairs), _check.integer("ImagePairs", "classes", classes, least=1)
        self.table = None
        if table is not None:
            self.table = np.full(256, VOID, np.uint8)
            for stored, label in table.items():
                self.table[stored] = label

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        pair = self.pairs[index]
        image, labels = read_photo("ImagePairs", pair.image), self.labels(index)
        if labels.shape != image.shape[:2]:
            raise ShapeError(
                f"ImagePairs: {pair.image} is {image.shape[1]} × {image.shape[0]} pixels, its labels {pair.labels} "
                f"{labels.shape[1]} × {labels.shape[0]}."
            )
        return image, labels

    def name(self, index: int) -> str:
        """Return the name of a sample, for messages."""
        return self.pairs[index].name

    def labels(self, index: int) -> Array:
        """Return the labels of a sample alone."""
        pair = self.pairs[index]
        stored = self._stored(pair)
        labels = stored if self.table is None else self.table[stored]
        wrong = (labels >= self.classes) & (labels != VOID)
        if wrong.any():
            value = int(labels[wrong][0])
            raise ParameterError(
                f"ImagePairs: {pair.labels} holds the label {value}; with classes={self.classes} they are 0 to "
                f"{self.classes - 1}, or 255 for void. Raise classes, or pass table={{{value}: …}}."
            )
        return labels

    def _stored(self, pair):
        image = open_image("ImagePairs", pair.labels)
        if image.mode in ("P", "PA"):
            return np.array(image.getchannel(0))
        if image.mode == "1":
            return np.array(image, np.uint8)
        if image.mode in ("L", "LA"):
            return stored_values("ImagePairs", image)[0].astype(np.uint8)
        raise ParameterError(
            f"ImagePairs: {pair.labels} stores colours or wide numbers (mode {image.mode}), not a label of 8 bits for "
            "each pixel. Convert it once with labels_from_colours and encode_palette_png."
        )

    def check(self, most: int = 200) -> Array:
        """Read up to `most` label images, evenly chosen; return how many pixels each class has, void last.

        Raises
        ------
        ImageFileError, ParameterError
            As when a sample is read; also if the labels are only 0 and 255, or only one class occurs.
        """
        counts = np.zeros(256, np.int64)
        step = max(1, -(-len(self.pairs) // most))
        for index in range(0, len(self.pairs), step):
            counts += np.bincount(self.labels(index).reshape(-1), minlength=256)
        present = np.flatnonzero(counts).tolist()
        if present == [0, VOID]:
            raise ParameterError(
                "ImagePairs: all labels are 0 or 255, and 255 is ignored: a network would learn nothing but class 0. "
                "Did you mean 1? Pass table={0: 0, 255: 1}."
            )
        if len(set(present) - {VOID}) < 2:
            raise ParameterError(f"ImagePairs: a network needs two classes to tell apart, the labels are {present}.")
        return np.array([*counts[: self.classes], counts[VOID]])
