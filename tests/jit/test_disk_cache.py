"""The cache of compiled kernels: used when it can be, never stale, never in the way.

A copy of the package with one tiny kernel runs in processes of its own, in a folder with blanks and umlauts.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

import numba
import pytest

import atrous
from atrous.jit import compiler, disk_cache

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}, reason="without a compiler there is nothing to keep"
)

FORMULA = """
from numba import njit

@njit
def formula(x):
    return {factor} * x
"""
KERNEL = """
from atrous.jit.compiler import compiled
from atrous.tiny_formula import formula

@compiled()
def scale(a, out):
    for i in range(a.size):
        out[i] = formula(a[i])
"""
USER = """
import json
import numpy as np
import atrous
from atrous import tiny
from atrous.jit.compiler import compilations

out = np.empty(3)
tiny.scale(np.arange(3.0), out)
compiled = [name for name, dtype, seconds in compilations]
print(json.dumps({"out": list(out), "compiled": compiled, "home": atrous.__file__}))
"""
LINE = "atrous: compiling tiny.scale for float64"
THREE = """
from atrous.jit.compiler import compiled

@compiled()
def twice(a):
    return a[0] + a[0]

@compiled()
def fourfold(a):
    return 2 * twice(a)

@compiled()
def after(n):
    return n + 1
"""
COUNTS = """
import numpy as np
from atrous import three
from atrous.jit.compiler import expect

for dtype in "f4", "f8":
    expect(["three.twice", "three.fourfold", "three.after"], dtype)
    three.fourfold(np.ones(1, dtype)), three.after(3)
"""
CRF = """
import numpy as np
from atrous import dense_crf, mean_field, spatial_pairwise

for dtype in "f4", "f8":
    dense_crf(np.full((2, 4, 5), 0.5, dtype), np.zeros((4, 5, 3), np.uint8))
unary, term = np.zeros((2, 4, 5), "f4"), spatial_pairwise((4, 5), 1.0, 1.0, normalization="none")
mean_field(unary, [term, term], start=unary + 0.5, iterations=1)
"""
DOUBLED, TRIPLED = [0.0, 2.0, 4.0], [0.0, 3.0, 6.0]


class House:
    """A copy of the package, and processes that use its kernel."""

    def __init__(self, folder):
        self.folder = folder
        self.package = folder / "atrous"
        shutil.copytree(
            Path(atrous.__file__).parent, self.package, ignore=shutil.ignore_patterns("__pycache__", "figures", "bench")
        )
        (self.package / "tiny.py").write_text(KERNEL, encoding="utf-8")
        self.write_formula(2)

    def write_formula(self, factor):
        (self.package / "tiny_formula.py").write_text(FORMULA.format(factor=float(factor)), encoding="utf-8")

    def start(self, cache, script=USER, **environment):
        # Bytecode is not kept: Python would take an edit within one second for none.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ATROUS_", "NUMBA_", "PYTHON"))}
        variables = {
            **inherited,
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUTF8": "1",
            "ATROUS_CACHE": str(cache),
            **environment,
        }
        return subprocess.Popen(
            [sys.executable, "-c", script],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def finish(self, process):
        """Return (result, whether it was compiled, what was said on standard error)."""
        printed, said = process.communicate(timeout=100)
        assert process.returncode == 0, said
        found = json.loads(printed)
        assert Path(found["home"]).parent == self.package
        assert found["compiled"] in ([], ["tiny.scale"])
        return found["out"], bool(found["compiled"]), said

    def run(self, cache, **environment):
        return self.finish(self.start(cache, **environment))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Return the house, its cache after a first run, and what that run gave."""
    folder = tmp_path_factory.mktemp("Käthes Häuschen à trous")
    house = House(folder / "site packages")
    cache = folder / "ein Keller für Kerne"
    return house, cache, house.run(cache)


@pytest.fixture
def house(first):
    return first[0]


@pytest.fixture
def cache(first, tmp_path):
    """Return a copy of the cache as the first run left it."""
    return shutil.copytree(first[1], tmp_path / "cache")


def kernel_folders(cache):
    return sorted(folder.name for folder in cache.iterdir() if folder.name.startswith("tiny-"))


def kernel_files(cache, suffix):
    return [file for file in cache.rglob(f"*{suffix}") if "scale" in file.name]


def test_the_first_run_compiles_and_says_so_once(first):
    house, cache, (out, compiled, said) = first
    assert out == DOUBLED
    assert compiled
    assert said == f"{LINE} (once for this machine)\n"
    assert len(kernel_folders(cache)) == 1
    assert len(kernel_files(cache, ".nbi")) == len(kernel_files(cache, ".nbc")) == 1
    assert not list(house.folder.rglob("*.nb?")), "nothing is written into the package"
    assert not list(cache.rglob("lock"))


def test_the_second_run_loads(house, cache):
    assert house.run(cache) == (DOUBLED, False, "")


@pytest.mark.slow
def test_quiet_silences_the_line(house, tmp_path):
    assert house.run(tmp_path / "new", ATROUS_QUIET="1") == (DOUBLED, True, "")


@pytest.mark.slow
def test_a_notebook_is_told_once_and_not_in_red(house, tmp_path):
    (house.package / "three.py").write_text(THREE, encoding="utf-8")
    code = (
        "import sys, types; sys.modules['ipykernel.zmqshell'] = types.ModuleType('zmqshell')\n"
        "import numpy as np; from atrous import three\n"
        "three.fourfold(np.ones(2)); three.fourfold(np.ones(2, np.float32))"
    )
    said, red = house.start(tmp_path / "new", code).communicate(timeout=100)
    assert said.count("Compiling for this machine") == said.count("\n") == 1
    assert red == ""


def counted(process):
    """Return the (function, dtype, count) of each line on standard error."""
    _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    found = [
        re.fullmatch(r"atrous: compiling (\S+) for (\S+) \((?:(\d+ of \d+), )?once .*\)", line)
        for line in said.splitlines()
    ]
    return [line.groups() for line in found]


@pytest.mark.slow
def test_lines_say_how_many_are_to_come(house, tmp_path):
    (house.package / "three.py").write_text(THREE, encoding="utf-8")
    outer_first = ["three.fourfold", "three.twice"]
    assert counted(house.start(tmp_path / "new", COUNTS)) == [
        *((name, "float32", f"{i} of 3") for i, name in enumerate(outer_first, 1)),
        ("three.after", "numbers", "3 of 3"),
        *((name, "float64", f"{i} of 2") for i, name in enumerate(outer_first, 1)),
    ]
    assert counted(house.start(tmp_path / "new", COUNTS)) == []
    shutil.rmtree(tmp_path / "new")
    half = COUNTS.replace('"f4", "f8"', '("f4",)')
    assert [count for *_, count in counted(house.start(tmp_path / "new", half))] == ["1 of 3", "2 of 3", "3 of 3"]
    assert [count for *_, count in counted(house.start(tmp_path / "new", COUNTS))] == ["1 of 2", "2 of 2"]
    assert counted(house.start("off", half, ATROUS_QUIET="1")) == []


@pytest.mark.slow
def test_the_first_dense_crf_counts_all_that_it_compiles(house, tmp_path):
    found = counted(house.start(tmp_path / "new", CRF))
    single = [count for *_, count in found if count and count.endswith("of 12")]
    assert single == [f"{i} of 12" for i in range(1, 13)]
    double = [count for *_, count in found[12:-2]]
    assert double == [f"{i} of {len(double)}" for i in range(1, len(double) + 1)]
    assert len(double) < 12, "functions of integers are compiled once"
    assert found[-2:] == [("crf.layout.to_rows", "float32", "1 of 2"), ("crf.fused.splat", "float32", "2 of 2")]


@pytest.mark.slow
def test_an_edit_of_the_formula_is_never_stale_and_going_back_is_free(house, cache):
    before = kernel_folders(cache)
    try:
        house.write_formula(3)
        out, compiled, _ = house.run(cache)
        assert out == TRIPLED
        assert compiled
        assert len(kernel_folders(cache)) == 2
    finally:
        house.write_formula(2)
    assert house.run(cache) == (DOUBLED, False, "")
    assert set(before) < set(kernel_folders(cache))


def test_the_digest_covers_formulas_of_formulas_and_versions(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_cache, "PACKAGE", tmp_path)
    files = {
        "kernels.py": "from atrous.a import f\n",
        "a.py": "def f():\n    import atrous.sub.b\n",
        "sub/b.py": "from atrous.sub import c\nimport numpy",
        "sub/c.py": "from atrous.a import f  # a circle",
        "other.py": "",
    }
    (tmp_path / "sub").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    def digest():
        return disk_cache.source_digest(tmp_path / "kernels.py")

    seen = {digest()}
    for count, name in enumerate(["kernels.py", "a.py", "sub/b.py", "sub/c.py"], start=2):
        (tmp_path / name).write_text(files[name] + "\n", encoding="utf-8")
        seen.add(digest())
        assert len(seen) == count, f"an edit of {name} goes unnoticed"
    (tmp_path / "other.py").write_text("x = 1", encoding="utf-8")
    assert digest() in seen
    for package in (atrous, numba):
        with monkeypatch.context() as patch:
            patch.setattr(package, "__version__", "0.0.0")
            assert digest() not in seen


@pytest.mark.slow
def test_the_cache_can_be_switched_off(house):
    out, compiled, said = house.run("off")
    assert (out, compiled) == (DOUBLED, True)
    assert said.startswith(LINE)
    assert "once for this machine" not in said


def test_a_cache_folder_that_cannot_be_written(house, tmp_path):
    in_the_way = tmp_path / "a file"
    in_the_way.write_text("", encoding="utf-8")
    out, compiled, said = house.run(in_the_way / "cache")
    assert (out, compiled) == (DOUBLED, True)
    assert said == f"{LINE} (for this process; no cache folder is writable)\n"


FLIPPED = b"one bit"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        pytest.param(".nbi", b"nonsense", id="index"),
        pytest.param(".nbc", b"nonsense", id="kernel"),
        pytest.param(".nbc", FLIPPED, id="one bit of a kernel"),
    ],
)
def test_damaged_files_are_compiled_anew(house, cache, suffix, damage):
    (file,) = kernel_files(cache, suffix)
    if damage is FLIPPED:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 4
        damage = bytes(content)
    file.write_bytes(damage)
    assert house.run(cache)[:2] == (DOUBLED, True)
    assert house.run(cache) == (DOUBLED, False, "")


@pytest.mark.slow
def test_a_package_that_cannot_be_written(house, tmp_path):
    in_the_way = house.package / "__pycache__"
    in_the_way.write_text("", encoding="utf-8")
    house.package.chmod(0o555)
    try:
        assert house.run(tmp_path / "new")[:2] == (DOUBLED, True)
    finally:
        house.package.chmod(0o755)
        in_the_way.unlink()
    assert kernel_files(tmp_path / "new", ".nbc")


@pytest.mark.slow
def test_two_processes_that_compile_at_once(house, tmp_path):
    processes = [house.start(tmp_path / "new") for _ in range(2)]
    for process in processes:
        assert house.finish(process)[0] == DOUBLED
    assert house.run(tmp_path / "new") == (DOUBLED, False, "")


@pytest.mark.slow
@pytest.mark.parametrize(("age", "kept"), [(0, False), (2 * disk_cache.LOCK_SECONDS, True)], ids=["held", "stale"])
def test_a_lock_left_behind_does_not_matter(house, cache, age, kept):
    (index,) = kernel_files(cache, ".nbi")
    lock = index.parent / "lock"
    lock.write_text("", encoding="utf-8")
    os.utime(lock, (time.time() - age,) * 2)
    for file in (index, *kernel_files(cache, ".nbc")):
        file.unlink()
    assert house.run(cache)[:2] == (DOUBLED, True)
    assert bool(kernel_files(cache, ".nbi")) == kept
    assert lock.exists() != kept


def test_an_edit_between_import_and_first_call_is_not_filed_as_what_was_imported(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_cache, "PACKAGE", tmp_path)
    file = tmp_path / "kernels.py"
    file.write_text("def f(x):\n    return x\n", encoding="utf-8")
    namespace = {"__name__": "atrous.kernels"}
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), namespace)
    store = compiler._Store(namespace["f"], None)
    before = disk_cache.source_digest(file)
    file.write_text("def f(x):\n    return 2 * x\n", encoding="utf-8")
    assert store.digest == before != disk_cache.source_digest(file)


def test_relative_imports_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_cache, "PACKAGE", tmp_path)
    (tmp_path / "kernels.py").write_text("from . import formulas\n", encoding="utf-8")
    with pytest.raises(ImportError, match="absolute imports"):
        disk_cache.source_digest(tmp_path / "kernels.py")


def strange_folders(cache):
    """Make folders and files that the package has not made, and return them."""
    made = [cache / "holidays-2024", cache / "tiny-photographs-in-spring", cache / "tiny-zzzzzzzzzzzzzzzzzzzz"]
    for folder in made:
        folder.mkdir()
        (folder / "keep me").write_text("x", encoding="utf-8")
    notes = cache / "tiny-notes.txt"
    notes.write_text("a file", encoding="utf-8")
    return [*made, notes]


@pytest.mark.slow
def test_old_folders_are_pruned(house, cache):
    others = [f"tiny-{i:020x}" for i in range(4)]
    for age, name in enumerate(others, start=1):
        (cache / name).mkdir()
        os.utime(cache / name, (time.time() - 1000 * age,) * 2)
    neighbour = cache / f"conv.direct-{1:020x}"
    neighbour.mkdir()
    strange = strange_folders(cache)
    (first,) = set(kernel_folders(cache)) - {*others, *(path.name for path in strange)}
    try:
        house.write_formula(5)
        assert house.run(cache)[1]
    finally:
        house.write_formula(2)
    left = set(kernel_folders(cache)) - {path.name for path in strange}
    # The new one, the one compiled before, and the youngest of the others.
    assert len(left) == disk_cache.KEPT_FOLDERS == 3
    assert {first, others[0]} < left
    assert neighbour.exists()
    assert all(path.exists() for path in strange)


def test_clearing_reports_bytes_and_leaves_the_rest(cache, monkeypatch):
    monkeypatch.setenv("ATROUS_CACHE", str(cache))
    strange = strange_folders(cache)
    size = sum(file.stat().st_size for file in (*kernel_files(cache, ".nbi"), *kernel_files(cache, ".nbc")))
    assert disk_cache.clear_cache() == size > 0
    assert sorted(cache.iterdir()) == sorted(strange)
    assert all(path.is_file() or (path / "keep me").exists() for path in strange)
    assert disk_cache.clear_cache() == 0


@pytest.mark.parametrize(
    ("variables", "root"),
    [
        ({"ATROUS_CACHE": "here"}, Path("here")),
        ({"ATROUS_CACHE": "~/here"}, Path.home() / "here"),
        ({"ATROUS_CACHE": "Off"}, None),
        ({"ATROUS_CACHE": "~nobody-of-this-name/here"}, Path("~nobody-of-this-name/here")),
        ({"NUMBA_CACHE_DIR": "numba"}, Path("numba/atrous")),
        ({"ATROUS_CACHE": "here", "NUMBA_CACHE_DIR": "numba"}, Path("here")),
    ],
)
def test_where_the_cache_lies(variables, root, monkeypatch, tmp_path):
    for name in ("ATROUS_CACHE", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert disk_cache.cache_root().name == "atrous"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert disk_cache.cache_root() == (root and root.absolute())
    if root is None:
        assert disk_cache.clear_cache() == 0


def test_times_of_nested_compilations_are_counted_once(monkeypatch):
    """A kernel compiled because another calls it belongs to itself, or all would sum to more than has passed."""

    def store(name):
        made = object.__new__(compiler._Store)
        made.label, made._started = name, {}
        made._disk = disk_cache.NullCache()
        return made

    clock = iter([0.0, 1.0, 4.0, 10.0])
    monkeypatch.setattr(compiler, "time", types.SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(compiler, "compilations", [])
    monkeypatch.setenv("ATROUS_QUIET", "1")
    outer, inner = store("outer"), store("inner")
    outer.load_overload((), None)  # at 0
    inner.load_overload((), None)  # at 1
    inner.save_overload((), None)  # at 4
    outer.save_overload((), None)  # at 10
    assert [(name, seconds) for name, _, seconds in compiler.compilations] == [("inner", 3.0), ("outer", 7.0)]
