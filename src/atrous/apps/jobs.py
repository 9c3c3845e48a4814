"""A photograph and the files to write for it: what `segment` and `refine` share."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from atrous._atomic import replacing
from atrous.data.palettes import ImageFileError
from atrous.errors import ParameterError
from atrous.jit.compiler import compile_seconds


class Job(NamedTuple):
    """One photograph, the labels to read for it, if any, and the files to write, unless None."""

    image: Path
    output: Path
    labels: Path | None = None
    overlay: Path | None = None
    probabilities: Path | None = None

    def results(self):
        """Return the files that will be written."""
        return [path for path in (self.output, self.overlay, self.probabilities) if path is not None]


def identity(path: Path):
    """Return the same value for all names of one file."""
    try:
        found = path.stat()
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def refuse_overwriting(read, written) -> None:
    """Raise an error if a result, a pair (path, its photograph), would replace an input or another result."""
    read, taken = {identity(path): path for path in read}, {}
    for path, image in written:
        same = identity(path)
        if same in read:
            raise ParameterError(f"{path} would overwrite {read[same]}, which is an input. Choose another output.")
        if same in taken:
            raise ParameterError(
                f"{path} would be written twice, for {taken[same]} and for {image}. Choose different outputs; "
                "photographs with the same name need different folders."
            )
        taken[same] = image


def write_results(owner: str, files) -> None:
    """Write files, given as path → function that writes an open file. If one cannot be written, none is replaced."""
    at = None
    try:
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(*files) as partials:
            for partial, at in zip(partials, files, strict=True):
                with partial.open("wb") as file:
                    files[at](file)
    except OSError as error:
        # NumPy's own error has neither file nor reason when a disk is full.
        reason = error.strerror or f"the disk may be full ({error})"
        raise ImageFileError(f"{owner}: cannot write {error.filename or at}: {reason}.") from error


def stopwatch():
    """Start a stopwatch: return a function for the seconds since then, without those spent compiling."""
    started, compiling = time.perf_counter(), compile_seconds()
    return lambda: time.perf_counter() - started - (compile_seconds() - compiling)


def report(job: Job, size, seconds: float, **found: Any) -> dict[str, Any]:
    """Return what was done for a job as plain values."""
    files = {"labels_file": job.labels, "output": job.output, "overlay": job.overlay}
    return {
        "image": str(job.image),
        **{name: str(path) for name, path in files.items() if path is not None},
        "width": size[1],
        "height": size[0],
        **found,
        "seconds": seconds,
    }
