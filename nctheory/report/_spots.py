"""What a finished figure says at its marks, to a reader who points at one: its own named curves, point by point."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from nctheory.report._save import Spot

MOST = 400
"""The largest number of places of one curve that are told (conventional)."""


def read_off(figure: Any) -> tuple[Spot, ...]:
    """Every finite point of the curves and marks that the legends of a figure name, with panel, curve and both numbers.

    >>> from matplotlib.figure import Figure
    >>> figure = Figure()
    >>> _ = figure.subplots().plot([0, 1], [2.0, 3.5], label="error")
    >>> [spot.text for spot in read_off(figure)]
    ['error: 2 at 0', 'error: 3.5 at 1']
    """
    return tuple(spot for axes in figure.axes for spot in _of_panel(axes))


def _of_panel(axes: Any) -> Iterator[Spot]:
    from matplotlib.ticker import FixedLocator

    legend = axes.get_legend()
    heading = legend.get_title().get_text() if legend is not None else ""
    across, form = axes.get_xlabel(), axes.xaxis.get_major_formatter()
    named = not across and isinstance(axes.xaxis.get_major_locator(), FixedLocator)
    for line, name in _named(axes):
        x, y = (np.asarray(part, float) for part in line.get_data())
        for at, value in list(zip(x, y, strict=True))[:MOST]:
            if not (np.isfinite(at) and np.isfinite(value)):
                continue
            # Places that have names stand at whole numbers, and what is told of one may stand a little beside it.
            place = _words(form(round(float(at)), None)) if named else ""
            where = place or f"{at:.6g}" + (f" ({_words(across)})" if across else "")
            told = ": ".join(part for part in (_words(heading), _words(name)) if part)
            yield Spot(axes, float(at), float(value), f"{told}: {value:.4g} at {where}")


def _named(axes: Any) -> Iterator[tuple[Any, str]]:
    """Curves and bars of errors that have a name, without lines across the whole panel."""
    for line in axes.lines:
        if not str(line.get_label()).startswith("_") and line.get_transform() == axes.transData:
            yield line, str(line.get_label())
    for group in axes.containers:
        lines = getattr(group, "lines", ())
        if lines and lines[0] is not None and not str(group.get_label()).startswith("_"):
            yield lines[0], str(group.get_label())


def _words(text: str) -> str:
    """Text of a figure as it is read: in one line, dollars as such."""
    return " ".join(text.split()).replace(r"\$", "$")
