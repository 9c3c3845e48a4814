"""Files written whole or not at all: first under another name, then renamed.

Each file is complete at all times. Several files are renamed one after another; if one fails, those before it stay.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(*paths: Path) -> Iterator[list[Path]]:
    """Yield a temporary path for each path. They replace the paths if the block succeeds; if not, they are deleted."""
    partials = [path.with_name(path.name + ".partial") for path in paths]
    try:
        yield partials
        for partial, path in zip(partials, paths, strict=True):
            partial.replace(path)
    finally:
        for partial in partials:
            with contextlib.suppress(OSError):
                partial.unlink()
