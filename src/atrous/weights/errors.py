"""One error for everything that can be wrong with a weight file."""

import contextlib
from pathlib import Path

from atrous._check import shown
from atrous.errors import AtrousError, ParameterError


class WeightsError(AtrousError, ValueError):
    """A weight file cannot be read or written."""


def as_path(owner, path):
    """Return `path` as a Path, or raise an error if it is not a path."""
    try:
        return Path(path)
    except TypeError:
        raise ParameterError(f"{owner}: path must be a path, got {type(path).__name__}.") from None


@contextlib.contextmanager
def told(owner, verb, path):
    """Turn any error in the block into a WeightsError that names the file."""
    try:
        yield
    except WeightsError as error:
        raise WeightsError(f"{owner}: cannot {verb} {shown(str(path))}: {error}") from error
    except OSError as error:
        raise WeightsError(f"{owner}: cannot {verb} {shown(str(path))}: {error.strerror or error}.") from error
    except MemoryError as error:
        raise WeightsError(
            f"{owner}: cannot {verb} {shown(str(path))}: there is not enough memory. Free some."
        ) from error
    except Exception as error:  # the decoders of zip, npy, JSON and pickle raise nearly everything on a broken file
        what = f"{type(error).__name__}: {error}"[:200]
        if verb == "read":
            what = f"it is broken or cut short ({what}). Copy or download it again."
        raise WeightsError(f"{owner}: cannot {verb} {shown(str(path))}: {what}") from error
