"""Photographs in files of any kind as arrays, and files written all or none."""

import contextlib
import os

import numpy as np

from atrous.data.palettes import ImageFileError
from atrous.errors import AtrousError, DTypeError, ParameterError


def identity(path):
    """Return what two names of one file have in common."""
    try:
        found = path.stat()
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def refuse_overwriting(read, written):
    """Refuse results, pairs (path, its photograph), over files that are read, and two results in one file."""
    read, taken = {identity(path): path for path in read}, {}
    for path, image in written:
        same = identity(path)
        if same in read:
            raise ParameterError(f"{path} would be written over {read[same]}, which is read. Name another output.")
        if same in taken:
            raise ParameterError(
                f"{path} would be written twice, for {taken[same]} and for {image}. Name different outputs; "
                "photographs of one name go into different folders."
            )
        taken[same] = image


def read_photo(owner, file):
    """Return a photograph as (H, W, 3), upright: uint8, or float32 levels 0 to 255 where the file has 16 bits.

    Orientation in EXIF is applied; grey becomes three equal channels, transparency is dropped.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode == "F" or image.mode.startswith("I"):
                grey = np.asarray(image)
                if image.mode == "F" or grey.min() < 0 or grey.max() > 65535:
                    raise DTypeError(
                        f"{owner}: {file} holds {'fractions' if image.mode == 'F' else 'integers of 32 bits'}, whose "
                        "range nobody knows. Save it with 8 or 16 bits a channel."
                    )
                return np.repeat((grey / np.float32(257)).astype(np.float32)[..., None], 3, axis=2)
            if image.mode in ("P", "PA"):
                image = image.convert("RGBA")
            return np.array(image.convert("RGB"))
    except AtrousError:
        raise
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageFileError(
            f"{owner}: {file} is larger than Pillow opens: {error} Cut it, and {owner} the parts."
        ) from error
    except Exception as error:  # Pillow's decoders raise nearly everything on a broken file
        what = getattr(error, "strerror", None) or "it is no image, or broken or cut short"
        raise ImageFileError(f"{owner}: cannot read {file}: {what} ({type(error).__name__}).") from error


def save_png(picture, file):
    """Write an array (H, W, 3) uint8 into an open file."""
    from PIL import Image

    Image.fromarray(picture).save(file, "png")


def write_all(owner, files):
    """Write files, path → function of an open file, under other names first, so that all are whole or none is there."""
    partials = {path: path.with_name(path.name + ".partial") for path in files}
    try:
        for path, write in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with partials[path].open("wb") as file:
                write(file)
        for path, partial in partials.items():
            partial.replace(path)
    except OSError as error:
        raise ImageFileError(f"{owner}: cannot write {error.filename or ''}: {error.strerror or error}.") from error
    finally:
        for partial in partials.values():
            with contextlib.suppress(OSError):
                partial.unlink()
