"""The package's habits: light imports, names that keep their meaning, docstrings that run, one import direction."""

import ast
import doctest
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import atrous

PACKAGE = Path(atrous.__file__).parent
ORACLES = Path(__file__).parent / "oracles"


def module_name(path):
    """Return the name below `atrous` of a file of the package: "conv.im2col", "conv", or "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
CUDA = {name for name in FILES if name.endswith(".cuda")}
# Importing `__main__` would run the command line.
MODULES = [name for name in FILES if name != "__main__"]


def import_module(name):
    """Import a module of the package; the CUDA loops only where numba.cuda can be imported."""
    if name in CUDA:
        try:
            importlib.import_module("numba.cuda")
        except Exception as error:
            pytest.skip(f"numba.cuda cannot be imported: {error}")
    return importlib.import_module(f"atrous.{name}" if name else "atrous")


def fresh(code):
    """Run `code` in a new Python and return what it prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Light imports

HEAVY = {"numba", "scipy", "matplotlib", "PIL", "pytest"}


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import atrous", HEAVY | {"numpy"}),
        ("import atrous; dir(atrous)", HEAVY | {"numpy"}),
        ("from atrous import assert_gradients, gradcheck, adjoint_error", HEAVY),
        ("from atrous import receptive_field, plan_output_stride, output_size, ParameterError", HEAVY),
        ("from atrous import bilateral_pairwise, exact_marginals, CRF_PRESETS, gaussian_sum, mean_iou", HEAVY),
        ("import atrous.pydensecrf.utils, atrous.pydensecrf.eigen", HEAVY),
        ("from atrous import atrous_conv", {"scipy", "matplotlib", "PIL"}),
        ("from atrous import dense_crf, lattice_error, free_energy", {"scipy.sparse", "matplotlib", "PIL"}),
        ("import atrous.pydensecrf.densecrf", {"scipy.sparse", "matplotlib", "PIL"}),
        ("from atrous import grid_crf", {"numba", "scipy", "matplotlib", "PIL"}),
    ],
)
def test_imports_leave_out_what_they_do_not_need(statement, absent):
    loaded = fresh(f"{statement}\nimport sys, json; print(json.dumps(list(sys.modules)))")
    assert "atrous" in loaded
    assert absent.isdisjoint(loaded)


@pytest.mark.parametrize(
    "statement",
    [
        "import atrous",
        "from atrous import assert_gradients",
        "import atrous.conv.stacked_taps, atrous.conv.winograd, atrous.crf.mean_field, atrous.layers.training_loss",
    ],
)
def test_imports_take_less_than_a_second(statement):
    code = f"import time; start = time.perf_counter()\n{statement}\nprint(time.perf_counter() - start)"
    assert any(fresh(code) < 1 for _ in range(3))


# Public names

KEEPS_ITS_MEANING = """
import importlib, json, sys
from types import ModuleType
import atrous

before = {name: getattr(atrous, name) for name in atrous.__all__}
failed = {}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(f"atrous.{name}" if name else "atrous")
    except Exception as error:
        failed[name] = repr(error)
changed = [name for name, value in before.items() if getattr(atrous, name) is not value]
modules = [name for name in before if isinstance(getattr(atrous, name), ModuleType)]
print(json.dumps({"failed": failed, "changed": changed, "modules": modules}))
"""


@pytest.mark.slow
def test_public_names_mean_the_same_whatever_is_imported():
    done = subprocess.run(
        [sys.executable, "-c", KEEPS_ITS_MEANING, json.dumps(MODULES)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # Without numba.cuda the CUDA loops cannot be imported; everything else can.
    assert set(found["failed"]) <= CUDA, found["failed"]
    assert found["changed"] == []
    assert found["modules"] == []


def test_every_module_is_found_by_walking_the_packages():
    walked = {info.name.removeprefix("atrous.") for info in pkgutil.walk_packages(atrous.__path__, "atrous.")}
    assert walked == set(FILES) - {""}


def test_no_module_shares_the_name_of_a_public_object():
    # A module atrous.x, once imported, stands at atrous.x.
    assert {name.partition(".")[0] for name in FILES}.isdisjoint(atrous.__all__)


def test_all_lists_what_can_be_had():
    assert len(set(atrous.__all__)) == len(atrous.__all__)
    assert set(atrous.__all__) <= set(dir(atrous))
    for name in atrous.__all__:
        assert not isinstance(getattr(atrous, name), ModuleType)
    with pytest.raises(AttributeError, match="no attribute 'dilated_conv'"):
        _ = atrous.dilated_conv


# Docstrings

CALLABLES = [name for name in atrous.__all__ if callable(getattr(atrous, name))]
FUNCTIONS = [name for name in CALLABLES if inspect.isfunction(getattr(atrous, name))]


def sections(doc):
    """Return the titles of a numpydoc docstring: lines underlined with dashes."""
    lines = [line.strip() for line in doc.splitlines()]
    return {a for a, b in pairwise(lines) if a and set(b) == {"-"} and len(b) == len(a)}


@pytest.mark.parametrize("name", CALLABLES)
def test_docstring_begins_with_one_sentence(name):
    thing = getattr(atrous, name)
    doc = thing.__doc__
    assert doc, f"{name} has no docstring"
    assert not doc.startswith(f"{name}("), f"{name} has only the docstring that a NamedTuple makes up"
    summary = doc.partition("\n\n")[0]
    assert summary[0].isupper()
    assert summary.endswith(".")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_tells_parameters_and_result(name):
    function = getattr(atrous, name)
    doc, found = inspect.getdoc(function), sections(function.__doc__)
    twin = not found - {"Examples"} and any(f"`{other}`" in doc for other in FUNCTIONS if other != name)
    if twin and name.endswith(("_forward", "_backward")):
        return
    assert "Returns" in found
    if inspect.signature(function).parameters:
        assert "Parameters" in found
        told = doc.partition("Parameters\n----------\n")[2].partition("\n\n")[0]
        for parameter in inspect.signature(function).parameters:
            assert parameter in told, f"{name} does not explain {parameter}"


class Finder(doctest.DocTestFinder):
    """A finder that sees through decorators."""

    def _from_module(self, module, object):
        return super()._from_module(module, inspect.unwrap(object) if callable(object) else object)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_run(name):
    module = import_module(name)
    names = {"np": np, **{public: getattr(atrous, public) for public in atrous.__all__}}
    flags = doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
    report = []
    for test in Finder().find(module, extraglobs=names):
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_there_are_examples_to_run():
    finder = Finder()
    with_examples = [name for name in FUNCTIONS if any(t.examples for t in finder.find(getattr(atrous, name), name))]
    assert {"atrous_conv", "conv_forward", "gradcheck", "receptive_field", "dense_crf"} <= set(with_examples)


# Import direction

# A module imports from the lines above its own only. Those of the last line are programs, which import each other too.
# The name of a folder stands for all its modules, which import each other; "conv" stands for its __init__ alone.
FOLDERS = {"apps", "bench", "cli", "examples", "experiments", "figures", "gradients"}
LEVELS = [
    {"_lazy"},
    {
        "",
        "conv",
        "lattice",
        "crf",
        "filters",
        "layers",
        "data",
        "pydensecrf",
        "compose",
        "aspp",
        "nets",
        "weights",
        "train",
        "errors",
        "progress",
        "_atomic",
        "conv.tap_range",
        "_types",
        "jit",
        "jit.numba_or_not",
        "jit.llvm_lanes",
        "jit.generated",
    },
    {"jit.lanes", "jit.barrier", "jit.exponential"},
    {"_check"},
    {"_kinds", "jit.disk_cache", "jit.threads", "jit.gpu", "crf.params"},
    {"jit.compiler", "crf.memory"},
    {"data.palettes", "weights.errors", "weights.names.caffe", "weights.names.torchvision", "weights.names.kazuto"},
    {"weights.names.smp", "weights.names.jfzhang", "weights.names.isht7"},
    {"weights.names.wrappers"},
    {"weights.names.projects"},
    {"weights.names"},
    {"data.classes", "data.photos"},
    {"data.scenes"},
    {"data.pairs"},
    # files of weights
    {"weights.dtypes"},
    {"weights.archive", "weights.safetensors_file", "weights.caffemodel", "weights.torch_tensors"},
    {"weights.torch_pickle"},
    {"weights.torch_zip", "weights.torch_legacy", "weights.torch_tar"},
    {"weights.files"},
    # convolution
    {"conv.effective_kernel", "gradients"},
    {"conv.padding"},
    {"conv.geometry", "conv.receptive_field"},
    {"conv.definition", "conv.reference", "conv.im2col", "conv.taps", "conv.output_stride", "nets.multi_grid"},
    {"nets.resnet_layout", "conv.upsampled", "conv.interlace", "conv.shift", "conv.direct", "conv.cuda"},
    {"conv.activations"},
    {"conv.epilogue", "conv.filters"},
    {"conv.micro_kernel", "conv.channels_last", "conv.cook_toom", "conv.winograd_tiles"},
    {"conv.implicit_gemm", "conv.depthwise", "conv.depthwise_last", "conv.winograd_transforms", "conv.cost_model"},
    {"conv.winograd", "conv.stacked_taps"},
    {"conv.methods"},
    {"conv.branches", "conv.operators", "conv.transpose"},
    {"conv.separable"},
    # layers
    {
        "layers.activation",
        "layers.hard_swish",
        "layers.sigmoid",
        "layers.dropout",
        "layers.join",
        "layers.batch_norm",
        "layers.pool",
        "layers.resize",
        "layers.softmax",
        "layers.upsample",
    },
    {"layers.loss", "layers.squeeze_excite", "layers.interp", "layers.cuda", "layers.inference"},
    {"layers.training"},
    {"layers.training_loss"},
    # the lattice
    {"lattice.geometry", "lattice.exact", "lattice.simplex", "lattice.rows", "metrics"},
    {"trimap"},
    {"lattice.reference", "lattice.build"},
    {"lattice.splat_blur_slice", "lattice.diagonal"},
    {"lattice.error", "lattice.cuda", "lattice.gradient"},
    # random fields
    {"crf.compatibility", "crf.layout", "crf.pairwise", "crf.unary", "crf.softmax", "crf.marginal_loss"},
    {"filters.gaussian", "filters.domain_transform"},
    {"crf.reference", "crf.vertices", "crf.pairwise_gradient", "crf.filtered", "crf.upsample"},
    {"crf.grid_model", "crf.messages", "crf.joined", "crf.fused"},
    {"crf.grid_inference", "crf.grid_cut", "crf.cuda", "crf.free_energy"},
    {"crf.grid", "crf.mean_field", "crf.kernels"},
    {"crf.dense", "crf.gradient"},
    {"crf.fit", "crf.search", "crf.params_file"},
    {"crf.tiles", "crf.frames"},
    {"pydensecrf.eigen", "pydensecrf.utils"},
    {"pydensecrf.densecrf"},
    # networks
    {"compose.program", "compose.match", "aspp.reference", "nets.preparation", "nets.convolutionalize"},
    {"compose.part"},
    {"compose.activation", "compose.leaves", "compose.chain", "compose.input_size", "compose.multi_scale"},
    {
        "compose.side_head",
        "compose.residual",
        "compose.image_pooling",
        "compose.parallel",
        "compose.styles",
    },
    {
        "compose.crf_layer",
        "compose.enlarge",
        "compose.gate",
        "compose.skip_connections",
        "compose.cpu",
        "compose.memory",
        "compose.cuda",
        "nets.vgg",
        "nets.resnet",
        "nets.xception",
    },
    {"aspp.forms", "nets.classifiers", "nets.deeplab_v1", "nets.mobilenet"},
    {"aspp.operators", "nets.deeplab_v2", "nets.deeplab_v3", "nets.drawing"},
    {"nets.fresh", "nets.summary"},
    {"nets.deeplab_v3plus", "nets.network"},
    {"nets.smp", "nets.mmseg", "nets.jfzhang", "nets.deeplab_mobile"},
    {"nets.catalogue", "nets.segmentation", "nets.from_classifier"},
    {"nets.guess"},
    # training
    {"train.schedules", "train.sgd", "train.augment", "train.batches", "train.objective"},
    {"train.loop"},
    {"train.checkpoint", "train.setup"},
    {"train.trained"},
    {"jit.warmup", "pytest_plugin"},
    {"examples", "experiments", "figures", "bench", "apps", "cli", "__main__"},
]
PROGRAMS = LEVELS[-1]

PUBLIC = {name: f"atrous.{module}" for module, names in atrous._MODULES.items() for name in names.split()}

# Some modules promise more: they read like the papers, or need next to nothing.
ONLY = {
    "conv.definition": {"_types"},
    "conv.reference": {"_types", "conv.padding", "conv.geometry"},
    "conv.receptive_field": {"_types", "_check", "_kinds", "errors", "conv.effective_kernel", "conv.padding"},
    "conv.output_stride": {"_check", "_kinds", "errors", "conv.receptive_field"},
    "nets.resnet_layout": {"_check", "_kinds", "errors", "conv.receptive_field", "nets.multi_grid"},
    "conv.tap_range": set(),
    "conv.taps": {"conv.tap_range", "jit.numba_or_not"},
    "conv.activations": {"jit.lanes", "jit.numba_or_not"},
    "gradients": {"_types", "_check", "_kinds", "errors", "gradients"},
    "jit.lanes": {"jit.numba_or_not", "jit.llvm_lanes"},
    "jit.barrier": {"jit.numba_or_not"},
    "jit.generated": set(),
    # definitions
    "lattice.geometry": {"_types"},
    "lattice.exact": {"_types", "_check", "_kinds", "errors"},
    "lattice.reference": {"_types", "lattice.geometry"},
    "crf.params": set(),
    "crf.pairwise": {"_types", "_check", "_kinds", "errors"},
    "crf.unary": {"_types", "_check", "_kinds", "errors"},
    "crf.compatibility": set(),
    "crf.reference": {"_types", "_check", "_kinds", "errors", "crf.compatibility", "crf.pairwise", "lattice.exact"},
    "crf.grid_model": {"_types", "_check", "_kinds", "errors"},
    "crf.grid_inference": {"_types", "_check", "_kinds", "crf.grid_model", "crf.reference"},
    "crf.grid_cut": {"_types", "_check", "_kinds", "errors", "crf.grid_model"},
    # formulas that the loops of CPU and GPU share
    "lattice.simplex": {"jit.numba_or_not"},
    "lattice.rows": {"jit.lanes", "jit.numba_or_not"},
    "crf.softmax": {"jit.lanes", "jit.exponential", "jit.numba_or_not", "lattice.rows"},
    # what works without a compiler
    "crf.memory": {"_kinds", "errors"},
    "data.palettes": {"_atomic", "_types", "errors"},
    "data.classes": {"_types", "errors", "data.palettes"},
    "data.photos": {"errors", "data.palettes"},
    # readers of files need nothing of the rest
    "weights.errors": {"_check", "errors"},
    "weights.dtypes": set(),
    # definitions and descriptions
    "aspp.reference": {"conv.operators", "layers.batch_norm"},
    "layers.resize": {"_types", "_check", "_kinds", "errors"},
    "metrics": {"_types", "_check", "_kinds", "errors"},
    "pydensecrf.eigen": {"_types", "errors"},
    "pydensecrf.utils": {"_types", "errors"},
}

# Loops for the GPU; those for the CPU get Numba from `jit`, and run without it.
CUDA_LOOPS = {"conv.cuda", "layers.cuda", "lattice.cuda", "crf.cuda", "compose.cuda"}
COMPILERS = {"jit.numba_or_not", "jit.llvm_lanes", "jit.barrier", "jit.disk_cache"}
# Which part of the package may import which package of others, at any place; None: everywhere.
THIRD_PARTY = {
    "numpy": None,
    "numba": CUDA_LOOPS | COMPILERS | {"jit.threads", "jit.gpu"} | PROGRAMS,
    "llvmlite": {"jit.lanes", "jit.llvm_lanes", "jit.barrier"},
    "scipy": PROGRAMS | {"crf.fit", "crf.grid_cut", "data.scenes"},
    "matplotlib": PROGRAMS,
    "PIL": PROGRAMS | {"data.palettes", "data.photos"},
    "pytest": {"pytest_plugin"},
    "torch": PROGRAMS,
    "safetensors": {"weights.safetensors_file"},
    "pydensecrf": PROGRAMS,
    "IPython": PROGRAMS,
    "nbclient": PROGRAMS,
    "ipywidgets": PROGRAMS,
    "nbformat": PROGRAMS,
}
# What may stand at the top of a file, rather than in the function that needs it.
AT_THE_TOP = {
    "matplotlib": {"figures"},
    "PIL": {"figures"},
    "scipy": {"figures"},
    "torch": set(),
    "safetensors": set(),
    "pydensecrf": set(),
    "IPython": set(),
    "nbclient": set(),
    "ipywidgets": set(),
    "nbformat": set(),
    "numba": CUDA_LOOPS | COMPILERS | {"jit.threads"},
    "llvmlite": {"jit.llvm_lanes", "jit.barrier"},
}


def part(name):
    """Return the name under which a module stands in the tables."""
    first = name.partition(".")[0]
    return first if first in FOLDERS else name


def level(name):
    found = [i for i, names in enumerate(LEVELS) if part(name) in names]
    assert len(found) == 1, f"atrous.{name} must stand in one line of LEVELS"
    return found[0]


def modules_meant(node):
    """Return the absolute names of the modules that an import statement reaches."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert node.level == 0, "imports are absolute: the digest of the kernels' files follows no other"
    if node.module.partition(".")[0] != "atrous":
        return [node.module]
    found = []
    for alias in node.names:
        below = f"{node.module}.{alias.name}".removeprefix("atrous.")
        if below in FILES:
            found.append(f"atrous.{below}")
        elif node.module == "atrous":
            # A public name leads to the module that defines it; __version__ to none.
            home = "atrous.conv.methods" if alias.name == "CONV_METHODS" else PUBLIC.get(alias.name, "atrous")
            found.append(home)
        else:
            found.append(node.module)
    return found


@cache
def imports_of(path):
    """Return (modules imported at the top of a file, modules imported anywhere in it)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        node
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    top, anywhere = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = modules_meant(node)
            anywhere.update(names)
            if node not in inside:
                top.update(names)
    return top, anywhere


def own(names):
    return {name.partition(".")[2] for name in names if name.partition(".")[0] == "atrous"}


def others(names):
    found = {name.partition(".")[0] for name in names}
    return {name for name in found if name != "atrous" and name not in sys.stdlib_module_names}


@pytest.mark.parametrize("name", FILES)
def test_imports_point_one_way(name):
    for imported in own(imports_of(FILES[name])[1]):
        together = part(imported) == part(name) in FOLDERS or {part(imported), part(name)} <= PROGRAMS
        allowed = level(imported) < level(name) or together
        assert allowed, f"atrous.{name} (line {level(name)} of LEVELS) imports atrous.{imported} ({level(imported)})"
        assert part(imported) in ONLY.get(part(name), {part(imported)}), (
            f"atrous.{name} has promised to do without atrous.{imported}"
        )


@pytest.mark.parametrize("name", FILES)
def test_third_parties_are_imported_where_they_belong(name):
    top, anywhere = (others(names) for names in imports_of(FILES[name]))
    for package in anywhere:
        assert package in THIRD_PARTY, f"atrous.{name} imports {package}, which stands in no table"
        homes = THIRD_PARTY[package]
        assert homes is None or part(name) in homes, f"atrous.{name} imports {package}"
    for package in top & set(AT_THE_TOP):
        assert part(name) in AT_THE_TOP[package], f"atrous.{name} imports {package} at its top"


@pytest.mark.parametrize("path", sorted(ORACLES.glob("*.py")), ids=lambda path: path.name)
def test_oracles_share_nothing_with_the_package(path):
    assert not own(imports_of(path)[1])
    text = path.read_text(encoding="utf-8").replace("atrous convolution", "")
    assert "atrous" not in text.replace('"atrous_conv"', "")


SPAWN = """
import multiprocessing
import numpy as np
from atrous import atrous_conv

def work(method):
    x = np.arange(48.0).reshape(1, 2, 4, 6)
    return atrous_conv(x, np.ones((2, 1, 3, 3)), rate=2, groups=2, method=method)

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.map(work, ["direct", "im2col", "direct", "interlace"])
    assert all(np.array_equal(r, work("direct")) for r in results)
"""


@pytest.mark.slow
def test_methods_work_in_spawned_processes(tmp_path):
    script = tmp_path / "work.py"
    script.write_text(SPAWN, encoding="utf-8")
    subprocess.run([sys.executable, str(script)], check=True, timeout=120)
