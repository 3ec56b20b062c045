"""The figure of a verification: claims on one side of the line, controls on the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nctheory.report._cells import SHOUTED, number
from nctheory.report._save import Drawing, Spot, house_style, literal, save_figure
from nctheory.theorems import Verdict

FLOOR, CEILING = 1e-3, 1e15
"""Ratios at which the axis ends at the latest: a residual over a tolerance of zero has no place on it."""
MAX_PANELS = 6
HOLD, CONTROL, BROKEN = "#1b6ca8", "#c8553d", "#000000"


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
    hollow. Resolution and counts stand in the panel's title. The format follows the suffix of `path`; the file is written
    atomically and is the same, byte for byte, for the same verdicts.
    """
    with house_style():
        return save_figure(draw_tolerances(verdicts).figure, Path(path))


def draw_tolerances(verdicts: Sequence[Verdict]) -> Drawing:
    """The figure of tolerance ratios, and what each of its marks says; under `house_style`."""
    from matplotlib.figure import Figure

    rows = [_marks(verdict) for verdict in verdicts]
    largest = max((m.ratio for some in rows for m in some if np.isfinite(m.ratio)), default=1e3)
    most = min(10 * max(largest, 10.0), CEILING)
    if len(verdicts) > MAX_PANELS:
        figure = Figure(figsize=(8.2, 0.26 * len(verdicts) + 1.0), layout="constrained")
        axes = [figure.subplots()]
        spots = _rows(axes[0], verdicts, rows, most)
    else:
        heights = [len(some) + 3.0 for some in rows]
        figure = Figure(figsize=(8.2, 0.205 * sum(heights) + 0.9), layout="constrained")
        axes = list(figure.subplots(len(verdicts), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0])
        spots = [
            spot for axis, one, some in zip(axes, verdicts, rows, strict=True) for spot in _panel(axis, one, some, most)
        ]
    for axis in axes:
        axis.axvline(1.0, color="0.3", lw=1)
        axis.set_xscale("log")
        axis.set_xlim(FLOOR, most)
        axis.spines["top"].set_visible(False)
    axes[-1].set_xlabel("residual / derived tolerance, worst seed   (left of the line: supported; right: refuted)")
    return Drawing(figure, tuple(spots))


def _marks(verdict: Verdict) -> list[Mark]:
    """All claims and controls."""
    claims = [Mark(c.name, c.tolerance_ratio, c.violations == 0, False) for c in verdict.claims if c.instances]
    ran = [(c, c.status != "not run") for c in verdict.controls]
    return claims + [Mark(c.name, c.tolerance_ratio, c.refuted, True, ran_) for c, ran_ in ran]


def _draw(axis: Any, mark: Mark, x: float, y: int, size: float) -> None:
    """One mark; hollow where nothing was run."""
    axis.plot(
        x, y, "s" if mark.control else "o", color=mark.colour, ms=size, mfc=mark.colour if mark.ran else "none",
        mew=0 if mark.ran else 1, alpha=0.85, clip_on=False,
    )  # fmt: skip


def _rows(axis: Any, verdicts: Sequence[Verdict], rows: Sequence[Sequence[Mark]], most: float) -> list[Spot]:
    """All claims and controls of a theorem in one row."""
    spots = []
    for y, (verdict, marks) in enumerate(zip(verdicts, rows, strict=True)):
        for mark in marks:
            x = float(np.clip(mark.ratio, FLOOR, most))
            spots.append(Spot(axis, x, y, f"{verdict.theorem}, {mark.words}"))
            _draw(axis, mark, x, y, 4.0 if mark.control else 4.5)
        axis.axhline(y, color="0.9", lw=0.6, zorder=0)
    names = [v.theorem if v.outcome == "holds" else f"{v.theorem}: {v.outcome}" for v in verdicts]
    axis.set_yticks(range(len(verdicts)), names)
    axis.set_ylim(len(verdicts) - 0.4, -0.6)
    axis.plot([], [], "o", color=HOLD, ms=4.5, label="claim")
    axis.plot([], [], "s", color=CONTROL, ms=4, label="control (a wrong theorem)")
    seeds, support = sum(v.seeds_run for v in verdicts), sum(v.supporting for v in verdicts)
    told = f"{len(verdicts)} theorems, {support:,} of {seeds:,} seeds support them"
    axis.figure.suptitle(told, fontsize=9, x=0.01, ha="left")
    axis.legend(loc="upper right", bbox_to_anchor=(1.0, 1.0 + 0.9 / len(verdicts)), ncols=2, frameon=False, fontsize=8)
    return spots


def _panel(axis: Any, verdict: Verdict, marks: Sequence[Mark], most: float) -> list[Spot]:
    """The claims and controls of one theorem, a row each."""
    spots = []
    for y, mark in enumerate(marks):
        x = float(np.clip(mark.ratio, FLOOR, most))
        axis.plot([FLOOR, x], [y, y], color=mark.colour, lw=1, alpha=0.35)
        _draw(axis, mark, x, y, 5.0)
        spots.append(Spot(axis, x, y, mark.words))
    labels = [
        (f"control: {m.name}" if m.ran else f"control: {m.name} ({SHOUTED['not run']})") if m.control else m.name
        for m in marks
    ]
    axis.set_yticks(range(len(marks)), [literal(label) for label in labels])
    axis.set_ylim(len(marks) - 0.4, -0.6)
    axis.set_title(f"{verdict.theorem}: {verdict.outcome}", loc="left", fontsize=9, fontweight="bold", pad=16)
    if verdict.instances:
        axis.annotate(
            f"{verdict.instances_supporting} of {len(verdict.instances)} instances and {verdict.supporting} of "
            f"{verdict.seeds_run} seeds support it; evidence {verdict.evidence}; resolution {number(verdict.resolution)}",
            (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=8,
        )  # fmt: skip
    return spots
