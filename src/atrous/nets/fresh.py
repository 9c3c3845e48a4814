"""Which arrays of a network are initialised when a file fills only the rest: its classifier, its head, or named ones.

    backbone     up to the features: what an ImageNet classifier has too
    head         everything after them (ASPP, decoder, fc6 and fc7, side heads), classifier included
    classifier   the layers that give one score per class, so that another number of classes changes their shape
    crf          the CRF layer, if the network has one

Role: check.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np

from atrous.compose.crf_layer import CRFLayer
from atrous.compose.leaves import Conv, Endpoint
from atrous.compose.part import Part
from atrous.compose.side_head import SideHead
from atrous.errors import ParameterError

CLASSIFIER_SIGMA = 0.01
# What a word for `fresh` stands for: each takes in what is useless without it.
TOGETHER = {"crf": ("crf",), "classifier": ("classifier", "crf"), "head": ("head", "classifier", "crf")}


def groups(body):
    """Return the names of the arrays of "backbone", "head" (without the classifier), "classifier", "crf", in order."""
    found, after = {"backbone": [], "head": [], "classifier": [], "crf": []}, False

    def visit(part, side):
        nonlocal after
        after |= isinstance(part, Endpoint) and part.name == "features"
        if isinstance(part, CRFLayer):
            found["crf"].extend(part.names)
        if part.parts:
            for inner in part.parts:
                visit(inner, side or isinstance(part, SideHead))
            return
        # Only classifiers start with this σ, the papers' (see `Conv`).
        last = isinstance(part, Conv) and part.sigma == CLASSIFIER_SIGMA
        found["classifier" if last else "head" if after or side else "backbone"].extend(part.variables())

    visit(body, False)
    return {name: tuple(dict.fromkeys(names)) for name, names in found.items()}


def fresh_names(body: Part, fresh: str | Sequence[str], given: Sequence[str]) -> list[str]:
    """Return the network's arrays that `fresh` names: "crf", "classifier", "head", or patterns such as "decoder.*".

    A pattern must match an array of the network, or one of the `given` file's that the network does not have.
    """
    parts = groups(body)
    names = [name for some in parts.values() for name in some]
    if isinstance(fresh, str) and fresh in TOGETHER and any(parts[part] for part in TOGETHER[fresh]):
        return [name for part in TOGETHER[fresh] for name in parts[part]]
    patterns = [fresh] if isinstance(fresh, str) else fresh
    for pattern in patterns:
        if not isinstance(pattern, str) or not any(fnmatchcase(name, pattern) for name in (*names, *given)):
            raise ParameterError(
                'load: fresh must be "crf", "classifier", "head" or a list of patterns of names. '
                f"{pattern!r} matches none of the network's arrays, which start with {', '.join(_beginnings(names))}; "
                "end a pattern with *."
            )
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _beginnings(names):
    """Return how the names begin, up to the first point, without repeats."""
    return list(dict.fromkeys(name.partition(".")[0] for name in names))[:8]


def fitting_parts(body, given):
    """Return {"backbone" | "head" | "classifier" | "crf": (arrays that fit, arrays)} for weights in our names."""
    variables = body.variables()
    return {
        part: (sum(name in given and np.shape(given[name]) == variables[name].shape for name in names), len(names))
        for part, names in groups(body).items()
        if names
    }


def remedy(body, given):
    """Return the value of `fresh` that lets a network load these weights: "crf", "classifier", "head" or None."""
    missing = [part for part, (fitting, all_of_it) in fitting_parts(body, given).items() if fitting < all_of_it]
    # The part that takes in all others comes first.
    return missing[0] if missing and "backbone" not in missing else None
