"""The figure of a verification: claims on one side of the line, controls on the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nctheory.report._cells import SHOUTED, number
from nctheory.report._lines import literal, width_of, wrapped
from nctheory.report._save import Drawing, Spot, save_figure
from nctheory.report._sheet import stack
from nctheory.report._style import BLACK, BLUE, FAINT, INK, SMALL, UNDECIDED, VERMILLION, house_style
from nctheory.theorems import Verdict

FLOOR, CEILING = 1e-3, 1e15
"""Ratios at which the axis ends at the latest: a residual over a tolerance of zero has no place on it."""
MAX_PANELS = 6
HOLD, CONTROL, BROKEN = BLUE, VERMILLION, BLACK
NAMES = 170.0
"""The longest line of a name beside the axis, in points."""


class Mark(NamedTuple):
    """One claim or control in the figure."""

    name: str
    ratio: float
    right: bool
    """Whether it came out as it ought to."""
    control: bool
    ran: bool = True

    @property
    def colour(self) -> str:
        """Of a claim, of a control, or of what came out wrong."""
        return (CONTROL if self.control else HOLD) if self.right else BROKEN

    @property
    def words(self) -> str:
        """What it says to a reader who points at it."""
        what = "control" if self.control else "claim"
        return f"{what} {self.name}: {f'tolerance ratio {self.ratio:.3g}' if self.ran else SHOUTED['not run']}"


def tolerance_figure(verdicts: Sequence[Verdict], path: str | Path) -> Path:
    """Draw residual over tolerance for every claim (worst seed) and every control, one panel a theorem, or one row a theorem
    where there are more than a few.

    Left of 1 a prediction is held up by every seed; right of 1 at least one seed refutes it. A control that was not run is
    hollow. Resolution and counts stand above the panel; a mark beyond the axis is an arrow. The format follows the suffix of
    `path`; the file is written atomically and is the same, byte for byte, for the same verdicts.
    """
    with house_style():
        return save_figure(draw_tolerances(verdicts).figure, Path(path))


def draw_tolerances(verdicts: Sequence[Verdict]) -> Drawing:
    """The figure of tolerance ratios, and what each of its marks says; under `house_style`."""
    from nctheory.report._ticks import log_axis

    rows = [_marks(verdict) for verdict in verdicts]
    largest = max((m.ratio for some in rows for m in some if np.isfinite(m.ratio)), default=1e3)
    most = min(10 * max(largest, 10.0), CEILING)
    if len(verdicts) > MAX_PANELS:
        names = [_label(v.theorem if v.outcome == "holds" else f"{v.theorem}: {v.outcome}") for v in verdicts]
        page = stack([0.26 * sum(_lines(names)) + 0.4], _beside(names))
        spots = _rows(page.panels[0], verdicts, rows, most, names)
    else:
        labels = [[_label(_named(mark)) for mark in some] for some in rows]
        page = stack(
            [0.2 * sum(_lines(some)) + 0.3 for some in labels], _beside([name for some in labels for name in some])
        )
        spots = []
        for panel, one, some, names in zip(page.panels, verdicts, rows, labels, strict=True):
            spots += _panel(panel, one, some, most, names)
    together = len(verdicts) > MAX_PANELS
    for i, panel in enumerate(page.panels):
        panel.axvline(1.0, color=INK, lw=1, label="tolerance")
        panel.set_xlim(FLOOR, most)
        log_axis(panel.xaxis)
        panel.tick_params(axis="y", length=0, pad=6)
        page.name(panel, "" if together else _heading(verdicts[i]), () if i else _key(rows, most))
    page.panels[-1].set_xlabel(
        "residual / derived tolerance, worst seed   (left of the line: supported; right: refuted)"
    )
    seeds, support = sum(v.seeds_run for v in verdicts), sum(v.supporting for v in verdicts)
    told = f"{len(verdicts)} theorems, {support:,} of {seeds:,} seeds support them"
    return Drawing(page.finish(told if together else ""), tuple(spots))


def _marks(verdict: Verdict) -> list[Mark]:
    """All claims and controls."""
    claims = [Mark(c.name, c.tolerance_ratio, c.violations == 0, False) for c in verdict.claims if c.instances]
    ran = [(c, c.status != "not run") for c in verdict.controls]
    return claims + [Mark(c.name, c.tolerance_ratio, c.refuted, True, ran_) for c, ran_ in ran]


def _named(mark: Mark) -> str:
    """What stands beside its row."""
    name = f"control: {mark.name}" if mark.control else mark.name
    if not mark.ran:
        return f"{name} ({SHOUTED['not run']})"
    return f"{name} (no number)" if np.isnan(mark.ratio) else name


def _label(name: str) -> str:
    return wrapped(literal(name), NAMES, SMALL)


def _beside(names: Sequence[str]) -> float:
    """Points that the names take."""
    return 24.0 + max((width_of(line, SMALL) for name in names for line in name.split("\n")), default=0.0)


def _lines(names: Sequence[str]) -> list[int]:
    return [1 + name.count("\n") for name in names]


def _places(names: Sequence[str]) -> np.ndarray:
    """The heights of rows, in lines from the top, of which some have labels of several lines."""
    lines = np.array(_lines(names), float)
    return np.cumsum(lines) - 0.5 * lines - 0.5


def _draw(panel: Any, mark: Mark, y: float, most: float, size: float) -> Spot:
    """One mark; hollow where nothing was run, and an arrow where it lies beyond the axis."""
    x = float(np.clip(mark.ratio, FLOOR, most))
    beyond = ">" if mark.ratio > most else "<" if mark.ratio < FLOOR else ""
    panel.plot(
        x, y, beyond or ("s" if mark.control else "o"), color=mark.colour, ms=size, alpha=0.85, clip_on=False,
        mfc=mark.colour if mark.ran else "none", mew=0 if mark.ran else 1, label="_",
    )  # fmt: skip
    return Spot(panel, x if np.isfinite(x) else FLOOR, y, mark.words)


def _key(rows: Sequence[Sequence[Mark]], most: float) -> list[Any]:
    """Entries of a legend for the kinds of marks that there are."""
    from matplotlib.lines import Line2D

    marks = [mark for some in rows for mark in some]
    kinds = (
        ("claim", "o", HOLD, any(m.right and m.ran and not m.control for m in marks)),
        ("control (a wrong theorem)", "s", CONTROL, any(m.right and m.ran and m.control for m in marks)),
        ("claim refuted", "o", BROKEN, any(not m.right and m.ran and not m.control for m in marks)),
        ("control not refuted", "s", BROKEN, any(not m.right and m.ran and m.control for m in marks)),
        ("below the axis", "<", FAINT, any(m.ran and m.ratio < FLOOR for m in marks)),
        ("beyond the axis", ">", FAINT, any(m.ran and m.ratio > most for m in marks)),
    )
    found = [Line2D([], [], ls="", marker=m, ms=4.5, mew=0, color=c, label=name) for name, m, c, is_ in kinds if is_]
    if any(not mark.ran for mark in marks):
        found.append(Line2D([], [], ls="", marker="s", ms=4.5, mew=1, mfc="none", color=BROKEN, label="not run"))
    return found


def _rows(
    panel: Any, verdicts: Sequence[Verdict], rows: Sequence[Sequence[Mark]], most: float, names: Sequence[str]
) -> list[Spot]:
    """All claims and controls of a theorem in one row."""
    spots = []
    places = _places(names)
    for y, verdict, marks in zip(places, verdicts, rows, strict=True):
        for mark in marks:
            spot = _draw(panel, mark, y, most, 4.0 if mark.control else 4.5)
            spots.append(spot._replace(text=f"{verdict.theorem}, {mark.words}"))
    panel.set_yticks(places, names)
    panel.grid(axis="y", color=UNDECIDED, lw=0.6)
    panel.set_axisbelow(True)
    panel.set_ylim(sum(_lines(names)) - 0.4, -0.6)
    return spots


def _panel(panel: Any, verdict: Verdict, marks: Sequence[Mark], most: float, names: Sequence[str]) -> list[Spot]:
    """The claims and controls of one theorem, a row each, joined to the end of the axis."""
    from matplotlib.collections import LineCollection

    places = _places(names)
    spots = [_draw(panel, mark, y, most, 5.0) for mark, y in zip(marks, places, strict=True)]
    lines = [[(FLOOR, y), (spot.x, y)] for spot, y in zip(spots, places, strict=True)]
    panel.add_collection(
        LineCollection(lines, colors=[mark.colour for mark in marks], linewidths=1.0, alpha=0.35, zorder=1)
    )
    panel.set_yticks(places, names)
    panel.set_ylim(sum(_lines(names)) - 0.4, -0.6)
    return spots


def _heading(verdict: Verdict) -> str:
    """The theorem, its outcome, and of how much that is."""
    head = f"{verdict.theorem}: {verdict.outcome}"
    if verdict.instances:
        head += (
            f"; {verdict.instances_supporting} of {len(verdict.instances)} instances and {verdict.supporting} of "
            f"{verdict.seeds_run} seeds support it; evidence {verdict.evidence}; resolution {number(verdict.resolution)}"
        )
    return literal(head)
