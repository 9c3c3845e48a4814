"""A training described in a TOML file: the network, the data, the augmentation and the recipe.

    [network]        name, classes, init, and options of the builder; batch_norm_momentum, freeze_batch_norms; crf, a
                     preset or a table, for a CRF layer that is trained with the network
    [data]           kind = "scenes", "voc", "cityscapes" or "folders", and where it is
    [held_out]       like [data]: images to measure the trained network on
    [augment]        crop, scales, mirror
    [recipe]         the fields of `Recipe`; terms = [{endpoint, weight, like}, …] as for `LossTerm`

The files in `presets` are the papers' own, with the source of each number, and tiny ones for a laptop. A field that
does not exist is named, with the one that may have been meant.

Role: public functions.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from atrous._kinds import public
from atrous._types import PathLike
from atrous.crf.params import CRF_PRESETS, CRFParams
from atrous.data.classes import CLASS_NAMES, Classes, classes_of
from atrous.data.pairs import CITYSCAPES_TRAIN_IDS, ImagePairs, cityscapes_pairs, folder_pairs, voc_pairs
from atrous.data.palettes import voc_palette
from atrous.data.scenes import Scenes
from atrous.errors import ParameterError
from atrous.nets.catalogue import build
from atrous.nets.network import Network
from atrous.nets.preparation import affine
from atrous.train.augment import SCALES, augment
from atrous.train.loop import Recipe
from atrous.train.objective import LossTerm

PRESETS = Path(__file__).parent / "presets"
NETWORK = ("name", "classes", "init", "batch_norm_momentum", "freeze_batch_norms", "crf", "options")
CRF = (*(field for field in CRFParams._fields if field != "normalization"), "training_steps", "learn_sigmas")
DATA = {
    "scenes": ("count", "seed", "options"),
    "voc": ("root", "split"),
    "cityscapes": ("root", "split"),
    "folders": ("images", "masks", "table"),
}
AUGMENT = ("crop", "scales", "mirror")
RECIPE = tuple(field for field in Recipe._fields if field != "change")


class Setup(NamedTuple):
    """What `read_setup` returns: everything that `training` takes, and where the weights begin."""

    network: Network
    samples: Sequence[Any]
    recipe: Recipe
    init: str | None
    """A file of weights to begin with, or None."""
    held_out: Sequence[Any] | None
    """Images to measure the trained network on, or None."""
    described: dict[str, Any]
    """The description as it was read, with what was replaced."""


@public
def presets() -> list[str]:
    """Return the names of the setups that come with the package.

    Returns
    -------
    list of str

    Examples
    --------
    >>> "v1_largefov" in presets()
    True
    """
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def _known(where, table, fields):
    """Raise ParameterError if a table has a field that does not exist."""
    for name in table:
        if name not in fields:
            near = difflib.get_close_matches(str(name), fields, 1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise ParameterError(f"{where} has no field {name!r}.{meant} It has {', '.join(fields)}.")


def _table(where, described, name):
    found = described.get(name, {})
    if not isinstance(found, Mapping):
        raise ParameterError(f"{where}: {name} must be a table, [{name}], got {found!r}.")
    return found


def samples_of(where, data, classes):
    """Return the samples that a [data] table describes; `where` names it in errors."""
    kind = data.get("kind")
    if kind not in DATA:
        raise ParameterError(f"{where} needs kind, one of {', '.join(map(repr, DATA))}; got {kind!r}.")
    _known(where, data, ("kind", *DATA[kind]))
    rest = {name: value for name, value in data.items() if name != "kind"}
    needed = [name for name in DATA[kind] if name in ("root", "images", "masks", "count") and name not in rest]
    if needed:
        raise ParameterError(f"{where} of kind {kind!r} needs {' and '.join(needed)}.")
    if kind == "scenes":
        return Scenes(rest["count"], seed=rest.get("seed", 0), **rest.get("options", {}))
    if kind == "folders":
        table = {int(stored): label for stored, label in rest.get("table", {}).items()} or None
        return ImagePairs(folder_pairs(rest["images"], rest["masks"]), classes, table=table)
    find, table = (voc_pairs, None) if kind == "voc" else (cityscapes_pairs, CITYSCAPES_TRAIN_IDS)
    return ImagePairs(find(rest["root"], rest.get("split", "train")), classes, table=table)


def classes_for(kind, count):
    """Return names and colours of the classes of a kind of data; of another dataset with as many if it has no names."""
    known = CLASS_NAMES.get(kind, ())
    if known and count > len(known):
        return Classes((*known, *(f"class {i}" for i in range(len(known), count))), voc_palette())
    return classes_of(count, kind if known else None)


@public
def mean_colour(network: Network) -> tuple[float, float, float]:
    """Return the colour, red first, that the network's preparation turns into zero.

    Parameters
    ----------
    network : Network

    Returns
    -------
    tuple of 3 floats
        Levels from 0 to 255.

    Examples
    --------
    >>> mean_colour(build("deeplabv3plus_xception65"))
    (127.5, 127.5, 127.5)
    """
    gain, offset = affine(network.preprocessing)
    return tuple(float(v) for v in -offset / gain)


@public
def read_setup(
    source: PathLike | Mapping[str, Any], replace: Mapping[str, Mapping[str, Any] | None] | None = None
) -> Setup:
    """Read a setup from a TOML file, or by the name of a preset.

    Parameters
    ----------
    source : path, str or mapping
        A file that ends in .toml, one of `presets`, or the tables themselves.
    replace : mapping of str to mapping, optional
        Fields to replace, by table: ``{"recipe": {"steps": 100}}``. A table with a ``kind`` replaces
        the whole table; None removes it.

    Returns
    -------
    Setup

    Raises
    ------
    ParameterError
        The file is missing or no TOML, a field is missing, unknown or out of range. The message names it.
    ImageFileError, ParameterError
        As for `voc_pairs`, `cityscapes_pairs` and `folder_pairs`.

    Examples
    --------
    >>> setup = read_setup("tiny_v3", {"recipe": {"steps": 10}})
    >>> setup.network.name, setup.recipe.steps
    ('tiny_deeplabv3_resnet50', 10)
    """
    owner = "read_setup"
    if isinstance(source, Mapping):
        where, described = f"{owner}: the source", dict(source)
    else:
        where, described = _read(owner, source)
    _known(where, described, ("network", "data", "held_out", "augment", "recipe"))
    for table, fields in (replace or {}).items():
        old = _table(where, described, table)
        described[table] = dict(fields or {}) if fields is None or "kind" in fields else {**old, **fields}
    network_table = _table(where, described, "network")
    _known(f"{where}: [network]", network_table, NETWORK)
    if "name" not in network_table:
        raise ParameterError(f"{where}: [network] needs a name; `atrous networks` lists them.")
    network = build(network_table["name"], classes=network_table.get("classes", 21), **network_table.get("options", {}))
    network = network.with_batch_norms(
        frozen=network_table.get("freeze_batch_norms"), momentum=network_table.get("batch_norm_momentum")
    )
    if "crf" in network_table:
        network = network.with_crf(**_crf(f"{where}: [network] crf", network_table["crf"]))
    samples = samples_of(f"{where}: [data]", _table(where, described, "data"), network.classes)
    held_out = _table(where, described, "held_out")
    measured = samples_of(f"{where}: [held_out]", held_out, network.classes) if held_out else None
    changes = _table(where, described, "augment")
    _known(f"{where}: [augment]", changes, AUGMENT)
    fields = dict(_table(where, described, "recipe"))
    _known(f"{where}: [recipe]", fields, RECIPE)
    if "steps" not in fields:
        raise ParameterError(f"{where}: [recipe] needs steps.")
    if "class_weights" in fields:
        fields["class_weights"] = np.array(fields["class_weights"], float)
    if "multipliers" in fields:
        fields["multipliers"] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields["multipliers"].items()}
    if "terms" in fields:
        fields["terms"] = _terms(where, fields["terms"])
    if changes:
        fields["change"] = partial(
            augment, crop=changes.get("crop"), scales=tuple(changes.get("scales", SCALES)),
            mirror=changes.get("mirror", True), mean=mean_colour(network), ignore=fields.get("ignore", 255),
        )  # fmt: skip
    return Setup(network, samples, Recipe(**fields), network_table.get("init"), measured, described)


def _crf(where, described):
    """Return the arguments of `Network.with_crf` from the name of a preset or a table; `preset` is what it changes."""
    table = {"preset": described} if isinstance(described, str) else described
    if not isinstance(table, Mapping):
        raise ParameterError(f"{where} must be the name of a preset or a table, got {described!r}.")
    _known(where, table, ("preset", *CRF))
    preset = table.get("preset", "crf-rnn")
    if preset not in CRF_PRESETS:
        raise ParameterError(f"{where}: preset must be one of {', '.join(CRF_PRESETS)}, got {preset!r}.")
    changed = {name: value for name, value in table.items() if name in CRFParams._fields}
    options = {name: value for name, value in table.items() if name in ("training_steps", "learn_sigmas")}
    return {"start": CRF_PRESETS[preset]._replace(**changed), **options}


def _terms(where, tables):
    """Return the terms of the loss from a list of tables."""
    if not isinstance(tables, (list, tuple)) or not all(isinstance(t, Mapping) and "endpoint" in t for t in tables):
        raise ParameterError(
            f"{where}: [recipe] terms must be a list of tables, each with an endpoint, got {tables!r}. "
            'Write terms = [{ endpoint = "logits" }].'
        )
    for term in tables:
        _known(f"{where}: terms", term, LossTerm._fields)
    return tuple(LossTerm(**term) for term in tables)


def _read(owner, source):
    path = Path(source)
    if path.suffix != ".toml":
        if str(source) not in presets():
            near = difflib.get_close_matches(str(source), presets(), 1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise ParameterError(
                f"{owner}: there is no preset {str(source)!r}.{meant} Presets: {', '.join(presets())}. The name of a "
                "file ends in .toml."
            )
        path = PRESETS / f"{source}.toml"
    try:
        return str(path.name), tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(f"{owner}: cannot read {path}: {error.strerror or error}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{owner}: {path} is not TOML: {error}.") from error
