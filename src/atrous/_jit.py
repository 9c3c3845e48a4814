"""Kernels of the house: one decorator that compiles with Numba and keeps the result on disk, never stale.

Numba's own ``cache=True`` notices an edit in the file of a function, but not in the files of the functions that it
calls. Here every kernel's cache folder is named after a digest of the kernel's file and of all package files that it
imports, of this package's version and of Numba's: after an edit the old folder is simply not looked at.

Environment: ``ATROUS_CACHE`` names another folder, or ``off``; ``ATROUS_QUIET=1`` silences the line that says what is
being compiled.
"""

import ast
import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numba
from numba.core.caching import FunctionCache, NullCache
from numba.np.ufunc import parallel

import atrous
from atrous._barrier import BROKEN, new_barrier

PACKAGE = Path(__file__).parent
# Folders of earlier sources that are kept, per file: a branch switched to and fro need not compile anew.
KEPT_FOLDERS = 3
LOCK_SECONDS = 60

compiled = []  # (kernel, dtype, seconds) of this process, for `atrous bench compile`
_nested = []  # seconds spent on kernels that the kernels now being compiled call, innermost last
_config_lock = threading.Lock()


def kernel(*, contract=True):
    """Decorate a function of arrays and numbers as a compiled, cached kernel that holds no lock while it runs.

    Parameters
    ----------
    contract : bool
        Fuse a·b + c into one instruction with one rounding. No other liberty with floating point is ever taken:
        NaN and inf keep their meaning, and sums their order.
    """

    def decorate(function):
        flags = {"contract"} if contract else False
        dispatcher = numba.njit(nogil=True, error_model="numpy", fastmath=flags)(function)
        if not numba.config.DISABLE_JIT:
            dispatcher._cache = _Store(function)
        return dispatcher

    return decorate


_pool = SimpleNamespace(workers=None, lock=threading.Lock())


def _forget_pool():
    # A forked child has none of its parent's threads.
    _pool.workers, _pool.lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def thread_count():
    """Return how many threads a launch may use: NUMBA_NUM_THREADS or all cores, unless numba.set_num_threads said."""
    return numba.get_num_threads() if parallel._is_initialized else numba.config.NUMBA_NUM_THREADS


def _together(calls):
    """Run functions of no argument at the same time, the first on this thread; return when all have."""
    first, *others = calls
    if others:
        # Handed over in one go, so that of several launches the earlier always gets all its threads first.
        with _pool.lock:
            if _pool.workers is None or _pool.workers._max_workers < len(others):
                _pool.workers = ThreadPoolExecutor(len(others), "atrous")
            runs = [_pool.workers.submit(call) for call in others]
    first()
    for run in runs if others else ():
        run.result()


def launch(dispatcher, count, *arguments):
    """Call a kernel for the items 0…count − 1, cut into equal runs of neighbours, on all threads.

    The kernel takes (head, tail, *arguments), does the items head…tail − 1, and each item owns what it writes: so
    neither the cuts nor the threads show in the result. Python threads serve as well as Numba's own, since a kernel
    holds no lock; they compile in half the time, live beside BLAS without fighting for its cores, and can be forked.
    """
    threads = 1 if numba.config.DISABLE_JIT else max(1, min(thread_count(), count))
    cuts = [count * i // threads for i in range(threads + 1)]
    _together([partial(dispatcher, *cut, *arguments) for cut in pairwise(cuts)])


def launch_team(dispatcher, *arguments):
    """Call a kernel once on each thread: (me, size, barrier, *arguments); its stages wait for each other.

    For many short stages, each of which would cost a launch. Never more threads than processors, since who waits spins.
    """
    size = 1 if numba.config.DISABLE_JIT else min(thread_count(), _processors())
    barrier = new_barrier()

    def part(me):
        try:
            dispatcher(me, size, barrier, *arguments)
        except BaseException:
            barrier[BROKEN] = 1  # the others would wait for ever
            raise

    _together([partial(part, me) for me in range(size)])


def _processors():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_root():
    """Return the folder that holds the compiled kernels, or None where caching is switched off."""
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
    """Delete every compiled kernel; return how many bytes that freed. The next call of each compiles anew."""
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


def _imports(path):
    """Return the files of this package that the file at `path` imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.level or node.module.split(".")[0] == "atrous"):
            if node.level:
                raise ImportError(f"{path.name}: kernels and formulas import by full name, so that edits are noticed.")
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
    seen, todo = set(), [Path(path)]
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo.extend(_imports(file))
    digest = hashlib.sha256(f"{atrous.__version__} {numba.__version__}".encode())
    for file in sorted(seen):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:20]


def _prune(root, stem, current):
    """Delete the oldest folders of a file's earlier sources; leave the newest few."""
    with contextlib.suppress(OSError):
        old = [f for f in root.glob(f"{stem}-*") if f.name != current and _is_ours(f)]
        old.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in old[KEPT_FOLDERS - 1 :]:
            shutil.rmtree(folder, ignore_errors=True)


def _disk_cache(function, digest):
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
    return found if Path(found.cache_path).is_relative_to(folder) else NullCache()


class _Store:
    """What a dispatcher asks before it compiles and tells afterwards: disk cache, announcement, compile time."""

    def __init__(self, function):
        self.function = function
        self.label = f"{function.__module__.removeprefix('atrous.')}.{function.__name__.strip('_')}"
        # Taken now, while the files are those that Python has just loaded: a later edit must not be filed as this.
        try:
            self.digest = source_digest(function.__code__.co_filename)
        except OSError:
            self.digest = None
        self._disk = None
        self._started = {}

    @property
    def disk(self):
        if self._disk is None:
            self._disk = _disk_cache(self.function, self.digest)
        return self._disk

    @property
    def cache_path(self):
        return getattr(self.disk, "cache_path", None)

    def load_overload(self, sig, target_context):
        try:
            found = self.disk.load_overload(sig, target_context)
        except Exception:  # a damaged file costs a compilation, nothing else
            found = None
            with contextlib.suppress(OSError):
                self.disk.flush()
        if found is None:
            self._announce(sig)
            self._started[sig] = time.perf_counter()
            _nested.append(0.0)
        return found

    def save_overload(self, sig, data):
        now = time.perf_counter()
        seconds = now - self._started.pop(sig, now)
        compiled.append((self.label, _dtype_of(sig), seconds - (_nested.pop() if _nested else 0.0)))
        if _nested:
            _nested[-1] += seconds
        if isinstance(self.disk, NullCache):
            return
        with contextlib.suppress(OSError), _exclusive(Path(self.cache_path)) as ours:
            if ours:
                self.disk.save_overload(sig, data)

    def enable(self):
        self.disk.enable()

    def disable(self):
        self.disk.disable()

    def flush(self):
        self.disk.flush()

    def _announce(self, sig):
        if os.environ.get("ATROUS_QUIET") or sys.stderr is None:
            return
        kept = "once for this machine" if self.cache_path else "for this process; no cache folder is writable"
        with contextlib.suppress(OSError, ValueError):
            print(f"atrous: compiling {self.label} for {_dtype_of(sig)} ({kept})", file=sys.stderr, flush=True)


def _dtype_of(sig):
    return next((str(a.dtype) for a in sig if hasattr(a, "dtype")), "numbers")


@contextlib.contextmanager
def _exclusive(folder):
    """Yield True to one process at a time; to another after two seconds False: it then keeps its kernel to itself.

    Numba numbers its files from an index that it reads and writes in two steps; two processes that interleave could
    file one kernel under the signature of another.
    """
    lock, deadline, ours = folder / "lock", time.monotonic() + 2, False
    while not ours:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
            ours = True
        except FileExistsError:
            with contextlib.suppress(OSError):
                if time.time() - lock.stat().st_mtime > LOCK_SECONDS:
                    # Renamed first: of several that find the stale lock, one gets it, and nobody's fresh one goes.
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
