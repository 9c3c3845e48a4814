"""The disk cache of compiled functions, which never returns code from an older source.

Numba's own ``cache=True`` notices an edit in the file of a function, but not in the files of the functions that it
calls. Here each file of compiled functions has a cache folder named after a digest: of the file, of all package files
that it imports, of this package's version and of Numba's. After an edit the digest differs, and the old folder is
simply not used.

``ATROUS_CACHE`` chooses another folder; ``off`` turns the cache off.
"""

import ast
import contextlib
import hashlib
import os
import pickle
import shutil
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

import atrous
from atrous.jit.numba_or_not import numba

if numba is not None:
    from numba.core.caching import FunctionCache, NullCache

PACKAGE = Path(atrous.__file__).parent
KEPT_FOLDERS = 3  # per file, so that switching between branches does not compile again
LOCK_SECONDS = 60
DIGEST = hashlib.sha256().digest_size

_config_lock = threading.Lock()


def cache_root():
    """Return the folder that holds the compiled code, or None if caching is off."""
    chosen = os.environ.get("ATROUS_CACHE", "")
    if chosen.lower() == "off":
        return None
    if chosen:
        return Path(os.path.expanduser(chosen)).absolute()  # noqa: PTH111 (leaves "~nobody" alone, Path raises)
    if os.environ.get("NUMBA_CACHE_DIR"):
        return Path(os.environ["NUMBA_CACHE_DIR"]).absolute() / "atrous"
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 (Path.home raises for a user without one)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base.absolute() / "atrous"


def clear_cache():
    """Delete all compiled code and return how many bytes that freed. The next call of each function compiles again."""
    root = cache_root()
    if root is None or not root.is_dir():
        return 0
    freed = 0
    for folder in root.glob("*-*"):
        if folder.is_dir() and _is_ours(folder):
            freed += sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def _is_ours(folder):
    digest = folder.name.rpartition("-")[2]
    return len(digest) == 20 and set(digest) <= set("0123456789abcdef")


@cache
def _imports(file_name, source):
    """Return the files of this package that a file with this source imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.level or node.module.split(".")[0] == "atrous"):
            if node.level:
                raise ImportError(
                    f"{file_name}: compiled functions must use absolute imports, so that edits are noticed."
                )
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "atrous"]
        else:
            continue
        for name in names:
            file = PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py")
            if name != "atrous" and file.is_file():
                found.add(file)
    return found


def source_digest(path):
    """Return 20 hex digits of a digest of the file, all package files it imports, and both versions."""
    sources, todo = {}, [Path(path)]
    while todo:
        file = todo.pop()
        if file not in sources:
            sources[file] = file.read_bytes()
            todo.extend(_imports(file.name, sources[file]))
    digest = hashlib.sha256(f"{atrous.__version__} {numba.__version__}".encode())
    for file in sorted(sources):
        digest.update(sources[file])
    return digest.hexdigest()[:20]


def _prune(root, stem, current):
    """Delete the oldest cache folders of a file, all but the newest few."""
    with contextlib.suppress(OSError):
        old = [f for f in root.glob(f"{stem}-*") if f.name != current and _is_ours(f)]
        old.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in old[KEPT_FOLDERS - 1 :]:
            shutil.rmtree(folder, ignore_errors=True)


def open_cache(function, digest):
    """Return Numba's cache for `function` in the folder of its digest, or one that keeps nothing."""
    root = cache_root()
    if root is None or digest is None:
        return NullCache()
    path = Path(function.__code__.co_filename)
    stem = ".".join(path.relative_to(PACKAGE).with_suffix("").parts) if path.is_relative_to(PACKAGE) else path.stem
    folder = root / f"{stem}-{digest}"
    try:
        fresh = not folder.is_dir()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        if fresh:
            _prune(root, stem, folder.name)
        with _config_lock:
            before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
            try:
                found = FunctionCache(function)
            finally:
                numba.config.CACHE_DIR = before
    except (OSError, RuntimeError):
        return NullCache()
    # NUMBA_CACHE_LOCATOR_CLASSES may lead elsewhere, where an edit of a formula would go unnoticed.
    if not Path(found.cache_path).is_relative_to(folder):
        return NullCache()
    with_digests(found._cache_file)
    return found


def with_digests(files):
    """Let the files of a Numba cache keep a digest before their content, and fail to load where it differs.

    A flipped bit in machine code would crash the process without a word.
    """

    def save(name, data):
        content = files._dump(data)
        with files._open_for_write(files._data_path(name)) as file:
            file.write(hashlib.sha256(content).digest() + content)

    def load(name):
        stored = Path(files._data_path(name)).read_bytes()
        if hashlib.sha256(stored[DIGEST:]).digest() != stored[:DIGEST]:
            raise ValueError(f"{name} is damaged.")
        return pickle.loads(stored[DIGEST:])

    files._save_data, files._load_data = save, load


@contextlib.contextmanager
def exclusive(folder):
    """Yield True to one process at a time. Another gets False after two seconds, and must not save its result.

    Numba numbers its files from an index that it reads and writes in two steps. Two processes at once could save one
    function under the signature of another.
    """
    lock, deadline, ours = folder / "lock", time.monotonic() + 2, False
    while not ours:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
            ours = True
        except FileExistsError:
            with contextlib.suppress(OSError):
                if time.time() - lock.stat().st_mtime > LOCK_SECONDS:
                    # Renamed first, so that only one process deletes a stale lock, and none a fresh one.
                    lock.rename(lock.with_name(f"lock.{os.getpid()}")).unlink()
                    continue
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        except FileNotFoundError:
            folder.mkdir(parents=True, exist_ok=True)
    try:
        yield ours
    finally:
        if ours:
            with contextlib.suppress(OSError):
                lock.unlink()
