"""Which network a file of weights belongs to, by the names and shapes of its arrays.

Role: check; `describe` reads a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from atrous.compose.match import mismatch
from atrous.errors import ParameterError
from atrous.nets.catalogue import build, networks, takes
from atrous.nets.fresh import fitting_parts, remedy
from atrous.nets.network import Network
from atrous.weights.errors import WeightsError
from atrous.weights.files import load_weights, weights_format
from atrous.weights.names import fitting, known_options, project, versions

# Options that add, rename or resize arrays, so that these tell their values.
SWITCHES = ("auxiliary", "separable", "reduced_tail", "rates")


class Trial(NamedTuple):
    """A network, the options that the weights tell, the weights in its names, and how many arrays differ."""

    network: Network
    options: dict[str, Any]
    given: dict[str, np.ndarray]
    distance: int


@lru_cache(256)
def _built(name, options):
    """Return a network and its variables; `options` are sorted pairs."""
    network = build(name, **dict(options))
    return network, network.variables()


def _trial(name, options, found):
    network, wanted = _built(name, tuple(sorted(options.items())))
    given = fitting(found, wanted)
    shapes = sum(np.shape(given[key]) != wanted[key].shape for key in wanted.keys() & given.keys())
    return Trial(network, options, given, len(wanted.keys() ^ given.keys()) + shapes)


def _of_crf(name):
    return name.startswith("crf.")


def _tried(names, weights):
    """Yield the Trial of each network that comes closest to the weights, those of a CRF layer left out."""
    weights = {name: array for name, array in weights.items() if not _of_crf(name)}
    found, known = versions(weights), known_options(weights)
    for name in names:
        network, variables = _built(name, ())
        given = fitting(found, variables)
        # The last variable of every network is the bias of its classifier.
        bias = np.shape(given.get(list(variables)[-1], 0))
        options = {"classes": bias[0] if len(bias) == 1 and bias[0] else network.classes}
        options |= {key: value for key, value in known.items() if key in takes(name)}
        best = _trial(name, options, found)
        # Networks that share little with the weights need no second look.
        switches = SWITCHES if 0 < best.distance < len(best.given) else ()
        for switch in (key for key in switches if key in takes(name)):
            # Only ASPP with image pooling can do without its rates.
            if switch == "rates" and "image_pooling" not in takes(name):
                continue
            value = () if switch == "rates" else not takes(name)[switch]
            other = _trial(name, {**best.options, switch: value}, found)
            best = min(best, other, key=lambda trial: trial.distance)
        yield best


def guess(weights: Mapping[str, np.ndarray]) -> list[tuple[str, dict[str, Any]]]:
    """Return the networks whose arrays have exactly the names and shapes of the weights.

    Parameters
    ----------
    weights : dict of ndarray
        As `load_weights` returns them, in our names or those that `Network.load` understands.

    Returns
    -------
    list of (name, options)
        For ``build(name, **options)``. There are several if the networks differ only in rates or pools, which have no
        weights. Of tiny siblings that are the same network, only one is listed.

    Examples
    --------
    >>> network = build("tiny_torchvision_deeplabv3_resnet50", classes=5, auxiliary=False)
    >>> params, state = network.init(np.random.default_rng(0))
    >>> guess(params | state)
    [('tiny_torchvision_deeplabv3_resnet50', {'classes': 5, 'auxiliary': False})]
    """
    found, bodies = [], []
    for network, options, _, distance in _tried(networks(), weights):
        if not distance and network.body not in bodies:
            found.append((network.name, options))
            bodies.append(network.body)
    return found


def nearest(weights: Mapping[str, np.ndarray]) -> tuple[Trial, str]:
    """Return the Trial of the network that differs in the fewest arrays, and a text that says what differs."""
    best = min(_tried(networks(), weights), key=lambda trial: trial.distance)
    text = mismatch(best.network.variables(), best.given) or "nothing"
    if sentence := project(weights):
        text += f". {sentence}"
    if any(len(np.shape(array)) == 2 for array in best.given.values()):
        text += ". Its fully connected layers become convolutions by convolutionalize(load_weights(file))"
    return best, text


def backbones(weights: Mapping[str, np.ndarray]) -> list[str]:
    """Return the segmentation networks whose whole backbone the weights fill, but not the whole network."""
    found = []
    for network, _, given, distance in _tried(networks(), weights):
        parts = fitting_parts(network.body, given)
        filled, arrays = parts["backbone"]
        if distance and filled == arrays and "head" in parts:
            found.append(network.name)
    return found


def choose(
    weights: Mapping[str, np.ndarray], name: str | None = None, classes: int | None = None, **options
) -> Network:
    """Return the network for weights: the one that is named, or the only one that they fit.

    Raises
    ------
    WeightsError
        They fit none.
    ParameterError
        They fit several; an unknown name or option.
    """
    if name is None:
        found = guess(weights)
        if not found:
            (network, *_), text = nearest(weights)
            raise WeightsError(
                f"segment: the weights fit none of the networks. The nearest is {network.name} with {network.classes} "
                f"classes: {text}. `atrous weights show` lists what a file contains."
            )
        if len(found) > 1:
            listed = ", ".join(name for name, _ in found)
            raise ParameterError(
                f"segment: the weights fit {listed}, which differ only in rates or pools. Say which one they were "
                f"trained for: --model {found[0][0]}."
            )
        name, known = found[0]
    else:
        known = dict(next(_tried([name], weights)).options)
    if classes is not None:
        known["classes"] = classes
    network = build(name, **{**known, **options})
    return network.with_crf() if any(map(_of_crf, weights)) else network


def describe(file: str | Path) -> dict[str, Any]:
    """Return what a file of weights contains and which networks it fits, or which is nearest, as plain values."""
    weights = load_weights(file)
    found, near = guess(weights), None
    if not found:
        best, differences = nearest(weights)
        body = best.network.body
        near = {
            "name": best.network.name,
            "classes": best.network.classes,
            "options": best.options,
            "differences": differences,
            "parts": fitting_parts(body, best.given),
            "fresh": remedy(body, best.given),
        }
    return {
        "file": str(file),
        "format": weights_format(Path(file)),
        "file_bytes": Path(file).stat().st_size,
        "bytes": sum(array.nbytes for array in weights.values()),
        "numbers": sum(array.size for array in weights.values()),
        "tensors": [{"name": n, "shape": list(a.shape), "dtype": str(a.dtype)} for n, a in weights.items()],
        "networks": [{"name": name, "options": options} for name, options in found],
        "crf": any(map(_of_crf, weights)),
        "nearest": near,
        "backbones": backbones(weights),
    }
