"""What all pictures share: panels on a paper's columns, legends above them, maps over grids of any spacing."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nctheory.report._lines import width_of, wrapped
from nctheory.report._style import ONE_COLUMN, SMALL, TEXT, TWO_COLUMNS, UNDECIDED

POINTS = 72.0
LINE = 1.35
"""The height of a line of text, to its size."""
HANDLE, BETWEEN = (1.8 + 0.6) * SMALL, 1.2 * SMALL
"""Points that the mark of a legend's entry takes, and the room between two entries."""
BESIDE, BAR = 44.0, 50.0
"""Points beside a panel that the labels of its axis take, and the bar of colours."""
LABEL = 130.0
"""The longest label of an axis in points."""
SPREAD = 1e-9
"""Numbers that differ by less, relatively, are one."""


@dataclasses.dataclass
class Sheet:
    """A figure under way: panels in one column or two, and the words above them."""

    figure: Any
    panels: list[Any]
    row: list[int]
    """The row in which each panel stands."""
    heights: list[float]
    """Inches of the rows."""
    heads: list[float]
    """Inches that the legends above the panels of each row take."""
    beside: float = BESIDE
    """Points to the left of each panel."""
    barred: list[Any] = dataclasses.field(default_factory=list)
    """The panels that have a bar of colours."""

    def name(self, panel: Any, heading: str = "", more: Sequence[Any] = ()) -> None:
        """Name the curves of a panel in a legend above it, where none is hidden, however many they are.

        Above them stands a heading, as matplotlib takes it. `more` are further entries, artists with a label.
        """
        room = self.width(panel)
        handles, names = panel.get_legend_handles_labels()
        handles, names = [*handles, *more], [*names, *(one.get_label() for one in more)]
        entries = [wrapped(name, room - HANDLE, SMALL) for name in names]
        title = wrapped(heading, room, TEXT) if heading else ""
        if not entries and not title:
            return
        widest = max((width_of(line, SMALL) for entry in entries for line in entry.split("\n")), default=0.0) + HANDLE
        columns = max(1, min(len(entries), int((room + BETWEEN) // (widest + BETWEEN))))
        lines = [entry.count("\n") + 1 for entry in entries]
        deep = max((sum(part) for part in _columns(lines, columns)), default=0)
        panel.legend(
            handles, entries, ncols=columns, title=title or None, alignment="left", loc="lower left",
            bbox_to_anchor=(0.0, 1.02),
        )  # fmt: skip
        tall = deep * LINE * SMALL + (title.count("\n") + 1) * LINE * TEXT * bool(title) + TEXT
        number = self.row[self.panels.index(panel)]
        self.heads[number] = max(self.heads[number], tall / POINTS)

    def width(self, panel: Any) -> float:
        """Points that the words above a panel may take."""
        columns = self.row.count(0)
        return POINTS * self.figure.get_figwidth() / columns - self.beside - BAR * (panel in self.barred)

    def finish(self, title: str = "") -> Any:
        """The figure, as tall as its panels and the words above them need; `title` as matplotlib takes it."""
        above = 0.1
        if title:
            words = wrapped(title, POINTS * self.figure.get_figwidth() - TEXT, TEXT, most=4)
            self.figure.suptitle(words, x=0.01, ha="left")
            above += (words.count("\n") + 1) * LINE * TEXT / POINTS
        self.figure.set_figheight(sum(self.heights) + sum(self.heads) + above)
        return self.figure


def sheet(number: int, height: float = 2.6) -> Sheet:
    """A sheet of panels, each as wide as a column of a paper: one panel in one column, else two; `height` in inches."""
    from matplotlib.figure import Figure

    columns = min(number, 2)
    rows = math.ceil(number / columns)
    figure = Figure(figsize=(ONE_COLUMN if columns == 1 else TWO_COLUMNS, rows * height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for unused in grid.ravel()[number:]:
        unused.remove()
    row = [i // columns for i in range(number)]
    return Sheet(figure, list(grid.ravel()[:number]), row, [height] * rows, [0.0] * rows)


def stack(heights: Sequence[float], beside: float) -> Sheet:
    """A sheet of panels below each other over both columns of a paper, with one horizontal axis.

    `heights` in inches; names take `beside` points to the left.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(TWO_COLUMNS, sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    rows = list(range(len(heights)))
    return Sheet(figure, list(panels), rows, list(heights), [0.0] * len(heights), beside)


def _columns(lines: Sequence[int], number: int) -> list[Sequence[int]]:
    """The entries of each column of a legend, filled as matplotlib fills them."""
    sizes = [len(lines) // number + (i < len(lines) % number) for i in range(number)]
    ends = np.cumsum([0, *sizes])
    return [lines[begin:end] for begin, end in itertools.pairwise(ends)]


def edges(values: np.ndarray, log: bool) -> np.ndarray:
    """The borders of cells around increasing values: midway between them, on a logarithmic axis in their logarithms.

    >>> edges(np.array([1.0, 100.0]), log=True).round(6).tolist(), edges(np.array([2.0]), log=False).tolist()
    ([0.1, 10.0, 1000.0], [1.5, 2.5])
    """
    at = np.log(values) if log else np.asarray(values, float)
    if at.size == 1:
        half = 0.5 * np.log(2.0) if log else 0.5 if at[0] == 0 or abs(at[0]) >= 1 else 0.5 * abs(at[0])
        ends = np.array([at[0] - half, at[0] + half])
    else:
        middle = 0.5 * (at[1:] + at[:-1])
        ends = np.concatenate([[2 * at[0] - middle[0]], middle, [2 * at[-1] - middle[-1]]])
    return np.exp(ends) if log else ends


def draw_map(
    page: Sheet,
    panel: Any,
    axes: Sequence[tuple[np.ndarray, bool, tuple[float, float] | None]],
    cells: np.ndarray,
    label: str,
    least: float | None = None,
) -> list[Any]:
    """Cells, first axis to the right, by colour, with a bar of colours; what is not finite is grey, and named in what returns.

    `axes` are the values on each axis, whether it is logarithmic, and its ends where they are given, between which a single
    value has its cell. The bar begins at `least` or below.
    """
    from matplotlib.patches import Patch

    from nctheory.report._ticks import even_axis

    (x, y), finite = (np.argsort(values) for values, *_ in axes), cells[np.isfinite(cells)]
    borders = [
        np.array(ends) if ends and values.size == 1 else edges(np.sort(values), log) for values, log, ends in axes
    ]
    for side in ("top", "right"):
        panel.spines[side].set_visible(True)
    panel.set_facecolor(UNDECIDED)
    panel.set_xlim(borders[0][0], borders[0][-1])
    panel.set_ylim(borders[1][0], borders[1][-1])
    if finite.size:
        low, high = _ends(finite, least)
        shown = np.ma.masked_invalid(cells[np.ix_(x, y)].T)
        drawn = panel.pcolormesh(*borders, shown, vmin=low, vmax=high)
        bar = panel.figure.colorbar(drawn, ax=panel)
        bar.outline.set_linewidth(0.6)
        even_axis(bar.ax.yaxis)
        bar.set_label(wrapped(label, LABEL, TEXT))
        page.barred.append(panel)
        unknown = "undecided"
    else:
        unknown = f"{label}: undecided in every cell"
    return [Patch(facecolor=UNDECIDED, edgecolor="none", label=unknown)] if finite.size < cells.size else []


def _ends(finite: np.ndarray, least: float | None) -> tuple[float, float]:
    """What the bar of colours goes from and to; numbers that differ in their rounding alone are one."""
    low, high = float(finite.min()), float(finite.max())
    low = low if least is None else min(low, least)
    if high - low > SPREAD * max(abs(low), abs(high)):
        return low, high
    spread = 0.05 * abs(high) or 1.0
    return (low - spread if least is None else low), high + spread


def fit_label(panel: Any, which: str, text: str) -> None:
    """The label of an axis, over as many lines as it needs."""
    getattr(panel, f"set_{which}label")(wrapped(text, LABEL if which == "y" else 1.4 * LABEL, TEXT))
