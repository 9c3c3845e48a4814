"""Figures with sliders, for notebooks: a function that draws, and the values that it may be given."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from atrous.errors import AtrousError, ParameterError
from atrous.figures.style import show


def slide(draw: Callable[..., Any], **choices: Sequence[Any] | range) -> Any:
    """Return sliders with the figure that they change below them.

    Parameters
    ----------
    draw : callable
        Returns a Figure from keyword arguments. If it raises one of this package's errors, its message is shown.
    **choices : range or sequence
        The values of each argument, the one to begin with first in a sequence; a range begins at its start.

    Returns
    -------
    ipywidgets.Widget or None
        None if ipywidgets is not installed, or if ATROUS_STATIC is set, as where a notebook is run as a whole: the
        static figure before it stands for itself.

    Raises
    ------
    ParameterError
        An argument has no values to choose from.

    Examples
    --------
    >>> from atrous.figures import figure_taps
    >>> slide(lambda rate: figure_taps(rates=(1, rate)), rate=range(1, 6))  # doctest: +SKIP
    """
    for name, values in choices.items():
        if not len(values):
            raise ParameterError(f"slide: {name} needs values to choose from, got {values!r}.")
    if os.environ.get("ATROUS_STATIC"):
        return None
    try:
        import ipywidgets
    except ImportError:
        return None
    sliders = {}
    for name, values in choices.items():
        words = name.replace("_", " ")
        if isinstance(values, range):
            sliders[name] = ipywidgets.IntSlider(
                values.start, values.start, values[-1], values.step, description=words, continuous_update=False
            )
        else:
            ordered = sorted(values) if all(isinstance(v, (int, float)) for v in values) else list(values)
            sliders[name] = ipywidgets.SelectionSlider(
                options=ordered, value=values[0], description=words, continuous_update=False
            )

    def drawn(**chosen):
        from IPython.display import display

        try:
            display(show(draw(**chosen)))
        except AtrousError as error:
            print(error)

    return ipywidgets.interactive(drawn, **sliders)
