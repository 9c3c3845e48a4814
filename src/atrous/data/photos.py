"""Reading photographs of any kind as arrays, and writing pictures."""

import numpy as np

from atrous.data.palettes import ImageFileError
from atrous.errors import AtrousError, DTypeError


def read_photo(owner, file):
    """Return a photograph as (H, W, 3): uint8, or float32 levels from 0 to 255 if the file has 16 bits.

    The EXIF orientation is applied, grey becomes three equal channels, and transparency is dropped.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode == "F" or image.mode.startswith("I"):
                grey = np.asarray(image)
                if image.mode == "F" or grey.min() < 0 or grey.max() > 65535:
                    raise DTypeError(
                        f"{owner}: {file} has {'fractions' if image.mode == 'F' else '32-bit integers'} of unknown "
                        "range. Save it with 8 or 16 bits per channel."
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
            f"{owner}: {file} is larger than Pillow allows: {error} Cut it and {owner} the parts."
        ) from error
    except Exception as error:  # broken files make Pillow raise almost anything
        what = getattr(error, "strerror", None) or "it is not an image, or it is broken or cut short"
        raise ImageFileError(f"{owner}: cannot read {file}: {what} ({type(error).__name__}).") from error


def save_png(picture, file):
    """Write an array to an open file as PNG: (H, W, 3) uint8 in colour, (H, W) uint8, uint16 or bool in grey."""
    from PIL import Image

    Image.fromarray(picture).save(file, "png")
