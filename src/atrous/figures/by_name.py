"""Figures by the names of the papers' figures: what `atrous figure` draws."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

from atrous import figures
from atrous.errors import ParameterError
from atrous.figures.style import told


class Named(NamedTuple):
    """A figure that can be asked for by name."""

    function: str
    options: dict[str, Any]
    rebuilds: str
    """The figure or table of a paper; empty if it explains what the papers only say."""


PAPERS = {
    "v1-table2": Named("figure_field_table", {}, "DeepLab v1, Table 2; v2, Table 1"),
    "v2-fig1": Named("figure_system", {}, "DeepLab v2, Figure 1"),
    "v2-fig2": Named("figure_sparse_dense", {}, "DeepLab v2, Figure 2; v1, Figure 1"),
    "v2-fig3": Named("figure_sparse_dense_2d", {}, "DeepLab v2, Figure 3"),
    "v2-fig4": Named("figure_aspp_taps", {}, "DeepLab v2, Figure 4"),
    "v2-fig5": Named("figure_belief_maps", {}, "DeepLab v2, Figure 5; v1, Figure 2"),
    "v2-fig10": Named("figure_trimap", {}, "DeepLab v2, Figure 10, on a drawn world"),
    "v2-poly": Named("figure_schedules", {}, "DeepLab v2, Section 4.1.2"),
    "v3-fig1": Named("figure_taps", {"rates": (1, 6, 24), "size": 65}, "DeepLab v3, Figure 1"),
    "v3-fig2": Named("figure_context_ways", {}, "DeepLab v3, Figure 2"),
    "v3-fig3": Named("figure_cascade", {}, "DeepLab v3, Figure 3"),
    "v3-fig4": Named("figure_valid_taps", {}, "DeepLab v3, Figure 4"),
    "v3-fig5": Named("figure_aspp_responses", {}, "DeepLab v3, Figure 5, what its branches see"),
    "v3plus-fig1": Named("figure_decoders", {}, "DeepLab v3+, Figure 1"),
    "v3plus-fig3": Named("figure_separable", {}, "DeepLab v3+, Figure 3"),
    "v3plus-table3": Named("figure_output_strides", {}, "DeepLab v3+, Table 3, Multiply-Adds"),
}


def named_figures() -> dict[str, Named]:
    """Return every figure that needs no results, by name: those of the papers first."""
    used = {found.function for found in PAPERS.values()} - {"figure_taps"}
    rest = {}
    for function in figures.__all__:
        if function.startswith("figure_") and function not in used:
            parameters = inspect.signature(getattr(figures, function)).parameters.values()
            if all(p.default is not p.empty or p.kind is p.VAR_KEYWORD for p in parameters):
                rest[function.removeprefix("figure_").replace("_", "-")] = Named(function, {}, "")
    return {**PAPERS, **rest}


def title_of(found: Named) -> str:
    """Return the first sentence of a figure's docstring."""
    return told(getattr(figures, found.function))


def figure_named(name: str):
    """Return the Figure of that name.

    Parameters
    ----------
    name : str
        One of `named_figures`, such as "v2-fig2".

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ParameterError
        There is no such figure.
    """
    known = named_figures()
    if name not in known:
        raise ParameterError(f"figure: there is no figure {name!r}. The names are {', '.join(known)}.")
    found = known[name]
    return getattr(figures, found.function)(**found.options)
